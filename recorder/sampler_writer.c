#include "recorder/sampler_writer.h"

#include <stdlib.h>
#include <string.h>

#include "formats/trace/samples.h"
#include "recorder/clock.h"
#include "recorder/facts.h"
#include "recorder/recorder.h"
#include "recorder/sampler_pack.h"

#define SMALLEST_CAPACITY (4u << 10)
#define USUAL_CAPACITY (64u << 10)
#define LARGEST_CAPACITY (256u << 10)

/* A node: tag, parent, code (5 bytes each) and line (5). A sample, with what may stand before it.
 */
#define NODE_SIZE 16
#define SAMPLE_RESERVE (5 * TRACE_SAMPLE_SIZE_MAX)

/* Of CPU time a period has so many units: two periods fit a byte. */
#define CPU_UNITS 64u

/* After so much of sameness a record says so: it is all that a kill can lose. */
#define SAME_NS UINT64_C(1000000000)

/* --- Chunks --- */

static void count_samples(struct sampler_writer *writer)
{
    sink_count_events(&recorder.sink, writer->samples - writer->samples_counted);
    writer->samples_counted = writer->samples;
}

static void seal(struct sampler_writer *writer)
{
    if (writer->slot.bytes == NULL)
        return;
    sink_slot_seal(&writer->slot,
                   (uint64_t)(writer->at - writer->slot.bytes) - TRACE_CHUNK_PAYLOAD);
    sink_slot_unmap(&writer->slot);
    writer->sequence++;
    writer->at = writer->end = NULL;
    count_samples(writer);
}

static void forget_nodes(struct sampler_writer *writer)
{
    writer->chunk++;
    writer->node_count = 0;
    if (writer->nodes != NULL)
        memset(writer->nodes, 0, writer->node_room * sizeof *writer->nodes);
}

/* Fine enough for a period, and no finer: what is left over goes to the next record. */
static void set_units(struct sampler_writer *writer)
{
    double period = (double)recorder.settings.sample_ns;
    double ticks = period * (double)recorder.sink.tick_rate / 1e9;

    writer->time_unit = (uint64_t)(ticks / TRACE_SAMPLE_PERIOD) >> recorder.sink.tick_shift;
    writer->cpu_unit = recorder.settings.sample_ns / CPU_UNITS;
    writer->time_unit += writer->time_unit == 0;
    writer->cpu_unit += writer->cpu_unit == 0;
}

/* Each chunk defines its nodes anew, and has room that is never used when the thread ends. So it is
 * large only if nodes take more than a little of it: some 4 bytes each. */
static uint64_t next_capacity(const struct sampler_writer *writer, size_t need)
{
    uint64_t capacity = SMALLEST_CAPACITY;

    if (writer->slot.bytes != NULL) {
        bool grows = writer->slot.capacity < USUAL_CAPACITY ||
                     writer->node_count > writer->slot.capacity / 64;

        capacity = writer->slot.capacity << (grows ? 2 : 0);
        capacity = capacity < LARGEST_CAPACITY ? capacity : LARGEST_CAPACITY;
    }
    while (capacity < TRACE_CHUNK_PAYLOAD + need + SAMPLE_RESERVE)
        capacity *= 2;
    return capacity;
}

static bool next_chunk(struct sampler_writer *writer, size_t need)
{
    uint64_t now = clock_ticks();
    struct sink_chunk chunk = {
        .kind = TRACE_SAMPLES,
        .process = recorder.process,
        .thread = writer->number,
        .ticks = writer->last,
        .events_before = writer->samples,
        .cpu_ns = writer->cpu,
    };
    uint64_t capacity = next_capacity(writer, need);

    seal(writer);
    chunk.sequence = writer->sequence;
    /* The anchor lies back where the time of the first sample begins. */
    chunk.monotonic_ns =
        clock_read_ns(CLOCK_MONOTONIC) -
        (uint64_t)((double)(now - writer->last) * 1e9 / (double)recorder.sink.tick_rate);
    if ((capacity != SMALLEST_CAPACITY || !sampler_pack_take(&writer->slot, &chunk)) &&
        !sink_slot_open(&recorder.sink, &writer->slot, capacity, &chunk)) {
        recorder_halt();
        return false;
    }
    writer->at = writer->slot.bytes + TRACE_CHUNK_PAYLOAD;
    writer->end = writer->slot.bytes + writer->slot.capacity - SAMPLE_RESERVE;
    writer->at = trace_put_sample_units(writer->at, writer->time_unit, writer->cpu_unit);
    forget_nodes(writer);
    return true;
}

/* --- Time --- */

/* The units that have passed until `now`; they are taken as written. */
static uint64_t pass(struct sampler_writer *writer, uint64_t now)
{
    uint64_t unit = writer->time_unit << recorder.sink.tick_shift;
    uint64_t units = now > writer->last ? (now - writer->last) / unit : 0;

    writer->last += units * unit;
    return units;
}

static uint64_t pass_cpu(struct sampler_writer *writer, uint64_t cpu)
{
    uint64_t units = cpu > writer->cpu ? (cpu - writer->cpu) / writer->cpu_unit : 0;

    writer->cpu += units * writer->cpu_unit;
    return units;
}

static void flush(struct sampler_writer *writer)
{
    if (writer->same > 0 && writer->at != NULL) {
        writer->at = trace_put_same(writer->at, pass(writer, writer->same_until), writer->same);
        writer->samples += writer->same;
    }
    if (writer->missed > 0 && writer->at != NULL)
        writer->at = trace_put_missed(writer->at, writer->missed);
    writer->same = writer->missed = 0;
}

/* --- Nodes --- */

static uint64_t hash_node(uint64_t key, uint32_t line)
{
    return ((key ^ (uint64_t)line << 20) * UINT64_C(0x9E3779B97F4A7C15)) >> 20;
}

static struct sampler_node *find_node(const struct sampler_writer *writer, uint64_t key,
                                      uint32_t line)
{
    size_t i = hash_node(key, line) & (writer->node_room - 1);

    while (writer->nodes[i].number != 0 &&
           (writer->nodes[i].key != key || writer->nodes[i].line != line))
        i = (i + 1) & (writer->node_room - 1);
    return &writer->nodes[i];
}

static bool grow_nodes(struct sampler_writer *writer, size_t count)
{
    size_t room = writer->node_room != 0 ? writer->node_room : 256, old_room = writer->node_room;
    struct sampler_node *old = writer->nodes;

    while (room < 2 * count)
        room *= 2;
    if (room == old_room)
        return true;
    writer->nodes = calloc(room, sizeof *writer->nodes);
    if (writer->nodes == NULL) {
        writer->nodes = old;
        return false;
    }
    writer->node_room = room;
    for (size_t i = 0; i < old_room; i++) {
        if (old[i].number != 0)
            *find_node(writer, old[i].key, old[i].line) = old[i];
    }
    free(old);
    return true;
}

bool sampler_writer_reserve(struct sampler_writer *writer, size_t count, size_t depth)
{
    if (writer->slot.bytes == NULL || writer->at + count * NODE_SIZE >= writer->end) {
        flush(writer);
        if (!next_chunk(writer, depth * NODE_SIZE))
            return false;
        count = depth;
    }
    if (grow_nodes(writer, writer->node_count + count + 1))
        return true;
    recorder_halt();
    return false;
}

uint32_t sampler_writer_node(struct sampler_writer *writer, uint32_t parent, uint32_t code,
                             int32_t line, int32_t first_line)
{
    uint64_t key = (uint64_t)parent << 32 | code;
    struct sampler_node *node = find_node(writer, key, (uint32_t)line);

    if (node->number != 0)
        return node->number;
    writer->at =
        trace_put_node(writer->at, writer->node_count, parent, code, (int64_t)line - first_line);
    *node = (struct sampler_node){key, (uint32_t)line, ++writer->node_count};
    return node->number;
}

/* --- Records --- */

static void write_thread_fact(const struct sampler_writer *writer, const char *name,
                              size_t name_size, int native, bool is_main)
{
    struct fact fact;

    fact_init(&fact);
    fact_put_uint(&fact, writer->number);
    fact_put_uint(&fact, (uint64_t)native);
    fact_put_string(&fact, name, name != NULL ? name_size : 0);
    fact_put_uint(&fact, is_main);
    facts_write(TRACE_FACT_THREAD, &fact);
}

bool sampler_writer_begin(struct sampler_writer *writer, const char *name, size_t name_size,
                          int native, bool is_main, uint64_t since, uint64_t cpu)
{
    writer->number = sink_take_thread(&recorder.sink);
    writer->last = since;
    writer->cpu = cpu;
    set_units(writer);
    write_thread_fact(writer, name, name_size, native, is_main);
    return recorder.running;
}

void sampler_writer_sample(struct sampler_writer *writer, enum trace_sample_tag state, uint64_t now,
                           uint32_t node, uint64_t cpu)
{
    uint64_t units;

    flush(writer);
    units = pass(writer, now);
    /* What it ran before it waited is told when it runs again: it is the time of where it runs. */
    cpu = state == TRACE_SAMPLE_RUNNING ? pass_cpu(writer, cpu) : 0;
    writer->at = trace_put_sample(writer->at, state, units, node, cpu);
    writer->samples++;
}

void sampler_writer_same(struct sampler_writer *writer, uint64_t count, uint64_t now)
{
    writer->same += count;
    writer->same_until = now;
    if (now - writer->last < SAME_NS * (recorder.sink.tick_rate / 1000000) / 1000)
        return;
    if (writer->at < writer->end || sampler_writer_reserve(writer, 0, 0))
        flush(writer);
}

void sampler_writer_gap(struct sampler_writer *writer, uint64_t now, enum trace_gap_reason reason,
                        uint64_t cpu)
{
    if (!sampler_writer_reserve(writer, 0, 0))
        return;
    flush(writer);
    writer->at = trace_put_sample_gap(writer->at, pass(writer, now), (uint64_t)reason);
    pass_cpu(writer, cpu);
}

void sampler_writer_end(struct sampler_writer *writer)
{
    if (writer->number == 0)
        return;
    flush(writer);
    seal(writer);
}

void sampler_writer_pack(struct sampler_writer *writer)
{
    uint64_t length;

    if (writer->slot.bytes == NULL)
        return;
    flush(writer);
    length = (uint64_t)(writer->at - writer->slot.bytes) - TRACE_CHUNK_PAYLOAD;
    if (!sampler_pack_put(&writer->slot, length))
        return;
    writer->sequence++;
    writer->at = writer->end = NULL;
    count_samples(writer);
}

void sampler_writer_fini(struct sampler_writer *writer, bool of_parent)
{
    if (of_parent)
        sink_slot_unmap(&writer->slot);
    else
        sampler_writer_end(writer);
    free(writer->nodes);
    *writer = (struct sampler_writer){0};
}
