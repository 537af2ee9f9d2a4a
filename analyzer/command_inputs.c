#include "analyzer/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/events_ids.h"
#include "analyzer/trace_file.h"
#include "formats/error.h"
#include "generated/profile_sql.h"

enum {
    HEAD_SIZE = 100, /* of an SQLite file */
    HEAD_USER_VERSION = 60,
    HEAD_APPLICATION_ID = 68,
    APPLICATION_ID = 0x50595243, /* "PYRC", as in profile.sql */
    SCHEMA_VERSION = 1,
};

/* ---- which is which ---- */

static uint32_t big_endian(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int check_database_head(const char *path, const unsigned char *head, struct error *err)
{
    uint32_t version = big_endian(head + HEAD_USER_VERSION);

    if (big_endian(head + HEAD_APPLICATION_ID) != APPLICATION_ID)
        return error_set(err, "%s: an SQLite database, but not one that pyanalyze made", path);
    if (version == 0 || version > SCHEMA_VERSION)
        return error_set(err,
                         "%s: made by another version of pyanalyze (schema %u, this one knows %d)",
                         path, version, SCHEMA_VERSION);
    return 0;
}

/* The first bytes of a file; fewer if it is shorter. -1 with *err set. */
static ssize_t read_head(const struct command *command, const char *path, unsigned char *head,
                         struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool hint = errno == ENOENT && command->options->inputs_defaulted;
    struct stat status;
    ssize_t size = -1;

    if (fd < 0)
        return error_set(err, "%s: %s%s", path, strerror(errno),
                         hint ? "; `pyrec run SCRIPT` records one" : "");
    if (fstat(fd, &status) == 0 && !S_ISREG(status.st_mode))
        error_set(err, "%s: not a regular file", path);
    else if ((size = pread(fd, head, HEAD_SIZE, 0)) < 0)
        error_set(err, "%s: %s", path, strerror(errno));
    else if (size == 0)
        size = error_set(err, "%s: the file is empty: neither a trace nor a database", path);
    close(fd);
    return size;
}

static int add_trace(struct options_list *traces, const char *path, struct error *err)
{
    const char **items = realloc(traces->items, (traces->count + 2) * sizeof *items);

    if (items == NULL)
        return error_set(err, "out of memory");
    items[traces->count++] = path;
    items[traces->count] = NULL;
    traces->items = items;
    return 0;
}

static int look_at(struct command *command, const char *path, struct error *err)
{
    unsigned char head[HEAD_SIZE] = {0};
    ssize_t size = read_head(command, path, head, err);

    if (size < 0)
        return -1;
    if (size < HEAD_SIZE || memcmp(head, "SQLite format 3", 16) != 0)
        return add_trace(&command->traces, path, err);
    if (check_database_head(path, head, err) < 0)
        return -1;
    if (command->database != NULL)
        return error_set_usage(err, "%s and %s: databases are not merged; give their traces",
                               command->database, path);
    command->database = path;
    return 0;
}

int command_look_at_inputs(struct command *command, struct error *err)
{
    const struct options_list *inputs = &command->options->inputs;

    for (size_t i = 0; i < inputs->count; i++) {
        if (look_at(command, inputs->items[i], err) < 0)
            return -1;
    }
    return 0;
}

/* ---- opening a database ---- */

/* A copy as the path of a URI: only letters, digits and / . _ - stand for themselves. */
static char *make_uri(const char *path)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";
    char journal[4096];
    char *uri = malloc(strlen(path) * 3 + 64), *to = uri;
    bool steady = true;

    if (uri == NULL)
        return NULL;
    to += sprintf(to, "file:%s", path[0] == '/' ? "//" : "");
    for (const char *at = path; *at != '\0'; at++)
        to += strchr(plain, *at) != NULL ? sprintf(to, "%c", *at)
                                         : sprintf(to, "%%%02X", (unsigned char)*at);
    /* With a journal beside it somebody is writing, or was; else nothing needs to be locked or
     * created. */
    snprintf(journal, sizeof journal, "%s-journal", path);
    steady = steady && access(journal, F_OK) != 0;
    snprintf(journal, sizeof journal, "%s-wal", path);
    steady = steady && access(journal, F_OK) != 0;
    sprintf(to, "?mode=ro%s", steady ? "&immutable=1" : "");
    return uri;
}

/* Nothing that is stored in the file may do anything. */
static int distrust(sqlite3 *db)
{
    int code = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, "PRAGMA cell_size_check = ON", NULL, NULL, NULL);
    return code;
}

static const char model_query[] =
    "SELECT name, (SELECT group_concat(name) FROM pragma_table_info(s.name)) "
    "FROM main.sqlite_schema AS s WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
static const char same_query[] =
    "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name = ?1 "
    "AND (SELECT group_concat(name) FROM pragma_table_info(?1)) = ?2";

/* Is the table on which `model` stands in the database too? 0, or -1 with *err set. */
static int check_table(sqlite3 *db, sqlite3_stmt *same, sqlite3_stmt *model, const char *path,
                       struct error *err)
{
    int found = 0, code = sqlite3_bind_value(same, 1, sqlite3_column_value(model, 0));

    if (code == SQLITE_OK)
        code = sqlite3_bind_value(same, 2, sqlite3_column_value(model, 1));
    if (code == SQLITE_OK && sqlite3_step(same) == SQLITE_ROW)
        found = sqlite3_column_int(same, 0);
    if (code == SQLITE_OK)
        code = sqlite3_reset(same);
    if (code != SQLITE_OK)
        return error_set(err, "%s: %s", path, sqlite3_errmsg(db));
    if (found == 0)
        return error_set(err, "%s: its table `%s` is not as pyanalyze makes it", path,
                         sqlite3_column_text(model, 0));
    return 0;
}

/* Every table of profile.sql is there, is a table and has the columns: a view of that name is
 * somebody's trick. */
static int check_tables(sqlite3 *db, sqlite3_stmt *same, sqlite3_stmt *model, const char *path,
                        struct error *err)
{
    int code;

    while ((code = sqlite3_step(model)) == SQLITE_ROW) {
        if (check_table(db, same, model, path, err) < 0)
            return -1;
    }
    return code == SQLITE_DONE ? 0 : error_set(err, "%s: %s", path, sqlite3_errstr(code));
}

static int check_schema(sqlite3 *db, const char *path, struct error *err)
{
    sqlite3 *model_db = NULL;
    sqlite3_stmt *model = NULL, *same = NULL;
    int status;

    if (sqlite3_open(":memory:", &model_db) != SQLITE_OK ||
        sqlite3_exec(model_db, profile_schema_sql, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(model_db, model_query, -1, &model, NULL) != SQLITE_OK)
        status = error_set(err, "%s: %s", path, sqlite3_errmsg(model_db));
    else if (sqlite3_prepare_v2(db, same_query, -1, &same, NULL) != SQLITE_OK)
        status = error_set(err, "%s: %s", path, sqlite3_errmsg(db));
    else
        status = check_tables(db, same, model, path, err);
    sqlite3_finalize(same);
    sqlite3_finalize(model);
    sqlite3_close(model_db);
    return status;
}

/* Is the trace one of those that the database was made from? Else it would have to be merged. */
static int check_origin(sqlite3 *db, const char *path, const char *database, struct error *err)
{
    struct trace_file *file = trace_file_open(path, err);
    int64_t run_id;
    int status;

    if (file == NULL)
        return -1;
    status = events_ids_find_run(db, file->mark, &run_id, err);
    if (status == 0 && run_id == 0)
        status = error_set_usage(err,
                                 "%s: %s was not made from it, and traces are not merged into a "
                                 "database; give the traces alone",
                                 path, database);
    trace_file_close(file);
    return status;
}

static int check_origins(const struct command *command, struct error *err)
{
    for (size_t i = 0; i < command->traces.count; i++) {
        if (check_origin(command->db, command->traces.items[i], command->database, err) < 0)
            return -1;
    }
    return 0;
}

int command_open_database(struct command *command, struct error *err)
{
    const char *path = command->database;
    char *uri = make_uri(path);
    int code;

    if (uri == NULL)
        return error_set(err, "out of memory");
    code = sqlite3_open_v2(uri, &command->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    free(uri);
    if (code == SQLITE_OK)
        code = distrust(command->db);
    if (code != SQLITE_OK)
        return error_set(err, "%s: %s", path, sqlite3_errmsg(command->db));
    return check_schema(command->db, path, err) < 0 ? -1 : check_origins(command, err);
}
