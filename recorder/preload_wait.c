/* preload_wait.c - how this process and its children end: _exit and the wait family. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>

#include "recorder/preload.h"
#include "recorder/preload_next.h"

void _exit(int status)
{
    preload_ending(status);
    preload_next()->_exit(status);
    __builtin_unreachable();
}

void _Exit(int status)
{
    _exit(status);
}

void quick_exit(int status)
{
    preload_ending(status);
    preload_next()->quick_exit(status);
    __builtin_unreachable();
}

static void tell(pid_t pid, int wait_status)
{
    const struct inside_hooks *hooks;
    int error = errno;

    if (pid <= 0 || !(WIFEXITED(wait_status) || WIFSIGNALED(wait_status)))
        return;
    hooks = preload_hooks();
    if (hooks != NULL && hooks->child_ended != NULL)
        hooks->child_ended(pid, wait_status);
    errno = error;
}

pid_t wait(int *status)
{
    int own = 0;
    pid_t pid = preload_next()->wait(status == NULL ? &own : status);

    tell(pid, status == NULL || pid <= 0 ? own : *status);
    return pid;
}

pid_t waitpid(pid_t which, int *status, int options)
{
    int own = 0;
    pid_t pid = preload_next()->waitpid(which, status == NULL ? &own : status, options);

    tell(pid, status == NULL || pid <= 0 ? own : *status);
    return pid;
}

pid_t wait3(int *status, int options, struct rusage *usage)
{
    int own = 0;
    pid_t pid = preload_next()->wait3(status == NULL ? &own : status, options, usage);

    tell(pid, status == NULL || pid <= 0 ? own : *status);
    return pid;
}

pid_t wait4(pid_t which, int *status, int options, struct rusage *usage)
{
    int own = 0;
    pid_t pid = preload_next()->wait4(which, status == NULL ? &own : status, options, usage);

    tell(pid, status == NULL || pid <= 0 ? own : *status);
    return pid;
}

/* The status wait(2) would have given; 0x7f, which is no end, for a child that stopped or
 * continued. */
static int wait_status_of(const siginfo_t *info)
{
    switch (info->si_code) {
    case CLD_EXITED:
        return (info->si_status & 0xff) << 8;
    case CLD_KILLED:
        return info->si_status & 0x7f;
    case CLD_DUMPED:
        return (info->si_status & 0x7f) | 0x80;
    default:
        return 0x7f;
    }
}

/* With WNOHANG and no child ready, only si_pid tells. */
int waitid(idtype_t type, id_t which, siginfo_t *info, int options)
{
    siginfo_t own = {0};
    int result;

    if (info == NULL)
        info = &own;
    result = preload_next()->waitid(type, which, info, options);
    if (result == 0 && (options & WEXITED) && !(options & WNOWAIT) && info->si_pid > 0)
        tell(info->si_pid, wait_status_of(info));
    return result;
}
