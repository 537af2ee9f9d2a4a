#include "analyzer/replay_stack.h"

#include "analyzer/grow.h"

int replay_grow(struct replay *replay)
{
    struct replay_frame *grown =
        grow_array(replay->frames, replay->top + 1, &replay->room, sizeof *grown);

    if (!grown)
        return -1;
    replay->frames = grown;
    return 0;
}

/* More frames than this are in no stack; a record may claim any number. */
#define DEPTH_MAX (1ull << 40)

static bool append_lag(struct replay *replay, int64_t lag)
{
    int64_t *grown = replay->lag_count < UINT32_MAX ? grow_array(replay->lags, replay->lag_count,
                                                                 &replay->lag_room, sizeof *grown)
                                                    : NULL;

    if (!grown) {
        replay->out_of_memory = true;
        return false;
    }
    replay->lags = grown;
    grown[replay->lag_count++] = lag;
    return true;
}

/* Where the lag stands in replay->lags. */
static uint32_t add_lag(struct replay *replay, int64_t lag)
{
    size_t last = replay->lag_count - 1;

    if (replay->lag_count && replay->lags[last] == lag)
        return (uint32_t)last;
    if (replay->lag_count && replay->lags[replay->lag] == lag)
        return replay->lag;
    return append_lag(replay, lag) ? (uint32_t)(replay->lag_count - 1) : 0;
}

void replay_set_lag(struct replay *replay)
{
    replay->lag = add_lag(replay, replay->hand.ns - replay->now.time);
}

void replay_new_lag(struct replay *replay, int64_t lag)
{
    if (append_lag(replay, lag))
        replay->lag = (uint32_t)(replay->lag_count - 1);
}

uint32_t replay_counted_line(struct replay *replay, const struct replay_frame *frame)
{
    if (!frame->is_unknown && frame->line >= 0 && frame->line <= REPLAY_LINE_MAX)
        return (uint32_t)frame->line;
    replay->trouble.bad_lines += !frame->is_unknown;
    return 0;
}

static int enter(struct replay *replay, struct replay_frame *frame, int64_t step,
                 enum replay_push how)
{
    struct sums_entry *entry = sums_entry(&replay->sums, frame->cell, frame->node, frame->key);

    if (!entry)
        return -1;
    frame->entry = entry;
    frame->is_unknown = entry->function->is_unknown;
    if (frame->is_unknown)
        frame->repeat = 1;
    else
        frame->line = replay_step_line(entry->function->first_line, step);
    if (!entry->node) {
        if (!frame->is_unknown && !replay_frame_is_c(frame))
            frame->kind = REPLAY_TRANSPARENT;
        return 0;
    }
    struct sums_cell *cell =
        sums_cell(&replay->sums, entry->node, replay_counted_line(replay, frame));
    if (!cell)
        return -1;
    frame->is_booked = true;
    if (!frame->is_unknown && !replay_frame_is_c(frame))
        frame->kind = REPLAY_PLAIN;
    replay_enter(&replay->sums, frame, cell, replay->cut.is_outside ? REPLAY_INHERIT : how);
    if (how == REPLAY_CALL) /* also outside of windows */
        frame->statement = REPLAY_NO_STATEMENT;
    return 0;
}

void replay_push(struct replay *replay, uint64_t key, int64_t step, uint64_t activation,
                 enum replay_push how)
{
    if (replay->top + 1 >= replay->room && replay_grow(replay) < 0) {
        replay->out_of_memory = true;
        return;
    }
    struct replay_frame *caller = &replay->frames[replay->top], *frame = caller + 1;
    *frame = (struct replay_frame){
        .cell = caller->cell,
        .node = caller->node,
        .entered = replay->now,
        .key = key,
        .activation = activation,
        .lag = replay->lag,
        .is_recursive = caller->is_recursive,
    };
    /* What excluded code calls by way of C is not recorded either. */
    bool is_c = replay_frame_is_c(frame);
    bool transparent = is_c && !caller->is_booked && replay->top > 0;
    if (!transparent && enter(replay, frame, step, how) < 0) {
        replay->out_of_memory = true;
        return;
    }
    replay->top++;
    replay->depth += !is_c;
}

/* --- Stack records --- */

/* Pops until `kept` Python frames are left, and no C function is on top of them. */
static void pop_to(struct replay *replay, uint64_t kept)
{
    replay_pop_c(replay);
    while (replay->depth > kept) {
        struct replay_frame *frame = &replay->frames[replay->top];
        if (frame->is_unknown && frame->repeat > replay->depth - kept) {
            frame->repeat -= replay->depth - kept;
            replay->depth = kept;
            break;
        }
        replay_pop(replay);
        replay_pop_c(replay);
    }
}

/* Frames of which nothing is known but how many they are. */
static void push_unknown(struct replay *replay, uint64_t count)
{
    replay_push(replay, SUMS_UNKNOWN_KEY, 0, 0, REPLAY_INHERIT);
    if (replay->out_of_memory)
        return;
    replay->guessed = true;
    replay->frames[replay->top].repeat = count;
    replay->depth += count - 1;
}

static void push_given(struct replay *replay, const struct trace_frame *given, size_t old_top,
                       bool continues)
{
    uint64_t key = sums_code_key(given->code), activation = given->thread ? 0 : given->activation;
    int64_t since = replay->hand.ns;

    if (continues && replay->top < old_top && activation &&
        replay->frames[replay->top + 1].activation == activation) /* popped, but not overwritten */
        since = replay_since(replay, &replay->frames[replay->top + 1]);
    replay_push(replay, key, given->line_step, activation, REPLAY_INHERIT);
    /* Who comes outside of windows has been there since the next one opened. */
    if (!replay->out_of_memory && !(replay->cut.is_outside && since == replay->hand.ns))
        replay->frames[replay->top].lag = add_lag(replay, since - replay->now.time);
}

void replay_adopt(struct replay *replay, struct trace_stack stack, bool continues)
{
    struct trace_frame given;
    size_t old_top = replay->top;

    uint64_t kept = stack.kept < DEPTH_MAX ? stack.kept : DEPTH_MAX;

    pop_to(replay, stack.kept);
    if (replay->depth < kept)
        push_unknown(replay, kept - replay->depth);
    while (!replay->out_of_memory && trace_next_frame(&stack, &given))
        push_given(replay, &given, old_top, continues);
    replay->next = stack.next;
}

/* Where the frame above `kept` Python frames stands; 0: not known one by one. */
static size_t find_frame(const struct replay *replay, uint64_t kept)
{
    uint64_t depth = replay->depth;
    size_t i = replay->top;

    for (; i > 0 && depth > kept; i--)
        if (!replay_frame_is_c(&replay->frames[i]))
            depth -= replay_repeat(&replay->frames[i]);
    return depth == kept ? i + 1 : 0;
}

static bool is_given(const struct replay_frame *frame, const struct trace_frame *given)
{
    if (frame->key != sums_code_key(given->code) ||
        frame->activation != (given->thread ? 0 : given->activation))
        return false;
    return frame->is_unknown || replay_line_step(frame) == given->line_step;
}

bool replay_stack_is(const struct replay *replay, struct trace_stack stack)
{
    struct trace_frame given;

    if (replay->depth != stack.depth || replay->next != stack.next)
        return false;
    size_t i = find_frame(replay, stack.kept);
    for (; i && trace_next_frame(&stack, &given); i++) {
        while (i <= replay->top && replay_frame_is_c(&replay->frames[i]))
            i++;
        if (i > replay->top || !is_given(&replay->frames[i], &given))
            return false;
    }
    return i > 0;
}
