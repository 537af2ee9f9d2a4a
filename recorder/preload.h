/* preload.h - what the parts of preload.so know of the process they are in.
 *
 * preload.c       the process: entering and leaving it, its place in the run
 * preload_env     the run in environments
 * preload_python  is this a Python; the moment to start; the extension
 * preload_exec    exec, spawn, system, popen: the run goes on in what they start
 * preload_wait    _exit and wait: how processes ended
 * preload_next    the real functions behind those that preload.so defines
 *
 * All of it runs in processes that are somebody else's: nothing prints except in the first process
 * of a run that cannot be recorded, errno is kept, and what may be called in a signal handler or
 * between vfork and exec stays so.
 */
#ifndef RECORDER_PRELOAD_H
#define RECORDER_PRELOAD_H

#include <stdbool.h>
#include <sys/types.h>

#include "recorder/inside.h"
#include "recorder/preload_env.h"

#pragma GCC visibility push(hidden)

/* The path preload.so was loaded by; the extensions' folders are beside it. */
const char *preload_self(void);

/* ---- the process (preload.c) ---- */

/* From now on the extension's hooks are told what happens. `lock` of the run is let go. */
void preload_recording(const struct inside_hooks *hooks);

/* The hooks to tell something about this process, or NULL: it is not recorded, or this is a vfork
 * child. */
const struct inside_hooks *preload_hooks(void);

/* This process ends now with `status`: tells the extension, once. */
void preload_ending(int status);

/* What an exec about to happen here means. */
struct preload_exec {
    struct preload_run run; /* what the new program is told, if `carried` */
    bool carried;           /* the run goes on in it */
    bool replaces;          /* it takes the place of a recorded process */
};

/* ... of this process; preload_exec_failed() must follow if it did not happen. */
void preload_exec_begin(struct preload_exec *exec);
void preload_exec_failed(const struct preload_exec *exec);

/* ... in a child that is about to be made (posix_spawn and the like). */
void preload_exec_spawn(struct preload_exec *exec);

/* Is this a child of vfork(), in the memory of its parent? */
bool preload_is_vforked(void);

/* When the calling thread ends, what preload_exec keeps for it is given back. */
void preload_at_thread_end(void);
void preload_exec_forget(void);

/* One line on standard error; unprintable bytes are shown as `?`. */
void preload_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* In the first process of a run, before anything of the program ran: says why, takes back the
 * trace, ends with 125. */
void preload_refuse(const char *why) __attribute__((noreturn));

/* ---- Python (preload_python.c) ---- */

/* If this is a Python, makes ready for the moment its program starts. False: it is none. */
bool preload_python_enter(const struct preload_run *run);

#pragma GCC visibility pop

#endif
