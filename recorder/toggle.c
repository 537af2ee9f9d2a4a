#include "recorder/toggle.h"

#include <stdio.h>

#include "recorder/clock.h"
#include "recorder/facts.h"
#include "recorder/pycompat.h"
#include "recorder/recorder.h"
#include "recorder/replaced.h"
#include "recorder/session.h"

static bool taken;

static PyObject *toggle(PyObject *self, PyObject *arguments)
{
    (void)self, (void)arguments;
    if (!session_resume())
        session_pause();
    Py_RETURN_NONE;
}

static PyMethodDef toggle_method = {"toggle", toggle, METH_VARARGS, NULL};

static bool is_ours(PyObject *handler)
{
    return PyCFunction_Check(handler) && ((PyCFunctionObject *)handler)->m_ml == &toggle_method;
}

/* Once is enough: whether the program gives it back, nobody asks. */
static void note_taken(void)
{
    struct fact fact;

    if (taken || !recorder.active || recorder.forked)
        return;
    taken = true;
    fact_init(&fact);
    fact_put_uint(&fact, (uint64_t)recorder.settings.toggle_signal);
    fact_put_uint(&fact, clock_ticks());
    facts_write(TRACE_FACT_TAKEN, &fact);
}

static struct replaced real_signal;

/* _signal.signal(), which is signal.signal() in the end, of a number and a handler. */
static PyObject *set_handler(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *old = ((_PyCFunctionFast)(void (*)(void))real_signal.real)(self, args, count);

    if (old != NULL && PyLong_Check(args[0]) &&
        PyLong_AsLong(args[0]) == recorder.settings.toggle_signal && !is_ours(args[1]))
        note_taken();
    return old;
}

static void watch(PyObject *set)
{
    if (PyCFunction_Check(set) && PyCFunction_GET_FLAGS(set) == METH_FASTCALL)
        replaced_put(&real_signal, set, (PyCFunction)(void (*)(void))set_handler);
}

bool toggle_was_taken(void)
{
    return taken;
}

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
    if (old != NULL) {
        watch(set);
        return 0;
    }
    PyErr_Clear();
    snprintf(why, why_size, "the interpreter takes no handler for signal %d", number);
    return -1;
}
