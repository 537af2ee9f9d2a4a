/* small_trace.h - a trace of a few kilobytes with everything in it, sealed or not. Header-only, as
 * trace_builder.h. */
#ifndef TESTS_UNIT_SMALL_TRACE_H
#define TESTS_UNIT_SMALL_TRACE_H

#include "formats/trace/sha256.h"
#include "tests/unit/trace_builder.h"

#define SMALL_TRACE_CHUNKS 8
#define SMALL_TRACE_EVENTS 105
#define SMALL_TRACE_END 9000 /* ticks after the start */

MAYBE const char source[] = "def f():\n    return 1\n\nfor i in range(9):\n    f()\n";

/* The trace, where its chunks begin, and the file that damaged ones are written to. */
struct small_trace {
    struct bytes bytes;
    size_t chunks[SMALL_TRACE_CHUNKS + 1];
    size_t payloads[SMALL_TRACE_CHUNKS]; /* their sizes */
    unsigned count;
    char path[64];
};

/* --- The trace --- */

MAYBE void add_chunk(struct small_trace *trace, struct build_chunk chunk, struct bytes *payload)
{
    trace->payloads[trace->count] = payload->size;
    build_chunk(&trace->bytes, chunk, payload);
    trace->chunks[++trace->count] = trace->bytes.size;
    free(payload->at);
    *payload = (struct bytes){0};
}

MAYBE void put_file(struct bytes *out)
{
    struct bytes fields = {0};
    uint8_t digest[SHA256_SIZE];

    sha256(source, sizeof source - 1, digest);
    put_varint(&fields, 1);
    put_string(&fields, "/p/app.py");
    put_string(&fields, "app.py");
    put_varint(&fields, 0);
    put_varint(&fields, sizeof digest);
    put(&fields, digest, sizeof digest);
    put_varint(&fields, sizeof source - 1);
    put_record(out, TRACE_FACT_FILE, &fields);
    free(fields.at);
}

MAYBE void put_stats(struct bytes *out, unsigned thread, unsigned events)
{
    struct bytes fields = {0};

    put_varint(&fields, thread);
    put_varint(&fields, events);
    put_varint(&fields, events);
    put_varint(&fields, 1);
    put_varint(&fields, 1);
    put_record(out, TRACE_FACT_STATS, &fields);
    free(fields.at);
}

/* Five turns of a loop that calls a function: 6 events each. */
MAYBE void put_turns(struct bytes *events, int first_step)
{
    for (int i = 0; i < 5; i++) {
        ev_line(events, i ? -1 : first_step);
        ev_line(events, 1);
        ev_call(events, 12);
        ev_line(events, 1);
        if (i % 4 == 3) {
            put_byte(events, TRACE_TAG_CPU);
            put_varint(events, 0);
        }
        ev_return(events);
        ev_with(events, TRACE_TAG_MARK, 20);
    }
}

MAYBE void put_stack_of_main(struct bytes *out, unsigned next, unsigned kept, int step)
{
    put_varint(out, next);
    put_varint(out, 1);
    put_varint(out, kept);
    if (kept)
        return;
    put_varint(out, 11 << 1);
    put_svarint(out, step);
    put_varint(out, next - 1);
}

/* RUN, FACTS, EVENTS of two threads in three and one chunks, one with its stack record apart, the
 * text. */
MAYBE void small_trace_make(struct small_trace *trace, bool unsealed)
{
    struct bytes payload = {0};
    struct build_chunk events = {
        .kind = TRACE_EVENTS, .process = 1, .thread = 1, .unsealed = unsealed};

    *trace = (struct small_trace){0};
    build_header(&trace->bytes, TRACE_CLOCK_MONOTONIC, 0, 1000000000);
    trace->chunks[0] = trace->bytes.size;
    fact_setting(&payload, "mode", "exact");
    fact_setting(&payload, "source", "1");
    add_chunk(trace, (struct build_chunk){.kind = TRACE_RUN, .ticks = BUILDER_START}, &payload);
    fact_process(&payload, 0, TRACE_PROCESS_FIRST, 100, 1);
    put_file(&payload);
    fact_code(&payload, 11, 1, 1, 6, "<module>");
    fact_code(&payload, 12, 1, 1, 2, "f");
    fact_string(&payload, 20, "here");
    put_stats(&payload, 1, 92);
    put_stats(&payload, 2, 13);
    fact_end(&payload, TRACE_END_EXIT, 0, BUILDER_START + SMALL_TRACE_END);
    add_chunk(trace,
              (struct build_chunk){
                  .kind = TRACE_FACTS, .process = 1, .ticks = BUILDER_START, .unsealed = unsealed},
              &payload);

    events.ticks = BUILDER_START;
    no_stack(&payload);
    ev_call(&payload, 11);
    put_turns(&payload, 3);
    add_chunk(trace, events, &payload); /* 31 events */
    events = (struct build_chunk){.kind = TRACE_EVENTS,
                                  .process = 1,
                                  .thread = 1,
                                  .sequence = 1,
                                  .ticks = BUILDER_START + 1000,
                                  .events_before = 31,
                                  .unsealed = unsealed};
    put_stack_of_main(&payload, 7, 1, 4);
    put_turns(&payload, -1);
    add_chunk(trace, events, &payload); /* 30 */
    put_stack_of_main(&payload, 12, 0, 4);
    events.sequence = 2;
    events.ticks = BUILDER_START + 2000;
    events.events_before = 61;
    add_chunk(trace,
              (struct build_chunk){.kind = TRACE_STACK,
                                   .process = 1,
                                   .thread = 1,
                                   .sequence = 2,
                                   .ticks = BUILDER_START + 2000},
              &payload);
    put_turns(&payload, -1);
    ev_return(&payload);
    events.apart = true;
    add_chunk(trace, events, &payload); /* 31 */
    no_stack(&payload);
    ev_call(&payload, 12);
    for (int i = 0; i < 11; i++)
        ev_line(&payload, i & 1 ? -1 : 1);
    ev_return(&payload);
    add_chunk(trace,
              (struct build_chunk){.kind = TRACE_EVENTS,
                                   .process = 1,
                                   .thread = 2,
                                   .ticks = BUILDER_START + 100,
                                   .unsealed = unsealed},
              &payload); /* 13 */
    put_varint(&payload, 1);
    put_varint(&payload, 0);
    put_varint(&payload, sizeof source - 1);
    put(&payload, source, sizeof source - 1);
    add_chunk(
        trace,
        (struct build_chunk){.kind = TRACE_SOURCE, .process = 1, .ticks = BUILDER_START + 3000},
        &payload);
    if (trace->count != SMALL_TRACE_CHUNKS)
        abort();
    for (unsigned i = 0; i < 8; i++) /* where the last chunk ended when it was made */
        trace->bytes.at[TRACE_HEADER_END + i] = (uint8_t)(trace->bytes.size >> 8 * i);
    build_file(&trace->bytes, trace->path);
}

MAYBE void small_trace_drop(struct small_trace *trace)
{
    unlink(trace->path);
    free(trace->bytes.at);
}

#endif
