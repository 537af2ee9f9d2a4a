#include "recorder/sampler.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "recorder/clock.h"
#include "recorder/cost.h"
#include "recorder/facts.h"
#include "recorder/pycompat.h"
#include "recorder/recorder.h"
#include "recorder/replaced.h"
#include "recorder/sampler_check.h"
#include "recorder/sampler_codes.h"
#include "recorder/sampler_memory.h"
#include "recorder/sampler_names.h"
#include "recorder/sampler_threads.h"
#include "recorder/section.h"

#define STACK_SIZE (512u << 10)

/* The shortest slice of time that the scheduler grants. */
#define SLICE_NS 100000u

static struct {
    pthread_t thread;
    int native;        /* its id */
    bool attached;     /* this process is being sampled, be it in a pause */
    bool paused;       /* ... which is now */
    bool running;      /* the thread */
    uint32_t stopping; /* futex */
    uint32_t ready;    /* futex: the thread has begun to wait for its first round */
    bool begins;       /* nothing came before: its first round is of the time from now on */
    bool resumed;      /* after a pause, which is a gap */

    struct sampler_shared shared;
    uint64_t random;
    uint64_t due, late; /* rounds */
    uint64_t cpu_ns;    /* of threads of ours that have ended */
} sampler;

/* --- Rounds --- */

static uint64_t next_random(void)
{
    sampler.random ^= sampler.random << 13;
    sampler.random ^= sampler.random >> 7;
    sampler.random ^= sampler.random << 17;
    return sampler.random;
}

/* Until `deadline`, CLOCK_MONOTONIC, as long as *word is 0. */
static void wait_for(const uint32_t *word, uint64_t deadline)
{
    struct timespec time = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};

    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 0) {
        if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &time, NULL,
                    FUTEX_BITSET_MATCH_ANY) < 0 &&
            errno != EINTR && errno != EAGAIN)
            break;
    }
}

static void tell(uint32_t *word)
{
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
}

/* Sleeps. False: it is over, be it that the deadline has passed too. */
static bool wait_until(uint64_t deadline)
{
    wait_for(&sampler.stopping, deadline);
    return __atomic_load_n(&sampler.stopping, __ATOMIC_ACQUIRE) == 0;
}

/* As in sched_setattr(2), which the C library has no name for. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* A thread that asks for short slices of time gets them sooner (Linux 6.12; before, it changes
 * nothing). Without, it may wait for the next tick of the scheduler where all processors are busy.
 */
static void ask_to_run_soon(void)
{
    struct scheduling scheduling = {0};

    if (syscall(SYS_sched_getattr, 0, &scheduling, sizeof scheduling, 0) < 0 ||
        scheduling.policy != SCHED_OTHER)
        return;
    scheduling.size = sizeof scheduling;
    scheduling.runtime = SLICE_NS;
    syscall(SYS_sched_setattr, 0, &scheduling, 0);
}

/* No signal of the program's comes here, no file it opens or closes is ours. */
static void leave_alone(void)
{
    int keep = recorder.sink.fd;

    prctl(PR_SET_NAME, "pyrec");
    prctl(PR_SET_TIMERSLACK, 1000);
    ask_to_run_soon();
    if (keep > 0 && syscall(SYS_close_range, 0, keep - 1, 2 /* CLOSE_RANGE_UNSHARE */) == 0) {
        syscall(SYS_close_range, keep + 1, ~0u, 0);
        sink_unshare(&recorder.sink);
        sampler.shared.tasks_fd = open("/proc/self/task", O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    if (!sampler_memory_open())
        recorder_halt();
}

static void note_gap(void)
{
    uint64_t now = clock_ticks();

    sampler_threads_pause(&sampler.shared, now);
    sampler.shared.previous = now;
}

/* It is over. Rounds that were due by now and did not come are counted, not made up for: whatever
 * stopped us, the end of the program as a rule, would be all that they see, each time. */
static void count_missing(uint64_t base, uint64_t deadline, uint64_t period)
{
    uint64_t now = clock_read_ns(CLOCK_MONOTONIC);
    uint64_t missing = now < base + period ? now >= deadline : (now - base) / period;

    sampler.due += missing;
    sampler.late += missing;
}

/* Each period has one round, at a random moment of it: nothing that the program does at regular
 * intervals can hide. A round that is late stands for the time since the last one. */
static void *run(void *unused)
{
    uint64_t period = recorder.settings.sample_ns;
    uint64_t base, now;

    (void)unused;
    sampler.native = (int)syscall(SYS_gettid);
    leave_alone();
    if (sampler.resumed)
        note_gap();
    if (sampler.begins)
        sampler_threads_begin(&sampler.shared);
    sampler.begins = sampler.resumed = false;
    base = clock_read_ns(CLOCK_MONOTONIC);
    tell(&sampler.ready);
    while (recorder.running) {
        uint64_t deadline = base + next_random() % period;

        if (!wait_until(deadline)) {
            count_missing(base, deadline, period);
            break;
        }
        now = clock_read_ns(CLOCK_MONOTONIC);
        base += period;
        sampler.due++;
        sampler.late += now - deadline >= period;
        sampler_threads_look(&sampler.shared);
        if (sampler_memory_is_forbidden())
            recorder_halt();
        now = clock_read_ns(CLOCK_MONOTONIC);
        if (now > base + period) { /* periods that have passed are lost, and counted */
            uint64_t lost = (now - base) / period;

            sampler.due += lost;
            sampler.late += lost;
            base += lost * period;
        }
    }
    sampler_memory_close();
    sampler.cpu_ns += clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
    return unused;
}

/* --- Start and stop --- */

/* In it the thread is started and stopped. */
static struct section gate = SECTION_OF(SECTION_SAMPLER);
static unsigned holds; /* why there must be no thread of ours just now, all threads' together */
static _Thread_local unsigned own_holds;

static int start_thread(void)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int failure;

    sampler.stopping = sampler.ready = 0;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&sampler.thread, &attributes, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    sampler.running = failure == 0;
    return failure;
}

/* Where all processors are busy it may be long until a new thread gets one. What the program does
 * until then nobody sees, and a short program could be over: so it begins when both can. */
static void wait_until_ready(void)
{
    const uint64_t patience = 5000000000u;

    if (sampler.running)
        wait_for(&sampler.ready, clock_read_ns(CLOCK_MONOTONIC) + patience);
}

/* If there should be a thread, and is none. */
static void go_on(void)
{
    bool wanted = sampler.attached && !sampler.paused && recorder.running && holds == 0;

    if (wanted && !sampler.running && start_thread() != 0)
        recorder_halt();
}

/* Its files are gone with it. */
static void forget_files(void)
{
    sampler.shared.tasks_fd = -1;
    sampler_threads_forget_files();
}

/* pthread_join() comes back before the kernel has forgotten the thread; who counts threads would
 * see it. Where all processors are busy that takes as long as everything does. */
static void wait_for_kernel(void)
{
    const struct timespec pause = {0, 50000};

    for (int i = 0; i < 400000 && syscall(SYS_tgkill, getpid(), sampler.native, 0) == 0; i++)
        nanosleep(i < 20 ? &(struct timespec){0, 1000} : &pause, NULL);
}

/* Waits up to `patience` seconds, 0: as long as it takes. False: it has not ended. */
static bool stop_thread(time_t patience)
{
    struct timespec until;

    if (!sampler.running)
        return true;
    tell(&sampler.stopping);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += patience;
    if (patience == 0)
        pthread_join(sampler.thread, NULL);
    else if (pthread_timedjoin_np(sampler.thread, NULL, &until) != 0)
        return false;
    wait_for_kernel();
    sampler.running = false;
    forget_files();
    return true;
}

/* Until release() there is no thread of ours, as far as anybody can tell. */
static void hold(void)
{
    if (!section_enter(&gate))
        return;
    own_holds++;
    holds++;
    stop_thread(0);
    section_leave(&gate);
}

static void release(void)
{
    if (!section_enter(&gate))
        return;
    own_holds--;
    holds--;
    go_on();
    section_leave(&gate);
}

/* What has been counted since the last one, if anything. */
static void write_sampler_fact(void)
{
    struct fact fact;

    if (sampler.due == 0)
        return;
    fact_init(&fact);
    fact_put_uint(&fact, recorder.settings.sample_ns);
    fact_put_uint(&fact, sampler.due);
    fact_put_uint(&fact, sampler.late);
    fact_put_uint(&fact, sampler.shared.taken);
    fact_put_uint(&fact, sampler.shared.missed);
    fact_put_uint(&fact, sampler.cpu_ns);
    facts_write_last(TRACE_FACT_SAMPLER, &fact);
    cost_add(COST_SAMPLING, sampler.cpu_ns, sampler.shared.taken);
}

static void forget_counts(void)
{
    sampler.due = sampler.late = sampler.cpu_ns = 0;
    sampler.shared.taken = sampler.shared.missed = 0;
}

static void stop(time_t patience)
{
    if (!section_enter(&gate))
        return;
    if (sampler.attached && stop_thread(patience)) {
        sampler.attached = false;
        sampler_threads_seal(&sampler.shared);
        write_sampler_fact();
        forget_counts();
    }
    section_leave(&gate);
}

/* A handler of a signal that ends the process may have interrupted its thread in malloc(), for
 * which ours waits then. */
void sampler_stop(void)
{
    const time_t seconds = 5;

    stop(seconds);
}

void sampler_restart(void)
{
    if (!section_enter(&gate))
        return;
    sampler.attached = recorder.active && sampler.shared.raw != NULL;
    go_on();
    section_leave(&gate);
}

void sampler_detach(void)
{
    stop(0);
    sampler_threads_forget(&sampler.shared, false);
    sampler_shared_fini(&sampler.shared);
}

void sampler_suspend(void)
{
    if (!section_enter(&gate))
        return;
    sampler.paused = true;
    stop_thread(0);
    section_leave(&gate);
}

void sampler_resume(void)
{
    if (!section_enter(&gate))
        return;
    if (sampler.paused)
        sampler.resumed = true;
    sampler.paused = false;
    go_on();
    section_leave(&gate);
}

/* --- Fork --- */

/* In the child there is nobody but this thread, whose release() for what hold() did before the fork
 * is this. */
static void after_fork_in_child(void)
{
    section_after_fork_in_child(&gate);
    holds = own_holds > 0 ? --own_holds : 0;
    if (!sampler.attached)
        return;
    sampler.running = false;
    sampler.attached = recorder.settings.children;
    sampler_threads_forget(&sampler.shared, true);
    sampler_names_after_fork();
    forget_counts();
}

/* The interpreter is ready to go on in a child; where os.fork() made it, that will be over soon. */
static void enter_child(void)
{
    if (!sampler.attached || !recorder.forked || !recorder.active || !section_enter(&gate))
        return;
    recorder_enter_child();
    sampler.begins = true;
    go_on();
    wait_until_ready();
    section_leave(&gate);
}

static PyObject *python_after(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    enter_child();
    Py_RETURN_NONE;
}

static PyMethodDef after_method = {"after", python_after, METH_NOARGS, NULL};

static bool register_at_fork(void)
{
    PyObject *function = replaced_find("posix", "register_at_fork");
    PyObject *nothing = PyTuple_New(0), *keywords = NULL, *result = NULL;
    PyObject *after = PyCFunction_New(&after_method, NULL);

    if (after != NULL)
        PyObject_GC_UnTrack(after); /* nobody finds it there */
    if (function != NULL && nothing != NULL && after != NULL)
        keywords = Py_BuildValue("{sO}", "after_in_child", after);
    if (keywords != NULL)
        result = PyObject_Call(function, nothing, keywords);
    Py_XDECREF(nothing);
    Py_XDECREF(keywords);
    Py_XDECREF(after);
    Py_XDECREF(result);
    PyErr_Clear();
    return result != NULL;
}

/* os.fork() and os.forkpty() count threads when they have forked, and warn if there are several:
 * in 3.12 before they run what is registered for after a fork, in 3.13 behind that. */
static struct replaced real_fork, real_forkpty;

static PyObject *alone(const struct replaced *replaced, PyObject *self, PyObject *unused)
{
    PyObject *result;

    hold();
    result = replaced->real(self, unused);
    enter_child(); /* where nothing was registered: in a subinterpreter */
    release();
    return result;
}

static PyObject *fork_alone(PyObject *self, PyObject *unused)
{
    return alone(&real_fork, self, unused);
}

static PyObject *forkpty_alone(PyObject *self, PyObject *unused)
{
    return alone(&real_forkpty, self, unused);
}

static bool replace(struct replaced *replaced, const char *name, PyCFunction ours)
{
    PyObject *function = replaced_find("posix", name);

    return function == NULL || !PyCFunction_Check(function) ||
           PyCFunction_GET_FLAGS(function) != METH_NOARGS || replaced_put(replaced, function, ours);
}

static bool watch_forks(void)
{
    static bool watching;

    if (!watching && register_at_fork() && replace(&real_fork, "fork", fork_alone) &&
        replace(&real_forkpty, "forkpty", forkpty_alone) &&
        pthread_atfork(hold, release, after_fork_in_child) == 0)
        watching = true;
    return watching;
}

/* --- Beginning --- */

static int prepare(char *why, size_t why_size)
{
    struct sampler_shared *shared = &sampler.shared;

    if (sampler_memory_init(why, why_size) < 0 || layout_init(why, why_size) < 0 ||
        sampler_check(why, why_size) < 0 || sampler_codes_init(why, why_size) < 0)
        return -1;
    shared->max_depth = recorder.settings.max_depth;
    shared->raw = calloc(shared->max_depth, sizeof *shared->raw);
    if (shared->raw == NULL || !watch_forks()) {
        snprintf(why, why_size, "out of memory");
        return -1;
    }
    sampler_names_init();
    return 0;
}

int sampler_attach(char *why, size_t why_size)
{
    int failure;

    sampler.shared = (struct sampler_shared){.tasks_fd = -1};
    sampler.paused = sampler.resumed = false;
    forget_counts();
    failure = prepare(why, why_size);
    sampler_memory_close(); /* the thread has its own */
    if (failure < 0)
        return -1;
    sampler.random = clock_ticks() | 1;
    sampler.begins = true;
    failure = section_enter(&gate) ? 0 : EDEADLK;
    if (failure == 0) {
        failure = holds == 0 ? start_thread() : 0;
        wait_until_ready();
        sampler.attached = failure == 0;
        section_leave(&gate);
    }
    if (failure == 0)
        return 0;
    sampler_shared_fini(&sampler.shared);
    snprintf(why, why_size, "no thread for the sampler: %s", strerror(failure));
    return -1;
}
