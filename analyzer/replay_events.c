#include "analyzer/replay_stack.h"

#include "analyzer/facts.h"
#include "analyzer/grow.h"

/* --- Time --- */

/* How much of an interval was not on a processor (TRACE.md 6.4). */
static int64_t waited(const struct replay *replay, int64_t passed, int64_t before, uint64_t cpu)
{
    int64_t other = before - replay->cpu_stamp_at;
    int64_t ran = cpu > (uint64_t)INT64_MAX / 2 ? passed : (int64_t)cpu - other;

    ran = ran < 0 ? 0 : ran > passed ? passed : ran;
    return passed - ran;
}

/* A duration that ends now, `wait` of it not on a processor. */
static void take_time(struct replay *replay, int64_t passed, int64_t wait)
{
    if (replay->cut.is_on)
        replay_cut_pass(replay, passed, wait, NULL);
    else
        replay_account(replay, passed, wait);
}

static void pass_stamped(struct replay *replay, int64_t passed)
{
    int64_t before = replay->hand.ns - passed;
    int64_t wait = waited(replay, passed, before, replay->cpu_pending);

    replay->cpu_stamp_at = replay->hand.ns;
    replay->cpu_total += replay->cpu_pending;
    replay->cpu_pending = 0;
    replay->has_cpu = false;
    take_time(replay, passed, wait);
}

static void pass(struct replay *replay, uint64_t units)
{
    int64_t passed = clock_hand_advance(&replay->hand, units);

    if (replay->has_cpu)
        pass_stamped(replay, passed);
    else
        take_time(replay, passed, 0);
}

void replay_pass_to_anchor(struct replay *replay, int64_t passed, uint64_t cpu)
{
    int64_t before = replay->hand.ns - passed, wait = 0;

    if (passed > (int64_t)TRACE_CPU_STAMP_NS)
        wait =
            waited(replay, passed, before, cpu > replay->cpu_total ? cpu - replay->cpu_total : 0);
    take_time(replay, passed, wait);
}

/* --- Lines --- */

void replay_line(struct replay *replay, int64_t step)
{
    replay_pop_c(replay);
    struct replay_frame *frame = &replay->frames[replay->top];
    if (replay->top == 0) {
        replay->trouble.strays++;
        return;
    }
    if (!frame->is_unknown)
        frame->line = replay_step_line(frame->line, step);
    if (!frame->is_booked)
        return;
    struct sums_cell *cell =
        sums_cell(&replay->sums, frame->node, replay_counted_line(replay, frame));
    if (!cell) {
        replay->out_of_memory = true;
        return;
    }
    if (replay->sums.statements) {
        cell->at->inner += cell->at->statement == frame->statement && cell != frame->cell &&
                           !replay->cut.is_outside;
        frame->statement = cell->at->statement;
    }
    frame->cell = cell;
    cell->hits += !replay->cut.is_outside;
    replay->now.hits += !replay->cut.is_outside;
}

/* --- Frames --- */

static void call(struct replay *replay, uint64_t code)
{
    replay_push(replay, sums_code_key(code), 0, replay->next++, REPLAY_CALL);
}

void replay_return(struct replay *replay)
{
    replay_pop_c(replay);
    struct replay_frame *frame = &replay->frames[replay->top];
    if (replay->top == 0) {
        replay->trouble.strays++;
    } else if (frame->is_unknown && frame->repeat > 1) {
        frame->repeat--;
        replay->depth--;
    } else {
        replay_pop(replay);
    }
}

void replay_yield(struct replay *replay)
{
    replay_pop_c(replay);
    const struct replay_frame *frame = &replay->frames[replay->top];
    if (replay->top > 0 && frame->activation &&
        !replay_suspensions_put(&replay->suspended, frame->activation, frame->key,
                                replay_line_step(frame))) {
        replay->out_of_memory = true;
        return;
    }
    replay_return(replay);
}

void replay_resume(struct replay *replay, uint64_t activation)
{
    const struct replay_suspended *suspended =
        replay_suspensions_get(&replay->suspended, activation);

    replay->trouble.unknown_resumes += !suspended;
    if (suspended)
        replay_push(replay, suspended->key, suspended->step, activation, REPLAY_RESUME);
    else
        replay_push(replay, SUMS_UNKNOWN_KEY, 0, activation, REPLAY_RESUME);
}

static void go_on(struct replay *replay, const struct trace_event *ev)
{
    uint64_t activation = ev->thread ? 0 : replay->next - ev->back;

    replay->next += !ev->thread && ev->back == 0; /* never seen before: it is numbered now */
    replay_push(replay, sums_code_key(ev->code), ev->line_step, activation, REPLAY_RESUME);
}

void replay_c_call(struct replay *replay, uint64_t string)
{
    if (replay->top == 0)
        replay->trouble.strays++;
    else
        replay_push(replay, sums_c_key(string), 0, 0, REPLAY_CALL);
}

void replay_c_return(struct replay *replay)
{
    if (replay_frame_is_c(&replay->frames[replay->top]))
        replay_pop(replay);
    else
        replay->trouble.strays += replay->top == 0;
}

void replay_raise(struct replay *replay)
{
    replay_pop_c(replay);
    replay->trouble.strays += replay->top == 0;
}

/* --- Others --- */

static void note_mark(struct replay *replay, uint64_t string)
{
    if (replay->cut.is_outside)
        return;
    struct replay_mark *grown =
        grow_array(replay->marks, replay->mark_count, &replay->mark_room, sizeof *grown);
    if (!grown) {
        replay->out_of_memory = true;
        return;
    }
    replay->marks = grown;
    struct replay_mark *mark = &grown[replay->mark_count++];
    mark->time = replay->hand.ns;
    mark->at = replay->frames[replay->top].cell->at;
    facts_string(replay->sums.facts, replay->sums.process, string, &mark->text);
}

void replay_add_gap(struct replay *replay, int64_t start, int64_t end, uint64_t reason)
{
    struct replay_gap *grown =
        grow_array(replay->gaps, replay->gap_count, &replay->gap_room, sizeof *grown);

    if (!grown) {
        replay->out_of_memory = true;
        return;
    }
    replay->gaps = grown;
    grown[replay->gap_count++] = (struct replay_gap){start, end, reason};
    replay->gap_ns += end - start;
}

void replay_note_gap(struct replay *replay, int64_t start, uint64_t reason)
{
    if (replay->cut.is_on)
        replay_cut_pass(replay, replay->hand.ns - start, 0, &reason);
    else
        replay_add_gap(replay, start, replay->hand.ns, reason);
    if (!replay->cut.is_outside)
        replay_set_lag(replay);
}

static void gap(struct replay *replay, const struct trace_event *ev)
{
    int64_t start = replay->hand.ns;

    clock_hand_advance(&replay->hand, ev->gap);
    replay_note_gap(replay, start, ev->reason);
    if (!replay_cut_is_over(replay))
        replay_adopt(replay, ev->stack, true);
}

/* What is not LINE, CALL, RETURN. */
static void play_rare(struct replay *replay, const struct trace_event *ev)
{
    switch (ev->tag) {
    case TRACE_TAG_YIELD:
        replay_yield(replay);
        break;
    case TRACE_TAG_RESUME:
        replay_resume(replay, replay->next - ev->back);
        break;
    case TRACE_TAG_RAISE:
        replay_raise(replay);
        break;
    case TRACE_TAG_C_CALL:
        replay_c_call(replay, ev->string);
        break;
    case TRACE_TAG_C_RETURN:
        replay_c_return(replay);
        break;
    case TRACE_TAG_CONTINUE:
        go_on(replay, ev);
        break;
    case TRACE_TAG_SWITCH:
        replay_adopt(replay, ev->stack, false);
        break;
    case TRACE_TAG_GAP:
        gap(replay, ev);
        break;
    case TRACE_TAG_MARK:
        note_mark(replay, ev->string);
        break;
    default:
        break;
    }
}

/* CPU and EXTENSION have no time of their own and are no events. */
static bool play_timeless(struct replay *replay, const struct trace_event *ev)
{
    if (ev->tag == TRACE_TAG_CPU) {
        replay->cpu_pending += ev->cpu;
        replay->has_cpu = true;
        return true;
    }
    replay->trouble.extensions += ev->tag == TRACE_TAG_EXTENSION;
    return ev->tag == TRACE_TAG_EXTENSION;
}

static void play(struct replay *replay, const struct trace_event *ev)
{
    if (play_timeless(replay, ev))
        return;
    replay->events++;
    pass(replay, ev->time);
    replay->cut.events += replay->cut.is_outside;
    if (replay_cut_is_over(replay))
        return;
    if (ev->tag == TRACE_TAG_LINE)
        replay_line(replay, ev->line_step);
    else if (ev->tag == TRACE_TAG_CALL)
        call(replay, ev->code);
    else if (ev->tag == TRACE_TAG_RETURN || ev->tag == TRACE_TAG_UNWIND)
        replay_return(replay);
    else
        play_rare(replay, ev);
}

void replay_events(struct replay *replay, struct trace_cursor *cur)
{
    struct trace_event ev;

    do {
        if (!replay->cut.is_slow)
            replay_hot(replay, cur);
        if (!trace_next_event(cur, &ev))
            break;
        play(replay, &ev);
    } while (!replay->out_of_memory && !replay_cut_is_over(replay));
}
