/* pyrec_then.h - pyrec as the parent of the program: for --then, and only then.
 *
 * The program must not notice: signals meant for it reach it, its stops stop us, and whoever
 * started pyrec gets its exit status, death by signal included.
 */
#ifndef RECORDER_PYREC_THEN_H
#define RECORDER_PYREC_THEN_H

#include <sys/types.h>

#include "recorder/pyrec_options.h"

/* Runs `become` in a child, where it does not return, and waits for the end of what it became: its
 * status as wait(2) gives it, or -1 if there is no child (errno). */
int pyrec_then_run(void (*become)(void *), void *context, pid_t *child);

/* Does `analyzer` understand what --then will ask for? Better said before the program runs. */
int pyrec_then_check(const char *analyzer, const struct pyrec_options *options,
                     struct pyrec_error *err);

/* Runs `analyzer` on the trace with the reports that --then or a front end asks for. */
int pyrec_then_report(const char *analyzer, const char *trace, const struct pyrec_options *options,
                      struct pyrec_error *err);

/* Ends this process as the program ended. */
void pyrec_then_end(int wait_status) __attribute__((noreturn));

#endif
