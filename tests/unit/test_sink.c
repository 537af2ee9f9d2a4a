/* The trace file as the recorder makes it: by the decoder's eyes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "formats/trace/crc32c.h"
#include "formats/trace/decode.h"
#include "recorder/sink.h"

struct fixture {
    char directory[64], path[128], mark[33];
    struct sink sink;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char why[256];

    strcpy(f->directory, "/tmp/test_sink.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof f->path, "%s/trace.bin", f->directory);
    assert_int_equal(sink_create(f->path, &(struct sink_setting){"mode", "exact", 5}, 1, f->mark,
                                 why, sizeof why),
                     0);
    assert_int_equal(sink_open(&f->sink, f->path, f->mark, why, sizeof why), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    sink_close(&f->sink);
    unlink(f->path);
    rmdir(f->directory);
    free(f);
    return 0;
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    uint8_t *bytes;

    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    *size = (size_t)st.st_size;
    bytes = malloc(*size);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

/* The chunk at `offset`; sealed ones must have a right checksum. */
static struct trace_chunk_header chunk_at(const struct fixture *f, size_t offset)
{
    struct trace_chunk_header header;
    size_t size;
    uint8_t *bytes = read_file(f->path, &size);

    assert_true(offset + TRACE_CHUNK_PAYLOAD <= size);
    assert_true(trace_read_chunk_header(bytes + offset, f->sink.mark, &header));
    assert_true(offset + header.capacity <= size);
    if (header.flags & TRACE_FLAG_SEALED)
        assert_int_equal(crc32c(0, bytes + offset + TRACE_CHUNK_KIND,
                                TRACE_CHUNK_PAYLOAD - TRACE_CHUNK_KIND + header.length),
                         header.crc);
    free(bytes);
    return header;
}

static const struct sink_chunk events_chunk = {
    .kind = TRACE_EVENTS, .process = 1, .thread = 2, .sequence = 3, .ticks = 4, .monotonic_ns = 5};

static void a_new_trace_has_a_header_and_its_settings(void **state)
{
    struct fixture *f = *state;
    size_t size;
    uint8_t *bytes = read_file(f->path, &size);
    struct trace_header header;
    struct trace_cursor cursor;
    struct trace_record record;
    struct trace_bytes key, value;

    assert_true(trace_read_header(bytes, &header));
    assert_int_equal(header.crc, crc32c(0, bytes + 16, 64));
    assert_int_equal(chunk_at(f, TRACE_PAGE).kind, TRACE_RUN);
    free(bytes);
    bytes = sink_read_settings(&f->sink, &size);
    cursor = trace_cursor_over(bytes, size);
    assert_true(trace_next_record(&cursor, &record));
    key = trace_read_string(&record.fields);
    value = trace_read_string(&record.fields);
    assert_memory_equal(key.at, "mode", 4);
    assert_memory_equal(value.at, "exact", 5);
    assert_false(trace_next_record(&cursor, &record));
    free(bytes);
}

static void an_existing_file_is_never_taken(void **state)
{
    struct fixture *f = *state;
    char mark[33], why[256];

    assert_int_not_equal(sink_create(f->path, NULL, 0, mark, why, sizeof why), 0);
    assert_non_null(strstr(why, f->path));
}

static void the_trace_of_another_run_is_refused(void **state)
{
    struct fixture *f = *state;
    struct sink other;
    char why[256];

    assert_int_equal(
        sink_open(&other, f->path, "00000000000000000000000000000000", why, sizeof why), -1);
    assert_non_null(strstr(why, "another run"));
}

static void a_slot_is_in_the_file_at_once(void **state)
{
    struct fixture *f = *state;
    struct sink_slot slot;
    size_t offset = (size_t)sink_size(&f->sink);

    assert_true(sink_slot_open(&f->sink, &slot, 2 * TRACE_PAGE, &events_chunk));
    assert_int_equal(chunk_at(f, offset).sequence, 3);
    assert_int_equal(chunk_at(f, offset).flags, 0);
    memcpy(slot.bytes + TRACE_CHUNK_PAYLOAD, "abc", 3);
    sink_slot_seal(&slot, 3);
    sink_slot_unmap(&slot);
    assert_int_equal(chunk_at(f, offset).flags, TRACE_FLAG_SEALED);
    assert_int_equal(chunk_at(f, offset).length, 3);
}

static void a_full_slot_is_copied_and_used_again(void **state)
{
    struct fixture *f = *state;
    struct sink_slot slot;
    struct sink_chunk next = events_chunk;
    size_t place = (size_t)sink_size(&f->sink), copy = place + 4 * TRACE_PAGE;

    assert_true(sink_slot_open(&f->sink, &slot, 4 * TRACE_PAGE, &events_chunk));
    memset(slot.bytes + TRACE_CHUNK_PAYLOAD, 0x81, 5000);
    assert_true(sink_slot_copy(&f->sink, &slot, 5000));
    next.sequence = 4;
    sink_slot_reuse(&slot, &next, (const uint8_t *)"\1\0\0", 3);
    assert_int_equal(chunk_at(f, copy).sequence, 3);
    assert_int_equal(chunk_at(f, copy).length, 5000);
    assert_int_equal(chunk_at(f, copy).capacity, 2 * TRACE_PAGE);
    assert_int_equal(chunk_at(f, place).sequence, 4);
    assert_int_equal(chunk_at(f, place).flags, 0);
    for (size_t i = 3; i < 4 * TRACE_PAGE - TRACE_CHUNK_PAYLOAD; i++)
        assert_int_equal(slot.bytes[TRACE_CHUNK_PAYLOAD + i], 0);
    sink_slot_unmap(&slot);
}

/* What a chunk that is packed says, as bytes; ticks before those of the PACK chunk, and behind. */
static void a_chunk_is_packed(void **state)
{
    static const uint8_t expected[] = {9, 2, 3, 0, 0xc8, 1, 0xac, 2, 'a', 'b',
                                       8, 2, 3, 0, 0xc7, 1, 0xac, 2, 'a', 0};
    struct sink_chunk chunk = {
        .kind = TRACE_SAMPLES, .thread = 2, .sequence = 3, .ticks = 1100, .cpu_ns = 300};
    struct fixture *f = *state;
    struct sink_slot slot, pack;
    uint8_t *at;

    assert_true(sink_slot_open(&f->sink, &pack, TRACE_PAGE,
                               &(struct sink_chunk){.kind = TRACE_PACK, .ticks = 1000}));
    assert_true(sink_slot_open(&f->sink, &slot, TRACE_PAGE, &chunk));
    memcpy(slot.bytes + TRACE_CHUNK_PAYLOAD, "ab", 2);
    at = sink_slot_pack(&slot, 2, &pack, pack.bytes + TRACE_CHUNK_PAYLOAD);
    chunk.ticks = 900;
    sink_slot_reuse(&slot, &chunk, (const uint8_t *)"a", 1);
    at = sink_slot_pack(&slot, 1, &pack, at);
    assert_ptr_equal(at, pack.bytes + TRACE_CHUNK_PAYLOAD + sizeof expected - 1);
    assert_memory_equal(pack.bytes + TRACE_CHUNK_PAYLOAD, expected, sizeof expected);
    sink_slot_unmap(&slot);
    sink_slot_unmap(&pack);
}

static void a_descriptor_the_program_took_is_left_alone(void **state)
{
    struct fixture *f = *state;
    size_t offset = (size_t)sink_size(&f->sink);
    char theirs[160];
    struct stat st;
    FILE *file;

    snprintf(theirs, sizeof theirs, "%s/theirs", f->directory);
    file = fopen(theirs, "w");
    assert_int_equal(dup2(fileno(file), f->sink.fd), f->sink.fd);
    assert_true(sink_append(&f->sink, &events_chunk, "abc", 3));
    assert_int_equal(chunk_at(f, offset).length, 3);
    assert_int_equal(stat(theirs, &st), 0);
    assert_int_equal(st.st_size, 0);
    fclose(file);
    unlink(theirs);
}

static void at_the_limit_the_run_stops(void **state)
{
    struct fixture *f = *state;
    struct sink_slot slot;

    f->sink.max_size = sink_size(&f->sink) + TRACE_PAGE;
    assert_true(sink_slot_open(&f->sink, &slot, TRACE_PAGE, &events_chunk));
    sink_slot_unmap(&slot);
    assert_false(sink_append(&f->sink, &events_chunk, "abc", 3));
    assert_true(sink_is_stopped(&f->sink));
    assert_false(sink_slot_open(&f->sink, &slot, TRACE_PAGE, &events_chunk));
}

/* In a child, because the limit cannot be lifted again. */
static void a_file_size_limit_stops_the_run_and_kills_nobody(void **state)
{
    struct fixture *f = *state;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct rlimit limit = {3 * TRACE_PAGE, 3 * TRACE_PAGE};
        struct sink_slot slot;

        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(sink_slot_open(&f->sink, &slot, 4 * TRACE_PAGE, &events_chunk) ||
              !sink_is_stopped(&f->sink));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_source_is_known_once_it_was_asked_for(void **state)
{
    struct fixture *f = *state;
    uint8_t one[32] = {1}, two[32] = {2};

    assert_false(sink_knows_source(&f->sink, one));
    assert_true(sink_knows_source(&f->sink, one));
    assert_false(sink_knows_source(&f->sink, two));
}

static void a_trace_in_memory_outlives_its_sink(void **state)
{
    const struct sink_chunk chunk = {.kind = TRACE_FACTS, .process = 1};
    struct trace_header header;
    struct sink sink;
    char path[64], why[256];
    uint8_t *bytes;
    size_t size;
    int memory;

    (void)state;
    assert_int_equal(sink_open_memory(&sink, &(struct sink_setting){"mode", "exact", 5}, 1, &memory,
                                      why, sizeof why),
                     0);
    assert_true(memory >= 100);
    assert_true(sink_append(&sink, &chunk, "text", 4));
    snprintf(path, sizeof path, "%s", sink.path);
    sink_close(&sink);
    bytes = read_file(path, &size);
    assert_true(trace_read_header(bytes, &header));
    assert_memory_equal(bytes + 2 * TRACE_PAGE + TRACE_CHUNK_PAYLOAD, "text", 4);
    free(bytes);
    close(memory);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_trace_has_a_header_and_its_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(an_existing_file_is_never_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(the_trace_of_another_run_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slot_is_in_the_file_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_slot_is_copied_and_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chunk_is_packed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_descriptor_the_program_took_is_left_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(at_the_limit_the_run_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_size_limit_stops_the_run_and_kills_nobody, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_source_is_known_once_it_was_asked_for, setup, teardown),
        cmocka_unit_test(a_trace_in_memory_outlives_its_sink),
    };

    return cmocka_run_group_tests_name("sink", tests, NULL, NULL);
}
