/* The backend for CPython from 3.12: sys.monitoring (PEP 669), with a tool id of our own.
 *
 * The callbacks are built-in functions whose vectorcall is replaced by ours, which takes the
 * arguments as they come. Without filters the events are on for all code. With filters nothing that
 * can be local is on globally: included code gets its events when it is created (code watcher), so
 * that excluded code runs at full speed. */
#include "recorder/pycompat.h"

#ifdef PYCOMPAT_MONITORING

#include <stdio.h>

#include "recorder/backend/backend.h"
#include "recorder/backend/local_codes.h"
#include "recorder/callables.h"
#include "recorder/events.h"
#include "recorder/handover.h"
#include "recorder/recorder.h"

/* Event bits of PEP 669. LINE without PY_START loses one-line functions on 3.13 (CPython issue
 * 155992). */
enum {
    PY_START = 1 << 0,
    PY_RESUME = 1 << 1,
    PY_RETURN = 1 << 2,
    PY_YIELD = 1 << 3,
    CALL = 1 << 4, /* brings C_RETURN and C_RAISE */
    LINE = 1 << 5,
};

#define LOCAL_EVENTS (PY_START | PY_RESUME | PY_RETURN | PY_YIELD | LINE)

/* 0 to 2 and 5 are debuggers', coverage's, profilers' and optimizers'. */
static const int tool_ids[] = {3, 4};
static int tool_id = -1;

/* The frame the interpreter is in. t->state is that of the thread while a frame of ours is open. */
static inline pycompat_frame *running_frame(const struct thread *t)
{
    return pycompat_current_frame(t->state);
}

static inline PyCodeObject *code_of(PyObject *const *args)
{
    return (PyCodeObject *)args[0];
}

/* Is the running frame on top of this thread's stack, as it nearly always is? */
static inline bool is_aligned(const struct thread *t)
{
    return EVENTS_LIKELY(t != NULL && t->top != t->stack && t->top->frame == running_frame(t));
}

/* Makes it so. NULL if the frame is not recorded. */
EVENTS_SLOW static struct thread *align(PyCodeObject *code)
{
    PyThreadState *state = PyThreadState_Get();
    pycompat_frame *frame = pycompat_current_frame(state);
    struct thread *t;

    if (!codes_info(code, frame)->wanted)
        return NULL;
    t = events_thread(frame, false);
    if (t != NULL) {
        t->state = state;
        events_align(t, frame);
    }
    return t;
}

static inline struct thread *thread_at(PyCodeObject *code)
{
    struct thread *t = thread_current;

    return is_aligned(t) ? t : align(code);
}

/* The thread for a frame that is entered. A thread without frames may have come back with another
 * state. */
EVENTS_SLOW static struct thread *begin_thread(void)
{
    PyThreadState *state = PyThreadState_Get();
    struct thread *t = events_thread(pycompat_current_frame(state), true);

    if (t != NULL)
        t->state = state;
    return t;
}

/* The thread, with the caller of the running frame on top of its stack. */
static inline struct thread *thread_entering(pycompat_frame **frame)
{
    struct thread *t = thread_current;

    if (EVENTS_UNLIKELY(t == NULL || t->top == t->stack) && (t = begin_thread()) == NULL)
        return NULL;
    *frame = running_frame(t);
    events_align_caller(t, *frame);
    return t;
}

/* Every callback takes what sys.monitoring gives: (code, line or offset, ...). */
#define CALLBACK(name)                                                                             \
    static PyObject *name(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
#define CALLBACK_IGNORES() ((void)self, (void)nargsf, (void)names)

EVENTS_SLOW static PyObject *line_unaligned(PyObject *const *args)
{
    struct thread *t = align(code_of(args));

    if (t != NULL)
        event_line(t, pycompat_line_value(args[1]));
    return Py_None;
}

CALLBACK(on_line)
{
    struct thread *t = thread_current;

    CALLBACK_IGNORES();
    if (EVENTS_UNLIKELY(!is_aligned(t)))
        return line_unaligned(args);
    event_line(t, pycompat_line_value(args[1]));
    return Py_None;
}

/* Can the running frame be pushed as it is, as nearly always? Its code is known and its caller on
 * top of the thread's stack. */
static inline bool is_ready(const struct thread *t, const struct code_info *code)
{
    return EVENTS_LIKELY(code != NULL && t != NULL && code->wanted && t->top != t->stack &&
                         pycompat_frame_is_called_by(running_frame(t), t->top->frame));
}

/* If not. `again`: perhaps not for the first time. */
EVENTS_APART static PyObject *enter(PyObject *const *args, bool again)
{
    PyThreadState *state = PyThreadState_Get();
    const struct code_info *code = codes_info(code_of(args), pycompat_current_frame(state));
    pycompat_frame *frame;
    struct thread *t;

    if (!code->wanted)
        return Py_None;
    t = thread_entering(&frame);
    if (t == NULL)
        return Py_None;
    if (again && !pycompat_frame_is_fresh(frame))
        event_resume_any(t, frame, code);
    else
        event_call(t, frame, code);
    return Py_None;
}

CALLBACK(on_start)
{
    const struct code_info *code = codes_extra_get(code_of(args));
    struct thread *t = thread_current;

    CALLBACK_IGNORES();
    if (EVENTS_UNLIKELY(!is_ready(t, code)))
        return enter(args, false);
    event_call(t, running_frame(t), code);
    return Py_None;
}

CALLBACK(on_resume)
{
    const struct code_info *code = codes_extra_get(code_of(args));
    struct thread *t = thread_current;

    CALLBACK_IGNORES();
    if (EVENTS_UNLIKELY(!is_ready(t, code)))
        return enter(args, true);
    event_resume(t, running_frame(t), code);
    return Py_None;
}

/* throw(): into a generator that has not begun it is a call. */
CALLBACK(on_throw)
{
    CALLBACK_IGNORES();
    return enter(args, true);
}

/* The end of a frame that is not on top of the thread's stack. */
EVENTS_SLOW static PyObject *unaligned(PyObject *const *args, void (*event)(struct thread *))
{
    struct thread *t = align(code_of(args));

    if (t != NULL)
        event(t);
    return Py_None;
}

CALLBACK(on_return)
{
    struct thread *t = thread_current;

    CALLBACK_IGNORES();
    if (EVENTS_UNLIKELY(!is_aligned(t)))
        return unaligned(args, event_return);
    event_return(t);
    return Py_None;
}

CALLBACK(on_yield)
{
    struct thread *t = thread_current;

    CALLBACK_IGNORES();
    if (EVENTS_UNLIKELY(!is_aligned(t)))
        return unaligned(args, event_yield);
    event_yield(t);
    return Py_None;
}

CALLBACK(on_unwind)
{
    struct thread *t = thread_current;

    CALLBACK_IGNORES();
    if (EVENTS_UNLIKELY(!is_aligned(t)))
        return unaligned(args, event_unwind);
    event_unwind(t);
    return Py_None;
}

CALLBACK(on_raise)
{
    struct thread *t = thread_at(code_of(args));

    CALLBACK_IGNORES();
    if (EVENTS_LIKELY(t != NULL))
        event_raise(t, (PyObject *)Py_TYPE(args[2]));
    return Py_None;
}

/* Also for Python functions and classes, which callables_number() sorts out, here and at the
 * return. */
CALLBACK(on_c_call)
{
    struct thread *t = thread_at(code_of(args));
    uint32_t callable = t != NULL ? callables_number(args[2]) : 0;

    CALLBACK_IGNORES();
    if (callable != 0)
        event_c_call(t, callable);
    return Py_None;
}

CALLBACK(on_c_return)
{
    struct thread *t = thread_at(code_of(args));

    CALLBACK_IGNORES();
    if (t != NULL && callables_number(args[2]) != 0)
        event_c_return(t);
    return Py_None;
}

/* One line a callback. `always`: this event cannot be had for single code objects. */
static struct {
    const char *event;
    vectorcallfunc function;
    bool always;
    bool for_c_calls;
} callbacks[] = {
    {"PY_START", on_start, false, false},   {"PY_RESUME", on_resume, false, false},
    {"PY_RETURN", on_return, false, false}, {"PY_YIELD", on_yield, false, false},
    {"LINE", on_line, false, false},        {"PY_THROW", on_throw, true, false},
    {"PY_UNWIND", on_unwind, true, false},  {"RAISE", on_raise, true, false},
    {"CALL", on_c_call, false, true},       {"C_RETURN", on_c_return, false, true},
    {"C_RAISE", on_c_return, false, true},
};
#define CALLBACKS (sizeof callbacks / sizeof *callbacks)

/* Talking to sys.monitoring. */

static PyObject *monitoring; /* sys.monitoring, owned; the program may delete it from sys */

static PyObject *never_called(PyObject *self, PyObject *args)
{
    (void)self, (void)args;
    Py_RETURN_NONE;
}

static PyMethodDef callback_method = {"pyrec", never_called, METH_VARARGS, NULL};

/* sys.monitoring.NAME(arguments), where the arguments are stolen. False with an exception set. */
static bool call(const char *name, PyObject *arguments)
{
    PyObject *function = PyObject_GetAttrString(monitoring, name);
    PyObject *result =
        function != NULL && arguments != NULL ? PyObject_Call(function, arguments, NULL) : NULL;

    Py_XDECREF(function);
    Py_XDECREF(arguments);
    Py_XDECREF(result);
    return result != NULL;
}

static long event_bit(const char *name)
{
    PyObject *events = PyObject_GetAttrString(monitoring, "events");
    PyObject *value = events != NULL ? PyObject_GetAttrString(events, name) : NULL;
    long bit = value != NULL ? PyLong_AsLong(value) : 0;

    Py_XDECREF(events);
    Py_XDECREF(value);
    return bit;
}

static bool register_callback(size_t i, long *globally, bool has_filter)
{
    PyObject *function = PyCFunction_New(&callback_method, NULL);
    long bit = event_bit(callbacks[i].event);

    if (function == NULL || bit <= 0) {
        Py_XDECREF(function);
        return false;
    }
    ((PyCFunctionObject *)function)->vectorcall = callbacks[i].function;
    PyObject_GC_UnTrack(function); /* nobody finds it there */
    if (callbacks[i].always || !has_filter)
        *globally |= bit;
    return call("register_callback", Py_BuildValue("(ilN)", tool_id, bit, function));
}

static bool take_tool_id(void)
{
    for (size_t i = 0; i < sizeof tool_ids / sizeof *tool_ids; i++) {
        if (call("use_tool_id", Py_BuildValue("(is)", tool_ids[i], "pyrec"))) {
            tool_id = tool_ids[i];
            return true;
        }
        PyErr_Clear();
    }
    return false;
}

/* Filters. */

static int watcher = -1;   /* the code watcher's number; -1: none */
static long global_events; /* when they are on */
static bool is_on;

static void set_local_events(PyCodeObject *code, int events)
{
    PyObject *error = PyErr_GetRaisedException();

    if (!call("set_local_events", Py_BuildValue("(iOi)", tool_id, code, events)))
        PyErr_Clear();
    PyErr_SetRaisedException(error);
}

static void enable(PyCodeObject *code)
{
    set_local_events(code, LOCAL_EVENTS | (recorder.settings.c_calls ? CALL : 0));
}

static void disable(PyCodeObject *code)
{
    set_local_events(code, 0);
}

/* Wanted code gets its events, now or when the pause is over. */
static void enable_for(PyCodeObject *code)
{
    if (local_codes_add(code) && is_on)
        enable(code);
}

static int on_code_event(PyCodeEvent event, PyCodeObject *code)
{
    if (event == PY_CODE_EVENT_CREATE && recorder.active && !handover_copying &&
        codes_is_wanted(code))
        enable_for(code);
    else if (event == PY_CODE_EVENT_DESTROY)
        local_codes_remove(code);
    return 0;
}

static void enable_nested(PyCodeObject *code)
{
    if (codes_is_wanted(code))
        enable_for(code);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_consts); i++) {
        PyObject *constant = PyTuple_GET_ITEM(code->co_consts, i);

        if (PyCode_Check(constant))
            enable_nested((PyCodeObject *)constant);
    }
}

struct found_code {
    PyObject **items; /* owned references */
    size_t count, capacity;
};

static void keep_code(struct found_code *found, PyObject *code)
{
    if (found->count == found->capacity) {
        size_t capacity = found->capacity != 0 ? 2 * found->capacity : 256;
        PyObject **items = PyMem_RawRealloc(found->items, capacity * sizeof *items);

        if (items == NULL)
            return;
        found->items = items;
        found->capacity = capacity;
    }
    found->items[found->count++] = Py_NewRef(code);
}

static int visit_object(PyObject *object, void *found)
{
    if (PyFunction_Check(object))
        keep_code(found, PyFunction_GET_CODE(object));
    return 1;
}

/* Code that runs in a thread may have no function: a module's, a class body's, that of exec(). */
static void visit_threads(struct found_code *found)
{
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Main());

    for (; state != NULL; state = PyThreadState_Next(state)) {
        for (pycompat_frame *frame = pycompat_recent_frame(state); frame != NULL;
             frame = pycompat_frame_caller(frame))
            keep_code(found, (PyObject *)pycompat_frame_code(frame));
    }
}

/* Code that exists already is reached through the functions made from it, and through frames. */
static void enable_existing(void)
{
    struct found_code found = {0};

    PyUnstable_GC_VisitObjects(visit_object, &found);
    visit_threads(&found);
    for (size_t i = 0; i < found.count; i++) {
        enable_nested((PyCodeObject *)found.items[i]);
        Py_DECREF(found.items[i]);
    }
    PyMem_RawFree(found.items);
}

/* Beginning and end. */

static void switch_events(bool on)
{
    if (tool_id < 0 || is_on == on)
        return;
    is_on = on;
    if (!call("set_events", Py_BuildValue("(il)", tool_id, on ? global_events : 0)))
        PyErr_Clear();
    local_codes_each(on ? enable : disable);
}

static void suspend(void)
{
    switch_events(false);
}

static void resume(void)
{
    switch_events(true);
}

static bool begin(bool has_filter)
{
    global_events = 0;
    if (has_filter) {
        watcher = PyCode_AddWatcher(on_code_event);
        if (watcher < 0)
            return false;
    }
    for (size_t i = 0; i < CALLBACKS; i++) {
        if (callbacks[i].for_c_calls && !recorder.settings.c_calls)
            continue;
        if (!register_callback(i, &global_events, has_filter))
            return false;
    }
    if (has_filter)
        enable_existing();
    resume();
    return true;
}

static void unregister_callbacks(void)
{
    for (size_t i = 0; i < CALLBACKS; i++) {
        long bit = event_bit(callbacks[i].event);

        if (!call("register_callback", Py_BuildValue("(ilO)", tool_id, bit, Py_None)))
            PyErr_Clear();
    }
}

static void detach(void)
{
    PyObject *error = PyErr_GetRaisedException();

    suspend();
    if (watcher >= 0 && PyCode_ClearWatcher(watcher) < 0)
        PyErr_Clear();
    watcher = -1;
    local_codes_clear();
    if (tool_id >= 0) {
        unregister_callbacks();
        if (!call("free_tool_id", Py_BuildValue("(i)", tool_id)))
            PyErr_Clear();
    }
    tool_id = -1;
    Py_CLEAR(monitoring);
    PyErr_SetRaisedException(error);
}

static int attach(char *why, size_t why_size)
{
    bool has_filter = recorder.settings.filter != NULL || recorder.settings.exclude_syspath;

    monitoring = PySys_GetObject("monitoring");
    Py_XINCREF(monitoring);
    if (monitoring == NULL) {
        snprintf(why, why_size, "this interpreter has no sys.monitoring");
        return -1;
    }
    if (!take_tool_id()) {
        snprintf(why, why_size, "both sys.monitoring tool ids for us (3 and 4) are in use");
        return -1;
    }
    if (!begin(has_filter)) {
        PyErr_Clear();
        detach();
        snprintf(why, why_size, "sys.monitoring refused our callbacks");
        return -1;
    }
    return 0;
}

const struct backend backend = {"monitoring", attach, suspend, resume, NULL, NULL, detach};

#endif
