#include "analyzer/events_ids.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/grow.h"
#include "analyzer/utf8.h"
#include "formats/error.h"
#include "formats/text.h"

static int out_of_memory(struct error *err)
{
    return error_set(err, "out of memory for the names of a trace");
}

/* ---- keys: what identifies a file or function, as bytes ---- */

struct key {
    size_t start, size; /* in the text of its keys */
    uint32_t *id;       /* borrowed; where the id found goes */
};

struct keys {
    struct key *items; /* owned */
    size_t count, room;
    struct text text;
};

static void keys_fini(struct keys *keys)
{
    free(keys->items);
    text_fini(&keys->text);
}

/* A key ends: it is what was added to the text since the one before. */
static int keys_end(struct keys *keys, uint32_t *id, struct error *err)
{
    size_t start = keys->count > 0
                       ? keys->items[keys->count - 1].start + keys->items[keys->count - 1].size
                       : 0;
    struct key *items = grow_array(keys->items, keys->count, &keys->room, sizeof *items);

    if (items == NULL)
        return out_of_memory(err);
    keys->items = items;
    if (keys->text.failed)
        return out_of_memory(err);
    items[keys->count++] = (struct key){start, keys->text.size - start, id};
    return 0;
}

static int compare_bytes(const char *left, size_t left_size, const char *right, size_t right_size)
{
    size_t size = left_size < right_size ? left_size : right_size;
    int order = size > 0 ? memcmp(left, right, size) : 0;

    return order != 0 ? order : (left_size > right_size) - (left_size < right_size);
}

static int compare_keys(const void *left, const void *right, void *text)
{
    const struct key *a = left, *b = right;

    return compare_bytes((char *)text + a->start, a->size, (char *)text + b->start, b->size);
}

static void keys_sort(struct keys *keys)
{
    if (keys->count > 0)
        qsort_r(keys->items, keys->count, sizeof *keys->items, compare_keys, keys->text.at);
}

/* Gives the id to all keys that are equal to this one. */
static void keys_assign(struct keys *keys, const struct text *key, uint32_t id)
{
    size_t low = 0, high = keys->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct key *item = &keys->items[middle];

        if (compare_bytes(keys->text.at + item->start, item->size, key->at, key->size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < keys->count; low++) {
        const struct key *item = &keys->items[low];

        if (compare_bytes(keys->text.at + item->start, item->size, key->at, key->size) != 0)
            break;
        *item->id = id;
    }
}

/* A field and the NUL that ends it. */
static void add_field(struct text *key, const void *bytes, size_t size)
{
    text_add(key, bytes, size);
    text_add(key, "", 1);
}

static void add_number(struct text *key, int64_t number)
{
    text_add_format(key, "%lld", (long long)number);
    text_add(key, "", 1);
}

/* ---- names as the database has them: valid UTF-8 ---- */

static void add_valid(struct text *text, struct trace_bytes bytes)
{
    size_t size;
    char *clean;

    if (utf8_is_valid(bytes)) {
        text_add(text, bytes.at, bytes.size);
        return;
    }
    clean = utf8_clean(bytes, &size);
    text->failed |= clean == NULL;
    text_add(text, clean, size);
    free(clean);
}

/* *shown is the name itself, or a corrected copy that *ids owns. */
static int make_name(struct events_ids *ids, struct trace_bytes bytes, const char **shown,
                     int *size, struct error *err)
{
    size_t clean_size = bytes.size;
    char **texts;

    *shown = (const char *)bytes.at;
    if (!utf8_is_valid(bytes)) {
        texts = grow_array(ids->texts, ids->text_count, &ids->text_room, sizeof *texts);
        if (texts == NULL)
            return out_of_memory(err);
        ids->texts = texts;
        texts[ids->text_count] = utf8_clean(bytes, &clean_size);
        if (texts[ids->text_count] == NULL)
            return out_of_memory(err);
        *shown = texts[ids->text_count++];
    }
    *size = clean_size < INT32_MAX ? (int)clean_size : INT32_MAX;
    return 0;
}

static int make_names(struct events_ids *ids, const struct facts *facts, struct error *err)
{
    size_t count;
    const struct facts_code *codes = facts_codes(facts, &count);

    ids->names = calloc(count + 1, sizeof *ids->names);
    if (ids->names == NULL)
        return out_of_memory(err);
    for (size_t i = 0; i < count; i++) {
        struct events_code_names *names = &ids->names[i];

        if (make_name(ids, codes[i].qualname, &names->function, &names->function_size, err) < 0)
            return -1;
        names->file = EVENTS_IDS_UNKNOWN;
        names->file_size = (int)strlen(EVENTS_IDS_UNKNOWN);
        if (codes[i].file != NULL && codes[i].file->path.size > 0 &&
            make_name(ids, codes[i].file->path, &names->file, &names->file_size, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the keys of a trace ---- */

static int make_file_keys(struct keys *keys, const struct facts *facts, struct error *err)
{
    size_t count;
    struct facts_file *files = facts_files(facts, &count);

    for (size_t i = 0; i < count; i++) {
        files[i].id = 0;
        add_field(&keys->text, files[i].path.at, files[i].path.size);
        for (size_t j = 0; j < files[i].sha256.size; j++)
            text_add_format(&keys->text, "%02x", files[i].sha256.at[j]);
        if (keys_end(keys, &files[i].id, err) < 0)
            return -1;
    }
    keys_sort(keys);
    return 0;
}

/* After the files have their ids. */
static int make_code_keys(struct keys *keys, const struct facts *facts, int64_t unknown_file,
                          struct error *err)
{
    size_t count;
    struct facts_code *codes = facts_codes(facts, &count);

    for (size_t i = 0; i < count; i++) {
        const struct facts_code *code = &codes[i];

        codes[i].id = 0;
        add_number(&keys->text, code->file != NULL ? code->file->id : unknown_file);
        add_number(&keys->text, code->first_line);
        add_valid(&keys->text, code->qualname);
        add_field(&keys->text, NULL, 0);
        add_valid(&keys->text, code->name);
        if (keys_end(keys, &codes[i].id, err) < 0)
            return -1;
    }
    keys_sort(keys);
    return 0;
}

/* ---- the rows of a database ---- */

static int fail(sqlite3 *db, sqlite3_stmt *statement, struct error *err)
{
    sqlite3_finalize(statement);
    return error_set(err, "%s", sqlite3_errmsg(db));
}

/* The columns behind the first as one key. False: out of memory. */
static bool make_row_key(struct text *key, sqlite3_stmt *row, int columns)
{
    text_clear(key);
    for (int i = 1; i <= columns; i++) {
        const void *bytes = sqlite3_column_blob(row, i);

        if (bytes == NULL && sqlite3_errcode(sqlite3_db_handle(row)) == SQLITE_NOMEM)
            return false;
        text_add(key, bytes, (size_t)sqlite3_column_bytes(row, i));
        if (i < columns)
            text_add(key, "", 1);
    }
    return !key->failed;
}

/* Every row is an id and the `columns` of a key. */
static int match_rows(sqlite3 *db, const char *sql, int columns, struct keys *keys,
                      struct error *err)
{
    sqlite3_stmt *row = NULL;
    struct text key = {0};
    int code;

    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
        return fail(db, row, err);
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        if (!make_row_key(&key, row, columns)) {
            code = out_of_memory(err);
            break;
        }
        keys_assign(keys, &key, (uint32_t)sqlite3_column_int64(row, 0));
    }
    text_fini(&key);
    if (code != SQLITE_DONE)
        return fail(db, row, err); /* the first error stands */
    sqlite3_finalize(row);
    return 0;
}

int events_ids_find_run(sqlite3 *db, const char *trace_id, int64_t *run_id, struct error *err)
{
    static const char sql[] = "SELECT run_id FROM main.runs WHERE trace_id = ?1";
    sqlite3_stmt *row = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &row, NULL);

    *run_id = 0;
    /* Any database may be open in a shell that loaded the extension: one without runs is no error.
     */
    if (code == SQLITE_ERROR)
        return 0;
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(row, 1, trace_id, -1, SQLITE_STATIC);
    if (code == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW)
        *run_id = sqlite3_column_int64(row, 0);
    if (code == SQLITE_OK)
        code = sqlite3_reset(row);
    if (code != SQLITE_OK)
        return fail(db, row, err);
    sqlite3_finalize(row);
    return 0;
}

int events_ids_find_unknown(sqlite3 *db, int64_t *function_id, int64_t *file_id, struct error *err)
{
    static const char sql[] =
        "SELECT file_id, (SELECT function_id FROM main.functions u WHERE u.file_id = f.file_id AND "
        "qualname = ?1 AND first_line = 0) FROM main.files f WHERE path = ?1 AND sha256 = ''";
    sqlite3_stmt *row = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &row, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_bind_text(row, 1, EVENTS_IDS_UNKNOWN, -1, SQLITE_STATIC);
    if (code == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW) {
        *file_id = sqlite3_column_int64(row, 0);
        *function_id = sqlite3_column_int64(row, 1);
    }
    if (code == SQLITE_OK)
        code = sqlite3_reset(row);
    if (code != SQLITE_OK)
        return fail(db, row, err);
    sqlite3_finalize(row);
    return 0;
}

static int find_threads(struct events_ids *ids, sqlite3 *db, const struct trace_file *file,
                        struct error *err)
{
    static const char sql[] =
        "SELECT process_id, thread_id FROM main.threads JOIN main.processes USING (process_id) "
        "WHERE run_id = ?1 AND processes.number = ?2 AND threads.number = ?3";
    sqlite3_stmt *row = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &row, NULL);

    for (size_t i = 0; i < file->thread_count && code == SQLITE_OK; i++) {
        sqlite3_bind_int64(row, 1, ids->run_id);
        sqlite3_bind_int64(row, 2, file->threads[i].process);
        sqlite3_bind_int64(row, 3, file->threads[i].thread);
        if (sqlite3_step(row) == SQLITE_ROW)
            ids->threads[i] = (struct events_thread_ids){sqlite3_column_int64(row, 0),
                                                         sqlite3_column_int64(row, 1)};
        code = sqlite3_reset(row);
    }
    if (code != SQLITE_OK)
        return fail(db, row, err);
    sqlite3_finalize(row);
    return 0;
}

/* ---- the whole ---- */

static int match_files(const struct facts *facts, sqlite3 *db, struct error *err)
{
    struct keys keys = {0};
    int status = make_file_keys(&keys, facts, err);

    if (status == 0)
        status = match_rows(db, "SELECT file_id, coalesce(raw_path, path), sha256 FROM main.files",
                            2, &keys, err);
    keys_fini(&keys);
    return status;
}

static int match_codes(const struct facts *facts, sqlite3 *db, int64_t unknown_file,
                       struct error *err)
{
    struct keys keys = {0};
    int status = make_code_keys(&keys, facts, unknown_file, err);

    if (status == 0)
        status = match_rows(db,
                            "SELECT function_id, file_id, first_line, qualname, name "
                            "FROM main.functions",
                            4, &keys, err);
    keys_fini(&keys);
    return status;
}

static int take_threads(struct events_ids *ids, const struct trace_file *file, struct error *err)
{
    ids->threads = calloc(file->thread_count + 1, sizeof *ids->threads);
    return ids->threads != NULL ? 0 : out_of_memory(err);
}

int events_ids_match(struct events_ids *ids, sqlite3 *db, const struct trace_file *file,
                     const struct facts *facts, int64_t unknown_file, struct error *err)
{
    if (take_threads(ids, file, err) < 0 || find_threads(ids, db, file, err) < 0 ||
        match_files(facts, db, err) < 0 || match_codes(facts, db, unknown_file, err) < 0)
        return -1;
    return make_names(ids, facts, err);
}

int events_ids_number(struct events_ids *ids, const struct trace_file *file,
                      const struct facts *facts, struct events_counts *counts, struct error *err)
{
    ids->run_id = ++counts->run;
    if (take_threads(ids, file, err) < 0)
        return -1;
    for (size_t i = 0; i < file->thread_count; i++) {
        counts->process += i == 0 || file->threads[i].process != file->threads[i - 1].process;
        ids->threads[i] = (struct events_thread_ids){counts->process, ++counts->thread};
    }
    return make_names(ids, facts, err);
}

void events_ids_fini(struct events_ids *ids)
{
    for (size_t i = 0; i < ids->text_count; i++)
        free(ids->texts[i]);
    free(ids->texts);
    free(ids->names);
    free(ids->threads);
    *ids = (struct events_ids){0};
}
