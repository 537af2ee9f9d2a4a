/* What a format costs is in proportion to the profile: SQLite's steps are counted, which a clock
 * cannot change. */
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

enum { SMALL = 60, TIMES = 8, STEPS = 10 };

/* Profiles of @ things; rows of `n` are 1 to @. */
#define N "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < @) "
#define SAMPLES ", 0, 0, 0, 0, 0, 0"

static const char common_sql[] =
    "INSERT INTO runs VALUES (1, 'x', 't.bin', 'h', 'app.py', "
    "'3.11.2', 0, 1000, 'tsc', 'exact', 1, 0, 9, 9, 1.0, '/', "
    "'Linux', '0');"
    "INSERT INTO processes VALUES (1, 1, 1, 7, NULL, 'first', "
    "'app.py', '3.11.2', 0, 1000, 'exit 0');"
    "CREATE TEMP TABLE events AS SELECT 1 AS run_id, 1 AS thread_id, "
    "0 AS time_ns, 'call' AS event, 1 AS file_id, 1 AS "
    "function_id, 1 AS line, 1 AS depth, NULL AS detail, 1 AS activation, 'f1' AS function, "
    "1 AS self_ns, NULL AS self_cpu_ns, NULL AS samples, NULL AS stack;";

/* One file of @ functions, each called from a line of the first one, with a line of its own. */
static const char functions_sql[] =
    "INSERT INTO threads VALUES (1, 1, 1, 7, 'MainThread', 1, 0, 1000, 9);"
    "INSERT INTO files VALUES (1, '/p/a.py', '', 'a.py', 'program', 0, NULL, NULL, NULL);" N
    "INSERT INTO functions SELECT i, 1, '/p/a.py', 'a', 'f' || i, 'f' || i, i, 'function', 1, 1, "
    "0, 1, 10, 5, 10, 5" SAMPLES " FROM n;" N
    "INSERT INTO lines SELECT 1, '/p/a.py', i, 'f' || i, 1, 10, 5, 10, 5, 1, 'x'" SAMPLES
    " FROM n;" N "INSERT INTO line_stats SELECT 1, i, i, 1, 10, 5, 10, 5" SAMPLES " FROM n;" N
    "INSERT INTO edges SELECT 1, '/p/a.py', 'f1', i, i, '/p/a.py', 'f' || i, i, 1, 1, 0, 10, 5, "
    "10, 5, 10, 5, 1, 1" SAMPLES " FROM n;" N
    "INSERT INTO edge_stats SELECT 1, 1, i, i, 1, 1, 0, 10, 5, 10, 5, 10, 5, 1, 1 FROM n;" N
    "INSERT INTO function_stats SELECT 1, i, 1, 1, 0, 0, 1, 10, 5, 10, 5 FROM n;" N
    "INSERT INTO function_edges SELECT 1, 1, i, 1, 1, 0, 0, 10, 5, 10, 5, 0 FROM n;"
    "INSERT INTO contexts VALUES (1, NULL, 1, NULL, 0, 0, 0, 0, 0, 0);" N
    "INSERT INTO contexts SELECT i + 1, 1, 1, i, 1, 0, 10, 5, 10, 5 FROM n;" N
    "INSERT INTO context_lines SELECT i + 1, i, 1, 10, 5 FROM n;" N
    "INSERT INTO context_edges SELECT i + 1, 1, NULL, 1, 10, 5 FROM n;" N
    "INSERT INTO open_frames SELECT 1, 1, i - 1, i, i, 0 FROM n;"
    "INSERT INTO accounts VALUES (1, 1000, 10 * @, 5 * @, 0, 0);";

/* @ files of a function each. */
static const char files_sql[] =
    "INSERT INTO threads VALUES (1, 1, 1, 7, 'MainThread', 1, 0, 1000, 9);" N
    "INSERT INTO files SELECT i, '/p/' || i || '.py', '', i || '.py', 'program', 1, NULL, 'x', "
    "NULL FROM n;" N "INSERT INTO functions SELECT i, i, '/p/' || i || '.py', 'm', 'f', 'f', 1, "
    "'function', 1, 1, 0, 1, 10, 5, 10, 5" SAMPLES " FROM n;" N
    "INSERT INTO lines SELECT i, '/p/' || i || '.py', 1, 'f', 1, 10, 5, 10, 5, 1, 'x'" SAMPLES
    " FROM n;" N "INSERT INTO line_stats SELECT 1, i, 1, 1, 10, 5, 10, 5" SAMPLES " FROM n;" N
    "INSERT INTO edges SELECT i, '/p/' || i || '.py', 'f', 1, 1 + i % @, '/p/a.py', 'f', 1, 1, 1, "
    "0, 10, 5, 10, 5, 10, 5, 1, "
    "1" SAMPLES " FROM n;" N
    "INSERT INTO edge_stats SELECT 1, i, 1, 1 + i % @, 1, 1, 0, 10, 5, 10, 5, 10, 5, 1, 1 FROM n;" N
    "INSERT INTO function_stats SELECT 1, i, 1, 1, 0, 0, 1, 10, 5, 10, 5 FROM n;" N
    "INSERT INTO function_edges SELECT 1, i, 1 + i % @, 1, 1, 0, 0, 10, 5, 10, 5, 0 FROM n;"
    "INSERT INTO contexts VALUES (1, NULL, 1, NULL, 0, 0, 0, 0, 0, 0);" N
    "INSERT INTO contexts SELECT i + 1, i, 1, i, 1, 0, 10, 5, 10, 5 FROM n;"
    "INSERT INTO accounts VALUES (1, 1000, 10 * @, 5 * @, 0, 0);";

/* @ threads that run the same function, and have not left it. */
static const char threads_sql[] = N
    "INSERT INTO threads SELECT i, 1, i, i, 'T', 0, 0, 1000, 9 FROM n;"
    "INSERT INTO files VALUES (1, '/p/a.py', '', 'a.py', 'program', 1, NULL, 'x', NULL);"
    "INSERT INTO functions VALUES (1, 1, '/p/a.py', 'a', 'f', 'f', 1, 'function', @, @, 0, @, 10 * "
    "@, 5 * @, 10 * @, 5 * "
    "@" SAMPLES ");"
    "INSERT INTO lines VALUES (1, '/p/a.py', 1, 'f', @, 10 * @, 5 * @, 10 * @, 5 * @, 1, "
    "'x'" SAMPLES ");" N "INSERT INTO line_stats SELECT i, 1, 1, 1, 10, 5, 10, 5" SAMPLES " FROM n;"
    "INSERT INTO edges VALUES (1, '/p/a.py', 'f', 1, 1, '/p/a.py', 'f', 1, 1, 1, 0, 10, 5, 10, 5, "
    "10, 5, 1, 1" SAMPLES ");" N
    "INSERT INTO edge_stats SELECT i, 1, 1, 1, 1, 1, 0, 10, 5, 10, 5, 10, 5, 1, 1 FROM n;" N
    "INSERT INTO function_stats SELECT i, 1, 1, 1, 0, 0, 1, 10, 5, 10, 5 FROM n;" N
    "INSERT INTO function_edges SELECT i, 1, 1, 1, 1, 0, 0, 10, 5, 10, 5, 0 FROM n;" N
    "INSERT INTO contexts SELECT 2 * i, NULL, i, NULL, 0, 0, 0, 0, 0, 0 FROM n;" N
    "INSERT INTO contexts SELECT 2 * i + 1, 2 * i, i, 1, 1, 0, 10, 5, 10, 5 FROM n;" N
    "INSERT INTO open_frames SELECT 1, i, 0, 1, 1, 0 FROM n;" N
    "INSERT INTO accounts SELECT i, 10, 10, 5, 0, 0 FROM n;";

static char *with_count(const char *sql, int count)
{
    char number[16], *out = malloc(strlen(sql) * 4 + 1), *at = out;

    assert_non_null(out);
    snprintf(number, sizeof number, "%d", count);
    for (; *sql != '\0'; sql++) {
        if (*sql == '@')
            at = stpcpy(at, number);
        else
            *at++ = *sql;
    }
    *at = '\0';
    return out;
}

static void execute(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
}

static sqlite3 *make_profile(const char *shape, int count)
{
    char *rows = with_count(shape, count);
    sqlite3 *db;

    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    execute(db, profile_schema_sql);
    execute(db, profile_indexes_sql);
    execute(db, common_sql);
    execute(db, rows);
    free(rows);
    return db;
}

static int count_step(void *steps)
{
    ++*(uint64_t *)steps;
    return 0;
}

/* Tens of SQLite's steps that a report takes. */
static uint64_t cost(const char *shape, int count, const struct format *format,
                     const struct format_options *options)
{
    char folder[] = "/tmp/pyrec-scale-XXXXXX", path[64];
    sqlite3 *db = make_profile(shape, count);
    struct error err = {.usage = 0};
    struct output *out;
    uint64_t steps = 0;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/report", folder);
    out = output_open_file(path, &err);
    assert_non_null(out);
    sqlite3_progress_handler(db, STEPS, count_step, &steps);
    if (format->write(db, options, out, &err) < 0)
        fail_msg("%s: %s", format->name, err.text);
    output_close(out);
    assert_int_equal(rmdir(folder), 0); /* what is not committed leaves nothing */
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return steps;
}

static void check_shape(const char *name, const char *shape)
{
    static const struct format_options options[] = {
        {.min_percent = -1},
        {.min_percent = 0, .lines = true},
        {.min_percent = -1, .per_thread = true},
    };

    for (size_t i = 0; formats[i] != NULL; i++) {
        if (strcmp(formats[i]->name, "compare") == 0) /* which is of two runs */
            continue;
        for (size_t j = 0; j < sizeof options / sizeof options[0]; j++) {
            uint64_t small = cost(shape, SMALL, formats[i], &options[j]);
            uint64_t large = cost(shape, TIMES * SMALL, formats[i], &options[j]);

            if (large > 2 * TIMES * small + 100)
                fail_msg(
                    "%s of %s, options %zu: %llu steps become %llu when there is %d times as much",
                    formats[i]->name, name, j, (unsigned long long)small, (unsigned long long)large,
                    TIMES);
        }
    }
}

static void functions_cost_what_they_are(void **state)
{
    (void)state;
    check_shape("functions", functions_sql);
}

static void files_cost_what_they_are(void **state)
{
    (void)state;
    check_shape("files", files_sql);
}

static void threads_cost_what_they_are(void **state)
{
    (void)state;
    check_shape("threads", threads_sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_cost_what_they_are),
        cmocka_unit_test(files_cost_what_they_are),
        cmocka_unit_test(threads_cost_what_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
