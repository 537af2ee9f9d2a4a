/* Queries: what they may do, how rows are written, what the added functions compute, where errors
 * are said to be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/sql.h"
#include "analyzer/sql_functions.h"
#include "analyzer/sql_rows.h"
#include "formats/error.h"
#include "formats/output.h"

static sqlite3 *open_database(void)
{
    static const char schema[] =
        "CREATE TABLE numbers (n INTEGER, t TEXT); CREATE INDEX by_n ON numbers (n);"
        "INSERT INTO numbers VALUES (1, 'one'), (2, 'two'), (3, NULL);";
    sqlite3 *db;

    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, schema, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sql_functions_register(db), SQLITE_OK);
    return db;
}

/* What the query writes, in a buffer of the caller's; the status is the result. */
static int run_on(sqlite3 *db, const char *text, int style, char *result, size_t size,
                  struct error *err)
{
    char path[] = "/tmp/test_sql-XXXXXX";
    struct sql_query query;
    struct output *out;
    int status, fd = mkstemp(path);
    ssize_t got;

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(sql_query_read(&query, text, err), 0);
    out = output_open_file(path, err);
    assert_non_null(out);
    status = sql_run(db, &query, 1, style, out, err);
    if (status == 0)
        assert_int_equal(output_commit(out, err), 0);
    output_close(out);
    sql_query_fini(&query);
    fd = open(path, O_RDONLY);
    got = read(fd, result, size - 1);
    assert_true(got >= 0);
    result[got] = '\0';
    close(fd);
    unlink(path);
    return status;
}

static void check(const char *text, int style, const char *expected)
{
    sqlite3 *db = open_database();
    struct error err = {.usage = 0};
    char result[4096];

    if (run_on(db, text, style, result, sizeof result, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(result, expected);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The query fails with exactly this message, and has changed nothing. */
static void check_failure(const char *text, const char *message)
{
    sqlite3 *db = open_database();
    struct error err = {.usage = 0};
    char result[4096];
    int64_t before = sqlite3_total_changes64(db);

    assert_int_equal(run_on(db, text, SQL_ROWS_TSV, result, sizeof result, &err), -1);
    assert_string_equal(err.text, message);
    assert_false(err.usage);
    assert_int_equal(sqlite3_total_changes64(db), before);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* ---- rows ---- */

static void tsv_escapes_and_tells_null_from_text(void **state)
{
    (void)state;
    check("SELECT n, t FROM numbers ORDER BY n", SQL_ROWS_TSV, "n\tt\n1\tone\n2\ttwo\n3\t\\N\n");
    check("SELECT 'a' || char(9, 10, 13) || 'b\\c' AS \"x\ty\", '\\N' AS n, '' AS e", SQL_ROWS_TSV,
          "x\\ty\tn\te\na\\t\\n\\rb\\\\c\t\\\\N\t\n");
}

static void csv_quotes_what_needs_it(void **state)
{
    (void)state;
    check("SELECT 'a,b' AS \"x,y\", 'say \"so\"' AS q, char(10) AS l, '' AS e, NULL AS n, 'plain' "
          "AS p",
          SQL_ROWS_CSV, "\"x,y\",q,l,e,n,p\r\n\"a,b\",\"say \"\"so\"\"\",\"\n\",\"\",,plain\r\n");
}

static void json_is_exact(void **state)
{
    (void)state;
    check("SELECT 9223372036854775807 AS big, -9223372036854775808 AS small, 0.1 AS r, 2.0 AS "
          "whole, 9e999 AS inf, "
          "NULL AS n, char(34, 92, 10, 1, 233) AS t, x'00fF' AS b",
          SQL_ROWS_JSON,
          "[\n{\"big\":9223372036854775807,\"small\":-9223372036854775808,\"r\":0.1,\"whole\":2.0,"
          "\"inf\":null,"
          "\"n\":null,\"t\":\"\\\"\\\\\\n\\u0001\xc3\xa9\",\"b\":\"00FF\"}\n]\n");
    check("SELECT CAST(x'61ff62' AS TEXT) AS t", SQL_ROWS_JSON,
          "[\n{\"t\":\"a\xef\xbf\xbd"
          "b\"}\n]\n");
    check("SELECT 1 AS a WHERE 0", SQL_ROWS_JSON, "[]\n");
}

static void reals_read_back_as_the_same_number(void **state)
{
    static const double values[] = {
        0.1, 1.0 / 3, 1e22, 123456789.125, 5e-324, 1.7976931348623157e308, -0.3};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[SQL_ROWS_NUMBER_SIZE];

        sql_rows_real_text(text, values[i]);
        assert_true(strtod(text, NULL) == values[i]);
    }
}

static void several_results_are_set_apart(void **state)
{
    static const char two[] = "SELECT 1 AS a; SELECT 2 AS b";

    (void)state;
    check(two, SQL_ROWS_TSV, "a\n1\n\nb\n2\n");
    check(two, SQL_ROWS_CSV, "a\r\n1\r\n\r\nb\r\n2\r\n");
    check(two, SQL_ROWS_JSON, "[\n[\n{\"a\":1}\n],\n[\n{\"b\":2}\n]\n]\n");
}

/* JSON's outer array depends on how many queries give rows, told from their text. */
static void what_gives_no_rows_is_no_result(void **state)
{
    (void)state;
    check("CREATE TEMP TABLE t (a); INSERT INTO t VALUES (5) /* SELECT; */; -- SELECT;\n SELECT a "
          "FROM t;",
          SQL_ROWS_JSON, "[\n{\"a\":5}\n]\n");
    check("CREATE TEMP TABLE t (a); INSERT INTO t VALUES (5) RETURNING a; SELECT ';' AS s",
          SQL_ROWS_JSON, "[\n[\n{\"a\":5}\n],\n[\n{\"s\":\";\"}\n]\n]\n");
    check("CREATE TEMP TABLE t (a)", SQL_ROWS_JSON, "[]\n");
    check("CREATE TEMP TABLE t (a); CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; SELECT "
          "2; END; "
          "INSERT INTO t VALUES (1); SELECT count(*) AS c FROM t",
          SQL_ROWS_JSON, "[\n{\"c\":1}\n]\n");
    check("  ;; -- nothing\n", SQL_ROWS_TSV, "");
}

static void columns_are_straight_on_a_terminal(void **state)
{
    (void)state;
    check("SELECT 'abc' AS name, 5 AS n UNION ALL SELECT 'a', 12345 UNION ALL SELECT NULL, NULL",
          SQL_ROWS_ALIGNED, "name      n\n----  -----\nabc       5\na     12345\n           \n");
    /* Wide characters take two columns; what could fool the terminal is escaped. */
    check("SELECT char(28450, 23383) AS t, 1 AS n UNION ALL SELECT 'x' || char(27) || '[2J', 2",
          SQL_ROWS_ALIGNED,
          "t         n\n--------  -\n\xe6\xbc\xa2\xe5\xad\x97      1\nx\\x1b[2J  2\n");
}

/* The first thousand rows settle the widths, and none is lost where the table begins to flow. */
static void long_tables_keep_every_row(void **state)
{
    sqlite3 *db = open_database();
    struct error err = {.usage = 0};
    char *result = malloc(1 << 20);
    int lines = 0;

    (void)state;
    assert_non_null(result);
    assert_int_equal(
        run_on(db,
               "WITH RECURSIVE s (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM s WHERE v < 2500) "
               "SELECT v, v || '' AS t FROM s",
               SQL_ROWS_ALIGNED, result, 1 << 20, &err),
        0);
    for (char *line = strtok(result, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
        if (lines >= 2)
            assert_int_equal(atoi(line), lines - 1);
    }
    assert_int_equal(lines, 2502);
    free(result);
    sqlite3_close(db);
}

/* ---- the guard ---- */

static void queries_only_read(void **state)
{
    static const char *const texts[] = {
        "DELETE FROM numbers",
        "INSERT INTO numbers VALUES (4, 'four')",
        "UPDATE numbers SET n = 0",
        "DROP TABLE numbers",
        "CREATE TABLE t (a)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE INDEX i ON numbers (n)",
        "CREATE TRIGGER g AFTER INSERT ON numbers BEGIN SELECT 1; END",
        "ALTER TABLE numbers RENAME TO others",
        "ATTACH 'other.db' AS other",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "REINDEX",
        "ANALYZE",
        "PRAGMA journal_mode = WAL",
        "PRAGMA user_version = 7",
        "PRAGMA writable_schema = ON",
        "PRAGMA trusted_schema = ON",
        "PRAGMA temp_store_directory = '/tmp'",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check_failure(texts[i],
                      "--sql:1:1: not allowed: queries only read, and write to temporary tables");
    check_failure("UPDATE sqlite_schema SET sql = ''",
                  "--sql:1:1: table sqlite_master may not be modified");
    check_failure("SELECT load_extension('x')",
                  "--sql:1:8: not authorized to use function: load_extension");
    assert_int_equal(access("copy.db", F_OK), -1);
    assert_int_equal(access("other.db", F_OK), -1);
}

static void temporary_things_are_allowed(void **state)
{
    (void)state;
    check("CREATE TEMP TABLE t AS SELECT n FROM numbers; CREATE INDEX temp.i ON t (n); DELETE FROM "
          "t WHERE n = 1; "
          "CREATE TEMP VIEW v AS SELECT sum(n) AS s FROM t; SELECT s FROM v; DROP VIEW v; DROP "
          "TABLE t",
          SQL_ROWS_TSV, "s\n5\n");
    check("PRAGMA table_info(numbers)", SQL_ROWS_TSV,
          "cid\tname\ttype\tnotnull\tdflt_"
          "value\tpk\n0\tn\tINTEGER\t0\t\\N\t0\n1\tt\tTEXT\t0\t\\N\t0\n");
    check("PRAGMA user_version", SQL_ROWS_TSV, "user_version\n0\n");
}

static void errors_name_their_place(void **state)
{
    (void)state;
    check_failure("SELECT absent FROM numbers",
                  "--sql:1:8: no such column: absent (--schema shows what there is)");
    check_failure("SELECT 1;\nSELECT n,\n  absent FROM numbers",
                  "--sql:3:3: no such column: absent (--schema shows what there is)");
    check_failure("SELECT '\xc3\xa9', absent FROM numbers",
                  "--sql:1:13: no such column: absent (--schema shows what there is)");
    check_failure("SELECT 1 FROM missing",
                  "--sql:1:1: no such table: missing (--schema shows what there is)");
    check_failure("SELEKT 1", "--sql:1:1: near \"SELEKT\": syntax error");
    check_failure("SELECT 1 WHERE", "--sql:1:1: incomplete input");
    check_failure("SELECT t REGEXP '(' FROM numbers", "--sql:1:1: regexp: Unmatched ( or \\(: (");
}

static void files_of_queries_are_read_whole(void **state)
{
    struct sql_query query;
    struct error err = {.usage = 0};
    char path[] = "/tmp/test_sql-XXXXXX", argument[64] = "@";
    int fd = mkstemp(path);

    (void)state;
    for (int i = 0; i < 3000; i++)
        assert_int_equal(write(fd, "-- x\n", 5), 5);
    strcat(argument, path);
    assert_int_equal(sql_query_read(&query, argument, &err), 0);
    assert_int_equal(strlen(query.text), 15000);
    assert_string_equal(query.name, path);
    sql_query_fini(&query);
    assert_int_equal(write(fd, "", 1), 1);
    assert_int_equal(sql_query_read(&query, argument, &err), -1);
    assert_non_null(strstr(err.text, "byte 15000"));
    close(fd);
    unlink(path);
    err.text[0] = '\0';
    assert_int_equal(sql_query_read(&query, argument, &err), -1);
    assert_non_null(strstr(err.text, "No such file"));
}

/* ---- functions ---- */

static void median_and_percentile(void **state)
{
    (void)state;
    check("SELECT median(n), percentile(n, 0), percentile(n, 100), percentile(n, 25) FROM numbers",
          SQL_ROWS_TSV,
          "median(n)\tpercentile(n, 0)\tpercentile(n, 100)\tpercentile(n, 25)\n2\t1\t3\t1.5\n");
    check("SELECT median(n) AS m FROM (SELECT 4 AS n UNION ALL SELECT 1 UNION ALL SELECT NULL)",
          SQL_ROWS_TSV, "m\n2.5\n");
    check("SELECT median(n) AS m FROM (SELECT 4 AS n UNION ALL SELECT 1.5 UNION ALL SELECT 9)",
          SQL_ROWS_TSV, "m\n4.0\n");
    check("SELECT median(n) AS m FROM numbers WHERE 0", SQL_ROWS_TSV, "m\n\\N\n");
    check("SELECT median(n) AS m FROM (SELECT 9223372036854775807 AS n)", SQL_ROWS_TSV,
          "m\n9223372036854775807\n");
    check_failure("SELECT median(t) FROM numbers",
                  "--sql:1:1: median and percentile are of numbers");
    check_failure("SELECT percentile(n, 101) FROM numbers",
                  "--sql:1:1: percentile: the second argument is a number from 0 to 100");
    check_failure("SELECT percentile(n, n) FROM numbers",
                  "--sql:1:1: percentile: the second argument is not the same in all rows");
}

static void durations_have_three_digits(void **state)
{
    static const struct {
        const char *ns, *text;
    } cases[] = {{"0", "0 ns"},          {"999", "999 ns"},
                 {"1000", "1.00 us"},    {"1234", "1.23 us"},
                 {"12345", "12.3 us"},   {"123456", "123 us"},
                 {"999499", "999 us"},   {"999500", "1.00 ms"},
                 {"9995000", "10.0 ms"}, {"61000000000", "61.0 s"},
                 {"-1500", "-1.50 us"},  {"5e12", "5000 s"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char query[64], expected[64];

        snprintf(query, sizeof query, "SELECT duration(%s) AS d", cases[i].ns);
        snprintf(expected, sizeof expected, "d\n%s\n", cases[i].text);
        check(query, SQL_ROWS_TSV, expected);
    }
    check("SELECT duration(NULL) AS d", SQL_ROWS_TSV, "d\n\\N\n");
}

static void regular_expressions(void **state)
{
    (void)state;
    check("SELECT n FROM numbers WHERE t REGEXP '^(one|two)$' AND regexp('w', t)", SQL_ROWS_TSV,
          "n\n2\n");
    check("SELECT NULL REGEXP 'a' AS x, 'a' REGEXP NULL AS y", SQL_ROWS_TSV, "x\ty\n\\N\t\\N\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tsv_escapes_and_tells_null_from_text),
        cmocka_unit_test(csv_quotes_what_needs_it),
        cmocka_unit_test(json_is_exact),
        cmocka_unit_test(reals_read_back_as_the_same_number),
        cmocka_unit_test(several_results_are_set_apart),
        cmocka_unit_test(what_gives_no_rows_is_no_result),
        cmocka_unit_test(columns_are_straight_on_a_terminal),
        cmocka_unit_test(long_tables_keep_every_row),
        cmocka_unit_test(queries_only_read),
        cmocka_unit_test(temporary_things_are_allowed),
        cmocka_unit_test(errors_name_their_place),
        cmocka_unit_test(files_of_queries_are_read_whole),
        cmocka_unit_test(median_and_percentile),
        cmocka_unit_test(durations_have_three_digits),
        cmocka_unit_test(regular_expressions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
