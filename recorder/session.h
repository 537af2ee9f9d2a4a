/* session.h - a recording that the program itself begins and ends, as `import pyrec` has it.
 *
 * One a process, with the options of the pyrec command. What is begun while it goes on joins it,
 * and it ends with the outermost end. Under `pyrec run` there is the run's recording to join
 * already: it can be paused and marked, and windows can be opened in it, but it is not the
 * program's to end.
 *
 * Everything here is called with the GIL held, in the main interpreter.
 */
#ifndef RECORDER_SESSION_H
#define RECORDER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session_options {
    char **argv;      /* a command line of pyrec; --python is stored as the interpreter */
    bool in_memory;   /* whatever --out says */
    bool for_windows; /* records only while a window is open, and needs no end */
    uintptr_t keeper; /* not 0: between its ends and its beginnings the recording only waits */
};

/* Begins a recording, or joins the one that goes on. 1 it has begun, or goes on for its keeper, 0
 * joined, -1 with a sentence in `why`. */
int session_start(const struct session_options *options, char *why, size_t why_size);

/* The end of one session_start(). `keep`: the recording waits for its keeper. False: there was no
 * beginning to it. */
bool session_stop(bool keep);

/* As many times the one as the other. False: nothing is being recorded, or there was no pause. */
bool session_pause(void);
bool session_resume(void);

/* False: nothing is being recorded now. */
bool session_mark(const char *text, size_t size);

/* The path of the trace being recorded, or of the last one in memory; NULL: neither. Valid until
 * the next call of anything here. */
const char *session_trace_path(void);

/* A window: a span of time, of this thread or of all, that belongs to `owner` (TRACE.md section 4,
 * WINDOW). Its number, or 0: nothing is recorded in this process. */
uint32_t session_open_window(const char *owner, size_t size, bool all_threads);

/* False: no such window is open. */
bool session_close_window(uint32_t number);

#endif
