/* floor.c - the least that a hook on every line, call and return can cost: one that does nothing.
 *
 * `import floor` starts it: PyEval_SetTrace up to CPython 3.11, sys.monitoring from 3.12. bench.py builds it.
 */
#include <Python.h>

#if PY_VERSION_HEX < 0x030C0000
#include <frameobject.h>

static int nothing(PyObject *self, PyFrameObject *frame, int what, PyObject *argument)
{
    (void)self, (void)frame, (void)what, (void)argument;
    return 0;
}

static int start(void)
{
    PyEval_SetTrace(nothing, NULL);
    return 0;
}
#else
static PyObject *nothing(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    (void)self, (void)arguments, (void)count;
    Py_RETURN_NONE;
}

static PyMethodDef callback = {"nothing", (PyCFunction)(void (*)(void))nothing, METH_FASTCALL, NULL};

static int start(void)
{
    PyObject *monitoring = PySys_GetObject("monitoring"); /* borrowed */
    PyObject *function = PyCFunction_New(&callback, NULL);
    PyObject *done = NULL;
    /* PY_START 1, PY_RESUME 2, PY_RETURN 4, PY_YIELD 8, LINE 32 */
    const int events[] = {1, 2, 4, 8, 32};
    int all = 0;

    if (monitoring && function)
        done = PyObject_CallMethod(monitoring, "use_tool_id", "is", 4, "floor");
    for (size_t i = 0; done && i < sizeof(events) / sizeof(*events); i++) {
        Py_DECREF(done);
        done = PyObject_CallMethod(monitoring, "register_callback", "iiO", 4, events[i], function);
        all |= events[i];
    }
    if (done) {
        Py_DECREF(done);
        done = PyObject_CallMethod(monitoring, "set_events", "ii", 4, all);
    }
    Py_XDECREF(function);
    Py_XDECREF(done);
    return done ? 0 : -1;
}
#endif

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "floor", NULL, -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_floor(void)
{
    if (start() < 0)
        return NULL;
    return PyModule_Create(&module);
}
