#include "analyzer/sql.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/sql_rows.h"
#include "formats/error.h"
#include "formats/output.h"

enum { QUERY_MAX = 16 << 20 };

/* ---- reading ---- */

static int read_stream(FILE *in, const char *name, char **text, struct error *err)
{
    size_t size = 0, capacity = 0;
    char *grown;

    *text = NULL;
    do {
        capacity = capacity == 0 ? 4096 : capacity * 2;
        grown = capacity > 2 * QUERY_MAX ? NULL : realloc(*text, capacity);
        if (grown == NULL) {
            free(*text);
            *text = NULL;
            return error_set(err, "%s: longer than %d bytes, or out of memory", name, QUERY_MAX);
        }
        *text = grown;
        size += fread(*text + size, 1, capacity - 1 - size, in);
    } while (size == capacity - 1);
    (*text)[size] = '\0';
    if (ferror(in))
        error_set(err, "%s: %s", name, strerror(errno));
    else if (memchr(*text, '\0', size) != NULL)
        error_set(err, "%s: byte %zu is a NUL: that is no SQL", name, strlen(*text));
    else
        return 0;
    free(*text);
    *text = NULL;
    return -1;
}

static int read_file(struct sql_query *query, const char *path, struct error *err)
{
    FILE *in = fopen(path, "re");
    int status;

    if (in == NULL)
        return error_set(err, "%s: %s", path, strerror(errno));
    query->name = path;
    status = read_stream(in, path, &query->text, err);
    fclose(in);
    return status;
}

int sql_query_read(struct sql_query *query, const char *argument, struct error *err)
{
    query->name = "--sql";
    query->text = NULL;
    if (strcmp(argument, "-") == 0) {
        query->name = "standard input";
        return read_stream(stdin, query->name, &query->text, err);
    }
    if (argument[0] == '@')
        return read_file(query, argument + 1, err);
    query->text = strdup(argument);
    return query->text != NULL ? 0 : error_set(err, "out of memory");
}

void sql_query_fini(struct sql_query *query)
{
    free(query->text);
    query->text = NULL;
}

/* ---- the guard ---- */

static bool is_one_of(const char *const *names, const char *name)
{
    for (; name != NULL && *names != NULL; names++) {
        if (sqlite3_stricmp(*names, name) == 0)
            return true;
    }
    return false;
}

/* Pragmas that only tell something, whatever their argument; `settings` do so without one. */
static bool pragma_is_harmless(const char *name, const char *argument)
{
    static const char *const tells[] = {
        "table_info",    "table_xinfo",     "table_list",          "index_list",
        "index_info",    "index_xinfo",     "foreign_key_list",    "function_list",
        "database_list", "compile_options", "collation_list",      "module_list",
        "pragma_list",   "integrity_check", "quick_check",         "foreign_key_check",
        "page_count",    "freelist_count",  "case_sensitive_like", NULL};
    static const char *const settings[] = {
        "user_version",   "application_id", "encoding",       "page_size",
        "schema_version", "data_version",   "trusted_schema", NULL};

    return is_one_of(tells, name) || (argument == NULL && is_one_of(settings, name));
}

/* SQLite asks before each statement is compiled. Everything is in TEMP or reading, or denied. */
static int authorize(void *data, int action, const char *first, const char *second,
                     const char *database, const char *trigger)
{
    (void)data;
    (void)trigger;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_VIEW:
    case SQLITE_DROP_TEMP_INDEX:
    case SQLITE_DROP_TEMP_TABLE:
    case SQLITE_DROP_TEMP_TRIGGER:
    case SQLITE_DROP_TEMP_VIEW:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return sqlite3_stricmp(second, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_PRAGMA:
        return pragma_is_harmless(first, second) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_ALTER_TABLE:
        return sqlite3_stricmp(first, "temp") == 0 ? SQLITE_OK : SQLITE_DENY;
    default:
        return database != NULL && sqlite3_stricmp(database, "temp") == 0 ? SQLITE_OK : SQLITE_DENY;
    }
}

/* ---- running ---- */

/* Where queries stand: for messages and for JSON's outer array. */
struct run {
    sqlite3 *db;
    const struct sql_query *query;
    bool numbered; /* more than one --sql: messages say which */
    size_t number;
    struct sql_rows *rows;
};

static bool is_damage(int code)
{
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_IOERR;
}

/* Did the query ask for a table or column that is not there? */
static bool is_unknown(const char *reason)
{
    return strncmp(reason, "no such table", 13) == 0 || strncmp(reason, "no such column", 14) == 0;
}

static int fail_at(const struct run *run, const char *statement, struct error *err)
{
    int offset = sqlite3_error_offset(run->db);
    const char *at = statement + (offset > 0 ? offset : 0), *text = run->query->text;
    const char *reason = sqlite3_errmsg(run->db);
    char which[32] = "";
    int line = 1, column = 1;

    if (is_damage(sqlite3_errcode(run->db)))
        return error_set(err, "the database cannot be read: %s", reason);
    if (offset < 0) /* no place in particular: the statement's first word */
        at += strspn(at, " \t\r\n;");
    for (; text < at; text++) {
        line += *text == '\n';
        column = *text == '\n' ? 1 : column + ((*text & 0xC0) != 0x80);
    }
    if (run->numbered)
        snprintf(which, sizeof which, " (query %zu)", run->number);
    if (sqlite3_errcode(run->db) == SQLITE_AUTH && strstr(reason, "function") == NULL)
        reason = "not allowed: queries only read, and write to temporary tables";
    return error_set(err, "%s%s:%d:%d: %s%s", run->query->name, which, line, column, reason,
                     is_unknown(reason) ? " (--schema shows what there is)" : "");
}

static int run_statement(struct run *run, sqlite3_stmt *statement, const char *text,
                         struct error *err)
{
    bool rows = sqlite3_column_count(statement) > 0;
    int code = sqlite3_step(statement);

    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return fail_at(run, text, err);
    if (rows && sql_rows_begin(run->rows, statement, err) < 0)
        return -1;
    for (; code == SQLITE_ROW; code = sqlite3_step(statement)) {
        if (rows && sql_rows_add(run->rows, statement, err) < 0)
            return -1;
    }
    if (code != SQLITE_DONE)
        return fail_at(run, text, err);
    return rows ? sql_rows_end(run->rows, err) : 0;
}

static int run_query(struct run *run, struct error *err)
{
    const char *text = run->query->text;

    while (*text != '\0') {
        sqlite3_stmt *statement = NULL;
        const char *tail = text;
        int status = 0;

        if (sqlite3_prepare_v2(run->db, text, -1, &statement, &tail) != SQLITE_OK)
            return fail_at(run, text, err);
        if (statement != NULL)
            status = run_statement(run, statement, text, err);
        sqlite3_finalize(statement);
        if (status < 0)
            return -1;
        text = tail;
    }
    return 0;
}

/* ---- how many of the queries give rows, told before any runs ---- */

/* Behind one token: a word, a quoted thing, a comment, white space, or a single character. */
static const char *skip_token(const char *at)
{
    const char *end;

    if (strncmp(at, "--", 2) == 0)
        return at + strcspn(at, "\n");
    if (strncmp(at, "/*", 2) == 0) {
        end = strstr(at + 2, "*/");
        return end != NULL ? end + 2 : at + strlen(at);
    }
    if (strchr("'\"`[", *at) != NULL) {
        end = strchr(at + 1, *at == '[' ? ']' : *at);
        return end != NULL ? end + 1 : at + strlen(at);
    }
    if (isalpha((unsigned char)*at) || *at == '_') {
        while (isalnum((unsigned char)*at) || *at == '_')
            at++;
        return at;
    }
    return at + 1;
}

static bool is_word(const char *at, const char *end, const char *word)
{
    return (size_t)(end - at) == strlen(word) && sqlite3_strnicmp(at, word, (int)strlen(word)) == 0;
}

static bool starts_rows(const char *at, const char *end)
{
    static const char *const words[] = {"SELECT",  "WITH",      "VALUES", "PRAGMA",
                                        "EXPLAIN", "RETURNING", NULL};

    for (const char *const *word = words; *word != NULL; word++) {
        if (is_word(at, end, *word))
            return true;
    }
    return false;
}

/* Does the statement text from `at` to `end` look as if it gives rows: by its first word, or by
 * RETURNING? */
static bool statement_gives_rows(const char *at, const char *end)
{
    bool first = true;

    while (at < end) {
        const char *next = skip_token(at);

        if (isalpha((unsigned char)*at)) {
            if ((first && starts_rows(at, next)) || is_word(at, next, "RETURNING"))
                return true;
            first = false;
        }
        at = next;
    }
    return false;
}

/* Behind the statement that starts at `at`; sqlite3_complete() knows the bodies of triggers. */
static const char *statement_end(const char *at)
{
    const char *end = at;

    while (*end != '\0') {
        const char *next = skip_token(end);

        if (*end == ';') {
            char *part = strndup(at, (size_t)(next - at));
            bool complete = part == NULL || sqlite3_complete(part);

            free(part);
            if (complete)
                return next;
        }
        end = next;
    }
    return end;
}

static size_t count_results(const struct sql_query *queries, size_t count)
{
    size_t results = 0;

    for (size_t i = 0; i < count; i++) {
        for (const char *at = queries[i].text, *end; *at != '\0'; at = end) {
            end = statement_end(at);
            results += statement_gives_rows(at, end);
        }
    }
    return results;
}

int sql_run(sqlite3 *db, const struct sql_query *queries, size_t count, int style,
            struct output *out, struct error *err)
{
    struct run run = {.db = db, .numbered = count > 1};
    int status = 0;

    run.rows = sql_rows_new(style, out, count_results(queries, count) > 1);
    if (run.rows == NULL)
        return error_set(err, "out of memory");
    sqlite3_set_authorizer(db, authorize, NULL);
    for (size_t i = 0; i < count && status == 0 && !output_failed(out); i++) {
        run.query = &queries[i];
        run.number = i + 1;
        status = run_query(&run, err);
    }
    sqlite3_set_authorizer(db, NULL, NULL);
    if (status == 0)
        sql_rows_finish(run.rows);
    sql_rows_free(run.rows);
    return status;
}
