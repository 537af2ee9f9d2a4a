/* Whatever the encoder writes the decoder reads, in as few bytes as TRACE.md promises. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "formats/trace/decode.h"
#include "formats/trace/encode.h"

static const uint64_t times[] = {0, 1, 15, 16, 127, 128, 255, 256, 16383, 16384, UINT64_C(1) << 40};
static const int64_t steps[] = {0, 1, 4, 5, -3, -4, 31, 32, -32, -33, 1000000, -1000000};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct trace_event decode_one(const uint8_t *bytes, const uint8_t *end)
{
    struct trace_cursor cursor = trace_cursor_over(bytes, (size_t)(end - bytes));
    struct trace_event ev;

    assert_true(trace_next_event(&cursor, &ev));
    assert_ptr_equal(cursor.at, end);
    return ev;
}

static void a_line_comes_back_whatever_its_step_and_time(void **state)
{
    uint8_t bytes[TRACE_EVENT_SIZE_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        for (size_t j = 0; j < COUNT(steps); j++) {
            uint8_t *end = trace_put_line(bytes, times[i], steps[j]);
            struct trace_event ev = decode_one(bytes, end);

            assert_int_equal(ev.tag, TRACE_TAG_LINE);
            assert_true(ev.time == times[i]);
            assert_true(ev.line_step == steps[j]);
        }
    }
}

static void the_commonest_line_takes_one_byte(void **state)
{
    uint8_t bytes[TRACE_EVENT_SIZE_MAX];

    (void)state;
    for (int64_t step = -3; step <= 4; step++)
        assert_int_equal(trace_put_line(bytes, 15, step) - bytes, 1);
    assert_int_equal(trace_put_line(bytes, 16, 1) - bytes, 2);
    assert_int_equal(trace_put_line(bytes, 255, -32) - bytes, 2);
    assert_int_equal(trace_put_line(bytes, 256, 1) - bytes, 4);
}

static void plain_events_come_back(void **state)
{
    static const struct {
        enum trace_tag tag;
        uint8_t form;
    } kinds[] = {{TRACE_TAG_RETURN, TRACE_SHORT_RETURN},
                 {TRACE_TAG_YIELD, TRACE_SHORT_YIELD},
                 {TRACE_TAG_UNWIND, 0},
                 {TRACE_TAG_C_RETURN, 0}};
    uint8_t bytes[TRACE_EVENT_SIZE_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        for (size_t j = 0; j < COUNT(times); j++) {
            uint8_t *end = trace_put_plain(bytes, kinds[i].tag, kinds[i].form, times[j]);
            struct trace_event ev = decode_one(bytes, end);

            assert_int_equal(ev.tag, kinds[i].tag);
            assert_true(ev.time == times[j]);
        }
    }
}

static void a_call_comes_back_with_its_code(void **state)
{
    static const uint64_t codes[] = {1, 127, 128, 1u << 21, UINT32_MAX};
    uint8_t bytes[TRACE_EVENT_SIZE_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(codes); i++) {
        for (size_t j = 0; j < COUNT(times); j++) {
            uint8_t *end =
                trace_put_operand(bytes, TRACE_TAG_CALL, TRACE_SHORT_CALL, times[j], codes[i]);
            struct trace_event ev = decode_one(bytes, end);

            assert_int_equal(ev.tag, TRACE_TAG_CALL);
            assert_true(ev.time == times[j]);
            assert_true(ev.code == codes[i]);
        }
    }
}

static void no_event_begins_with_the_end_tag(void **state)
{
    uint8_t bytes[TRACE_EVENT_SIZE_MAX];

    (void)state;
    for (uint64_t units = 0; units < 300; units++) {
        for (int64_t step = -40; step < 40; step++) {
            trace_put_line(bytes, units, step);
            assert_int_not_equal(bytes[0], TRACE_TAG_END);
        }
        trace_put_plain(bytes, TRACE_TAG_RETURN, TRACE_SHORT_RETURN, units);
        assert_int_not_equal(bytes[0], TRACE_TAG_END);
    }
}

static void an_event_without_its_tag_is_absent(void **state)
{
    uint8_t bytes[TRACE_EVENT_SIZE_MAX] = {0};
    struct trace_event ev;
    struct trace_cursor cursor;

    (void)state;
    trace_put_line(bytes, 100000, 1000);
    bytes[0] = 0; /* as if killed before the tag was stored */
    cursor = trace_cursor_over(bytes, sizeof bytes);
    assert_false(trace_next_event(&cursor, &ev));
    assert_int_equal(cursor.status, TRACE_AT_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_comes_back_whatever_its_step_and_time),
        cmocka_unit_test(the_commonest_line_takes_one_byte),
        cmocka_unit_test(plain_events_come_back),
        cmocka_unit_test(a_call_comes_back_with_its_code),
        cmocka_unit_test(no_event_begins_with_the_end_tag),
        cmocka_unit_test(an_event_without_its_tag_is_absent),
    };

    return cmocka_run_group_tests_name("encode", tests, NULL, NULL);
}
