/* sql.h - the queries of --sql: run, guarded, written.
 *
 * A query may read everything and make temporary tables and views; it cannot write to the database,
 * attach another, load code or change a setting that matters.
 */
#ifndef ANALYZER_SQL_H
#define ANALYZER_SQL_H

#include <stddef.h>

#include <sqlite3.h>

struct error;
struct output;

/* Text of one --sql. */
struct sql_query {
    const char *name; /* borrowed; how errors call it: "--sql", or the file it came from */
    char *text;       /* owned */
};

/* Reads an argument of --sql: the query itself, @FILE, or - for standard input. 0, or -1 with *err
 * set. */
int sql_query_read(struct sql_query *query, const char *argument, struct error *err);
void sql_query_fini(struct sql_query *query);

/* Runs the queries in order and writes their rows to `out`. `style`: enum sql_rows_style.
 * The guard is in force while they run. 0, or -1 with *err set: name, line, column and SQLite's
 * words. */
int sql_run(sqlite3 *db, const struct sql_query *queries, size_t count, int style,
            struct output *out, struct error *err);

#endif
