/* The backend for CPython to 3.11: the C-level trace function of each thread.
 *
 * The program may trace itself. c_traceobj stays the program's, so sys.gettrace() is; we put our function
 * into c_tracefunc alone and forward to the program's. To keep that so, the C function behind the existing
 * sys.settrace object is replaced by one that runs the original and then puts ours back in front; so is
 * _thread.start_new_thread, which makes every thread, to arm the new thread before it runs. */
#include "recorder/pycompat.h"

#ifdef PYCOMPAT_SETTRACE

#include <stdio.h>
#include <string.h>

#include "recorder/backend/backend.h"
#include "recorder/events.h"
#include "recorder/recorder.h"

static int trace(PyObject *object, PyFrameObject *frame, int what, PyObject *argument);

/* Arming. */

/* Our function in front of whatever the thread has. */
static void arm(PyThreadState *state)
{
    if (state->c_tracefunc != trace)
        pycompat_set_tracefunc(state, trace);
}

/* The program's function, if any, alone. */
static void disarm(PyThreadState *state, struct thread *t)
{
    if (state->c_tracefunc == trace)
        pycompat_set_tracefunc(state, t != NULL ? (Py_tracefunc)t->user_trace : NULL);
}

/* The program, or its tracer, has changed the thread's trace function: what is there now is the program's, and ours goes in front again. */
static void adopt(PyThreadState *state, struct thread *t)
{
    if (state->c_tracefunc == trace)
        return;
    t->user_trace = (void *)state->c_tracefunc;
    arm(state);
}

/* Events. */

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
    if (EVENTS_UNLIKELY(code->generator) && !pycompat_frame_is_fresh(frame))
        event_resume(t, frame, code);
    else
        event_call(t, frame, code);
}

/* The thread, with `frame` on top of its stack; NULL if the frame is not recorded. */
static inline struct thread *thread_at(pycompat_frame *frame)
{
    struct thread *t = thread_current;

    if (EVENTS_LIKELY(t != NULL && t->top->frame == frame))
        return t;
    if (!codes_info(pycompat_frame_code(frame), frame)->wanted)
        return NULL;
    t = events_thread(frame, false);
    if (t != NULL)
        events_align(t, frame);
    return t;
}

/* A return event is also what a generator sends when it yields. */
static void on_return(pycompat_frame *frame, const PyObject *value)
{
    struct thread *t = thread_at(frame);

    if (t == NULL)
        return;
    if (value == NULL)
        event_unwind(t);
    else if (EVENTS_UNLIKELY((pycompat_frame_code(frame)->co_flags &
                              (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)) != 0) &&
             pycompat_frame_is_suspended(frame))
        event_yield(t);
    else
        event_return(t);
}

static void on_exception(pycompat_frame *frame, PyObject *argument)
{
    struct thread *t = thread_at(frame);

    if (t != NULL)
        event_raise(t, PyTuple_Check(argument) && PyTuple_GET_SIZE(argument) > 0
                           ? PyTuple_GET_ITEM(argument, 0)
                           : NULL);
}

static void record(PyFrameObject *object, int what, PyObject *argument)
{
    pycompat_frame *frame = pycompat_frame_of(object);
    struct thread *t;

    switch (what) {
    case PyTrace_LINE:
        t = thread_at(frame);
        if (EVENTS_LIKELY(t != NULL))
            event_line(t, object->f_lineno);
        break;
    case PyTrace_CALL:
        on_call(frame);
        break;
    case PyTrace_RETURN:
        on_return(frame, argument);
        break;
    case PyTrace_EXCEPTION:
        on_exception(frame, argument);
        break;
    default:
        break;
    }
}

/* The program's own tracer: it sees what it would see without us. It may put another in its place, or itself off. */
static int forward(struct thread *t, PyObject *object, PyFrameObject *frame, int what, PyObject *argument)
{
    PyThreadState *state = PyThreadState_Get();
    int result = ((Py_tracefunc)t->user_trace)(object, frame, what, argument);

    adopt(state, t);
    return result;
}

static int trace(PyObject *object, PyFrameObject *frame, int what, PyObject *argument)
{
    struct thread *t;

    record(frame, what, argument);
    t = thread_current;
    if (EVENTS_UNLIKELY(t != NULL && t->user_trace != NULL))
        return forward(t, object, frame, what, argument);
    if (EVENTS_UNLIKELY(!recorder.running))
        disarm(PyThreadState_Get(), t);
    return 0;
}

/* Replaced functions. */

static PyCFunction real_settrace;

static PyObject *settrace(PyObject *self, PyObject *argument)
{
    PyThreadState *state = PyThreadState_Get();
    PyObject *result = real_settrace(self, argument);
    struct thread *t = thread_current;

    if (!recorder.running || state->interp != PyInterpreterState_Main())
        return result;
    /* A thread that sets a tracer before its first event is made known now: the tracer must be kept somewhere. */
    if (t == NULL && pycompat_current_frame(state) != NULL)
        t = events_thread_begin(pycompat_current_frame(state), false);
    if (t != NULL)
        adopt(state, t);
    return result;
}

struct replaced {
    PyMethodDef *method;
    PyCFunction real;
};

static struct replaced thread_starters[2]; /* start_new_thread and its old name start_new */

/* Arms the threads that were made since `known` was the newest (NULL: all). New ones exist, but none has run: they wait
 * for the GIL, which we hold. */
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
    bool wanted = recorder.running && recorder.settings.threads &&
                  state->interp == PyInterpreterState_Main();
    PyThreadState *known = wanted ? PyInterpreterState_ThreadHead(state->interp) : NULL;
    PyObject *result = starter->real(self, arguments);

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

/* Puts `ours` behind the built-in function `object`, keeping the object. NULL: it is not one. */
static PyCFunction replace(PyObject *object, PyCFunction ours, struct replaced *old)
{
    PyMethodDef *method;

    if (object == NULL || !PyCFunction_Check(object))
        return NULL;
    method = ((PyCFunctionObject *)object)->m_ml;
    if (method->ml_meth == ours)
        return NULL;
    old->method = method;
    old->real = method->ml_meth;
    method->ml_meth = ours;
    return old->real;
}

static PyObject *attribute(const char *module, const char *name)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *found = PyDict_GetItemString(modules, module);

    return found != NULL && PyModule_Check(found)
               ? PyDict_GetItemString(PyModule_GetDict(found), name)
               : NULL;
}

static int attach(char *why, size_t why_size)
{
    static struct replaced old_settrace;

    if (real_settrace == NULL)
        real_settrace = replace(PySys_GetObject("settrace"), settrace, &old_settrace);
    if (thread_starters[0].real == NULL)
        replace(attribute("_thread", "start_new_thread"), start_new_thread, &thread_starters[0]);
    if (thread_starters[1].real == NULL)
        replace(attribute("_thread", "start_new"), start_new, &thread_starters[1]);
    if (real_settrace == NULL || thread_starters[0].real == NULL) {
        snprintf(why, why_size, "sys.settrace or _thread.start_new_thread is not CPython's own");
        return -1;
    }
    PyEval_SetTrace(trace, NULL);
    if (recorder.settings.threads)
        arm_new_threads(NULL, PyThreadState_Get()); /* those that run already */
    return 0;
}

static void detach(void)
{
    disarm(PyThreadState_Get(), thread_current);
}

const struct backend backend = {"settrace", attach, detach};

#endif
