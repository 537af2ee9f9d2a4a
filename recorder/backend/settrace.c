/* The backend for CPython to 3.11: the C-level trace function of each thread, and for --c-calls its
 * profile function.
 *
 * The program may trace itself. c_traceobj stays the program's, so sys.gettrace() is; we put our
 * function into c_tracefunc alone and forward to the program's. To keep that so, the C function
 * behind the existing sys.settrace object is replaced by one that runs the original and then puts
 * ours back in front; so is _thread.start_new_thread, which makes every thread, to arm the new
 * thread before it runs. */
#include "recorder/pycompat.h"

#ifdef PYCOMPAT_SETTRACE

#include <stdio.h>
#include <string.h>

#include "recorder/backend/backend.h"
#include "recorder/callables.h"
#include "recorder/events.h"
#include "recorder/recorder.h"
#include "recorder/replaced.h"
#include "recorder/unseen.h"

static int trace(PyObject *object, PyFrameObject *frame, int what, PyObject *argument);

static int profile(PyObject *object, PyFrameObject *frame, int what, PyObject *argument);

/* Arming. */

/* Our functions in front of whatever the thread has. */
static void arm(PyThreadState *state)
{
    if (state->c_tracefunc != trace)
        pycompat_set_tracefunc(state, trace);
    if (recorder.settings.c_calls && state->c_profilefunc != profile)
        pycompat_set_profilefunc(state, profile);
}

/* The program's functions, if any, alone. */
static void disarm(PyThreadState *state, const struct thread *t)
{
    if (state->c_tracefunc == trace)
        pycompat_set_tracefunc(state, t != NULL ? (Py_tracefunc)t->user_trace : NULL);
    if (state->c_profilefunc == profile)
        pycompat_set_profilefunc(state, t != NULL ? (Py_tracefunc)t->user_profile : NULL);
}

/* The program, or its tracer, may have changed the thread's functions: what is there now is the
 * program's, and ours go in front again. */
static void adopt(PyThreadState *state, struct thread *t)
{
    if (state->c_tracefunc != trace)
        t->user_trace = (void *)state->c_tracefunc;
    if (recorder.settings.c_calls && state->c_profilefunc != profile)
        t->user_profile = (void *)state->c_profilefunc;
    arm(state);
}

/* In front of what the thread has, if that can be kept somewhere. */
static void arm_state(PyThreadState *state)
{
    struct thread *t = thread_find((pthread_t)state->thread_id);

    if (t != NULL)
        adopt(state, t);
    else if (state->c_tracefunc == NULL)
        arm(state);
}

static void each_state(void (*visit)(PyThreadState *state))
{
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Main());

    for (; state != NULL; state = PyThreadState_Next(state))
        visit(state);
}

static void arm_wanted(PyThreadState *state)
{
    if (recorder.settings.threads || state == PyThreadState_Get())
        arm_state(state);
}

static void resume(void)
{
    each_state(arm_wanted);
}

static void disarm_state(PyThreadState *state)
{
    disarm(state, thread_find((pthread_t)state->thread_id));
}

static void suspend(void)
{
    each_state(disarm_state);
}

/* Events. */

/* Also what a generator sends when it goes on. */
static inline void enter(struct thread *t, pycompat_frame *frame, const struct code_info *code)
{
    if (code->generator && !pycompat_frame_is_fresh(frame))
        event_resume(t, frame, code);
    else
        event_call(t, frame, code);
}

/* Also what a generator sends when it yields. */
static inline void leave(struct thread *t, pycompat_frame *frame)
{
    if (t->top->generator && pycompat_frame_is_suspended(frame))
        event_yield(t);
    else
        event_return(t);
}

static void on_call(pycompat_frame *frame)
{
    const struct code_info *code = codes_info(pycompat_frame_code(frame), frame);
    struct thread *t;

    if (!code->wanted)
        return;
    t = events_thread(frame, true);
    if (t == NULL)
        return;
    events_align_caller(t, frame);
    enter(t, frame, code);
}

/* Makes `frame` the top of the thread's stack. NULL if it is not recorded. */
EVENTS_SLOW static struct thread *align(pycompat_frame *frame)
{
    struct thread *t;

    if (!codes_info(pycompat_frame_code(frame), frame)->wanted)
        return NULL;
    t = events_thread(frame, false);
    if (t != NULL)
        events_align(t, frame);
    return t;
}

/* Is it there already, as it nearly always is? */
static inline bool is_aligned(const struct thread *t, const pycompat_frame *frame)
{
    return EVENTS_LIKELY(t != NULL && t->top->frame == frame);
}

static inline struct thread *thread_at(pycompat_frame *frame)
{
    struct thread *t = thread_current;

    return is_aligned(t, frame) ? t : align(frame);
}

static void on_return(pycompat_frame *frame, const PyObject *value)
{
    struct thread *t = thread_at(frame);

    if (t == NULL)
        return;
    if (value == NULL)
        event_unwind(t);
    else
        leave(t, frame);
}

static void on_exception(pycompat_frame *frame, PyObject *argument)
{
    struct thread *t = thread_at(frame);

    if (t != NULL)
        event_raise(t, PyTuple_Check(argument) && PyTuple_GET_SIZE(argument) > 0
                           ? PyTuple_GET_ITEM(argument, 0)
                           : NULL);
}

static void on_line(PyFrameObject *object, pycompat_frame *frame)
{
    struct thread *t = thread_at(frame);

    if (t != NULL)
        event_line(t, object->f_lineno);
}

static void record(PyFrameObject *object, int what, PyObject *argument)
{
    pycompat_frame *frame = pycompat_frame_of(object);

    if (what == PyTrace_CALL)
        on_call(frame);
    else if (what == PyTrace_RETURN)
        on_return(frame, argument);
    else if (what == PyTrace_LINE)
        on_line(object, frame);
    else if (what == PyTrace_EXCEPTION)
        on_exception(frame, argument);
}

/* The program's own tracer or profiler: it sees what it would see without us. It may put another in
 * its place, or itself off. */
static int forward(struct thread *t, void *function, PyObject *object, PyFrameObject *frame,
                   int what, PyObject *argument)
{
    PyThreadState *state = PyThreadState_Get();
    int result = ((Py_tracefunc)function)(object, frame, what, argument);

    adopt(state, t);
    return result;
}

__attribute__((noinline)) static int trace_any(PyObject *object, PyFrameObject *frame, int what,
                                               PyObject *argument)
{
    struct thread *t;

    record(frame, what, argument);
    t = thread_current;
    if (EVENTS_UNLIKELY(t != NULL && t->user_trace != NULL))
        return forward(t, t->user_trace, object, frame, what, argument);
    if (EVENTS_UNLIKELY(!recorder.running))
        disarm(PyThreadState_Get(), t);
    return 0;
}

/* Can a frame be pushed as it is, as nearly always? Its code is known and its caller on top. */
static inline bool is_ready(const struct thread *t, const pycompat_frame *frame,
                            const struct code_info *code)
{
    return EVENTS_LIKELY(code != NULL && t != NULL && code->wanted && t->top != t->stack &&
                         pycompat_frame_is_called_by(frame, t->top->frame));
}

/* What nearly every event is; all others are left to trace_any(), for which `t` is not read. */
static inline bool trace_common(struct thread *t, PyFrameObject *object, int what,
                                const PyObject *argument)
{
    pycompat_frame *frame = pycompat_frame_of(object);
    const struct code_info *code;

    if (what == PyTrace_LINE && is_aligned(t, frame) && t->user_trace == NULL) {
        event_line(t, object->f_lineno);
    } else if (what == PyTrace_RETURN && is_aligned(t, frame) && t->user_trace == NULL &&
               argument != NULL) {
        leave(t, frame);
    } else if (what == PyTrace_CALL) {
        code = codes_extra_get(pycompat_frame_code(frame));
        if (!is_ready(t, frame, code) || t->user_trace != NULL)
            return false;
        enter(t, frame, code);
    } else {
        return false;
    }
    return true;
}

static int trace(PyObject *object, PyFrameObject *frame, int what, PyObject *argument)
{
    if (EVENTS_LIKELY(trace_common(thread_current, frame, what, argument)))
        return 0;
    return trace_any(object, frame, what, argument);
}

static void record_c(pycompat_frame *frame, int what, PyObject *callable)
{
    struct thread *t;
    uint32_t number;

    if (what != PyTrace_C_CALL && what != PyTrace_C_RETURN && what != PyTrace_C_EXCEPTION)
        return;
    t = thread_at(frame);
    number = t != NULL ? callables_number(callable) : 0;
    if (number == 0)
        return;
    if (what == PyTrace_C_CALL)
        event_c_call(t, number);
    else
        event_c_return(t);
}

/* The program's profiler would not be told that the call of sys.setprofile() is over which began
 * before there was one: the interpreter says so only because we listen. */
static bool is_its_own_beginning(struct thread *t, int what)
{
    bool begins = t->begins_profile;

    t->begins_profile = false;
    return begins && what == PyTrace_C_RETURN;
}

/* For --c-calls: only profile functions are told of functions of C. */
static int profile(PyObject *object, PyFrameObject *frame, int what, PyObject *argument)
{
    struct thread *t;

    record_c(pycompat_frame_of(frame), what, argument);
    t = thread_current;
    if (EVENTS_UNLIKELY(t != NULL && t->user_profile != NULL))
        return is_its_own_beginning(t, what)
                   ? 0
                   : forward(t, t->user_profile, object, frame, what, argument);
    if (EVENTS_UNLIKELY(!recorder.running))
        disarm(PyThreadState_Get(), t);
    return 0;
}

/* Replaced functions. */

/* Functions installed from C. */

static bool is_attached;

/* Is the thread's state still there? Threads of the program end when they like. */
static bool is_alive(const PyThreadState *wanted)
{
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Main());

    while (state != NULL && state != wanted)
        state = PyThreadState_Next(state);
    return state != NULL;
}

static void go_in_front_of(struct thread *t, void *unused)
{
    PyThreadState *state = t->state;

    (void)unused;
    if (t->replaced_ticks == 0 || !is_alive(state))
        return;
    if (state->c_tracefunc != trace)
        thread_write_replaced(t);
    t->replaced_ticks = 0;
    adopt(state, t);
}

/* Runs in the main thread, between two instructions: no other runs meanwhile. */
static int go_in_front(void *unused)
{
    if (recorder.running)
        thread_each(go_in_front_of, unused);
    return 0;
}

/* The thread in which the program is about to set a function. One that sets a tracer before its
 * first event is made known now: the tracer must be kept somewhere. NULL: it is not recorded. */
static struct thread *thread_that_sets(PyThreadState *state)
{
    if (!recorder.running || state->interp != PyInterpreterState_Main())
        return NULL;
    if (thread_current == NULL && pycompat_current_frame(state) != NULL)
        return events_thread_begin(pycompat_current_frame(state), false);
    return thread_current;
}

/* After it the interpreter forgets how many threads it has made. */
static bool is_last_event(const char *event)
{
    return strcmp(event, "cpython._PySys_ClearAuditHooks") == 0;
}

/* The event comes before the function is installed, so that we can only leave word. Until the main
 * thread finds it nothing is known of this one. */
static int on_audit(const char *event, PyObject *arguments, void *unused)
{
    struct thread *t;

    (void)arguments, (void)unused;
    if (EVENTS_LIKELY(strncmp(event, "sys.set", 7) != 0)) {
        if (EVENTS_UNLIKELY(event[0] == 'c' && recorder.active && is_last_event(event)))
            unseen_look();
        return 0;
    }
    if (!is_attached ||
        (strcmp(event, "sys.settrace") != 0 && strcmp(event, "sys.setprofile") != 0))
        return 0;
    t = thread_that_sets(PyThreadState_Get());
    if (t != NULL) {
        t->replaced_ticks = clock_ticks();
        Py_AddPendingCall(go_in_front, NULL);
    }
    return 0;
}

static struct replaced real_settrace, real_setprofile;
static struct replaced thread_starters[2]; /* start_new_thread and its old name start_new */

/* sys.settrace or sys.setprofile, and ours in front again. */
static PyObject *set_function(const struct replaced *replaced, PyObject *self, PyObject *argument)
{
    PyThreadState *state = PyThreadState_Get();
    struct thread *t = thread_that_sets(state);
    PyObject *result = replaced->real(self, argument);

    if (t != NULL) {
        t->replaced_ticks = 0;
        adopt(state, t);
    }
    return result;
}

static PyObject *settrace(PyObject *self, PyObject *argument)
{
    return set_function(&real_settrace, self, argument);
}

static PyObject *setprofile(PyObject *self, PyObject *argument)
{
    bool had_one = thread_current != NULL && thread_current->user_profile != NULL;
    PyObject *result = set_function(&real_setprofile, self, argument);

    if (thread_current != NULL)
        thread_current->begins_profile = !had_one && thread_current->user_profile != NULL;
    return result;
}

/* Arms the threads that were made since `known` was the newest (NULL: all). New ones exist, but
 * none has run: they wait for the GIL, which we hold. */
static void arm_new_threads(PyThreadState *known, const PyThreadState *self)
{
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Main());

    while (state != NULL && state != known) {
        if (state != self && state->c_tracefunc == NULL)
            arm(state);
        state = PyThreadState_Next(state);
    }
}

static PyObject *start_thread(const struct replaced *starter, PyObject *self, PyObject *arguments)
{
    PyThreadState *state = PyThreadState_Get();
    bool wanted =
        recorder.running && recorder.settings.threads && state->interp == PyInterpreterState_Main();
    PyThreadState *known = wanted ? PyInterpreterState_ThreadHead(state->interp) : NULL;
    uint64_t made = unseen_threads_made();
    PyObject *result = starter->real(self, arguments);

    if (state->interp == PyInterpreterState_Main())
        unseen_expect_threads(unseen_threads_made() - made);
    if (wanted && result != NULL)
        arm_new_threads(known, state);
    return result;
}

static PyObject *start_new_thread(PyObject *self, PyObject *arguments)
{
    return start_thread(&thread_starters[0], self, arguments);
}

static PyObject *start_new(PyObject *self, PyObject *arguments)
{
    return start_thread(&thread_starters[1], self, arguments);
}

static void restore_all(void)
{
    replaced_restore(&real_settrace);
    replaced_restore(&real_setprofile);
    replaced_restore(&thread_starters[0]);
    replaced_restore(&thread_starters[1]);
}

static int attach(char *why, size_t why_size)
{
    /* start_new may be gone one day. */
    replaced_put(&thread_starters[1], replaced_find("_thread", "start_new"), start_new);
    if (!replaced_put(&real_settrace, PySys_GetObject("settrace"), settrace) ||
        !replaced_put(&real_setprofile, PySys_GetObject("setprofile"), setprofile) ||
        !replaced_put(&thread_starters[0], replaced_find("_thread", "start_new_thread"),
                      start_new_thread)) {
        restore_all();
        snprintf(why, why_size, "sys.settrace or _thread.start_new_thread is not CPython's own");
        return -1;
    }
    /* A hook stays for good: a recording that will end does without. */
    if (!recorder.is_guest && PySys_AddAuditHook(on_audit, NULL) < 0) {
        PyErr_Clear();
        restore_all();
        snprintf(why, why_size, "an audit hook of the interpreter's refuses ours");
        return -1;
    }
    is_attached = true;
    resume();
    return 0;
}

static void detach(void)
{
    is_attached = false;
    suspend();
    restore_all();
}

const struct backend backend = {"settrace", attach, suspend, resume, NULL, NULL, detach};

#endif
