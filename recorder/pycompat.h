/* pycompat.h - what differs from one CPython to the next.
 *
 * The only file that asks PY_VERSION_HEX. A `frame` here is the interpreter's own record of a
 * running frame, used as an identity and for looking outward: PyFrameObject to 3.10,
 * _PyInterpreterFrame after. Everything is borrowed; nothing here allocates or runs Python code.
 */
#ifndef RECORDER_PYCOMPAT_H
#define RECORDER_PYCOMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>
#include <stdbool.h>

#if PY_VERSION_HEX < 0x03090000 || PY_VERSION_HEX >= 0x030F0000
#error "pyrec records CPython 3.9 to 3.14"
#endif
#ifdef Py_GIL_DISABLED
#error "pyrec does not record free-threaded builds"
#endif

#if PY_VERSION_HEX >= 0x030B0000
#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <internal/pycore_code.h>
#include <internal/pycore_frame.h>
#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_interpframe.h>
#endif
#endif

/* An interpreter that says where its members stand: _PyRuntime.debug_offsets. */
#if PY_VERSION_HEX >= 0x030D0000
#define PYCOMPAT_OFFSETS 1
#endif

/* Code objects on which something hangs are refused by functions of the standard library. */
#if PY_VERSION_HEX >= 0x030E0000
#define PYCOMPAT_EXTRA_IN_TABLE 1
#endif

/* ... and in the version before also those that are monitored. */
#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030E0000
#define PYCOMPAT_ONLY_PLAIN_CODE 1
#endif

/* For sampler_layout.c, which is about nothing but what differs. */
#define PYCOMPAT_MINOR PY_MINOR_VERSION

#undef _PyGC_FINALIZED /* the internal headers define it again */

#if PY_VERSION_HEX < 0x030A0000
#define Py_BUILD_CORE 1
#include <internal/pycore_interp.h>
#endif

/* For who asks what the interpreter has made: these headers bring many names. */
#ifdef PYCOMPAT_COUNTS
#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

/* How many interpreters there have been, the first included. */
static inline uint64_t pycompat_interpreters_made(void)
{
    return (uint64_t)_PyRuntime.interpreters.next_id;
}

/* How many thread states the first interpreter has had; 0: it is gone. From 3.12 on all threads
 * are seen. */
static inline uint64_t pycompat_threads_made(void)
{
    PyInterpreterState *main = _PyRuntime.interpreters.main;

#if PY_VERSION_HEX >= 0x030C0000
    (void)main;
    return 0;
#elif PY_VERSION_HEX >= 0x030B0000
    return main != NULL ? main->threads.next_unique_id : 0;
#else
    return main != NULL ? main->tstate_next_unique_id : 0;
#endif
}

/* How many objects the garbage collector has got since it last looked at the new ones. */
static inline int *pycompat_new_objects(PyInterpreterState *interpreter)
{
#if PY_VERSION_HEX >= 0x030E0000
    return &interpreter->gc.young.count;
#else
    return &interpreter->gc.generations[0].count;
#endif
}
#endif

#if PY_VERSION_HEX >= 0x030C0000
#define PYCOMPAT_MONITORING 1
#else
#define PYCOMPAT_SETTRACE 1
#endif

#if PY_VERSION_HEX >= 0x030B0000
typedef struct _PyInterpreterFrame pycompat_frame;
#else
typedef PyFrameObject pycompat_frame;
#endif

/* The frame that `tstate` is executing, or NULL. */
static inline pycompat_frame *pycompat_current_frame(PyThreadState *tstate)
{
#if PY_VERSION_HEX >= 0x030D0000
    return tstate->current_frame;
#elif PY_VERSION_HEX >= 0x030B0000
    return tstate->cframe->current_frame;
#else
    return tstate->frame;
#endif
}

/* Frames that C code put between two Python frames, and frames not yet begun, are nobody's callers.
 */
static inline bool pycompat_frame_is_real(const pycompat_frame *frame)
{
#if PY_VERSION_HEX >= 0x030E0000
    return frame->owner < FRAME_OWNED_BY_INTERPRETER &&
           !_PyFrame_IsIncomplete((pycompat_frame *)frame);
#elif PY_VERSION_HEX >= 0x030C0000
    return frame->owner != FRAME_OWNED_BY_CSTACK && !_PyFrame_IsIncomplete((pycompat_frame *)frame);
#elif PY_VERSION_HEX >= 0x030B0000
    return !_PyFrame_IsIncomplete((pycompat_frame *)frame);
#else
    (void)frame;
    return true;
#endif
}

static inline pycompat_frame *pycompat_frame_outward(const pycompat_frame *frame)
{
#if PY_VERSION_HEX >= 0x030B0000
    return frame->previous;
#else
    return frame->f_back;
#endif
}

/* Is `caller` the one that called `frame`, directly or through one stretch of C code? Asks no more
 * of the frames between than is quickly told: false may be wrong. */
static inline bool pycompat_frame_is_called_by(const pycompat_frame *frame, const void *caller)
{
    const pycompat_frame *outward = pycompat_frame_outward(frame);

    if (__builtin_expect(outward == caller, 1))
        return true;
#if PY_VERSION_HEX >= 0x030C0000
    return outward != NULL && !pycompat_frame_is_real(outward) &&
           pycompat_frame_outward(outward) == caller;
#else
    return false;
#endif
}

/* The frame that called this one, or NULL. */
static inline pycompat_frame *pycompat_frame_caller(const pycompat_frame *frame)
{
    pycompat_frame *caller = pycompat_frame_outward(frame);

    while (caller != NULL && !pycompat_frame_is_real(caller))
        caller = pycompat_frame_outward(caller);
    return caller;
}

/* The innermost frame of a thread, which need not be the calling one, that has begun; or NULL. */
static inline pycompat_frame *pycompat_recent_frame(PyThreadState *tstate)
{
    pycompat_frame *frame = pycompat_current_frame(tstate);

    return frame == NULL || pycompat_frame_is_real(frame) ? frame : pycompat_frame_caller(frame);
}

static inline PyCodeObject *pycompat_frame_code(const pycompat_frame *frame)
{
#if PY_VERSION_HEX >= 0x030E0000
    return (PyCodeObject *)PyStackRef_AsPyObjectBorrow(frame->f_executable);
#elif PY_VERSION_HEX >= 0x030D0000
    return (PyCodeObject *)frame->f_executable;
#else
    return frame->f_code;
#endif
}

static inline PyObject *pycompat_frame_globals(const pycompat_frame *frame)
{
    return frame->f_globals;
}

/* The frame object of a frame of the calling thread: a new reference, or NULL. */
static inline PyFrameObject *pycompat_frame_object(const pycompat_frame *frame)
{
    PyFrameObject *found = PyThreadState_GetFrame(PyThreadState_Get());

#if PY_VERSION_HEX >= 0x030B0000
    while (found != NULL && found->f_frame != frame) {
        PyFrameObject *inner = found;

        found = PyFrame_GetBack(inner);
        Py_DECREF(inner);
    }
    return found;
#else
    Py_XDECREF(found);
    found = (PyFrameObject *)frame;
    Py_INCREF(found);
    return found;
#endif
}

/* Between the two no tracer, profiler or monitoring tool is told what the calling thread does. */
static inline void pycompat_enter_silence(PyThreadState *state)
{
#if PY_VERSION_HEX >= 0x030B0000
    PyThreadState_EnterTracing(state);
#else
    state->tracing++;
#endif
}

static inline void pycompat_leave_silence(PyThreadState *state)
{
#if PY_VERSION_HEX >= 0x030B0000
    PyThreadState_LeaveTracing(state);
#else
    state->tracing--;
#endif
}

/* Local variable number i (the first are the arguments), or NULL. */
static inline PyObject *pycompat_frame_local(const pycompat_frame *frame, int i)
{
#if PY_VERSION_HEX >= 0x030E0000
    return PyStackRef_AsPyObjectBorrow(frame->localsplus[i]);
#elif PY_VERSION_HEX >= 0x030B0000
    return frame->localsplus[i];
#else
    return frame->f_localsplus[i];
#endif
}

static inline PyObject *pycompat_frame_first_local(const pycompat_frame *frame)
{
    return pycompat_frame_local(frame, 0);
}

/* Bytes from the start of the code to the instruction being executed; negative: none yet. */
static inline int pycompat_frame_offset(const pycompat_frame *frame)
{
#if PY_VERSION_HEX >= 0x030B0000
    return _PyInterpreterFrame_LASTI((pycompat_frame *)frame) * (int)sizeof(_Py_CODEUNIT);
#elif PY_VERSION_HEX >= 0x030A0000
    return frame->f_lasti * (int)sizeof(_Py_CODEUNIT);
#else
    return frame->f_lasti;
#endif
}

/* The line being executed, the code's first line if it has none. */
static inline int pycompat_frame_line(const pycompat_frame *frame)
{
    PyCodeObject *code = pycompat_frame_code(frame);
    int line = PyCode_Addr2Line(code, pycompat_frame_offset(frame));

    return line > 0 ? line : code->co_firstlineno;
}

/* Is this frame at its very beginning, as opposed to a generator that goes on? */
static inline bool pycompat_frame_is_fresh(const pycompat_frame *frame)
{
#if PY_VERSION_HEX >= 0x030B0000
    return pycompat_frame_offset(frame) <=
           pycompat_frame_code(frame)->_co_firsttraceable * (int)sizeof(_Py_CODEUNIT);
#else
    return frame->f_lasti < 0;
#endif
}

#ifdef PYCOMPAT_MONITORING

/* The value of a line number: an int of one digit, as line numbers below 2^30 are. */
static inline int pycompat_line_value(PyObject *line)
{
    return (int)((PyLongObject *)line)->long_value.ob_digit[0];
}

#endif

#ifdef PYCOMPAT_SETTRACE

/* The identity of the frame that a frame object stands for. */
static inline pycompat_frame *pycompat_frame_of(PyFrameObject *frame)
{
#if PY_VERSION_HEX >= 0x030B0000
    return frame->f_frame;
#else
    return frame;
#endif
}

/* In a return event: does the frame, a generator's, only yield? */
static inline bool pycompat_frame_is_suspended(pycompat_frame *frame)
{
#if PY_VERSION_HEX >= 0x030B0000
    return frame->owner == FRAME_OWNED_BY_GENERATOR &&
           _PyFrame_GetGenerator(frame)->gi_frame_state == FRAME_SUSPENDED;
#elif PY_VERSION_HEX >= 0x030A0000
    return frame->f_state == FRAME_SUSPENDED;
#else
    return frame->f_stacktop != NULL;
#endif
}

/* Tells the interpreter's loop whether `state` has anything to call; while a callback runs, not. */
static inline void pycompat_update_tracing(PyThreadState *state)
{
    bool on = state->c_tracefunc != NULL || state->c_profilefunc != NULL;

#if PY_VERSION_HEX < 0x030A0000
    state->use_tracing = on;
#elif PY_VERSION_HEX < 0x030B0000
    state->cframe->use_tracing = on ? 255 : 0;
#else
    state->cframe->use_tracing = on && state->tracing == 0 ? 255 : 0;
#endif
}

/* PyEval_SetTrace() for any thread's state, leaving its c_traceobj alone and raising no audit
 * event.
 */
static inline void pycompat_set_tracefunc(PyThreadState *state, Py_tracefunc function)
{
#if PY_VERSION_HEX < 0x030A0000
    state->interp->ceval.tracing_possible += (function != NULL) - (state->c_tracefunc != NULL);
#endif
    state->c_tracefunc = function;
    pycompat_update_tracing(state);
}

/* The same for PyEval_SetProfile(). */
static inline void pycompat_set_profilefunc(PyThreadState *state, Py_tracefunc function)
{
    state->c_profilefunc = function;
    pycompat_update_tracing(state);
}

#endif

/* Bytes of code that run before the first line event can happen. */
static inline int pycompat_code_prologue(const PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030B0000
    return (code->_co_firsttraceable + 1) * (int)sizeof(_Py_CODEUNIT);
#else
    (void)code;
    return 0;
#endif
}

static inline PyObject *pycompat_code_qualname(const PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030B0000
    return code->co_qualname;
#else
    return code->co_name;
#endif
}

/* The table that maps instructions to lines: a bytes object in the version's own format, which
 * codes_lines.c reads. */
#if PY_VERSION_HEX >= 0x030B0000
#define PYCOMPAT_LINES_LOCATIONS 1
#elif PY_VERSION_HEX >= 0x030A0000
#define PYCOMPAT_LINES_PAIRS 1
#else
#define PYCOMPAT_LINES_LNOTAB 1
#endif

static inline PyObject *pycompat_code_line_table(const PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030A0000
    return code->co_linetable;
#else
    return code->co_lnotab;
#endif
}

/* The extra slot `index` of a code object, read in place: _PyCode_GetExtra() without the call. The
 * layout is private but has not changed since 3.6; codes_extra_init() checks it. */
struct pycompat_code_extra {
    Py_ssize_t size;
    void *extras[1];
};

static inline void *pycompat_code_extra(const PyCodeObject *code, Py_ssize_t index)
{
    const struct pycompat_code_extra *extra = code->co_extra;

    return extra != NULL && extra->size > index ? extra->extras[index] : NULL;
}

/* Where the instructions of a code object stand, if in itself; how many bytes they are; and below
 * which offset a frame has not begun. */
static inline uintptr_t pycompat_code_start(PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030B0000
    return (uintptr_t)_PyCode_CODE(code);
#else
    (void)code;
    return 0;
#endif
}

static inline size_t pycompat_code_size(PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030B0000
    return (size_t)_PyCode_NBYTES(code);
#else
    return (size_t)PyBytes_GET_SIZE(code->co_code);
#endif
}

static inline size_t pycompat_code_first_traceable(const PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030B0000
    return (size_t)code->_co_firsttraceable * sizeof(_Py_CODEUNIT);
#else
    (void)code;
    return 0;
#endif
}

#if PY_VERSION_HEX < 0x030C0000

/* A list of all objects that the garbage collector knows: what gc.get_objects() returns, called
 * without its module. To import that would be seen by -v, -X importtime, and in sys.modules. */
static inline PyObject *pycompat_gc_objects(void)
{
    const int flags = METH_FASTCALL | METH_KEYWORDS;
    const struct _inittab *entry = PyImport_Inittab;
    static PyObject *made; /* in 3.9 a module, whose end would be seen as well */
    const PyMethodDef *method;

    while (entry->name != NULL && strcmp(entry->name, "gc") != 0)
        entry++;
    if (made == NULL)
        made = entry->name != NULL && entry->initfunc != NULL ? entry->initfunc() : NULL;
    if (made == NULL)
        return NULL;
    method = PyObject_TypeCheck(made, &PyModuleDef_Type) ? ((PyModuleDef *)made)->m_methods
                                                         : PyModule_GetDef(made)->m_methods;
    while (method->ml_name != NULL && strcmp(method->ml_name, "get_objects") != 0)
        method++;
    if (method->ml_name == NULL || method->ml_flags != flags)
        return NULL;
    return ((_PyCFunctionFastWithKeywords)(void (*)(void))method->ml_meth)(NULL, NULL, 0, NULL);
}

#endif

/* Calls `visit` for each object that the garbage collector knows. */
static inline void pycompat_visit_objects(int (*visit)(PyObject *object, void *unused))
{
#if PY_VERSION_HEX >= 0x030C0000
    PyUnstable_GC_VisitObjects(visit, NULL);
#else
    PyObject *objects = pycompat_gc_objects();

    for (Py_ssize_t i = 0; objects != NULL && i < PyList_GET_SIZE(objects); i++)
        visit(PyList_GET_ITEM(objects, i), NULL);
    Py_XDECREF(objects);
    PyErr_Clear();
#endif
}

#if PY_VERSION_HEX >= 0x030C0000
#define pycompat_code_extra_index PyUnstable_Eval_RequestCodeExtraIndex
#define pycompat_code_set_extra PyUnstable_Code_SetExtra
#define pycompat_code_get_extra PyUnstable_Code_GetExtra
#else
#define pycompat_code_extra_index _PyEval_RequestCodeExtraIndex
#define pycompat_code_set_extra _PyCode_SetExtra
#define pycompat_code_get_extra _PyCode_GetExtra
#endif

#ifdef PYCOMPAT_ONLY_PLAIN_CODE

/* Does nothing hang on it, and is it not monitored? */
static inline bool pycompat_code_is_plain(const PyCodeObject *code)
{
    return code->co_extra == NULL && code->_co_monitoring == NULL &&
           code->_co_instrumentation_version == 0;
}

#endif

/* Hangs `value` on a code object. The interpreter would make room for all indexes there are, and at
 * the code's end call the owners of the others with NULL, which they do not expect from code that
 * they never touched: so the room ends with ours. False with an exception set: out of memory. */
static inline bool pycompat_code_hang(PyCodeObject *code, Py_ssize_t index, void *value)
{
    struct pycompat_code_extra *extra;

    if (code->co_extra != NULL)
        return pycompat_code_set_extra((PyObject *)code, index, value) == 0;
    extra = PyMem_Calloc(1, sizeof *extra + (size_t)index * sizeof extra->extras[0]);
    if (extra == NULL) {
        PyErr_NoMemory();
        return false;
    }
    extra->size = index + 1;
    extra->extras[index] = value;
    code->co_extra = (void *)extra;
    return true;
}

#endif
