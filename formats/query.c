#include "formats/query.h"

#include "formats/error.h"

static void fail(struct query *query, sqlite3 *db)
{
    query->failed = true;
    error_set(query->err, "the database cannot be read: %s", sqlite3_errmsg(db));
}

struct query query_open(sqlite3 *db, const char *sql, struct error *err)
{
    struct query query = {.err = err};

    if (sqlite3_prepare_v2(db, sql, -1, &query.statement, NULL) != SQLITE_OK)
        fail(&query, db);
    return query;
}

void query_bind(struct query *query, int parameter, int64_t value)
{
    if (!query->failed && sqlite3_bind_int64(query->statement, parameter, value) != SQLITE_OK)
        fail(query, sqlite3_db_handle(query->statement));
}

void query_bind_text(struct query *query, int parameter, const char *text)
{
    if (!query->failed &&
        sqlite3_bind_text(query->statement, parameter, text, -1, SQLITE_STATIC) != SQLITE_OK)
        fail(query, sqlite3_db_handle(query->statement));
}

bool query_next(struct query *query)
{
    int status;

    if (query->failed)
        return false;
    status = sqlite3_step(query->statement);
    if (status != SQLITE_ROW && status != SQLITE_DONE)
        fail(query, sqlite3_db_handle(query->statement));
    return status == SQLITE_ROW;
}

void query_reset(struct query *query)
{
    if (!query->failed) {
        sqlite3_reset(query->statement);
        sqlite3_clear_bindings(query->statement);
    }
}

int query_close(struct query *query)
{
    sqlite3_finalize(query->statement);
    query->statement = NULL;
    return query->failed ? -1 : 0;
}

int64_t query_int(const struct query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

uint64_t query_sum(const struct query *query, int column)
{
    int64_t value = query_int(query, column);

    return value > 0 ? (uint64_t)value : 0;
}

bool query_is_null(const struct query *query, int column)
{
    return sqlite3_column_type(query->statement, column) == SQLITE_NULL;
}

const char *query_text(struct query *query, int column, size_t *size)
{
    const char *bytes = (const char *)sqlite3_column_text(query->statement, column);

    if (bytes == NULL && sqlite3_errcode(sqlite3_db_handle(query->statement)) == SQLITE_NOMEM)
        fail(query, sqlite3_db_handle(query->statement));
    *size = bytes == NULL ? 0 : (size_t)sqlite3_column_bytes(query->statement, column);
    return bytes == NULL ? "" : bytes;
}

int query_number(sqlite3 *db, const char *sql, uint64_t *number, struct error *err)
{
    struct query query = query_open(db, sql, err);

    *number = query_next(&query) ? query_sum(&query, 0) : 0;
    return query_close(&query);
}

int query_is_sampled(sqlite3 *db, bool *sampled, struct error *err)
{
    uint64_t count = 0;
    int status = query_number(db, "SELECT count(*) FROM runs WHERE mode = 'sample'", &count, err);

    *sampled = count > 0;
    return status;
}
