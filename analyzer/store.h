/* store.h - rows into a database (formats/profile.sql).
 *
 * Everything is one transaction without a journal in a temporary file beside the target, which
 * appears under its name when it is whole. The first failure sticks: later rows do nothing, and
 * store_finish() reports it.
 */
#ifndef ANALYZER_STORE_H
#define ANALYZER_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

struct error;
struct store;

/* X(constant, table, column types): i int64_t, r double, s C string, t struct trace_bytes as text
 * (made valid UTF-8), b struct trace_bytes as blob. */
/* clang-format off */
#define STORE_TABLES(X)                                                \
    X(META,          "meta",          "ss")                            \
    X(RUNS,          "runs",          "isttttiissiiiirttt")            \
    X(WARNINGS,      "warnings",      "is")                            \
    X(PROCESSES,     "processes",     "iiiiisttiis")                   \
    X(THREADS,       "threads",       "iiiitiiii")                     \
    X(FILES,         "files",         "itstsiibb")                     \
    X(FUNCTIONS,     "functions",     "iittttisiiiiiiiiiiiiii")        \
    X(LINES,         "lines",         "ititiiiiiitiiiiii")             \
    X(LINE_STATS,    "line_stats",    "iiiiiiiiiiiiii")                \
    X(EDGES,         "edges",         "ittiittiiiiiiiiiiiiiiiiii")     \
    X(EDGE_STATS,    "edge_stats",    "iiiiiiiiiiiiiii")               \
    X(FUNCTION_STATS, "function_stats", "iiiiiiiiiii")                  \
    X(FUNCTION_EDGES, "function_edges", "iiiiiiiiiiii")                 \
    X(STATEMENT_LINES, "statement_lines", "iii")                        \
    X(STATEMENT_STATS, "statement_stats", "iiii")                       \
    X(CONTEXTS,      "contexts",      "iiiiiiiiii")                    \
    X(CONTEXT_LINES, "context_lines", "iiiii")                         \
    X(CONTEXT_EDGES, "context_edges", "iiiiii")                        \
    X(ACCOUNTS,      "accounts",      "iiiiii")                        \
    X(GAPS,          "gaps",          "iiiis")                         \
    X(SAMPLERS,      "samplers",      "iiiiiii")                       \
    X(WINDOWS,       "windows",       "iitiii")                        \
    X(OPEN_FRAMES,   "open_frames",   "iiiiii")                        \
    X(MARKS,         "marks",         "iiitti")
/* clang-format on */

enum store_table {
#define X(name, table, types) STORE_##name,
    STORE_TABLES(X)
#undef X
        STORE_TABLE_COUNT
};

/* A new database; `path` NULL: in memory. NULL with *err set. */
struct store *store_open(const char *path, struct error *err);

/* Adds a row. `types` are the table's, with '-' for a NULL, which takes no argument. Values are
 * borrowed for the call. */
void store_row(struct store *store, enum store_table table, const char *types, ...);
/* From here on rows may hold so much long text in all as suits traces of that many bytes: what
 * repeats a name of a megabyte in every row fails. */
void store_limit_text(struct store *store, uint64_t trace_bytes);
bool store_failed(const struct store *store);

/* A row could not be made for want of memory: sticks as any other failure. */
void store_out_of_memory(struct store *store);

/* Indexes, commits and gives the file its name. Frees the store. If `db` is not NULL it gets an
 * open connection. 0, or -1 with *err set; then the temporary file is gone and what was at `path`
 * is as before. */
int store_finish(struct store *store, sqlite3 **db, struct error *err);

/* Frees, and removes the temporary file. Accepts NULL. */
void store_abandon(struct store *store);

#endif
