/* preload_exec.c - exec, spawn, system and popen: what they start belongs to the run.
 *
 * libc's own exec functions call each other inside, unseen from here, so each is defined. None
 * takes memory from malloc: the caller may be a child between vfork and exec.
 */
#include <alloca.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "recorder/preload.h"
#include "recorder/preload_next.h"

/* An environment larger than this is copied into a mapping, not onto a stack that may be small. */
#define ROOM_ON_STACK 8192

/* The environment for the new program. `room` is the caller's, of room_for() bytes, or NULL: take a
 * mapping. */
struct carried_environment {
    char *const *envp;
    void *mapping; /* NULL: none */
    size_t size;
};

/* 0: the environment stays as it is. A pyrec that a recorded program starts has set up a run of its
 * own. */
static size_t room_for(const struct preload_exec *exec, char *const envp[])
{
    if (!exec->carried || preload_env_carries(envp))
        return 0;
    return preload_env_room(envp, preload_self(), &exec->run);
}

/* NULL: no memory. */
static void *map(size_t size)
{
    void *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return room != MAP_FAILED ? room : NULL;
}

/* What a child of vfork() maps stays behind in its parent. So a thread has one mapping for all its
 * children, which come one after the other, until it ends itself. */
static __thread struct {
    void *room;
    size_t size;
} left_behind __attribute__((tls_model("initial-exec")));

static void *room_left_behind(size_t size)
{
    void *room = left_behind.size < size ? map(size) : left_behind.room;

    if (room == NULL || room == left_behind.room)
        return room;
    preload_exec_forget();
    left_behind.room = room;
    left_behind.size = size;
    preload_at_thread_end();
    return room;
}

void preload_exec_forget(void)
{
    if (left_behind.room != NULL)
        munmap(left_behind.room, left_behind.size);
    left_behind.room = NULL;
    left_behind.size = 0;
}

static struct carried_environment carry(const struct preload_exec *exec, char *const envp[],
                                        void *room, size_t size)
{
    struct carried_environment out = {.envp = envp, .size = size};

    if (size == 0)
        return out;
    if (room == NULL && preload_is_vforked())
        room = room_left_behind(size);
    else if (room == NULL)
        room = out.mapping = map(size);
    if (room != NULL)
        out.envp = preload_env_build(room, envp, preload_self(), &exec->run);
    return out;
}

static void drop(const struct carried_environment *environment)
{
    int error = errno;

    if (environment->mapping != NULL)
        munmap(environment->mapping, environment->size);
    errno = error;
}

/* ---- exec ---- */

enum exec_kind { EXEC_PATH, EXEC_SEARCH, EXEC_DESCRIPTOR, EXEC_AT };

struct exec_call {
    enum exec_kind kind;
    const char *file;
    int fd;
    int flags;
    char *const *argv;
};

static int call_next(const struct exec_call *call, char *const envp[])
{
    const struct preload_next *next = preload_next();

    switch (call->kind) {
    case EXEC_PATH:
        return next->execve(call->file, call->argv, envp);
    case EXEC_SEARCH:
        return next->execvpe(call->file, call->argv, envp);
    case EXEC_DESCRIPTOR:
        return next->fexecve(call->fd, call->argv, envp);
    case EXEC_AT:
        if (next->execveat != NULL)
            return next->execveat(call->fd, call->file, call->argv, envp, call->flags);
    }
    errno = ENOSYS;
    return -1;
}

static int run_exec(const struct exec_call *call, char *const envp[])
{
    struct preload_exec exec;
    struct carried_environment environment;
    size_t size;
    void *room = NULL;

    preload_exec_begin(&exec);
    size = room_for(&exec, envp);
    if (size > 0 && size <= ROOM_ON_STACK)
        room = alloca(size);
    environment = carry(&exec, envp, room, size);
    call_next(call, environment.envp);
    drop(&environment);
    preload_exec_failed(&exec);
    return -1;
}

int execve(const char *path, char *const argv[], char *const envp[])
{
    return run_exec(&(struct exec_call){.kind = EXEC_PATH, .file = path, .argv = argv}, envp);
}

int execv(const char *path, char *const argv[])
{
    return execve(path, argv, environ);
}

int execvpe(const char *file, char *const argv[], char *const envp[])
{
    return run_exec(&(struct exec_call){.kind = EXEC_SEARCH, .file = file, .argv = argv}, envp);
}

int execvp(const char *file, char *const argv[])
{
    return execvpe(file, argv, environ);
}

int fexecve(int fd, char *const argv[], char *const envp[])
{
    return run_exec(&(struct exec_call){.kind = EXEC_DESCRIPTOR, .fd = fd, .argv = argv}, envp);
}

int execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
    struct exec_call call = {.kind = EXEC_AT, .file = path, .fd = fd, .flags = flags, .argv = argv};

    return run_exec(&call, envp);
}

/* ---- exec with its arguments in the call ---- */

static size_t count_arguments(va_list arguments)
{
    size_t count = 1;

    while (va_arg(arguments, const char *) != NULL)
        count++;
    return count;
}

/* `first` and those that follow it, up to and with the NULL. */
static char **gather(char **argv, const char *first, va_list arguments)
{
    char **at = argv;

    *at++ = (char *)first;
    do
        *at = va_arg(arguments, char *);
    while (*at++ != NULL);
    return argv;
}

#define COUNT(count, last)                                                                         \
    do {                                                                                           \
        va_list counted;                                                                           \
        va_start(counted, last);                                                                   \
        count = count_arguments(counted);                                                          \
        va_end(counted);                                                                           \
    } while (0)

int execl(const char *path, const char *first, ...)
{
    size_t count;
    char **argv;
    va_list arguments;

    COUNT(count, first);
    argv = alloca((count + 1) * sizeof *argv);
    va_start(arguments, first);
    gather(argv, first, arguments);
    va_end(arguments);
    return execv(path, argv);
}

int execlp(const char *file, const char *first, ...)
{
    size_t count;
    char **argv;
    va_list arguments;

    COUNT(count, first);
    argv = alloca((count + 1) * sizeof *argv);
    va_start(arguments, first);
    gather(argv, first, arguments);
    va_end(arguments);
    return execvp(file, argv);
}

int execle(const char *path, const char *first, ...)
{
    size_t count;
    char **argv;
    char *const *envp;
    va_list arguments;

    COUNT(count, first);
    argv = alloca((count + 1) * sizeof *argv);
    va_start(arguments, first);
    gather(argv, first, arguments);
    envp = va_arg(arguments, char *const *);
    va_end(arguments);
    return execve(path, argv, envp);
}

/* ---- spawn ---- */

struct spawn_call {
    __typeof__(posix_spawn) *spawn;
    const char *file;
    const posix_spawn_file_actions_t *actions;
    const posix_spawnattr_t *attributes;
    char *const *argv;
};

static int run_spawn(const struct spawn_call *call, pid_t *pid, char *const envp[])
{
    struct preload_exec exec;
    struct carried_environment environment;
    size_t size;
    void *room = NULL;
    int result;

    preload_exec_spawn(&exec);
    size = room_for(&exec, envp);
    if (size > 0 && size <= ROOM_ON_STACK)
        room = alloca(size);
    environment = carry(&exec, envp, room, size);
    result =
        call->spawn(pid, call->file, call->actions, call->attributes, call->argv, environment.envp);
    drop(&environment);
    return result;
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    struct spawn_call call = {preload_next()->posix_spawn, path, actions, attributes, argv};

    return run_spawn(&call, pid, envp);
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    struct spawn_call call = {preload_next()->posix_spawnp, file, actions, attributes, argv};

    return run_spawn(&call, pid, envp);
}

/* ---- system: libc's calls its own posix_spawn inside, so it is done here ---- */

/* SIGINT and SIGQUIT are the program's again when the last of the threads that are in system()
 * leaves it. */
static struct {
    pthread_mutex_t mutex;
    unsigned users;
    struct sigaction interrupt, quit;
} ignored = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void ignore_signals(posix_spawnattr_t *attributes)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t defaults;

    pthread_mutex_lock(&ignored.mutex);
    if (ignored.users++ == 0) {
        sigaction(SIGINT, &ignore, &ignored.interrupt);
        sigaction(SIGQUIT, &ignore, &ignored.quit);
    }
    sigemptyset(&defaults);
    if (ignored.interrupt.sa_handler != SIG_IGN)
        sigaddset(&defaults, SIGINT);
    if (ignored.quit.sa_handler != SIG_IGN)
        sigaddset(&defaults, SIGQUIT);
    pthread_mutex_unlock(&ignored.mutex);
    posix_spawnattr_setsigdefault(attributes, &defaults);
}

static void restore_signals(void)
{
    pthread_mutex_lock(&ignored.mutex);
    if (--ignored.users == 0) {
        sigaction(SIGINT, &ignored.interrupt, NULL);
        sigaction(SIGQUIT, &ignored.quit, NULL);
    }
    pthread_mutex_unlock(&ignored.mutex);
}

static int wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) != pid)
        if (errno != EINTR)
            return -1;
    return status;
}

/* As POSIX has it: SIGCHLD blocked, SIGINT and SIGQUIT ignored here and not in the shell, 127 if
 * there is no shell. */
static int run_shell(const char *command)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
    posix_spawnattr_t attributes;
    sigset_t blocked, before;
    int status, cancel_state;
    pid_t pid;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    posix_spawnattr_init(&attributes);
    ignore_signals(&attributes);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    posix_spawnattr_setsigmask(&attributes, &before);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

    errno = posix_spawn(&pid, "/bin/sh", NULL, &attributes, argv, environ);
    status = errno == 0 ? wait_for(pid) : W_EXITCODE(127, 0);

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    restore_signals();
    posix_spawnattr_destroy(&attributes);
    pthread_setcancelstate(cancel_state, NULL);
    return status;
}

int system(const char *command)
{
    struct preload_exec exec;

    preload_exec_spawn(&exec);
    if (command == NULL || !exec.carried)
        return preload_next()->system(command);
    return run_shell(command);
}

/* ---- popen: the pid stays inside libc, so the command itself is dressed ---- */

static char *put(char *at, const char *text)
{
    return stpcpy(at, text);
}

/* `text` as one word of the shell. */
static char *put_quoted(char *at, const char *text)
{
    *at++ = '\'';
    for (; *text != '\0'; text++)
        at = *text == '\'' ? put(at, "'\\''") : (*at = *text, at + 1);
    return put(at, "'");
}

/* NAME='VALUE' and a space */
static char *put_assignment(char *at, const char *entry)
{
    size_t name = strcspn(entry, "=") + 1;

    memcpy(at, entry, name);
    return put(put_quoted(at + name, entry + name), " ");
}

/* A shell that becomes, with the run in its environment, the shell that libc would have started. */
static char *dress(const char *command, char *const *envp)
{
    static const char start[] = "export ", middle[] = "; exec /bin/sh -c ", end[] = " sh";
    size_t size = sizeof start + sizeof middle + sizeof end + 16 + 4 * strlen(command);
    char *text, *at;

    for (char *const *entry = envp; *entry != NULL; entry++)
        size += 4 * strlen(*entry) + 4;
    text = at = malloc(size);
    if (text == NULL)
        return NULL;
    at = put(at, start);
    for (char *const *entry = envp; *entry != NULL; entry++)
        at = put_assignment(at, *entry);
    put(put_quoted(put(at, middle), command), end);
    return text;
}

/* The two variables alone, for the user's LD_PRELOAD. */
static char **both_variables(const struct preload_exec *exec)
{
    char *loader = getenv("LD_PRELOAD");
    char *own[2] = {loader == NULL ? NULL : loader - sizeof "LD_PRELOAD", NULL};
    void *room = malloc(preload_env_room(own, preload_self(), &exec->run));

    return room == NULL ? NULL : preload_env_build(room, own, preload_self(), &exec->run);
}

FILE *popen(const char *command, const char *mode)
{
    struct preload_exec exec;
    char **variables = NULL;
    char *dressed = NULL;
    FILE *stream;
    int error;

    preload_exec_spawn(&exec);
    if (exec.carried && !preload_env_carries(environ))
        variables = both_variables(&exec);
    if (variables != NULL)
        dressed = dress(command, variables);
    stream = preload_next()->popen(dressed == NULL ? command : dressed, mode);
    error = errno;
    free(dressed);
    free(variables);
    errno = error;
    return stream;
}
