#include "analyzer/store.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/utf8.h"
#include "formats/error.h"
#include "formats/trace/decode.h"
#include "generated/profile_sql.h"

#define COLUMNS_MAX 32
#define TEMPORARY_TRIES 100
#define SHORT_TEXT 256            /* a name of this size may be in any number of rows */
#define LONG_TEXT_FREE (64 << 20) /* what is longer adds up to so much at most ... */
#define LONG_TEXT_FACTOR 16       /* ... and that many times the size of the traces */

struct store {
    sqlite3 *db;
    sqlite3_stmt *inserts[STORE_TABLE_COUNT];
    char *path;      /* owned; NULL: in memory */
    char *temporary; /* owned; NULL: in memory, or not there any more */
    uint64_t long_text, long_text_max;
    struct error failure;
};

static const struct {
    const char *name, *types;
} tables[] = {
#define X(constant, name, types) {name, types},
    STORE_TABLES(X)
#undef X
};

static int fail(struct store *store, const char *what)
{
    const char *name = store->path ? store->path : "database in memory";

    return error_set(&store->failure, "%s: %s: %s", name, what, sqlite3_errmsg(store->db));
}

static void run(struct store *store, const char *sql, const char *what)
{
    if (!store_failed(store) && sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail(store, what);
}

/* --- Opening --- */

/* A new, empty file beside the target. */
static int make_temporary(struct store *store, struct error *err)
{
    size_t size = strlen(store->path) + 32;

    store->temporary = malloc(size);
    if (!store->temporary)
        return error_set(err, "%s: out of memory", store->path);
    for (int i = 0; i < TEMPORARY_TRIES; i++) {
        snprintf(store->temporary, size, "%s.tmp-%ld-%d", store->path, (long)getpid(), i);
        int fd = open(store->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0)
            return close(fd);
        if (errno != EEXIST)
            break;
    }
    int reason = errno;
    free(store->temporary);
    store->temporary = NULL;
    return error_set(err, "%s: cannot write: %s", store->path, strerror(reason));
}

static void prepare(struct store *store, enum store_table table)
{
    char sql[128 + 2 * COLUMNS_MAX];
    int size = snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (?", tables[table].name);

    for (size_t i = 1; tables[table].types[i]; i++)
        size += snprintf(sql + size, sizeof sql - (size_t)size, ",?");
    snprintf(sql + size, sizeof sql - (size_t)size, ")");
    if (sqlite3_prepare_v2(store->db, sql, -1, &store->inserts[table], NULL) != SQLITE_OK)
        fail(store, "cannot write");
}

static void set_up(struct store *store)
{
    run(store,
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE",
        "cannot write");
    run(store, "BEGIN", "cannot write");
    run(store, profile_schema_sql, "cannot make the tables");
    for (int i = 0; i < STORE_TABLE_COUNT && !store_failed(store); i++)
        prepare(store, (enum store_table)i);
}

struct store *store_open(const char *path, struct error *err)
{
    struct store *store = calloc(1, sizeof *store);

    if (store)
        store->long_text_max = UINT64_MAX;
    if (!store || (path && !(store->path = strdup(path)))) {
        free(store);
        error_set(err, "%s: out of memory", path ? path : "database in memory");
        return NULL;
    }
    if (path && make_temporary(store, err) < 0)
        goto failed;
    if (sqlite3_open_v2(path ? store->temporary : ":memory:", &store->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
        fail(store, "cannot open");
    else
        set_up(store);
    if (!store_failed(store))
        return store;
    error_set(err, "%s", store->failure.text);
failed:
    store_abandon(store);
    return NULL;
}

bool store_failed(const struct store *store)
{
    return store->failure.text[0] != 0;
}

void store_out_of_memory(struct store *store)
{
    error_set(&store->failure, "%s: out of memory",
              store->path ? store->path : "database in memory");
}

void store_limit_text(struct store *store, uint64_t trace_bytes)
{
    store->long_text_max = LONG_TEXT_FREE + LONG_TEXT_FACTOR * trace_bytes;
}

/* --- Rows --- */

static int bind_text(sqlite3_stmt *statement, int column, struct trace_bytes text)
{
    if (text.size == 0)
        return sqlite3_bind_text(statement, column, "", 0, SQLITE_STATIC);
    if (utf8_is_valid(text))
        return sqlite3_bind_text64(statement, column, (const char *)text.at, text.size,
                                   SQLITE_STATIC, SQLITE_UTF8);
    size_t size;
    char *clean = utf8_clean(text, &size);
    return clean ? sqlite3_bind_text64(statement, column, clean, size, free, SQLITE_UTF8)
                 : SQLITE_NOMEM;
}

/* False: too much of it. A trace of a megabyte could ask for a terabyte. */
static bool count_text(struct store *store, struct trace_bytes text)
{
    if (text.size > SHORT_TEXT)
        store->long_text += text.size - SHORT_TEXT;
    return store->long_text <= store->long_text_max;
}

static int bind_blob(sqlite3_stmt *statement, int column, struct trace_bytes blob)
{
    if (blob.size == 0)
        return sqlite3_bind_zeroblob(statement, column, 0);
    return sqlite3_bind_blob64(statement, column, blob.at, blob.size, SQLITE_STATIC);
}

static int bind_bytes(struct store *store, sqlite3_stmt *statement, int column, char type,
                      struct trace_bytes bytes)
{
    if (!count_text(store, bytes))
        return SQLITE_TOOBIG;
    return type == 't' ? bind_text(statement, column, bytes) : bind_blob(statement, column, bytes);
}

static int bind(struct store *store, sqlite3_stmt *statement, int column, char type,
                va_list *values)
{
    switch (type) {
    case 'i':
        return sqlite3_bind_int64(statement, column, va_arg(*values, int64_t));
    case 'r':
        return sqlite3_bind_double(statement, column, va_arg(*values, double));
    case 's':
        return sqlite3_bind_text(statement, column, va_arg(*values, const char *), -1,
                                 SQLITE_STATIC);
    case 't':
    case 'b':
        return bind_bytes(store, statement, column, type, va_arg(*values, struct trace_bytes));
    default:
        return sqlite3_bind_null(statement, column);
    }
}

static int bind_all(struct store *store, sqlite3_stmt *statement, const char *types,
                    va_list *values)
{
    int status = SQLITE_OK;

    for (int i = 0; types[i] && status == SQLITE_OK; i++)
        status = bind(store, statement, i + 1, types[i], values);
    return status;
}

void store_row(struct store *store, enum store_table table, const char *types, ...)
{
    sqlite3_stmt *statement = store->inserts[table];
    va_list values;

    if (store_failed(store))
        return;
    va_start(values, types);
    int status = bind_all(store, statement, types, &values);
    va_end(values);
    if (status == SQLITE_TOOBIG)
        error_set(&store->failure,
                  "%s: names and texts would be repeated in more than %llu bytes of rows",
                  store->path ? store->path : "database in memory",
                  (unsigned long long)store->long_text_max);
    else if (status != SQLITE_OK || sqlite3_step(statement) != SQLITE_DONE)
        fail(store, "cannot write");
    sqlite3_reset(statement);
}

/* --- End --- */

static void close_database(struct store *store)
{
    for (int i = 0; i < STORE_TABLE_COUNT; i++) {
        sqlite3_finalize(store->inserts[i]);
        store->inserts[i] = NULL;
    }
    sqlite3_close(store->db);
    store->db = NULL;
}

static int sync_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int status = fd < 0 ? -1 : fsync(fd);

    if (fd >= 0)
        close(fd);
    return status;
}

/* The caller's connection is made before the file gets its name: nothing can fail after that. The
 * connection is to be read from only. */
static int open_again(struct store *store, sqlite3 **db)
{
    if (db && sqlite3_open_v2(store->temporary, db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return error_set(&store->failure, "%s: %s", store->path, sqlite3_errmsg(*db));
    return 0;
}

static int publish(struct store *store, sqlite3 **db)
{
    close_database(store);
    if (open_again(store, db) < 0)
        return -1;
    if (sync_file(store->temporary) < 0 || rename(store->temporary, store->path) < 0)
        return error_set(&store->failure, "%s: cannot write: %s", store->path, strerror(errno));
    free(store->temporary);
    store->temporary = NULL;
    return 0;
}

static void keep_in_memory(struct store *store, sqlite3 **db)
{
    sqlite3 *made = store->db;

    store->db = db ? NULL : made;
    if (db)
        *db = made;
    for (int i = 0; i < STORE_TABLE_COUNT; i++) {
        sqlite3_finalize(store->inserts[i]);
        store->inserts[i] = NULL;
    }
}

int store_finish(struct store *store, sqlite3 **db, struct error *err)
{
    int status = 0;

    run(store, profile_indexes_sql, "cannot make the indexes");
    run(store, "ANALYZE", "cannot write");
    run(store, "COMMIT", "cannot write");
    if (!store_failed(store)) {
        if (store->path)
            publish(store, db);
        else
            keep_in_memory(store, db);
    }
    if (store_failed(store)) {
        status = error_set(err, "%s", store->failure.text);
        if (db) {
            sqlite3_close(*db);
            *db = NULL;
        }
    }
    store_abandon(store);
    return status;
}

void store_abandon(struct store *store)
{
    if (!store)
        return;
    close_database(store);
    if (store->temporary)
        unlink(store->temporary);
    free(store->temporary);
    free(store->path);
    free(store);
}
