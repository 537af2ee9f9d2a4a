/* module.c - what Python sees of the recorder: the extension module `pyrec._recorder`.
 *
 * The same shared object that preload.so loads. Names and signatures here are private to the
 * package `pyrec` (recorder/python), which has the documented interface and most of its checks. */
#include "recorder/pycompat.h"

#include <stdlib.h>

#include "recorder/codes.h"
#include "recorder/files.h"
#include "recorder/recorder.h"
#include "recorder/session.h"

static PyObject *error; /* pyrec.Error, owned */

static bool is_main_interpreter(void)
{
    if (PyThreadState_Get()->interp == PyInterpreterState_Main())
        return true;
    PyErr_SetString(error, "pyrec records the main interpreter only, not a subinterpreter");
    return false;
}

/* An array of C strings out of a sequence of bytes objects, which it borrows from. */
static char **arguments_of(PyObject *tuple)
{
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    char **argv = PyMem_Calloc((size_t)count + 1, sizeof *argv);

    if (argv == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(tuple, i), &argv[i], NULL) < 0) {
            PyMem_Free(argv);
            return NULL;
        }
    }
    return argv;
}

static PyObject *module_start(PyObject *self, PyObject *args)
{
    PyObject *arguments;
    unsigned long keeper;
    int in_memory, for_windows, status;
    char why[2048] = "";
    struct session_options options;

    (void)self;
    if (!PyArg_ParseTuple(args, "O!ppk:start", &PyTuple_Type, &arguments, &in_memory, &for_windows,
                          &keeper) ||
        !is_main_interpreter())
        return NULL;
    options = (struct session_options){arguments_of(arguments), in_memory, for_windows, keeper};
    if (options.argv == NULL)
        return NULL;
    status = session_start(&options, why, sizeof why);
    PyMem_Free(options.argv);
    if (status < 0)
        return PyErr_Format(error, "%s", why);
    return PyBool_FromLong(status);
}

/* For functions that say whether they could. */
static PyObject *done(bool could, const char *why)
{
    if (!could)
        return PyErr_Format(error, "%s", why);
    Py_RETURN_NONE;
}

static PyObject *module_stop(PyObject *self, PyObject *keep)
{
    int wait = PyObject_IsTrue(keep);

    (void)self;
    if (wait < 0)
        return NULL;
    return done(session_stop(wait), "nothing is being recorded that this program has begun");
}

static PyObject *module_pause(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    return done(session_pause(), "nothing is being recorded that could be paused");
}

static PyObject *module_resume(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    return done(session_resume(), "there was no pause() that this could be the end of");
}

static PyObject *module_mark(PyObject *self, PyObject *text)
{
    size_t size = 0;
    char *bytes;
    bool marked;

    (void)self;
    if (!PyUnicode_Check(text))
        return PyErr_Format(PyExc_TypeError, "a mark is a str, not %s", Py_TYPE(text)->tp_name);
    bytes = files_text(text, &size);
    if (bytes == NULL)
        return PyErr_NoMemory();
    marked = session_mark(bytes, size);
    free(bytes);
    return PyBool_FromLong(marked);
}

static PyObject *module_window_open(PyObject *self, PyObject *args)
{
    PyObject *owner;
    int all_threads;
    size_t size = 0;
    char *bytes;
    uint32_t number;

    (void)self;
    if (!PyArg_ParseTuple(args, "Up:window_open", &owner, &all_threads) || !is_main_interpreter())
        return NULL;
    bytes = files_text(owner, &size);
    if (bytes == NULL)
        return PyErr_NoMemory();
    number = session_open_window(bytes, size, all_threads);
    free(bytes);
    if (number == 0)
        return PyErr_Format(error, "nothing is being recorded that could have a window");
    return PyLong_FromUnsignedLong(number);
}

static PyObject *module_window_close(PyObject *self, PyObject *number)
{
    unsigned long window = PyLong_AsUnsignedLong(number);

    (void)self;
    if (PyErr_Occurred())
        return NULL;
    return done(window <= UINT32_MAX && session_close_window((uint32_t)window),
                "no such window is open");
}

static PyObject *module_state(PyObject *self, PyObject *unused)
{
    PyObject *path;

    (void)self, (void)unused;
    if (!recorder.active)
        Py_RETURN_NONE;
    path = PyUnicode_DecodeFSDefault(recorder.sink.path);
    return Py_BuildValue("(NNNN)", path, PyBool_FromLong(recorder.is_guest),
                         PyBool_FromLong(recorder.running), PyBool_FromLong(recorder.paused));
}

static PyObject *module_trace_path(PyObject *self, PyObject *unused)
{
    const char *path = session_trace_path();

    (void)self, (void)unused;
    if (path == NULL)
        Py_RETURN_NONE;
    return PyUnicode_DecodeFSDefault(path);
}

static PyObject *module_set_filename_hook(PyObject *self, PyObject *hook)
{
    (void)self;
    codes_set_filename_hook(hook != Py_None ? hook : NULL);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"start", module_start, METH_VARARGS,
     "start(arguments: tuple[bytes], in_memory, for_windows, keeper: int) -> bool: begins a "
     "recording "
     "with the options of a pyrec command line, or joins the one that goes on (False)."},
    {"stop", module_stop, METH_O, "stop(keep): the end of one start()."},
    {"pause", module_pause, METH_NOARGS, "Nothing is recorded from now on."},
    {"resume", module_resume, METH_NOARGS, "The end of one pause()."},
    {"mark", module_mark, METH_O, "mark(text): True if it is in the trace."},
    {"window_open", module_window_open, METH_VARARGS,
     "window_open(owner: str, all_threads: bool) -> int: begins a span of the trace that belongs "
     "to "
     "owner."},
    {"window_close", module_window_close, METH_O, "window_close(window: int): ends it."},
    {"trace_path", module_trace_path, METH_NOARGS,
     "The trace being recorded, or the last one in memory, or None."},
    {"set_filename_hook", module_set_filename_hook, METH_O,
     "set_filename_hook(function or None): names the file of the code that runs in a frame."},
    {"state", module_state, METH_NOARGS,
     "None, or (path, begun by this program, running, paused)."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pyrec._recorder",
    .m_doc = "The recorder of pyrec in this process.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__recorder(void);

PyMODINIT_FUNC PyInit__recorder(void)
{
    PyObject *module = PyModule_Create(&definition);

    if (error == NULL)
        error = PyErr_NewExceptionWithDoc(
            "pyrec.Error", "What pyrec cannot do, and why, in one sentence.", NULL, NULL);
    if (module != NULL && error != NULL &&
        PyDict_SetItemString(PyModule_GetDict(module), "Error", error) == 0 &&
        PyModule_AddStringConstant(module, "version", PYREC_VERSION) == 0)
        return module;
    Py_XDECREF(module);
    return NULL;
}
