/* Before the first sample: frames that are known are walked as samples will be. */
#include "recorder/sampler_check.h"

#include <stdio.h>

#include "recorder/codes.h"
#include "recorder/pycompat.h"
#include "recorder/sampler_layout.h"

#define DEPTH 16

static bool is_as_seen;

/* Is this the frame whose code and line these are? */
static bool fits(const struct layout_frame *raw, PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject *table = pycompat_code_line_table(code);
    intptr_t offset = (intptr_t)(raw->instruction - pycompat_code_start(code));
    bool same = raw->code == (uintptr_t)code && offset >= 0 &&
                (size_t)offset < pycompat_code_size(code) &&
                codes_line_at((const unsigned char *)PyBytes_AS_STRING(table),
                              (size_t)PyBytes_GET_SIZE(table), code->co_firstlineno,
                              (int)offset) == PyFrame_GetLineNumber(frame);

    Py_DECREF(code);
    return same;
}

/* Between a constructor and who calls it there may be a frame of the interpreter's own, always of
 * the same code: no frame of the program's is unbegun and calls another. */
static bool is_between(const struct layout_frame *raw)
{
    if (pycompat_frame_is_real((const pycompat_frame *)raw->address))
        return false;
    layout_leave_out(raw->code);
    return true;
}

/* The Python frames among the `count` raw ones are those of the interpreter, all of them unless
 * there are `more`, and there are two. */
static bool compare(const struct layout_frame *raw, int count, bool more)
{
    PyFrameObject *frame = PyEval_GetFrame();
    bool same = true;
    int frames = 0;

    Py_XINCREF(frame);
    for (int i = 0; i < count && same; i++) {
        PyFrameObject *inner = frame;

        if (raw[i].code == 0 || (frames > 0 && is_between(&raw[i])))
            continue;
        same = frame != NULL && fits(&raw[i], frame);
        frame = same ? PyFrame_GetBack(inner) : NULL;
        Py_XDECREF(inner);
        frames++;
    }
    same = same && frames >= 2 && (frame == NULL || more);
    Py_XDECREF(frame);
    return same;
}

static PyObject *look(PyObject *self, PyObject *unused)
{
    struct sampler_memory memory = {0};
    struct layout_frame raw[DEPTH];
    struct layout_thread thread;
    bool more = false;
    int count = -1;

    (void)self, (void)unused;
    if (layout_read_thread((uintptr_t)PyThreadState_Get(), &thread)) {
        count = layout_walk(&memory, thread.state, thread.id, raw, DEPTH, &more);
        is_as_seen &= count > 0 && compare(raw, count, more);
    }
    sampler_memory_fini(&memory);
    Py_RETURN_NONE;
}

static PyMethodDef look_method = {"look", look, METH_NOARGS, NULL};

/* A constructor that is called often is called in another way. */
static const char text[] = "def f():\n\n x = 1\n look()\n\nf()\n"
                           "class C:\n def __init__(self):\n  look()\n"
                           "for i in range(16):\n C()\n";

static PyObject *names_of_text(void)
{
    PyObject *function = PyCFunction_New(&look_method, NULL);

    return Py_BuildValue("{sNsO}", "look", function, "__builtins__", PyEval_GetBuiltins());
}

/* A class refers to itself: what is left of it would be found when garbage is collected next. */
static void forget(PyObject *names)
{
    PyObject *type = PyDict_GetItemString(names, "C");

    Py_XINCREF(type);
    PyDict_Clear(names); /* the functions have it for their globals */
    if (type != NULL)
        Py_TYPE(type)->tp_clear(type);
    Py_XDECREF(type);
    Py_DECREF(names);
}

int sampler_check(char *why, size_t why_size)
{
    PyObject *code = Py_CompileString(text, "<pyrec>", Py_file_input);
    PyObject *names = names_of_text();
    PyObject *result = NULL;

    is_as_seen = true;
    if (code != NULL && names != NULL)
        result = PyEval_EvalCode(code, names, names);
    if (names != NULL)
        forget(names);
    is_as_seen = is_as_seen && result != NULL;
    Py_XDECREF(result);
    Py_XDECREF(code);
    PyErr_Clear();
    if (is_as_seen)
        return 0;
    snprintf(why, why_size, "this interpreter keeps its frames elsewhere than CPython %s does",
             PY_VERSION);
    return -1;
}
