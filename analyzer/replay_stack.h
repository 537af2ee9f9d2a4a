/* replay_stack.h - the part of replay that is done at every call and return; inline, for the hot
 * loop. */
#ifndef ANALYZER_REPLAY_STACK_H
#define ANALYZER_REPLAY_STACK_H

#include "analyzer/replay.h"

#define REPLAY_LINE_MAX 2147483647

/* Why a frame comes onto the stack. */
enum replay_push { REPLAY_CALL, REPLAY_RESUME, REPLAY_INHERIT };

/* Room for one more frame. 0, or -1: no memory. */
int replay_grow(struct replay *replay);

/* The stamp and the time were moved apart: the lag changes, from the next frame on. */
void replay_set_lag(struct replay *replay);

/* The same, and no frame so far has this lag, equal or not. */
void replay_new_lag(struct replay *replay, int64_t lag);

/* Pushes an activation of the code behind `key`, `step` lines from its first; `activation` as in
 * replay_frame. Without memory nothing is pushed and out_of_memory set. */
void replay_push(struct replay *replay, uint64_t key, int64_t step, uint64_t activation,
                 enum replay_push how);

/* Makes the stack that of the record: keeps `kept` frames, pops the others, pushes those that are
 * given. With `continues`, an activation that stays at its depth keeps its `since`. */
void replay_adopt(struct replay *replay, struct trace_stack stack, bool continues);

/* Is the stack that of the record? */
bool replay_stack_is(const struct replay *replay, struct trace_stack stack);

/* Plays one payload behind its stack record. */
void replay_events(struct replay *replay, struct trace_cursor *cur);

/* Plays the events from cur->at on, until one comes that is out of the ordinary. */
void replay_hot(struct replay *replay, struct trace_cursor *cur);

/* The events, once their time has passed, whatever the stack is like. */
void replay_line(struct replay *replay, int64_t step);
void replay_return(struct replay *replay);
void replay_yield(struct replay *replay);
void replay_resume(struct replay *replay, uint64_t activation);
void replay_raise(struct replay *replay);
void replay_c_call(struct replay *replay, uint64_t string);
void replay_c_return(struct replay *replay);

/* A frame's line as it is counted: what is out of range is line 0 and trouble, and in unknown code
 * all is line 0. */
uint32_t replay_counted_line(struct replay *replay, const struct replay_frame *frame);

/* The time from the thread's last event to a chunk's anchor, at which its CPU time was `cpu`. */
void replay_pass_to_anchor(struct replay *replay, int64_t passed, uint64_t cpu);

/* A gap from `start` until now. */
void replay_note_gap(struct replay *replay, int64_t start, uint64_t reason);
void replay_add_gap(struct replay *replay, int64_t start, int64_t end, uint64_t reason);

/* Only what is in the windows counts from here on; NULL: all does. */
void replay_cut_begin(struct replay *replay, const struct windows *windows);

/* A chunk begins, and the next one not before the stamp `limit`. */
void replay_cut_chunk(struct replay *replay, int64_t limit);

/* The last `passed` ns were time, or a gap if there is a reason, within or without windows. */
void replay_cut_pass(struct replay *replay, int64_t passed, int64_t wait, const uint64_t *reason);

/* The thread ends, with its last window if that came before. */
void replay_cut_end(struct replay *replay);

static inline bool replay_cut_is_over(const struct replay *replay)
{
    return replay->cut.is_on && replay->cut.next == replay->cut.end;
}

/* Into the hot loop whatever the compiler thinks of it: its state must not go through memory. */
#define REPLAY_INLINE static inline __attribute__((always_inline))

/* `step` lines on; never as far as SUMS_NO_LINE. */
static inline int64_t replay_step_line(int64_t line, int64_t step)
{
    if (__builtin_add_overflow(line, step, &line))
        line = step < 0 ? -SUMS_LINE_FAR : SUMS_LINE_FAR;
    return line < -SUMS_LINE_FAR ? -SUMS_LINE_FAR
           : line > SUMS_LINE_FAR ? SUMS_LINE_FAR
                                    : line;
}

/* The line of a Python frame less its code's first. */
static inline int64_t replay_line_step(const struct replay_frame *frame)
{
    return frame->is_unknown ? 0 : frame->line - frame->entry->function->first_line;
}

static inline uint64_t replay_repeat(const struct replay_frame *frame)
{
    return frame->is_unknown ? frame->repeat : 1;
}

/* May lower frames be where this one is? */
REPLAY_INLINE bool replay_watches(const struct sums *sums, const struct replay_frame *frame)
{
    return frame->is_recursive || sums->held_shared;
}

/* A duration that belongs to the top of the stack, `wait` of it not on a processor. */
REPLAY_INLINE void replay_account(struct replay *replay, int64_t passed, int64_t wait)
{
    const struct replay_frame *frame = &replay->frames[replay->top];
    struct sums_cell *cell = frame->cell;

    replay->now.time += passed;
    replay->now.wait += wait;
    cell->self += passed;
    cell->wait += wait;
    if (__builtin_expect(!replay_watches(&replay->sums, frame), 1))
        return;
    struct sums_line *at = cell->at;
    if (at->held) {
        at->nested += passed;
        at->nested_wait += wait;
    }
    if (at->file_line && at->file_line->held) {
        at->file_line->nested += passed;
        at->file_line->nested_wait += wait;
    }
}

REPLAY_INLINE void replay_hold(struct sums *sums, struct sums_line *at)
{
    at->held++;
    if (__builtin_expect(at->file_line != NULL, 0))
        sums->held_shared += at->file_line->held++ == 0;
}

REPLAY_INLINE void replay_release(struct sums *sums, struct sums_line *at, int64_t passed,
                                  int64_t wait)
{
    if (--at->held == 0) {
        at->below += passed;
        at->below_wait += wait;
    }
    if (__builtin_expect(at->file_line != NULL, 0) && --at->file_line->held == 0) {
        at->file_line->below += passed;
        at->file_line->below_wait += wait;
        sums->held_shared--;
    }
}

/* A pair is active while one of its edges is: it counts those. */
REPLAY_INLINE void replay_enter_edge(struct sums_edge *edge, enum replay_push how)
{
    struct sums_edge *pair = edge->pair;

    if (edge->active++ > 0)
        return;
    edge->primitive_calls += how == REPLAY_CALL;
    edge->primitive_resumes += how == REPLAY_RESUME;
    if (__builtin_expect(pair != NULL, 0) && pair->active++ == 0) {
        pair->primitive_calls += how == REPLAY_CALL;
        pair->primitive_resumes += how == REPLAY_RESUME;
    }
}

/* Books the beginning of an activation; frame->cell is the caller's until now, and the entry is
 * set. */
REPLAY_INLINE void replay_enter(struct sums *sums, struct replay_frame *frame,
                                struct sums_cell *cell, enum replay_push how)
{
    struct sums_entry *entry = frame->entry;
    struct sums_function *function = entry->function;
    struct sums_line *caller = frame->cell->at;

    frame->cell = cell;
    frame->node = entry->node;
    frame->statement = how == REPLAY_CALL ? REPLAY_NO_STATEMENT : cell->at->statement;
    frame->outer = function->top;
    entry->calls += how == REPLAY_CALL;
    entry->resumes += how == REPLAY_RESUME;
    replay_enter_edge(entry->edge, how);
    function->primitive_calls += how == REPLAY_CALL && !function->top;
    function->primitive_resumes += how == REPLAY_RESUME && !function->top;
    function->top = entry->node;
    entry->active++;
    entry->node->active++;
    replay_hold(sums, caller);
    frame->is_recursive = frame->outer != NULL;
}

/* Books the end of an activation with its function, edge, contexts and its caller's line. */
REPLAY_INLINE void replay_leave(struct sums *sums, struct replay_frame *frame,
                                struct replay_now now)
{
    struct replay_frame *caller = frame - 1;
    struct sums_entry *entry = frame->entry;
    struct sums_function *function = entry->function;
    struct sums_edge *edge = entry->edge;
    int64_t passed = now.time - frame->entered.time, wait = now.wait - frame->entered.wait;
    uint64_t hits = now.hits - frame->entered.hits;

    function->top = frame->outer;
    if (!frame->outer) {
        function->cumulative += passed;
        function->cumulative_wait += wait;
        edge->outer += passed;
        edge->outer_wait += wait;
        edge->outer_hits += hits;
    }
    if (--edge->active == 0) {
        edge->cumulative += passed;
        edge->cumulative_wait += wait;
        edge->cumulative_hits += hits;
        if (__builtin_expect(edge->pair != NULL, 0) && --edge->pair->active == 0) {
            edge->pair->cumulative += passed;
            edge->pair->cumulative_wait += wait;
        }
    }
    if (--entry->active == 0) {
        entry->cumulative += passed;
        entry->cumulative_wait += wait;
    }
    if (--entry->node->active == 0) {
        entry->node->cumulative += passed;
        entry->node->cumulative_wait += wait;
    }
    edge->self += passed - frame->below;
    edge->self_wait += wait - frame->below_wait;
    replay_release(sums, caller->cell->at, passed, wait);
    caller->below += passed;
    caller->below_wait += wait;
}

static inline void replay_pop(struct replay *replay)
{
    struct replay_frame *frame = &replay->frames[replay->top--], *caller = frame - 1;

    if (frame->is_booked) {
        replay_leave(&replay->sums, frame, replay->now);
    } else { /* what it called counts as called by the recorded frame below */
        caller->below += frame->below;
        caller->below_wait += frame->below_wait;
    }
    if (!replay_frame_is_c(frame))
        replay->depth -= replay_repeat(frame);
}

/* Python code goes on: C functions that it called are back, whether the trace says so or not. */
static inline void replay_pop_c(struct replay *replay)
{
    while (__builtin_expect(replay_frame_is_c(&replay->frames[replay->top]), 0))
        replay_pop(replay);
}

#endif
