/* totals.h - the sums of all threads of all runs together, and the rows of each thread.
 *
 * totals_add_thread() writes the tables that have a thread_id and adds to the others, which are
 * written at the end.
 */
#ifndef ANALYZER_TOTALS_H
#define ANALYZER_TOTALS_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/arena.h"
#include "analyzer/map.h"

struct model;
struct replay;
struct sample_sums;
struct sample_table;
struct store;

/* A (file, line). */
struct total_line {
    uint32_t file, line;
    uint64_t hits;
    int64_t self, wait, cumulative, cumulative_wait;
    struct total_line *next;
};

/* A (function, line); says which function of a line is its own. */
struct total_function_line {
    uint32_t function, line;
    uint64_t hits;
    struct total_function_line *next;
};

struct total_edge {
    uint32_t caller; /* MODEL_NONE: a root */
    uint32_t caller_line;
    uint32_t callee;
    uint64_t calls, primitive_calls, resumes;
    int64_t self, self_wait, cumulative, cumulative_wait, outer, outer_wait;
    uint64_t cumulative_hits, outer_hits;
    struct total_edge *next;
};

struct totals {
    struct model *model; /* borrowed */
    struct store *store; /* borrowed */
    struct arena arena;
    struct map lines, function_lines, edges;
    struct total_line *all_lines;
    struct total_function_line *all_function_lines;
    struct total_edge *all_edges;
    size_t function_line_count, edge_count;
    struct sample_table *samples;          /* owned: of lines and edges; NULL: nothing was sampled */
    struct sample_table *function_samples; /* owned: of functions, by totals_function_key() */
    uint64_t contexts; /* rows so far */
    uint64_t hits, events;
    int64_t self, wait;
};

void totals_init(struct totals *totals, struct model *model, struct store *store);
void totals_fini(struct totals *totals);

/* Takes what a thread did, row `thread_id` of `process_id`. 0, or -1: no memory. */
int totals_add_thread(struct totals *totals, struct replay *replay, int64_t process_id,
                      int64_t thread_id);

/* The total of a (file, line), or NULL: no hits and no time. */
const struct total_line *totals_line(const struct totals *totals, uint32_t file, uint32_t line);

/* Writes functions and edges. 0, or -1: no memory. */
int totals_store(struct totals *totals);

#endif
