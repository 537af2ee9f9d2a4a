#include "formats/trace/decode.h"

#include <string.h>

#define TRACE_NAME_COUNT 16

struct trace_cursor trace_cursor_over(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    return (struct trace_cursor){.at = at, .end = size ? at + size : at, .status = TRACE_OK};
}

static void fail(struct trace_cursor *cur, enum trace_status status)
{
    if (cur->status == TRACE_OK)
        cur->status = status;
}

static uint64_t read_byte(struct trace_cursor *cur)
{
    if (cur->status == TRACE_OK && cur->at < cur->end)
        return *cur->at++;
    fail(cur, TRACE_CUT);
    return 0;
}

uint64_t trace_read_varint(struct trace_cursor *cur)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = read_byte(cur);
        if (shift == 63 && byte > 1)
            break;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return cur->status == TRACE_OK ? value : 0;
    }
    fail(cur, TRACE_BAD_VARINT);
    return 0;
}

int64_t trace_read_svarint(struct trace_cursor *cur)
{
    return trace_unzigzag(trace_read_varint(cur));
}

struct trace_bytes trace_read_bytes(struct trace_cursor *cur, uint64_t size)
{
    struct trace_bytes bytes = {cur->at, 0};

    if (cur->status != TRACE_OK)
        return bytes;
    if (size > (uint64_t)(cur->end - cur->at)) {
        fail(cur, TRACE_CUT);
        return bytes;
    }
    bytes.size = (size_t)size;
    cur->at += size;
    return bytes;
}

struct trace_bytes trace_read_string(struct trace_cursor *cur)
{
    return trace_read_bytes(cur, trace_read_varint(cur));
}

/* --- Stacks --- */

static void read_frame(struct trace_cursor *cur, struct trace_frame *frame, uint64_t next)
{
    uint64_t code = trace_read_varint(cur);

    *frame = (struct trace_frame){.code = code >> 1, .line_step = trace_read_svarint(cur)};
    if (code & 1) {
        frame->thread = trace_read_varint(cur);
        frame->activation = trace_read_varint(cur);
    } else {
        frame->activation = next - trace_read_varint(cur);
    }
}

bool trace_read_stack(struct trace_cursor *cur, struct trace_stack *stack)
{
    struct trace_frame frame;

    *stack = (struct trace_stack){.next = trace_read_varint(cur)};
    stack->depth = trace_read_varint(cur);
    stack->kept = trace_read_varint(cur);
    if (stack->kept > stack->depth)
        fail(cur, TRACE_BAD_TAG);
    stack->at = cur->at;
    for (uint64_t left = stack->depth - stack->kept; left && cur->status == TRACE_OK; left--)
        read_frame(cur, &frame, stack->next);
    stack->end = cur->at;
    return cur->status == TRACE_OK;
}

bool trace_next_frame(struct trace_stack *stack, struct trace_frame *frame)
{
    if (stack->at >= stack->end)
        return false;
    struct trace_cursor cur = trace_cursor_over(stack->at, (size_t)(stack->end - stack->at));
    read_frame(&cur, frame, stack->next);
    stack->at = cur.at;
    return cur.status == TRACE_OK;
}

/* --- Events --- */

static void read_ref(struct trace_cursor *cur, struct trace_event *ev)
{
    uint64_t ref = trace_read_varint(cur);

    if (ref & 1) {
        ev->thread = ref >> 1;
        ev->activation = trace_read_varint(cur);
    } else {
        ev->back = ref >> 1;
    }
}

static void read_gap(struct trace_cursor *cur, struct trace_event *ev)
{
    ev->reason = trace_read_varint(cur);
    ev->gap = trace_read_varint(cur);
    trace_read_stack(cur, &ev->stack);
}

static void read_continue(struct trace_cursor *cur, struct trace_event *ev)
{
    ev->code = trace_read_varint(cur);
    ev->line_step = trace_read_svarint(cur);
    read_ref(cur, ev);
}

static void read_extension(struct trace_cursor *cur, struct trace_event *ev)
{
    ev->kind = trace_read_varint(cur);
    ev->bytes = trace_read_string(cur);
}

/* What follows the tag, and the time if the event has one. */
static void read_operands(struct trace_cursor *cur, struct trace_event *ev)
{
    switch (ev->tag) {
    case TRACE_TAG_LINE:
        ev->line_step = trace_read_svarint(cur);
        break;
    case TRACE_TAG_CALL:
        ev->code = trace_read_varint(cur);
        break;
    case TRACE_TAG_RESUME:
        ev->back = trace_read_varint(cur);
        break;
    case TRACE_TAG_RAISE:
    case TRACE_TAG_C_CALL:
    case TRACE_TAG_MARK:
        ev->string = trace_read_varint(cur);
        break;
    case TRACE_TAG_CONTINUE:
        read_continue(cur, ev);
        break;
    case TRACE_TAG_CPU:
        ev->cpu = trace_read_varint(cur);
        break;
    case TRACE_TAG_SWITCH:
        trace_read_stack(cur, &ev->stack);
        break;
    case TRACE_TAG_GAP:
        read_gap(cur, ev);
        break;
    case TRACE_TAG_EXTENSION:
        read_extension(cur, ev);
        break;
    default:
        break; /* RETURN, YIELD, UNWIND, C_RETURN: nothing but a time */
    }
}

static void read_long(struct trace_cursor *cur, struct trace_event *ev, uint8_t tag)
{
    if (tag > TRACE_TAG_EXTENSION) {
        fail(cur, TRACE_BAD_TAG);
        return;
    }
    ev->tag = (enum trace_tag)tag;
    if (tag != TRACE_TAG_CPU && tag != TRACE_TAG_EXTENSION)
        ev->time = trace_read_varint(cur);
    read_operands(cur, ev);
}

static void read_short(struct trace_cursor *cur, struct trace_event *ev, uint8_t tag)
{
    if (tag & TRACE_SHORT_LINE) {
        ev->tag = TRACE_TAG_LINE;
        ev->time = tag & 15;
        ev->line_step = (tag >> 4 & 7) - TRACE_SHORT_LINE_BIAS;
    } else if (tag & TRACE_SHORT_LINE_WIDE) {
        ev->tag = TRACE_TAG_LINE;
        ev->line_step = (tag & 63) - TRACE_SHORT_LINE_WIDE_BIAS;
        ev->time = read_byte(cur);
    } else {
        static const enum trace_tag tags[] = {TRACE_TAG_END, TRACE_TAG_CALL, TRACE_TAG_RETURN,
                                              TRACE_TAG_YIELD};
        ev->tag = tags[tag >> 4];
        ev->time = tag & 15;
        read_operands(cur, ev);
    }
}

bool trace_next_event(struct trace_cursor *cur, struct trace_event *ev)
{
    const uint8_t *start = cur->at;

    memset(ev, 0, sizeof *ev);
    if (cur->status == TRACE_OK && (cur->at == cur->end || *cur->at == TRACE_TAG_END))
        cur->status = TRACE_AT_END;
    if (cur->status != TRACE_OK)
        return false;

    uint8_t tag = *cur->at++;
    if (tag < TRACE_SHORT_CALL)
        read_long(cur, ev, tag);
    else
        read_short(cur, ev, tag);
    if (cur->status == TRACE_OK)
        return true;
    memset(ev, 0, sizeof *ev);
    cur->at = start;
    return false;
}

const char *trace_tag_name(unsigned tag)
{
    static const char *const names[TRACE_NAME_COUNT] = {
#define X(number, name, operands) [number] = #name,
        TRACE_EVENT_MAP(X)
#undef X
    };
    return tag < TRACE_NAME_COUNT ? names[tag] : NULL;
}

const char *trace_gap_name(uint64_t reason)
{
    static const char *const names[] = {"unknown", "paused", "replaced", "full",
                                        "lost",    "failed", "unseen"};
    return reason < sizeof names / sizeof *names ? names[reason] : names[0];
}

/* --- Facts --- */

bool trace_next_record(struct trace_cursor *cur, struct trace_record *record)
{
    const uint8_t *start = cur->at;

    *record = (struct trace_record){0};
    if (cur->status == TRACE_OK && (cur->at == cur->end || *cur->at == 0))
        cur->status = TRACE_AT_END;
    if (cur->status != TRACE_OK)
        return false;

    unsigned kind = *cur->at++;
    struct trace_bytes fields = trace_read_string(cur);
    if (cur->status != TRACE_OK) {
        cur->at = start;
        return false;
    }
    record->kind = kind;
    record->fields = trace_cursor_over(fields.at, fields.size);
    return true;
}

/* --- Headers --- */

bool trace_read_header(const uint8_t *page, struct trace_header *header)
{
    if (memcmp(page, TRACE_MAGIC, TRACE_MAGIC_SIZE) != 0)
        return false;
    *header = (struct trace_header){
        .write_version = trace_get_u16(page + TRACE_HEADER_WRITE_VERSION),
        .read_version = trace_get_u16(page + TRACE_HEADER_READ_VERSION),
        .crc = trace_get_u32(page + TRACE_HEADER_CRC),
        .realtime = trace_get_u64(page + TRACE_HEADER_REALTIME),
        .monotonic = trace_get_u64(page + TRACE_HEADER_MONOTONIC),
        .ticks = trace_get_u64(page + TRACE_HEADER_TICKS),
        .tick_rate = trace_get_u64(page + TRACE_HEADER_TICK_RATE),
        .clock = trace_get_u32(page + TRACE_HEADER_CLOCK),
        .tick_shift = trace_get_u32(page + TRACE_HEADER_TICK_SHIFT),
    };
    memcpy(header->mark, page + TRACE_HEADER_MARK, TRACE_MARK_SIZE);
    return true;
}

bool trace_read_chunk_header(const uint8_t *at, const uint8_t mark[TRACE_MARK_SIZE],
                             struct trace_chunk_header *header)
{
    if (memcmp(at, mark, TRACE_MARK_SIZE) != 0)
        return false;
    *header = (struct trace_chunk_header){
        .crc = trace_get_u32(at + TRACE_CHUNK_CRC),
        .kind = trace_get_u32(at + TRACE_CHUNK_KIND),
        .flags = trace_get_u32(at + TRACE_CHUNK_FLAGS),
        .process = trace_get_u32(at + TRACE_CHUNK_PROCESS),
        .thread = trace_get_u32(at + TRACE_CHUNK_THREAD),
        .encoding = trace_get_u32(at + TRACE_CHUNK_ENCODING),
        .sequence = trace_get_u64(at + TRACE_CHUNK_SEQUENCE),
        .capacity = trace_get_u64(at + TRACE_CHUNK_CAPACITY),
        .length = trace_get_u64(at + TRACE_CHUNK_LENGTH),
        .ticks = trace_get_u64(at + TRACE_CHUNK_TICKS),
        .monotonic = trace_get_u64(at + TRACE_CHUNK_MONOTONIC),
        .events_before = trace_get_u64(at + TRACE_CHUNK_EVENTS_BEFORE),
        .cpu = trace_get_u64(at + TRACE_CHUNK_CPU),
    };
    return true;
}

bool trace_read_packed_header(struct trace_cursor *cur, struct trace_chunk_header *header)
{
    uint64_t length = trace_read_varint(cur), thread, before;
    const uint8_t *start = cur->at;

    thread = trace_read_varint(cur);
    header->sequence = trace_read_varint(cur);
    header->events_before = trace_read_varint(cur);
    header->ticks += (uint64_t)trace_read_svarint(cur);
    header->cpu = trace_read_varint(cur);
    before = (uint64_t)(cur->at - start);
    if (cur->status != TRACE_OK || length < before || thread > UINT32_MAX)
        return false;
    header->kind = TRACE_SAMPLES;
    header->flags = TRACE_FLAG_SEALED;
    header->thread = (uint32_t)thread;
    header->length = length - before;
    return true;
}
