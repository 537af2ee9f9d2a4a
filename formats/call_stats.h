/* call_stats.h - functions and their callers as cProfile counts them, for what speaks to pstats.
 *
 * A function is (file, line, name), a C function ("~", 0, name). Code objects that agree in these
 * (two lambdas of one line) are one function and are added up. A call is a fresh call or the
 * continuation of a generator; primitive is one that found the function, or the pair of caller and
 * callee, not active on its thread. Times are seconds in floating point, as pstats has them. Of a
 * sampled run, which knows no calls, the samples in a function itself stand in their place.
 */
#ifndef FORMATS_CALL_STATS_H
#define FORMATS_CALL_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "formats/pool.h"

struct error;

struct call_stats_figures {
    uint64_t calls;
    uint64_t primitive_calls;
    double self;
    double cumulative;
};

struct call_stats_function {
    int64_t id;         /* the least of its function_ids */
    const char *file;   /* not made printable */
    const char *python; /* the same as Python has it: bytes that are not UTF-8 are surrogates */
    int64_t line;
    const char *name;
    struct call_stats_figures sum;
};

/* One pair; both are indexes of functions. */
struct call_stats_edge {
    size_t callee;
    size_t caller;
    struct call_stats_figures sum;
};

struct call_stats {
    struct call_stats_function *functions; /* owned; ascending by id */
    size_t function_count;
    struct call_stats_edge *edges; /* owned; ascending by callee, then caller */
    size_t edge_count;
    bool is_sampled;
    struct pool pool; /* owns the names */
};

/* Reads them, of all threads or of the one with `thread_id` not 0. -1 with *err set; in any case
 * call_stats_fini() frees. */
int call_stats_load(struct call_stats *stats, sqlite3 *db, int64_t thread_id, struct error *err);
void call_stats_fini(struct call_stats *stats);

/* Adds figures to figures. */
void call_stats_add(struct call_stats_figures *sum, const struct call_stats_figures *more);

#endif
