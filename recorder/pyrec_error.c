#include "recorder/pyrec_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Copies what a terminal shows as it is (any byte of UTF-8 included), and the rest as `\xNN`, as
 * far as it fits. */
static void copy_printable(char *to, size_t size, const char *from)
{
    char *end = to + size - sizeof "\\xNN";

    for (; *from != '\0' && to < end; from++) {
        unsigned char byte = (unsigned char)*from;

        if (byte >= ' ' && byte != 0x7f)
            *to++ = *from;
        else
            to += sprintf(to, "\\x%02x", byte);
    }
    *to = '\0';
}

int pyrec_error_set(struct pyrec_error *err, enum pyrec_status status, const char *format, ...)
{
    char text[sizeof err->text];
    va_list arguments;

    if (err->text[0] != '\0')
        return -1;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    err->status = status;
    copy_printable(err->text, sizeof err->text, text);
    return -1;
}
