/* preload_env.h - a run as two variables in an environment: taken out of one's own, put into a
 * child's.
 *
 * Works on arrays of strings and memory the caller gives; allocates nothing, because a child
 * between vfork and exec may not.
 */
#ifndef RECORDER_PRELOAD_ENV_H
#define RECORDER_PRELOAD_ENV_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "recorder/inside.h"

#pragma GCC visibility push(hidden)

/* What INSIDE_VARIABLE says; inside.h has the fields. */
struct preload_run {
    unsigned parent;
    enum inside_how how;
    bool children;
    bool displaced; /* a trace of the same name was kept as PATH.old for this run */
    int lock;       /* -1: none */
    char mark[33];
    char path[PATH_MAX];
};

/* Parses the variable's value. False: it is not one. */
bool preload_env_parse(const char *value, struct preload_run *run);

/* Takes both variables out of `envp`, in place: INSIDE_VARIABLE altogether, `self` from the front
 * of LD_PRELOAD. False: this process belongs to no run (then LD_PRELOAD stays as it is). */
bool preload_env_take(char **envp, const char *self, struct preload_run *run);

/* Does this environment carry a run already? (A pyrec that was started inside a run sets up its
 * own.) */
bool preload_env_carries(char *const *envp);

/* How many bytes preload_env_build() needs for this environment. */
size_t preload_env_room(char *const *envp, const char *self, const struct preload_run *run);

/* `envp` plus the two variables, in `room`: LD_PRELOAD at its old place with `self` in front, or
 * else at the end. */
char **preload_env_build(void *room, char *const *envp, const char *self,
                         const struct preload_run *run);

#pragma GCC visibility pop

#endif
