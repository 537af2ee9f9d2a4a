/* The hot loop: events whose times are short, in frames of any kind. What is out of the ordinary it
 * leaves to replay_events.c, either the event (then it stops before it) or what an event does to a
 * stack that is not plain.
 *
 * The state is kept in a struct of which no address escapes, so that it lives in registers: functions
 * that take one are all inlined, and state is saved and loaded around those that are not. */
#include "analyzer/replay_stack.h"

#define LONGEST 48 /* CONTINUE: a tag and four numbers of ten bytes, and some to spare */
#define HOT static inline __attribute__((always_inline))

struct hot {
    struct replay_frame *frame; /* the top */
    struct sums_cell *cell;
    const struct sums_node *node; /* where its lines are found; if not plain, there are none */
    int64_t line;
    bool watch;
    struct sums *sums;
    const struct clock *clock;
    struct replay_now now;
    int64_t offset;       /* now.time and this is the stamp */
    uint64_t rest, units; /* units that passed since the state was loaded */
    uint64_t events, next;
    const struct replay_frame *last; /* there is no room above it */
};

HOT void load_frame(struct hot *hot)
{
    hot->cell = hot->frame->cell;
    hot->node = hot->frame->is_plain ? hot->cell->node : &hot->sums->lineless;
    hot->line = hot->frame->line;
    hot->watch = hot->frame->watch;
}

HOT void load(struct replay *replay, struct hot *hot)
{
    hot->sums = &replay->sums;
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

HOT void save_frame(struct hot *hot)
{
    hot->frame->cell = hot->cell;
    hot->frame->line = hot->line;
    hot->frame->watch = hot->watch;
}

/* Frames came and went one Python frame at a time; where C frames do, replay->depth is corrected. */
HOT void save(struct replay *replay, struct hot *hot)
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

HOT void pass(struct hot *hot, uint64_t units)
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

/* --- What stays --- */

/* A line that the context has not had yet, or not at its place in the table, or that is not counted
 * in a plain way. False: no memory. */
HOT bool other_line(struct replay *replay, struct hot *hot, int64_t line, int64_t step)
{
    const struct replay_frame *frame = hot->frame;

    if (frame->is_transparent) {
        hot->line = replay_step_line(hot->line, step);
        return true;
    }
    if (frame->is_plain && line >= 0 && line <= REPLAY_LINE_MAX) {
        struct sums_cell *cell = sums_find_cell(hot->sums, hot->cell->node, (uint32_t)line);
        hot->line = line;
        hot->cell = cell ? cell : hot->cell;
        hot->cell->hits++;
        hot->now.hits++;
        hot->watch |= hot->cell->node->function->shared;
        replay->out_of_memory |= !cell;
        return cell != NULL;
    }
    save(replay, hot);
    replay_line(replay, step);
    load(replay, hot);
    return !replay->out_of_memory;
}

HOT bool line(struct replay *replay, struct hot *hot, uint64_t units, int step)
{
    int64_t at = hot->line + step;
    struct sums_cell *cell = hot->node->table[(uint64_t)at & hot->node->mask];

    pass(hot, units);
    hot->events++;
    if (__builtin_expect(cell->line != at, 0))
        return other_line(replay, hot, at, step);
    hot->line = at;
    hot->cell = cell;
    cell->hits++;
    hot->now.hits++;
    return true;
}

HOT void raise(struct replay *replay, struct hot *hot)
{
    if (hot->frame->is_plain)
        return;
    save(replay, hot);
    replay_raise(replay);
    load(replay, hot);
}

/* --- What comes --- */

HOT struct replay_frame *place_frame(struct hot *hot, struct sums_entry *entry, uint64_t key,
                                     uint64_t activation)
{
    struct replay_frame *frame = hot->frame + 1;

    save_frame(hot);
    frame->cell = hot->cell;
    frame->entry = entry;
    frame->entered = hot->now;
    frame->below = frame->below_wait = 0;
    frame->key = key;
    frame->activation = activation;
    frame->since = hot->now.time + hot->offset;
    frame->is_c = frame->is_unknown = frame->is_transparent = frame->is_plain = false;
    frame->is_booked = false;
    return frame;
}

/* False: there is no cell for it yet, or it is of unknown code. */
HOT bool place_booked(struct replay *replay, struct hot *hot, struct sums_entry *entry,
                      uint64_t key, int64_t step, uint64_t activation, enum replay_push how)
{
    int64_t at = entry->function->first_line + step;
    struct sums_cell *cell = entry->node->table[(uint64_t)at & entry->node->mask];

    if (__builtin_expect(cell->line != at || entry->function->is_unknown, 0))
        return false;
    struct replay_frame *frame = place_frame(hot, entry, key, activation);
    frame->line = at;
    frame->is_booked = true;
    frame->is_c = key & 1;
    frame->is_plain = !frame->is_c;
    replay->depth -= frame->is_c;
    replay_enter(frame, entry, cell, how);
    hot->frame = frame;
    load_frame(hot);
    return true;
}

HOT void place_transparent(struct hot *hot, struct sums_entry *entry, uint64_t key, int64_t step,
                           uint64_t activation)
{
    struct replay_frame *frame = place_frame(hot, entry, key, activation);

    frame->line = entry->function->first_line + step;
    frame->is_transparent = true;
    frame->watch = hot->watch;
    hot->frame = frame;
    load_frame(hot);
}

/* False: no memory. */
HOT bool push(struct replay *replay, struct hot *hot, uint64_t key, int64_t step,
              uint64_t activation, enum replay_push how)
{
    struct sums_entry *entry = sums_recent_entry(hot->sums, hot->cell, key);

    if (entry && hot->frame < hot->last && step >= -REPLAY_LINE_MAX && step <= REPLAY_LINE_MAX) {
        if (__builtin_expect(entry->node != NULL, 1)) {
            if (place_booked(replay, hot, entry, key, step, activation, how))
                return true;
        } else if (!entry->function->is_unknown) {
            place_transparent(hot, entry, key, step, activation);
            return true;
        }
    }
    save(replay, hot);
    replay_push(replay, key, step, activation, how);
    load(replay, hot);
    return !replay->out_of_memory;
}

HOT bool call(struct replay *replay, struct hot *hot, uint64_t code)
{
    return push(replay, hot, sums_code_key(code), 0, hot->next++, REPLAY_CALL);
}

HOT bool c_call(struct replay *replay, struct hot *hot, uint64_t string)
{
    if (hot->frame->is_booked)
        return push(replay, hot, sums_c_key(string), 0, 0, REPLAY_CALL);
    save(replay, hot);
    replay_c_call(replay, string);
    load(replay, hot);
    return !replay->out_of_memory;
}

HOT bool resume(struct replay *replay, struct hot *hot, uint64_t back)
{
    uint64_t activation = hot->next - back;
    const struct replay_suspended *suspended =
        replay_suspensions_get(&replay->suspended, activation);

    if (__builtin_expect(suspended != NULL, 1))
        return push(replay, hot, suspended->key, suspended->step, activation, REPLAY_RESUME);
    save(replay, hot);
    replay_resume(replay, activation);
    load(replay, hot);
    return !replay->out_of_memory;
}

/* An activation of this thread. */
HOT bool go_on(struct replay *replay, struct hot *hot, uint64_t code, int64_t step, uint64_t back)
{
    uint64_t activation = hot->next - back;

    hot->next += back == 0;
    return push(replay, hot, sums_code_key(code), step, activation, REPLAY_RESUME);
}

/* --- What goes --- */

HOT void drop_frame(struct hot *hot)
{
    hot->frame--;
    hot->frame->watch |= hot->frame->cell->node->function->shared;
    load_frame(hot);
}

HOT void leave(struct replay *replay, struct hot *hot)
{
    const struct replay_frame *frame = hot->frame;

    if (__builtin_expect(frame->is_plain, 1)) {
        replay_leave(hot->frame, hot->now);
        drop_frame(hot);
    } else if (frame->is_transparent) {
        hot->frame[-1].below += frame->below;
        hot->frame[-1].below_wait += frame->below_wait;
        drop_frame(hot);
    } else {
        save(replay, hot);
        replay_return(replay);
        load(replay, hot);
    }
}

HOT bool yield(struct replay *replay, struct hot *hot)
{
    struct replay_frame *frame = hot->frame;

    if (__builtin_expect(frame->is_plain || frame->is_transparent, 1)) {
        frame->line = hot->line;
        if (frame->activation &&
            !replay_suspensions_put(&replay->suspended, frame->activation, frame->key,
                                    replay_line_step(frame))) {
            replay->out_of_memory = true;
            return false;
        }
        leave(replay, hot);
        return true;
    }
    save(replay, hot);
    replay_yield(replay);
    load(replay, hot);
    return !replay->out_of_memory;
}

HOT void c_return(struct replay *replay, struct hot *hot)
{
    if (__builtin_expect(hot->frame->is_c && hot->frame->is_booked, 1)) {
        replay_leave(hot->frame, hot->now);
        drop_frame(hot);
        replay->depth++;
        return;
    }
    save(replay, hot);
    replay_c_return(replay);
    load(replay, hot);
}

/* --- Bytes --- */

HOT uint64_t read_number(const uint8_t **at, bool *good)
{
    uint64_t number = *(*at)++;

    if (__builtin_expect(number < 0x80, 1))
        return number;
    number &= 0x7f;
    for (unsigned shift = 7; shift < 63; shift += 7) {
        uint64_t byte = *(*at)++;
        number |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return number;
    }
    *good = false; /* ten bytes, or none that is a number: not for here */
    return 0;
}

/* An event in its long form, whose operands stand at the same places in all of them. */
struct operands {
    uint64_t units, first, second, third;
};

HOT bool read_operands(const uint8_t **at, uint8_t tag, struct operands *operands)
{
    bool good = true;

    operands->units = read_number(at, &good);
    if (tag != TRACE_TAG_RETURN && tag != TRACE_TAG_YIELD && tag != TRACE_TAG_UNWIND &&
        tag != TRACE_TAG_C_RETURN)
        operands->first = read_number(at, &good);
    if (tag == TRACE_TAG_CONTINUE) {
        operands->second = read_number(at, &good);
        operands->third = read_number(at, &good);
        good &= !(operands->third & 1); /* an activation of another thread */
    }
    if (tag == TRACE_TAG_LINE)
        good &= operands->first < INT32_MAX;
    return good && operands->units < CLOCK_STEPS;
}

HOT bool play_operands(struct replay *replay, struct hot *hot, uint8_t tag, struct operands operands)
{
    if (tag == TRACE_TAG_LINE)
        return line(replay, hot, operands.units, (int)trace_unzigzag(operands.first));
    pass(hot, operands.units);
    hot->events++;
    switch (tag) {
    case TRACE_TAG_CALL:
        return call(replay, hot, operands.first);
    case TRACE_TAG_RESUME:
        return resume(replay, hot, operands.first);
    case TRACE_TAG_CONTINUE:
        return go_on(replay, hot, operands.first, trace_unzigzag(operands.second),
                     operands.third >> 1);
    case TRACE_TAG_C_CALL:
        return c_call(replay, hot, operands.first);
    case TRACE_TAG_YIELD:
        return yield(replay, hot);
    case TRACE_TAG_C_RETURN:
        c_return(replay, hot);
        return true;
    case TRACE_TAG_RAISE:
        raise(replay, hot);
        return true;
    default: /* RETURN, UNWIND */
        leave(replay, hot);
        return true;
    }
}

/* Plays an event in its long form; *at is behind it then. False: it is not for here, or the loop
 * ends with it. */
HOT bool play_long(struct replay *replay, struct hot *hot, const uint8_t **at, uint8_t tag)
{
    struct operands operands = {0};
    const uint8_t *behind = *at + 1;

    if (tag == TRACE_TAG_END || tag > TRACE_TAG_CONTINUE || !read_operands(&behind, tag, &operands))
        return false;
    *at = behind;
    return play_operands(replay, hot, tag, operands);
}

/* The same for a CALL, RETURN or YIELD in its short form. */
HOT bool play_short(struct replay *replay, struct hot *hot, const uint8_t **at, uint8_t tag)
{
    const uint8_t *behind = *at + 1;
    bool good = true;
    uint64_t code = tag >> 4 == TRACE_SHORT_CALL >> 4 ? read_number(&behind, &good) : 0;

    if (!good)
        return false;
    *at = behind;
    pass(hot, tag & 15);
    hot->events++;
    if (tag >> 4 == TRACE_SHORT_CALL >> 4)
        return call(replay, hot, code);
    if (tag >> 4 == TRACE_SHORT_YIELD >> 4)
        return yield(replay, hot);
    leave(replay, hot);
    return true;
}

static const uint8_t *play(struct replay *replay, const uint8_t *at, const uint8_t *last)
{
    struct hot hot;
    bool going = true;

    load(replay, &hot);
    while (going && at < last) {
        uint8_t tag = *at;
        if (tag & TRACE_SHORT_LINE) {
            at++;
            going = line(replay, &hot, tag & 15, (tag >> 4 & 7) - TRACE_SHORT_LINE_BIAS);
        } else if (tag & TRACE_SHORT_LINE_WIDE) {
            at += 2;
            going = line(replay, &hot, at[-1], (tag & 63) - TRACE_SHORT_LINE_WIDE_BIAS);
        } else if (tag >= TRACE_SHORT_CALL) {
            going = play_short(replay, &hot, &at, tag);
        } else {
            going = play_long(replay, &hot, &at, tag);
        }
    }
    save(replay, &hot);
    return at;
}

void replay_hot(struct replay *replay, struct trace_cursor *cur)
{
    if (cur->status != TRACE_OK || cur->end - cur->at <= LONGEST || replay->has_cpu ||
        replay->hand.limit < CLOCK_STEPS)
        return;
    cur->at = play(replay, cur->at, cur->end - LONGEST);
}
