#include "formats/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Length of the well-formed UTF-8 sequence at `at`, with its code point in *point; 0: there is none. */
static int sequence_length(const unsigned char *at, unsigned *point)
{
    static const unsigned smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    int length = at[0] < 0x80 ? 1 : at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : at[0] >= 0xC2 ? 2 : 0;

    if (length <= 1) {
        *point = at[0];
        return length;
    }
    *point = at[0] & (0x7Fu >> length);
    for (int i = 1; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
        *point = *point << 6 | (at[i] & 0x3F);
    }
    if (*point < smallest[length] || *point > 0x10FFFF || (*point >= 0xD800 && *point <= 0xDFFF))
        return 0;
    return length;
}

/* Control characters, and those that reorder or hide what follows them on a terminal. */
static bool point_is_printable(unsigned point)
{
    if (point < 0x20 || (point >= 0x7F && point < 0xA0))
        return false;
    return !(point >= 0x2028 && point <= 0x202E) && !(point >= 0x2066 && point <= 0x2069) &&
           point != 0x200E && point != 0x200F && point != 0x061C && point != 0xFEFF;
}

static void copy_printable(char *to, size_t size, const char *from)
{
    const unsigned char *at = (const unsigned char *)from;
    char *end = to + size - 1;

    while (*at != '\0') {
        unsigned point;
        int length = sequence_length(at, &point);

        if (length > 0 && point_is_printable(point)) {
            if (end - to < length)
                break;
            memcpy(to, at, (size_t)length);
            to += length;
            at += length;
        } else {
            if (end - to < 4)
                break;
            to += snprintf(to, 5, "\\x%02X", *at++);
        }
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
