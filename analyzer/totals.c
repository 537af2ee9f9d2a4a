#include "analyzer/totals.h"

#include <stdlib.h>

#include "analyzer/model.h"
#include "analyzer/replay.h"
#include "analyzer/sample_sums.h"
#include "analyzer/store.h"
#include "analyzer/thread_rows.h"

void totals_init(struct totals *totals, struct model *model, struct store *store)
{
    *totals = (struct totals){.model = model, .store = store};
}

static void free_samples(struct sample_table *table)
{
    if (table)
        sample_table_fini(table);
    free(table);
}

void totals_fini(struct totals *totals)
{
    free_samples(totals->samples);
    free_samples(totals->function_samples);
    map_fini(&totals->lines);
    map_fini(&totals->function_lines);
    map_fini(&totals->edges);
    arena_fini(&totals->arena);
}

/* --- Adding --- */

static int begin_samples(struct totals *totals, const struct replay *replay)
{
    if (!replay->samples || totals->function_samples)
        return 0;
    totals->samples = calloc(1, sizeof *totals->samples);
    totals->function_samples = calloc(1, sizeof *totals->function_samples);
    return totals->samples && totals->function_samples ? 0 : -1;
}

/* What the samples of a thread say of `from`, to those of all threads of `to`. */
static int add_samples(struct sample_table *table, const void *to, const struct replay *replay,
                       const void *from)
{
    struct sample_sums sums, *sum;

    if (!replay->samples)
        return 0;
    sums = sample_table_get(replay->samples, from);
    sum = sample_table_put(table, to);
    if (!sum)
        return -1;
    sample_sums_add(sum, &sums);
    return 0;
}

/* Functions move in memory, their ids stay. */
static const void *function_key(uint32_t id)
{
    return (const void *)((uintptr_t)id + 1);
}

static struct total_line *find_line(struct totals *totals, uint32_t file, uint32_t line)
{
    void **slot = map_put(&totals->lines, file, line);

    if (slot && !*slot) {
        struct total_line *total = *slot = arena_take(&totals->arena, sizeof *total);
        if (total) {
            *total = (struct total_line){.file = file, .line = line, .next = totals->all_lines};
            totals->all_lines = total;
        }
    }
    return slot ? *slot : NULL;
}

static int add_function_line(struct totals *totals, const struct sums_line *line)
{
    void **slot = map_put(&totals->function_lines, line->function->id, line->line);

    if (slot && !*slot) {
        struct total_function_line *total = *slot = arena_take(&totals->arena, sizeof *total);
        if (total) {
            *total =
                (struct total_function_line){.function = line->function->id, .line = line->line};
            total->next = totals->all_function_lines;
            totals->all_function_lines = total;
            totals->function_line_count++;
        }
    }
    if (!slot || !*slot)
        return -1;
    ((struct total_function_line *)*slot)->hits += line->hits;
    return 0;
}

/* Cumulative times of a line that several functions have are counted once for all of them. */
static int add_line(struct totals *totals, const struct replay *replay, struct sums_line *line)
{
    struct model_function *function = &totals->model->functions[line->function->id];
    struct total_line *total = find_line(totals, function->file, line->line);
    struct sums_line *all = line->file_line ? line->file_line : line;

    if (!total || add_function_line(totals, line) < 0)
        return -1;
    total->hits += line->hits;
    total->self += line->self;
    total->wait += line->wait;
    function->hits += line->hits;
    function->self += line->self;
    function->self_wait += line->wait;
    totals->hits += line->hits;
    if (all->counted)
        return 0;
    all->counted = true;
    total->cumulative += sums_line_cumulative(all);
    total->cumulative_wait += sums_line_cumulative_wait(all);
    return add_samples(totals->samples, total, replay, all);
}

static struct total_edge *find_edge(struct totals *totals, const struct sums_edge *edge)
{
    const struct sums_function *caller = edge->caller->function;
    uint32_t id = caller ? caller->id : MODEL_NONE;
    void **slot =
        map_put(&totals->edges, (uint64_t)id << 32 | edge->caller->line, edge->callee->id);

    if (slot && !*slot) {
        struct total_edge *total = *slot = arena_take(&totals->arena, sizeof *total);
        if (total) {
            *total = (struct total_edge){.caller = id,
                                         .caller_line = edge->caller->line,
                                         .callee = edge->callee->id,
                                         .next = totals->all_edges};
            totals->all_edges = total;
            totals->edge_count++;
        }
    }
    return slot ? *slot : NULL;
}

static int add_edge(struct totals *totals, const struct replay *replay,
                    const struct sums_edge *edge)
{
    struct total_edge *total = find_edge(totals, edge);

    if (!total)
        return -1;
    total->calls += edge->calls;
    total->primitive_calls += edge->primitive_calls;
    total->resumes += edge->resumes;
    total->self += edge->self;
    total->self_wait += edge->self_wait;
    total->cumulative += edge->cumulative;
    total->cumulative_wait += edge->cumulative_wait;
    total->outer += edge->outer;
    total->outer_wait += edge->outer_wait;
    total->cumulative_hits += edge->cumulative_hits;
    total->outer_hits += edge->outer_hits;
    return add_samples(totals->samples, total, replay, edge);
}

static int add_outside(struct totals *totals, const struct sums_cell *outside)
{
    if (outside->self == 0)
        return 0;
    uint32_t id = model_outside(totals->model);
    if (id == MODEL_NONE)
        return -1;
    struct model_function *function = &totals->model->functions[id];
    function->self += outside->self;
    function->self_wait += outside->wait;
    function->cumulative += outside->self;
    function->cumulative_wait += outside->wait;
    return 0;
}

static void add_function(struct totals *totals, const struct sums_function *from)
{
    struct model_function *function = &totals->model->functions[from->id];

    function->calls += from->calls;
    function->primitive_calls += from->primitive_calls;
    function->resumes += from->resumes;
    function->cumulative += from->cumulative;
    function->cumulative_wait += from->cumulative_wait;
}

int totals_add_thread(struct totals *totals, struct replay *replay, int64_t process_id,
                      int64_t thread_id)
{
    struct sums *sums = &replay->sums;

    if (thread_rows_settle(replay, totals->model, totals->contexts) < 0 ||
        thread_rows_store(replay, totals->model, totals->store, process_id, thread_id) < 0 ||
        add_outside(totals, sums->outside) < 0)
        return -1;
    if (begin_samples(totals, replay) < 0)
        return -1;
    totals->contexts += sums->context_count;
    totals->events += replay_event_count(replay);
    totals->self += replay->now.time;
    totals->wait += replay->now.wait;
    for (struct sums_function *function = sums->all_functions; function; function = function->next) {
        add_function(totals, function);
        if (add_samples(totals->function_samples, function_key(function->id), replay, function) < 0)
            return -1;
    }
    for (struct sums_line *line = sums->all_lines; line; line = line->next)
        if (add_line(totals, replay, line) < 0)
            return -1;
    for (struct sums_edge *edge = sums->all_edges; edge; edge = edge->next)
        if (add_edge(totals, replay, edge) < 0)
            return -1;
    return 0;
}

const struct total_line *totals_line(const struct totals *totals, uint32_t file, uint32_t line)
{
    return map_get(&totals->lines, file, line);
}

/* --- Writing --- */

static void store_function(struct totals *totals, const struct model_function *function)
{
    static const char *const kinds[] = {
        [MODEL_FUNCTION] = "function", [MODEL_GENERATOR] = "generator", [MODEL_CLASS] = "class",
        [MODEL_MODULE] = "module",     [MODEL_OUTSIDE] = "outside",     [MODEL_C] = "c",
    };
    const struct model_file *file = &totals->model->files[function->file];
    size_t id = (size_t)(function - totals->model->functions);
    struct sample_sums samples =
        sample_table_get(totals->function_samples, function_key((uint32_t)id));

    if (function->row == 0)
        return;
    store_row(totals->store, STORE_FUNCTIONS, "iittttisiiiiiiiiiiiiii", (int64_t)function->row,
              (int64_t)file->row, file->path, function->module, function->name, function->qualname,
              function->first_line, kinds[function->kind], (int64_t)function->calls,
              (int64_t)function->primitive_calls, (int64_t)function->resumes,
              (int64_t)function->hits, function->self, function->self - function->self_wait,
              function->cumulative, function->cumulative - function->cumulative_wait,
              SAMPLE_COLUMNS(samples));
}

static int compare_edges(const void *a, const void *b)
{
    const struct total_edge *x = *(struct total_edge *const *)a,
                            *y = *(struct total_edge *const *)b;

    if (x->caller != y->caller)
        return x->caller < y->caller ? -1 : 1;
    if (x->caller_line != y->caller_line)
        return x->caller_line < y->caller_line ? -1 : 1;
    return x->callee < y->callee ? -1 : x->callee > y->callee;
}

static void store_edge(struct totals *totals, const struct total_edge *edge)
{
    const struct model *model = totals->model;
    const struct model_function *callee = &model->functions[edge->callee];
    struct sample_sums samples = sample_table_get(totals->samples, edge);

#define FIGURES                                                                                    \
    (int64_t) callee->row, model->files[callee->file].path, callee->qualname, callee->first_line,  \
        (int64_t)edge->calls, (int64_t)edge->primitive_calls, (int64_t)edge->resumes, edge->self,  \
        edge->self - edge->self_wait, edge->cumulative, edge->cumulative - edge->cumulative_wait,  \
        edge->outer, edge->outer - edge->outer_wait, (int64_t)edge->cumulative_hits,               \
        (int64_t)edge->outer_hits, SAMPLE_COLUMNS(samples)
    if (edge->caller == MODEL_NONE) {
        store_row(totals->store, STORE_EDGES, "----ittiiiiiiiiiiiiiiiiii", FIGURES);
    } else {
        const struct model_function *caller = &model->functions[edge->caller];
        store_row(totals->store, STORE_EDGES, "ittiittiiiiiiiiiiiiiiiiii", (int64_t)caller->row,
                  model->files[caller->file].path, caller->qualname, (int64_t)edge->caller_line,
                  FIGURES);
    }
#undef FIGURES
}

static int store_edges(struct totals *totals)
{
    struct total_edge **edges = malloc((totals->edge_count + 1) * sizeof *edges);
    size_t count = 0;

    if (!edges)
        return -1;
    for (struct total_edge *edge = totals->all_edges; edge; edge = edge->next)
        edges[count++] = edge;
    qsort(edges, count, sizeof *edges, compare_edges);
    for (size_t i = 0; i < count; i++)
        store_edge(totals, edges[i]);
    free(edges);
    return 0;
}

int totals_store(struct totals *totals)
{
    for (size_t i = 0; i < totals->model->function_count; i++)
        store_function(totals, &totals->model->functions[i]);
    return store_edges(totals);
}
