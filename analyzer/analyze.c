#include "analyzer/analyze.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "analyzer/file_rows.h"
#include "analyzer/model.h"
#include "analyzer/replay_pool.h"
#include "analyzer/run.h"
#include "analyzer/sources.h"
#include "analyzer/statements.h"
#include "analyzer/store.h"
#include "analyzer/totals.h"
#include "analyzer/windows.h"
#include "formats/error.h"
#include "formats/trace/pattern.h"

struct analysis {
    const struct analyze_options *options;
    struct error *err;
    struct run *runs; /* owned */
    size_t run_count;
    struct trace_file **files; /* owned; borrowing from the runs, as do facts */
    struct facts **facts;
    struct model model;
    struct sources *sources;
    struct statements *statements; /* owned; NULL: nobody asked for them */
    struct store *store;
    struct totals totals;
    int64_t thread_id;    /* the last row */
    uint64_t done, to_do; /* bytes of events */
    uint64_t threads, peak_memory;
    uint64_t wall_ns; /* of the threads so far */
};

/* Between two stages. */
struct moment {
    double seconds;
    uint64_t memory; /* the most the process had until then, bytes */
};

static struct moment now(void)
{
    struct timespec time;
    struct rusage usage;

    clock_gettime(CLOCK_MONOTONIC, &time);
    getrusage(RUSAGE_SELF, &usage);
    return (struct moment){(double)time.tv_sec + (double)time.tv_nsec * 1e-9,
                           (uint64_t)usage.ru_maxrss * 1024};
}

static struct analyze_stage stage_between(const struct moment moments[2])
{
    return (struct analyze_stage){moments[1].seconds - moments[0].seconds, moments[1].memory};
}

/* --- Reading --- */

static int refuse_same(const struct analysis *analysis, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(analysis->runs[k].file->mark, analysis->runs[i].file->mark) == 0)
            return error_set(analysis->err, "%s: the same run as %s; it would be counted twice",
                             analysis->runs[i].file->path, analysis->runs[k].file->path);
    return 0;
}

/* Counts and estimates cannot be summed. */
static int refuse_unlike(const struct analysis *analysis, size_t i)
{
    const struct run *run = &analysis->runs[i];

    if (run->is_sampled == analysis->runs[0].is_sampled)
        return 0;
    return error_set(analysis->err, "%s: %s, but %s was %s: they cannot be summed", run->file->path,
                     run->is_sampled ? "sampled" : "recorded exactly", analysis->runs[0].file->path,
                     run->is_sampled ? "recorded exactly" : "sampled");
}

/* A sample says how often a place was seen, not when. */
static int refuse_windows(const struct analysis *analysis, const struct run *run)
{
    if (!run->is_sampled || !analysis->options->selection.windows)
        return 0;
    return error_set(analysis->err, "%s: sampled: windows can be cut from exact recordings only",
                     run->file->path);
}

static int open_runs(struct analysis *analysis, const char *const *paths, size_t count)
{
    int64_t process_id = 0;

    analysis->runs = calloc(count + 1, sizeof *analysis->runs);
    analysis->files = calloc(count + 1, sizeof *analysis->files);
    analysis->facts = calloc(count + 1, sizeof *analysis->facts);
    if (!analysis->runs || !analysis->files || !analysis->facts)
        return error_set(analysis->err, "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct run *run = &analysis->runs[analysis->run_count++];
        if (run_open(run, paths[i], (int64_t)i + 1, analysis->err) < 0 ||
            refuse_same(analysis, i) < 0 || refuse_unlike(analysis, i) < 0 ||
            refuse_windows(analysis, run) < 0)
            return -1;
        run_number_processes(run, &analysis->options->selection, &process_id);
        analysis->files[i] = run->file;
        analysis->facts[i] = run->facts;
        for (size_t k = 0; k < run->file->chunk_count; k++)
            if (run->file->chunks[k].kind == TRACE_EVENTS ||
                run->file->chunks[k].kind == TRACE_SAMPLES)
                analysis->to_do += run->file->chunks[k].size;
    }
    return 0;
}

static int read_all(struct analysis *analysis, const char *const *paths, size_t count)
{
    if (open_runs(analysis, paths, count) < 0)
        return -1;
    if (model_build(&analysis->model, analysis->facts, count, analysis->options->selection.patterns,
                    analysis->err) < 0)
        return -1;
    analysis->sources = sources_read(analysis->files, analysis->facts, count, analysis->err);
    if (!analysis->sources || !analysis->options->statements)
        return analysis->sources ? 0 : -1;
    analysis->statements = statements_new(&analysis->model, analysis->sources, analysis->err);
    analysis->model.statements = analysis->statements;
    return analysis->statements ? 0 : -1;
}

/* --- Replaying --- */

static int report_progress(void *context, uint64_t bytes)
{
    struct analysis *analysis = context;
    const struct analyze_options *options = analysis->options;

    analysis->done += bytes;
    return options->progress
               ? options->progress(options->progress_context, analysis->done, analysis->to_do)
               : 0;
}

static void note_memory(struct analysis *analysis, const struct replay *replay)
{
    uint64_t bytes = replay_memory(replay) + analysis->totals.arena.total;

    if (bytes > analysis->peak_memory)
        analysis->peak_memory = bytes;
}

/* A thread of a run, and the work on it. */
struct thread_list {
    struct replay_job *jobs; /* owned; as many as `count`, as are the others */
    struct run **runs;
    struct windows *windows;
    size_t count;
};

static size_t count_threads(const struct analysis *analysis)
{
    size_t count = 0;

    for (size_t i = 0; i < analysis->run_count; i++)
        count += analysis->files[i]->thread_count;
    return count;
}

static int list_thread(struct thread_list *list, struct analysis *analysis, struct run *run,
                       const struct trace_thread *thread)
{
    const struct selection *selection = &analysis->options->selection;
    struct windows *windows = &list->windows[list->count];

    if (!run_selects(run, selection, thread))
        return 0;
    list->runs[list->count] = run;
    list->jobs[list->count++] = (struct replay_job){.file = run->file,
                                                    .thread = thread,
                                                    .facts = run->facts,
                                                    .model = &analysis->model,
                                                    .windows = selection->windows ? windows : NULL};
    if (!selection->windows)
        return 0;
    return windows_of_thread(windows, run->facts, &run->file->clock, selection->windows, thread);
}

static int list_run(struct thread_list *list, struct analysis *analysis, struct run *run)
{
    for (size_t i = 0; i < run->file->thread_count; i++)
        if (list_thread(list, analysis, run, &run->file->threads[i]) < 0)
            return error_set(analysis->err, "out of memory");
    return 0;
}

static int list_threads(struct thread_list *list, struct analysis *analysis)
{
    size_t count = count_threads(analysis);

    list->jobs = calloc(count + 1, sizeof *list->jobs);
    list->runs = calloc(count + 1, sizeof *list->runs);
    list->windows = calloc(count + 1, sizeof *list->windows);
    if (!list->jobs || !list->runs || !list->windows)
        return error_set(analysis->err, "out of memory");
    for (size_t i = 0; i < analysis->run_count; i++)
        if (list_run(list, analysis, &analysis->runs[i]) < 0)
            return -1;
    analysis->threads = list->count;
    return 0;
}

static void free_threads(struct thread_list *list)
{
    for (size_t i = 0; list->windows && i < list->count; i++)
        windows_fini(&list->windows[i]);
    free(list->jobs);
    free(list->runs);
    free(list->windows);
}

/* No sum exceeds the time of all threads together, so that must fit. */
static int add_wall(struct analysis *analysis, const struct run *run, const struct replay *replay)
{
    analysis->wall_ns += (uint64_t)(replay->hand.ns - replay->first_ns);
    return analysis->wall_ns <= INT64_MAX
               ? 0
               : error_set(analysis->err, "%s: the threads' stamps span more than 292 years in all",
                           run->file->path);
}

static int add_thread(struct analysis *analysis, struct run *run, const struct trace_thread *thread,
                      struct replay *replay)
{
    if (!replay_has_part(replay))
        return 0;
    if (add_wall(analysis, run, replay) < 0)
        return -1;
    int64_t thread_id = ++analysis->thread_id;
    run_store_thread(run, analysis->store, thread, thread_id, replay);
    if (totals_add_thread(&analysis->totals, replay, run_process_id(run, thread->process),
                          thread_id) < 0)
        return error_set(analysis->err, "%s: out of memory", run->file->path);
    note_memory(analysis, replay);
    return 0;
}

/* In the order of runs and threads, whoever was replayed first. */
static int replay_all(struct analysis *analysis)
{
    struct thread_list list = {0};
    struct replay_pool *pool = NULL;
    struct replay *replay;
    int status = list_threads(&list, analysis);

    if (status == 0 &&
        !(pool = replay_pool_start(list.jobs, list.count, analysis->options->workers)))
        status = error_set(analysis->err, "out of memory");
    for (size_t i = 0; i < list.count && status == 0; i++) {
        status = replay_pool_next(pool, report_progress, analysis, &replay, analysis->err);
        if (status == 0)
            status = add_thread(analysis, list.runs[i], list.jobs[i].thread, replay);
    }
    replay_pool_free(pool);
    free_threads(&list);
    return status;
}

/* --- Storing --- */

static void describe(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a part behind those that are there, as far as it fits. */
static void describe(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list values;

    used += (size_t)snprintf(text + used, size - used, "%s", used ? ", " : "");
    if (used >= size)
        return;
    va_start(values, format);
    vsnprintf(text + used, size - used, format, values);
    va_end(values);
}

/* The selection as text, as the options would be typed. */
static void describe_selection(const struct selection *selection, char *text, size_t size)
{
    text[0] = 0;
    if (selection->thread)
        describe(text, size, "thread %s", selection->thread);
    if (selection->pid)
        describe(text, size, "process %lld", (long long)selection->pid);
    if (selection->patterns && !pattern_list_is_empty(selection->patterns))
        describe(text, size, "files by pattern");
    for (size_t i = 0; selection->windows && selection->windows[i]; i++)
        describe(text, size, "window %s", selection->windows[i]);
}

static void store_number(struct store *store, const char *key, int64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)value);
    store_row(store, STORE_META, "ss", key, text);
}

static int64_t count_owners(const char *const *owners)
{
    int64_t count = 0;

    while (owners && owners[count])
        count++;
    return count;
}

static void store_meta(struct analysis *analysis)
{
    const struct totals *totals = &analysis->totals;
    const char *version = analysis->options->version;
    char selection[512];

    describe_selection(&analysis->options->selection, selection, sizeof selection);
    store_row(analysis->store, STORE_META, "ss", "pyanalyze_version",
              version ? version : "unknown");
    store_number(analysis->store, "total_self_ns", totals->self);
    store_number(analysis->store, "total_self_cpu_ns", totals->self - totals->wait);
    store_number(analysis->store, "total_hits", (int64_t)totals->hits);
    store_row(analysis->store, STORE_META, "ss", "selection", selection);
    store_number(analysis->store, "selected_windows",
                 count_owners(analysis->options->selection.windows));
    if (analysis->statements)
        store_number(analysis->store, "statements", 1);
    store_number(analysis->store, "left_out_files", 0);
    store_number(analysis->store, "left_out_self_ns", 0);
}

static int store_all(struct analysis *analysis)
{
    for (size_t i = 0; i < analysis->run_count; i++) {
        struct run *run = &analysis->runs[i];
        run->missing_texts = sources_missing(analysis->sources, run->facts);
        run_store(run, analysis->store, &analysis->options->selection);
    }
    if (totals_store(&analysis->totals) < 0)
        return error_set(analysis->err, "out of memory for the sums of calls");
    if (file_rows_store(&analysis->model, &analysis->totals, analysis->sources, analysis->store,
                        analysis->err) < 0)
        return -1;
    store_meta(analysis);
    return 0;
}

/* --- All --- */

static void take_statistics(const struct analysis *analysis, const struct moment moments[4])
{
    struct analyze_statistics *statistics = analysis->options->statistics;

    if (!statistics)
        return;
    *statistics = (struct analyze_statistics){
        .events = analysis->totals.events,
        .threads = analysis->threads,
        .contexts = analysis->totals.contexts,
        .read = stage_between(moments),
        .aggregate = stage_between(moments + 1),
        .store = stage_between(moments + 2),
        .peak_memory = analysis->peak_memory,
    };
    for (size_t i = 0; i < analysis->run_count; i++)
        statistics->bytes += analysis->files[i]->size;
}

/* Rows repeat names and texts that a trace has once. */
static void limit_text(struct analysis *analysis)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < analysis->run_count; i++)
        bytes += analysis->files[i]->size;
    store_limit_text(analysis->store, bytes);
}

static int analyze(struct analysis *analysis, const char *const *paths, size_t count,
                   const char *db_path, struct moment moments[4])
{
    moments[0] = now();
    if (read_all(analysis, paths, count) < 0)
        return -1;
    analysis->store = store_open(db_path, analysis->err);
    if (!analysis->store)
        return -1;
    limit_text(analysis);
    totals_init(&analysis->totals, &analysis->model, analysis->store);
    moments[1] = now();
    if (replay_all(analysis) < 0)
        return -1;
    moments[2] = now();
    return store_all(analysis);
}

int analyze_traces(const char *const *paths, size_t count, const struct analyze_options *options,
                   const char *db_path, sqlite3 **db, struct error *err)
{
    struct analysis analysis = {.options = options, .err = err};
    struct moment moments[4];

    if (db)
        *db = NULL;
    int status = analyze(&analysis, paths, count, db_path, moments);
    if (status == 0) {
        status = store_finish(analysis.store, db, err);
        analysis.store = NULL;
    }
    moments[3] = now();
    if (status == 0)
        take_statistics(&analysis, moments);
    store_abandon(analysis.store);
    totals_fini(&analysis.totals);
    sources_free(analysis.sources);
    statements_free(analysis.statements);
    model_fini(&analysis.model);
    for (size_t i = 0; i < analysis.run_count; i++)
        run_close(&analysis.runs[i]);
    free(analysis.runs);
    free(analysis.files);
    free(analysis.facts);
    return status;
}
