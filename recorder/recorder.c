#include "recorder/recorder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "recorder/backend/backend.h"
#include "recorder/clock.h"
#include "recorder/closing.h"
#include "recorder/codes.h"
#include "recorder/events.h"
#include "recorder/cost.h"
#include "recorder/facts.h"
#include "recorder/files.h"
#include "recorder/fit.h"
#include "recorder/garbage.h"
#include "recorder/handover.h"
#include "recorder/identity.h"
#include "recorder/inside.h"
#include "recorder/pycompat.h"
#include "recorder/replaced.h"
#include "recorder/section.h"
#include "recorder/suspended.h"
#include "recorder/texts.h"
#include "recorder/thread.h"
#include "recorder/toggle.h"
#include "recorder/unseen.h"

struct recorder recorder = {.sink.fd = -1};

/* The process in the trace. */

static char *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t capacity = 0;

    *size = 0;
    while (file != NULL) {
        size_t n;
        char *grown = realloc(text, capacity + 4096);

        if (grown == NULL)
            break;
        text = grown;
        capacity += 4096;
        n = fread(text + *size, 1, capacity - *size, file);
        *size += n;
        if (*size < capacity)
            break;
    }
    if (file != NULL)
        fclose(file);
    return text;
}

static void write_process_fact(uint32_t parent, enum trace_process_how how, uint32_t code_base)
{
    char executable[4096];
    ssize_t executable_size = readlink("/proc/self/exe", executable, sizeof executable);
    const char *version = Py_GetVersion();
    size_t command_size;
    char *command = read_whole("/proc/self/cmdline", &command_size);
    struct identity identity = identity_of_self();
    struct fact fact;

    fact_init(&fact);
    fact_put_uint(&fact, parent);
    fact_put_uint(&fact, how);
    fact_put_uint(&fact, (uint64_t)getpid());
    fact_put_uint(&fact, code_base);
    fact_put_uint(&fact, clock_ticks());
    fact_put_uint(&fact, clock_read_ns(CLOCK_MONOTONIC));
    fact_put_string(&fact, executable, executable_size > 0 ? (size_t)executable_size : 0);
    fact_put_string(&fact, version, strcspn(version, " "));
    fact_put_string(&fact, recorder.cwd, recorder.cwd != NULL ? strlen(recorder.cwd) : 0);
    fact_put_string(&fact, command, command != NULL ? command_size : 0);
    fact_put_uint(&fact, identity.start);
    fact_put_uint(&fact, identity.pid_namespace);
    facts_write(TRACE_FACT_PROCESS, &fact);
    free(command);
}

static void write_end_fact(enum trace_end_how how, int status)
{
    struct fact fact;

    fact_init(&fact);
    fact_put_uint(&fact, how);
    fact_put_uint(&fact, (uint64_t)(unsigned)status);
    fact_put_uint(&fact, clock_ticks());
    fact_put_uint(&fact, clock_read_ns(CLOCK_MONOTONIC));
    facts_write_last(TRACE_FACT_END, &fact);
}

/* From where recording stopped to now nothing is known of any thread. */
static void write_gap_fact(void)
{
    struct fact fact;

    fact_init(&fact);
    fact_put_uint(&fact, 0);
    fact_put_uint(&fact, recorder.paused ? TRACE_GAP_PAUSED : sink_stop_reason(&recorder.sink));
    fact_put_uint(&fact, recorder.halted_ticks);
    fact_put_uint(&fact, clock_ticks());
    facts_write_last(TRACE_FACT_GAP, &fact);
}

/* Fork. Only this thread goes on, in a copy of our memory, with the parent's chunks still mapped:
 * it must not write to them. Nothing else is done here, because most children exec at once. */
static void before_fork(void)
{
    section_before_fork(thread_section());
    section_before_fork(facts_section());
}

static void after_fork(void)
{
    section_after_fork(facts_section());
    section_after_fork(thread_section());
}

static void after_fork_in_child(void)
{
    struct thread *t = thread_current;

    section_after_fork_in_child(facts_section());
    section_after_fork_in_child(thread_section());
    thread_forget_others();
    if (!recorder.active)
        return;
    recorder.forked = true;
    recorder.active = recorder.settings.children;
    recorder.running = recorder.running && recorder.active;
    recorder.paused = recorder.paused && recorder.active;
    recorder.only_thread = getpid();
    recorder.code_base = facts_peek_number();
    if (t != NULL && !t->is_stale) {
        t->in_child = true;
        t->at = t->end = NULL;
    }
}

void recorder_enter_child(void)
{
    uint32_t parent = recorder.process;

    if (!recorder.forked)
        return;
    recorder.forked = false;
    recorder.pid = getpid();
    recorder.is_first = false;
    recorder.process = sink_take_process(&recorder.sink);
    facts_forget();
    write_process_fact(parent, TRACE_PROCESS_FORK, recorder.code_base);
    unseen_begin();
}

void recorder_halt(void)
{
    uint64_t now = clock_ticks();

    if (atomic_exchange(&recorder.running, false))
        recorder.halted_ticks = now;
    recorder.paused = false;
}

static const struct backend *chosen(void)
{
    return recorder.settings.sample_ns != 0 ? &backend_sampler : &backend;
}

void recorder_detach(void)
{
    chosen()->suspend();
}

/* The end. */

static void write_replaced(struct thread *t, void *unused)
{
    (void)unused;
    thread_write_replaced(t);
}

/* Seals what this thread and the process have; other threads may still be running and keep theirs
 * open. All is left as a kill would leave it if a handler of a signal ends the process while this
 * thread writes what others, which must be waited for here, wait to write. */
static void finish(enum trace_end_how how, int status)
{
    struct thread *t = thread_current;

    if (!recorder.active || recorder.forked || (section_entered & SECTION_FACTS))
        return;
    if (chosen()->stop != NULL)
        chosen()->stop();
    if (t != NULL && !t->in_child)
        thread_finish(t, recorder.running || recorder.paused);
    if (!recorder.running)
        write_gap_fact();
    thread_each(write_replaced, NULL);
    unseen_end();
    write_end_fact(how, status);
    facts_seal();
}

static void on_exit_hook(int status)
{
    finish(TRACE_END_EXIT, status);
    if (recorder.is_first && recorder.pid == getpid() && recorder.active)
        closing_print();
}

static void before_exec_hook(void)
{
    finish(TRACE_END_EXEC, 0);
}

static void exec_failed_hook(void)
{
    /* The next event and the next fact begin new chunks; a later END counts. */
    if (recorder.active && !recorder.forked && chosen()->restart != NULL)
        chosen()->restart();
}

static unsigned process_number_hook(void)
{
    return recorder.process;
}

static void child_ended_hook(pid_t pid, int wait_status)
{
    struct fact fact;

    if (!recorder.active || recorder.forked)
        return;
    fact_init(&fact);
    fact_put_uint(&fact, (uint64_t)pid);
    fact_put_uint(&fact, (uint64_t)(unsigned)wait_status);
    fact_put_uint(&fact, clock_ticks());
    facts_write(TRACE_FACT_CHILD, &fact);
}

/* The beginning. */

static enum trace_process_how how_of(const struct inside_run *run)
{
    if (run->how == INSIDE_FIRST)
        return TRACE_PROCESS_FIRST;
    return run->how == INSIDE_SPAWN ? TRACE_PROCESS_SPAWN : TRACE_PROCESS_EXEC;
}

static void describe_process(void)
{
    recorder.pid = recorder.only_thread = getpid();
    recorder.cwd = getcwd(NULL, 0);
    recorder.stamp_ticks =
        (uint64_t)((double)TRACE_CPU_STAMP_NS * (double)recorder.sink.tick_rate / 1e9);
    recorder.process = sink_take_process(&recorder.sink);
    closing_prepare();
    files_init();
}

/* Takes back what begin() did, and the sink. */
static void forget(void)
{
    recorder.active = recorder.running = recorder.paused = recorder.forked = false;
    codes_forget();
    suspended_clear();
    facts_restart();
    sink_close(&recorder.sink);
    settings_free();
    free(recorder.cwd);
    recorder.cwd = NULL;
}

static void watch_forks(void)
{
    static bool watching;

    if (!watching)
        pthread_atfork(before_fork, after_fork, after_fork_in_child);
    watching = true;
}

/* Over the open sink. */
static int begin(uint32_t parent, enum trace_process_how how, char *why, size_t why_size)
{
    if (settings_read(why, why_size) < 0 || codes_init(why, why_size) < 0) {
        forget();
        return -1;
    }
    describe_process();
    recorder.active = recorder.running = true;
    write_process_fact(parent, how, 0);
    watch_forks(); /* first, to be told last: the sampler's thread, which stops before, may write */
    if (chosen()->attach(why, why_size) < 0) {
        sink_give_back_process(&recorder.sink, recorder.process);
        forget();
        return -1;
    }
    handover_attach();
    unseen_begin();
    return 0;
}

static int start(const struct inside_run *run, struct inside_hooks *hooks, char *why,
                 size_t why_size)
{
    if (run->version != INSIDE_VERSION) {
        snprintf(why, why_size, "preload.so and the recorder are of different versions of pyrec");
        return -1;
    }
    if (fit_check(why, why_size) < 0 ||
        sink_open(&recorder.sink, run->path, run->mark, why, why_size) < 0)
        return -1;
    recorder.is_first = run->how == INSIDE_FIRST;
    if (run->code != NULL)
        files_set_command("<string>", run->code, strlen(run->code));
    else if (strcmp(run->run_event, "cpython.run_stdin") == 0)
        files_set_stdin();
    if (begin(run->parent, how_of(run), why, why_size) < 0)
        return -1;
    if (toggle_attach(why, why_size) < 0) {
        recorder_stop();
        return -1;
    }
    *hooks = (struct inside_hooks){process_number_hook, before_exec_hook, exec_failed_hook,
                                   on_exit_hook, child_ended_hook};
    return 0;
}

int recorder_start(const struct inside_run *run, struct inside_hooks *hooks, char *why,
                   size_t why_size)
{
    uint64_t begun = cost_begin();
    int held = garbage_hold();
    int result = start(run, hooks, why, why_size);

    garbage_release(held);
    cost_end(COST_START, begun);
    return result;
}

/* In the middle of a program. */

/* A child of a recorded process, which is not recorded itself, has the parent's things still. */
static void forget_parent(void)
{
    if (recorder.sink.header == NULL)
        return;
    chosen()->detach();
    thread_retire_all();
    forget();
}

static void seal_at_exit(int status, void *unused)
{
    (void)unused;
    if (recorder.is_guest && recorder.pid == getpid())
        finish(TRACE_END_EXIT, status);
}

/* os._exit(), by which the children of multiprocessing end. Without preload.so nobody else tells.
 */
static struct replaced real_exit;

static PyObject *sealing_exit(PyObject *self, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    PyObject *status = count > 0 ? args[0] : NULL;

    if (status != NULL && PyLong_Check(status))
        seal_at_exit((int)PyLong_AsLong(status), NULL);
    PyErr_Clear();
    return ((_PyCFunctionFastWithKeywords)(void (*)(void))real_exit.real)(self, args, count, names);
}

static void watch_exit(void)
{
    const int flags = METH_FASTCALL | METH_KEYWORDS;
    static bool watching;
    PyObject *function = replaced_find("posix", "_exit");

    if (!watching)
        on_exit(seal_at_exit, NULL);
    watching = true;
    if (function != NULL && PyCFunction_Check(function) && PyCFunction_GET_FLAGS(function) == flags)
        replaced_put(&real_exit, function, (PyCFunction)(void (*)(void))sealing_exit);
}

int recorder_start_guest(struct sink *sink, char *why, size_t why_size)
{
    pycompat_frame *frame = pycompat_recent_frame(PyThreadState_Get());
    struct thread *t;

    forget_parent();
    recorder.sink = *sink;
    recorder.is_guest = true;
    recorder.is_first = false;
    if (fit_check(why, why_size) < 0 || begin(0, TRACE_PROCESS_FIRST, why, why_size) < 0)
        return -1;
    recorder.only_thread = (pid_t)syscall(SYS_gettid);
    watch_exit();
    t = recorder.settings.sample_ns == 0 ? events_thread(frame, false) : NULL;
    if (t != NULL)
        event_boundary(t, clock_ticks());
    return 0;
}

static void set_boundary(struct thread *t, void *now)
{
    if (!t->is_stale && !t->in_child && t->slot.bytes != NULL)
        event_boundary(t, *(const uint64_t *)now);
}

uint64_t recorder_set_boundaries(void)
{
    uint64_t now = clock_ticks();

    if (recorder.running)
        thread_each(set_boundary, &now);
    return now;
}

void recorder_stop(void)
{
    chosen()->suspend();
    recorder_set_boundaries();
    chosen()->detach();
    replaced_restore(&real_exit);
    handover_detach();
    if (!recorder.forked) {
        if (!recorder.running)
            write_gap_fact();
        thread_retire_all();
        write_end_fact(TRACE_END_STOPPED, 0);
        facts_seal();
    } else {
        thread_retire_all();
    }
    forget();
}

uint64_t recorder_pause(void)
{
    uint64_t now;

    chosen()->suspend();
    now = recorder_set_boundaries();
    recorder.running = false;
    recorder.paused = true;
    recorder.halted_ticks = now;
    suspended_clear(); /* whether a frame that comes back is the same one, nobody could tell */
    return now;
}

static pycompat_frame *frame_of(const struct thread *t)
{
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Main());

    while (state != NULL && !pthread_equal((pthread_t)state->thread_id, t->pthread))
        state = PyThreadState_Next(state);
    return state != NULL ? pycompat_recent_frame(state) : NULL;
}

/* A fork's child begins anew, with the frames of now. */
static void end_gap(struct thread *t, void *now)
{
    if (t->in_child) {
        t->is_stale = true;
        thread_lower(t, t->stack);
    } else if (!t->is_stale) {
        event_gap(t, frame_of(t), TRACE_GAP_PAUSED, *(const uint64_t *)now);
    }
}

uint64_t recorder_resume(void)
{
    uint64_t now = clock_ticks();

    recorder.running = true;
    recorder.paused = false;
    texts_hold_gil = true; /* or the frames of the other threads might go on meanwhile */
    thread_each(end_gap, &now);
    texts_hold_gil = false;
    chosen()->resume();
    return now;
}

/* What preload.so looks for (inside.h). */
__attribute__((visibility("default"))) inside_start_function pyrec_inside_start;

int pyrec_inside_start(const struct inside_run *run, struct inside_hooks *hooks, char *why,
                       size_t why_size)
{
    return recorder_start(run, hooks, why, why_size);
}
