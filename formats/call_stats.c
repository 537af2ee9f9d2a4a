#include "formats/call_stats.h"

#include <stdlib.h>
#include <string.h>

#include "formats/error.h"
#include "formats/query.h"
#include "formats/text.h"

/* Each function with the least id of those that cProfile would not tell from it. */
#define SAME                                                                                       \
    "WITH same AS (SELECT function_id, MIN(function_id) OVER (PARTITION BY file, first_line, "     \
    "name) AS id FROM functions WHERE kind <> 'outside') "
#define FIGURES                                                                                    \
    "SUM(CASE ?1 WHEN 0 THEN s.calls + s.resumes ELSE s.samples END), "                            \
    "SUM(CASE ?1 WHEN 0 THEN s.primitive_calls + s.primitive_resumes ELSE s.samples END), "        \
    "SUM(s.self_ns), "                                                                             \
    "SUM(s.cumulative_ns) "

/* Parameter 1 says whether the run was sampled, 2 is the thread, for `condition`. */
#define FUNCTIONS(condition)                                                                       \
    SAME "SELECT " FIGURES ", same.id, f.kind = 'c', f.file, f.first_line, f.name, "               \
         "(SELECT raw_path FROM files WHERE file_id = f.file_id) "                                 \
         "FROM (SELECT *, hits AS samples FROM function_stats) s JOIN same USING (function_id) "   \
         "JOIN functions f ON f.function_id = same.id " condition                                  \
         "GROUP BY same.id ORDER BY same.id"
#define EDGES(condition)                                                                           \
    SAME "SELECT " FIGURES ", callee.id, caller.id FROM function_edges s "                         \
         "JOIN same callee ON callee.function_id = s.callee_function_id "                          \
         "JOIN same caller ON caller.function_id = s.caller_function_id " condition                \
         "GROUP BY callee.id, caller.id ORDER BY callee.id, caller.id"

/* Of all threads, and of one: by an index then, there may be many. */
static const char *const functions_sql[] = {FUNCTIONS(""), FUNCTIONS("WHERE s.thread_id = ?2 ")};
static const char *const edges_sql[] = {EDGES(""), EDGES("WHERE s.thread_id = ?2 ")};

static int no_memory(struct error *err)
{
    return error_set(err, "out of memory");
}

void call_stats_add(struct call_stats_figures *sum, const struct call_stats_figures *more)
{
    sum->calls += more->calls;
    sum->primitive_calls += more->primitive_calls;
    sum->self += more->self;
    sum->cumulative += more->cumulative;
}

/* The first four columns. */
static struct call_stats_figures read_figures(const struct query *query)
{
    return (struct call_stats_figures){
        .calls = query_sum(query, 0),
        .primitive_calls = query_sum(query, 1),
        .self = (double)query_sum(query, 2) / 1e9,
        .cumulative = (double)query_sum(query, 3) / 1e9,
    };
}

/* The items, moved perhaps, with room for one more of `size` bytes behind `count`; they grow at
 * powers of two. NULL: out of memory, and they are where they were. */
static void *grow(void *items, size_t count, size_t size)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return items;
    if (count > SIZE_MAX / 2 / size)
        return NULL;
    return realloc(items, (count == 0 ? 1 : count * 2) * size);
}

/* ---- functions ---- */

/* Bytes as Python decodes file names: what is not UTF-8 becomes lone surrogates. */
static const char *decode_path(struct pool *pool, const char *bytes, size_t size)
{
    const char *end = bytes + size;
    struct text text = {0};
    const char *result = NULL;

    while (bytes < end) {
        uint32_t character = text_next(&bytes, end);

        text_add_character(&text,
                           character >= TEXT_BYTE ? 0xDC00 + (character - TEXT_BYTE) : character);
    }
    if (!text.failed)
        result = pool_string(pool, text.at, text.size);
    text_fini(&text);
    return result;
}

static int read_file(struct pool *pool, struct query *query, struct call_stats_function *function)
{
    size_t size;
    const char *bytes;

    function->file = function->python = "~";
    if (query_int(query, 5) != 0)
        return 0;
    bytes = query_text(query, 6, &size);
    function->file = function->python = pool_string(pool, bytes, size);
    if (!query_is_null(query, 9)) {
        bytes = query_text(query, 9, &size);
        function->python = decode_path(pool, bytes, size);
    }
    return function->file != NULL && function->python != NULL ? 0 : -1;
}

static int load_function(struct call_stats *stats, struct query *query)
{
    struct call_stats_function function = {.sum = read_figures(query), .id = query_int(query, 4)};
    struct call_stats_function *grown =
        grow(stats->functions, stats->function_count, sizeof *grown);
    size_t size;
    const char *name;

    if (grown == NULL)
        return no_memory(query->err);
    stats->functions = grown;
    function.line = query_int(query, 7);
    name = query_text(query, 8, &size);
    function.name = pool_string(&stats->pool, name, size);
    if (read_file(&stats->pool, query, &function) < 0 || function.name == NULL)
        return no_memory(query->err);
    stats->functions[stats->function_count++] = function;
    return 0;
}

/* ---- edges ---- */

static int by_id(const void *a, const void *b)
{
    const struct call_stats_function *left = a, *right = b;

    return (left->id > right->id) - (left->id < right->id);
}

static int find_function(const struct call_stats *stats, int64_t id, size_t *index)
{
    const struct call_stats_function key = {.id = id};
    const struct call_stats_function *found =
        stats->function_count == 0
            ? NULL
            : bsearch(&key, stats->functions, stats->function_count, sizeof key, by_id);

    if (found == NULL)
        return -1;
    *index = (size_t)(found - stats->functions);
    return 0;
}

static int load_edge(struct call_stats *stats, struct query *query)
{
    struct call_stats_edge edge = {.sum = read_figures(query)};
    struct call_stats_edge *grown = grow(stats->edges, stats->edge_count, sizeof *grown);

    if (grown == NULL)
        return no_memory(query->err);
    stats->edges = grown;
    if (find_function(stats, query_int(query, 4), &edge.callee) < 0 ||
        find_function(stats, query_int(query, 5), &edge.caller) < 0)
        return error_set(query->err, "the database is damaged: a call of a function without sums");
    stats->edges[stats->edge_count++] = edge;
    return 0;
}

/* ---- all ---- */

static int load(struct call_stats *stats, sqlite3 *db, int64_t thread_id, const char *const *sql,
                int (*load_row)(struct call_stats *, struct query *), struct error *err)
{
    struct query query = query_open(db, sql[thread_id != 0], err);
    int status = 0;

    query_bind(&query, 1, stats->is_sampled);
    if (thread_id != 0)
        query_bind(&query, 2, thread_id);
    while (status == 0 && query_next(&query))
        status = load_row(stats, &query);
    return query_close(&query) < 0 ? -1 : status;
}

int call_stats_load(struct call_stats *stats, sqlite3 *db, int64_t thread_id, struct error *err)
{
    *stats = (struct call_stats){0};
    if (query_is_sampled(db, &stats->is_sampled, err) < 0)
        return -1;
    if (load(stats, db, thread_id, functions_sql, load_function, err) < 0)
        return -1;
    return load(stats, db, thread_id, edges_sql, load_edge, err);
}

void call_stats_fini(struct call_stats *stats)
{
    free(stats->functions);
    free(stats->edges);
    pool_fini(&stats->pool);
    *stats = (struct call_stats){0};
}
