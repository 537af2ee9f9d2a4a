#include "recorder/codes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/trace/encode.h"
#include "recorder/callables.h"
#include "recorder/codes_known.h"
#include "recorder/cost.h"
#include "recorder/echo.h"
#include "recorder/facts.h"
#include "recorder/files.h"
#include "recorder/recorder.h"
#include "recorder/texts.h"

/* What a code object gets when there is no memory for its own. */
static struct code_info not_wanted;

/* All others come from blocks, which stay: code objects come by the thousand, and go again. */
#define BLOCK_INFOS 127

struct info_block {
    struct info_block *next;
    struct code_info infos[BLOCK_INFOS];
};

static struct info_block *blocks;
static struct code_info *free_infos;

void (*codes_released)(uint32_t sampled);

static void put_back(struct code_info *info)
{
    info->next_free = free_infos;
    free_infos = info;
}

static bool make_infos(void)
{
    struct info_block *block = calloc(1, sizeof *block);

    if (block == NULL)
        return false;
    block->next = blocks;
    blocks = block;
    for (size_t i = BLOCK_INFOS; i-- > 0;)
        put_back(&block->infos[i]);
    return true;
}

static void release_info(void *released)
{
    struct code_info *info = released;

    if (info->sampled != 0 && codes_released != NULL)
        codes_released(info->sampled);
    info->sampled = 0;
    put_back(info);
}

/* A new one, on the code object. NULL: no memory. */
static struct code_info *new_info(PyCodeObject *code)
{
    struct code_info *info;

    if (free_infos == NULL && !make_infos())
        return NULL;
    info = free_infos;
    free_infos = info->next_free;
    memset(info, 0, sizeof *info);
    if (codes_extra_set(code, info))
        return info;
    put_back(info);
    return NULL;
}

int codes_init(char *why, size_t why_size)
{
    return codes_extra_init(release_info, why, why_size);
}

/* Strings. */

struct known_string {
    char *text; /* owned */
    size_t size;
    uint32_t number;
};

static struct {
    struct known_string *items;
    size_t count;
} strings;

/* Few and rarely asked for: a linear search is enough, the latest first. */
static uint32_t find_string(const char *text, size_t size)
{
    for (size_t i = strings.count; i-- > 0;) {
        if (strings.items[i].size == size && memcmp(strings.items[i].text, text, size) == 0)
            return strings.items[i].number;
    }
    return 0;
}

static void remember_string(const char *text, size_t size, uint32_t number)
{
    struct known_string *items = realloc(strings.items, (strings.count + 1) * sizeof *items);
    char *copy = malloc(size + 1);

    if (items != NULL)
        strings.items = items;
    if (items == NULL || copy == NULL) {
        free(copy);
        return;
    }
    memcpy(copy, text, size);
    items[strings.count++] = (struct known_string){copy, size, number};
}

static void forget_strings(void)
{
    for (size_t i = 0; i < strings.count; i++)
        free(strings.items[i].text);
    free(strings.items);
    strings.items = NULL;
    strings.count = 0;
}

#define REMEMBERED_STRINGS 1024

uint32_t codes_string(const char *text, size_t size)
{
    uint32_t number = find_string(text, size);
    struct fact fact;

    if (number != 0)
        return number;
    number = facts_next_number();
    fact_init(&fact);
    fact_put_uint(&fact, number);
    fact_put_string(&fact, text, size);
    facts_write(TRACE_FACT_STRING, &fact);
    echo_define_string(number, text, size);
    if (strings.count < REMEMBERED_STRINGS)
        remember_string(text, size, number);
    return number;
}

/* Code objects. */

struct text {
    const char *bytes;
    size_t size;
    char *copy; /* owned; NULL: the bytes are the object's */
};

static struct text text_of(PyObject *object)
{
    struct text text = {NULL, 0, NULL};

    if (object != NULL && PyUnicode_Check(object) && PyUnicode_IS_COMPACT_ASCII(object)) {
        text.bytes = (const char *)PyUnicode_1BYTE_DATA(object);
        text.size = (size_t)PyUnicode_GET_LENGTH(object);
    } else if (object != NULL) {
        text.bytes = text.copy = files_text(object, &text.size);
    }
    return text;
}

static PyObject *module_name(PyObject *globals)
{
    PyObject *name;

    if (globals == NULL || !PyDict_Check(globals))
        return NULL;
    name = PyDict_GetItemString(globals, "__name__");
    return name != NULL && PyUnicode_Check(name) ? name : NULL;
}

static bool is_toplevel(const PyCodeObject *code)
{
    return PyUnicode_GET_LENGTH(code->co_name) == sizeof "<module>" - 1 &&
           PyUnicode_CompareWithASCIIString(code->co_name, "<module>") == 0;
}

/* A class body: neither optimized (as functions are) nor on top. */
static bool is_class_body(const PyCodeObject *code)
{
    return (code->co_flags & (CO_OPTIMIZED | CO_NEWLOCALS)) == 0 && !is_toplevel(code);
}

static bool is_generator(const PyCodeObject *code)
{
    return (code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)) != 0;
}

/* As the trace has it: never negative. */
static int first_line_of(const PyCodeObject *code)
{
    return code->co_firstlineno > 0 ? code->co_firstlineno : 0;
}

/* No step between two lines needs more. */
#define STEP_SIZE_MAX 5

static void put_lines(struct fact *fact, PyCodeObject *code)
{
    size_t count;
    const int *lines = codes_lines(code, &count);
    int previous = first_line_of(code);
    uint8_t *at = fact_room(fact, TRACE_VARINT_SIZE_MAX + count * STEP_SIZE_MAX);

    if (at == NULL)
        return;
    at = trace_put_varint(at, count);
    for (size_t i = 0; i < count; i++) {
        at = trace_put_svarint(at, (int64_t)lines[i] - previous);
        previous = lines[i];
    }
    fact_end(fact, at);
}

static PyObject *filename_hook; /* owned; NULL: none */

/* What the names of a code object are, for as long as it is being defined. */
struct code_texts {
    struct text name, qualname, module;
};

struct definition {
    const struct file_info *file;
    PyObject *module;       /* borrowed, may be NULL */
    uint32_t parent_number; /* 0: not nested in anything known */
};

static void define_echo(PyCodeObject *code, uint32_t number, const struct definition *d)
{
    size_t size = 0;
    char *qualname =
        recorder.settings.echo ? files_text(pycompat_code_qualname(code), &size) : NULL;

    if (qualname != NULL)
        echo_define_code(number, d->file->number, qualname, size);
    free(qualname);
}

static uint64_t code_flags(const PyCodeObject *code)
{
    return (is_generator(code) ? TRACE_CODE_GENERATOR : 0u) |
           (is_toplevel(code) ? TRACE_CODE_MODULE : 0u) |
           (is_class_body(code) ? TRACE_CODE_CLASS : 0u);
}

/* Everything but the lines. */
static void put_code(struct fact *fact, const PyCodeObject *code, uint32_t number,
                     const struct definition *d, const struct code_texts *texts)
{
    size_t size = texts->name.size + texts->qualname.size + texts->module.size;
    uint8_t *at = fact_room(fact, size + 8 * TRACE_VARINT_SIZE_MAX);

    if (at == NULL)
        return;
    at = trace_put_varint(at, number);
    at = trace_put_varint(at, d->parent_number != 0 ? (uint64_t)d->parent_number + 1 : 0);
    at = trace_put_varint(at, d->file->number);
    at = trace_put_varint(at, (uint64_t)first_line_of(code));
    at = trace_put_varint(at, code_flags(code));
    at = trace_put_string(at, texts->name.bytes, texts->name.size);
    at = trace_put_string(at, texts->qualname.bytes, texts->qualname.size);
    at = trace_put_string(at, texts->module.bytes, texts->module.size);
    fact_end(fact, at);
}

static bool write_code_fact(PyCodeObject *code, uint32_t number, const struct definition *d,
                            const struct code_texts *texts)
{
    struct fact fact;

    fact_init(&fact);
    put_code(&fact, code, number, d, texts);
    put_lines(&fact, code);
    define_echo(code, number, d);
    return facts_write(TRACE_FACT_CODE, &fact);
}

/* Of all that the fact is made from; the number aside. */
static struct codes_digest digest_of(PyCodeObject *code, const struct definition *d,
                                     const struct code_texts *texts)
{
    const uint64_t numbers[] = {d->parent_number, d->file->number, code_flags(code),
                                (uint64_t)code->co_firstlineno,
                                (uint64_t)pycompat_code_prologue(code)};
    PyObject *table = pycompat_code_line_table(code);
    bool has_table = table != NULL && PyBytes_Check(table);
    const struct codes_part parts[] = {
        {numbers, sizeof numbers},
        {texts->name.bytes, texts->name.size},
        {texts->qualname.bytes, texts->qualname.size},
        {texts->module.bytes, texts->module.size},
        {has_table ? PyBytes_AS_STRING(table) : NULL,
         has_table ? (size_t)PyBytes_GET_SIZE(table) : 0},
    };

    return codes_known_digest(parts, sizeof parts / sizeof *parts, recorder.sink.mark);
}

/* The number of the code in the trace, which has its fact then. 0: it could not be written. */
static uint32_t number_of(PyCodeObject *code, const struct definition *d)
{
    struct code_texts texts = {text_of(code->co_name), text_of(pycompat_code_qualname(code)),
                               text_of(d->module)};
    uint32_t *place = codes_known_place(digest_of(code, d, &texts));
    uint32_t number = place != NULL ? *place : 0;

    if (number == 0) {
        number = facts_next_number();
        if (!write_code_fact(code, number, d, &texts))
            number = 0; /* no event may name what no fact defines */
        if (place != NULL)
            *place = number;
    }
    free(texts.name.copy);
    free(texts.qualname.copy);
    free(texts.module.copy);
    return number;
}

/* The number as it stands in every CALL. */
static void encode_number(struct code_info *info)
{
    uint8_t operand[TRACE_VARINT_SIZE_MAX] = {0};

    info->operand_size = (uint8_t)(trace_put_varint(operand, info->number) - operand);
    memcpy(&info->operand, operand, sizeof info->operand);
}

static const struct code_info *attach_info(PyCodeObject *code, uint32_t number, bool wanted)
{
    struct code_info *info = codes_extra_get(code);

    if (info == NULL)
        info = new_info(code);
    if (info == NULL) {
        recorder_halt(); /* no memory: what cannot be told must not pass for not called */
        return &not_wanted;
    }
    info->number = number;
    encode_number(info);
    info->first_line = first_line_of(code);
    info->wanted = wanted;
    info->generator = is_generator(code);
    info->is_stale = false;
    return info;
}

static const struct code_info *define(PyCodeObject *code, const struct definition *d);

static bool is_undefined(PyCodeObject *code)
{
    const struct code_info *info = codes_extra_get(code);

    return info == NULL || info->is_stale;
}

/* Nesting is as deep as the source's, which the compiler has bounded. */
static void define_nested(PyCodeObject *code, const struct definition *outer, uint32_t number)
{
    struct definition d = {outer->file, outer->module, number};
    PyObject *constants = code->co_consts;

    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(constants); i++) {
        PyObject *constant = PyTuple_GET_ITEM(constants, i);

        if (PyCode_Check(constant) && is_undefined((PyCodeObject *)constant))
            define((PyCodeObject *)constant, &d);
    }
}

static const struct code_info *define(PyCodeObject *code, const struct definition *d)
{
    uint32_t number = number_of(code, d);
    const struct code_info *info;

    if (number == 0)
        return &not_wanted;
    info = attach_info(code, number, true);
    if (info->wanted && filename_hook == NULL) /* which names each for itself */
        define_nested(code, d, number);
    return info;
}

void codes_set_filename_hook(PyObject *hook)
{
    PyObject *old = filename_hook;

    Py_XINCREF(hook);
    filename_hook = hook;
    Py_XDECREF(old);
}

bool codes_is_wanted(PyCodeObject *code)
{
    if (filename_hook != NULL)
        return !files_is_own(code->co_filename);
    return files_is_wanted(code->co_filename);
}

/* What went wrong is told as for a destructor; an interrupt must reach the program, though. */
static void report_hook(void)
{
    PyObject *type = PyErr_Occurred();

    if (PyErr_GivenExceptionMatches(type, PyExc_Exception)) {
        PyErr_WriteUnraisable(filename_hook);
    } else {
        PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), type);
        PyErr_Clear();
    }
}

/* A new reference: what the hook calls the file, or what the code does. */
static PyObject *filename_of(PyCodeObject *code, const pycompat_frame *frame)
{
    PyObject *name = NULL;
    PyFrameObject *object = filename_hook != NULL && frame != NULL && !texts_hold_gil
                                ? pycompat_frame_object(frame)
                                : NULL;

    if (object != NULL && !files_is_own(code->co_filename)) {
        pycompat_enter_silence(PyThreadState_Get());
        name = PyObject_CallFunctionObjArgs(filename_hook, object, NULL);
        pycompat_leave_silence(PyThreadState_Get());
        if (name == NULL)
            report_hook();
        else if (!PyUnicode_Check(name))
            Py_CLEAR(name);
    }
    Py_XDECREF(object);
    if (name == NULL) {
        name = code->co_filename;
        Py_INCREF(name);
    }
    return name;
}

static void forget_info(struct code_info *info)
{
    info->number = 0;
    info->wanted = false;
    info->is_stale = true;
    if (info->sampled != 0 && codes_released != NULL)
        codes_released(info->sampled);
    info->sampled = 0;
}

void codes_forget(void)
{
    for (struct info_block *block = blocks; block != NULL; block = block->next) {
        for (size_t i = 0; i < BLOCK_INFOS; i++)
            forget_info(&block->infos[i]);
    }
    codes_set_filename_hook(NULL);
    codes_known_forget();
    echo_forget();
    forget_strings();
    callables_forget();
    files_forget();
}

/* `frame` may be NULL. */
static const struct code_info *define_with(PyCodeObject *code, const pycompat_frame *frame,
                                           PyObject *globals)
{
    struct definition d = {.module = module_name(globals)};
    const struct code_info *info = &not_wanted;
    PyObject *filename;
    uint64_t begun;
    bool wanted;

    if (!recorder.active) /* a child that is left out: nothing of it may get into the trace */
        return &not_wanted;
    begun = cost_begin();
    filename = filename_of(code, frame);
    wanted = files_is_wanted(filename);
    if (wanted)
        d.file = files_define(code, filename, globals, is_toplevel(code));
    Py_DECREF(filename);
    if (!wanted)
        info = attach_info(code, 0, false);
    else if (d.file != NULL)
        info = is_undefined(code) ? define(code, &d) : codes_extra_get(code);
    cost_end(COST_DEFINING, begun);
    PyErr_Clear(); /* no callback is entered with an exception set, and none may leave one */
    return info;
}

const struct code_info *codes_define(PyCodeObject *code, const pycompat_frame *frame)
{
    return define_with(code, frame, frame != NULL ? pycompat_frame_globals(frame) : NULL);
}

const struct code_info *codes_define_in(PyCodeObject *code, PyObject *globals)
{
    return define_with(code, NULL, globals);
}
