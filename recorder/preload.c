/* preload.c - enters every process of a run, hides, and knows the process's place in the run. */
#include "recorder/preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "formats/trace/trace.h"
#include "recorder/preload_next.h"

static struct {
    bool in_run;
    bool is_python;
    struct preload_run run;
    pid_t pid;
    bool is_fork;            /* a child made by fork, not by exec */
    unsigned number_at_fork; /* ... whose process number was this: its parent's */
    struct inside_hooks hooks;
    atomic_bool is_recording; /* `hooks` counts */
    atomic_bool has_ended;
    pthread_key_t thread_key; /* to be told when threads end */
    bool has_thread_key;
} process;

static const char *self_path;

const char *preload_self(void)
{
    return self_path;
}

/* ---- messages ---- */

static size_t cut(int printed, size_t size)
{
    return printed < 0 ? 0 : (size_t)printed < size ? (size_t)printed : size - 1;
}

void preload_say(const char *format, ...)
{
    char line[2048] = "pyrec: ";
    size_t start = strlen(line);
    size_t size;
    va_list arguments;

    va_start(arguments, format);
    size = start + cut(vsnprintf(line + start, sizeof line - start, format, arguments),
                       sizeof line - start);
    va_end(arguments);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == '\x7f')
            line[i] = '?';
    line[size++] = '\n';
    if (write(STDERR_FILENO, line, size) < 0)
        return; /* nobody to tell */
}

static unsigned read_le32(const unsigned char *at)
{
    return at[0] | (unsigned)at[1] << 8 | (unsigned)at[2] << 16 | (unsigned)at[3] << 24;
}

/* How many processes are in the trace; -1: it is not the trace of this run. */
static int count_recorded(void)
{
    unsigned char header[TRACE_HEADER_NEXT_PROCESS + 4];
    char mark[2 * TRACE_MARK_SIZE + 1];
    int fd = open(process.run.path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : pread(fd, header, sizeof header, 0);

    if (fd >= 0)
        close(fd);
    if (size != (ssize_t)sizeof header)
        return -1;
    for (int i = 0; i < TRACE_MARK_SIZE; i++)
        snprintf(mark + 2 * i, 3, "%02x", header[TRACE_HEADER_MARK + i]);
    if (strcmp(mark, process.run.mark) != 0)
        return -1;
    return (int)read_le32(header + TRACE_HEADER_NEXT_PROCESS) - 1;
}

/* As if this run had never been. */
static void take_back(void)
{
    char kept[sizeof process.run.path + sizeof ".old"];

    snprintf(kept, sizeof kept, "%s.old", process.run.path);
    if (process.run.displaced)
        rename(kept, process.run.path);
    else
        unlink(process.run.path);
}

void preload_refuse(const char *why)
{
    preload_say("%s", why);
    if (count_recorded() == 0)
        take_back();
    preload_next()->_exit(125);
    abort();
}

/* pyrec became something that is no Python (and was not on its way to one): the user must not wait
 * for results. */
static void tell_if_nothing_was_recorded(void)
{
    char program[PATH_MAX];
    ssize_t size;

    if (!process.in_run || process.is_python || process.run.how != INSIDE_FIRST ||
        process.is_fork || getpid() != process.pid || count_recorded() != 0)
        return;
    size = readlink("/proc/self/exe", program, sizeof program - 1);
    program[size < 0 ? 0 : size] = '\0';
    preload_say("nothing was recorded: %s is not a CPython that can be entered", program);
}

/* ---- the end ---- */

const struct inside_hooks *preload_hooks(void)
{
    if (!atomic_load_explicit(&process.is_recording, memory_order_acquire) ||
        getpid() != process.pid)
        return NULL;
    return &process.hooks;
}

void preload_ending(int status)
{
    const struct inside_hooks *hooks = preload_hooks();
    int error = errno;

    if (hooks == NULL)
        tell_if_nothing_was_recorded();
    else if (hooks->on_exit != NULL && !atomic_exchange(&process.has_ended, true))
        hooks->on_exit(status);
    errno = error;
}

static void ended_by_exit(int status, void *unused)
{
    (void)unused;
    preload_ending(status);
}

/* ---- the place in the run ---- */

static unsigned process_number(void)
{
    if (!atomic_load_explicit(&process.is_recording, memory_order_acquire) ||
        process.hooks.process_number == NULL)
        return process.run.parent;
    return process.hooks.process_number();
}

/* Runs in every forked child before the extension's handler, which may give the child a number. */
static void forked(void)
{
    process.pid = getpid();
    process.is_fork = true;
    process.number_at_fork = process_number();
    atomic_store(&process.has_ended, false);
}

/* Is this the process that was entered, or a forked one with a number? Else it is a child of that,
 * on its way to exec. */
static bool is_itself(unsigned number)
{
    bool is_numbered = process.run.children && number != process.number_at_fork;

    return getpid() == process.pid && (!process.is_fork || is_numbered);
}

static void describe(struct preload_exec *exec, bool in_child)
{
    unsigned number = process_number();
    bool is_recording = atomic_load(&process.is_recording);
    bool is_first = !in_child && !is_recording && process.run.how == INSIDE_FIRST;

    exec->run = process.run;
    exec->run.parent = number;
    exec->run.how = in_child ? INSIDE_SPAWN : is_recording ? INSIDE_EXEC : process.run.how;
    exec->run.lock = is_first ? process.run.lock : -1;
    exec->carried = exec->run.how != INSIDE_SPAWN || process.run.children;
    exec->replaces = !in_child && is_recording;
}

static void keep_lock(const struct preload_exec *exec, int descriptor_flags)
{
    if (exec->carried && exec->run.lock >= 0)
        fcntl(exec->run.lock, F_SETFD, descriptor_flags);
}

void preload_exec_begin(struct preload_exec *exec)
{
    int error = errno;

    exec->carried = exec->replaces = false;
    if (!process.in_run)
        return;
    describe(exec, !is_itself(process_number()));
    keep_lock(exec, 0);
    if (exec->replaces && process.hooks.before_exec != NULL)
        process.hooks.before_exec();
    errno = error;
}

void preload_exec_failed(const struct preload_exec *exec)
{
    int error = errno;

    keep_lock(exec, FD_CLOEXEC);
    if (exec->replaces && process.hooks.exec_failed != NULL)
        process.hooks.exec_failed();
    errno = error;
}

void preload_exec_spawn(struct preload_exec *exec)
{
    exec->carried = exec->replaces = false;
    if (process.in_run)
        describe(exec, true);
}

bool preload_is_vforked(void)
{
    return getpid() != process.pid;
}

/* ---- the end of threads ---- */

static void thread_ended(void *unused)
{
    (void)unused;
    preload_exec_forget();
}

void preload_at_thread_end(void)
{
    if (process.has_thread_key)
        pthread_setspecific(process.thread_key, &process);
}

/* ---- entering ---- */

void preload_recording(const struct inside_hooks *hooks)
{
    process.hooks = *hooks;
    atomic_store_explicit(&process.is_recording, true, memory_order_release);
    if (process.run.lock >= 0)
        close(process.run.lock);
    process.run.lock = -1;
}

/* on_exit() here comes before everything the program registers, so its function runs after all of
 * theirs. */
static void __attribute__((constructor)) enter(void)
{
    Dl_info info;

    preload_next();
    if (getauxval(AT_SECURE) || dladdr(&self_path, &info) == 0 || info.dli_fname == NULL)
        return;
    self_path = info.dli_fname;
    if (!preload_env_take(environ, self_path, &process.run))
        return;
    process.in_run = true;
    process.pid = getpid();
    if (process.run.lock >= 0)
        fcntl(process.run.lock, F_SETFD, FD_CLOEXEC);
    pthread_atfork(NULL, NULL, forked);
    process.has_thread_key = pthread_key_create(&process.thread_key, thread_ended) == 0;
    process.is_python = preload_python_enter(&process.run);
    if (process.is_python || process.run.how == INSIDE_FIRST)
        on_exit(ended_by_exit, NULL);
}
