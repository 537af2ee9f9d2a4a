/* inside.h - the handshake between preload.so and the extension.
 *
 * preload.so is loaded into every process of a run by LD_PRELOAD: it knows no Python version, hides
 * itself, carries the run into children and finds the extension built for the interpreter it is in.
 * The extension records. They share this header and nothing else; everything else about the run
 * (filters, limits, ...) stands in the trace itself, in its RUN chunk.
 *
 * The run travels from process to process in one environment variable, beside LD_PRELOAD:
 *
 *     PYREC_RUN=PARENT,HOW,CHILDREN,LOCK,MARK,PATH
 *
 * PARENT: number of the process that started this one, 0 for the first of the run (and for one
 * started by a program that is not recorded and stands between pyrec and Python). HOW: `first`
 * (exec'd by the pyrec command), `spawn` (exec'd in a child), `exec` (exec'd in place). CHILDREN:
 * `1`, or `0` if the run does not go on in children; 2 more if for this run a trace of the same
 * name was kept as PATH.old. LOCK: the inherited descriptor through which
 * pyrec holds the trace's lock until a recorder holds it, or 0. MARK: the run's, 32 hexadecimal
 * digits. PATH: the trace, absolute, to the end of the value. Both variables are taken out of the
 * environment before main() runs, LD_PRELOAD restored to what the user had.
 */
#ifndef RECORDER_INSIDE_H
#define RECORDER_INSIDE_H

#include <sys/types.h>

#define INSIDE_VERSION 1
#define INSIDE_VARIABLE "PYREC_RUN"
#define INSIDE_ENTRY "pyrec_inside_start"

enum inside_how { INSIDE_FIRST, INSIDE_SPAWN, INSIDE_EXEC };

struct inside_run {
    int version; /* INSIDE_VERSION of the caller; another: the extension refuses */
    enum inside_how how;
    unsigned parent;  /* process number */
    const char *mark; /* 32 hexadecimal digits */
    const char *path; /* absolute */
    const char
        *run_event;   /* the audit event that is the moment to start: "cpython.run_file", ... */
    const char *code; /* with run_command: the program's text (borrowed for the call) or NULL */
};

/* What the extension wants to be told; NULL: does not. All may be called in any thread; none may
 * assume the GIL. */
struct inside_hooks {
    /* This process's number in the run, for PARENT of its children. In a forked child: the
     * parent's until the child has its own. Async-signal-safe. */
    unsigned (*process_number)(void);

    /* This process is about to be replaced (never called in a vfork child); but was not. */
    void (*before_exec)(void);
    void (*exec_failed)(void);

    /* exit() or _exit() with this status; called once, before the process ends. */
    void (*on_exit)(int status);

    /* A wait call reported this child's end. */
    void (*child_ended)(pid_t pid, int wait_status);
};

/* In the extension: start recording this process; the GIL is held and nothing of the program has
 * run. 0, or -1 with a sentence in `why`: then nothing was changed and the program runs unrecorded.
 */
typedef int inside_start_function(const struct inside_run *run, struct inside_hooks *hooks,
                                  char *why, size_t why_size);

#endif
