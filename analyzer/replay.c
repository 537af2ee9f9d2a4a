#include "analyzer/replay.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/replay_samples.h"
#include "analyzer/replay_stack.h"
#include "analyzer/sample_sums.h"
#include "analyzer/trace_file.h"
#include "formats/error.h"

/* --- Chunks --- */

/* Where the stack record of a chunk is read from, and then its events. */
struct chunk_reader {
    struct trace_buffer payload, stack_payload;
    struct trace_cursor events;
    struct trace_stack stack;
    bool has_stack;
};

/* 1: there is something in it, 0: the writer had only begun it, -1 with *err set. */
static int read_chunk(struct chunk_reader *reader, const struct trace_file *file,
                      const struct trace_chunk *chunk, struct error *err)
{
    const struct trace_chunk *apart = chunk->stack_apart ? trace_file_stack(file, chunk) : NULL;

    if (trace_file_read(file, chunk, &reader->payload, err) < 0)
        return -1;
    reader->events = trace_cursor_over(reader->payload.bytes, reader->payload.size);
    reader->has_stack = false;
    if (!chunk->stack_apart) {
        reader->has_stack =
            trace_read_stack(&reader->events, &reader->stack) && reader->stack.next > 0;
        return reader->has_stack;
    }
    if (!apart)
        return 1;
    if (trace_file_read(file, apart, &reader->stack_payload, err) < 0)
        return -1;
    struct trace_cursor cur =
        trace_cursor_over(reader->stack_payload.bytes, reader->stack_payload.size);
    reader->has_stack = trace_read_stack(&cur, &reader->stack);
    return 1;
}

static void begin_thread(struct replay *replay, const struct trace_file *file,
                         const struct trace_chunk *chunk, const struct windows *windows)
{
    clock_hand_init(&replay->hand, &file->clock, chunk->ticks);
    replay->first_ns = replay->hand.ns;
    replay_set_lag(replay);
    replay_cut_begin(replay, windows);
    replay->trouble.lost_chunks = chunk->sequence;
    replay->trouble.lost_events = chunk->events_before;
    replay->events = 0;
    if (chunk->sequence || chunk->events_before)
        replay_note_gap(replay, replay->hand.ns, TRACE_GAP_LOST);
}

/* Time goes on to the chunk's anchor. True: something is missing before it. */
static bool reach_chunk(struct replay *replay, const struct trace_file *file,
                        const struct trace_chunk *chunk, uint64_t expected)
{
    uint64_t seen = replay->events + replay->trouble.lost_events;
    uint64_t lost = chunk->events_before > seen ? chunk->events_before - seen : 0;
    int64_t before = replay->hand.ns;

    clock_hand_set(&replay->hand, &file->clock, chunk->ticks);
    replay->trouble.lost_chunks += chunk->sequence - expected;
    replay->trouble.lost_events += lost;
    if (lost == 0 && chunk->sequence == expected) {
        replay_pass_to_anchor(replay, replay->hand.ns - before, chunk->cpu);
        return false;
    }
    replay_note_gap(replay, before, TRACE_GAP_LOST);
    return true;
}

static void take_stack(struct replay *replay, const struct chunk_reader *reader, bool is_first,
                       bool is_missing)
{
    if (!reader->has_stack)
        return;
    if (is_first || is_missing) {
        replay_adopt(replay, reader->stack, false);
    } else if (!replay_stack_is(replay, reader->stack)) {
        replay->trouble.mismatches += !replay->guessed; /* else more is known now */
        replay_adopt(replay, reader->stack, true);
    }
}

static void play_chunk(struct replay *replay, struct chunk_reader *reader,
                       const struct trace_chunk *chunk, bool is_first, bool is_missing)
{
    replay->cpu_stamp_at = replay->hand.ns;
    replay->cpu_total = chunk->cpu;
    replay->cpu_pending = 0;
    replay->has_cpu = false;
    replay_suspensions_forget(&replay->suspended);
    take_stack(replay, reader, is_first, is_missing);
    replay_events(replay, &reader->events);
    replay->trouble.undecoded +=
        chunk->sealed && reader->events.status != TRACE_AT_END && !replay_cut_is_over(replay);
}

/* The stamp before which nothing of the next chunk is. */
static int64_t limit_of(const struct trace_file *file, const struct trace_chunk *chunk,
                        const struct trace_chunk *end)
{
    return chunk + 1 < end ? clock_ns(&file->clock, chunk[1].ticks) : INT64_MAX;
}

/* --- Beginning and end --- */

static int begin(struct replay *replay, const struct facts *facts, struct model *model,
                 uint32_t process)
{
    memset(replay, 0, sizeof *replay);
    if (sums_init(&replay->sums, facts, model, process) < 0 || replay_grow(replay) < 0)
        return -1;
    replay_set_lag(replay);
    replay->frames[0] = (struct replay_frame){.cell = replay->sums.outside, .node = replay->sums.root};
    replay->next = 1;
    return 0;
}

static void end(struct replay *replay)
{
    replay_cut_end(replay);
    replay->open = replay->top;
    while (replay->top > 0)
        replay_pop(replay);
}

/* Up to the last window, if there are any. */
static int play_chunks(struct replay *replay, const struct trace_file *file,
                       const struct trace_thread *thread, const struct windows *windows,
                       struct chunk_reader *reader, struct error *err, replay_progress *progress,
                       void *context)
{
    const struct trace_chunk *chunk = &file->chunks[thread->first], *end = chunk + thread->count;
    const struct trace_chunk *before = NULL;

    for (; chunk < end && !replay->out_of_memory && !replay_cut_is_over(replay); chunk++) {
        bool is_missing = false;
        int filled = read_chunk(reader, file, chunk, err);
        if (filled < 0 || (progress && progress(context, chunk->size)))
            return error_set(err, "%s: stopped", file->path);
        if (filled == 0)
            continue;
        if (before)
            is_missing = reach_chunk(replay, file, chunk, before->sequence + 1);
        else
            begin_thread(replay, file, chunk, windows);
        replay_cut_chunk(replay, limit_of(file, chunk, end));
        if (!replay_cut_is_over(replay))
            play_chunk(replay, reader, chunk, !before, is_missing);
        before = chunk;
    }
    return 0;
}

int replay_thread(struct replay *replay, const struct trace_file *file,
                  const struct trace_thread *thread, const struct facts *facts, struct model *model,
                  const struct windows *windows, replay_progress *progress, void *context,
                  struct error *err)
{
    struct chunk_reader reader = {0};
    int status = begin(replay, facts, model, thread->process);

    replay->out_of_memory = status < 0;
    if (status == 0 && file->chunks[thread->first].kind == TRACE_SAMPLES)
        status = replay_samples(replay, file, thread, progress, context, err);
    else if (status == 0)
        status = play_chunks(replay, file, thread, windows, &reader, err, progress, context);
    if (status == 0 && !replay->out_of_memory)
        end(replay);
    if (replay->out_of_memory)
        status = error_set(err, "%s: out of memory in thread %u", file->path, thread->thread);
    trace_buffer_free(&reader.payload);
    trace_buffer_free(&reader.stack_payload);
    return status;
}

void replay_fini(struct replay *replay)
{
    sums_fini(&replay->sums);
    replay_suspensions_fini(&replay->suspended);
    if (replay->samples)
        sample_table_fini(replay->samples);
    free(replay->samples);
    free(replay->frames);
    free(replay->lags);
    free(replay->gaps);
    free(replay->marks);
}

int64_t replay_since(const struct replay *replay, const struct replay_frame *frame)
{
    return frame->entered.time + replay->lags[frame->lag];
}

uint64_t replay_memory(const struct replay *replay)
{
    return sizeof *replay + sums_memory(&replay->sums) + replay->room * sizeof *replay->frames +
           replay->suspended.room * sizeof *replay->suspended.items;
}
