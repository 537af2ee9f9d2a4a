#include "analyzer/events_runs.h"

#include <stdlib.h>

#include "formats/error.h"

static int open_run(struct events_runs *runs, struct events_run *run, const char *path,
                    struct error *err)
{
    run->file = trace_file_open(path, err);
    run->facts = run->file != NULL ? facts_read(run->file, err) : NULL;
    if (run->facts == NULL ||
        events_ids_find_run(runs->db, run->file->mark, &run->ids.run_id, err) < 0)
        return -1;
    if (run->ids.run_id == 0 && runs->bound)
        return error_set(err, "events: the database was not made from %s", path);
    return 0;
}

/* Without a database that has them the traces are numbered as if they were analyzed now. */
static int number_runs(struct events_runs *runs, struct error *err)
{
    struct facts **facts = calloc(runs->path_count + 1, sizeof *facts);
    struct events_counts counts = {0};
    int status;

    if (facts == NULL)
        return error_set(err, "out of memory");
    for (size_t i = 0; i < runs->path_count; i++)
        facts[i] = runs->runs[i].facts;
    status = model_build(&runs->model, facts, runs->path_count, NULL, err);
    free(facts);
    runs->first_id = 1;
    for (size_t i = 0; i < runs->path_count && status == 0; i++)
        status = events_ids_number(&runs->runs[i].ids, runs->runs[i].file, runs->runs[i].facts,
                                   &counts, err);
    return status;
}

static int open_runs(struct events_runs *runs, struct error *err)
{
    bool all_known = true;

    for (size_t i = 0; i < runs->path_count; i++) {
        if (open_run(runs, &runs->runs[i], runs->paths[i], err) < 0)
            return -1;
        all_known = all_known && runs->runs[i].ids.run_id != 0;
    }
    if (!all_known)
        return number_runs(runs, err);
    if (events_ids_find_unknown(runs->db, &runs->unknown_function, &runs->unknown_file, err) < 0)
        return -1;
    for (size_t i = 0; i < runs->path_count; i++) {
        struct events_run *run = &runs->runs[i];

        if (events_ids_match(&run->ids, runs->db, run->file, run->facts, runs->unknown_file, err) <
            0)
            return -1;
    }
    return 0;
}

static int compare_threads(const void *left, const void *right)
{
    const struct events_thread *a = left, *b = right;

    return (a->ids.thread_id > b->ids.thread_id) - (a->ids.thread_id < b->ids.thread_id);
}

/* A thread that the database does not have was not selected. */
static int list_threads(struct events_runs *runs, struct error *err)
{
    size_t count = 0;

    for (size_t i = 0; i < runs->path_count; i++)
        count += runs->runs[i].file->thread_count;
    runs->threads = calloc(count + 1, sizeof *runs->threads);
    if (runs->threads == NULL)
        return error_set(err, "out of memory");
    for (size_t i = 0; i < runs->path_count; i++) {
        const struct events_run *run = &runs->runs[i];

        for (size_t j = 0; j < run->file->thread_count; j++) {
            const struct trace_thread *thread = &run->file->threads[j];

            if (run->ids.threads[j].thread_id == 0)
                continue;
            runs->threads[runs->thread_count++] =
                (struct events_thread){.run = run, .thread = thread, .ids = run->ids.threads[j]};
            runs->events += run->file->chunks[thread->first + thread->count - 1].events_before;
        }
    }
    qsort(runs->threads, runs->thread_count, sizeof *runs->threads, compare_threads);
    return 0;
}

/* --- Windows --- */

static const char cut_sql[] = "SELECT value > 0 FROM main.meta WHERE key = 'selected_windows'";
static const char windows_sql[] =
    "SELECT start_ns, ifnull(end_ns, 1 << 62) FROM main.windows WHERE process_id = ?1 AND "
    "(thread_id IS NULL OR thread_id = ?2)";

static int load_windows(struct events_thread *thread, sqlite3_stmt *statement)
{
    int code = sqlite3_bind_int64(statement, 1, thread->ids.process_id);

    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(statement, 2, thread->ids.thread_id);
    while (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        struct window window = {sqlite3_column_int64(statement, 0),
                                sqlite3_column_int64(statement, 1)};

        if (window.start < window.end && windows_add(&thread->windows, window) < 0)
            code = SQLITE_NOMEM;
    }
    windows_unite(&thread->windows);
    return code == SQLITE_OK ? sqlite3_reset(statement) : code;
}

/* Was the database made of somebody's windows? Then only what is in them has rows here, too. */
static int cut_threads(struct events_runs *runs, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int code;

    if (runs->first_id != 0) /* there is no database of these traces */
        return 0;
    code = sqlite3_prepare_v2(runs->db, cut_sql, -1, &statement, NULL);
    runs->cut = code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW &&
                sqlite3_column_int(statement, 0) != 0;
    sqlite3_finalize(statement);
    if (!runs->cut)
        return 0;
    statement = NULL;
    code = sqlite3_prepare_v2(runs->db, windows_sql, -1, &statement, NULL);
    for (size_t i = 0; i < runs->thread_count && code == SQLITE_OK; i++)
        code = load_windows(&runs->threads[i], statement);
    sqlite3_finalize(statement);
    return code == SQLITE_OK ? 0 : error_set(err, "events: %s", sqlite3_errstr(code));
}

int events_runs_open(struct events_runs *runs, struct error *err)
{
    if (runs->open)
        return 0;
    if (runs->failure.text[0] != '\0')
        return error_set(err, "%s", runs->failure.text);
    runs->runs = calloc(runs->path_count + 1, sizeof *runs->runs);
    if (runs->path_count == 0)
        error_set(&runs->failure, "events are read from the trace itself: name it on the command "
                                  "line, beside the database or instead of it");
    else if (runs->runs == NULL)
        error_set(&runs->failure, "out of memory");
    else if (open_runs(runs, &runs->failure) == 0 && list_threads(runs, &runs->failure) == 0)
        cut_threads(runs, &runs->failure);
    runs->open = runs->failure.text[0] == '\0';
    return runs->open ? 0 : error_set(err, "%s", runs->failure.text);
}

void events_runs_fini(struct events_runs *runs)
{
    for (size_t i = 0; i < runs->path_count; i++) {
        if (runs->runs != NULL) {
            events_ids_fini(&runs->runs[i].ids);
            facts_free(runs->runs[i].facts);
            trace_file_close(runs->runs[i].file);
        }
        free(runs->paths[i]);
    }
    for (size_t i = 0; i < runs->thread_count; i++)
        windows_fini(&runs->threads[i].windows);
    model_fini(&runs->model);
    free(runs->runs);
    free(runs->threads);
    free(runs->paths);
}

int64_t events_runs_function_id(const struct events_runs *runs, const struct facts_code *code)
{
    return code != NULL ? (int64_t)code->id + runs->first_id : runs->unknown_function;
}

int64_t events_runs_file_id(const struct events_runs *runs, const struct facts_code *code)
{
    return code != NULL && code->file != NULL ? (int64_t)code->file->id + runs->first_id
                                              : runs->unknown_file;
}
