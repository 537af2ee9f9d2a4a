#include "formats/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "formats/text.h"

/* Copies what may be shown as it is; the rest as `\xNN`, byte by byte. */
static void copy_printable(char *to, size_t size, const char *from)
{
    const char *end = from + strlen(from), *full = to + size - 1;

    for (const char *at = from; from < end; from = at) {
        bool plain = text_is_printable(text_next(&at, end));
        ptrdiff_t needed = (at - from) * (plain ? 1 : 4);

        if (full - to < needed)
            break;
        if (plain)
            memcpy(to, from, (size_t)needed);
        for (int i = 0; !plain && from + i < at; i++)
            snprintf(to + 4 * i, 5, "\\x%02X", (unsigned char)from[i]);
        to += needed;
    }
    *to = '\0';
}

__attribute__((format(printf, 3, 0))) static int store(struct error *err, int usage,
                                                       const char *format, va_list arguments)
{
    char text[sizeof err->text];

    if (err->text[0] != '\0')
        return -1;
    vsnprintf(text, sizeof text, format, arguments);
    copy_printable(err->text, sizeof err->text, text);
    err->usage = usage;
    return -1;
}

int error_set(struct error *err, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    store(err, 0, format, arguments);
    va_end(arguments);
    return -1;
}

int error_set_usage(struct error *err, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    store(err, 1, format, arguments);
    va_end(arguments);
    return -1;
}
