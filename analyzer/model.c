#include "analyzer/model.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/grow.h"
#include "formats/error.h"
#include "formats/trace/pattern.h"

#define UNKNOWN_NAME "<unknown>"
#define OUTSIDE_NAME "<outside>"
#define BUILTIN_NAME "<built-in>"

static struct trace_bytes bytes_of(const char *text)
{
    return (struct trace_bytes){(const uint8_t *)text, strlen(text)};
}

static int compare_bytes(struct trace_bytes a, struct trace_bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.at, b.at, size) : 0;

    return order ? order : a.size < b.size ? -1 : a.size > b.size;
}

/* --- Files --- */

static int compare_files(const void *a, const void *b)
{
    const struct facts_file *x = *(struct facts_file *const *)a,
                            *y = *(struct facts_file *const *)b;
    int order = compare_bytes(x->path, y->path);

    return order ? order : compare_bytes(x->sha256, y->sha256);
}

/* Is the file part of the selection? A NUL in a path cannot be matched: it stands as a byte no
 * pattern has. */
static int is_excluded(const struct pattern_list *patterns, struct trace_bytes path, bool *excluded)
{
    *excluded = false;
    if (!patterns || pattern_list_is_empty(patterns))
        return 0;
    char *text = malloc(path.size + 1);
    if (!text)
        return -1;
    for (size_t i = 0; i < path.size; i++)
        text[i] = path.at[i] ? (char)path.at[i] : '\1';
    text[path.size] = 0;
    *excluded = !pattern_list_includes(patterns, text);
    free(text);
    return 0;
}

static struct model_file *add_file(struct model *model)
{
    struct model_file *grown =
        grow_array(model->files, model->file_count, &model->file_room, sizeof *grown);

    if (!grown)
        return NULL;
    model->files = grown;
    memset(&grown[model->file_count], 0, sizeof *grown);
    return &grown[model->file_count++];
}

static void number_file(struct model *model, struct model_file *file)
{
    if (!file->excluded)
        file->row = ++model->file_rows;
}

static int add_fact_file(struct model *model, const struct facts_file *fact,
                         const struct pattern_list *patterns)
{
    struct model_file *file = add_file(model);

    if (!file)
        return -1;
    *file = (struct model_file){
        .path = fact->path,
        .name = fact->name,
        .sha256 = fact->sha256,
        .origin = fact->origin,
        .size = fact->size,
    };
    if (is_excluded(patterns, fact->path, &file->excluded) < 0)
        return -1;
    number_file(model, file);
    return 0;
}

static int build_files(struct model *model, struct facts_file **files, size_t count,
                       const struct pattern_list *patterns)
{
    if (count)
        qsort(files, count, sizeof *files, compare_files);
    for (size_t i = 0; i < count; i++) {
        if ((i == 0 || compare_files(&files[i - 1], &files[i]) != 0) &&
            add_fact_file(model, files[i], patterns) < 0)
            return -1;
        files[i]->id = (uint32_t)(model->file_count - 1);
    }
    return 0;
}

/* The file `name` of what is in no file. */
static uint32_t special_file(struct model *model, const char *name,
                             const struct pattern_list *patterns)
{
    for (size_t i = model->file_count; i-- > 0;)
        if (compare_bytes(model->files[i].path, bytes_of(name)) == 0 &&
            model->files[i].sha256.size == 0)
            return (uint32_t)i;
    struct model_file *file = add_file(model);
    if (!file || is_excluded(patterns, bytes_of(name), &file->excluded) < 0)
        return MODEL_NONE;
    file->path = file->name = bytes_of(name);
    file->origin = TRACE_ORIGIN_GENERATED;
    number_file(model, file);
    return (uint32_t)(model->file_count - 1);
}

/* --- Functions --- */

static uint32_t code_file(const struct facts_code *code)
{
    return code->file->id;
}

static int compare_codes(const void *a, const void *b)
{
    const struct facts_code *x = *(struct facts_code *const *)a,
                            *y = *(struct facts_code *const *)b;
    uint32_t x_file = code_file(x), y_file = code_file(y);

    if (x_file != y_file)
        return x_file < y_file ? -1 : 1;
    if (x->first_line != y->first_line)
        return x->first_line < y->first_line ? -1 : 1;
    int order = compare_bytes(x->qualname, y->qualname);
    return order ? order : compare_bytes(x->name, y->name);
}

static enum model_kind kind_of(const struct facts_code *code)
{
    if (code->flags & TRACE_CODE_MODULE)
        return MODEL_MODULE;
    if (code->flags & TRACE_CODE_CLASS)
        return MODEL_CLASS;
    return code->flags & TRACE_CODE_GENERATOR ? MODEL_GENERATOR : MODEL_FUNCTION;
}

static struct model_function *add_function(struct model *model)
{
    struct model_function *grown =
        grow_array(model->functions, model->function_count, &model->function_room, sizeof *grown);

    if (!grown)
        return NULL;
    model->functions = grown;
    memset(&grown[model->function_count], 0, sizeof *grown);
    return &grown[model->function_count++];
}

static void number_function(struct model *model, struct model_function *function)
{
    function->excluded = model->files[function->file].excluded;
    if (!function->excluded)
        function->row = ++model->function_rows;
}

static int add_code_function(struct model *model, const struct facts_code *code, size_t first_code)
{
    struct model_function *function = add_function(model);

    if (!function)
        return -1;
    *function = (struct model_function){
        .file = code_file(code),
        .kind = kind_of(code),
        .first_line = code->first_line,
        .name = code->name,
        .qualname = code->qualname,
        .module = code->module,
        .first_code = first_code,
    };
    number_function(model, function);
    return 0;
}

static int build_functions(struct model *model)
{
    struct facts_code **codes = model->codes;

    if (model->code_count)
        qsort(codes, model->code_count, sizeof *codes, compare_codes);
    for (size_t i = 0; i < model->code_count; i++) {
        if ((i == 0 || compare_codes(&codes[i - 1], &codes[i]) != 0) &&
            add_code_function(model, codes[i], i) < 0)
            return -1;
        codes[i]->id = (uint32_t)(model->function_count - 1);
        model->functions[codes[i]->id].code_count++;
    }
    model->code_function_count = model->function_count;
    return 0;
}

/* --- Both --- */

static struct facts_file **collect_files(struct facts *const *facts, size_t count, size_t *total)
{
    size_t each, done = 0;

    *total = 0;
    for (size_t i = 0; i < count; i++) {
        facts_files(facts[i], &each);
        *total += each;
    }
    struct facts_file **files = calloc(*total + 1, sizeof *files);
    for (size_t i = 0; files && i < count; i++) {
        struct facts_file *run = facts_files(facts[i], &each);
        for (size_t k = 0; k < each; k++)
            files[done++] = &run[k];
    }
    return files;
}

/* Code whose FILE record is missing is code of a file <unknown>, given to it here. */
static int adopt_orphan(struct model *model, struct facts_code *code,
                        const struct pattern_list *patterns, struct facts_file **unknown)
{
    if (code->file)
        return 0;
    if (!*unknown) {
        *unknown = arena_take(&model->arena, sizeof **unknown);
        uint32_t id = *unknown ? special_file(model, UNKNOWN_NAME, patterns) : MODEL_NONE;
        if (id == MODEL_NONE)
            return -1;
        (*unknown)->id = id;
    }
    code->file = *unknown;
    return 0;
}

static int collect_codes(struct model *model, struct facts *const *facts, size_t count,
                         const struct pattern_list *patterns)
{
    struct facts_file *unknown = NULL;
    size_t each, total = 0;

    for (size_t i = 0; i < count; i++) {
        facts_codes(facts[i], &each);
        total += each;
    }
    model->codes = calloc(total + 1, sizeof *model->codes);
    if (!model->codes)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct facts_code *run = facts_codes(facts[i], &each);
        for (size_t k = 0; k < each; k++) {
            if (adopt_orphan(model, &run[k], patterns, &unknown) < 0)
                return -1;
            model->codes[model->code_count++] = &run[k];
        }
    }
    return 0;
}

int model_build(struct model *model, struct facts *const *facts, size_t count,
                const struct pattern_list *patterns, struct error *err)
{
    size_t total;

    *model = (struct model){.patterns = patterns};
    model->has_lock = pthread_mutex_init(&model->lock, NULL) == 0;
    if (!model->has_lock)
        return error_set(err, "out of memory");
    struct facts_file **files = collect_files(facts, count, &total);
    int status =
        files && is_excluded(patterns, bytes_of(UNKNOWN_NAME), &model->unknown_excluded) == 0 &&
                build_files(model, files, total, patterns) == 0 &&
                collect_codes(model, facts, count, patterns) == 0 && build_functions(model) == 0
            ? 0
            : -1;
    free(files);
    return status < 0 ? error_set(err, "out of memory for the names of files and functions") : 0;
}

void model_fini(struct model *model)
{
    free(model->files);
    free(model->functions);
    free(model->codes);
    map_fini(&model->named);
    arena_fini(&model->arena);
    if (model->has_lock)
        pthread_mutex_destroy(&model->lock);
}

struct model_function model_function(struct model *model, uint32_t id)
{
    pthread_mutex_lock(&model->lock);
    const struct model_function *function = &model->functions[id];
    struct model_function copy = {
        .file = function->file,
        .kind = function->kind,
        .first_line = function->first_line,
        .name = function->name,
        .qualname = function->qualname,
        .module = function->module,
        .excluded = function->excluded,
        .row = function->row,
        .first_code = function->first_code,
        .code_count = function->code_count,
    };
    pthread_mutex_unlock(&model->lock);
    return copy;
}

/* --- What is no code object --- */

struct named_function {
    struct named_function *next;
    uint32_t id;
};

uint64_t model_hash(struct trace_bytes name)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ name.at[i]) * 0x100000001b3u;
    return hash;
}

static uint32_t add_named(struct model *model, enum model_kind kind, const char *file_name,
                          struct trace_bytes name, void **slot)
{
    struct named_function *named = arena_take(&model->arena, sizeof *named);
    /* What is in no file cannot be left out by its path; unknown code can. */
    uint32_t file = special_file(model, file_name, kind == MODEL_FUNCTION ? model->patterns : NULL);
    if (!named || file == MODEL_NONE)
        return MODEL_NONE;
    pthread_mutex_lock(&model->lock);
    struct model_function *function = add_function(model);
    pthread_mutex_unlock(&model->lock);
    if (!function)
        return MODEL_NONE;
    *function = (struct model_function){.file = file, .kind = kind, .name = name, .qualname = name};
    function->module = bytes_of("");
    number_function(model, function);
    *named = (struct named_function){.next = *slot, .id = (uint32_t)(model->function_count - 1)};
    *slot = named;
    return named->id;
}

static uint32_t find_named(struct model *model, enum model_kind kind, const char *file,
                           struct trace_bytes name)
{
    void **slot = map_put(&model->named, model_hash(name), kind);

    for (struct named_function *named = slot ? *slot : NULL; named; named = named->next)
        if (compare_bytes(model->functions[named->id].name, name) == 0)
            return named->id;
    return slot ? add_named(model, kind, file, name, slot) : MODEL_NONE;
}

uint32_t model_outside(struct model *model)
{
    return find_named(model, MODEL_OUTSIDE, OUTSIDE_NAME, bytes_of(OUTSIDE_NAME));
}

uint32_t model_unknown(struct model *model)
{
    return find_named(model, MODEL_FUNCTION, UNKNOWN_NAME, bytes_of(UNKNOWN_NAME));
}

uint32_t model_c_function(struct model *model, struct trace_bytes name)
{
    return find_named(model, MODEL_C, BUILTIN_NAME, name);
}
