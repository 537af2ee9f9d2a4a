#include "analyzer/thread_rows.h"

#include <stdlib.h>

#include "analyzer/model.h"
#include "analyzer/replay.h"
#include "analyzer/sample_sums.h"
#include "analyzer/store.h"
#include "formats/trace/decode.h"

/* --- Completing the sums --- */

static int name_functions(struct sums *sums, struct model *model)
{
    for (struct sums_function *function = sums->all_functions; function;
         function = function->next) {
        if (function->is_c)
            function->id = model_c_function(model, function->c_name);
        else if (function->is_unknown)
            function->id = model_unknown(model);
        if (function->id == MODEL_NONE)
            return -1;
        function->file = model->functions[function->id].file;
    }
    return 0;
}

static void add_cell(struct sums_line *line, const struct sums_cell *cell)
{
    line->hits += cell->hits;
    line->self += cell->self;
    line->wait += cell->wait;
}

static void sum_cells(struct sums *sums)
{
    for (uint32_t n = 0; n < sums->nodes.count; n++) {
        const struct sums_node *node = sums_node(sums, n);
        const struct sums_cell *cell;
        for (uint64_t i = 0; (cell = sums_next_cell(node, &i));) {
            add_cell(cell->at, cell);
            if (cell->at->file_line)
                add_cell(cell->at->file_line, cell);
            node->function->hits += cell->hits;
            node->function->self += cell->self;
            node->function->wait += cell->wait;
        }
    }
}

static void sum_entries(struct sums *sums)
{
    for (uint32_t i = 0; i < sums->entries.count; i++) {
        const struct sums_entry *entry = sums_entry_at(sums, i);
        if (!entry->node)
            continue;
        entry->edge->calls += entry->calls;
        entry->edge->resumes += entry->resumes;
        entry->function->calls += entry->calls;
        entry->function->resumes += entry->resumes;
    }
}

/* Open frames and marks have rows that name functions. */
static void prune(struct replay *replay)
{
    for (size_t i = 1; i <= replay->open; i++)
        if (replay->frames[i].is_booked)
            sums_mark(&replay->sums, replay->frames[i].entry->node);
    for (size_t i = 0; i < replay->mark_count; i++)
        if (replay->marks[i].at->function)
            replay->marks[i].at->function->is_used = true;
    sums_prune(&replay->sums);
}

/* What a caller's several lines called, once their entries are summed. */
static void sum_pairs(struct sums *sums)
{
    for (struct sums_edge *pair = sums->all_pairs; pair; pair = pair->next) {
        pair->calls = pair->resumes = 0;
        pair->self = pair->self_wait = 0;
        pair->cumulative_hits = 0;
    }
    for (const struct sums_edge *edge = sums->all_edges; edge; edge = edge->next) {
        if (!edge->pair)
            continue;
        edge->pair->calls += edge->calls;
        edge->pair->resumes += edge->resumes;
        edge->pair->self += edge->self;
        edge->pair->self_wait += edge->self_wait;
        edge->pair->cumulative_hits += edge->cumulative_hits; /* not 0 if it is not for one */
    }
}

/* The same of samples; the edges keep theirs. */
static int sum_pair_samples(struct replay *replay)
{
    for (const struct sums_edge *edge = replay->sums.all_edges; edge && replay->samples;
         edge = edge->next) {
        uint64_t samples = sample_table_get(replay->samples, edge).samples;
        if (!edge->pair || samples == 0)
            continue;
        struct sample_sums *pair = sample_table_put(replay->samples, edge->pair);
        if (!pair)
            return -1;
        pair->samples += samples;
    }
    return 0;
}

int thread_rows_settle(struct replay *replay, struct model *model, uint64_t first_context)
{
    struct sums *sums = &replay->sums;

    sum_cells(sums);
    sum_entries(sums);
    sum_pairs(sums);
    if (sum_pair_samples(replay) < 0)
        return -1;
    if (replay->cut.is_on)
        prune(replay);
    if (name_functions(sums, model) < 0)
        return -1;
    sums_rank(sums, first_context);
    sums->root->cumulative = replay->now.time;
    sums->root->cumulative_wait = replay->now.wait;
    return 0;
}

/* --- Writing --- */

struct row_writer {
    struct replay *replay;
    const struct model *model;
    struct store *store;
    int64_t process_id, thread_id;
    int64_t self, wait; /* of the contexts so far */
};

static int64_t row_of(const struct row_writer *writer, const struct sums_function *function)
{
    return writer->model->functions[function->id].row;
}

/* The items of a linked list in an array, sorted; returns -1 if there is no memory. */
#define SORTED(type, first, compare, count)                                                        \
    type **items = NULL;                                                                           \
    size_t count = 0;                                                                              \
    for (type *item = (first); item; item = item->next)                                            \
        count++;                                                                                   \
    items = malloc((count + 1) * sizeof *items);                                                   \
    if (!items)                                                                                    \
        return -1;                                                                                 \
    count = 0;                                                                                     \
    for (type *item = (first); item; item = item->next)                                            \
        items[count++] = item;                                                                     \
    qsort(items, count, sizeof *items, compare)

#define COMPARE(a, b)                                                                              \
    if ((a) != (b))                                                                                \
    return (a) < (b) ? -1 : 1

static int compare_lines(const void *a, const void *b)
{
    const struct sums_line *x = *(struct sums_line *const *)a, *y = *(struct sums_line *const *)b;

    COMPARE(x->function->id, y->function->id);
    COMPARE(x->line, y->line);
    return 0;
}

static void write_line(const struct row_writer *writer, const struct sums_line *line)
{
    int64_t cumulative = sums_line_cumulative(line), wait = sums_line_cumulative_wait(line);

    if (line->hits == 0 && line->self == 0 && cumulative == 0)
        return;
    struct sample_sums samples = sample_table_get(writer->replay->samples, line);
    store_row(writer->store, STORE_LINE_STATS, "iiiiiiiiiiiiii", writer->thread_id,
              row_of(writer, line->function), (int64_t)line->line, (int64_t)line->hits, line->self,
              line->self - line->wait, cumulative, cumulative - wait, SAMPLE_COLUMNS(samples));
    if (line->inner > 0)
        store_row(writer->store, STORE_STATEMENT_STATS, "iiii", writer->thread_id,
                  row_of(writer, line->function), (int64_t)line->line, (int64_t)line->inner);
}

static int write_lines(const struct row_writer *writer)
{
    SORTED(struct sums_line, writer->replay->sums.all_lines, compare_lines, count);
    for (size_t i = 0; i < count; i++)
        write_line(writer, items[i]);
    free(items);
    return 0;
}

static int compare_functions(const void *a, const void *b)
{
    const struct sums_function *x = *(struct sums_function *const *)a,
                               *y = *(struct sums_function *const *)b;

    COMPARE(x->id, y->id);
    return 0;
}

static int write_functions(const struct row_writer *writer)
{
    SORTED(struct sums_function, writer->replay->sums.all_functions, compare_functions, count);
    for (size_t i = 0; i < count; i++) {
        const struct sums_function *function = items[i];
        if (row_of(writer, function) == 0)
            continue;
        store_row(writer->store, STORE_FUNCTION_STATS, "iiiiiiiiiii", writer->thread_id,
                  row_of(writer, function), (int64_t)function->calls,
                  (int64_t)function->primitive_calls, (int64_t)function->resumes,
                  (int64_t)function->primitive_resumes, (int64_t)function->hits, function->self,
                  function->self - function->wait, function->cumulative,
                  function->cumulative - function->cumulative_wait);
    }
    free(items);
    return 0;
}

static uint32_t caller_id(const struct sums_edge *edge)
{
    return edge->caller->function ? edge->caller->function->id : MODEL_NONE;
}

static int compare_edges(const void *a, const void *b)
{
    const struct sums_edge *x = *(struct sums_edge *const *)a, *y = *(struct sums_edge *const *)b;

    COMPARE(caller_id(x), caller_id(y));
    COMPARE(x->caller->line, y->caller->line);
    COMPARE(x->callee->id, y->callee->id);
    return 0;
}

static void write_edge(const struct row_writer *writer, const struct sums_edge *edge)
{
    const struct sums_function *caller = edge->caller->function;
    int64_t callee = row_of(writer, edge->callee);

#define FIGURES                                                                                    \
    callee, (int64_t)edge->calls, (int64_t)edge->primitive_calls, (int64_t)edge->resumes,          \
        edge->self, edge->self - edge->self_wait, edge->cumulative,                                \
        edge->cumulative - edge->cumulative_wait, edge->outer, edge->outer - edge->outer_wait,     \
        (int64_t)edge->cumulative_hits, (int64_t)edge->outer_hits
    if (caller)
        store_row(writer->store, STORE_EDGE_STATS, "iiiiiiiiiiiiiii", writer->thread_id,
                  row_of(writer, caller), (int64_t)edge->caller->line, FIGURES);
    else
        store_row(writer->store, STORE_EDGE_STATS, "i--iiiiiiiiiiii", writer->thread_id, FIGURES);
#undef FIGURES
}

static int write_edges(const struct row_writer *writer)
{
    SORTED(struct sums_edge, writer->replay->sums.all_edges, compare_edges, count);
    for (size_t i = 0; i < count; i++)
        write_edge(writer, items[i]);
    free(items);
    return 0;
}

/* From function to function, whatever the line. */
static void write_pair(const struct row_writer *writer, const struct sums_edge *edge)
{
    const struct sums_function *caller = edge->caller->function;
    int64_t callee = row_of(writer, edge->callee);
    struct sample_sums samples = sample_table_get(writer->replay->samples, edge);

#define FIGURES                                                                                    \
    callee, (int64_t)edge->calls, (int64_t)edge->primitive_calls, (int64_t)edge->resumes,          \
        (int64_t)edge->primitive_resumes, edge->self, edge->self - edge->self_wait,                \
        edge->cumulative, edge->cumulative - edge->cumulative_wait, (int64_t)samples.samples
    if (caller)
        store_row(writer->store, STORE_FUNCTION_EDGES, "iiiiiiiiiiii", writer->thread_id,
                  row_of(writer, caller), FIGURES);
    else
        store_row(writer->store, STORE_FUNCTION_EDGES, "i-iiiiiiiiii", writer->thread_id, FIGURES);
#undef FIGURES
}

static int write_pairs(const struct row_writer *writer)
{
    SORTED(struct sums_edge, writer->replay->sums.all_edges, compare_edges, count);
    for (size_t i = 0; i < count; i++)
        if (!items[i]->pair)
            write_pair(writer, items[i]);
    for (const struct sums_edge *pair = writer->replay->sums.all_pairs; pair; pair = pair->next)
        write_pair(writer, pair);
    free(items);
    return 0;
}

/* The figures of a context, which are those of its cells and of the ways into it. */
struct context_sums {
    uint64_t calls, recursive_calls;
    int64_t self, wait;
};

static void write_context(const struct row_writer *writer, const struct sums_node *node,
                          const struct context_sums *sums)
{
    const struct sums *of = &writer->replay->sums;
    int64_t id = sums_context_row(of, node);

#define FIGURES                                                                                    \
    (int64_t) sums->calls, (int64_t)sums->recursive_calls, sums->self, sums->self - sums->wait,    \
        node->cumulative, node->cumulative - node->cumulative_wait
    if (node->depth > 0)
        store_row(writer->store, STORE_CONTEXTS, "iiiiiiiiii", id,
                  sums_context_row(of, sums_node(of, node->parent)), writer->thread_id,
                  row_of(writer, node->function), FIGURES);
    else
        store_row(writer->store, STORE_CONTEXTS, "i-i-iiiiii", id, writer->thread_id, FIGURES);
#undef FIGURES
}

static int compare_cells(const void *a, const void *b)
{
    const struct sums_cell *x = *(struct sums_cell *const *)a, *y = *(struct sums_cell *const *)b;

    COMPARE(x->line, y->line);
    return 0;
}

/* The cells of a context in `cells`, which has room for them, by line. How many there are. */
static size_t sort_cells(const struct sums_node *node, struct sums_cell **cells,
                         struct context_sums *sums)
{
    size_t count = 0;
    struct sums_cell *cell;

    for (uint64_t i = 0; (cell = sums_next_cell(node, &i));) {
        cells[count++] = cell;
        sums->self += cell->self;
        sums->wait += cell->wait;
    }
    if (count > 1)
        qsort(cells, count, sizeof *cells, compare_cells);
    return count;
}

static void write_cells(const struct row_writer *writer, const struct sums_node *node,
                        struct sums_cell *const *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (cells[i]->hits || cells[i]->self)
            store_row(writer->store, STORE_CONTEXT_LINES, "iiiii",
                      sums_context_row(&writer->replay->sums, node), cells[i]->line,
                      (int64_t)cells[i]->hits, cells[i]->self, cells[i]->self - cells[i]->wait);
}

static int compare_entries(const void *a, const void *b)
{
    const struct sums_entry *x = *(const struct sums_entry *const *)a,
                            *y = *(const struct sums_entry *const *)b;

    COMPARE(x->node->number, y->node->number);
    COMPARE(x->caller_node, y->caller_node);
    COMPARE(x->caller->line, y->caller->line);
    return 0;
}

static void write_entry(const struct row_writer *writer, const struct sums_entry *entry)
{
    const struct sums *sums = &writer->replay->sums;
    int64_t id = sums_context_row(sums, entry->node);
    int64_t caller = sums_context_row(sums, sums_node(sums, entry->caller_node));
    int64_t cpu = entry->cumulative - entry->cumulative_wait;

    if (entry->caller_node != sums->root->number)
        store_row(writer->store, STORE_CONTEXT_EDGES, "iiiiii", id, caller, entry->caller->line,
                  (int64_t)entry->calls, entry->cumulative, cpu);
    else
        store_row(writer->store, STORE_CONTEXT_EDGES, "ii-iii", id, caller, (int64_t)entry->calls,
                  entry->cumulative, cpu);
}

/* The ways into a context stand together in the sorted entries: from here on, and the result is
 * behind them. */
static size_t write_entries(const struct row_writer *writer, const struct sums_node *node,
                            const struct sums_entry *const *entries, size_t count,
                            struct context_sums *sums)
{
    size_t i = 0;

    for (; i < count && entries[i]->node == node; i++) {
        sums->calls += entries[i]->calls;
        if (node->parent != entries[i]->caller_node)
            sums->recursive_calls += entries[i]->calls;
        write_entry(writer, entries[i]);
    }
    return i;
}

static size_t count_most_cells(const struct sums *sums)
{
    size_t most = 0;

    for (uint32_t i = 0; i < sums->nodes.count; i++) {
        const struct sums_node *node = sums_node(sums, i);
        most = node->count > most ? node->count : most;
    }
    return most;
}

/* The entries that have rows, as those of one context follow each other, in an array that the
 * caller frees. NULL: no memory. */
static const struct sums_entry **sort_entries(const struct sums *sums, size_t *count)
{
    const struct sums_entry **items = malloc(((size_t)sums->entries.count + 1) * sizeof *items);

    *count = 0;
    for (uint32_t i = 0; items && i < sums->entries.count; i++) {
        const struct sums_entry *entry = sums_entry_at(sums, i);
        if (sums_entry_counts(sums, entry))
            items[(*count)++] = entry;
    }
    if (items)
        qsort(items, *count, sizeof *items, compare_entries);
    return items;
}

static int write_contexts(struct row_writer *writer)
{
    const struct sums *sums = &writer->replay->sums;
    size_t count, done = 0;
    struct sums_cell **cells = malloc((count_most_cells(sums) + 1) * sizeof *cells);
    const struct sums_entry **entries = sort_entries(sums, &count);

    for (uint32_t i = 0; cells && entries && i < sums->nodes.count; i++) {
        const struct sums_node *node = sums_node(sums, i);
        struct context_sums figures = {0};
        if (!node->rank)
            continue;
        size_t cell_count = sort_cells(node, cells, &figures);
        done += write_entries(writer, node, &entries[done], count - done, &figures);
        write_context(writer, node, &figures);
        if (node->depth > 0)
            write_cells(writer, node, cells, cell_count);
        writer->self += figures.self;
        writer->wait += figures.wait;
    }
    bool good = cells && entries;
    free(entries);
    free(cells);
    return good ? 0 : -1;
}

static void write_account(const struct row_writer *writer)
{
    const struct replay *replay = writer->replay;
    int64_t wall = replay->hand.ns - replay->first_ns;

    store_row(writer->store, STORE_ACCOUNTS, "iiiiii", writer->thread_id, wall, writer->self,
              writer->self - writer->wait, replay->gap_ns, wall - writer->self - replay->gap_ns);
}

static void write_gaps(const struct row_writer *writer)
{
    const struct replay *replay = writer->replay;

    for (size_t i = 0; i < replay->gap_count; i++)
        store_row(writer->store, STORE_GAPS, "iiiis", writer->process_id, writer->thread_id,
                  replay->gaps[i].start, replay->gaps[i].end,
                  trace_gap_name(replay->gaps[i].reason));
}

/* Transparent frames are not listed: they count as not recorded. */
static void write_open_frames(const struct row_writer *writer)
{
    const struct replay *replay = writer->replay;
    int64_t depth = 0;

    for (size_t i = 1; i <= replay->open; i++) {
        const struct replay_frame *frame = &replay->frames[i];
        if (frame->is_booked)
            store_row(writer->store, STORE_OPEN_FRAMES, "iiiiii", writer->process_id,
                      writer->thread_id, depth++, row_of(writer, frame->entry->function),
                      frame->cell->line, replay_since(replay, frame));
    }
}

static void write_mark(const struct row_writer *writer, const struct replay_mark *mark)
{
    const struct sums_function *function = mark->at->function;

    if (function)
        store_row(writer->store, STORE_MARKS, "iiitti", mark->time, writer->process_id,
                  writer->thread_id, mark->text, writer->model->files[function->file].path,
                  (int64_t)mark->at->line);
    else
        store_row(writer->store, STORE_MARKS, "iiit--", mark->time, writer->process_id,
                  writer->thread_id, mark->text);
}

int thread_rows_store(struct replay *replay, const struct model *model, struct store *store,
                      int64_t process_id, int64_t thread_id)
{
    struct row_writer writer = {replay, model, store, process_id, thread_id, 0, 0};

    if (write_lines(&writer) < 0 || write_edges(&writer) < 0 || write_functions(&writer) < 0 ||
        write_pairs(&writer) < 0 || write_contexts(&writer) < 0)
        return -1;
    write_account(&writer);
    write_gaps(&writer);
    write_open_frames(&writer);
    for (size_t i = 0; i < replay->mark_count; i++)
        write_mark(&writer, &replay->marks[i]);
    return 0;
}
