#include "recorder/toggle.h"

#include <stdio.h>

#include "recorder/pycompat.h"
#include "recorder/recorder.h"
#include "recorder/replaced.h"
#include "recorder/session.h"

static PyObject *toggle(PyObject *self, PyObject *arguments)
{
    (void)self, (void)arguments;
    if (!session_resume())
        session_pause();
    Py_RETURN_NONE;
}

static PyMethodDef toggle_method = {"toggle", toggle, METH_VARARGS, NULL};

int toggle_attach(char *why, size_t why_size)
{
    int number = recorder.settings.toggle_signal;
    PyObject *set = number != 0 ? replaced_find("_signal", "signal") : NULL;
    PyObject *handler = number != 0 ? PyCFunction_New(&toggle_method, NULL) : NULL;
    PyObject *old = NULL;

    if (number == 0)
        return 0;
    if (set != NULL && handler != NULL)
        old = PyObject_CallFunction(set, "iO", number, handler);
    Py_XDECREF(handler);
    Py_XDECREF(old);
    if (old != NULL)
        return 0;
    PyErr_Clear();
    snprintf(why, why_size, "the interpreter takes no handler for signal %d", number);
    return -1;
}
