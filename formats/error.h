/* error.h - the one error of an operation that failed.
 *
 * Whoever fails says so once, in words for the user: one line naming the file, the place and the
 * reason. The first error wins; callers add nothing and pass it up. Only main() prints it.
 */
#ifndef FORMATS_ERROR_H
#define FORMATS_ERROR_H

struct error {
    char text[1024]; /* empty: no error */
    int usage; /* 1: wrong use of the command (exit status 2), 0: a problem with data or files */
};

/* Stores the text unless one is stored already; unprintable bytes become `\xNN`. Always -1, so that
 * a function can `return error_set(…)`. */
int error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a wrong command line. */
int error_set_usage(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
