#include "formats/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "formats/error.h"
#include "formats/query.h"
#include "formats/text.h"

static int no_memory(struct error *err)
{
    return error_set(err, "out of memory");
}

/* Column `column` of the row, made printable, in the pool. NULL: out of memory. */
static const char *printable(struct catalog *catalog, struct query *query, int column)
{
    struct text text = {0};
    size_t size;
    const char *bytes = query_text(query, column, &size);
    const char *result = NULL;

    text_add_printable(&text, bytes, size);
    if (!text.failed)
        result = pool_string(&catalog->pool, text.at, text.size);
    text_fini(&text);
    return result;
}

/* ---- files ---- */

static enum catalog_origin origin_of(const char *name)
{
    static const struct {
        const char *name;
        enum catalog_origin origin;
    } origins[] = {
        {"program", CATALOG_PROGRAM}, {"site", CATALOG_SITE}, {"stdlib", CATALOG_STDLIB}};

    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++)
        if (strcmp(name, origins[i].name) == 0)
            return origins[i].origin;
    return CATALOG_OTHER;
}

static const char *below(const char *path, const char *folder)
{
    size_t size = strlen(folder);

    while (size > 0 && folder[size - 1] == '/')
        size--;
    if (strncmp(path, folder, size) != 0 || path[size] != '/' || path[size + 1] == '\0')
        return path;
    return path + size + 1;
}

static int load_file(struct catalog *catalog, struct query *query, const char *folder)
{
    struct catalog_file *file = &catalog->files[catalog->file_count];
    size_t size;
    const char *raw = query_text(query, 1, &size);

    file->id = query_int(query, 0);
    file->raw_path = pool_string(&catalog->pool, raw, size);
    file->path = printable(catalog, query, 1);
    file->name = printable(catalog, query, 2);
    if (file->raw_path == NULL || file->path == NULL || file->name == NULL)
        return -1;
    if (folder[0] == '/')
        file->path = below(file->path, folder);
    if (file->name[0] == '\0')
        file->name = file->path;
    file->shown = strlen(file->name) < strlen(file->path) ? file->name : file->path;
    file->origin = origin_of((const char *)query_text(query, 3, &size));
    file->has_source = query_int(query, 4) != 0;
    file->changed = query_int(query, 5) != 0;
    catalog->file_count++;
    return 0;
}

/* The folder that the first run was started in, printable; "" if there is no run. */
static const char *load_folder(struct catalog *catalog, sqlite3 *db, struct error *err)
{
    struct query query = query_open(db, "SELECT cwd FROM runs ORDER BY run_id LIMIT 1", err);
    const char *folder = query_next(&query) ? printable(catalog, &query, 0) : "";

    if (query_close(&query) < 0)
        return NULL;
    if (folder == NULL)
        no_memory(err);
    return folder;
}

static int load_files(struct catalog *catalog, sqlite3 *db, struct error *err)
{
    const char *folder = load_folder(catalog, db, err);
    struct query query;
    uint64_t count;

    if (folder == NULL || query_number(db, "SELECT count(*) FROM files", &count, err) < 0)
        return -1;
    catalog->files = calloc(count + 1, sizeof *catalog->files);
    if (catalog->files == NULL)
        return no_memory(err);
    query = query_open(db,
                       "SELECT file_id, path, name, origin, source IS NOT NULL, changed "
                       "FROM files ORDER BY file_id",
                       err);
    while (catalog->file_count < count && query_next(&query)) {
        if (load_file(catalog, &query, folder) < 0) {
            query_close(&query);
            return no_memory(err);
        }
    }
    return query_close(&query);
}

/* ---- functions ---- */

static int load_function(struct catalog *catalog, struct query *query, struct error *err)
{
    struct catalog_function *function = &catalog->functions[catalog->function_count];
    size_t size;

    function->id = query_int(query, 0);
    function->file = catalog_file(catalog, query_int(query, 1));
    if (function->file == NULL)
        return error_set(err, "the database is damaged: function %lld is in no file",
                         (long long)function->id);
    function->module = printable(catalog, query, 2);
    function->qualname = printable(catalog, query, 3);
    if (function->module == NULL || function->qualname == NULL)
        return no_memory(err);
    if (function->module[0] == '\0')
        function->module = function->file->shown;
    function->first_line = query_int(query, 4);
    function->is_outside = strcmp(query_text(query, 5, &size), "outside") == 0;
    if (function->is_outside)
        catalog->outside_ns += query_sum(query, 6);
    catalog->total_self_ns += query_sum(query, 6);
    catalog->total_self_cpu_ns += query_sum(query, 7);
    catalog->total_hits += query_sum(query, 8);
    catalog->function_count++;
    return 0;
}

static int load_functions(struct catalog *catalog, sqlite3 *db, struct error *err)
{
    struct query query;
    uint64_t count;
    int status = 0;

    if (query_number(db, "SELECT count(*) FROM functions", &count, err) < 0)
        return -1;
    catalog->functions = calloc(count + 1, sizeof *catalog->functions);
    if (catalog->functions == NULL)
        return no_memory(err);
    query = query_open(db,
                       "SELECT function_id, file_id, module, qualname, first_line, kind, self_ns, "
                       "self_cpu_ns, hits "
                       "FROM functions ORDER BY function_id",
                       err);
    while (status == 0 && catalog->function_count < count && query_next(&query))
        status = load_function(catalog, &query, err);
    return query_close(&query) < 0 ? -1 : status;
}

/* ---- unique names ---- */

static int by_unique_and_place(const void *a, const void *b)
{
    const struct catalog_function *left = *(struct catalog_function *const *)a;
    const struct catalog_function *right = *(struct catalog_function *const *)b;
    int order = strcmp(left->unique, right->unique);

    if (order == 0)
        order = strcmp(left->file->path, right->file->path);
    if (order == 0)
        order = (left->first_line > right->first_line) - (left->first_line < right->first_line);
    return order != 0 ? order : (left->id > right->id) - (left->id < right->id);
}

/* A name that starts with '(' and a digit would be read as a number by callgrind's readers. */
static const char *first_name(struct catalog *catalog, const struct catalog_function *function,
                              struct text *text)
{
    text_clear(text);
    if (!function->is_outside)
        text_add_format(text, "%s:", function->module);
    text_add_string(text, function->qualname);
    if (text->size > 0 && text->at[0] == '(')
        text->at[0] = '?';
    return text->failed ? NULL : pool_string(&catalog->pool, text->at, text->size);
}

/* Tells apart those of sorted[0 … count - 1] that share a name: by line first, then by a count. */
static int split_group(struct catalog *catalog, struct catalog_function **sorted, size_t count,
                       bool by_line, struct text *text)
{
    for (size_t i = 0; count > 1 && i < count; i++) {
        text_clear(text);
        text_add_string(text, sorted[i]->unique);
        if (by_line)
            text_add_format(text, ":%lld", (long long)sorted[i]->first_line);
        else if (i > 0)
            text_add_format(text, "#%zu", i + 1);
        sorted[i]->unique = text->failed ? NULL : pool_string(&catalog->pool, text->at, text->size);
        if (sorted[i]->unique == NULL)
            return -1;
    }
    return 0;
}

static int split_groups(struct catalog *catalog, struct catalog_function **sorted, bool by_line,
                        struct text *text)
{
    size_t start = 0;

    qsort(sorted, catalog->function_count, sizeof(struct catalog_function *), by_unique_and_place);
    for (size_t i = 1; i <= catalog->function_count; i++) {
        if (i < catalog->function_count && strcmp(sorted[i]->unique, sorted[start]->unique) == 0)
            continue;
        if (split_group(catalog, sorted + start, i - start, by_line, text) < 0)
            return -1;
        start = i;
    }
    return 0;
}

static int name_functions(struct catalog *catalog, struct error *err)
{
    struct catalog_function **sorted =
        calloc(catalog->function_count + 1, sizeof(struct catalog_function *));
    struct text text = {0};
    int status = sorted == NULL ? -1 : 0;

    for (size_t i = 0; status == 0 && i < catalog->function_count; i++) {
        sorted[i] = &catalog->functions[i];
        sorted[i]->unique = first_name(catalog, sorted[i], &text);
        status = sorted[i]->unique == NULL ? -1 : 0;
    }
    if (status == 0)
        status = split_groups(catalog, sorted, true, &text);
    if (status == 0)
        status = split_groups(catalog, sorted, false, &text);
    text_fini(&text);
    free(sorted);
    return status < 0 ? no_memory(err) : 0;
}

/* ---- the whole ---- */

struct catalog *catalog_load(sqlite3 *db, struct error *err)
{
    struct catalog *catalog = calloc(1, sizeof *catalog);

    if (catalog == NULL) {
        no_memory(err);
        return NULL;
    }
    if (load_files(catalog, db, err) < 0 || load_functions(catalog, db, err) < 0 ||
        name_functions(catalog, err) < 0) {
        catalog_free(catalog);
        return NULL;
    }
    return catalog;
}

void catalog_free(struct catalog *catalog)
{
    if (catalog == NULL)
        return;
    free(catalog->files);
    free(catalog->functions);
    pool_fini(&catalog->pool);
    free(catalog);
}

/* The one called `id` of `count` records of `size` bytes that begin with an ascending int64_t id,
 * or NULL. */
static const void *find_id(const void *records, size_t count, size_t size, int64_t id)
{
    size_t low = 0;

    while (low < count) {
        size_t middle = low + (count - low) / 2;
        const char *record = (const char *)records + middle * size;
        int64_t found;

        memcpy(&found, record, sizeof found);
        if (found == id)
            return record;
        if (found < id)
            low = middle + 1;
        else
            count = middle;
    }
    return NULL;
}

const struct catalog_file *catalog_file(const struct catalog *catalog, int64_t id)
{
    return find_id(catalog->files, catalog->file_count, sizeof *catalog->files, id);
}

const struct catalog_function *catalog_function(const struct catalog *catalog, int64_t id)
{
    return find_id(catalog->functions, catalog->function_count, sizeof *catalog->functions, id);
}
