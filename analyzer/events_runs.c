#include "analyzer/events_runs.h"

#include <stdlib.h>

#include "formats/error.h"

static int open_run(struct events_runs *runs, struct events_run *run, const char *path,
                    int64_t *run_id, struct error *err)
{
    if (run->file == NULL)
        run->file = trace_file_open(path, err);
    if (run->file != NULL && run->facts == NULL)
        run->facts = facts_read(run->file, err);
    if (run->facts == NULL || events_ids_find_run(runs->db, run->file->mark, run_id, err) < 0)
        return -1;
    if (*run_id == 0 && runs->bound)
        return error_set(err, "events: the database was not made from %s", path);
    return 0;
}

/* Without a database that has them the traces are numbered as if they were analyzed now. */
static int number_runs(struct events_runs *runs, struct error *err)
{
    struct facts **facts = calloc(runs->path_count, sizeof *facts);
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
    int64_t *run_ids = calloc(runs->path_count, sizeof *run_ids);
    bool all_known = true;
    int status = run_ids != NULL ? 0 : error_set(err, "out of memory");

    for (size_t i = 0; i < runs->path_count && status == 0; i++) {
        status = open_run(runs, &runs->runs[i], runs->paths[i], &run_ids[i], err);
        all_known = all_known && run_ids[i] != 0;
    }
    for (size_t i = 0; i < runs->path_count && status == 0 && all_known; i++)
        status = events_ids_match(&runs->runs[i].ids, runs->db, run_ids[i], runs->runs[i].file,
                                  runs->runs[i].facts, err);
    free(run_ids);
    return status < 0 || all_known ? status : number_runs(runs, err);
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
                (struct events_thread){run, thread, run->ids.threads[j]};
            runs->events += run->file->chunks[thread->first + thread->count - 1].events_before;
        }
    }
    qsort(runs->threads, runs->thread_count, sizeof *runs->threads, compare_threads);
    return 0;
}

int events_runs_open(struct events_runs *runs, struct error *err)
{
    if (runs->open)
        return 0;
    if (runs->failure.text[0] != '\0')
        return error_set(err, "%s", runs->failure.text);
    runs->runs = runs->path_count > 0 ? calloc(runs->path_count, sizeof *runs->runs) : NULL;
    if (runs->path_count == 0)
        error_set(&runs->failure, "events are read from the trace itself: name it on the command "
                                   "line, beside the database or instead of it");
    else if (runs->runs == NULL)
        error_set(&runs->failure, "out of memory");
    else if (open_runs(runs, &runs->failure) == 0)
        list_threads(runs, &runs->failure);
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
    model_fini(&runs->model);
    free(runs->runs);
    free(runs->threads);
    free(runs->paths);
}

int64_t events_runs_function_id(const struct events_runs *runs, const struct facts_code *code)
{
    return code != NULL ? (int64_t)code->id + runs->first_id : 0;
}

int64_t events_runs_file_id(const struct events_runs *runs, const struct facts_code *code)
{
    return code != NULL && code->file != NULL ? (int64_t)code->file->id + runs->first_id : 0;
}
