/* Samples: what replay makes of them, and the table `events`. Each expectation is worked out by
 * hand; a tick is a ns, so a unit of time is 128 ns where a chunk says nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "analyzer/analyze.h"
#include "analyzer/events_walk.h"
#include "analyzer/facts.h"
#include "analyzer/sample_sums.h"
#include "analyzer/trace_file.h"
#include "formats/error.h"
#include "formats/trace/samples.h"
#include "tests/unit/trace_builder.h"

#define UNIT 128
#define MAIN 11 /* code main: lines 1 to 9 */
#define F 12    /* f: 10 to 19 */
#define GEN 13  /* a generator: 20 to 29 */

/* --- Traces --- */

static void put_node(struct bytes *out, uint64_t parent, uint64_t code, int64_t step)
{
    uint8_t room[TRACE_SAMPLE_SIZE_MAX];

    /* As if the chunk had many nodes: the long form. */
    put(out, room, (size_t)(trace_put_node(room, UINT64_MAX - 1, parent, code, step) - room));
}

static void put_child(struct bytes *out, uint64_t parent, uint64_t code, int64_t step)
{
    uint8_t room[TRACE_SAMPLE_SIZE_MAX];

    put(out, room, (size_t)(trace_put_node(room, parent, parent, code, step) - room));
}

static void put_units(struct bytes *out, uint64_t time, uint64_t cpu_ns)
{
    uint8_t room[TRACE_SAMPLE_SIZE_MAX];

    put(out, room, (size_t)(trace_put_sample_units(room, time, cpu_ns) - room));
}

static void put_sample(struct bytes *out, enum trace_sample_tag state, uint64_t units,
                       uint64_t node, uint64_t cpu)
{
    uint8_t room[TRACE_SAMPLE_SIZE_MAX];

    put(out, room, (size_t)(trace_put_sample(room, state, units, node, cpu) - room));
}

static void put_same(struct bytes *out, uint64_t units, uint64_t count)
{
    uint8_t room[TRACE_SAMPLE_SIZE_MAX];

    put(out, room, (size_t)(trace_put_same(room, units, count) - room));
}

static void put_missed(struct bytes *out, uint64_t count)
{
    uint8_t room[TRACE_SAMPLE_SIZE_MAX];

    put(out, room, (size_t)(trace_put_missed(room, count) - room));
}

static void put_gap(struct bytes *out, uint64_t units, enum trace_gap_reason reason)
{
    uint8_t room[TRACE_SAMPLE_SIZE_MAX];

    put(out, room, (size_t)(trace_put_sample_gap(room, units, reason) - room));
}

static void add_facts(struct bytes *trace, unsigned process, bool ended)
{
    struct bytes facts = {0};

    if (process == 1) {
        fact_process(&facts, 0, TRACE_PROCESS_FIRST, 100, 1);
        fact_file(&facts, 1, "/p/a.py");
        fact_code(&facts, MAIN, 1, 1, 9, "main");
        fact_code(&facts, F, 1, 10, 19, "f");
        fact_code(&facts, GEN, 1, 20, 29, "gen");
    } else { /* a child that knows what its parent knew */
        fact_process(&facts, 1, TRACE_PROCESS_FORK, 100 + process, GEN + 1);
    }
    if (ended)
        fact_end(&facts, TRACE_END_EXIT, 0, BUILDER_START + 1000000);
    build_chunk(
        trace,
        (struct build_chunk){.kind = TRACE_FACTS, .process = process, .ticks = BUILDER_START},
        &facts);
    free(facts.at);
}

static void begin(struct bytes *trace, bool ended)
{
    struct bytes settings = {0};

    *trace = (struct bytes){0};
    build_header(trace, TRACE_CLOCK_MONOTONIC, 0, 1000000000);
    fact_setting(&settings, "mode", "sample");
    build_chunk(trace, (struct build_chunk){.kind = TRACE_RUN, .ticks = BUILDER_START}, &settings);
    add_facts(trace, 1, ended);
    free(settings.at);
}

/* main on line 2 is node 1, f on line 11 called from there is node 2. */
static void put_main_and_f(struct bytes *out)
{
    put_node(out, 0, MAIN, 1);
    put_node(out, 1, F, 1);
}

static void add_samples(struct bytes *trace, struct build_chunk chunk, struct bytes *records)
{
    chunk.kind = TRACE_SAMPLES;
    chunk.process = chunk.process ? chunk.process : 1;
    chunk.thread = chunk.thread ? chunk.thread : 1;
    chunk.ticks += BUILDER_START;
    build_chunk(trace, chunk, records);
}

/* The database of the trace, which is dropped. */
static sqlite3 *analyze(struct bytes *trace)
{
    const struct analyze_options options = {.version = "test"};
    struct error err = {.text = ""};
    char path[64];
    const char *paths[] = {path};
    sqlite3 *db = NULL;

    build_file(trace, path);
    if (analyze_traces(paths, 1, &options, NULL, &db, &err) < 0)
        fail_msg("%s", err.text);
    unlink(path);
    free(trace->at);
    *trace = (struct bytes){0};
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

#define LINES                                                                                      \
    "SELECT line, hits, samples, cumulative_samples, self_ns, cumulative_ns FROM lines WHERE "     \
    "cumulative_ns OR samples ORDER BY line"
#define STATES                                                                                     \
    "SELECT line, running_ns, gil_wait_ns, blocked_ns, self_cpu_ns FROM lines WHERE self_ns "      \
    "ORDER BY line"
#define BOOKS "SELECT wall_ns, self_ns, gap_ns, difference_ns FROM accounts ORDER BY thread_id"
#define GAPS "SELECT start_ns, end_ns, reason FROM gaps ORDER BY start_ns"
#define CALLS                                                                                      \
    "SELECT caller_line, callee_function, calls, samples, cumulative_samples, self_ns, "           \
    "cumulative_ns FROM edges ORDER BY caller_line, callee_function"

/* --- Weights and states --- */

/* f runs for 8 units, waits for the lock for 4, and main is blocked for 2. */
static void test_states(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 2, 1);
    put_sample(&records, TRACE_SAMPLE_GIL, 4, 2, 0);
    put_sample(&records, TRACE_SAMPLE_BLOCKED, 2, 1, 0);
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    sqlite3 *db = analyze(&trace);
    check(db, LINES, "2,1,1,3,256,1792 11,2,2,2,1536,1536");
    check(db, STATES, "2,0,0,256,0 11,1024,512,0,1000");
    check(db, CALLS, "-,main,0,1,3,256,1792 2,f,0,2,2,1536,1536");
    check(db, BOOKS, "1792,1792,0,0");
    /* f has 6/7 of the time: (1/7)^2 (1024^2 + 512^2) + (6/7)^2 256^2 = 273.7^2, and so has main.
     */
    check(db, "SELECT error_ns FROM lines WHERE self_ns ORDER BY line", "274 274");
    check(db, "SELECT calls, primitive_calls, resumes FROM functions WHERE name IN ('main', 'f')",
          "0,0,0 0,0,0");
    check(db, "SELECT events FROM threads", "3");
    check(db, "SELECT count(*) FROM open_frames", "0");
    sqlite3_close(db);
    free(records.at);
}

/* Four times the same in 12 units: squares are those of samples of 3. */
static void test_same(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_BLOCKED, 3, 2, 0);
    put_same(&records, 12, 4);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 15, 1, 2);
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    sqlite3 *db = analyze(&trace);
    check(db, LINES, "2,1,1,6,1920,3840 11,5,5,5,1920,1920");
    check(db, STATES, "2,1920,0,0,1920 11,0,0,1920,0"); /* not more than the time that passed */
    /* Both have half: (5 (3 128)^2 + (15 128)^2) / 4 */
    check(db, "SELECT error_ns FROM lines WHERE self_ns ORDER BY line", "1052 1052");
    sqlite3_close(db);
    free(records.at);
}

/* Twelve units late, with two that were dropped before it: it stands for all of that. */
static void test_late_and_dropped(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 1, 0);
    put_missed(&records, 2);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 36, 2, 0);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 0, 1, 0); /* no time between: a weight of 0 */
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    sqlite3 *db = analyze(&trace);
    check(db, LINES, "2,2,2,3,1024,5632 11,1,1,1,4608,4608");
    check(db, BOOKS, "5632,5632,0,0");
    sqlite3_close(db);
    free(records.at);
}

/* CPU time that a waiting sample tells of was used by what is found running next, but never more
 * than the time that passed there. */
static void test_cpu_goes_to_who_runs(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_BLOCKED, 8, 1, 0);
    put_sample(&records, TRACE_SAMPLE_GIL, 8, 1, 0);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 2, 2);  /* 1024 of the 2000 */
    put_sample(&records, TRACE_SAMPLE_RUNNING, 40, 2, 0); /* and the rest */
    put_gap(&records, 8, TRACE_GAP_PAUSED);
    put_sample(&records, TRACE_SAMPLE_BLOCKED, 8, 1, 0);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 0, 2, 3);
    put_gap(&records, 8, TRACE_GAP_PAUSED); /* what was before it is forgotten */
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 2, 0);
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    sqlite3 *db = analyze(&trace);
    check(db, STATES, "2,0,1024,2048,0 11,7168,0,0,2000");
    check(db, GAPS, "8192,9216,paused 10240,11264,paused");
    check(db, BOOKS, "12288,10240,2048,0");
    sqlite3_close(db);
    free(records.at);
}

/* --- Bytes --- */

/* What a record of each form takes, and that it says the same when it is read. */
static void test_bytes(void **state)
{
    static const uint8_t expected[] = {
        0x08, 0x03, 0x0a,                         /* units */
        0x41, 0x0b, 0x41, 0x0c,                   /* main, line 1; f called from there */
        0x01, 0x01, 0x0c, 0x02,                   /* f, not called from the node before */
        0x01, 0x03, 0x0c, 0x80, 0x01, 0x7f, 0x0d, /* a line too far for the short form */
        0x9e, 0x02, 0x07,                         /* running, 30 units */
        0x9f, 0x3e, 0x02, 0x00,                   /* 31 units */
        0xa8, 0x03,                               /* GIL, 8 units */
        0xc0, 0x01,                               /* blocked, at once */
        0xf0, 0x00,                               /* the same, a period on */
        0xe2, 0x63,                               /* 100 of them, in 99 periods and 2 units */
        0xff, 0x03, 0x01,                         /* two of them, in 14 units */
        0xff, 0xc0, 0x02, 0x01,                   /* two of them, in 176 units */
    };
    static const struct trace_sample read[] = {
        {.tag = TRACE_SAMPLE_UNITS, .time = 3, .cpu = 10},
        {.tag = TRACE_SAMPLE_NODE, .code = MAIN, .line_step = 1},
        {.tag = TRACE_SAMPLE_NODE, .node = 1, .code = F, .line_step = 1},
        {.tag = TRACE_SAMPLE_NODE, .node = 1, .code = F, .line_step = 1},
        {.tag = TRACE_SAMPLE_NODE, .node = 3, .code = F, .line_step = 64},
        {.tag = TRACE_SAMPLE_NODE, .node = 4, .code = GEN, .line_step = 63},
        {.tag = TRACE_SAMPLE_RUNNING, .time = 90, .node = 2, .cpu = 70},
        {.tag = TRACE_SAMPLE_RUNNING, .time = 93, .node = 2},
        {.tag = TRACE_SAMPLE_GIL, .time = 24, .node = 3},
        {.tag = TRACE_SAMPLE_BLOCKED, .node = 1},
        {.tag = TRACE_SAMPLE_SAME, .time = 48, .count = 1},
        {.tag = TRACE_SAMPLE_SAME, .time = 3 * (99 * 16 + 2), .count = 100},
        {.tag = TRACE_SAMPLE_SAME, .time = 42, .count = 2},
        {.tag = TRACE_SAMPLE_SAME, .time = 528, .count = 2},
    };
    struct trace_sampling sampling = trace_sampling_new();
    struct trace_sample sample;
    struct bytes records = {0};

    (void)state;
    put_units(&records, 3, 10);
    put_child(&records, 0, MAIN, 1);
    put_child(&records, 1, F, 1);
    put_node(&records, 1, F, 1);
    put_child(&records, 3, F, 64);
    put_child(&records, 5, GEN, 63);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 30, 2, 7);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 31, 2, 0);
    put_sample(&records, TRACE_SAMPLE_GIL, 8, 3, 0);
    put_sample(&records, TRACE_SAMPLE_BLOCKED, 0, 1, 0);
    put_same(&records, 16, 1);
    put_same(&records, 99 * 16 + 2, 100);
    put_same(&records, 14, 2);
    put_same(&records, 176, 2);
    assert_int_equal(records.size, sizeof expected);
    assert_memory_equal(records.at, expected, sizeof expected);
    struct trace_cursor cur = trace_cursor_over(records.at, records.size);
    for (size_t i = 0; i < sizeof read / sizeof *read; i++) {
        assert_true(trace_next_sample(&cur, &sampling, &sample));
        assert_memory_equal(&sample, &read[i], sizeof sample);
    }
    assert_false(trace_next_sample(&cur, &sampling, &sample));
    assert_int_equal(cur.status, TRACE_AT_END);
    free(records.at);
}

/* Times that no clock has, and those before the record they follow. */
static void test_far_times(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        uint64_t time, count;
    } cases[] = {
        {"\xbf\x01\x00", 3, 0, 0},                                               /* -1 */
        {"\xff\x3f\x02", 3, 0, 3},                                               /* 32 - 32 */
        {"\xff\x3d\x02", 3, 128, 3},                                             /* 32 - 31 */
        {"\xbf\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", 12, UINT64_MAX, 0}, /* 2^63 - 1 */
        {"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", 12, 0, 0},          /* -2^63 */
        {"\xe1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, UINT64_MAX, UINT64_MAX},
        {"\xff\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, UINT64_MAX, UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trace_cursor cur = trace_cursor_over(cases[i].bytes, cases[i].size);
        struct trace_sampling sampling = trace_sampling_new();
        struct trace_sample sample;

        assert_true(trace_next_sample(&cur, &sampling, &sample));
        assert_int_equal(sample.time, cases[i].time);
        assert_int_equal(sample.count, cases[i].count);
    }
}

/* Units hold from where they stand, in their chunk. */
static void test_units(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 2, 2, 0);
    put_units(&records, 1000, 50);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 3, 2, 10);
    put_same(&records, 17, 2);
    put_gap(&records, 1, TRACE_GAP_PAUSED);
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    put_child(&records, 0, MAIN, 1);
    put_child(&records, 1, F, 1);
    put_sample(&records, TRACE_SAMPLE_BLOCKED, 1, 2, 0);
    add_samples(&trace, (struct build_chunk){.sequence = 1, .ticks = 21256, .events_before = 4},
                &records);
    sqlite3 *db = analyze(&trace);
    check(db, STATES, "11,20256,0,128,500");
    check(db, LINES, "2,0,0,5,0,20384 11,5,5,5,20384,20384");
    check(db, GAPS, "20256,21256,paused");
    sqlite3_close(db);
    free(records.at);
}

/* --- Stacks --- */

/* f calls itself from line 12: its samples count once, whatever the depth. */
static void test_recursion(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    put_main_and_f(&records);
    put_node(&records, 1, F, 2);
    put_node(&records, 3, F, 2);
    put_node(&records, 4, F, 1);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 10, 5, 0);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 1, 3, 0);
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    sqlite3 *db = analyze(&trace);
    check(db, LINES, "2,0,0,2,0,1408 11,1,1,1,1280,1280 12,1,1,2,128,1408");
    check(db, CALLS, "-,main,0,0,2,0,1408 2,f,0,1,2,128,1408 12,f,0,1,1,1280,1280");
    check(db,
          "SELECT samples, cumulative_samples, self_ns, cumulative_ns FROM functions WHERE name = "
          "'f'",
          "2,2,1408,1408");
    check(db, "SELECT count(*) FROM contexts", "3"); /* recursion does not grow the tree */
    sqlite3_close(db);
    free(records.at);
}

/* A generator is resumed by main on line 3, then by f: one function, two callers. */
static void test_generators(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    put_node(&records, 0, MAIN, 2);
    put_node(&records, 1, GEN, 3);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 2, 2, 0);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 1, 1, 0);
    put_node(&records, 1, F, 5);
    put_node(&records, 3, GEN, 4);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 4, 4, 0);
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    sqlite3 *db = analyze(&trace);
    check(db, CALLS,
          "-,main,0,1,3,128,896 3,f,0,0,1,0,512 3,gen,0,1,1,256,256 15,gen,0,1,1,512,512");
    check(db, "SELECT samples, self_ns FROM functions WHERE name = 'gen'", "2,768");
    sqlite3_close(db);
    free(records.at);
}

/* Code that nobody defines, and frames farther out than were looked at: unknown, on line 0. */
static void test_unknown_code(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    put_node(&records, 0, 0, 7);
    put_node(&records, 1, F, 1);
    put_node(&records, 2, 77, 3);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 1, 2, 0);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 2, 3, 0);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 4, 0, 0); /* no recorded frame was open */
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    sqlite3 *db = analyze(&trace);
    check(db,
          "SELECT file, line, samples, cumulative_samples, self_ns FROM lines WHERE samples ORDER "
          "BY 1",
          "/p/a.py,11,1,2,128 <unknown>,0,1,2,256");
    check(db, "SELECT self_ns FROM functions WHERE kind = 'outside'", "512");
    check(db, BOOKS, "896,896,0,0");
    check(db, "SELECT text FROM warnings", "1 function has no known name: shown as <unknown>");
    sqlite3_close(db);
    free(records.at);
}

/* --- Threads and chunks --- */

/* The second thread begins later, in a forked child, with the code of its parent; nodes are those
 * of each chunk. */
static void test_threads_and_forks(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    add_facts(&trace, 2, true);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 2, 1);
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    put_node(&records, 0, F, 1); /* node 1 is another one here */
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 1, 1);
    add_samples(&trace, (struct build_chunk){.sequence = 1, .ticks = 1024, .events_before = 1},
                &records);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_GIL, 2, 2, 0);
    add_samples(&trace, (struct build_chunk){.process = 2, .thread = 3, .ticks = 5000}, &records);
    sqlite3 *db = analyze(&trace);
    check(db, "SELECT number, start_ns, end_ns, events FROM threads", "1,0,2048,2 3,5000,5256,1");
    check(db, LINES, "2,0,0,2,0,1280 11,3,3,3,2304,2304");
    check(db, STATES, "11,2048,256,0,2000");
    check(db, BOOKS, "2048,2048,0,0 256,256,0,0");
    check(db, "SELECT count(*) FROM warnings", "0");
    /* All of a thread's time on one line: no error. */
    check(db, "SELECT error_ns FROM lines WHERE samples", "0");
    sqlite3_close(db);
    free(records.at);
}

/* The chunk of sequence 1, with three samples, is missing: its time is a gap. */
static void test_lost_chunk(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 2, 0);
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    put_same(&records, 1, 1); /* the same as what? */
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 2, 2, 0);
    add_samples(&trace, (struct build_chunk){.sequence = 2, .ticks = 4000, .events_before = 4},
                &records);
    sqlite3 *db = analyze(&trace);
    check(db, GAPS, "1024,4000,lost");
    check(db, BOOKS, "4384,1408,2976,0");
    check(db, LINES, "2,0,0,2,0,1280 11,2,2,2,1280,1280");
    check(db, "SELECT self_ns FROM functions WHERE kind = 'outside'", "128");
    check(db, "SELECT lost_events, complete FROM runs", "3,0");
    check(db, "SELECT text FROM warnings ORDER BY 1",
          "1 chunk of events is missing 1 event came when no function was on the stack "
          "3 events are lost");
    sqlite3_close(db);
    free(records.at);
}

/* Nobody saw the end of the process: its thread's last sample tells where it was. */
static void test_open_frames(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, false);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 2, 0);
    put_same(&records, 3, 1);
    add_samples(&trace, (struct build_chunk){.unsealed = true}, &records);
    sqlite3 *db = analyze(&trace);
    check(db,
          "SELECT depth, name, o.line, since_ns FROM open_frames o JOIN functions USING "
          "(function_id)",
          "0,main,2,1408 1,f,11,1408");
    sqlite3_close(db);
    free(records.at);
}

/* --- Damage --- */

static void put_a_bit_of_all(struct bytes *records)
{
    put_main_and_f(records);
    put_sample(records, TRACE_SAMPLE_RUNNING, 300, 2, 1000);
    put_same(records, 200, 7);
    put_missed(records, 3);
    put_gap(records, 150, TRACE_GAP_PAUSED);
    put(records, "\x0f\x09\x03\x00\x80x", 6); /* EXTENSION */
    put_node(records, 1, GEN, 130);
    put_sample(records, TRACE_SAMPLE_GIL, 20, 3, 0);
}

/* Wherever a chunk that was being written ends, the records before that place count: those that
 * had all of their bytes. */
static void test_every_cut(void **state)
{
    struct bytes whole = {0};
    int64_t before = -1;

    (void)state;
    put_a_bit_of_all(&whole);
    for (size_t size = 0; size <= whole.size; size++) {
        struct bytes trace, records = {0};
        char sql[96];
        begin(&trace, true);
        put(&records, whole.at, size);
        add_samples(&trace, (struct build_chunk){.unsealed = true}, &records);
        /* The zeros behind may complete a sample, one of no recorded frame. */
        sqlite3 *db = analyze(&trace);
        sqlite3_stmt *statement;
        sqlite3_prepare_v2(db, "SELECT events FROM threads", -1, &statement, NULL);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        int64_t events = sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
        assert_true(events >= before);
        before = events;
        check(db, "SELECT DISTINCT difference_ns FROM accounts", "0");
        snprintf(sql, sizeof sql, "SELECT coalesce(sum(samples), 0) <= %lld FROM line_stats",
                 (long long)events);
        check(db, sql, "1");
        check(db, "SELECT count(*) FROM warnings WHERE text NOT LIKE '%unknown kind%'", "0");
        sqlite3_close(db);
        free(records.at);
    }
    assert_int_equal(before, 9);
    free(whole.at);
}

/* A sealed one must decode to its end. */
static void test_sealed_chunk_that_does_not_decode(void **state)
{
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 2, 0);
    put(&records, "\x0e\1\1\1", 4); /* no such tag */
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    sqlite3 *db = analyze(&trace);
    check(db, LINES, "2,0,0,1,0,1024 11,1,1,1,1024,1024");
    check(db, "SELECT text FROM warnings", "1 chunk of events decodes only in part");
    sqlite3_close(db);
    free(records.at);
}

/* Numbers that no recorder writes: nothing breaks, and the books close. */
static void test_hostile_numbers(void **state)
{
    static const uint64_t far[] = {INT64_MAX, UINT64_MAX, 1ull << 57, UINT32_MAX, 1ull << 32};
    struct bytes trace, records = {0};

    (void)state;
    begin(&trace, true);
    put_main_and_f(&records);
    put_node(&records, 3, MAIN, 1); /* its own parent: it has none */
    put_node(&records, 9, F, 1);
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        put_node(&records, far[i], far[i], (int64_t)far[i]);
        put_node(&records, 2, F, (int64_t)far[i]);
        put_sample(&records, TRACE_SAMPLE_RUNNING, 1, far[i], far[i]);
        put_sample(&records, TRACE_SAMPLE_RUNNING, 1, 5 + 2 * i, 0);
        put_sample(&records, TRACE_SAMPLE_RUNNING, 1, 6 + 2 * i, 0);
        put_same(&records, 1, far[i]);
        put_missed(&records, far[i]);
    }
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 3, 0);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 4, 0);
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        put_sample(&records, TRACE_SAMPLE_RUNNING, far[i], 2, 1);
        put_gap(&records, far[i], (enum trace_gap_reason)77);
    }
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    sqlite3 *db = analyze(&trace);
    check(db, "SELECT difference_ns FROM accounts", "0");
    check(db, "SELECT sum(self_ns) - (SELECT self_ns FROM accounts) FROM functions", "0");
    check(db, "SELECT samples FROM lines WHERE line = 2", "1");
    sqlite3_close(db);
    free(records.at);
}

/* --- The table events --- */

struct row {
    int64_t time;
    uint64_t seq, depth, detail;
    int64_t line;
};

/* All rows of the first thread, up to `room`. How many there are. */
static size_t walk_rows(struct bytes *trace, struct row *rows, size_t room)
{
    struct error err = {.text = ""};
    size_t count = 0;
    char path[64];

    build_file(trace, path);
    struct trace_file *file = trace_file_open(path, &err);
    struct facts *facts = facts_read(file, &err);
    struct events_walk *walk = events_walk_new(file, facts);
    events_walk_window(walk, 0, CLOCK_MAX_NS);
    events_walk_begin(walk, &file->threads[0]);
    while (events_walk_next(walk, &err) > 0) {
        assert_true(count < room);
        rows[count++] = (struct row){
            .time = events_walk_time(walk),
            .seq = walk->seq,
            .depth = walk->frame ? walk->row_depth + 1 : 0,
            .detail = walk->string,
            .line = walk->frame ? walk->frame->line : 0,
        };
    }
    events_walk_free(walk);
    facts_free(facts);
    trace_file_close(file);
    unlink(path);
    free(trace->at);
    return count;
}

static void test_events(void **state)
{
    static const struct row expected[] = {
        {1024, 1, 2, TRACE_SAMPLE_GIL, 11},
        {1280, 4, 2, TRACE_SAMPLE_GIL, 11},
        {1280, 4, 2, TRACE_GAP_PAUSED, 11},
        {1664, 5, 2, TRACE_SAMPLE_GIL, 11}, /* as before the gap */
        {1792, 6, 0, TRACE_SAMPLE_RUNNING, 0},
        {1792, 7, 0, TRACE_GAP_LOST, 0},
        {3256, 10, 0, TRACE_SAMPLE_BLOCKED, 0},
        {3384, 11, 1, TRACE_SAMPLE_RUNNING, 2},
    };
    struct bytes trace, records = {0};
    struct row rows[16];

    (void)state;
    begin(&trace, true);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_GIL, 8, 2, 0);
    put_same(&records, 2, 3);
    put_gap(&records, 2, TRACE_GAP_PAUSED);
    put_same(&records, 1, 1);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 1, 0, 0);
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    put_same(&records, 2, 1); /* not as in the chunk before */
    put_main_and_f(&records);
    put_units(&records, 64, 1);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 2, 1, 0);
    add_samples(&trace, (struct build_chunk){.sequence = 1, .ticks = 3000, .events_before = 9},
                &records);
    size_t count = walk_rows(&trace, rows, sizeof rows / sizeof *rows);
    assert_int_equal(count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].time, expected[i].time);
        assert_int_equal(rows[i].seq, expected[i].seq);
        assert_int_equal(rows[i].depth, expected[i].depth);
        assert_int_equal(rows[i].detail, expected[i].detail);
        assert_int_equal(rows[i].line, expected[i].line);
    }
    free(records.at);
}

/* A row has the time before its sample, in whatever chunk that is, behind however many nodes. */
static void test_time_before_a_sample(void **state)
{
    struct bytes trace, records = {0};
    struct error err = {.text = ""};
    char path[64];
    int64_t self = -1;

    (void)state;
    begin(&trace, true);
    put_main_and_f(&records);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 8, 1, 0);
    add_samples(&trace, (struct build_chunk){.ticks = 0}, &records);
    for (uint64_t i = 0; i < 3000; i++) /* a deep stack */
        put_node(&records, i, F, 1);
    put_sample(&records, TRACE_SAMPLE_RUNNING, 2, 3000, 0);
    add_samples(&trace, (struct build_chunk){.sequence = 1, .ticks = 1024, .events_before = 1},
                &records);
    add_samples(&trace, (struct build_chunk){.sequence = 2, .ticks = 1280, .events_before = 2},
                &records);
    build_file(&trace, path);
    struct trace_file *file = trace_file_open(path, &err);
    struct facts *facts = facts_read(file, &err);
    struct events_walk *walk = events_walk_new(file, facts);
    events_walk_window(walk, 0, CLOCK_MAX_NS);
    events_walk_begin(walk, &file->threads[0]);
    assert_int_equal(events_walk_next(walk, &err), 1);
    assert_int_equal(events_walk_self(walk, &self, &err), 0);
    assert_int_equal(self, 8 * UNIT);
    assert_int_equal(events_walk_next(walk, &err), 1);
    assert_int_equal(walk->row_depth, 2999);
    assert_int_equal(events_walk_self(walk, &self, &err), 0);
    assert_int_equal(self, 2 * UNIT);
    events_walk_free(walk);
    facts_free(facts);
    trace_file_close(file);
    unlink(path);
    free(trace.at);
    free(records.at);
}

/* --- Sums --- */

static void test_table(void **state)
{
    struct sample_table table = {.all = NULL};
    int things[2] = {0};

    (void)state;
    struct sample_sums *first = sample_table_put(&table, &things[0]);
    assert_ptr_equal(sample_table_put(&table, &things[0]), first);
    assert_ptr_not_equal(sample_table_put(&table, &things[1]), first);
    first->samples = 3;
    assert_int_equal(sample_table_get(&table, &things[0]).samples, 3);
    assert_int_equal(sample_table_get(&table, &table).samples, 0);
    assert_int_equal(sample_table_get(NULL, &things[0]).samples, 0);
    sample_table_settle(&table); /* of no time at all */
    assert_int_equal(sample_sums_error(first), 0);
    sample_table_fini(&table);
}

/* Ten samples of 10 ns, four of them here: (6/10)^2 4 100 + (4/10)^2 6 100 = 240 = 15.49^2. */
static void test_errors(void **state)
{
    struct sample_table table = {.all = NULL};
    struct sample_sums sum = {.samples = 1}, none = {.variance = -1}, all = {.variance = 1e300};
    int thing = 0;

    (void)state;
    struct sample_sums *sums = sample_table_put(&table, &thing);
    sums->samples = 4;
    sums->cumulative_samples = 5;
    sums->ns[SAMPLE_RUNNING] = 30;
    sums->ns[SAMPLE_BLOCKED] = 10;
    sums->squares = 400;
    table.total.ns[SAMPLE_GIL] = 100;
    table.total.squares = 1000;
    sample_table_settle(&table);
    assert_int_equal(sample_sums_error(sums), 15);
    sample_sums_add(&sum, sums);
    sample_sums_add(&sum, sums); /* variances add up, errors do not: 480 = 21.9^2 */
    assert_int_equal(sample_sums_error(&sum), 22);
    assert_int_equal(sum.samples, 9);
    assert_int_equal(sum.cumulative_samples, 10);
    assert_int_equal(sum.ns[SAMPLE_RUNNING], 60);
    assert_int_equal(sum.ns[SAMPLE_GIL], 0);
    assert_int_equal(sum.ns[SAMPLE_BLOCKED], 20);
    assert_int_equal(sample_sums_error(&none), 0);
    assert_int_equal(sample_sums_error(&all), INT64_MAX);
    sample_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_late_and_dropped),
        cmocka_unit_test(test_cpu_goes_to_who_runs),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_far_times),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_recursion),
        cmocka_unit_test(test_generators),
        cmocka_unit_test(test_unknown_code),
        cmocka_unit_test(test_threads_and_forks),
        cmocka_unit_test(test_lost_chunk),
        cmocka_unit_test(test_open_frames),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_sealed_chunk_that_does_not_decode),
        cmocka_unit_test(test_hostile_numbers),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_time_before_a_sample),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
