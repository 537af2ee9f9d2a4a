/* fuzz_decode.c - the decoder over any payload: events, records, samples, stack records, headers.
 *
 * What decodes is encoded again and decodes to the same; nothing is read outside the bytes, a
 * failure sticks, and the cursor never goes back.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/trace/decode.h"
#include "formats/trace/encode.h"
#include "formats/trace/samples.h"
#include "tests/fuzz/fuzz.h"

/* Encodes the event if encode.h has a function for it; NULL if not. */
static uint8_t *encode(uint8_t *at, const struct trace_event *ev)
{
    switch (ev->tag) {
    case TRACE_TAG_LINE:
        return trace_put_line(at, ev->time, ev->line_step);
    case TRACE_TAG_CALL:
        return trace_put_operand(at, ev->tag, TRACE_SHORT_CALL, ev->time, ev->code);
    case TRACE_TAG_RETURN:
        return trace_put_plain(at, ev->tag, TRACE_SHORT_RETURN, ev->time);
    case TRACE_TAG_YIELD:
        return trace_put_plain(at, ev->tag, TRACE_SHORT_YIELD, ev->time);
    case TRACE_TAG_UNWIND:
    case TRACE_TAG_C_RETURN:
        return trace_put_plain(at, ev->tag, 0, ev->time);
    case TRACE_TAG_RESUME:
        return trace_put_operand(at, ev->tag, 0, ev->time, ev->back);
    case TRACE_TAG_RAISE:
    case TRACE_TAG_C_CALL:
    case TRACE_TAG_MARK:
        return trace_put_operand(at, ev->tag, 0, ev->time, ev->string);
    case TRACE_TAG_CPU:
        return trace_put_cpu(at, ev->cpu);
    default:
        return NULL;
    }
}

static void check_round_trip(const struct trace_event *ev)
{
    uint8_t bytes[TRACE_EVENT_SIZE_MAX];
    struct trace_event again;
    const uint8_t *end = encode(bytes, ev);

    if (!end)
        return;
    struct trace_cursor cur = trace_cursor_over(bytes, (size_t)(end - bytes));
    FUZZ_CLAIM(trace_next_event(&cur, &again) && cur.at == end, "tag %d does not decode", ev->tag);
    FUZZ_CLAIM(memcmp(ev, &again, sizeof again) == 0, "tag %d decodes to another", ev->tag);
}

static void walk_stack(struct trace_stack stack)
{
    struct trace_frame frame;
    uint64_t frames = 0;

    while (trace_next_frame(&stack, &frame))
        frames++;
    FUZZ_CLAIM(frames <= stack.depth - stack.kept, "more frames than were said");
}

static void walk_events(const uint8_t *bytes, size_t size)
{
    struct trace_cursor cur = trace_cursor_over(bytes, size);
    struct trace_event ev;
    const uint8_t *at = cur.at;

    while (trace_next_event(&cur, &ev)) {
        FUZZ_CLAIM(cur.at > at && cur.at <= bytes + size, "the cursor is nowhere");
        FUZZ_CLAIM(trace_tag_name(ev.tag), "tag %d has no name", ev.tag);
        at = cur.at;
        check_round_trip(&ev);
        if (ev.tag == TRACE_TAG_SWITCH || ev.tag == TRACE_TAG_GAP)
            walk_stack(ev.stack);
    }
    FUZZ_CLAIM(cur.status != TRACE_OK && cur.at == at, "it stopped elsewhere");
    FUZZ_CLAIM(!trace_next_event(&cur, &ev), "a failure does not stick");
}

/* NULL: what is too far away for the recorder. */
static uint8_t *encode_sample(uint8_t *at, uint64_t nodes, const struct trace_sample *sample)
{
    if (sample->time > INT64_MAX / 2 || sample->count > UINT32_MAX)
        return NULL;
    switch (sample->tag) {
    case TRACE_SAMPLE_NODE:
        return trace_put_node(at, nodes, sample->node, sample->code, sample->line_step);
    case TRACE_SAMPLE_RUNNING:
    case TRACE_SAMPLE_GIL:
    case TRACE_SAMPLE_BLOCKED:
        return trace_put_sample(at, sample->tag, sample->time, sample->node, sample->cpu);
    case TRACE_SAMPLE_SAME:
        return trace_put_same(at, sample->time, sample->count);
    case TRACE_SAMPLE_MISSED:
        return trace_put_missed(at, sample->count);
    case TRACE_SAMPLE_GAP:
        return trace_put_sample_gap(at, sample->time, sample->reason);
    case TRACE_SAMPLE_UNITS:
        return trace_put_sample_units(at, sample->time, sample->cpu);
    default:
        return NULL;
    }
}

static void check_sample(struct trace_sampling before, const struct trace_sample *sample)
{
    uint8_t bytes[TRACE_SAMPLE_SIZE_MAX];
    struct trace_sample again;
    const uint8_t *end = encode_sample(bytes, before.nodes, sample);

    if (!end)
        return;
    struct trace_cursor cur = trace_cursor_over(bytes, (size_t)(end - bytes));
    FUZZ_CLAIM(trace_next_sample(&cur, &before, &again) && cur.at == end,
               "sample %d does not decode", sample->tag);
    FUZZ_CLAIM(memcmp(sample, &again, sizeof again) == 0, "sample %d decodes to another",
               sample->tag);
}

static void walk_samples(const uint8_t *bytes, size_t size)
{
    struct trace_cursor cur = trace_cursor_over(bytes, size);
    struct trace_sampling sampling = {.time_unit = 1, .cpu_unit = 1}, before = sampling;
    struct trace_sample sample;
    const uint8_t *at = cur.at;

    while (trace_next_sample(&cur, &sampling, &sample)) {
        FUZZ_CLAIM(cur.at > at && cur.at <= bytes + size, "the cursor is nowhere");
        at = cur.at;
        check_sample(before, &sample);
        sampling.time_unit = sampling.cpu_unit = 1; /* else nothing comes out as it went in */
        before = sampling;
    }
    FUZZ_CLAIM(cur.status != TRACE_OK && cur.at == at, "it stopped elsewhere");
    FUZZ_CLAIM(!trace_next_sample(&cur, &sampling, &sample), "a failure does not stick");
}

static void walk_pack(const uint8_t *bytes, size_t size)
{
    struct trace_cursor cur = trace_cursor_over(bytes, size);
    struct trace_chunk_header header = {0};

    while (trace_read_packed_header(&cur, &header))
        trace_read_bytes(&cur, header.length);
}

static void walk_records(const uint8_t *bytes, size_t size)
{
    struct trace_cursor cur = trace_cursor_over(bytes, size);
    struct trace_record record;

    while (trace_next_record(&cur, &record)) {
        FUZZ_CLAIM(record.fields.end <= bytes + size, "a record beyond the end");
        while (record.fields.status == TRACE_OK) {
            trace_read_string(&record.fields);
            trace_read_svarint(&record.fields);
        }
    }
    FUZZ_CLAIM(!trace_next_record(&cur, &record), "a failure does not stick");
}

static void read_headers(const uint8_t *bytes, size_t size)
{
    struct trace_header header;
    struct trace_chunk_header chunk;

    if (size >= TRACE_HEADER_CHECKED_END)
        trace_read_header(bytes, &header);
    if (size >= TRACE_CHUNK_PAYLOAD)
        trace_read_chunk_header(bytes, bytes, &chunk);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct trace_stack stack;

    /* A copy of the exact size: the sanitizer sees a byte too many. */
    uint8_t *copy = malloc(size ? size : 1);
    FUZZ_CLAIM(copy, "no memory");
    if (size)
        memcpy(copy, bytes, size);
    struct trace_cursor cur = trace_cursor_over(copy, size);

    if (trace_read_stack(&cur, &stack))
        walk_stack(stack);
    walk_events(copy, size);
    walk_records(copy, size);
    walk_samples(copy, size);
    walk_pack(copy, size);
    read_headers(copy, size);
    free(copy);
    return 0;
}
