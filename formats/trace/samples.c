#include "formats/trace/samples.h"

#include <string.h>

static void read_fields(struct trace_cursor *cur, struct trace_sample *sample)
{
    switch (sample->tag) {
    case TRACE_SAMPLE_NODE:
        sample->node = trace_read_varint(cur);
        sample->code = trace_read_varint(cur);
        sample->line_step = trace_read_svarint(cur);
        break;
    case TRACE_SAMPLE_RUNNING:
    case TRACE_SAMPLE_GIL:
    case TRACE_SAMPLE_BLOCKED:
        sample->time = trace_read_varint(cur);
        sample->node = trace_read_varint(cur);
        sample->cpu = trace_read_varint(cur);
        break;
    case TRACE_SAMPLE_SAME:
        sample->time = trace_read_varint(cur);
        sample->count = trace_read_varint(cur);
        break;
    case TRACE_SAMPLE_MISSED:
        sample->count = trace_read_varint(cur);
        break;
    case TRACE_SAMPLE_GAP:
        sample->time = trace_read_varint(cur);
        sample->reason = trace_read_varint(cur);
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

bool trace_next_sample(struct trace_cursor *cur, struct trace_sample *sample)
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
    read_fields(cur, sample);
    if (cur->status == TRACE_OK)
        return true;
    cur->at = start;
    return false;
}
