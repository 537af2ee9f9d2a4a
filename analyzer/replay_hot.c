/* The hot loop: events whose times are short, in frames of any kind. What is out of the ordinary it
 * leaves to replay_events.c, either the event (then it stops before it) or what an event does to a
 * stack that is not plain.
 *
 * The state is kept in a struct of which no address escapes, so that it lives in registers:
 * functions that take one are all inlined, and it is saved and loaded around those that are not. */
#include "analyzer/replay_stack.h"

#define LONGEST 48 /* CONTINUE: a tag and four numbers of ten bytes, and some to spare */
#define HOT REPLAY_INLINE

struct hot {
    struct replay_frame *frame; /* the top */
    struct sums_cell *cell;
    const struct sums_node *node; /* where its lines are found; if not plain, there are none */
    int64_t line;
    bool watch;
    bool by_statement;  /* a constant: are steps within statements counted? Only then is there ... */
    uint32_t statement; /* ... the frame's */
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
    hot->node = hot->frame->kind == REPLAY_PLAIN ? hot->frame->node : &hot->sums->lineless;
    hot->line = hot->frame->line;
    hot->watch = replay_watches(hot->sums, hot->frame);
    if (hot->by_statement)
        hot->statement = hot->frame->statement;
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
    if (hot->by_statement)
        hot->frame->statement = hot->statement;
    hot->frame->cell = hot->cell;
    hot->frame->line = hot->line;
}

/* Frames came and went one Python frame at a time; where C ones do, replay->depth is corrected. */
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

HOT void begin_event(struct hot *hot, uint64_t units)
{
    pass(hot, units);
    hot->events++;
}

/* --- What stays --- */

/* The frame goes from one line to the next. */
HOT void step_statement(struct hot *hot, const struct sums_cell *from, struct sums_cell *to)
{
    if (!hot->by_statement)
        return;
    to->at->inner += to->at->statement == hot->statement && to != from;
    hot->statement = to->at->statement;
}

/* A line that the context has not had yet, or not at its place in the table, or that is not counted
 * in a plain way. False: no memory. */
HOT bool other_line(struct replay *replay, struct hot *hot, int64_t line, int64_t step)
{
    const struct replay_frame *frame = hot->frame;

    if (frame->kind == REPLAY_TRANSPARENT) {
        hot->line = replay_step_line(hot->line, step);
        return true;
    }
    if (frame->kind == REPLAY_PLAIN && line >= 0 && line <= REPLAY_LINE_MAX) {
        struct sums_cell *cell = sums_find_cell(hot->sums, frame->node, (uint32_t)line);
        hot->line = line;
        if (cell)
            step_statement(hot, hot->cell, cell);
        hot->cell = cell ? cell : hot->cell;
        hot->cell->hits++;
        hot->now.hits++;
        hot->watch = replay_watches(hot->sums, frame);
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

    begin_event(hot, units);
    if (__builtin_expect(cell->line != at, 0))
        return other_line(replay, hot, at, step);
    step_statement(hot, hot->cell, cell);
    hot->line = at;
    hot->cell = cell;
    cell->hits++;
    hot->now.hits++;
    return true;
}

/* Lines in their shortest form that follow each other on a plain frame: with so little state that
 * all of it is in registers. Stops before what is anything else. */
HOT const uint8_t *lines(struct hot *hot, const uint8_t *at, const uint8_t *last)
{
    struct sums_cell *const *table = hot->node->table;
    const struct clock *clock = hot->clock;
    uint64_t mask = hot->node->mask, rest = hot->rest, units = 0;
    int64_t number = hot->line, time = 0;
    struct sums_cell *cell = hot->cell;
    const uint8_t *first = at;

    for (; at < last && *at & TRACE_SHORT_LINE; at++) {
        int64_t next = number + (*at >> 4 & 7) - TRACE_SHORT_LINE_BIAS;
        struct sums_cell *found = table[(uint64_t)next & mask];
        if (__builtin_expect(found->line != next, 0))
            break;
        uint64_t step = *at & 15;
        uint64_t more = clock->step_rest[step];
        int64_t over = (int64_t)(rest + (more - clock->den)); /* what waits for `rest` is little */
        int64_t passed = (int64_t)clock->step_ns[step] + (over >= 0);
        rest = over >= 0 ? (uint64_t)over : rest + more;
        cell->self += passed;
        step_statement(hot, cell, found);
        cell = found;
        cell->hits++;
        number = next;
        time += passed;
        units += step;
    }
    hot->cell = cell;
    hot->line = number;
    hot->rest = rest;
    hot->units += units;
    hot->now.time += time;
    hot->now.hits += (uint64_t)(at - first);
    hot->events += (uint64_t)(at - first);
    return at;
}

HOT void raise(struct replay *replay, struct hot *hot)
{
    if (hot->frame->kind == REPLAY_PLAIN)
        return;
    save(replay, hot);
    replay_raise(replay);
    load(replay, hot);
}

/* --- What comes --- */

HOT struct replay_frame *place_frame(struct hot *hot, struct sums_entry *entry, uint64_t key,
                                     uint64_t activation, uint32_t lag)
{
    struct replay_frame *frame = hot->frame + 1;

    save_frame(hot);
    frame->cell = hot->cell;
    frame->entry = entry;
    frame->entered = hot->now;
    frame->below = frame->below_wait = 0;
    frame->key = key;
    frame->activation = activation;
    frame->lag = lag;
    frame->is_unknown = frame->is_booked = false;
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
    struct replay_frame *frame = place_frame(hot, entry, key, activation, replay->lag);
    frame->line = at;
    frame->is_booked = true;
    frame->kind = key & 1 ? REPLAY_ODD : REPLAY_PLAIN;
    replay->depth -= key & 1;
    replay_enter(hot->sums, frame, cell, how);
    hot->frame = frame;
    load_frame(hot);
    return true;
}

HOT void place_transparent(struct replay *replay, struct hot *hot, struct sums_entry *entry,
                           uint64_t key, int64_t step, uint64_t activation)
{
    struct replay_frame *frame = place_frame(hot, entry, key, activation, replay->lag);

    frame->node = frame[-1].node;
    frame->line = entry->function->first_line + step;
    frame->kind = REPLAY_TRANSPARENT;
    frame->is_recursive = frame[-1].is_recursive;
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
            place_transparent(replay, hot, entry, key, step, activation);
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
    load_frame(hot);
}

HOT void leave(struct replay *replay, struct hot *hot)
{
    const struct replay_frame *frame = hot->frame;

    if (__builtin_expect(frame->kind == REPLAY_PLAIN, 1)) {
        replay_leave(hot->sums, hot->frame, hot->now);
        drop_frame(hot);
    } else if (frame->kind == REPLAY_TRANSPARENT) {
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

    if (__builtin_expect(frame->kind != REPLAY_ODD, 1)) {
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
    if (__builtin_expect(replay_frame_is_c(hot->frame) && hot->frame->is_booked, 1)) {
        replay_leave(hot->sums, hot->frame, hot->now);
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

/* The time of an event. False: it is not for here. */
HOT bool read_units(const uint8_t **at, uint64_t *units)
{
    bool good = true;

    *units = read_number(at, &good);
    return good && *units < CLOCK_STEPS;
}

/* The same, and the one operand behind it. */
HOT bool read_operand(const uint8_t **at, uint64_t *units, uint64_t *operand)
{
    bool good = read_units(at, units);

    *operand = read_number(at, &good);
    return good;
}

/* --- Events ---
 * Each passes its time itself, so that what follows an event is guessed by what event it was. *at
 * is behind it then. False: it is not for here, or the loop ends with it. */

HOT bool long_line(struct replay *replay, struct hot *hot, const uint8_t **at)
{
    const uint8_t *behind = *at + 1;
    uint64_t units, step;

    if (!read_operand(&behind, &units, &step) || step >= INT32_MAX)
        return false;
    *at = behind;
    return line(replay, hot, units, (int)trace_unzigzag(step));
}

/* RETURN, YIELD, UNWIND, C_RETURN: no operand. */
HOT bool long_going(struct replay *replay, struct hot *hot, const uint8_t **at, uint8_t tag)
{
    const uint8_t *behind = *at + 1;
    uint64_t units;

    if (!read_units(&behind, &units))
        return false;
    *at = behind;
    begin_event(hot, units);
    if (tag == TRACE_TAG_YIELD)
        return yield(replay, hot);
    if (tag == TRACE_TAG_C_RETURN)
        c_return(replay, hot);
    else
        leave(replay, hot);
    return true;
}

/* CALL, RESUME, RAISE, C_CALL: one operand. */
HOT bool long_coming(struct replay *replay, struct hot *hot, const uint8_t **at, uint8_t tag)
{
    const uint8_t *behind = *at + 1;
    uint64_t units, operand;

    if (!read_operand(&behind, &units, &operand))
        return false;
    *at = behind;
    begin_event(hot, units);
    if (tag == TRACE_TAG_CALL)
        return call(replay, hot, operand);
    if (tag == TRACE_TAG_RESUME)
        return resume(replay, hot, operand);
    if (tag == TRACE_TAG_C_CALL)
        return c_call(replay, hot, operand);
    raise(replay, hot);
    return true;
}

HOT bool long_continue(struct replay *replay, struct hot *hot, const uint8_t **at)
{
    const uint8_t *behind = *at + 1;
    uint64_t units, code;
    bool good = read_operand(&behind, &units, &code);
    int64_t step = trace_unzigzag(read_number(&behind, &good));
    uint64_t ref = read_number(&behind, &good);

    if (!good || ref & 1) /* an activation of another thread */
        return false;
    *at = behind;
    begin_event(hot, units);
    return go_on(replay, hot, code, step, ref >> 1);
}

HOT bool long_event(struct replay *replay, struct hot *hot, const uint8_t **at, uint8_t tag)
{
    switch (tag) {
    case TRACE_TAG_LINE:
        return long_line(replay, hot, at);
    case TRACE_TAG_RETURN:
    case TRACE_TAG_UNWIND:
        return long_going(replay, hot, at, TRACE_TAG_RETURN);
    case TRACE_TAG_YIELD:
        return long_going(replay, hot, at, TRACE_TAG_YIELD);
    case TRACE_TAG_C_RETURN:
        return long_going(replay, hot, at, TRACE_TAG_C_RETURN);
    case TRACE_TAG_CALL:
        return long_coming(replay, hot, at, TRACE_TAG_CALL);
    case TRACE_TAG_RESUME:
        return long_coming(replay, hot, at, TRACE_TAG_RESUME);
    case TRACE_TAG_RAISE:
        return long_coming(replay, hot, at, TRACE_TAG_RAISE);
    case TRACE_TAG_C_CALL:
        return long_coming(replay, hot, at, TRACE_TAG_C_CALL);
    case TRACE_TAG_CONTINUE:
        return long_continue(replay, hot, at);
    default: /* END, CPU, SWITCH, GAP, MARK, EXTENSION */
        return false;
    }
}

HOT void short_return(struct replay *replay, struct hot *hot, const uint8_t **at, uint8_t tag)
{
    *at += 1;
    begin_event(hot, tag & 15);
    leave(replay, hot);
}

HOT bool short_yield(struct replay *replay, struct hot *hot, const uint8_t **at, uint8_t tag)
{
    *at += 1;
    begin_event(hot, tag & 15);
    return yield(replay, hot);
}

HOT bool short_call(struct replay *replay, struct hot *hot, const uint8_t **at, uint8_t tag)
{
    const uint8_t *behind = *at + 1;
    bool good = true;
    uint64_t code = read_number(&behind, &good);

    if (!good)
        return false;
    *at = behind;
    begin_event(hot, tag & 15);
    return call(replay, hot, code);
}

HOT const uint8_t *play(struct replay *replay, const uint8_t *at, const uint8_t *last,
                        bool by_statement)
{
    struct hot hot = {.by_statement = by_statement};
    bool going = true;

    load(replay, &hot);
    while (going && at < last) {
        uint8_t tag = *at;
        if (tag & TRACE_SHORT_LINE) {
            const uint8_t *before = at;
            if (!hot.watch && (at = lines(&hot, at, last)) != before)
                continue;
            at++;
            going = line(replay, &hot, tag & 15, (tag >> 4 & 7) - TRACE_SHORT_LINE_BIAS);
        } else if (tag & TRACE_SHORT_LINE_WIDE) {
            at += 2;
            going = line(replay, &hot, at[-1], (tag & 63) - TRACE_SHORT_LINE_WIDE_BIAS);
        } else if (tag >= TRACE_SHORT_YIELD) {
            going = short_yield(replay, &hot, &at, tag);
        } else if (tag >= TRACE_SHORT_RETURN) {
            short_return(replay, &hot, &at, tag);
        } else if (tag >= TRACE_SHORT_CALL) {
            going = short_call(replay, &hot, &at, tag);
        } else {
            going = long_event(replay, &hot, &at, tag);
        }
    }
    save(replay, &hot);
    return at;
}

/* Two loops: hardly anybody asks for statements. */
static const uint8_t *play_lines(struct replay *replay, const uint8_t *at, const uint8_t *last)
{
    return play(replay, at, last, false);
}

static const uint8_t *play_statements(struct replay *replay, const uint8_t *at, const uint8_t *last)
{
    return play(replay, at, last, true);
}

void replay_hot(struct replay *replay, struct trace_cursor *cur)
{
    if (cur->status != TRACE_OK || cur->end - cur->at <= LONGEST || replay->has_cpu ||
        replay->hand.limit < CLOCK_STEPS)
        return;
    cur->at = (replay->sums.statements ? play_statements : play_lines)(replay, cur->at,
                                                                      cur->end - LONGEST);
}
