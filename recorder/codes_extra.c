#include "recorder/codes_extra.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef PYCOMPAT_EXTRA_IN_TABLE

/* The table before there is one. */
static struct codes_extra none[1];

struct codes_extra *codes_extra_table = none;
size_t codes_extra_mask;

static size_t count;
static void (*on_release)(void *pointer);

static void put(const PyCodeObject *code, void *pointer)
{
    size_t i = codes_extra_place(code);

    while (codes_extra_table[i].code != NULL && codes_extra_table[i].code != code)
        i = (i + 1) & codes_extra_mask;
    count += codes_extra_table[i].code == NULL;
    codes_extra_table[i] = (struct codes_extra){code, pointer};
}

static bool grow(void)
{
    struct codes_extra *old = codes_extra_table;
    size_t slots = codes_extra_mask + 1, room = slots < 4096 ? 4096 : 2 * slots;
    struct codes_extra *table = calloc(room, sizeof *table);

    if (table == NULL)
        return false;
    codes_extra_table = table;
    codes_extra_mask = room - 1;
    count = 0;
    for (size_t i = 0; i < slots; i++) {
        if (old[i].code != NULL)
            put(old[i].code, old[i].pointer);
    }
    if (old != none)
        free(old);
    return true;
}

bool codes_extra_set(PyCodeObject *code, void *pointer)
{
    if (2 * (count + 1) > codes_extra_mask && !grow())
        return false;
    put(code, pointer);
    return true;
}

/* Those behind it that would not be found any more move up. */
static void take_out(size_t gap)
{
    size_t i = gap;

    count--;
    for (;;) {
        size_t home;

        i = (i + 1) & codes_extra_mask;
        if (codes_extra_table[i].code == NULL)
            break;
        home = codes_extra_place(codes_extra_table[i].code);
        if (((i - home) & codes_extra_mask) >= ((i - gap) & codes_extra_mask)) {
            codes_extra_table[gap] = codes_extra_table[i];
            gap = i;
        }
    }
    codes_extra_table[gap] = (struct codes_extra){0};
}

static int on_code_event(PyCodeEvent event, PyCodeObject *code)
{
    size_t i = codes_extra_place(code);
    void *pointer;

    if (event != PY_CODE_EVENT_DESTROY)
        return 0;
    while (codes_extra_table[i].code != code && codes_extra_table[i].code != NULL)
        i = (i + 1) & codes_extra_mask;
    pointer = codes_extra_table[i].pointer;
    if (pointer != NULL) {
        take_out(i);
        on_release(pointer);
    }
    return 0;
}

int codes_extra_init(void (*released)(void *pointer), char *why, size_t why_size)
{
    static int watcher = -1;

    on_release = released;
    if (watcher < 0)
        watcher = PyCode_AddWatcher(on_code_event);
    if (watcher >= 0)
        return 0;
    PyErr_Clear();
    snprintf(why, why_size, "no free code watcher in this interpreter");
    return -1;
}

#else

Py_ssize_t codes_extra_index = -1;

bool codes_extra_set(PyCodeObject *code, void *pointer)
{
    if (pycompat_code_hang(code, codes_extra_index, pointer))
        return true;
    PyErr_Clear();
    return false;
}

static char something; /* to try it with */
static void (*on_release)(void *pointer);

/* Also for code that has room for ours, made by others, and nothing in it. */
static void release(void *pointer)
{
    if (pointer != NULL && pointer != &something)
        on_release(pointer);
}

/* Stores in one way, and looks in both. */
static bool can_be_stored(bool in_place)
{
    PyCodeObject *code = PyCode_NewEmpty("pyrec", "pyrec", 1);
    void *found = NULL;
    bool same = false;

    if (code != NULL && codes_extra_get(code) == NULL) {
        bool stored = in_place ? pycompat_code_hang(code, codes_extra_index, &something)
                               : pycompat_code_set_extra((PyObject *)code, codes_extra_index,
                                                         &something) == 0;

        same = stored &&
               pycompat_code_get_extra((PyObject *)code, codes_extra_index, &found) == 0 &&
               found == &something && codes_extra_get(code) == &something;
    }
    PyErr_Clear();
    Py_XDECREF(code);
    return same;
}

/* Using co_extra in place is right only if the layout is what we think. */
static bool is_where_expected(void)
{
    return can_be_stored(false) && can_be_stored(true);
}

int codes_extra_init(void (*released)(void *pointer), char *why, size_t why_size)
{
    on_release = released;
    if (codes_extra_index < 0)
        codes_extra_index = pycompat_code_extra_index(release);
    if (codes_extra_index < 0) {
        snprintf(why, why_size, "no free co_extra index in this interpreter");
        return -1;
    }
    if (!is_where_expected()) {
        snprintf(why, why_size, "this interpreter keeps co_extra elsewhere than CPython %d.%d does",
                 PY_MAJOR_VERSION, PY_MINOR_VERSION);
        return -1;
    }
    return 0;
}

#endif
