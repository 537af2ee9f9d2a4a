#include "recorder/sampler_names.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/attribute.h"
#include "recorder/events.h"
#include "recorder/pycompat.h"
#include "recorder/recorder.h"
#include "recorder/replaced.h"

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

/* A thread that is about to be started. */
struct start {
    PyThreadState *known; /* the newest thread before */
    char *name;           /* owned; NULL: none */
    size_t name_size;
};

static bool is_main_interpreter(void)
{
    return PyThreadState_Get()->interp == PyInterpreterState_Main();
}

/* What is to be run is a method of the threading.Thread. */
static struct start begin_start(PyObject *arguments)
{
    struct start start = {0};
    PyObject *function = PyTuple_Check(arguments) && PyTuple_GET_SIZE(arguments) > 0
                             ? PyTuple_GET_ITEM(arguments, 0)
                             : NULL;

    if (!recorder.running || !is_main_interpreter())
        return start;
    start.known = PyInterpreterState_ThreadHead(PyInterpreterState_Main());
    if (function != NULL && PyMethod_Check(function))
        start.name = attribute_thread_name(PyMethod_GET_SELF(function), &start.name_size);
    return start;
}

/* The newest thread state now is that of the thread just started, unless C code brought its own. */
static PyObject *end_start(const struct start *start, PyObject *result)
{
    PyThreadState *state = start->name != NULL && result != NULL
                               ? PyInterpreterState_ThreadHead(PyInterpreterState_Main())
                               : start->known;

    if (state != start->known)
        note(PyThreadState_GetID(state), start->name, start->name_size);
    else
        free(start->name);
    return result;
}

static struct replaced real_start;          /* _thread.start_new_thread */
static struct replaced real_start_joinable; /* _thread.start_joinable_thread (3.13) */

static PyObject *start_new_thread(PyObject *self, PyObject *arguments)
{
    struct start start = begin_start(arguments);

    return end_start(&start, real_start.real(self, arguments));
}

static PyObject *start_joinable_thread(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    struct start start = begin_start(arguments);
    PyCFunctionWithKeywords real =
        (PyCFunctionWithKeywords)(void (*)(void))real_start_joinable.real;

    return end_start(&start, real(self, arguments, keywords));
}

static void replace(struct replaced *replaced, const char *name, int flags, PyCFunction ours)
{
    PyObject *function = replaced_find("_thread", name);

    if (function != NULL && PyCFunction_Check(function) && PyCFunction_GET_FLAGS(function) == flags)
        replaced_put(replaced, function, ours);
}

static void replace_starters(void)
{
    replace(&real_start, "start_new_thread", METH_VARARGS, start_new_thread);
    replace(&real_start_joinable, "start_joinable_thread", METH_VARARGS | METH_KEYWORDS,
            (PyCFunction)(void (*)(void))start_joinable_thread);
}

/* --- Threads that run already --- */

static void note_running(PyThreadState *state, bool is_main)
{
    pycompat_frame *frame = pycompat_recent_frame(state);
    size_t size = 0;
    char *text;

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
