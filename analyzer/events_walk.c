#include "analyzer/events_walk.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/events_chunk.h"
#include "formats/error.h"

enum {
    UNKNOWN_FRAMES = 1 << 18, /* in all; a damaged trace may claim any number, at each event */
    AT_END = 2,               /* no more events in the thread */
};

/* ---- frames ---- */

static int out_of_memory(const struct events_walk *walk, struct error *err)
{
    return error_set(err, "%s: out of memory", walk->file->path);
}

static const struct facts_code *find_code(struct events_walk *walk, uint64_t number)
{
    size_t at = (size_t)number & (EVENTS_CODES - 1);

    if (walk->codes[at].code == NULL || walk->codes[at].number != number) {
        walk->codes[at].code = facts_code(walk->facts, walk->process, number);
        walk->codes[at].number = number;
    }
    return walk->codes[at].code;
}

static bool reserve_frames(struct events_walk *walk, size_t depth)
{
    size_t room = walk->room > 0 ? walk->room : 64;
    struct events_frame *grown;

    if (depth < walk->room)
        return true;
    while (room <= depth)
        room *= 2;
    grown = realloc(walk->stack, room * sizeof *grown);
    if (grown == NULL)
        return false;
    walk->stack = grown;
    walk->room = room;
    return true;
}

static int64_t first_line(const struct facts_code *code)
{
    return code != NULL ? code->first_line : 0;
}

/* A damaged trace may step anywhere. */
static int64_t add_line(int64_t line, int64_t step)
{
    int64_t sum;

    if (__builtin_add_overflow(line, step, &sum) || sum < 0)
        return 0;
    return sum > INT32_MAX ? INT32_MAX : sum;
}

static bool push(struct events_walk *walk, struct events_frame frame)
{
    if (!reserve_frames(walk, walk->depth + 1))
        return false;
    walk->stack[walk->depth++] = frame;
    return true;
}

bool events_walk_push(struct events_walk *walk, uint64_t code, int64_t line_step)
{
    const struct facts_code *at = find_code(walk, code);

    return push(walk,
                (struct events_frame){at, add_line(first_line(at), line_step), walk->thread, 0});
}

/* Frames that a record says were kept but nobody has seen. */
static bool push_unknown(struct events_walk *walk, uint64_t kept)
{
    while (walk->depth < kept && walk->unknown_frames < UNKNOWN_FRAMES) {
        if (!push(walk, (struct events_frame){.thread = walk->thread}))
            return false;
        walk->unknown_frames++;
    }
    return true;
}

/* The stack becomes what the record says; its kept frames are those that are there. */
static bool take_stack(struct events_walk *walk, struct trace_stack record)
{
    struct trace_frame frame;

    if (record.kept > walk->depth && !push_unknown(walk, record.kept))
        return false;
    if (walk->depth > record.kept)
        walk->depth = (size_t)record.kept;
    walk->next_number = record.next;
    while (trace_next_frame(&record, &frame)) {
        const struct facts_code *code = find_code(walk, frame.code);
        struct events_frame pushed = {
            .code = code,
            .line = add_line(first_line(code), frame.line_step),
            .thread = frame.thread != 0 ? frame.thread : walk->thread,
            .number = frame.activation,
        };

        if (!push(walk, pushed))
            return false;
    }
    return true;
}

/* ---- chunks ---- */

/* Makes the chunk's stack record the stack. With `head` only as much as that takes is read. */
static int enter_chunk(struct events_walk *walk, const struct trace_chunk *chunk, bool head,
                       struct error *err)
{
    struct trace_stack record;

    if (events_chunk_open(walk, chunk, head, &walk->buffer, &walk->cursor, &record, err) < 0)
        return -1;
    if (chunk->stack_apart && events_chunk_read_stack_apart(walk, chunk, &record, err) < 0)
        return -1;
    if (record.at != NULL && !take_stack(walk, record))
        return out_of_memory(walk, err);
    events_suspended_clear(&walk->suspended);
    events_walk_forget_samples(walk);
    walk->is_stack_news = true;
    if (chunk->events_before >
        walk->seq) /* else only a damaged trace says so: numbers stay unique */
        walk->seq = chunk->events_before;
    walk->ticks = chunk->ticks;
    return 0;
}

/* The hand follows walk->ticks; within a chunk they only grow. */
static void move_hand(struct events_walk *walk)
{
    if (walk->ticks > walk->hand.ticks)
        clock_hand_advance(&walk->hand,
                           (walk->ticks - walk->hand.ticks) >> walk->file->clock.shift);
}

/* Is the window wholly behind this chunk? Its events end where the next chunk begins. A chunk
 * before a missing one is needed to the end: its last stack is all that is known of the missing
 * one's. */
static bool lies_before_window(const struct events_walk *walk, const struct trace_chunk *chunk)
{
    return walk->ordered && walk->chunk + 1 < walk->chunk_end &&
           chunk[1].sequence == chunk->sequence + 1 && chunk[1].ticks < walk->from_ticks;
}

/* Enters the next chunk with something for the window: 0, AT_END at the thread's end, -1. */
static int next_chunk(struct events_walk *walk, struct error *err)
{
    walk->chunk += walk->in_chunk;
    for (walk->in_chunk = true; walk->chunk < walk->chunk_end; walk->chunk++) {
        const struct trace_chunk *chunk = &walk->file->chunks[walk->chunk];
        bool skipped = lies_before_window(walk, chunk);

        if (walk->ordered && chunk->ticks > walk->to_ticks)
            break;
        move_hand(walk);
        if (enter_chunk(walk, chunk, skipped, err) < 0)
            return -1;
        clock_hand_set(&walk->hand, &walk->file->clock, walk->ticks);
        walk->lagging = !walk->ordered || walk->hand.lag > 0;
        if (!skipped)
            return 0;
    }
    walk->chunk = walk->chunk_end;
    walk->in_chunk = false;
    return AT_END;
}

/* ---- events ---- */

/* A row about the frame on top. False: there is none, so no row; the writer erred. */
static bool row_on_top(struct events_walk *walk, enum trace_tag tag)
{
    walk->seq++;
    walk->tag = tag;
    if (walk->depth == 0)
        return false;
    walk->row_depth = walk->depth - 1;
    walk->frame = &walk->stack[walk->row_depth];
    return true;
}

static bool step_line(struct events_walk *walk, int64_t step)
{
    if (!row_on_top(walk, TRACE_TAG_LINE))
        return false;
    walk->stack[walk->row_depth].line = add_line(walk->frame->line, step);
    return true;
}

/* The row shows the frame that is left; its memory stays as it is until the next push. */
static bool step_pop(struct events_walk *walk, enum trace_tag tag)
{
    if (!row_on_top(walk, tag))
        return false;
    walk->depth--;
    return true;
}

static int step_yield(struct events_walk *walk, struct error *err)
{
    if (!step_pop(walk, TRACE_TAG_YIELD))
        return 0;
    if (walk->frame->thread == walk->thread && !events_suspended_put(&walk->suspended, walk->frame))
        return out_of_memory(walk, err);
    return 1;
}

static int step_push(struct events_walk *walk, enum trace_tag tag, struct events_frame frame,
                     struct error *err)
{
    if (!push(walk, frame))
        return out_of_memory(walk, err);
    return row_on_top(walk, tag);
}

static int step_call(struct events_walk *walk, uint64_t number, struct error *err)
{
    const struct facts_code *code = find_code(walk, number);
    struct events_frame frame = {code, first_line(code), walk->thread, walk->next_number++};

    return step_push(walk, TRACE_TAG_CALL, frame, err);
}

static int step_resume(struct events_walk *walk, const struct trace_event *event, struct error *err)
{
    uint64_t number = walk->next_number - event->back;
    const struct events_frame *suspended = events_suspended_get(&walk->suspended, number);
    struct events_frame frame = {.thread = walk->thread, .number = number};

    return step_push(walk, TRACE_TAG_RESUME, suspended != NULL ? *suspended : frame, err);
}

static int step_continue(struct events_walk *walk, const struct trace_event *event,
                         struct error *err)
{
    const struct facts_code *code = find_code(walk, event->code);
    bool foreign = event->thread != 0;
    struct events_frame frame = {
        .code = code,
        .line = add_line(first_line(code), event->line_step),
        .thread = foreign ? event->thread : walk->thread,
        .number = foreign ? event->activation : walk->next_number - event->back,
    };

    if (!foreign && event->back == 0)
        walk->next_number++; /* never seen before: it is numbered now */
    return step_push(walk, TRACE_TAG_RESUME, frame, err);
}

/* A row that may be about no frame. */
static int step_anywhere(struct events_walk *walk, enum trace_tag tag, uint64_t string)
{
    walk->string = string;
    if (!row_on_top(walk, tag)) {
        walk->frame = NULL;
        walk->row_depth = 0;
    }
    return 1;
}

static int step_switch(struct events_walk *walk, const struct trace_event *event, struct error *err)
{
    if (!take_stack(walk, event->stack))
        return out_of_memory(walk, err);
    walk->is_stack_news = true;
    return step_anywhere(walk, TRACE_TAG_SWITCH, 0);
}

/* The row shows where the thread was; the rest happens when the next event is asked for. */
static int step_gap(struct events_walk *walk, const struct trace_event *event)
{
    walk->gap = *event;
    walk->gap_pending = true;
    return step_anywhere(walk, TRACE_TAG_GAP, event->reason);
}

static int finish_gap(struct events_walk *walk, struct error *err)
{
    walk->gap_pending = false;
    walk->is_stack_news = true;
    walk->ticks += walk->gap.gap << walk->file->clock.shift;
    if (walk->is_sampled) /* a sample may be like the one before the gap */
        return 0;
    return take_stack(walk, walk->gap.stack) ? 0 : out_of_memory(walk, err);
}

/* Is something missing between the end of the current chunk and the next? */
static bool is_lost_ahead(const struct events_walk *walk)
{
    const struct trace_chunk *chunk = &walk->file->chunks[walk->chunk];

    return walk->in_chunk && walk->chunk + 1 < walk->chunk_end &&
           chunk[1].events_before > walk->seq;
}

/* What was lost is one row, numbered as the first of the lost events. */
static int step_lost(struct events_walk *walk)
{
    walk->lost_told = true;
    return step_anywhere(walk, TRACE_TAG_GAP, TRACE_GAP_LOST);
}

/* An event in its long form, or a call: 1 if it makes a row, 0 if not, -1 with *err set. */
static int step_event(struct events_walk *walk, const struct trace_event *event, struct error *err)
{
    walk->ticks += event->time << walk->file->clock.shift;
    switch (event->tag) {
    case TRACE_TAG_LINE:
        return step_line(walk, event->line_step);
    case TRACE_TAG_CALL:
        return step_call(walk, event->code, err);
    case TRACE_TAG_RETURN:
    case TRACE_TAG_UNWIND:
        return step_pop(walk, event->tag);
    case TRACE_TAG_YIELD:
        return step_yield(walk, err);
    case TRACE_TAG_RESUME:
        return step_resume(walk, event, err);
    case TRACE_TAG_CONTINUE:
        return step_continue(walk, event, err);
    case TRACE_TAG_RAISE:
    case TRACE_TAG_C_CALL:
    case TRACE_TAG_C_RETURN:
        walk->string = event->string;
        return row_on_top(walk, event->tag);
    case TRACE_TAG_MARK:
        return step_anywhere(walk, TRACE_TAG_MARK, event->string);
    case TRACE_TAG_SWITCH:
        return step_switch(walk, event, err);
    case TRACE_TAG_GAP:
        return step_gap(walk, event);
    default:
        return 0; /* CPU, EXTENSION: no events */
    }
}

static int end_chunk(struct events_walk *walk, struct error *err)
{
    if (!walk->lost_told && is_lost_ahead(walk))
        return step_lost(walk);
    walk->lost_told = false;
    return next_chunk(walk, err);
}

static int step_sampled(struct events_walk *walk, struct error *err)
{
    bool ended;
    int status = events_walk_step_sample(walk, &ended, err);

    return ended ? end_chunk(walk, err) : status;
}

/* Decodes one event: 1 if it makes a row, 0 if not, AT_END, -1. The commonest events are one byte
 * (TRACE.md section 6.1); the rest go through the general decoder. */
static inline int step(struct events_walk *walk, struct error *err)
{
    struct trace_cursor *cursor = &walk->cursor;
    uint8_t first = cursor->at < cursor->end ? *cursor->at : TRACE_TAG_END;
    struct trace_event event;

    if (first & TRACE_SHORT_LINE) {
        cursor->at++;
        walk->ticks += (uint64_t)(first & 15) << walk->file->clock.shift;
        return step_line(walk, (first >> 4 & 7) - TRACE_SHORT_LINE_BIAS);
    }
    if ((first & 0xF0) == TRACE_SHORT_RETURN) {
        cursor->at++;
        walk->ticks += (uint64_t)(first & 15) << walk->file->clock.shift;
        return step_pop(walk, TRACE_TAG_RETURN);
    }
    if (trace_next_event(cursor, &event))
        return step_event(walk, &event, err);
    return end_chunk(walk, err);
}

/* ---- from outside ---- */

struct events_walk *events_walk_new(const struct trace_file *file, const struct facts *facts)
{
    struct events_walk *walk = calloc(1, sizeof *walk);

    if (walk == NULL)
        return NULL;
    events_suspended_clear(&walk->suspended);
    walk->file = file;
    walk->facts = facts;
    walk->to_ticks = UINT64_MAX;
    walk->to_ns = CLOCK_MAX_NS;
    return walk;
}

void events_walk_free(struct events_walk *walk)
{
    if (walk == NULL)
        return;
    trace_buffer_free(&walk->buffer);
    trace_buffer_free(&walk->ahead);
    events_suspended_fini(&walk->suspended);
    free(walk->stack);
    free(walk->nodes);
    free(walk);
}

/* The smallest ticks whose time is at least `ns`; UINT64_MAX: none. */
static uint64_t find_ticks(const struct clock *clock, int64_t ns)
{
    uint64_t low = 0, high = UINT64_MAX;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (clock_ns(clock, middle) < ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void events_walk_window(struct events_walk *walk, int64_t from_ns, int64_t to_ns)
{
    walk->from_ns = from_ns;
    walk->to_ns = to_ns;
    walk->from_ticks = from_ns > 0 ? find_ticks(&walk->file->clock, from_ns) : 0;
    walk->to_ticks = to_ns >= CLOCK_MAX_NS ? UINT64_MAX
                     : to_ns < 0           ? 0
                                           : find_ticks(&walk->file->clock, to_ns + 1) - 1;
}

/* Do the anchors of the thread's chunks ascend? They do unless the trace is damaged. */
static bool is_ordered(const struct trace_file *file, const struct trace_thread *thread)
{
    const struct trace_chunk *chunk = &file->chunks[thread->first];

    for (size_t i = 1; i < thread->count; i++) {
        if (chunk[i].ticks < chunk[i - 1].ticks)
            return false;
    }
    return true;
}

void events_walk_begin(struct events_walk *walk, const struct trace_thread *thread)
{
    if (walk->process != thread->process)
        memset(walk->codes, 0, sizeof walk->codes);
    walk->process = thread->process;
    walk->thread = thread->thread;
    walk->chunk = thread->first;
    walk->chunk_end = thread->first + thread->count;
    walk->in_chunk = false;
    walk->is_sampled = thread->count > 0 && walk->file->chunks[thread->first].kind == TRACE_SAMPLES;
    walk->cursor = trace_cursor_over(NULL, 0);
    walk->depth = 0;
    walk->unknown_frames = 0;
    walk->gap_pending = false;
    walk->lost_told = false;
    walk->pending_cpu = 0;
    walk->lagging = false;
    walk->ordered = is_ordered(walk->file, thread);
    walk->seq = 0;
    walk->ticks = walk->chunk < walk->chunk_end ? walk->file->chunks[walk->chunk].ticks : 0;
    clock_hand_init(&walk->hand, &walk->file->clock, walk->ticks);
}

/* Ticks tell it, except where a damaged trace's clock goes back and time stands still. */
static bool is_in_window(struct events_walk *walk)
{
    if (walk->lagging)
        return events_walk_time(walk) >= walk->from_ns && events_walk_time(walk) <= walk->to_ns;
    return walk->ticks >= walk->from_ticks && walk->ticks <= walk->to_ticks;
}

int events_walk_next(struct events_walk *walk, struct error *err)
{
    walk->is_stack_news = false;
    for (;;) {
        int status = walk->gap_pending  ? finish_gap(walk, err)
                     : walk->is_sampled ? step_sampled(walk, err)
                                        : step(walk, err);

        if (status < 0)
            return -1;
        if (status == 1 && is_in_window(walk))
            return 1;
        walk->is_stack_news |= status == 1;
        if (status == AT_END || (walk->ticks > walk->to_ticks && !walk->lagging))
            return 0;
    }
}

int64_t events_walk_time(struct events_walk *walk)
{
    move_hand(walk);
    return walk->hand.ns;
}

/* Does an event follow in the bytes? The hand moves to its stamp. */
static bool find_stamp(struct trace_cursor cursor, struct clock_hand *hand)
{
    struct trace_event event;

    while (trace_next_event(&cursor, &event)) {
        if (event.tag == TRACE_TAG_CPU || event.tag == TRACE_TAG_EXTENSION)
            continue;
        clock_hand_advance(hand, event.time);
        return true;
    }
    return false;
}

/* The stamp of a later chunk's first event: 1, 0 if it has none, -1 with *err set. */
static int find_stamp_ahead(struct events_walk *walk, const struct trace_chunk *chunk,
                            struct clock_hand *hand, struct error *err)
{
    bool found = false;

    clock_hand_set(hand, &walk->file->clock, chunk->ticks);
    for (int head = 1; head >= 0 && !found; head--) {
        struct trace_cursor cursor;
        struct trace_stack record;

        if (events_chunk_open(walk, chunk, head, &walk->ahead, &cursor, &record, err) < 0)
            return -1;
        found = find_stamp(cursor, hand);
        if (walk->ahead.size == chunk->size)
            break;
    }
    return found;
}

/* A sample's time has passed; a gap among samples ends where the next of them begins. */
static int64_t self_of_sampled(struct events_walk *walk)
{
    struct clock_hand hand;

    if (walk->tag != TRACE_TAG_GAP)
        return walk->sample_ns;
    move_hand(walk);
    hand = walk->hand;
    if (walk->gap_pending)
        return clock_hand_advance(&hand, walk->gap.gap);
    clock_hand_set(&hand, &walk->file->clock, walk->file->chunks[walk->chunk + 1].ticks);
    return hand.ns - walk->hand.ns;
}

int events_walk_self(struct events_walk *walk, int64_t *ns, struct error *err)
{
    struct clock_hand hand;
    int found;

    if (walk->is_sampled) {
        *ns = self_of_sampled(walk);
        return 0;
    }
    move_hand(walk);
    hand = walk->hand;
    if (walk->gap_pending)
        clock_hand_advance(&hand, walk->gap.gap);
    found = find_stamp(walk->cursor, &hand) || (!walk->lost_told && is_lost_ahead(walk));
    for (size_t i = walk->chunk + 1; found == 0 && i < walk->chunk_end; i++)
        found = find_stamp_ahead(walk, &walk->file->chunks[i], &hand, err);
    *ns = found > 0 ? hand.ns - walk->hand.ns : 0;
    return found < 0 ? -1 : 0;
}
