#include "formats/trace/samples.h"

#include <string.h>

/* Before a UNITS record. */
#define TIME_UNIT 128u
#define CPU_UNIT 1000u

struct trace_sampling trace_sampling_new(void)
{
    return (struct trace_sampling){.time_unit = TIME_UNIT, .cpu_unit = CPU_UNIT};
}

/* What is too large for any clock stays so. */
static uint64_t scale(uint64_t value, uint64_t unit)
{
    uint64_t product;

    return __builtin_mul_overflow(value, unit, &product) ? UINT64_MAX : product;
}

static void read_long(struct trace_cursor *cur, const struct trace_sampling *sampling,
                      struct trace_sample *sample)
{
    switch (sample->tag) {
    case TRACE_SAMPLE_NODE:
        sample->node = trace_read_varint(cur);
        sample->code = trace_read_varint(cur);
        sample->line_step = trace_read_svarint(cur);
        break;
    case TRACE_SAMPLE_MISSED:
        sample->count = trace_read_varint(cur);
        break;
    case TRACE_SAMPLE_GAP:
        sample->time = scale(trace_read_varint(cur), sampling->time_unit);
        sample->reason = trace_read_varint(cur);
        break;
    case TRACE_SAMPLE_UNITS:
        sample->time = trace_read_varint(cur);
        sample->cpu = trace_read_varint(cur);
        break;
    case TRACE_SAMPLE_EXTENSION:
        trace_read_varint(cur);
        trace_read_string(cur);
        break;
    default:
        cur->status = TRACE_BAD_TAG;
        break;
    }
}

static void read_short_node(struct trace_cursor *cur, uint8_t first,
                            const struct trace_sampling *sampling, struct trace_sample *sample)
{
    sample->tag = TRACE_SAMPLE_NODE;
    sample->node = sampling->nodes;
    sample->code = trace_read_varint(cur);
    sample->line_step = first & (TRACE_SHORT_NODE_LINES - 1);
}

/* Times that lie before the record they follow are none. */
static uint64_t add_units(uint64_t units, int64_t more)
{
    if (more < 0)
        return units > -(uint64_t)more ? units - -(uint64_t)more : 0;
    return (uint64_t)more > UINT64_MAX - units ? UINT64_MAX : units + (uint64_t)more;
}

static void read_timed(struct trace_cursor *cur, uint8_t first,
                       const struct trace_sampling *sampling, struct trace_sample *sample)
{
    int64_t time = first & TRACE_SAMPLE_FAR;
    uint64_t before = 0;

    sample->tag = (enum trace_sample_tag)(TRACE_SAMPLE_RUNNING + (first >> 5 & 3));
    if (time == TRACE_SAMPLE_FAR)
        time = trace_read_svarint(cur);
    if (sample->tag == TRACE_SAMPLE_SAME) {
        uint64_t more = trace_read_varint(cur);

        before = scale(more, TRACE_SAMPLE_PERIOD);
        sample->count = more == UINT64_MAX ? more : more + 1;
    } else {
        sample->node = trace_read_varint(cur);
    }
    if (sample->tag == TRACE_SAMPLE_RUNNING)
        sample->cpu = scale(trace_read_varint(cur), sampling->cpu_unit);
    sample->time = scale(add_units(before, time), sampling->time_unit);
}

static void rely_on(struct trace_sampling *sampling, const struct trace_sample *sample)
{
    if (sample->tag == TRACE_SAMPLE_NODE) {
        sampling->nodes++;
    } else if (sample->tag == TRACE_SAMPLE_UNITS) {
        sampling->time_unit = sample->time;
        sampling->cpu_unit = sample->cpu;
    }
}

bool trace_next_sample(struct trace_cursor *cur, struct trace_sampling *sampling,
                       struct trace_sample *sample)
{
    const uint8_t *start = cur->at;

    memset(sample, 0, sizeof *sample);
    if (cur->status != TRACE_OK)
        return false;
    if (cur->at == cur->end || *cur->at == TRACE_SAMPLE_END) {
        cur->status = TRACE_AT_END;
        return false;
    }
    sample->tag = (enum trace_sample_tag) * cur->at++;
    if (*start >= TRACE_SAMPLE_TIMED)
        read_timed(cur, *start, sampling, sample);
    else if (*start >= TRACE_SHORT_NODE)
        read_short_node(cur, *start, sampling, sample);
    else
        read_long(cur, sampling, sample);
    if (cur->status != TRACE_OK) {
        cur->at = start;
        return false;
    }
    rely_on(sampling, sample);
    return true;
}
