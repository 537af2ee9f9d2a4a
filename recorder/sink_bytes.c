#include "recorder/sink_bytes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "formats/trace/crc32c.h"
#include "formats/trace/decode.h"
#include "formats/trace/encode.h"

uint64_t sink_bytes_round(uint64_t size)
{
    return (size + TRACE_PAGE - 1) / TRACE_PAGE * TRACE_PAGE;
}

void sink_bytes_mark(const uint8_t mark[TRACE_MARK_SIZE], char digits[33])
{
    for (int i = 0; i < TRACE_MARK_SIZE; i++)
        snprintf(digits + 2 * i, 3, "%02x", mark[i]);
}

void sink_bytes_header(uint8_t *at, const uint8_t mark[TRACE_MARK_SIZE],
                       const struct sink_chunk *chunk, uint64_t capacity)
{
    memcpy(at + TRACE_CHUNK_MARK, mark, TRACE_MARK_SIZE);
    trace_put_u32(at + TRACE_CHUNK_CRC, 0);
    trace_put_u32(at + TRACE_CHUNK_KIND, chunk->kind);
    trace_put_u32(at + TRACE_CHUNK_FLAGS, chunk->flags);
    trace_put_u32(at + TRACE_CHUNK_PROCESS, chunk->process);
    trace_put_u32(at + TRACE_CHUNK_THREAD, chunk->thread);
    trace_put_u32(at + TRACE_CHUNK_ENCODING, TRACE_ENCODING_RAW);
    trace_put_u64(at + TRACE_CHUNK_SEQUENCE, chunk->sequence);
    trace_put_u64(at + TRACE_CHUNK_CAPACITY, capacity);
    trace_put_u64(at + TRACE_CHUNK_LENGTH, chunk->length);
    trace_put_u64(at + TRACE_CHUNK_TICKS, chunk->ticks);
    trace_put_u64(at + TRACE_CHUNK_MONOTONIC, chunk->monotonic_ns);
    trace_put_u64(at + TRACE_CHUNK_EVENTS_BEFORE, chunk->events_before);
    trace_put_u64(at + TRACE_CHUNK_CPU, chunk->cpu_ns);
}

void sink_bytes_seal(uint8_t header[TRACE_CHUNK_PAYLOAD], const void *payload, uint64_t length)
{
    uint32_t crc;

    trace_put_u32(header + TRACE_CHUNK_FLAGS,
                  trace_get_u32(header + TRACE_CHUNK_FLAGS) | TRACE_FLAG_SEALED);
    trace_put_u64(header + TRACE_CHUNK_LENGTH, length);
    crc = crc32c(0, header + TRACE_CHUNK_KIND, TRACE_CHUNK_PAYLOAD - TRACE_CHUNK_KIND);
    trace_put_u32(header + TRACE_CHUNK_CRC, crc32c(crc, payload, length));
}

int sink_bytes_write(int fd, const uint8_t *bytes, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, bytes, size, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        bytes += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}
