/* Damage: every truncation, every flipped bit, every chunk dropped, doubled or moved. What comes
 * out is what was there before, or less with a word about it, or one line that says why nothing
 * does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include "analyzer/analyze.h"
#include "analyzer/facts.h"
#include "analyzer/model.h"
#include "analyzer/replay.h"
#include "analyzer/trace_file.h"
#include "formats/error.h"
#include "formats/trace/crc32c.h"
#include "formats/trace/sha256.h"
#include "tests/unit/trace_builder.h"

#define CHUNKS 8
#define END 9000 /* ticks after the start */

static const char source[] = "def f():\n    return 1\n\nfor i in range(9):\n    f()\n";

/* The trace, where its chunks begin, and the file that damaged ones are written to. */
struct trace {
    struct bytes bytes;
    size_t chunks[CHUNKS + 1];
    size_t payloads[CHUNKS]; /* their sizes */
    unsigned count;
    char path[64];
};

/* --- The trace --- */

static void add_chunk(struct trace *trace, struct build_chunk chunk, struct bytes *payload)
{
    trace->payloads[trace->count] = payload->size;
    build_chunk(&trace->bytes, chunk, payload);
    trace->chunks[++trace->count] = trace->bytes.size;
    free(payload->at);
    *payload = (struct bytes){0};
}

static void put_file(struct bytes *out)
{
    struct bytes fields = {0};
    uint8_t digest[SHA256_SIZE];

    sha256(source, sizeof source - 1, digest);
    put_varint(&fields, 1);
    put_string(&fields, "/p/app.py");
    put_string(&fields, "app.py");
    put_varint(&fields, 0);
    put_varint(&fields, sizeof digest);
    put(&fields, digest, sizeof digest);
    put_varint(&fields, sizeof source - 1);
    put_record(out, TRACE_FACT_FILE, &fields);
    free(fields.at);
}

static void put_stats(struct bytes *out, unsigned thread, unsigned events)
{
    struct bytes fields = {0};

    put_varint(&fields, thread);
    put_varint(&fields, events);
    put_varint(&fields, events);
    put_varint(&fields, 1);
    put_varint(&fields, 1);
    put_record(out, TRACE_FACT_STATS, &fields);
    free(fields.at);
}

/* Five turns of a loop that calls a function: 6 events each. */
static void put_turns(struct bytes *events, int first_step)
{
    for (int i = 0; i < 5; i++) {
        ev_line(events, i ? -1 : first_step);
        ev_line(events, 1);
        ev_call(events, 12);
        ev_line(events, 1);
        if (i % 4 == 3) {
            put_byte(events, TRACE_TAG_CPU);
            put_varint(events, 0);
        }
        ev_return(events);
        ev_with(events, TRACE_TAG_MARK, 20);
    }
}

static void put_stack_of_main(struct bytes *out, unsigned next, unsigned kept, int step)
{
    put_varint(out, next);
    put_varint(out, 1);
    put_varint(out, kept);
    if (kept)
        return;
    put_varint(out, 11 << 1);
    put_svarint(out, step);
    put_varint(out, next - 1);
}

/* RUN, FACTS, EVENTS of two threads in three and one chunks, one with its stack record apart, the
 * text. */
static void make(struct trace *trace, bool unsealed)
{
    struct bytes payload = {0};
    struct build_chunk events = {
        .kind = TRACE_EVENTS, .process = 1, .thread = 1, .unsealed = unsealed};

    *trace = (struct trace){0};
    build_header(&trace->bytes, TRACE_CLOCK_MONOTONIC, 0, 1000000000);
    trace->chunks[0] = trace->bytes.size;
    fact_setting(&payload, "mode", "exact");
    fact_setting(&payload, "source", "1");
    add_chunk(trace, (struct build_chunk){.kind = TRACE_RUN, .ticks = BUILDER_START}, &payload);
    fact_process(&payload, 0, TRACE_PROCESS_FIRST, 100, 1);
    put_file(&payload);
    fact_code(&payload, 11, 1, 1, 6, "<module>");
    fact_code(&payload, 12, 1, 1, 2, "f");
    fact_string(&payload, 20, "here");
    put_stats(&payload, 1, 92);
    put_stats(&payload, 2, 13);
    fact_end(&payload, TRACE_END_EXIT, 0, BUILDER_START + END);
    add_chunk(trace,
              (struct build_chunk){
                  .kind = TRACE_FACTS, .process = 1, .ticks = BUILDER_START, .unsealed = unsealed},
              &payload);

    events.ticks = BUILDER_START;
    no_stack(&payload);
    ev_call(&payload, 11);
    put_turns(&payload, 3);
    add_chunk(trace, events, &payload); /* 31 events */
    events = (struct build_chunk){.kind = TRACE_EVENTS,
                                  .process = 1,
                                  .thread = 1,
                                  .sequence = 1,
                                  .ticks = BUILDER_START + 1000,
                                  .events_before = 31,
                                  .unsealed = unsealed};
    put_stack_of_main(&payload, 7, 1, 4);
    put_turns(&payload, -1);
    add_chunk(trace, events, &payload); /* 30 */
    put_stack_of_main(&payload, 12, 0, 4);
    events.sequence = 2;
    events.ticks = BUILDER_START + 2000;
    events.events_before = 61;
    add_chunk(trace,
              (struct build_chunk){.kind = TRACE_STACK,
                                   .process = 1,
                                   .thread = 1,
                                   .sequence = 2,
                                   .ticks = BUILDER_START + 2000},
              &payload);
    put_turns(&payload, -1);
    ev_return(&payload);
    events.apart = true;
    add_chunk(trace, events, &payload); /* 31 */
    no_stack(&payload);
    ev_call(&payload, 12);
    for (int i = 0; i < 11; i++)
        ev_line(&payload, i & 1 ? -1 : 1);
    ev_return(&payload);
    add_chunk(trace,
              (struct build_chunk){.kind = TRACE_EVENTS,
                                   .process = 1,
                                   .thread = 2,
                                   .ticks = BUILDER_START + 100,
                                   .unsealed = unsealed},
              &payload); /* 13 */
    put_varint(&payload, 1);
    put_varint(&payload, 0);
    put_varint(&payload, sizeof source - 1);
    put(&payload, source, sizeof source - 1);
    add_chunk(
        trace,
        (struct build_chunk){.kind = TRACE_SOURCE, .process = 1, .ticks = BUILDER_START + 3000},
        &payload);
    assert_int_equal(trace->count, CHUNKS);
    for (unsigned i = 0; i < 8; i++) /* where the last chunk ended when it was made */
        trace->bytes.at[TRACE_HEADER_END + i] = (uint8_t)(trace->bytes.size >> 8 * i);
    build_file(&trace->bytes, trace->path);
}

static void drop(struct trace *trace)
{
    unlink(trace->path);
    free(trace->bytes.at);
}

static void write_at(const struct trace *trace, const void *bytes, size_t size, size_t offset)
{
    int fd = open(trace->path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), size);
    close(fd);
}

static void write_all(const struct trace *trace, const void *bytes, size_t size)
{
    assert_int_equal(truncate(trace->path, 0), 0);
    write_at(trace, bytes, size, 0);
}

/* --- What comes out --- */

struct result {
    int status;
    struct error err;
    uint32_t sum;   /* of all rows, but for what says that something is wrong */
    int64_t events; /* recovered */
    bool reported;  /* something is said to be wrong */
};

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static uint32_t add_rows(sqlite3 *db, const char *sql, uint32_t sum)
{
    sqlite3_stmt *statement;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const char *text = (const char *)sqlite3_column_text(statement, i);
            sum = crc32c(sum, (const uint8_t *)(text ? text : ""), text ? strlen(text) + 1 : 0);
        }
    sqlite3_finalize(statement);
    return sum;
}

static uint32_t sum_rows(sqlite3 *db)
{
    static const char *const queries[] = {
        ("SELECT trace_id, host, command, python, started_at, duration_ns, clock, mode, events, "
         "resolution_ns, cwd, system, recorder FROM runs"),
        "SELECT * FROM processes",
        "SELECT * FROM threads",
        "SELECT file_id, path, sha256, name, origin, line_count, source FROM files",
        "SELECT * FROM functions",
        "SELECT * FROM lines",
        "SELECT * FROM line_stats",
        "SELECT * FROM edge_stats",
        "SELECT * FROM contexts",
        "SELECT * FROM context_lines",
        "SELECT * FROM context_edges",
        "SELECT * FROM accounts",
        "SELECT * FROM gaps",
        "SELECT * FROM open_frames",
        "SELECT * FROM marks",
    };
    uint32_t sum = 0;

    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        sum = add_rows(db, queries[i], sum);
    return sum;
}

static void check_books(sqlite3 *db)
{
    assert_int_equal(number_of(db, "SELECT count(*) FROM accounts WHERE difference_ns != 0"), 0);
    assert_int_equal(number_of(db, "SELECT (SELECT coalesce(sum(self_ns), 0) FROM functions) - "
                                   "(SELECT coalesce(sum(self_ns), 0) FROM accounts)"),
                     0);
}

static struct result analyze(const struct trace *trace)
{
    struct analyze_options options = {.workers = 1};
    struct result result = {0};
    const char *path = trace->path;
    sqlite3 *db = NULL;

    result.status = analyze_traces(&path, 1, &options, NULL, &db, &result.err);
    if (result.status < 0) {
        assert_non_null(strstr(result.err.text, trace->path));
        assert_null(strchr(result.err.text, '\n'));
        assert_null(strstr(result.err.text, "memory"));
        result.reported = true;
        return result;
    }
    check_books(db);
    result.sum = sum_rows(db);
    result.events = number_of(db, "SELECT events FROM runs");
    result.reported = number_of(db, "SELECT count(*) FROM warnings") > 0 ||
                      number_of(db, "SELECT count(*) FROM runs WHERE NOT complete") > 0;
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return result;
}

/* --- Truncations --- */

/* Events of a trace and whether its books close, without a database. */
static uint64_t count_events(const struct trace *trace)
{
    struct error err = {.usage = 0};
    struct trace_file *file = trace_file_open(trace->path, &err);
    struct facts *facts = file ? facts_read(file, &err) : NULL;
    struct model model;
    uint64_t events = 0;

    if (!facts) {
        assert_string_not_equal(err.text, "");
        trace_file_close(file);
        return 0;
    }
    assert_int_equal(model_build(&model, &facts, 1, NULL, &err), 0);
    for (size_t i = 0; i < file->thread_count; i++) {
        struct replay replay;
        memset(&replay, 0, sizeof replay);
        assert_int_equal(
            replay_thread(&replay, file, &file->threads[i], facts, &model, NULL, NULL, NULL, &err),
            0);
        events += replay.events;
        replay_fini(&replay);
    }
    model_fini(&model);
    facts_free(facts);
    trace_file_close(file);
    return events;
}

static void cut_everywhere(bool unsealed)
{
    struct trace trace;
    uint64_t last = 0;

    make(&trace, unsealed);
    write_all(&trace, trace.bytes.at, 0);
    for (size_t size = 0; size <= trace.bytes.size; size++) {
        if (size)
            write_at(&trace, trace.bytes.at + size - 1, 1, size - 1);
        uint64_t events = count_events(&trace);
        if (events < last)
            fail_msg("%llu events of %zu bytes, %llu of one less", (unsigned long long)events, size,
                     (unsigned long long)last);
        last = events;
    }
    assert_int_equal(last, 105);
    drop(&trace);
}

static void test_cut_everywhere(void **state)
{
    (void)state;
    cut_everywhere(false);
    cut_everywhere(true);
}

/* At the border of a chunk, within its header and its payload the user is told. */
static void test_a_cut_is_reported(void **state)
{
    (void)state;
    struct trace trace;

    make(&trace, false);
    assert_false(analyze(&trace).reported);
    for (unsigned i = 0; i < CHUNKS; i++) {
        const size_t cuts[] = {0, 1, 50, 96, 96 + trace.payloads[i] / 2, 4095};
        for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
            write_all(&trace, trace.bytes.at, trace.chunks[i] + cuts[k]);
            if (!analyze(&trace).reported)
                fail_msg("cut at %zu: nothing is said", trace.chunks[i] + cuts[k]);
        }
    }
    drop(&trace);
}

/* --- Bits --- */

static void check_bit(const struct trace *trace, size_t byte, int bit, const struct result *whole)
{
    uint8_t flipped = trace->bytes.at[byte] ^ (uint8_t)(1 << bit);

    write_at(trace, &flipped, 1, byte);
    struct result result = analyze(trace);
    if (whole && !result.reported && (result.status < 0 || result.sum != whole->sum))
        fail_msg("bit %d of byte %zu makes a difference of which nothing is said", bit, byte);
    write_at(trace, &trace->bytes.at[byte], 1, byte);
}

/* The bits that mean something: the file header, chunk headers, payloads and the byte behind. Of
 * the padding, which nothing reads, one in a hundred. */
static void flip_everything(const struct trace *trace, const struct result *whole)
{
    for (size_t byte = 0; byte < TRACE_HEADER_EVENTS + 8; byte++)
        for (int bit = 0; bit < 8; bit++)
            check_bit(trace, byte, bit, whole);
    for (unsigned i = 0; i < CHUNKS; i++) {
        size_t start = trace->chunks[i];
        size_t end = start + TRACE_CHUNK_PAYLOAD + trace->payloads[i] + 1;
        for (size_t byte = start; byte < end; byte++)
            for (int bit = 0; bit < 8; bit++)
                check_bit(trace, byte, bit, whole);
        for (size_t byte = end; byte < trace->chunks[i + 1]; byte += 100)
            check_bit(trace, byte, (int)(byte / 100 % 8), whole);
    }
}

static void test_every_bit_sealed(void **state)
{
    (void)state;
    struct trace trace;

    make(&trace, false);
    struct result whole = analyze(&trace);
    assert_int_equal(whole.status, 0);
    assert_int_equal(whole.events, 105);
    assert_false(whole.reported);
    flip_everything(&trace, &whole);
    assert_int_equal(analyze(&trace).sum, whole.sum);
    drop(&trace);
}

/* What no checksum guards may change unseen; but the books close, and nothing breaks. */
static void test_every_bit_unsealed(void **state)
{
    (void)state;
    struct trace trace;

    make(&trace, true);
    assert_int_equal(analyze(&trace).events, 105);
    flip_everything(&trace, NULL);
    drop(&trace);
}

/* --- Chunks --- */

/* The trace with its chunks in another order; ends with -1. */
static void write_chunks(const struct trace *trace, const int *order)
{
    struct bytes bytes = {0};

    put(&bytes, trace->bytes.at, TRACE_PAGE);
    for (; *order >= 0; order++)
        put(&bytes, trace->bytes.at + trace->chunks[*order],
            trace->chunks[*order + 1] - trace->chunks[*order]);
    for (unsigned i = 0; i < 8; i++)
        bytes.at[TRACE_HEADER_END + i] = (uint8_t)(bytes.size >> 8 * i);
    write_all(trace, bytes.at, bytes.size);
    free(bytes.at);
}

static void test_chunks_dropped(void **state)
{
    (void)state;
    struct trace trace;

    make(&trace, false);
    uint32_t whole = analyze(&trace).sum;
    for (unsigned mask = 0; mask < (1u << CHUNKS) - 1; mask++) {
        int order[CHUNKS + 1], count = 0;
        for (int i = 0; i < CHUNKS; i++)
            if (mask >> i & 1)
                order[count++] = i;
        order[count] = -1;
        write_chunks(&trace, order);
        struct result result = analyze(&trace);
        /* A stack record that the chunk before makes plain can be done without. */
        if (!result.reported && result.sum != whole)
            fail_msg("chunks %#x: nothing is said about the others", mask);
    }
    drop(&trace);
}

static void test_chunks_doubled(void **state)
{
    (void)state;
    struct trace trace;

    make(&trace, false);
    uint32_t sum = analyze(&trace).sum;
    for (int twice = 0; twice < CHUNKS; twice++)
        for (int place = 0; place <= CHUNKS; place++) {
            int order[CHUNKS + 2], count = 0;
            for (int i = 0; i < CHUNKS; i++) {
                if (i == place)
                    order[count++] = twice;
                order[count++] = i;
            }
            if (place == CHUNKS)
                order[count++] = twice;
            order[count] = -1;
            write_chunks(&trace, order);
            struct result result = analyze(&trace);
            assert_int_equal(result.status, 0);
            assert_int_equal(result.sum, sum);
        }
    drop(&trace);
}

/* All pairs exchanged, and all moved round: places mean nothing. */
static void test_chunks_moved(void **state)
{
    (void)state;
    struct trace trace;
    int order[CHUNKS + 1];

    make(&trace, false);
    uint32_t sum = analyze(&trace).sum;
    for (int a = 0; a < CHUNKS; a++)
        for (int b = 0; b < CHUNKS; b++) {
            for (int i = 0; i < CHUNKS; i++)
                order[i] = i == a ? b : i == b ? a : i;
            if (a == b) /* moved round by so many */
                for (int i = 0; i < CHUNKS; i++)
                    order[i] = (i + a) % CHUNKS;
            order[CHUNKS] = -1;
            write_chunks(&trace, order);
            struct result result = analyze(&trace);
            assert_int_equal(result.sum, sum);
            assert_false(result.reported);
        }
    drop(&trace);
}

/* --- Hostile numbers --- */

static void begin_one(struct bytes *trace, struct bytes *facts)
{
    build_header(trace, TRACE_CLOCK_MONOTONIC, 0, 1000000000);
    fact_process(facts, 0, TRACE_PROCESS_FIRST, 100, 1);
    fact_file(facts, 1, "/p/a.py");
    fact_code(facts, 11, 1, 1, 9, "main");
}

static void finish_one(struct bytes *trace, struct trace *made)
{
    *made = (struct trace){.bytes = *trace};
    build_file(trace, made->path);
}

static void add_facts(struct bytes *trace, struct bytes *facts)
{
    build_chunk(trace, (struct build_chunk){.kind = TRACE_FACTS, .process = 1}, facts);
    free(facts->at);
}

/* Records that claim any number of frames; then frames come and go. */
static void test_claimed_depths(void **state)
{
    (void)state;
    static const uint64_t depths[] = {1, 1000, 1ull << 20, 1ull << 32, 1ull << 63, UINT64_MAX};
    struct bytes bytes = {0}, facts = {0}, events = {0};
    struct trace trace;

    begin_one(&bytes, &facts);
    add_facts(&bytes, &facts);
    no_stack(&events);
    for (int round = 0; round < 200; round++)
        for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
            put_byte(&events, TRACE_TAG_SWITCH);
            put_varint(&events, 1);
            put_varint(&events, 5);
            put_varint(&events, depths[i]);
            put_varint(&events, depths[i]);
            for (int k = 0; k < 3; k++)
                ev_call(&events, 11);
            for (int k = 0; k < 5; k++)
                ev_return(&events);
            put_byte(&events, TRACE_TAG_SWITCH);
            put_varint(&events, 1);
            put(&events, "\5\0\0", 3);
        }
    build_chunk(&bytes, (struct build_chunk){.kind = TRACE_EVENTS, .process = 1, .thread = 1},
                &events);
    finish_one(&bytes, &trace);
    assert_int_equal(analyze(&trace).status, 0);
    free(events.at);
    drop(&trace);
}

/* Threads that each last 36 years: their sum is more than a number holds. */
static void test_times_that_add_up(void **state)
{
    (void)state;
    struct bytes bytes = {0}, facts = {0}, events = {0};
    struct trace trace;

    begin_one(&bytes, &facts);
    add_facts(&bytes, &facts);
    for (unsigned thread = 1; thread <= 20; thread++) {
        no_stack(&events);
        ev_call(&events, 11);
        put_byte(&events, TRACE_TAG_LINE);
        put_varint(&events, 1ull << 60);
        put_svarint(&events, 1);
        build_chunk(
            &bytes,
            (struct build_chunk){
                .kind = TRACE_EVENTS, .process = 1, .thread = thread, .ticks = BUILDER_START},
            &events);
    }
    finish_one(&bytes, &trace);
    struct result result = analyze(&trace);
    assert_int_equal(result.status, -1);
    assert_non_null(strstr(result.err.text, "292 years"));
    free(events.at);
    drop(&trace);
}

/* A path of a megabyte in a hundred thousand rows would be a hundred gigabytes. */
static void test_long_names_repeated(void **state)
{
    (void)state;
    struct bytes bytes = {0}, facts = {0};
    size_t size = 1 << 20;
    char *path = malloc(size);
    struct trace trace;

    assert_non_null(path);
    memset(path, 'x', size);
    path[0] = '/';
    path[size - 1] = 0;
    build_header(&bytes, TRACE_CLOCK_MONOTONIC, 0, 1000000000);
    fact_process(&facts, 0, TRACE_PROCESS_FIRST, 100, 1);
    fact_file(&facts, 1, path);
    fact_code(&facts, 11, 1, 1, 10, "main");
    add_facts(&bytes, &facts);
    finish_one(&bytes, &trace);
    assert_int_equal(analyze(&trace).status, 0); /* ten rows of it are fine */

    struct bytes more = {0};
    fact_file(&more, 1, path);
    fact_code(&more, 12, 1, 11, 100000, "long");
    build_chunk(&trace.bytes,
                (struct build_chunk){.kind = TRACE_FACTS, .process = 1, .sequence = 1}, &more);
    write_all(&trace, trace.bytes.at, trace.bytes.size);
    struct analyze_options options = {.workers = 1};
    struct error err = {.usage = 0};
    const char *name = trace.path;
    assert_int_equal(analyze_traces(&name, 1, &options, NULL, NULL, &err), -1);
    assert_non_null(strstr(err.text, "repeated"));
    free(more.at);
    free(path);
    drop(&trace);
}

/* All of this in little memory: what a file says is not believed. */
static int limit_memory(void **state)
{
    (void)state;
#if !defined __SANITIZE_ADDRESS__
    struct rlimit limit = {512u << 20, 512u << 20};

    return setrlimit(RLIMIT_AS, &limit);
#else
    return 0;
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_everywhere),    cmocka_unit_test(test_a_cut_is_reported),
        cmocka_unit_test(test_every_bit_sealed),  cmocka_unit_test(test_every_bit_unsealed),
        cmocka_unit_test(test_chunks_dropped),    cmocka_unit_test(test_chunks_doubled),
        cmocka_unit_test(test_chunks_moved),      cmocka_unit_test(test_claimed_depths),
        cmocka_unit_test(test_times_that_add_up), cmocka_unit_test(test_long_names_repeated),
    };
    return cmocka_run_group_tests(tests, limit_memory, NULL);
}
