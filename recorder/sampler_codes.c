#include "recorder/sampler_codes.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/codes.h"
#include "recorder/recorder.h"
#include "recorder/sampler.h"
#include "recorder/sampler_memory.h"

/* Entries never move: blocks of them. */
#define BLOCK 1024u
#define BLOCKS_MAX 16384u

/* Open addressing over places of entries: 0 free, GONE for one that was taken out. */
struct table {
    uint32_t mask;
    uint32_t filled; /* slots that are not free */
    struct table *retired;
    _Atomic uint32_t slots[];
};

#define GONE UINT32_MAX

static struct {
    _Atomic(struct sampler_code *) blocks[BLOCKS_MAX];
    uint32_t count; /* entries that were ever used; places are 1 .. count */
    uint32_t *free; /* owned: places that can be used again */
    uint32_t free_count, free_room;
    uint32_t living;
    _Atomic(struct table *) table;
    struct table *retired; /* replaced, but the sampler may be in it */
    _Atomic uint64_t generation;
    atomic_bool in_round;
    atomic_bool look_around;
} codes;

static struct sampler_code *entry_at(uint32_t place)
{
    struct sampler_code *block =
        atomic_load_explicit(&codes.blocks[(place - 1) / BLOCK], memory_order_acquire);

    return &block[(place - 1) % BLOCK];
}

static uint32_t hash_address(uintptr_t address)
{
    return (uint32_t)((address >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32);
}

/* --- The table, under the GIL --- */

static struct table *table_new(uint32_t slots)
{
    struct table *table = calloc(1, sizeof *table + slots * sizeof *table->slots);

    if (table != NULL)
        table->mask = slots - 1;
    return table;
}

static void table_put(struct table *table, uint32_t place)
{
    uint32_t i = hash_address(entry_at(place)->address) & table->mask;

    while (atomic_load_explicit(&table->slots[i], memory_order_relaxed) != 0)
        i = (i + 1) & table->mask;
    atomic_store_explicit(&table->slots[i], place, memory_order_release);
    table->filled++;
}

/* The sampler looks only into the table that was there when its round began, or a later one. */
static void free_retired(void)
{
    if (atomic_load(&codes.in_round))
        return;
    while (codes.retired != NULL) {
        struct table *next = codes.retired->retired;

        free(codes.retired);
        codes.retired = next;
    }
}

static bool rebuild(void)
{
    struct table *old = atomic_load(&codes.table), *made;
    uint32_t slots = 4096;

    while (slots < 4 * (codes.living + 1))
        slots *= 2;
    made = table_new(slots);
    if (made == NULL)
        return false;
    for (uint32_t i = 0; old != NULL && i <= old->mask; i++) {
        uint32_t place = atomic_load_explicit(&old->slots[i], memory_order_relaxed);

        if (place != 0 && place != GONE)
            table_put(made, place);
    }
    atomic_store(&codes.table, made);
    if (old != NULL) {
        old->retired = codes.retired;
        codes.retired = old;
    }
    free_retired();
    return true;
}

static bool has_room(void)
{
    const struct table *table = atomic_load(&codes.table);

    return (table != NULL && 2 * (table->filled + 1) <= table->mask) || rebuild();
}

static void table_remove(uint32_t place)
{
    struct table *table = atomic_load(&codes.table);
    uint32_t i = hash_address(entry_at(place)->address) & table->mask;
    uint32_t found;

    while ((found = atomic_load_explicit(&table->slots[i], memory_order_relaxed)) != 0) {
        if (found == place) {
            atomic_store_explicit(&table->slots[i], GONE, memory_order_release);
            return;
        }
        i = (i + 1) & table->mask;
    }
}

/* --- Entries, under the GIL --- */

/* A place for one more; 0: no memory. */
static uint32_t take_place(void)
{
    uint32_t block = codes.count / BLOCK;

    if (codes.free_count > 0)
        return codes.free[--codes.free_count];
    if (block == BLOCKS_MAX)
        return 0;
    if (codes.count % BLOCK == 0) {
        struct sampler_code *made = calloc(BLOCK, sizeof *made);

        if (made == NULL)
            return 0;
        atomic_store_explicit(&codes.blocks[block], made, memory_order_release);
    }
    return ++codes.count;
}

static void give_back(uint32_t place)
{
    if (codes.free_count == codes.free_room) {
        uint32_t room = codes.free_room != 0 ? 2 * codes.free_room : 256;
        uint32_t *grown = realloc(codes.free, room * sizeof *grown);

        if (grown == NULL)
            return; /* it is not used again */
        codes.free = grown;
        codes.free_room = room;
    }
    codes.free[codes.free_count++] = place;
}

static void released(uint32_t place)
{
    __atomic_store_n(&entry_at(place)->alive, 0, __ATOMIC_SEQ_CST);
    table_remove(place);
    codes.living--;
    give_back(place);
}

/* What the sampler may read while it is written: birth and `alive` say whether it has been. */
#define EACH_MEMBER(X)                                                                             \
    X(address)                                                                                     \
    X(start)                                                                                       \
    X(table)                                                                                       \
    X(table_size)                                                                                  \
    X(size)                                                                                        \
    X(prologue)                                                                                    \
    X(number)                                                                                      \
    X(first_line)

static void describe(struct sampler_code *entry, PyCodeObject *code, const struct code_info *info)
{
    PyObject *table = pycompat_code_line_table(code);
    const struct sampler_code made = {
        .address = (uintptr_t)code,
        .start = pycompat_code_start(code),
        .size = (uint32_t)pycompat_code_size(code),
        .prologue = (uint32_t)pycompat_code_first_traceable(code),
        .table = (uintptr_t)PyBytes_AS_STRING(table),
        .table_size = (uint32_t)PyBytes_GET_SIZE(table),
        .number = info->wanted ? info->number : 0,
        .first_line = info->first_line,
    };

#define PUT_MEMBER(name) __atomic_store_n(&entry->name, made.name, __ATOMIC_RELAXED);
    EACH_MEMBER(PUT_MEMBER)
#undef PUT_MEMBER
}

/* The birth first: who holds a copy of what was here before sees that it is gone. */
static void bear(uint32_t place, PyCodeObject *code, const struct code_info *info)
{
    struct sampler_code *entry = entry_at(place);
    uint64_t birth = atomic_load(&codes.generation) + 1;

    __atomic_store_n(&entry->birth, birth, __ATOMIC_SEQ_CST);
    atomic_thread_fence(memory_order_seq_cst);
    describe(entry, code, info);
    __atomic_store_n(&entry->alive, 1, __ATOMIC_SEQ_CST);
    atomic_store(&codes.generation, birth);
    table_put(atomic_load(&codes.table), place);
    codes.living++;
}

static struct code_info *info_of(PyCodeObject *code, PyObject *globals)
{
    struct code_info *info = codes_extra_get(code);

    if (info != NULL && (info->wanted || !info->is_stale))
        return info;
    return (struct code_info *)codes_define_in(code, globals);
}

static void announce_one(PyCodeObject *code, PyObject *globals)
{
    struct code_info *info = info_of(code, globals);
    uint32_t place;

    /* The one that stands for all without memory hangs on no code, and gets no entry. */
    if (codes_extra_get(code) != info || info->sampled != 0 || !has_room())
        return;
    place = take_place();
    if (place == 0)
        return;
    info->sampled = place;
    bear(place, code, info);
}

void sampler_codes_announce(PyCodeObject *code, PyObject *globals)
{
    PyObject *constants = code->co_consts;

    announce_one(code, globals);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(constants); i++) {
        if (PyCode_Check(PyTuple_GET_ITEM(constants, i)))
            sampler_codes_announce((PyCodeObject *)PyTuple_GET_ITEM(constants, i), globals);
    }
}

/* --- What there is, and what comes --- */

void sampler_codes_look_around(void)
{
    atomic_store_explicit(&codes.look_around, true, memory_order_relaxed);
}

/* With them all code from which a thread may go on. */
static void announce_running(void)
{
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Main());

    for (; state != NULL; state = PyThreadState_Next(state)) {
        for (pycompat_frame *frame = pycompat_recent_frame(state); frame != NULL;
             frame = pycompat_frame_caller(frame))
            sampler_codes_announce(pycompat_frame_code(frame), pycompat_frame_globals(frame));
    }
}

/* Each code that exec() or an import runs, or the interpreter at its beginning, is announced by the
 * interpreter itself, before it runs. */
static PyObject *announced_by(const char *event, PyObject *arguments)
{
    PyObject *code;

    if (strcmp(event, "exec") != 0 || !PyTuple_Check(arguments) || PyTuple_GET_SIZE(arguments) == 0)
        return NULL;
    code = PyTuple_GET_ITEM(arguments, 0);
    return PyCode_Check(code) ? code : NULL;
}

/* Is this the dictionary of the module that `code` is the body of? */
static bool is_module_of(PyObject *object, PyCodeObject *code)
{
    PyObject *file = object != NULL && PyDict_CheckExact(object)
                         ? PyDict_GetItemString(object, "__file__")
                         : NULL;

    return file != NULL && PyUnicode_CheckExact(file) &&
           PyUnicode_Compare(file, code->co_filename) == 0;
}

/* Among the members of a tuple, too. */
static PyObject *module_in(PyObject *object, PyCodeObject *code)
{
    if (object != NULL && PyTuple_CheckExact(object)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); i++) {
            if (is_module_of(PyTuple_GET_ITEM(object, i), code))
                return PyTuple_GET_ITEM(object, i);
        }
    }
    return is_module_of(object, code) ? object : NULL;
}

/* The globals that a module's code is about to run in: no event says, but who runs it has them in a
 * local variable. NULL: not found; then its source is not read. */
static PyObject *find_globals(PyCodeObject *code)
{
    pycompat_frame *frame = pycompat_recent_frame(PyThreadState_Get());
    PyObject *main_module, *found = NULL;

    if (frame == NULL) {
        main_module = PyDict_GetItemString(PyImport_GetModuleDict(), "__main__");
        return main_module != NULL && PyModule_Check(main_module) ? PyModule_GetDict(main_module)
                                                                  : NULL;
    }
    for (int i = 0; found == NULL && i < pycompat_frame_code(frame)->co_nlocals; i++)
        found = module_in(pycompat_frame_local(frame, i), code);
    return found;
}

/* The interpreter is about to go: from now on each moment until the process has ended is one in
 * which daemon threads may run into what has been freed, which is why they must not be prolonged.
 */
static bool is_the_end(const char *event)
{
    return strcmp(event, "cpython._PySys_ClearAuditHooks") == 0 &&
           PyThreadState_Get()->interp == PyInterpreterState_Main();
}

static int on_audit(const char *event, PyObject *arguments, void *unused)
{
    bool look_around = atomic_load_explicit(&codes.look_around, memory_order_relaxed);
    PyObject *type, *value, *traceback, *code;

    (void)unused;
    if (__builtin_expect(event[0] != 'e' && event[0] != 'c' && !look_around, 1) ||
        !recorder.running || recorder.settings.sample_ns == 0)
        return 0;
    if (is_the_end(event)) {
        sampler_stop();
        return 0;
    }
    code = announced_by(event, arguments);
    if ((code == NULL && !look_around) || PyThreadState_Get()->interp != PyInterpreterState_Main())
        return 0;
    PyErr_Fetch(&type, &value, &traceback);
    if (code != NULL)
        sampler_codes_announce((PyCodeObject *)code, find_globals((PyCodeObject *)code));
    if (look_around) {
        atomic_store_explicit(&codes.look_around, false, memory_order_relaxed);
        announce_running();
    }
    PyErr_Restore(type, value, traceback);
    return 0;
}

static int announce_object(PyObject *object, void *unused)
{
    (void)unused;
    if (PyFunction_Check(object))
        sampler_codes_announce((PyCodeObject *)PyFunction_GET_CODE(object),
                               PyFunction_GET_GLOBALS(object));
    return 1;
}

int sampler_codes_init(char *why, size_t why_size)
{
    static bool hooked;

    if (!has_room()) {
        snprintf(why, why_size, "out of memory");
        return -1;
    }
    codes_released = released;
    if (!hooked && PySys_AddAuditHook(on_audit, NULL) < 0) {
        PyErr_Clear();
        snprintf(why, why_size, "an audit hook of the interpreter's refuses ours");
        return -1;
    }
    hooked = true;
    pycompat_visit_objects(announce_object);
    announce_running();
    return 0;
}

/* --- Looking up, in the sampler's thread --- */

void sampler_codes_enter(void)
{
    atomic_store(&codes.in_round, true);
}

void sampler_codes_leave(void)
{
    atomic_store(&codes.in_round, false);
}

uint64_t sampler_codes_generation(void)
{
    return atomic_load(&codes.generation);
}

bool sampler_codes_copy(const struct sampler_code *entry, struct sampler_code *copy)
{
    copy->birth = __atomic_load_n(&entry->birth, __ATOMIC_SEQ_CST);
    copy->alive = __atomic_load_n(&entry->alive, __ATOMIC_SEQ_CST);
    if (copy->alive == 0)
        return false;
#define GET_MEMBER(name) copy->name = __atomic_load_n(&entry->name, __ATOMIC_RELAXED);
    EACH_MEMBER(GET_MEMBER)
#undef GET_MEMBER
    atomic_thread_fence(memory_order_seq_cst);
    return copy->birth == __atomic_load_n(&entry->birth, __ATOMIC_SEQ_CST);
}

const struct sampler_code *sampler_codes_find(uintptr_t address, struct sampler_code *copy)
{
    struct table *table = atomic_load(&codes.table);
    uint32_t i = hash_address(address) & table->mask;
    uint32_t place;

    while ((place = atomic_load_explicit(&table->slots[i], memory_order_acquire)) != 0) {
        if (place != GONE) {
            const struct sampler_code *entry = entry_at(place);

            if (__atomic_load_n(&entry->address, __ATOMIC_RELAXED) == address &&
                sampler_codes_copy(entry, copy) && copy->address == address)
                return entry;
        }
        i = (i + 1) & table->mask;
    }
    return NULL;
}

#define TABLE_MAX (16u << 20)

bool sampler_codes_line(const struct sampler_code *code, int offset, int32_t *line)
{
    unsigned char small[1024], *copy = small;
    bool done = false;

    if (code->table_size > sizeof small)
        copy = code->table_size <= TABLE_MAX ? malloc(code->table_size) : NULL;
    if (copy != NULL && sampler_memory_read(code->table, copy, code->table_size)) {
        int found = codes_line_at(copy, code->table_size, code->first_line, offset);

        *line = found > 0 ? found : code->first_line;
        done = true;
    }
    if (copy != small)
        free(copy);
    return done;
}
