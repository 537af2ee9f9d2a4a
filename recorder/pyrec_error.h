/* pyrec_error.h - why the pyrec command cannot do what it was asked, and the exit status that says
 * so.
 *
 * The statuses are those of env(1), so that scripts tell a failure of pyrec from one of the
 * program.
 */
#ifndef RECORDER_PYREC_ERROR_H
#define RECORDER_PYREC_ERROR_H

enum pyrec_status {
    PYREC_USAGE = 2,            /* wrong command line */
    PYREC_FAILED = 125,         /* pyrec itself: the trace, the recorder */
    PYREC_NOT_EXECUTABLE = 126, /* the interpreter is there and cannot be started */
    PYREC_NOT_FOUND = 127,      /* no interpreter */
};

struct pyrec_error {
    enum pyrec_status status;
    char text[2048]; /* empty: no error */
};

/* Stores status and text unless there is an error already; unprintable bytes become `\xNN`. Always
 * -1. */
int pyrec_error_set(struct pyrec_error *err, enum pyrec_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
