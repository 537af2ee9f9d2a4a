#include "tests/fuzz/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/trace/crc32c.h"
#include "formats/trace/decode.h"
#include "formats/trace/encode.h"
#include "generated/profile_sql.h"
#include "tests/fuzz/fuzz.h"

enum { TABLES_MAX = 64, COLUMNS_MAX = 32, TEXT_MAX = 255 };

/* A table of profile.sql. */
struct table {
    char name[32];
    char columns[800];
    int count;
};

struct tables {
    struct table at[TABLES_MAX];
    size_t count;
};

static const char tables_query[] =
    "SELECT name, (SELECT group_concat(name) FROM pragma_table_info(s.name)), "
    "(SELECT count(*) FROM pragma_table_info(s.name)) FROM sqlite_schema AS s "
    "WHERE type = 'table' ORDER BY rowid";

static void run(sqlite3 *db, const char *sql)
{
    FUZZ_CLAIM(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql,
               sqlite3_errmsg(db));
}

static const struct tables *list_tables(void)
{
    static struct tables tables;
    sqlite3_stmt *statement;
    sqlite3 *db;

    if (tables.count)
        return &tables;
    FUZZ_CLAIM(sqlite3_open(":memory:", &db) == SQLITE_OK, "no memory");
    run(db, profile_schema_sql);
    FUZZ_CLAIM(sqlite3_prepare_v2(db, tables_query, -1, &statement, NULL) == SQLITE_OK, "%s",
               sqlite3_errmsg(db));
    while (sqlite3_step(statement) == SQLITE_ROW && tables.count < TABLES_MAX) {
        struct table *table = &tables.at[tables.count++];
        snprintf(table->name, sizeof table->name, "%s", sqlite3_column_text(statement, 0));
        snprintf(table->columns, sizeof table->columns, "%s", sqlite3_column_text(statement, 1));
        table->count = sqlite3_column_int(statement, 2);
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return &tables;
}

/* A byte that names the table, whatever tables there will be. */
static uint8_t table_byte(const struct table *table)
{
    return (uint8_t)crc32c(0, (const uint8_t *)table->name, strlen(table->name));
}

static size_t find_table(const struct tables *tables, uint8_t byte)
{
    for (size_t i = 0; i < tables->count; i++)
        if (table_byte(&tables->at[i]) == byte)
            return i;
    return byte % tables->count;
}

/* --- Reading --- */

static void bind_bytes(sqlite3_stmt *statement, int column, bool text, struct trace_cursor *cur)
{
    struct trace_bytes length = trace_read_bytes(cur, 1);
    struct trace_bytes bytes = trace_read_bytes(cur, length.size ? *length.at : 0);

    if (text)
        sqlite3_bind_text(statement, column, (const char *)bytes.at, (int)bytes.size,
                          SQLITE_TRANSIENT);
    else
        sqlite3_bind_blob(statement, column, bytes.at, (int)bytes.size, SQLITE_TRANSIENT);
}

static void bind_value(sqlite3_stmt *statement, int column, struct trace_cursor *cur)
{
    struct trace_bytes type = trace_read_bytes(cur, 1), bytes;
    double real;

    switch (type.size ? *type.at % ROWS_TYPES : ROWS_NULL) {
    case ROWS_SMALL:
        bytes = trace_read_bytes(cur, 1);
        sqlite3_bind_int(statement, column, bytes.size ? (int8_t)*bytes.at : 0);
        break;
    case ROWS_WHOLE:
        bytes = trace_read_bytes(cur, 8);
        sqlite3_bind_int64(statement, column, bytes.size ? (int64_t)trace_get_u64(bytes.at) : 0);
        break;
    case ROWS_REAL:
        bytes = trace_read_bytes(cur, 8);
        memcpy(&real, bytes.size ? bytes.at : (const uint8_t *)"\0\0\0\0\0\0\xf0\x7f", 8);
        sqlite3_bind_double(statement, column, real);
        break;
    case ROWS_TEXT:
        bind_bytes(statement, column, true, cur);
        break;
    case ROWS_BLOB:
        bind_bytes(statement, column, false, cur);
        break;
    default:
        break; /* NULL */
    }
}

static sqlite3_stmt *prepare_insert(sqlite3 *db, const struct table *table)
{
    sqlite3_stmt *statement;
    char sql[128 + 2 * COLUMNS_MAX];
    int size = snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (?", table->name);

    for (int i = 1; i < table->count; i++)
        size += snprintf(sql + size, sizeof sql - (size_t)size, ",?");
    snprintf(sql + size, sizeof sql - (size_t)size, ")");
    FUZZ_CLAIM(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql,
               sqlite3_errmsg(db));
    return statement;
}

static void read_rows(sqlite3 *db, const struct tables *tables, struct trace_cursor *cur)
{
    sqlite3_stmt *inserts[TABLES_MAX] = {NULL};

    while (cur->at < cur->end && cur->status == TRACE_OK) {
        size_t which = find_table(tables, *cur->at++);
        if (!inserts[which])
            inserts[which] = prepare_insert(db, &tables->at[which]);
        for (int i = 1; i <= tables->at[which].count; i++)
            bind_value(inserts[which], i, cur);
        sqlite3_step(inserts[which]);
        sqlite3_reset(inserts[which]);
        sqlite3_clear_bindings(inserts[which]);
    }
    for (size_t i = 0; i < tables->count; i++)
        sqlite3_finalize(inserts[i]);
}

sqlite3 *rows_read(const uint8_t *bytes, size_t size)
{
    const struct tables *tables = list_tables();
    struct trace_cursor cur = trace_cursor_over(bytes, size);
    char sql[1024];
    sqlite3 *db;

    FUZZ_CLAIM(sqlite3_open(":memory:", &db) == SQLITE_OK, "no memory");
    run(db, "BEGIN");
    for (size_t i = 0; i < tables->count; i++) {
        snprintf(sql, sizeof sql, "CREATE TABLE %s (%s)", tables->at[i].name,
                 tables->at[i].columns);
        run(db, sql);
    }
    read_rows(db, tables, &cur);
    run(db, "COMMIT");
    return db;
}

/* --- Writing --- */

struct buffer {
    uint8_t *at;
    size_t size, room;
};

static void add(struct buffer *buffer, const void *bytes, size_t size)
{
    if (size > buffer->room - buffer->size) {
        buffer->room = 2 * (buffer->room + size);
        buffer->at = realloc(buffer->at, buffer->room);
        FUZZ_CLAIM(buffer->at, "no memory");
    }
    if (size)
        memcpy(buffer->at + buffer->size, bytes, size);
    buffer->size += size;
}

static void add_byte(struct buffer *buffer, unsigned byte)
{
    add(buffer, &(uint8_t){(uint8_t)byte}, 1);
}

static void add_whole(struct buffer *buffer, int64_t value)
{
    uint8_t bytes[8];

    trace_put_u64(bytes, (uint64_t)value);
    add_byte(buffer, value == (int8_t)value ? ROWS_SMALL : ROWS_WHOLE);
    add(buffer, bytes, value == (int8_t)value ? 1 : sizeof bytes);
}

static void add_value(struct buffer *buffer, sqlite3_stmt *statement, int column)
{
    int type = sqlite3_column_type(statement, column), size;
    double real;

    switch (type) {
    case SQLITE_INTEGER:
        add_whole(buffer, sqlite3_column_int64(statement, column));
        break;
    case SQLITE_FLOAT:
        real = sqlite3_column_double(statement, column);
        add_byte(buffer, ROWS_REAL);
        add(buffer, &real, sizeof real);
        break;
    case SQLITE_TEXT:
    case SQLITE_BLOB:
        size = sqlite3_column_bytes(statement, column);
        size = size < TEXT_MAX ? size : TEXT_MAX;
        add_byte(buffer, type == SQLITE_TEXT ? ROWS_TEXT : ROWS_BLOB);
        add_byte(buffer, (unsigned)size);
        add(buffer, sqlite3_column_blob(statement, column), (size_t)size);
        break;
    default:
        add_byte(buffer, ROWS_NULL);
    }
}

uint8_t *rows_write(sqlite3 *db, size_t *size)
{
    const struct tables *tables = list_tables();
    struct buffer buffer = {0};

    for (size_t i = 0; i < tables->count; i++) {
        sqlite3_stmt *statement;
        char sql[1024];

        snprintf(sql, sizeof sql, "SELECT %s FROM %s", tables->at[i].columns, tables->at[i].name);
        FUZZ_CLAIM(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s", sql);
        while (sqlite3_step(statement) == SQLITE_ROW) {
            add_byte(&buffer, table_byte(&tables->at[i]));
            for (int column = 0; column < tables->at[i].count; column++)
                add_value(&buffer, statement, column);
        }
        sqlite3_finalize(statement);
    }
    *size = buffer.size;
    return buffer.at;
}
