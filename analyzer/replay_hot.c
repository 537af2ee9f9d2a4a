/* The hot loop: short forms in frames of recorded code. What it cannot do it leaves to
 * replay_events.c, which can do everything: it stops before an event, with all of the replay's
 * state as if events had come one by one.
 *
 * The state is kept in a struct of which no address escapes, so that it lives in registers. */
#include "analyzer/replay_stack.h"

#define LONGEST_SHORT 12 /* CALL and ten bytes of code, and one to spare */

struct hot {
    struct replay_frame *frame; /* the top */
    struct sums_cell *cell;
    struct sums_node *node;
    int64_t line;
    bool watch;
    const struct clock *clock;
    struct replay_now now;
    int64_t offset;       /* now.time and this is the stamp */
    uint64_t rest, units; /* units that passed since the state was loaded */
    uint64_t events, next;
    const struct replay_frame *last; /* there is no room above it */
};

static inline void load_frame(struct hot *hot)
{
    hot->cell = hot->frame->cell;
    hot->node = hot->cell->node;
    hot->line = hot->frame->line;
    hot->watch = hot->frame->watch;
}

static inline void load(const struct replay *replay, struct hot *hot)
{
    hot->frame = &replay->frames[replay->top];
    hot->last = &replay->frames[replay->room - 1];
    load_frame(hot);
    hot->clock = replay->hand.clock;
    hot->now = replay->now;
    hot->offset = replay->hand.ns - replay->now.time;
    hot->rest = replay->hand.rest;
    hot->units = 0;
    hot->events = replay->events;
    hot->next = replay->next;
}

static inline void save_frame(struct hot *hot)
{
    hot->frame->cell = hot->cell;
    hot->frame->line = hot->line;
    hot->frame->watch = hot->watch;
}

/* Frames came and went one Python frame at a time. */
static inline void save(struct replay *replay, struct hot *hot)
{
    size_t top = (size_t)(hot->frame - replay->frames);

    save_frame(hot);
    replay->depth += top - replay->top;
    replay->top = top;
    replay->now = hot->now;
    replay->hand.ns = hot->now.time + hot->offset;
    replay->hand.rest = hot->rest;
    replay->hand.ticks += hot->units << hot->clock->shift;
    hot->units = 0;
    replay->events = hot->events;
    replay->next = hot->next;
}

static void watch(struct sums_line *at, int64_t passed)
{
    if (at->held)
        at->nested += passed;
    if (at->file_line && at->file_line->held)
        at->file_line->nested += passed;
}

static inline void pass(struct hot *hot, uint64_t units)
{
    uint64_t rest = hot->rest + hot->clock->step_rest[units];
    uint64_t carry = rest >= hot->clock->den;
    int64_t passed = (int64_t)(hot->clock->step_ns[units] + carry);

    hot->rest = carry ? rest - hot->clock->den : rest;
    hot->now.time += passed;
    hot->units += units;
    hot->cell->self += passed;
    if (__builtin_expect(hot->watch, 0))
        watch(hot->cell->at, passed);
}

/* A line that the context has not had yet, or not at its place in the table. False: no memory. */
static bool find_line(struct replay *replay, struct hot *hot)
{
    uint32_t line = hot->line >= 0 && hot->line <= REPLAY_LINE_MAX ? (uint32_t)hot->line : 0;
    struct sums_cell *cell = sums_find_cell(&replay->sums, hot->node, line);

    if (!cell) {
        replay->out_of_memory = true;
        return false;
    }
    replay->trouble.bad_lines += line != hot->line;
    hot->cell = cell;
    hot->watch = hot->watch || hot->node->function->shared;
    return true;
}

static inline bool begin_line(struct replay *replay, struct hot *hot, uint64_t units, int step)
{
    pass(hot, units);
    hot->events++;
    hot->line = (int64_t)((uint64_t)hot->line + (uint64_t)(int64_t)step);
    struct sums_cell *cell = hot->node->table[(uint64_t)hot->line & hot->node->mask];
    if (__builtin_expect(cell->line == hot->line, 1))
        hot->cell = cell;
    else if (!find_line(replay, hot))
        return false;
    hot->cell->hits++;
    hot->now.hits++;
    return true;
}

static inline uint64_t read_code(const uint8_t **at, bool *good)
{
    uint64_t code = *(*at)++;

    if (__builtin_expect(code < 0x80, 1))
        return code;
    code &= 0x7f;
    for (unsigned shift = 7; shift < 63; shift += 7) {
        uint64_t byte = *(*at)++;
        code |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return code;
    }
    *good = false; /* ten bytes, or none that is a varint: not for here */
    return 0;
}

/* A call that was made before from this very place. */
static inline void push_known(struct hot *hot, struct sums_entry *entry, struct sums_cell *cell)
{
    struct replay_frame *frame = hot->frame + 1;

    save_frame(hot);
    frame->cell = hot->cell;
    frame->entered = hot->now;
    frame->below = frame->below_wait = 0;
    frame->key = entry->key;
    frame->activation = hot->next++;
    frame->first_line = frame->line = cell->line;
    frame->since = hot->now.time + hot->offset;
    frame->repeat = 1;
    frame->is_c = frame->is_unknown = false;
    frame->is_plain = true;
    replay_enter(frame, entry, cell, REPLAY_CALL);
    hot->frame = frame;
    load_frame(hot);
}

/* Any other call. True: it was into a frame that the loop can deal with. */
static bool push_unknown(struct replay *replay, struct hot *hot, uint64_t key)
{
    save(replay, hot);
    replay_push(replay, key, 0, replay->next++, REPLAY_CALL);
    load(replay, hot);
    return hot->frame->is_plain && !replay->out_of_memory;
}

static inline bool call(struct replay *replay, struct hot *hot, uint64_t units, uint64_t code)
{
    struct sums_entry *entry = hot->cell->last;
    uint64_t key = sums_code_key(code);

    pass(hot, units);
    hot->events++;
    if (__builtin_expect(!entry || entry->key != key || !entry->node || hot->frame >= hot->last, 0))
        return push_unknown(replay, hot, key);
    int64_t line = entry->function->first_line;
    struct sums_cell *cell = entry->node->table[(uint64_t)line & entry->node->mask];
    if (__builtin_expect(cell->line != line || entry->function->is_unknown, 0))
        return push_unknown(replay, hot, key);
    push_known(hot, entry, cell);
    return true;
}

static inline bool ret(struct hot *hot, uint64_t units)
{
    pass(hot, units);
    hot->events++;
    replay_leave(hot->frame, hot->now);
    hot->frame--;
    hot->frame->watch |= hot->frame->cell->node->function->shared;
    load_frame(hot);
    return hot->frame->is_plain;
}

/* Plays a CALL or RETURN; *at is behind it then. False: it is none, or the loop ends with it. */
static inline bool move(struct replay *replay, struct hot *hot, const uint8_t **at)
{
    uint8_t tag = **at;
    const uint8_t *behind = *at + 1;
    bool good = true;

    if (tag >> 4 == TRACE_SHORT_RETURN >> 4) {
        *at = behind;
        return ret(hot, tag & 15);
    }
    if (tag >> 4 != TRACE_SHORT_CALL >> 4)
        return false;
    uint64_t code = read_code(&behind, &good);
    if (!good)
        return false;
    *at = behind;
    return call(replay, hot, tag & 15, code);
}

static const uint8_t *play(struct replay *replay, const uint8_t *at, const uint8_t *last)
{
    struct hot hot;
    bool going = true;

    load(replay, &hot);
    while (going && at < last) {
        uint8_t tag = *at;
        if (tag & TRACE_SHORT_LINE) {
            going = begin_line(replay, &hot, tag & 15, (tag >> 4 & 7) - TRACE_SHORT_LINE_BIAS);
            at++;
        } else if (tag & TRACE_SHORT_LINE_WIDE) {
            going = begin_line(replay, &hot, at[1], (tag & 63) - TRACE_SHORT_LINE_WIDE_BIAS);
            at += 2;
        } else {
            going = move(replay, &hot, &at);
        }
    }
    save(replay, &hot);
    return at;
}

void replay_hot(struct replay *replay, struct trace_cursor *cur)
{
    if (cur->status != TRACE_OK || cur->end - cur->at <= LONGEST_SHORT || replay->has_cpu ||
        replay->hand.limit < CLOCK_STEPS || !replay->frames[replay->top].is_plain)
        return;
    cur->at = play(replay, cur->at, cur->end - LONGEST_SHORT);
}
