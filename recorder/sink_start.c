#include "recorder/sink_start.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "formats/trace/crc32c.h"
#include "formats/trace/encode.h"
#include "recorder/clock.h"
#include "recorder/sink_bytes.h"

static void fill_header(uint8_t *page, const uint8_t mark[TRACE_MARK_SIZE], uint64_t end)
{
    enum trace_clock clock = clock_choose();
    uint64_t rate;

    clock_use(clock);
    rate = clock_measure_rate();
    memcpy(page, TRACE_MAGIC, TRACE_MAGIC_SIZE);
    page[TRACE_HEADER_WRITE_VERSION] = TRACE_WRITE_VERSION;
    page[TRACE_HEADER_READ_VERSION] = TRACE_READ_VERSION;
    memcpy(page + TRACE_HEADER_MARK, mark, TRACE_MARK_SIZE);
    trace_put_u64(page + TRACE_HEADER_REALTIME, clock_read_ns(CLOCK_REALTIME));
    trace_put_u64(page + TRACE_HEADER_TICKS, clock_ticks());
    trace_put_u64(page + TRACE_HEADER_MONOTONIC, clock_read_ns(CLOCK_MONOTONIC));
    trace_put_u64(page + TRACE_HEADER_TICK_RATE, rate);
    trace_put_u32(page + TRACE_HEADER_CLOCK, clock);
    trace_put_u32(page + TRACE_HEADER_TICK_SHIFT, clock_tick_shift(rate));
    trace_put_u32(page + TRACE_HEADER_CRC, crc32c(0, page + TRACE_HEADER_MARK,
                                                  TRACE_HEADER_CHECKED_END - TRACE_HEADER_MARK));
    trace_put_u64(page + TRACE_HEADER_END, end);
    trace_put_u32(page + TRACE_HEADER_NEXT_PROCESS, 1);
    trace_put_u32(page + TRACE_HEADER_NEXT_THREAD, 1);
}

static size_t settings_size(const struct sink_setting *settings, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += 1 + 3 * TRACE_VARINT_SIZE_MAX + strlen(settings[i].key) + settings[i].value_size;
    return size;
}

static uint8_t *put_setting(uint8_t *at, const struct sink_setting *setting)
{
    size_t key_size = strlen(setting->key);
    uint8_t sizes[2 * TRACE_VARINT_SIZE_MAX];
    size_t body =
        (size_t)(trace_put_varint(trace_put_varint(sizes, key_size), setting->value_size) - sizes) +
        key_size + setting->value_size;

    *at++ = TRACE_FACT_SETTING;
    at = trace_put_varint(at, body);
    at = trace_put_string(at, setting->key, key_size);
    return trace_put_string(at, setting->value, setting->value_size);
}

/* Header page and RUN chunk in one piece of memory; NULL: out of memory. */
static uint8_t *build_start(const struct sink_setting *settings, size_t count,
                            const uint8_t mark[TRACE_MARK_SIZE], size_t *size)
{
    size_t capacity = sink_bytes_round(TRACE_CHUNK_PAYLOAD + settings_size(settings, count));
    uint8_t *bytes = calloc(1, TRACE_PAGE + capacity);
    struct sink_chunk chunk = {.kind = TRACE_RUN};
    uint8_t *run, *payload, *at;

    if (bytes == NULL)
        return NULL;
    run = bytes + TRACE_PAGE;
    payload = at = run + TRACE_CHUNK_PAYLOAD;
    fill_header(bytes, mark, TRACE_PAGE + capacity);
    chunk.ticks = clock_ticks();
    chunk.monotonic_ns = clock_read_ns(CLOCK_MONOTONIC);
    sink_bytes_header(run, mark, &chunk, capacity);
    for (size_t i = 0; i < count; i++)
        at = put_setting(at, &settings[i]);
    sink_bytes_seal(run, payload, (uint64_t)(at - payload));
    *size = TRACE_PAGE + capacity;
    return bytes;
}

int sink_start_write(int fd, const struct sink_setting *settings, size_t count, char mark[33])
{
    uint8_t mark_bytes[TRACE_MARK_SIZE];
    uint8_t *bytes;
    size_t size = 0;
    int failure;

    if (getrandom(mark_bytes, sizeof mark_bytes, 0) != (ssize_t)sizeof mark_bytes)
        return errno;
    bytes = build_start(settings, count, mark_bytes, &size);
    if (bytes == NULL)
        return ENOMEM;
    failure = sink_bytes_write(fd, bytes, size, 0);
    sink_bytes_mark(mark_bytes, mark);
    free(bytes);
    return failure;
}
