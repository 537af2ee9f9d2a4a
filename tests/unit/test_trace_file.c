/* Finding chunks in whatever a file holds. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyzer/arena.h"
#include "analyzer/map.h"
#include "analyzer/trace_file.h"
#include "formats/error.h"
#include "tests/unit/trace_builder.h"

static struct trace_file *open_bytes(struct bytes *trace)
{
    struct error err = {.text = ""};
    char path[64];

    build_file(trace, path);
    struct trace_file *file = trace_file_open(path, &err);
    unlink(path);
    assert_string_equal(err.text, "");
    assert_non_null(file);
    return file;
}

/* A chunk of `size` times a RETURN. */
static void add(struct bytes *trace, unsigned thread, uint64_t sequence, size_t size, bool unsealed)
{
    struct bytes events = {0};

    no_stack(&events);
    for (size_t i = 0; i < size; i++)
        ev_return(&events);
    build_chunk(trace,
                (struct build_chunk){.kind = TRACE_EVENTS,
                                     .process = 1,
                                     .thread = thread,
                                     .sequence = sequence,
                                     .unsealed = unsealed},
                &events);
    free(events.at);
}

static void test_order_and_copies(void **state)
{
    (void)state;
    struct bytes trace = {0};

    build_header(&trace, TRACE_CLOCK_MONOTONIC, 0, 1);
    add(&trace, 2, 1, 5, false);
    add(&trace, 1, 2, 6, true); /* the slot ... */
    add(&trace, 2, 0, 7, false);
    add(&trace, 1, 1, 9000, false);
    add(&trace, 1, 2, 8, false); /* ... and what it was copied to */
    struct trace_file *file = open_bytes(&trace);
    assert_int_equal(file->thread_count, 2);
    assert_int_equal(file->threads[0].thread, 1);
    assert_int_equal(file->threads[0].count, 2);
    assert_int_equal(file->chunks[file->threads[0].first].size, 9003);
    assert_int_equal(file->chunks[file->threads[0].first + 1].size, 11);
    assert_int_equal(file->chunks[file->threads[1].first].size, 10);
    assert_int_equal(file->damage.duplicates, 1);
    assert_int_equal(file->damage.places, 0);
    struct trace_buffer buffer = {0};
    assert_int_equal(trace_file_read(file, &file->chunks[file->threads[0].first], &buffer, NULL),
                     0);
    assert_int_equal(buffer.size, 9003);
    assert_int_equal(buffer.bytes[9002], 0x21);
    trace_buffer_free(&buffer);
    trace_file_close(file);
    free(trace.at);
}

static void test_damage_is_stepped_over(void **state)
{
    (void)state;
    struct bytes trace = {0};

    build_header(&trace, TRACE_CLOCK_MONOTONIC, 0, 1);
    add(&trace, 1, 0, 9000, false); /* 3 pages */
    add(&trace, 1, 1, 1, false);
    for (int i = 0; i < 2 * (int)TRACE_PAGE; i++)
        put_byte(&trace, 0);
    add(&trace, 1, 2, 1, false);
    trace.at[2 * TRACE_PAGE] ^= 1;
    struct trace_file *file = open_bytes(&trace);
    assert_int_equal(file->threads[0].count, 2);
    assert_int_equal(file->damage.places, 1);
    assert_int_equal(file->damage.bytes, 3 * TRACE_PAGE);
    assert_int_equal(file->damage.first_offset, TRACE_PAGE);
    trace_file_close(file);
    free(trace.at);
}

/* A sealed chunk in which any one bit is wrong is not taken. */
static void test_every_bit_counts(void **state)
{
    (void)state;
    struct bytes trace = {0};

    build_header(&trace, TRACE_CLOCK_MONOTONIC, 0, 1);
    add(&trace, 1, 0, 20, false);
    for (size_t bit = 0; bit < 8 * (TRACE_CHUNK_PAYLOAD + 23); bit++) {
        if (bit / 8 == TRACE_CHUNK_FLAGS && bit % 8 == 0)
            continue; /* without its seal it is an unsealed chunk, read to its end */
        trace.at[TRACE_PAGE + bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct trace_file *file = open_bytes(&trace);
        for (size_t i = 0; i < file->thread_count; i++)
            assert_false(file->chunks[file->threads[i].first].sealed);
        assert_true(file->damage.places == 1 || file->damage.cut);
        trace_file_close(file);
        trace.at[TRACE_PAGE + bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(trace.at);
}

static void test_unsealed_is_kept_as_it_was(void **state)
{
    (void)state;
    struct bytes trace = {0};
    struct trace_buffer buffer = {0};

    build_header(&trace, TRACE_CLOCK_MONOTONIC, 0, 1);
    add(&trace, 1, 0, 20, true);
    struct trace_file *file = open_bytes(&trace);
    const struct trace_chunk *chunk = &file->chunks[file->threads[0].first];
    assert_false(chunk->sealed);
    assert_int_equal(chunk->size, TRACE_PAGE - TRACE_CHUNK_PAYLOAD);
    assert_int_equal(trace_file_read(file, chunk, &buffer, NULL), 0);
    assert_int_equal(buffer.bytes[22], 0x21);
    assert_int_equal(buffer.bytes[23], 0);
    trace_buffer_free(&buffer);
    trace_file_close(file);
    free(trace.at);
}

/* What was being written when it was read may be finished since. */
static void test_unsealed_is_sealed(void **state)
{
    (void)state;
    struct bytes trace = {0};
    struct error err = {.text = ""};
    char path[64];
    static const struct {
        int offset;
        uint8_t value;
    } changes[] = {{TRACE_CHUNK_FLAGS, 1}, {TRACE_CHUNK_SEQUENCE, 1}, {TRACE_CHUNK_MARK, 0}};

    build_header(&trace, TRACE_CLOCK_MONOTONIC, 0, 1);
    add(&trace, 1, 0, 20, true);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        build_file(&trace, path);
        struct trace_file *file = trace_file_open(path, &err);
        assert_non_null(file);
        const struct trace_chunk *chunk = &file->chunks[file->threads[0].first];
        assert_true(trace_file_is_unsealed(file, chunk));
        int fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, &changes[i].value, 1, TRACE_PAGE + changes[i].offset), 1);
        assert_false(trace_file_is_unsealed(file, chunk));
        assert_int_equal(ftruncate(fd, TRACE_PAGE), 0);
        assert_false(trace_file_is_unsealed(file, chunk));
        close(fd);
        unlink(path);
        trace_file_close(file);
    }
    free(trace.at);
}

/* Headers that each claim all the rest must not each be checked over all of it. */
static void test_nested_claims_end(void **state)
{
    (void)state;
    struct bytes trace = {0};
    struct error err = {.text = ""};
    char path[64];
    const size_t pages = 4096;

    build_header(&trace, TRACE_CLOCK_MONOTONIC, 0, 1);
    for (size_t i = 0; i < pages; i++)
        add(&trace, 1, i, 1, false);
    for (size_t i = 1; i <= pages; i++) {
        uint64_t capacity = (pages + 1 - i) * TRACE_PAGE, length = capacity - TRACE_CHUNK_PAYLOAD;
        memcpy(trace.at + i * TRACE_PAGE + TRACE_CHUNK_CAPACITY, &capacity, 8);
        memcpy(trace.at + i * TRACE_PAGE + TRACE_CHUNK_LENGTH, &length, 8);
    }
    build_file(&trace, path);
    assert_null(trace_file_open(path, &err));
    assert_non_null(strstr(err.text, "damaged"));
    unlink(path);
    free(trace.at);
}

static void test_arena(void **state)
{
    (void)state;
    struct arena arena = {0};

    for (size_t size = 1; size < 100000; size = size * 3 / 2 + 1) {
        unsigned char *piece = arena_take(&arena, size);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % 8, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(piece[i], 0);
        memset(piece, 255, size);
    }
    assert_null(arena_take(&arena, SIZE_MAX));
    assert_null(arena_take(&arena, SIZE_MAX - 20));
    arena_fini(&arena);
}

static void test_map(void **state)
{
    (void)state;
    struct map map = {0};
    static int values[10000];

    assert_null(map_get(&map, 1, 2));
    for (uint64_t i = 0; i < 10000; i++) {
        void **slot = map_put(&map, i, ~i);
        assert_non_null(slot);
        assert_null(*slot);
        *slot = &values[i];
    }
    for (uint64_t i = 0; i < 10000; i++) {
        assert_ptr_equal(map_get(&map, i, ~i), &values[i]);
        assert_ptr_equal(*map_put(&map, i, ~i), &values[i]);
        assert_null(map_get(&map, i, i));
    }
    assert_int_equal(map.count, 10000);
    map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_copies),
        cmocka_unit_test(test_damage_is_stepped_over),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_unsealed_is_kept_as_it_was),
        cmocka_unit_test(test_unsealed_is_sealed),
        cmocka_unit_test(test_nested_claims_end),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_map),
    };
    return cmocka_run_group_tests_name("trace_file", tests, NULL, NULL);
}
