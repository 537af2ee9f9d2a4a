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

/* A unit of time in a SAMPLES chunk is 2^(tick_shift + this) ticks. */
#define TRACE_SAMPLE_SHIFT 7u

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

/* A node below `parent` (0: the root): `code` at `step` lines from its first. */
static inline uint8_t *trace_put_node(uint8_t *at, uint64_t parent, uint64_t code, int64_t step)
{
    return trace_put_sample_record(at, TRACE_SAMPLE_NODE, parent, code, trace_zigzag(step), 3);
}

static inline uint8_t *trace_put_sample(uint8_t *at, enum trace_sample_tag state, uint64_t units,
                                        uint64_t node, uint64_t cpu)
{
    return trace_put_sample_record(at, state, units, node, cpu, 3);
}

static inline uint8_t *trace_put_same(uint8_t *at, uint64_t units, uint64_t count)
{
    return trace_put_sample_record(at, TRACE_SAMPLE_SAME, units, count, 0, 2);
}

static inline uint8_t *trace_put_missed(uint8_t *at, uint64_t count)
{
    return trace_put_sample_record(at, TRACE_SAMPLE_MISSED, count, 0, 0, 1);
}

static inline uint8_t *trace_put_sample_gap(uint8_t *at, uint64_t units, uint64_t reason)
{
    return trace_put_sample_record(at, TRACE_SAMPLE_GAP, units, reason, 0, 2);
}

/* One record. Which fields mean something depends on the tag; the others are zero. */
struct trace_sample {
    enum trace_sample_tag tag;
    uint64_t time;     /* units since the record before that has a time */
    uint64_t node;     /* NODE: its parent; a sample: the innermost frame's, 0: no Python frame */
    uint64_t code;     /* NODE; 0: not known */
    int64_t line_step; /* NODE: less the code's first line */
    uint64_t cpu;      /* of a sample: microseconds of the thread's CPU time since the one before */
    uint64_t count;    /* SAME, MISSED: samples */
    uint64_t reason;   /* GAP */
};

/* Decodes the next record, EXTENSIONs included. False at the end or on failure, as
 * trace_next_event(). */
bool trace_next_sample(struct trace_cursor *cur, struct trace_sample *sample);

#endif
