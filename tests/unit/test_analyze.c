/* Traces made by hand, analyzed in memory: sums, recovery, ends, merging, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <sys/stat.h>

#include "analyzer/analyze.h"
#include "formats/error.h"
#include "formats/trace/pattern.h"
#include "tests/unit/trace_builder.h"

/* --- Helpers --- */

/* A trace with one process: codes 11 <module> (lines 1 to 9) and 12 f (10 to 19) in /p/a.py, 13 h
 * (1 to 9) in /p/b.py. */
static void begin(struct bytes *trace)
{
    struct bytes facts = {0};

    build_header(trace, TRACE_CLOCK_MONOTONIC, 0, 1000000000);
    fact_process(&facts, 0, TRACE_PROCESS_FIRST, 100, 1);
    fact_file(&facts, 1, "/p/a.py");
    fact_file(&facts, 2, "/p/b.py");
    fact_code(&facts, 11, 1, 1, 9, "<module>");
    fact_code(&facts, 12, 1, 10, 19, "f");
    fact_code(&facts, 13, 2, 1, 9, "h");
    fact_string(&facts, 20, "len");
    fact_end(&facts, TRACE_END_EXIT, 3, BUILDER_START + 50);
    build_chunk(trace,
                (struct build_chunk){.kind = TRACE_FACTS, .process = 1, .ticks = BUILDER_START},
                &facts);
    free(facts.at);
}

static void add_events(struct bytes *trace, struct bytes *events, uint64_t sequence, uint64_t ticks,
                       uint64_t before)
{
    build_chunk(trace,
                (struct build_chunk){.kind = TRACE_EVENTS,
                                     .process = 1,
                                     .thread = 1,
                                     .sequence = sequence,
                                     .ticks = BUILDER_START + ticks,
                                     .events_before = before},
                events);
}

static sqlite3 *analyze_bytes(struct bytes *trace, const struct analyze_options *options,
                              struct error *err)
{
    char path[64];
    const char *paths[] = {path};
    struct bytes run = {0};
    sqlite3 *db = NULL;

    fact_setting(&run, "mode", "exact");
    if (trace->size >= TRACE_PAGE)
        build_chunk(trace, (struct build_chunk){.kind = TRACE_RUN, .ticks = BUILDER_START}, &run);
    free(run.at);
    build_file(trace, path);
    analyze_traces(paths, 1, options, NULL, &db, err);
    unlink(path);
    free(trace->at);
    *trace = (struct bytes){0};
    return db;
}

static sqlite3 *analyze_good(struct bytes *trace)
{
    const struct analyze_options options = {.version = "test"};
    struct error err = {.text = ""};
    sqlite3 *db = analyze_bytes(trace, &options, &err);

    assert_string_equal(err.text, "");
    assert_non_null(db);
    return db;
}

/* The rows of a query as text: columns by ',', rows by ' '. */
static void check(sqlite3 *db, const char *sql, const char *expected)
{
    struct bytes found = {0};
    sqlite3_stmt *statement;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        if (found.size)
            put_byte(&found, ' ');
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const char *text = (const char *)sqlite3_column_text(statement, i);
            if (i)
                put_byte(&found, ',');
            put(&found, text ? text : "-", text ? strlen(text) : 1);
        }
    }
    put_byte(&found, 0);
    assert_string_equal(found.at, expected);
    free(found.at);
    sqlite3_finalize(statement);
}

/* --- Sums --- */

static void test_worked_example(void **state)
{
    (void)state;
    struct bytes trace = {0}, facts = {0}, events = {0};

    build_header(&trace, TRACE_CLOCK_MONOTONIC, 0, 1000000000);
    fact_process(&facts, 0, TRACE_PROCESS_FIRST, 100, 1);
    fact_file(&facts, 1, "/p/f.py");
    fact_code(&facts, 11, 1, 5, 5, "main");
    fact_code(&facts, 12, 1, 1, 2, "f");
    build_chunk(&trace,
                (struct build_chunk){.kind = TRACE_FACTS, .process = 1, .ticks = BUILDER_START},
                &facts);
    put(&events, "\2\1\0\x16\0\1", 6); /* main, line 5, is open already */
    for (int i = 0; i < 3; i++) {
        ev_call(&events, 12);
        ev_line(&events, 1);
    }
    for (int i = 0; i < 4; i++)
        ev_return(&events);
    add_events(&trace, &events, 0, 0, 0);
    sqlite3 *db = analyze_good(&trace);
    check(db, "SELECT line, self_ns, cumulative_ns FROM line_stats ORDER BY line",
          "1,3,3 2,5,7 5,2,10");
    check(db, "SELECT name, calls, cumulative_ns FROM functions ORDER BY name", "f,3,8 main,0,10");
    check(db,
          "SELECT caller_function, cumulative_ns, outer_cumulative_ns FROM edges ORDER BY "
          "caller_line",
          "-,10,10 f,5,0 main,8,8");
    check(db, "SELECT wall_ns, self_ns, gap_ns, difference_ns FROM accounts", "10,10,0,0");
    sqlite3_close(db);
    free(facts.at);
    free(events.at);
}

static void test_c_functions_end_with_the_line(void **state)
{
    (void)state;
    struct bytes trace = {0}, events = {0};

    begin(&trace);
    no_stack(&events);
    ev_call(&events, 11);
    ev_line(&events, 1);
    ev_with(&events, TRACE_TAG_C_CALL, 20);
    ev_line(&events, 1); /* without a C_RETURN */
    ev_with(&events, TRACE_TAG_C_CALL, 20);
    put(&events, "\x09\1", 2);
    ev_return(&events);
    add_events(&trace, &events, 0, 0, 0);
    sqlite3 *db = analyze_good(&trace);
    check(db, "SELECT file, name, kind, calls, self_ns FROM functions WHERE calls ORDER BY name",
          "/p/a.py,<module>,function,1,4 <built-in>,len,c,2,2");
    check(db, "SELECT name, self_ns, calls FROM functions WHERE kind = 'outside'", "<outside>,1,0");
    check(db, "SELECT count(*) FROM warnings", "0");
    sqlite3_close(db);
    free(events.at);
}

/* --- Damage --- */

static void test_lost_chunk_is_a_gap(void **state)
{
    (void)state;
    struct bytes trace = {0}, events = {0};

    begin(&trace);
    no_stack(&events);
    ev_call(&events, 11);
    ev_line(&events, 1);
    add_events(&trace, &events, 0, 0, 0);
    put(&events, "\3\2\1\x18\2\1",
        6); /* chunk 1 is missing: keeps the module, and f is on line 11 */
    ev_return(&events);
    ev_return(&events);
    add_events(&trace, &events, 2, 20, 9);
    sqlite3 *db = analyze_good(&trace);
    check(db, "SELECT start_ns, end_ns, reason FROM gaps", "2,20,lost");
    check(db, "SELECT wall_ns, self_ns, gap_ns, difference_ns FROM accounts", "22,4,18,0");
    check(db, "SELECT complete, lost_events FROM runs", "0,7");
    check(db, "SELECT name, calls, self_ns FROM functions WHERE self_ns ORDER BY name",
          "<module>,1,2 <outside>,0,1 f,0,1");
    sqlite3_close(db);
    free(events.at);
}

/* Every truncation gives a result or an error, and no more events than a longer one. */
static void test_truncations(void **state)
{
    (void)state;
    struct bytes trace = {0}, events = {0};
    int64_t before = 0;

    begin(&trace);
    no_stack(&events);
    for (int i = 0; i < 20; i++)
        ev_call(&events, 12);
    add_events(&trace, &events, 0, 0, 0);
    for (size_t size = 0; size <= trace.size;
         size += size < 200 || size > 2 * TRACE_PAGE ? 1 : 333) {
        struct bytes part = {0};
        const struct analyze_options options = {.version = "test"};
        struct error err = {.text = ""};
        put(&part, trace.at, size);
        sqlite3 *db = analyze_bytes(&part, &options, &err);
        assert_true((db == NULL) == (err.text[0] != 0));
        if (!db)
            continue;
        sqlite3_stmt *statement;
        sqlite3_prepare_v2(db, "SELECT events FROM runs", -1, &statement, NULL);
        sqlite3_step(statement);
        int64_t found = sqlite3_column_int64(statement, 0);
        assert_true(found >= before);
        before = found;
        sqlite3_finalize(statement);
        sqlite3_close(db);
        if (size > 2 * TRACE_PAGE + 300)
            break;
    }
    assert_int_equal(before, 20);
    free(trace.at);
    free(events.at);
}

static void check_refused(struct bytes *trace, const char *part)
{
    const struct analyze_options options = {.version = "test"};
    struct error err = {.text = ""};

    assert_null(analyze_bytes(trace, &options, &err));
    if (!strstr(err.text, part))
        fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void test_refusals(void **state)
{
    (void)state;
    struct bytes trace = {0};

    check_refused(&trace, "is empty");
    put(&trace, "#!/usr/bin/python3\n", 19);
    check_refused(&trace, "not a trace");
    put(&trace, TRACE_MAGIC, TRACE_MAGIC_SIZE);
    check_refused(&trace, "cut off inside the file header");
    begin(&trace);
    trace.at[TRACE_HEADER_CLOCK] ^= 1;
    check_refused(&trace, "checksum");
    begin(&trace);
    trace.at[TRACE_HEADER_READ_VERSION] = 2;
    check_refused(&trace, "version 2");
    struct bytes nothing = {0};
    begin(&trace);
    build_chunk(&trace, (struct build_chunk){.kind = 77}, &nothing);
    check_refused(&trace, "kind 77");
}

/* --- Processes --- */

static void test_how_processes_end(void **state)
{
    (void)state;
    struct bytes trace = {0}, facts = {0};

    begin(&trace); /* process 1, pid 100: exit 3 by its own word */
    fact_child(&facts, 200, 9, BUILDER_START + 40);
    fact_child(&facts, 300, 7 << 8, BUILDER_START + 41);
    build_chunk(&trace, (struct build_chunk){.kind = TRACE_FACTS, .process = 1, .sequence = 1},
                &facts);
    for (unsigned i = 2; i <= 5; i++) {
        fact_process(&facts, 1, i < 4 ? TRACE_PROCESS_FORK : TRACE_PROCESS_SPAWN, i * 100, 15);
        if (i == 5)
            fact_end(&facts, TRACE_END_EXEC, 0, BUILDER_START + 45);
        build_chunk(&trace, (struct build_chunk){.kind = TRACE_FACTS, .process = i}, &facts);
    }
    sqlite3 *db = analyze_good(&trace);
    check(db,
          "SELECT pid, parent_process_id, how, ended, end_ns FROM processes ORDER BY process_id",
          "100,-,first,exit 3,50 200,1,fork,signal 9,0 300,1,fork,exit 7,0 400,1,spawn,unknown,0 "
          "500,1,spawn,exec,45");
    sqlite3_close(db);
    free(facts.at);
}

static void test_forked_process_knows_its_parents_code(void **state)
{
    (void)state;
    struct bytes trace = {0}, facts = {0}, events = {0};

    begin(&trace);
    fact_process(&facts, 1, TRACE_PROCESS_FORK, 200, 13); /* knows 11 and 12, not 13 */
    build_chunk(&trace,
                (struct build_chunk){.kind = TRACE_FACTS, .process = 2, .ticks = BUILDER_START},
                &facts);
    no_stack(&events);
    ev_call(&events, 12);
    ev_call(&events, 13);
    build_chunk(&trace,
                (struct build_chunk){
                    .kind = TRACE_EVENTS, .process = 2, .thread = 2, .ticks = BUILDER_START},
                &events);
    sqlite3 *db = analyze_good(&trace);
    check(db, "SELECT qualname, file FROM functions WHERE calls ORDER BY 1",
          "<unknown>,<unknown> f,/p/a.py");
    check(db,
          "SELECT depth, qualname, o.line, since_ns FROM open_frames o JOIN functions USING "
          "(function_id)",
          "0,f,10,1 1,<unknown>,0,2");
    sqlite3_close(db);
    free(facts.at);
    free(events.at);
}

/* --- Selection --- */

/* The module calls h in b.py, which calls f; without h as if b.py had been excluded while
 * recording. */
static void build_three(struct bytes *trace, bool with_h)
{
    struct bytes events = {0};

    begin(trace);
    no_stack(&events);
    ev_call(&events, 11);
    ev_line(&events, 2);
    if (with_h) {
        put(&events, "\x02\0\x0d\x01\0\4", 6); /* CALL 13 and LINE, both at t 0 */
        put_byte(&events, TRACE_SHORT_CALL | 1);
        put_varint(&events, 12);
    } else {
        ev_call(&events, 12);
    }
    ev_line(&events, 1);
    ev_return(&events);
    if (with_h)
        put_byte(&events, TRACE_SHORT_RETURN);
    ev_line(&events, 1);
    ev_return(&events);
    add_events(trace, &events, 0, 0, 0);
    free(events.at);
}

/* Both databases answer the same, and more than one row. */
static void compare(sqlite3 *one, sqlite3 *other, const char *sql)
{
    sqlite3_stmt *a, *b;
    int rows = 0;

    assert_int_equal(sqlite3_prepare_v2(one, sql, -1, &a, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(other, sql, -1, &b, NULL), SQLITE_OK);
    for (; sqlite3_step(a) == SQLITE_ROW; rows++) {
        assert_int_equal(sqlite3_step(b), SQLITE_ROW);
        for (int i = 0; i < sqlite3_column_count(a); i++) {
            const char *x = (const char *)sqlite3_column_text(a, i),
                       *y = (const char *)sqlite3_column_text(b, i);
            assert_string_equal(x ? x : "NULL", y ? y : "NULL");
        }
    }
    assert_int_equal(sqlite3_step(b), SQLITE_DONE);
    assert_true(rows > 1);
    sqlite3_finalize(a);
    sqlite3_finalize(b);
}

static void test_excluding_later_is_excluding_before(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "SELECT f.file, f.name, l.line, l.hits, l.self_ns, l.cumulative_ns FROM line_stats l JOIN "
        "functions f "
        "USING (function_id) ORDER BY 1, 2, 3",
        "SELECT caller_function, caller_line, callee_function, calls, primitive_calls, self_ns, "
        "cumulative_ns, "
        "outer_cumulative_ns, cumulative_hits FROM edges ORDER BY 1, 2, 3",
        "SELECT f.name, c.calls, c.self_ns, c.cumulative_ns FROM contexts c LEFT JOIN functions f "
        "USING (function_id) "
        "ORDER BY context_id",
    };
    struct pattern_list *patterns = pattern_list_new();
    struct analyze_options options = {.version = "test"};
    struct error err = {.text = ""};
    struct bytes with = {0}, without = {0};
    char why[100];

    pattern_list_add(patterns, false, "b.py", why, sizeof why);
    options.selection.patterns = patterns;
    build_three(&with, true);
    build_three(&without, false);
    sqlite3 *later = analyze_bytes(&with, &options, &err),
            *before = analyze_bytes(&without, &options, &err);
    assert_string_equal(err.text, "");
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        compare(later, before, queries[i]);
    check(later, "SELECT caller_function, caller_line FROM edges WHERE callee_function = 'f'",
          "<module>,3");
    check(later, "SELECT count(*) FROM files WHERE path = '/p/b.py'", "0");
    sqlite3_close(later);
    sqlite3_close(before);
    pattern_list_free(patterns);
}

/* --- Memory --- */

/* 2^20 calls of a function that calls itself from two lines, 20 deep. */
static void binary_recursion(struct bytes *events, int depth)
{
    ev_call(events, 12);
    ev_line(events, 1);
    if (depth > 0)
        binary_recursion(events, depth - 1);
    ev_line(events, 1);
    if (depth > 0)
        binary_recursion(events, depth - 1);
    ev_return(events);
}

static sqlite3 *analyze_counted(struct bytes *trace, struct analyze_statistics *statistics)
{
    const struct analyze_options options = {.version = "test", .statistics = statistics};
    struct error err = {.text = ""};
    sqlite3 *db = analyze_bytes(trace, &options, &err);

    assert_string_equal(err.text, "");
    return db;
}

static void test_recursion_from_two_lines_is_folded(void **state)
{
    (void)state;
    struct bytes trace = {0}, events = {0};
    struct analyze_statistics statistics;

    begin(&trace);
    no_stack(&events);
    binary_recursion(&events, 19);
    add_events(&trace, &events, 0, 0, 0);
    sqlite3 *db = analyze_counted(&trace, &statistics);
    check(db, "SELECT calls, primitive_calls, hits, cumulative_ns FROM functions WHERE name = 'f'",
          "1048575,1,2097150,4194299");
    check(db, "SELECT count(*), max(recursive_calls) FROM contexts", "2,1048574");
    assert_true(statistics.peak_memory < 1 << 20);
    sqlite3_close(db);
    free(events.at);
}

static void test_a_million_frames(void **state)
{
    (void)state;
    struct bytes trace = {0}, events = {0};
    struct analyze_statistics statistics;

    begin(&trace);
    no_stack(&events);
    for (int i = 0; i < 1000000; i++)
        ev_call(&events, 12);
    add_events(&trace, &events, 0, 0, 0);
    sqlite3 *db = analyze_counted(&trace, &statistics);
    check(db,
          "SELECT calls, primitive_calls, self_ns, cumulative_ns FROM functions WHERE name = 'f'",
          "1000000,1,999999,999999");
    check(db, "SELECT count(*) FROM open_frames", "1000000");
    sqlite3_close(db);
    free(events.at);
}

/* A stack record that claims frames by the thousand million costs nothing. */
static void test_claimed_depth_costs_nothing(void **state)
{
    (void)state;
    struct bytes trace = {0}, events = {0};
    struct analyze_statistics statistics;

    begin(&trace);
    put_varint(&events, 5);
    put_varint(&events, 1ull << 62);
    put_varint(&events, 1ull << 62);
    ev_return(&events);
    ev_call(&events, 12);
    add_events(&trace, &events, 3, 0, 0);
    sqlite3 *db = analyze_counted(&trace, &statistics);
    check(db, "SELECT count(*) FROM open_frames", "2");
    assert_true(statistics.peak_memory < 1 << 20);
    sqlite3_close(db);
    free(events.at);
}

/* --- Files --- */

static void test_existing_database_survives_failure(void **state)
{
    (void)state;
    const struct analyze_options options = {.version = "test"};
    struct error err = {.text = ""};
    struct bytes trace = {0};
    char trace_path[64], db_path[64], temporary[96];
    const char *paths[] = {trace_path};
    struct stat st;

    put(&trace, "old", 3);
    build_file(&trace, db_path);
    build_file(&trace, trace_path); /* no trace */
    assert_int_equal(analyze_traces(paths, 1, &options, db_path, NULL, &err), -1);
    assert_int_equal(stat(db_path, &st), 0);
    assert_int_equal(st.st_size, 3);
    unlink(trace_path);
    trace.size = 0;
    begin(&trace);
    build_file(&trace, trace_path);
    err.text[0] = 0;
    assert_int_equal(analyze_traces(paths, 1, &options, db_path, NULL, &err), 0);
    assert_int_equal(stat(db_path, &st), 0);
    assert_true(st.st_size > 4096);
    snprintf(temporary, sizeof temporary, "%s.tmp-%ld-0", db_path, (long)getpid());
    assert_int_equal(stat(temporary, &st), -1);
    err.text[0] = 0;
    assert_int_equal(analyze_traces(paths, 1, &options, "/nowhere/at/all.db", NULL, &err), -1);
    assert_non_null(strstr(err.text, "/nowhere/at/all.db"));
    unlink(trace_path);
    unlink(db_path);
    free(trace.at);
}

static void test_one_run_twice_is_refused(void **state)
{
    (void)state;
    const struct analyze_options options = {.version = "test"};
    struct error err = {.text = ""};
    struct bytes trace = {0};
    char path[64];
    const char *paths[] = {path, path};
    sqlite3 *db;

    begin(&trace);
    build_file(&trace, path);
    assert_int_equal(analyze_traces(paths, 2, &options, NULL, &db, &err), -1);
    assert_non_null(strstr(err.text, "twice"));
    unlink(path);
    free(trace.at);
}

static void test_two_runs_are_merged(void **state)
{
    (void)state;
    const struct analyze_options options = {.version = "test"};
    struct error err = {.text = ""};
    struct bytes first = {0}, second = {0};
    char first_path[64], second_path[64];
    const char *paths[] = {first_path, second_path};
    sqlite3 *db;

    build_three(&first, true);
    put(&second, first.at, first.size);
    for (size_t at = 0; at < second.size; at += TRACE_PAGE) { /* another run: another mark */
        uint8_t *mark = second.at + at + (at ? 0 : TRACE_HEADER_MARK);
        mark[0] = 0x77;
        if (at == 0) {
            uint32_t crc = crc32c(0, mark, TRACE_HEADER_CHECKED_END - TRACE_HEADER_MARK);
            memcpy(second.at + TRACE_HEADER_CRC, &crc, 4);
        }
    }
    build_file(&first, first_path);
    build_file(&second, second_path);
    assert_int_equal(analyze_traces(paths, 2, &options, NULL, &db, &err), 0);
    check(db, "SELECT count(*), count(DISTINCT trace_id) FROM runs", "2,2");
    check(db, "SELECT name, calls FROM functions WHERE calls ORDER BY 1", "<module>,2 f,2 h,2");
    check(db, "SELECT count(*) FROM files WHERE path LIKE '/p/%'", "2");
    check(db, "SELECT thread_id, process_id FROM threads", "1,1 2,2");
    sqlite3_close(db);
    unlink(first_path);
    unlink(second_path);
    free(first.at);
    free(second.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worked_example),
        cmocka_unit_test(test_c_functions_end_with_the_line),
        cmocka_unit_test(test_lost_chunk_is_a_gap),
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_how_processes_end),
        cmocka_unit_test(test_forked_process_knows_its_parents_code),
        cmocka_unit_test(test_excluding_later_is_excluding_before),
        cmocka_unit_test(test_recursion_from_two_lines_is_folded),
        cmocka_unit_test(test_a_million_frames),
        cmocka_unit_test(test_claimed_depth_costs_nothing),
        cmocka_unit_test(test_existing_database_survives_failure),
        cmocka_unit_test(test_one_run_twice_is_refused),
        cmocka_unit_test(test_two_runs_are_merged),
    };
    return cmocka_run_group_tests_name("analyze", tests, NULL, NULL);
}
