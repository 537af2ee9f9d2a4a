/* pyrec_trace.h - the trace that a run begins: its name, what stands there already, its settings.
 *
 * The trace is made under another name and put in place when it is complete and locked, so that an
 * existing file is touched only by a run that really begins.
 */
#ifndef RECORDER_PYREC_TRACE_H
#define RECORDER_PYREC_TRACE_H

#include <limits.h>
#include <sys/types.h>

#include "recorder/pyrec_options.h"

struct pyrec_trace {
    char path[PATH_MAX]; /* absolute */
    char mark[33];
    bool displaced; /* another trace had this name, and is NAME.old now */
    int lock; /* a descriptor >= 100 that holds it until a recorder does, and survives exec; -1:
                 none */
};

/* Creates the trace for a run with the interpreter `python`; a trace of that name becomes NAME.old.
 * 0, or -1 and nothing has changed. */
int pyrec_trace_create(const struct pyrec_options *options, const char *python,
                       struct pyrec_trace *trace, struct pyrec_error *err);

/* Lets the lock go. */
void pyrec_trace_release(struct pyrec_trace *trace);

/* Is it still there, as opposed to taken back? */
bool pyrec_trace_is_there(const struct pyrec_trace *trace);

/* Says in the trace how the run's first process, `pid`, has ended: `status` is wait(2)'s. For ends
 * that it could not write down itself. */
void pyrec_trace_note_end(const struct pyrec_trace *trace, pid_t pid, int status);

/* Takes back a trace that nothing was recorded into; what it displaced has its name again. */
void pyrec_trace_remove(struct pyrec_trace *trace);

/* Writes `pattern` with %p, %n and %% replaced. 1 if it has a %n, 0 if not, -1: it does not fit or
 * has another %. */
int pyrec_trace_expand(const char *pattern, unsigned long process, unsigned long number, char *out,
                       size_t size);

#endif
