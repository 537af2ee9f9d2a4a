/* Out of memory in the middle of a report: an error, or the same report; never another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "generated/profile_sql.h"

enum { STEP = 7 };

/* ---- SQLite's memory, of which the n-th piece is refused ---- */

static sqlite3_mem_methods real;
static long countdown; /* 0: nothing is refused */

static bool is_refused(void)
{
    return countdown > 0 && --countdown == 0;
}

static void *failing_malloc(int size)
{
    return is_refused() ? NULL : real.xMalloc(size);
}

static void *failing_realloc(void *old, int size)
{
    return is_refused() ? NULL : real.xRealloc(old, size);
}

static int install(void **state)
{
    sqlite3_mem_methods methods;

    (void)state;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK)
        return -1;
    methods = real;
    methods.xMalloc = failing_malloc;
    methods.xRealloc = failing_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
        return -1;
    return sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == SQLITE_OK ? 0 : -1;
}

/* ---- the profile and its reports ---- */

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *text;

    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    text = malloc(*size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, *size, file), *size);
    text[*size] = '\0';
    fclose(file);
    return text;
}

/* What stands in for the events of a trace: two threads that call, return, yield and go on. */
static const char events_sql[] =
    "CREATE TEMP TABLE events AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n "
    "WHERE i < 60) SELECT 1 AS run_id, 1 + i % 2 AS thread_id, i * 1000 AS time_ns, "
    "CASE i / 2 % 5 WHEN 0 THEN 'call' WHEN 1 THEN 'line' WHEN 2 THEN 'raise' WHEN 3 THEN 'line' "
    "ELSE 'return' END AS event, 1 AS file_id, 7 AS function_id, 48 + i % 9 AS line, "
    "1 + i / 10 % 3 AS depth, CASE i / 2 % 5 WHEN 2 THEN 'ValueError' END AS detail, "
    "1 + i / 10 AS activation, 'f' AS function, 1000 AS self_ns, NULL AS self_cpu_ns, "
    "NULL AS samples, CASE WHEN i < 2 THEN '[[7,48,1]]' WHEN i % 20 = 13 THEN "
    "'[[null,0,9],[7,50,2],[0,0,3]]' END AS stack FROM n";

static const char second_run_sql[] =
    "CREATE TEMP TABLE second AS SELECT * FROM runs WHERE run_id = 1;"
    "UPDATE second SET run_id = 2, trace_id = 'second'; INSERT INTO runs SELECT * FROM second;"
    "DROP TABLE second; UPDATE processes SET run_id = 2 WHERE process_id = "
    "(SELECT max(process_id) FROM processes)";

static sqlite3 *open_fixture(void)
{
    size_t size;
    char *rows = read_file("tests/golden/formats/fixture.sql", &size);
    sqlite3 *db;

    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, profile_schema_sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, profile_indexes_sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, rows, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, events_sql, NULL, NULL, NULL), SQLITE_OK);
    free(rows);
    return db;
}

/* A second run, or that one away again. */
static void add_run(sqlite3 *db)
{
    assert_int_equal(sqlite3_exec(db, second_run_sql, NULL, NULL, NULL), SQLITE_OK);
}

static void remove_run(sqlite3 *db)
{
    assert_int_equal(sqlite3_exec(db,
                                  "DELETE FROM runs WHERE run_id = 2;"
                                  "UPDATE processes SET run_id = 1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
}

/* The report as text, to be freed; NULL if there was an error, which has words then. */
static char *report(sqlite3 *db, const struct format *format, const struct format_options *options,
                    const char *path, long refused, size_t *size)
{
    struct error err = {.usage = 0};
    struct output *out = output_open_file(path, &err);
    int status;

    assert_non_null(out);
    countdown = refused;
    status = format->write(db, options, out, &err);
    countdown = 0;
    if (status == 0)
        status = output_commit(out, &err);
    output_close(out);
    assert_true((status == 0) == (err.text[0] == '\0'));
    return status == 0 ? read_file(path, size) : NULL;
}

static void check_format(sqlite3 *db, const struct format *format,
                         const struct format_options *options, const char *path)
{
    size_t size, expected_size;
    char *expected = report(db, format, options, path, 0, &expected_size);
    int failed = 0;

    assert_non_null(expected);
    for (long refused = 1;; refused += STEP) {
        char *text;
        bool whole;

        countdown = 0;
        text = report(db, format, options, path, refused, &size);
        failed += text == NULL;
        whole = text != NULL && size == expected_size && memcmp(text, expected, size) == 0;
        if (text != NULL && !whole)
            fail_msg("%s is another report when allocation %ld is refused", format->name, refused);
        free(text);
        if (whole && refused > 20000)
            break;
        if (whole)
            refused += refused / 4;
    }
    assert_true(failed > 10);
    free(expected);
}

static void no_refusal_changes_a_report(void **state)
{
    static const struct format_options all = {.min_percent = 0, .fold = true};
    static const struct format_options asked = {.min_percent = -1,
                                                .function = "main",
                                                .callers = true,
                                                .strip_dirs = true,
                                                .from = {true, true, 1000000}};
    static const struct format_options lines = {
        .min_percent = -1, .lines = true, .per_thread = true, .zipped = true, .zip_path = "x.zip"};
    char folder[] = "/tmp/pyrec-memory-XXXXXX", path[64], command[64];
    sqlite3 *db = open_fixture();

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/report", folder);
    for (size_t i = 0; formats[i] != NULL; i++) {
        if (strcmp(formats[i]->name, "samples") == 0) /* of which the fixture has none */
            continue;
        if (strcmp(formats[i]->name, "compare") == 0)
            add_run(db);
        check_format(db, formats[i], &all, path);
        check_format(db, formats[i], &lines, path);
        check_format(db, formats[i], &asked, path);
        if (strcmp(formats[i]->name, "compare") == 0)
            remove_run(db);
    }
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK); /* no statement was left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_refusal_changes_a_report),
    };

    return cmocka_run_group_tests(tests, install, NULL);
}
