#include "tests/fuzz/packed.h"

#include <stdlib.h>
#include <string.h>

#include "formats/trace/crc32c.h"
#include "formats/trace/decode.h"
#include "formats/trace/encode.h"
#include "tests/fuzz/fuzz.h"

size_t packed_find(const uint8_t *bytes, size_t size, struct packed_chunk *chunks)
{
    size_t count = 0, at = TRACE_HEADER_CHECKED_END;

    while (count < PACKED_CHUNKS_MAX && at + TRACE_CHUNK_PAYLOAD <= size) {
        size_t left = size - at - TRACE_CHUNK_PAYLOAD;
        uint64_t length = trace_get_u64(bytes + at + TRACE_CHUNK_LENGTH);

        chunks[count] = (struct packed_chunk){at, length < left ? (size_t)length : left};
        at += TRACE_CHUNK_PAYLOAD + chunks[count++].size;
    }
    return count;
}

static size_t capacity_of(const struct packed_chunk *chunk)
{
    return (TRACE_CHUNK_PAYLOAD + chunk->size + TRACE_PAGE) / TRACE_PAGE * TRACE_PAGE;
}

static void seal_header(uint8_t *page)
{
    memcpy(page, TRACE_MAGIC, TRACE_MAGIC_SIZE);
    page[TRACE_HEADER_READ_VERSION] = TRACE_READ_VERSION;
    page[TRACE_HEADER_READ_VERSION + 1] = 0;
    page[TRACE_HEADER_CLOCK] &= 1;
    memset(page + TRACE_HEADER_CLOCK + 1, 0, 3);
    page[TRACE_HEADER_TICK_SHIFT] %= TRACE_TICK_SHIFT_MAX + 1;
    memset(page + TRACE_HEADER_TICK_SHIFT + 1, 0, 3);
    trace_put_u32(page + TRACE_HEADER_CRC, crc32c(0, page + TRACE_HEADER_MARK,
                                                  TRACE_HEADER_CHECKED_END - TRACE_HEADER_MARK));
}

static uint32_t known_kind(uint32_t kind)
{
    bool sampled = kind == TRACE_SAMPLES || kind == TRACE_PACK;

    return sampled || kind & TRACE_CHUNK_OPTIONAL ? kind : TRACE_RUN + (kind + 4) % 5;
}

/* Kinds and encodings that a reader refuses would hide all the rest. */
static void seal_chunk(uint8_t *at, const struct packed_chunk *chunk, const uint8_t *mark)
{
    uint32_t kind = trace_get_u32(at + TRACE_CHUNK_KIND), flags = at[TRACE_CHUNK_FLAGS];

    memcpy(at, mark, TRACE_MARK_SIZE);
    trace_put_u32(at + TRACE_CHUNK_KIND, known_kind(kind));
    trace_put_u32(at + TRACE_CHUNK_ENCODING, TRACE_ENCODING_RAW);
    trace_put_u64(at + TRACE_CHUNK_CAPACITY, capacity_of(chunk));
    trace_put_u64(at + TRACE_CHUNK_LENGTH, flags & TRACE_FLAG_SEALED ? chunk->size : 0);
    trace_put_u32(
        at + TRACE_CHUNK_CRC,
        crc32c(0, at + TRACE_CHUNK_KIND, TRACE_CHUNK_PAYLOAD - TRACE_CHUNK_KIND + chunk->size));
}

uint8_t *packed_unpack(const uint8_t *bytes, size_t size, size_t *unpacked_size)
{
    struct packed_chunk chunks[PACKED_CHUNKS_MAX];
    size_t count = packed_find(bytes, size, chunks), total = TRACE_PAGE;

    for (size_t i = 0; i < count; i++)
        total += capacity_of(&chunks[i]);
    uint8_t *trace = calloc(1, total), *at = trace + TRACE_PAGE;
    FUZZ_CLAIM(trace, "no memory");
    if (size)
        memcpy(trace, bytes, size < TRACE_HEADER_CHECKED_END ? size : TRACE_HEADER_CHECKED_END);
    seal_header(trace);
    for (size_t i = 0; i < count; i++) {
        memcpy(at, bytes + chunks[i].at, TRACE_CHUNK_PAYLOAD + chunks[i].size);
        seal_chunk(at, &chunks[i], trace + TRACE_HEADER_MARK);
        at += capacity_of(&chunks[i]);
    }
    *unpacked_size = total;
    return trace;
}

/* The payload of an unsealed chunk ends where only zeros follow. */
static size_t payload_size(const uint8_t *at, const struct trace_chunk_header *header)
{
    size_t size = (size_t)(header->capacity - TRACE_CHUNK_PAYLOAD);

    if (header->flags & TRACE_FLAG_SEALED)
        return (size_t)header->length;
    while (size && at[TRACE_CHUNK_PAYLOAD + size - 1] == 0)
        size--;
    return size;
}

uint8_t *packed_pack(const uint8_t *trace, size_t size, size_t *packed_size)
{
    struct trace_chunk_header header;
    uint8_t *packed = malloc(size + 1), *to = packed + TRACE_HEADER_CHECKED_END;
    size_t at = TRACE_PAGE;

    FUZZ_CLAIM(packed, "no memory");
    if (size < TRACE_PAGE) {
        free(packed);
        return NULL;
    }
    memcpy(packed, trace, TRACE_HEADER_CHECKED_END);
    while (at + TRACE_PAGE <= size) {
        if (!trace_read_chunk_header(trace + at, trace + TRACE_HEADER_MARK, &header) ||
            header.capacity > size - at || header.length > header.capacity) {
            at += TRACE_PAGE;
            continue;
        }
        size_t length = payload_size(trace + at, &header);
        memcpy(to, trace + at, TRACE_CHUNK_PAYLOAD + length);
        trace_put_u64(to + TRACE_CHUNK_LENGTH, length);
        to += TRACE_CHUNK_PAYLOAD + length;
        at += header.capacity;
    }
    *packed_size = (size_t)(to - packed);
    return packed;
}
