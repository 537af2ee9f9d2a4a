#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/trace/decode.h"

static struct trace_event next(const char *bytes, size_t size, enum trace_status status)
{
    struct trace_cursor cur = trace_cursor_over(bytes, size);
    struct trace_event ev;

    assert_int_equal(trace_next_event(&cur, &ev), status == TRACE_OK);
    assert_int_equal(cur.status, status);
    assert_ptr_equal(cur.at, (const uint8_t *)bytes + (status == TRACE_OK ? size : 0));
    return ev;
}

#define EVENT(bytes) next(bytes, sizeof bytes - 1, TRACE_OK)
#define FAILS(bytes, status) next(bytes, sizeof bytes - 1, status)

static void test_varints(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        uint64_t value;
        enum trace_status status;
    } cases[] = {
        {"\0", 1, 0, TRACE_OK},
        {"\x7f", 1, 127, TRACE_OK},
        {"\x80\x01", 2, 128, TRACE_OK},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, UINT64_MAX, TRACE_OK},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, 0, TRACE_BAD_VARINT},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, 0, TRACE_BAD_VARINT},
        {"\x80", 1, 0, TRACE_CUT},
        {"", 0, 0, TRACE_CUT},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trace_cursor cur = trace_cursor_over(cases[i].bytes, cases[i].size);
        assert_int_equal(trace_read_varint(&cur), cases[i].value);
        assert_int_equal(cur.status, cases[i].status);
    }
    assert_int_equal(trace_unzigzag(0), 0);
    assert_int_equal(trace_unzigzag(1), -1);
    assert_int_equal(trace_unzigzag(2), 1);
    assert_true(trace_unzigzag(UINT64_MAX) == INT64_MIN);
}

static void test_failure_sticks(void **state)
{
    (void)state;
    struct trace_cursor cur = trace_cursor_over("\x80\1\2", 1);

    trace_read_varint(&cur);
    cur.end += 2;
    assert_int_equal(trace_read_varint(&cur), 0);
    assert_int_equal(cur.status, TRACE_CUT);
    assert_int_equal(trace_read_string(&cur).size, 0);
}

static void test_short_forms(void **state)
{
    (void)state;
    struct trace_event ev = EVENT("\xf5"); /* 1 111 0101 */
    assert_int_equal(ev.tag, TRACE_TAG_LINE);
    assert_int_equal(ev.line_step, 4);
    assert_int_equal(ev.time, 5);
    ev = EVENT("\x40\xff"); /* 01 000000 */
    assert_int_equal(ev.line_step, -32);
    assert_int_equal(ev.time, 255);
    ev = EVENT("\x33");
    assert_int_equal(ev.tag, TRACE_TAG_YIELD);
    assert_int_equal(ev.time, 3);
    assert_int_equal(EVENT("\x2f").tag, TRACE_TAG_RETURN);
    ev = EVENT("\x10\x80\x01");
    assert_int_equal(ev.tag, TRACE_TAG_CALL);
    assert_int_equal(ev.code, 128);
}

static void test_long_forms(void **state)
{
    (void)state;
    struct trace_event ev = EVENT("\x01\x90\x03\x03");
    assert_int_equal(ev.time, 400);
    assert_int_equal(ev.line_step, -2);
    ev = EVENT("\x05\x01\x07");
    assert_int_equal(ev.tag, TRACE_TAG_RESUME);
    assert_int_equal(ev.back, 7);
    ev = EVENT("\x0a\x01\x02\x04\x06");
    assert_int_equal(ev.code, 2);
    assert_int_equal(ev.line_step, 2);
    assert_int_equal(ev.back, 3);
    assert_int_equal(ev.thread, 0);
    ev = EVENT("\x0a\x01\x02\x04\x07\x09");
    assert_int_equal(ev.thread, 3);
    assert_int_equal(ev.activation, 9);
    ev = EVENT("\x0b\x64");
    assert_int_equal(ev.cpu, 100);
    assert_int_equal(ev.time, 0);
    ev = EVENT("\x0f\x05\x03xyz");
    assert_int_equal(ev.kind, 5);
    assert_memory_equal(ev.bytes.at, "xyz", 3);
    assert_int_equal(EVENT("\x07\x01\x06").string, 6);
    assert_int_equal(EVENT("\x06\x01").tag, TRACE_TAG_UNWIND);
}

static void test_stacks(void **state)
{
    (void)state;
    struct trace_event ev = EVENT("\x0d\x01\x02\x05\x09\x03\x01\x04\x02\x01\x0b\x00\x02\x08");
    struct trace_frame frame;

    assert_int_equal(ev.reason, 2);
    assert_int_equal(ev.gap, 5);
    assert_int_equal(ev.stack.next, 9);
    assert_int_equal(ev.stack.depth, 3);
    assert_int_equal(ev.stack.kept, 1);
    assert_true(trace_next_frame(&ev.stack, &frame));
    assert_int_equal(frame.code, 2);
    assert_int_equal(frame.line_step, 1);
    assert_int_equal(frame.activation, 8);
    assert_true(trace_next_frame(&ev.stack, &frame));
    assert_int_equal(frame.code, 5);
    assert_int_equal(frame.thread, 2);
    assert_int_equal(frame.activation, 8);
    assert_false(trace_next_frame(&ev.stack, &frame));
}

static void test_failures(void **state)
{
    (void)state;
    FAILS("", TRACE_AT_END);
    FAILS("\0\x85", TRACE_AT_END);
    FAILS("\x40", TRACE_CUT);
    FAILS("\x10", TRACE_CUT);
    FAILS("\x01\x01", TRACE_CUT);
    FAILS("\x0f\x01\x7f", TRACE_CUT);
    FAILS("\x0c\x01\x05\x02\x03", TRACE_BAD_TAG);         /* keeps more than there are */
    FAILS("\x0c\x01\x05\xff\xff\xff\x7f\x00", TRACE_CUT); /* claims frames that are not there */
    FAILS("\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", TRACE_BAD_VARINT);
}

/* No prefix of any bytes reads outside them: run under AddressSanitizer this is a proof for these.
 */
static void test_all_short_inputs(void **state)
{
    (void)state;
    uint8_t *bytes = test_malloc(3);
    struct trace_event ev;

    for (unsigned value = 0; value < 1u << 16; value++) {
        bytes[0] = (uint8_t)value;
        bytes[1] = (uint8_t)(value >> 8);
        bytes[2] = 0x85;
        struct trace_cursor cur = trace_cursor_over(bytes, 3);
        int count = 0;
        while (trace_next_event(&cur, &ev))
            assert_in_range(++count, 1, 3);
        assert_int_not_equal(cur.status, TRACE_OK);
    }
    test_free(bytes);
}

static void test_records(void **state)
{
    (void)state;
    struct trace_cursor cur = trace_cursor_over("\x06\x03\x05\x01"
                                                "A\xc8\x01"
                                                "xy\x05",
                                                10);
    struct trace_record record;

    assert_true(trace_next_record(&cur, &record));
    assert_int_equal(record.kind, TRACE_FACT_STRING);
    assert_int_equal(trace_read_varint(&record.fields), 5);
    assert_memory_equal(trace_read_string(&record.fields).at, "A", 1);
    assert_int_equal(record.fields.status, TRACE_OK);
    trace_read_varint(&record.fields);
    assert_int_equal(record.fields.status, TRACE_CUT);
    assert_true(trace_next_record(&cur, &record)); /* of a kind to come */
    assert_int_equal(record.kind, 0xc8);
    assert_false(trace_next_record(&cur, &record));
    assert_int_equal(cur.status, TRACE_CUT);
}

/* Chunks in a PACK chunk whose anchor is 1000, from process 5. */
static void test_packed_headers(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } none[] = {
        {"", 0},                                          /* the end */
        {"\x00\x02\x03\x00\x00\x00", 6},                  /* not published */
        {"\x04\x02\x03\x00\x00\x00", 6},                  /* ends before its payload */
        {"\x05\x02\x03\x00\x00", 5},                      /* cut */
        {"\x09\x80\x80\x80\x80\x10\x00\x00\x00\x00", 10}, /* a thread number above 2^32 - 1 */
    };
    const struct trace_chunk_header pack = {
        .kind = TRACE_PACK, .process = 5, .ticks = 1000, .length = 77};
    struct trace_chunk_header header = pack;

    (void)state;
    struct trace_cursor cur = trace_cursor_over("\x09\x02\x03\x04\xc7\x01\xac\x02z", 9);
    assert_true(trace_read_packed_header(&cur, &header));
    assert_int_equal(header.kind, TRACE_SAMPLES);
    assert_int_equal(header.flags, TRACE_FLAG_SEALED);
    assert_int_equal(header.process, 5);
    assert_int_equal(header.thread, 2);
    assert_int_equal(header.sequence, 3);
    assert_int_equal(header.events_before, 4);
    assert_int_equal(header.ticks, 900);
    assert_int_equal(header.cpu, 300);
    assert_int_equal(header.length, 2); /* of which one is there: for the caller to see */
    assert_int_equal(*cur.at, 'z');
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        header = pack;
        cur = trace_cursor_over(none[i].bytes, none[i].size);
        assert_false(trace_read_packed_header(&cur, &header));
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(trace_tag_name(TRACE_TAG_CONTINUE), "CONTINUE");
    assert_null(trace_tag_name(TRACE_TAG_END));
    assert_null(trace_tag_name(16));
    assert_string_equal(trace_gap_name(TRACE_GAP_LOST), "lost");
    assert_string_equal(trace_gap_name(99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varints),          cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_short_forms),      cmocka_unit_test(test_long_forms),
        cmocka_unit_test(test_stacks),           cmocka_unit_test(test_failures),
        cmocka_unit_test(test_all_short_inputs), cmocka_unit_test(test_records),
        cmocka_unit_test(test_packed_headers),   cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
