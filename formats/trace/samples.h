/* samples.h - the records of SAMPLES chunks, written and read (TRACE.md section 9).
 *
 * Writing is as in encode.h: inline, cannot fail, published by the first byte. Reading is as in
 * decode.h: any bytes are allowed, a cursor's first failure sticks.
 */
#ifndef FORMATS_TRACE_SAMPLES_H
#define FORMATS_TRACE_SAMPLES_H

#include "formats/trace/decode.h"
#include "formats/trace/encode.h"

/* Any record fits: a tag and three varints. */
#define TRACE_SAMPLE_SIZE_MAX (1 + 3 * TRACE_VARINT_SIZE_MAX)

static inline uint8_t *trace_put_sample_record(uint8_t *at, enum trace_sample_tag tag, uint64_t a,
                                               uint64_t b, uint64_t c, unsigned count)
{
    uint8_t *end = trace_put_varint(at + 1, a);

    if (count > 1)
        end = trace_put_varint(end, b);
    if (count > 2)
        end = trace_put_varint(end, c);
    trace_publish(at, (uint8_t)tag);
    return end;
}

/* From here on a unit of time is `time` times 2^tick_shift ticks, and one of CPU time `cpu_ns`. */
static inline uint8_t *trace_put_sample_units(uint8_t *at, uint64_t time, uint64_t cpu_ns)
{
    return trace_put_sample_record(at, TRACE_SAMPLE_UNITS, time, cpu_ns, 0, 2);
}

/* A node below `parent` (0: the root): `code` at `step` lines from its first. `count`: of the nodes
 * that the chunk has already. */
static inline uint8_t *trace_put_node(uint8_t *at, uint64_t count, uint64_t parent, uint64_t code,
                                      int64_t step)
{
    uint8_t *end;

    if (parent != count || step < 0 || step >= (int64_t)TRACE_SHORT_NODE_LINES)
        return trace_put_sample_record(at, TRACE_SAMPLE_NODE, parent, code, trace_zigzag(step), 3);
    end = trace_put_varint(at + 1, code);
    trace_publish(at, (uint8_t)(TRACE_SHORT_NODE | (uint64_t)step));
    return end;
}

/* The time of a record, unless the first byte has it. */
static inline uint8_t *trace_put_sample_time(uint8_t *at, int64_t units)
{
    return (uint64_t)units < TRACE_SAMPLE_FAR ? at : trace_put_svarint(at, units);
}

static inline void trace_publish_sample(uint8_t *at, enum trace_sample_tag tag, int64_t units)
{
    unsigned time = (uint64_t)units < TRACE_SAMPLE_FAR ? (unsigned)units : TRACE_SAMPLE_FAR;

    trace_publish(
        at, (uint8_t)(TRACE_SAMPLE_TIMED | (unsigned)(tag - TRACE_SAMPLE_RUNNING) << 5 | time));
}

/* `cpu` counts with RUNNING only. */
static inline uint8_t *trace_put_sample(uint8_t *at, enum trace_sample_tag state, uint64_t units,
                                        uint64_t node, uint64_t cpu)
{
    uint8_t *end = trace_put_varint(trace_put_sample_time(at + 1, (int64_t)units), node);

    if (state == TRACE_SAMPLE_RUNNING)
        end = trace_put_varint(end, cpu);
    trace_publish_sample(at, state, (int64_t)units);
    return end;
}

/* `count` is at least 1. */
static inline uint8_t *trace_put_same(uint8_t *at, uint64_t units, uint64_t count)
{
    int64_t rest = (int64_t)(units - (count - 1) * TRACE_SAMPLE_PERIOD);
    uint8_t *end = trace_put_varint(trace_put_sample_time(at + 1, rest), count - 1);

    trace_publish_sample(at, TRACE_SAMPLE_SAME, rest);
    return end;
}

static inline uint8_t *trace_put_missed(uint8_t *at, uint64_t count)
{
    return trace_put_sample_record(at, TRACE_SAMPLE_MISSED, count, 0, 0, 1);
}

static inline uint8_t *trace_put_sample_gap(uint8_t *at, uint64_t units, uint64_t reason)
{
    return trace_put_sample_record(at, TRACE_SAMPLE_GAP, units, reason, 0, 2);
}

/* What the records of a chunk rely on: those before them. */
struct trace_sampling {
    uint64_t time_unit; /* times 2^tick_shift ticks */
    uint64_t cpu_unit;  /* ns */
    uint64_t nodes;     /* how many there are */
};

/* As a chunk begins. */
struct trace_sampling trace_sampling_new(void);

/* One record. Which fields mean something depends on the tag; the others are zero. */
struct trace_sample {
    enum trace_sample_tag tag;
    uint64_t time;     /* times 2^tick_shift ticks, since the record before that has a time */
    uint64_t node;     /* NODE: its parent; a sample: the innermost frame's, 0: no Python frame */
    uint64_t code;     /* NODE; 0: not known */
    int64_t line_step; /* NODE: less the code's first line */
    uint64_t cpu;      /* of a sample: ns of CPU time that no sample before it told of */
    uint64_t count;    /* SAME, MISSED: samples */
    uint64_t reason;   /* GAP */
};

/* Decodes the next record, EXTENSIONs and UNITS included. False at the end or on failure, as
 * trace_next_event(). */
bool trace_next_sample(struct trace_cursor *cur, struct trace_sampling *sampling,
                       struct trace_sample *sample);

#endif
