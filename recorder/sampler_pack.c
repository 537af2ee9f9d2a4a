#include "recorder/sampler_pack.h"

#include "recorder/clock.h"
#include "recorder/recorder.h"

#define SMALLEST_CAPACITY (4u << 10)
#define LARGEST_CAPACITY (64u << 10)

/* What is larger is worth a page of its own. */
#define LENGTH_MAX 2048u
#define FREE_MAX 16

static struct {
    struct sink_slot slot;
    uint8_t *at; /* where the next one goes */
    uint64_t sequence;
    struct sink_slot free[FREE_MAX]; /* what they hold has been copied */
    int free_count;
} pack;

void sampler_pack_seal(void)
{
    if (pack.slot.bytes == NULL)
        return;
    sink_slot_seal(&pack.slot, (uint64_t)(pack.at - pack.slot.bytes) - TRACE_CHUNK_PAYLOAD);
    sink_slot_unmap(&pack.slot);
}

static bool open_pack(void)
{
    struct sink_chunk chunk = {
        .kind = TRACE_PACK,
        .process = recorder.process,
        .sequence = pack.sequence,
        .ticks = clock_ticks(),
        .monotonic_ns = clock_read_ns(CLOCK_MONOTONIC),
    };
    uint64_t capacity = SMALLEST_CAPACITY << 2 * (pack.sequence < 2 ? pack.sequence : 2);

    sampler_pack_seal();
    if (!sink_slot_open(&recorder.sink, &pack.slot, capacity, &chunk))
        return false;
    pack.at = pack.slot.bytes + TRACE_CHUNK_PAYLOAD;
    pack.sequence++;
    return true;
}

bool sampler_pack_put(struct sink_slot *slot, uint64_t length)
{
    uint64_t most = TRACE_PACKED_HEADER_MAX + length;

    if (slot->capacity != TRACE_PAGE || length > LENGTH_MAX || pack.free_count == FREE_MAX)
        return false;
    if ((pack.slot.bytes == NULL ||
         (uint64_t)(pack.at - pack.slot.bytes) + most > pack.slot.capacity) &&
        !open_pack())
        return false;
    pack.at = sink_slot_pack(slot, length, &pack.slot, pack.at);
    pack.free[pack.free_count++] = *slot;
    *slot = (struct sink_slot){0};
    return true;
}

bool sampler_pack_take(struct sink_slot *slot, const struct sink_chunk *chunk)
{
    if (pack.free_count == 0)
        return false;
    *slot = pack.free[--pack.free_count];
    sink_slot_reuse(slot, chunk, (const uint8_t *)"", 0);
    return true;
}

void sampler_pack_end(bool of_parent)
{
    while (pack.free_count > 0) {
        struct sink_slot *slot = &pack.free[--pack.free_count];

        if (!of_parent)
            sink_slot_clear(slot);
        sink_slot_unmap(slot);
    }
    if (of_parent)
        sink_slot_unmap(&pack.slot);
    else
        sampler_pack_seal();
    pack.sequence = 0;
}
