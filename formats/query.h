/* query.h - reading the database: a statement and its one error path.
 *
 *     struct query query = query_open(db, "SELECT …", err);
 *
 *     while (query_next(&query))
 *         …sqlite3_column_…(query.statement, 0)…
 *     return query_close(&query);
 */
#ifndef FORMATS_QUERY_H
#define FORMATS_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

struct error;

struct query {
    sqlite3_stmt *statement; /* owned; NULL if it could not be prepared */
    struct error *err;       /* borrowed */
    bool failed;
};

/* A failure to prepare shows in query_close(). */
struct query query_open(sqlite3 *db, const char *sql, struct error *err);

void query_bind(struct query *query, int parameter, int64_t value);

/* The text is borrowed until the end. */
void query_bind_text(struct query *query, int parameter, const char *text);

/* Steps to the next row; false at the end or after a failure. */
bool query_next(struct query *query);

/* Starts over, with the bindings cleared. */
void query_reset(struct query *query);

/* 0, or -1 with *err set if anything failed since query_open(). */
int query_close(struct query *query);

/* Columns of the current row. A sum below zero, which only a damaged database holds, is read as
 * zero. */
int64_t query_int(const struct query *query, int column);
uint64_t query_sum(const struct query *query, int column);
bool query_is_null(const struct query *query, int column);

/* The bytes of a text or blob, good until the next step; "" for NULL. */
const char *query_text(struct query *query, int column, size_t *size);

/* Was it sampled? Then hits are samples, times are estimates, and calls are not known. */
int query_is_sampled(sqlite3 *db, bool *sampled, struct error *err);

/* One number from a query without parameters, 0 if it gives no row. */
int query_number(sqlite3 *db, const char *sql, uint64_t *number, struct error *err);

#endif
