/* floor.c - the least that a hook on every line, call and return can cost: one that does nothing.
 *
 * floor.start() arms it in all threads: PyEval_SetTrace up to CPython 3.11; from 3.12 the events that the recorder
 * asks sys.monitoring for, with an ordinary built-in function. bench.py builds it.
 */
#include <Python.h>

#if PY_VERSION_HEX < 0x030C0000
#include <frameobject.h>

static int nothing(PyObject *self, PyFrameObject *frame, int what, PyObject *argument)
{
    (void)self, (void)frame, (void)what, (void)argument;
    return 0;
}

/* What threading.settrace() is given: at a new thread's first event it puts the empty function in its own place. */
static PyObject *arm(PyObject *self, PyObject *arguments)
{
    (void)self, (void)arguments;
    PyEval_SetTrace(nothing, NULL);
    Py_RETURN_NONE;
}

static PyMethodDef arm_method = {"arm", arm, METH_VARARGS, NULL};

static PyObject *start(PyObject *self, PyObject *none)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *function = PyCFunction_New(&arm_method, NULL);
    PyObject *done = threading && function ? PyObject_CallMethod(threading, "settrace", "O", function) : NULL;

    (void)self, (void)none;
    Py_XDECREF(threading);
    Py_XDECREF(function);
    if (done)
        PyEval_SetTrace(nothing, NULL);
    return done;
}
#else
static PyObject *nothing(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    (void)self, (void)arguments, (void)count;
    Py_RETURN_NONE;
}

static PyMethodDef callback = {"nothing", (PyCFunction)(void (*)(void))nothing, METH_FASTCALL, NULL};

static const char *const names[] = {"PY_START", "PY_RESUME", "PY_RETURN", "PY_YIELD",
                                    "LINE",     "PY_THROW",  "PY_UNWIND", "RAISE"};

/* The bit of an event, or -1. */
static long event_bit(PyObject *monitoring, const char *name)
{
    PyObject *events = PyObject_GetAttrString(monitoring, "events");
    PyObject *value = events ? PyObject_GetAttrString(events, name) : NULL;
    long bit = value ? PyLong_AsLong(value) : -1;

    Py_XDECREF(events);
    Py_XDECREF(value);
    return bit;
}

static PyObject *start(PyObject *self, PyObject *none)
{
    PyObject *monitoring = PySys_GetObject("monitoring"); /* borrowed */
    PyObject *function = PyCFunction_New(&callback, NULL);
    PyObject *done = NULL;
    long all = 0;

    (void)self, (void)none;
    if (monitoring && function)
        done = PyObject_CallMethod(monitoring, "use_tool_id", "is", 3, "floor");
    for (size_t i = 0; done && i < sizeof names / sizeof *names; i++) {
        long bit = event_bit(monitoring, names[i]);

        Py_DECREF(done);
        done = bit > 0 ? PyObject_CallMethod(monitoring, "register_callback", "ilO", 3, bit, function) : NULL;
        all |= bit;
    }
    if (done) {
        Py_DECREF(done);
        done = PyObject_CallMethod(monitoring, "set_events", "il", 3, all);
    }
    Py_XDECREF(function);
    return done;
}
#endif

static PyMethodDef methods[] = {{"start", start, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "floor", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_floor(void)
{
    return PyModule_Create(&module);
}
