#include "recorder/sampler_names.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/events.h"
#include "recorder/files.h"
#include "recorder/pycompat.h"
#include "recorder/recorder.h"

/* Names not taken yet; a thread that never runs leaves its own, so there is a bound. */
#define NAMES_MAX 4096

struct name {
    uint64_t id;
    char *text; /* owned */
    size_t size;
};

static struct {
    pthread_mutex_t lock;
    struct name items[NAMES_MAX]; /* a ring */
    size_t next;
} names = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note(uint64_t id, char *text, size_t size)
{
    struct name *name;

    pthread_mutex_lock(&names.lock);
    name = &names.items[names.next++ % NAMES_MAX];
    free(name->text);
    *name = (struct name){id, text, size};
    pthread_mutex_unlock(&names.lock);
}

char *sampler_names_take(uint64_t id, size_t *size)
{
    char *text = NULL;

    *size = 0;
    pthread_mutex_lock(&names.lock);
    for (size_t i = 0; i < NAMES_MAX && text == NULL; i++) {
        struct name *name = &names.items[i];

        if (name->text != NULL && name->id == id) {
            text = name->text;
            *size = name->size;
            *name = (struct name){0};
        }
    }
    pthread_mutex_unlock(&names.lock);
    return text;
}

void sampler_names_after_fork(void)
{
    pthread_mutex_init(&names.lock, NULL);
}

/* --- Threads that start --- */

/* The name of the threading.Thread whose method is to be run. Owned by the caller; NULL: none. */
static char *name_behind(PyObject *function, size_t *size)
{
    PyObject *self =
        function != NULL && PyMethod_Check(function) ? PyMethod_GET_SELF(function) : NULL;
    PyObject *key, *name;
    char *text;

    if (self == NULL || Py_TYPE(self)->tp_getattro != PyObject_GenericGetAttr)
        return NULL; /* looking it up might run the program's code */
    key = PyUnicode_FromString("_name");
    name = key != NULL ? PyObject_GenericGetAttr(self, key) : NULL;
    text = name != NULL ? files_text(name, size) : NULL;
    Py_XDECREF(key);
    Py_XDECREF(name);
    PyErr_Clear();
    return text;
}

/* The thread states made since `known` was the newest: they are of the thread just started, unless
 * C code brought its own. */
static void note_newest(PyThreadState *known, char *text, size_t size)
{
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Main());

    if (state != NULL && state != known && text != NULL)
        note(PyThreadState_GetID(state), text, size);
    else
        free(text);
}

static bool is_main_interpreter(void)
{
    return PyThreadState_Get()->interp == PyInterpreterState_Main();
}

static PyCFunction real_start; /* of _thread.start_new_thread */

static PyObject *start_new_thread(PyObject *self, PyObject *arguments)
{
    PyThreadState *known = PyInterpreterState_ThreadHead(PyInterpreterState_Main());
    size_t size = 0;
    char *text = NULL;
    PyObject *result;

    if (recorder.running && is_main_interpreter() && PyTuple_Check(arguments) &&
        PyTuple_GET_SIZE(arguments) > 0)
        text = name_behind(PyTuple_GET_ITEM(arguments, 0), &size);
    result = real_start(self, arguments);
    if (result != NULL)
        note_newest(known, text, size);
    else
        free(text);
    return result;
}

static PyCFunctionWithKeywords real_start_joinable; /* of _thread.start_joinable_thread (3.13) */

static PyObject *start_joinable_thread(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    PyThreadState *known = PyInterpreterState_ThreadHead(PyInterpreterState_Main());
    size_t size = 0;
    char *text = NULL;
    PyObject *result;

    if (recorder.running && is_main_interpreter() && PyTuple_Check(arguments) &&
        PyTuple_GET_SIZE(arguments) > 0)
        text = name_behind(PyTuple_GET_ITEM(arguments, 0), &size);
    result = real_start_joinable(self, arguments, keywords);
    if (result != NULL)
        note_newest(known, text, size);
    else
        free(text);
    return result;
}

static PyMethodDef *method_of(const char *name)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *module = PyDict_GetItemString(modules, "_thread");
    PyObject *function = module != NULL && PyModule_Check(module)
                             ? PyDict_GetItemString(PyModule_GetDict(module), name)
                             : NULL;

    return function != NULL && PyCFunction_Check(function) ? ((PyCFunctionObject *)function)->m_ml
                                                           : NULL;
}

static void replace_starters(void)
{
    PyMethodDef *start = method_of("start_new_thread");
    PyMethodDef *joinable = method_of("start_joinable_thread");

    if (start != NULL && real_start == NULL && start->ml_flags == METH_VARARGS) {
        real_start = start->ml_meth;
        start->ml_meth = start_new_thread;
    }
    if (joinable != NULL && real_start_joinable == NULL &&
        joinable->ml_flags == (METH_VARARGS | METH_KEYWORDS)) {
        real_start_joinable = (PyCFunctionWithKeywords)(void (*)(void))joinable->ml_meth;
        joinable->ml_meth = (PyCFunction)(void (*)(void))start_joinable_thread;
    }
}

/* --- Threads that run already --- */

static void note_running(PyThreadState *state, bool is_main)
{
    pycompat_frame *frame = pycompat_current_frame(state);
    size_t size = 0;
    char *text;

    if (frame != NULL && !pycompat_frame_is_real(frame))
        frame = pycompat_frame_caller(frame);
    text = is_main ? strdup("MainThread") : frame != NULL ? events_thread_name(frame, &size) : NULL;
    if (text != NULL)
        note(PyThreadState_GetID(state), text, is_main ? strlen(text) : size);
}

void sampler_names_init(void)
{
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Main());

    replace_starters();
    for (; state != NULL; state = PyThreadState_Next(state))
        note_running(state, PyThreadState_Next(state) == NULL); /* the oldest is the last */
}
