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

/* The Python frames among the `count` raw ones are those of the interpreter, and there are two. */
static bool compare(const struct layout_frame *raw, int count)
{
    PyFrameObject *frame = PyEval_GetFrame();
    int frames = 0;

    Py_XINCREF(frame);
    for (int i = 0; i < count; i++) {
        PyFrameObject *caller;

        if (raw[i].code == 0)
            continue;
        if (frame == NULL || !fits(&raw[i], frame))
            break;
        caller = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = caller;
        frames++;
    }
    if (frame == NULL)
        return frames >= 2;
    Py_DECREF(frame);
    return false;
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
        is_as_seen = count > 0 && compare(raw, more ? 0 : count);
    }
    sampler_memory_fini(&memory);
    Py_RETURN_NONE;
}

static PyMethodDef look_method = {"look", look, METH_NOARGS, NULL};

int sampler_check(char *why, size_t why_size)
{
    PyObject *code =
        Py_CompileString("def f():\n\n x = 1\n look()\n\nf()\n", "<pyrec>", Py_file_input);
    PyObject *function = PyCFunction_New(&look_method, NULL);
    PyObject *names = function != NULL ? Py_BuildValue("{sO}", "look", function) : NULL;
    PyObject *result = NULL;

    is_as_seen = false;
    if (code != NULL && names != NULL)
        result = PyEval_EvalCode(code, names, names);
    if (names != NULL)
        PyDict_Clear(names); /* the function in it has it for its globals */
    Py_XDECREF(result);
    Py_XDECREF(code);
    Py_XDECREF(names);
    Py_XDECREF(function);
    PyErr_Clear();
    if (is_as_seen)
        return 0;
    snprintf(why, why_size, "this interpreter keeps its frames elsewhere than CPython %s does",
             PY_VERSION);
    return -1;
}
