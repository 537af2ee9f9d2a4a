/* preload_next.h - the definitions that come next in the process's search order: libc's, or those
 * of another preloaded library. Found once, when preload.so is entered, because dlsym() may not be
 * called everywhere these functions may.
 */
#ifndef RECORDER_PRELOAD_NEXT_H
#define RECORDER_PRELOAD_NEXT_H

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off */
#define PRELOAD_NEXT_MAP(X) \
    X(execve) \
    X(execvpe) \
    X(fexecve) \
    X(execveat) \
    X(posix_spawn) \
    X(posix_spawnp) \
    X(system) \
    X(popen) \
    X(_exit) \
    X(quick_exit) \
    X(wait) \
    X(wait3) \
    X(wait4) \
    X(waitid) \
    X(waitpid)
/* clang-format on */

#pragma GCC visibility push(hidden)

struct preload_next {
#define X(name) __typeof__(name) *name;
    PRELOAD_NEXT_MAP(X)
#undef X
};

/* All of them, found if they were not yet. One that this libc does not have is NULL. */
const struct preload_next *preload_next(void);

#pragma GCC visibility pop

#endif
