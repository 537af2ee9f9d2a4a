/* mutate.c - mutations that know what a packed trace is made of.
 *
 * libFuzzer calls LLVMFuzzerCustomMutator() instead of its own mutations, which it lends for the
 * parts: bytes of one payload, of one record, of one header field. Around them chunks, records and
 * events are dropped, doubled, swapped and moved.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/trace/decode.h"
#include "formats/trace/encode.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packed.h"

struct mutation {
    uint8_t *bytes;
    size_t size, room;
    unsigned dice;
    struct packed_chunk chunks[PACKED_CHUNKS_MAX];
    size_t count;
};

static unsigned roll(struct mutation *m, size_t sides)
{
    m->dice = m->dice * 1664525u + 1013904223u;
    return sides ? (m->dice >> 8) % (unsigned)sides : 0;
}

/* A place in the bytes: what it holds and what follows. */
struct part {
    size_t at, size;
};

/* Puts `size` bytes in the place of the part. False: no room. */
static bool replace(struct mutation *m, struct part part, const uint8_t *bytes, size_t size)
{
    size_t behind = m->size - part.at - part.size;

    if (m->size - part.size + size > m->room)
        return false;
    uint8_t *copy = malloc(size + 1);
    FUZZ_CLAIM(copy, "no memory");
    if (size)
        memcpy(copy, bytes, size);
    memmove(m->bytes + part.at + size, m->bytes + part.at + part.size, behind);
    memcpy(m->bytes + part.at, copy, size);
    m->size = m->size - part.size + size;
    free(copy);
    return true;
}

static struct part whole_chunk(const struct packed_chunk *chunk)
{
    return (struct part){chunk->at, TRACE_CHUNK_PAYLOAD + chunk->size};
}

static struct part payload_of(const struct packed_chunk *chunk)
{
    return (struct part){chunk->at + TRACE_CHUNK_PAYLOAD, chunk->size};
}

/* Replaces a part of the chunk's payload and lets its length follow. */
static void replace_inside(struct mutation *m, const struct packed_chunk *chunk, struct part part,
                           const uint8_t *bytes, size_t size)
{
    if (replace(m, part, bytes, size))
        trace_put_u64(m->bytes + chunk->at + TRACE_CHUNK_LENGTH, chunk->size - part.size + size);
}

/* --- Chunks --- */

static void drop_chunk(struct mutation *m, const struct packed_chunk *chunk)
{
    replace(m, whole_chunk(chunk), NULL, 0);
}

static void double_chunk(struct mutation *m, const struct packed_chunk *chunk)
{
    struct part part = whole_chunk(chunk);

    replace(m, (struct part){m->chunks[roll(m, m->count)].at, 0}, m->bytes + part.at, part.size);
}

static void move_chunk(struct mutation *m, const struct packed_chunk *chunk)
{
    struct part part = whole_chunk(chunk);
    size_t to = m->chunks[roll(m, m->count)].at;

    if (to <= part.at && replace(m, (struct part){to, 0}, m->bytes + part.at, part.size))
        replace(m, (struct part){part.at + part.size, part.size}, NULL, 0);
}

/* A header field gets a value near its own, one of another chunk, or an odd one. */
static void change_header(struct mutation *m, const struct packed_chunk *chunk)
{
    static const unsigned char fields[] = {
        TRACE_CHUNK_KIND,      TRACE_CHUNK_FLAGS,         TRACE_CHUNK_PROCESS,
        TRACE_CHUNK_THREAD,    TRACE_CHUNK_SEQUENCE,      TRACE_CHUNK_TICKS,
        TRACE_CHUNK_MONOTONIC, TRACE_CHUNK_EVENTS_BEFORE, TRACE_CHUNK_CPU};
    static const uint64_t odd[] = {0,          1,          2,          0xff, 0x7fffffff,
                                   0xffffffff, 1ull << 40, 1ull << 62, ~0ull};
    unsigned field = fields[roll(m, sizeof fields)];
    size_t size = field < TRACE_CHUNK_SEQUENCE ? 4 : 8;
    uint8_t *at = m->bytes + chunk->at + field, value[8];

    switch (roll(m, 3)) {
    case 0:
        at[0] = (uint8_t)(at[0] + roll(m, 5) - 2);
        break;
    case 1:
        memcpy(at, m->bytes + m->chunks[roll(m, m->count)].at + field, size);
        break;
    default:
        trace_put_u64(value, odd[roll(m, sizeof odd / sizeof *odd)]);
        memcpy(at, value, size);
    }
}

/* --- Payloads --- */

static void mutate_part(struct mutation *m, const struct packed_chunk *chunk, struct part part)
{
    size_t room = part.size + 64;
    uint8_t *copy = malloc(room);

    FUZZ_CLAIM(copy, "no memory");
    memcpy(copy, m->bytes + part.at, part.size);
    size_t size = LLVMFuzzerMutate(copy, part.size, room);
    replace_inside(m, chunk, part, copy, size);
    free(copy);
}

static void mutate_payload(struct mutation *m, const struct packed_chunk *chunk)
{
    mutate_part(m, chunk, payload_of(chunk));
}

/* Some bytes of one payload into another. */
static void splice(struct mutation *m, const struct packed_chunk *chunk)
{
    const struct packed_chunk *from = &m->chunks[roll(m, m->count)];
    struct part to = payload_of(chunk);
    size_t start = roll(m, from->size + 1), size = roll(m, from->size - start + 1);
    size_t at = roll(m, chunk->size + 1);

    to = (struct part){to.at + at, roll(m, chunk->size - at + 1)};
    replace_inside(m, chunk, to, m->bytes + from->at + TRACE_CHUNK_PAYLOAD + start, size);
}

static bool is_facts(const struct mutation *m, const struct packed_chunk *chunk)
{
    uint32_t kind = trace_get_u32(m->bytes + chunk->at + TRACE_CHUNK_KIND);

    return kind == TRACE_RUN || kind == TRACE_FACTS;
}

/* One record or event of the payload, chosen evenly. False: there is none. */
static bool choose_item(struct mutation *m, const struct packed_chunk *chunk, struct part *item)
{
    const uint8_t *start = m->bytes + chunk->at + TRACE_CHUNK_PAYLOAD;
    struct trace_cursor cur = trace_cursor_over(start, chunk->size);
    struct trace_stack stack;
    struct trace_record record;
    struct trace_event ev;
    unsigned seen = 0;
    bool facts = is_facts(m, chunk);

    if (!facts && !(m->bytes[chunk->at + TRACE_CHUNK_FLAGS] & TRACE_FLAG_STACK_APART))
        trace_read_stack(&cur, &stack);
    for (const uint8_t *at = cur.at;
         facts ? trace_next_record(&cur, &record) : trace_next_event(&cur, &ev); at = cur.at)
        if (roll(m, ++seen) == 0)
            *item = (struct part){(size_t)(at - m->bytes), (size_t)(cur.at - at)};
    return seen > 0;
}

static void mutate_item(struct mutation *m, const struct packed_chunk *chunk)
{
    struct part item;
    uint8_t record[4096];

    if (!choose_item(m, chunk, &item))
        return;
    if (!is_facts(m, chunk) || item.size < 2 || item.size > 2048) {
        mutate_part(m, chunk, item);
        return;
    }
    /* A record: its fields are mutated and its length follows. */
    struct trace_cursor cur = trace_cursor_over(m->bytes + item.at + 1, item.size - 1);
    size_t size = (size_t)trace_read_varint(&cur);
    uint8_t fields[2048 + 64];
    memcpy(fields, cur.at, size);
    size = LLVMFuzzerMutate(fields, size, size + 64);
    record[0] = m->bytes[item.at];
    size_t total = (size_t)(trace_put_string(record + 1, fields, size) - record);
    replace_inside(m, chunk, item, record, total);
}

static void drop_item(struct mutation *m, const struct packed_chunk *chunk)
{
    struct part item;

    if (choose_item(m, chunk, &item))
        replace_inside(m, chunk, item, NULL, 0);
}

static void double_item(struct mutation *m, const struct packed_chunk *chunk)
{
    struct part item, place;

    if (choose_item(m, chunk, &item) && choose_item(m, chunk, &place))
        replace_inside(m, chunk, (struct part){place.at, 0}, m->bytes + item.at, item.size);
}

/* An event that random bytes seldom make, with small operands. */
static void insert_event(struct mutation *m, const struct packed_chunk *chunk)
{
    struct part place;
    uint8_t event[16];
    size_t size = 1 + roll(m, sizeof event - 1);

    if (is_facts(m, chunk) || !choose_item(m, chunk, &place))
        return;
    event[0] = (uint8_t)(1 + roll(m, TRACE_TAG_EXTENSION));
    for (size_t i = 1; i < size; i++)
        event[i] = (uint8_t)roll(m, roll(m, 4) ? 4 : 256);
    replace_inside(m, chunk, (struct part){place.at, 0}, event, size);
}

static void mutate_file_header(struct mutation *m, const struct packed_chunk *chunk)
{
    (void)chunk;
    if (m->size >= TRACE_HEADER_CHECKED_END)
        LLVMFuzzerMutate(m->bytes + TRACE_HEADER_REALTIME,
                         TRACE_HEADER_CHECKED_END - TRACE_HEADER_REALTIME,
                         TRACE_HEADER_CHECKED_END - TRACE_HEADER_REALTIME);
}

typedef void mutate_function(struct mutation *m, const struct packed_chunk *chunk);

static mutate_function *const mutations[] = {
    drop_chunk,  double_chunk, move_chunk,   change_header,      change_header, mutate_payload,
    splice,      mutate_item,  mutate_item,  mutate_item,        mutate_item,   drop_item,
    double_item, insert_event, insert_event, mutate_file_header,
};

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t room, unsigned seed)
{
    struct mutation m = {.bytes = bytes, .size = size, .room = room, .dice = seed};

    m.count = packed_find(bytes, size, m.chunks);
    if (m.count == 0)
        return LLVMFuzzerMutate(bytes, size, room);
    mutations[roll(&m, sizeof mutations / sizeof *mutations)](&m, &m.chunks[roll(&m, m.count)]);
    return m.size;
}

/* The first chunks of one and the last of the other. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t room, unsigned seed)
{
    struct mutation m = {.dice = seed};
    struct packed_chunk others[PACKED_CHUNKS_MAX];
    size_t other_count = packed_find(other, other_size, others);

    m.count = packed_find(one, one_size, m.chunks);
    if (m.count == 0 || other_count == 0)
        return 0;
    struct part last = whole_chunk(&m.chunks[roll(&m, m.count)]);
    size_t head = last.at + last.size, tail = others[roll(&m, other_count)].at;
    if (head + other_size - tail > room)
        return 0;
    memcpy(out, one, head);
    memcpy(out + head, other + tail, other_size - tail);
    return head + other_size - tail;
}
