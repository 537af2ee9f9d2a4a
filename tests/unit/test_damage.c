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
#include "tests/unit/small_trace.h"

static void write_at(const struct small_trace *trace, const void *bytes, size_t size, size_t offset)
{
    int fd = open(trace->path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), size);
    close(fd);
}

static void write_all(const struct small_trace *trace, const void *bytes, size_t size)
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

static struct result analyze(const struct small_trace *trace)
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
static uint64_t count_events(const struct small_trace *trace)
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
    struct small_trace trace;
    uint64_t last = 0;

    small_trace_make(&trace, unsealed);
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
    assert_int_equal(last, SMALL_TRACE_EVENTS);
    small_trace_drop(&trace);
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
    struct small_trace trace;

    small_trace_make(&trace, false);
    assert_false(analyze(&trace).reported);
    for (unsigned i = 0; i < SMALL_TRACE_CHUNKS; i++) {
        const size_t cuts[] = {0, 1, 50, 96, 96 + trace.payloads[i] / 2, 4095};
        for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
            write_all(&trace, trace.bytes.at, trace.chunks[i] + cuts[k]);
            if (!analyze(&trace).reported)
                fail_msg("cut at %zu: nothing is said", trace.chunks[i] + cuts[k]);
        }
    }
    small_trace_drop(&trace);
}

/* --- Bits --- */

static void check_bit(const struct small_trace *trace, size_t byte, int bit,
                      const struct result *whole)
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
static void flip_everything(const struct small_trace *trace, const struct result *whole)
{
    for (size_t byte = 0; byte < TRACE_HEADER_EVENTS + 8; byte++)
        for (int bit = 0; bit < 8; bit++)
            check_bit(trace, byte, bit, whole);
    for (unsigned i = 0; i < SMALL_TRACE_CHUNKS; i++) {
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
    struct small_trace trace;

    small_trace_make(&trace, false);
    struct result whole = analyze(&trace);
    assert_int_equal(whole.status, 0);
    assert_int_equal(whole.events, SMALL_TRACE_EVENTS);
    assert_false(whole.reported);
    flip_everything(&trace, &whole);
    assert_int_equal(analyze(&trace).sum, whole.sum);
    small_trace_drop(&trace);
}

/* What no checksum guards may change unseen; but the books close, and nothing breaks. */
static void test_every_bit_unsealed(void **state)
{
    (void)state;
    struct small_trace trace;

    small_trace_make(&trace, true);
    assert_int_equal(analyze(&trace).events, SMALL_TRACE_EVENTS);
    flip_everything(&trace, NULL);
    small_trace_drop(&trace);
}

/* --- Chunks --- */

/* The trace with its chunks in another order; ends with -1. */
static void write_chunks(const struct small_trace *trace, const int *order)
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
    struct small_trace trace;

    small_trace_make(&trace, false);
    uint32_t whole = analyze(&trace).sum;
    for (unsigned mask = 0; mask < (1u << SMALL_TRACE_CHUNKS) - 1; mask++) {
        int order[SMALL_TRACE_CHUNKS + 1], count = 0;
        for (int i = 0; i < SMALL_TRACE_CHUNKS; i++)
            if (mask >> i & 1)
                order[count++] = i;
        order[count] = -1;
        write_chunks(&trace, order);
        struct result result = analyze(&trace);
        /* A stack record that the chunk before makes plain can be done without. */
        if (!result.reported && result.sum != whole)
            fail_msg("chunks %#x: nothing is said about the others", mask);
    }
    small_trace_drop(&trace);
}

static void test_chunks_doubled(void **state)
{
    (void)state;
    struct small_trace trace;

    small_trace_make(&trace, false);
    uint32_t sum = analyze(&trace).sum;
    for (int twice = 0; twice < SMALL_TRACE_CHUNKS; twice++)
        for (int place = 0; place <= SMALL_TRACE_CHUNKS; place++) {
            int order[SMALL_TRACE_CHUNKS + 2], count = 0;
            for (int i = 0; i < SMALL_TRACE_CHUNKS; i++) {
                if (i == place)
                    order[count++] = twice;
                order[count++] = i;
            }
            if (place == SMALL_TRACE_CHUNKS)
                order[count++] = twice;
            order[count] = -1;
            write_chunks(&trace, order);
            struct result result = analyze(&trace);
            assert_int_equal(result.status, 0);
            assert_int_equal(result.sum, sum);
        }
    small_trace_drop(&trace);
}

/* All pairs exchanged, and all moved round: places mean nothing. */
static void test_chunks_moved(void **state)
{
    (void)state;
    struct small_trace trace;
    int order[SMALL_TRACE_CHUNKS + 1];

    small_trace_make(&trace, false);
    uint32_t sum = analyze(&trace).sum;
    for (int a = 0; a < SMALL_TRACE_CHUNKS; a++)
        for (int b = 0; b < SMALL_TRACE_CHUNKS; b++) {
            for (int i = 0; i < SMALL_TRACE_CHUNKS; i++)
                order[i] = i == a ? b : i == b ? a : i;
            if (a == b) /* moved round by so many */
                for (int i = 0; i < SMALL_TRACE_CHUNKS; i++)
                    order[i] = (i + a) % SMALL_TRACE_CHUNKS;
            order[SMALL_TRACE_CHUNKS] = -1;
            write_chunks(&trace, order);
            struct result result = analyze(&trace);
            assert_int_equal(result.sum, sum);
            assert_false(result.reported);
        }
    small_trace_drop(&trace);
}

/* --- Hostile numbers --- */

static void begin_one(struct bytes *trace, struct bytes *facts)
{
    build_header(trace, TRACE_CLOCK_MONOTONIC, 0, 1000000000);
    fact_process(facts, 0, TRACE_PROCESS_FIRST, 100, 1);
    fact_file(facts, 1, "/p/a.py");
    fact_code(facts, 11, 1, 1, 9, "main");
}

static void finish_one(struct bytes *trace, struct small_trace *made)
{
    *made = (struct small_trace){.bytes = *trace};
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
    struct small_trace trace;

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
    small_trace_drop(&trace);
}

/* Threads that each last 36 years: their sum is more than a number holds. */
static void test_times_that_add_up(void **state)
{
    (void)state;
    struct bytes bytes = {0}, facts = {0}, events = {0};
    struct small_trace trace;

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
    small_trace_drop(&trace);
}

/* A path of a megabyte in a hundred thousand rows would be a hundred gigabytes. */
static void test_long_names_repeated(void **state)
{
    (void)state;
    struct bytes bytes = {0}, facts = {0};
    size_t size = 1 << 20;
    char *path = malloc(size);
    struct small_trace trace;

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
    small_trace_drop(&trace);
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
