/* Replay: lines far out of range; threads of a trace replayed by several threads of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "analyzer/analyze.h"
#include "formats/error.h"
#include "tests/unit/trace_builder.h"

#define THREADS 12

/* A trace with one process: codes 11 main (lines 1 to 9) and 12 f (10 to 19), strings 20 len and
 * 21 ord. */
static void begin(struct bytes *trace)
{
    struct bytes facts = {0};

    build_header(trace, TRACE_CLOCK_MONOTONIC, 0, 1000000000);
    fact_process(&facts, 0, TRACE_PROCESS_FIRST, 100, 1);
    fact_file(&facts, 1, "/p/a.py");
    fact_code(&facts, 11, 1, 1, 9, "main");
    fact_code(&facts, 12, 1, 10, 19, "f");
    fact_string(&facts, 20, "len");
    fact_string(&facts, 21, "ord");
    fact_end(&facts, TRACE_END_EXIT, 0, BUILDER_START + 100000);
    build_chunk(trace,
                (struct build_chunk){.kind = TRACE_FACTS, .process = 1, .ticks = BUILDER_START},
                &facts);
    free(facts.at);
}

static void add_events(struct bytes *trace, unsigned thread, struct bytes *events)
{
    build_chunk(trace,
                (struct build_chunk){.kind = TRACE_EVENTS,
                                     .process = 1,
                                     .thread = thread,
                                     .ticks = BUILDER_START},
                events);
}

/* --- Lines --- */

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static void put_far_line(struct bytes *events, int64_t step)
{
    put_byte(events, TRACE_TAG_LINE);
    put_varint(events, 1);
    put_svarint(events, step);
}

/* To a line far away, and from there on with short steps and a call. */
static void put_far_lines(struct bytes *events, int64_t far)
{
    ev_call(events, 11);
    put_far_line(events, far);
    for (int i = 0; i < 8; i++)
        ev_line(events, i < 4 ? -1 : 0);
    ev_call(events, 12);
    ev_line(events, 1);
    ev_return(events);
    ev_return(events);
}

static void test_lines_far_away(void **state)
{
    static const int64_t far[] = {UINT32_MAX - 1ll, UINT32_MAX, INT64_MIN, INT64_MIN + 2,
                                  INT64_MAX - 1,    -2};
    struct bytes trace = {0}, events = {0};
    const struct analyze_options options = {.version = "test"};
    struct error err = {.text = ""};
    char path[64];
    const char *paths[] = {path};
    sqlite3 *db = NULL;

    (void)state;
    begin(&trace);
    no_stack(&events);
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        put_far_lines(&events, far[i]);
    for (int i = 0; i < 100; i++) /* so that what counts is not at the end of the chunk */
        ev_call(&events, 12);
    add_events(&trace, 1, &events);
    build_file(&trace, path);
    assert_int_equal(analyze_traces(paths, 1, &options, NULL, &db, &err), 0);
    assert_int_equal(number_of(db, "SELECT difference_ns FROM accounts"), 0);
    assert_int_equal(number_of(db, "SELECT sum(hits) FROM line_stats"), 6 * 10);
    assert_int_equal(number_of(db, "SELECT hits FROM line_stats WHERE line = 0"), 6 * 9);
    assert_int_equal(number_of(db, "SELECT count(*) FROM edges WHERE caller_line = 0"), 1);
    sqlite3_close(db);
    unlink(path);
    free(trace.at);
    free(events.at);
}

/* --- Threads --- */

/* Thread `number` does the more the lower it is, so the later ones are done first. */
static void add_thread(struct bytes *trace, unsigned number)
{
    struct bytes events = {0};

    no_stack(&events);
    ev_call(&events, 11);
    for (unsigned i = 0; i < 50 + 4000 * (THREADS - number); i++) {
        ev_line(&events, i % 2 ? -1 : 1);
        ev_call(&events, 12);
        ev_with(&events, TRACE_TAG_C_CALL, 20 + (number + i) % 3);
        put(&events, "\x09\1", 2);
        ev_return(&events);
    }
    add_events(trace, number, &events);
    free(events.at);
}

static void build_threads(char path[64])
{
    struct bytes trace = {0};

    begin(&trace);
    for (unsigned i = 1; i <= THREADS; i++)
        add_thread(&trace, i);
    build_file(&trace, path);
    free(trace.at);
}

static unsigned char *analyze_with(const char *path, unsigned workers, sqlite3_int64 *size)
{
    const struct analyze_options options = {.version = "test", .workers = workers};
    struct error err = {.text = ""};
    sqlite3 *db = NULL;

    assert_int_equal(analyze_traces(&path, 1, &options, NULL, &db, &err), 0);
    assert_string_equal(err.text, "");
    assert_int_equal(number_of(db, "SELECT count(*) FROM threads"), THREADS);
    unsigned char *bytes = sqlite3_serialize(db, "main", size, 0);
    assert_non_null(bytes);
    sqlite3_close(db);
    return bytes;
}

static void test_workers_make_no_difference(void **state)
{
    char path[64];
    sqlite3_int64 size, other_size;

    (void)state;
    build_threads(path);
    unsigned char *alone = analyze_with(path, 1, &size);
    for (unsigned workers = 0; workers < 7; workers++) {
        unsigned char *together = analyze_with(path, workers, &other_size);
        assert_int_equal(other_size, size);
        assert_memory_equal(together, alone, (size_t)size);
        sqlite3_free(together);
    }
    sqlite3_free(alone);
    unlink(path);
}

static int stop_soon(void *context, uint64_t done, uint64_t total)
{
    (void)context;
    return done > total / 4;
}

static void test_stopping(void **state)
{
    struct error err = {.text = ""};
    char path[64];
    const char *paths[] = {path};

    (void)state;
    build_threads(path);
    for (unsigned workers = 0; workers < 4; workers++) {
        const struct analyze_options options = {
            .version = "test", .workers = workers, .progress = stop_soon};
        err.text[0] = 0;
        assert_int_equal(analyze_traces(paths, 1, &options, NULL, NULL, &err), -1);
        assert_non_null(strstr(err.text, ": stopped"));
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_far_away),
        cmocka_unit_test(test_workers_make_no_difference),
        cmocka_unit_test(test_stopping),
    };
    return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
