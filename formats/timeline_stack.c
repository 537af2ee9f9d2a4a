#include "formats/timeline_stack.h"

#include <stdlib.h>

#include "formats/error.h"

/* ---- slices ---- */

/* Times lie in the window and in order, whatever a damaged database says. */
static int64_t tell_time(struct timeline_stack *stack, int64_t time)
{
    if (time > stack->to)
        time = stack->to;
    if (time > stack->now)
        stack->now = time;
    return stack->now;
}

static int begin_slice(struct timeline_stack *stack, struct timeline_slice slice, int64_t time)
{
    return stack->listener->begin(stack->listener->context, &slice, tell_time(stack, time));
}

static int end_slice(struct timeline_stack *stack, struct timeline_slice slice, int64_t time)
{
    return stack->listener->end(stack->listener->context, &slice, tell_time(stack, time));
}

static struct timeline_slice slice_of(const struct timeline_activation *activation)
{
    return (struct timeline_slice){
        .kind = activation->c_name != NULL ? TIMELINE_C : TIMELINE_FUNCTION,
        .function = activation->function,
        .c_name = activation->c_name,
    };
}

static struct timeline_slice line_of(const struct timeline_activation *frame)
{
    return (struct timeline_slice){
        .kind = TIMELINE_LINE, .function = frame->function, .line = frame->line};
}

static int begin(struct timeline_stack *stack, struct timeline_activation *activation, int64_t time)
{
    if (!stack->is_open || activation->is_begun || !activation->is_shown || !activation->inside)
        return 0;
    activation->is_begun = true;
    return begin_slice(stack, slice_of(activation), time);
}

/* Its slice lies in that of the function. */
static int begin_line(struct timeline_stack *stack, struct timeline_activation *frame, int64_t time)
{
    if (!stack->has_lines || !frame->is_begun || frame->line == 0 || frame->function == NULL)
        return 0;
    frame->is_line_begun = true;
    return begin_slice(stack, line_of(frame), time);
}

static int end_line(struct timeline_stack *stack, struct timeline_activation *frame, int64_t time)
{
    if (!frame->is_line_begun)
        return 0;
    frame->is_line_begun = false;
    return end_slice(stack, line_of(frame), time);
}

static int end(struct timeline_stack *stack, struct timeline_activation *activation, int64_t time)
{
    if (end_line(stack, activation, time) < 0)
        return -1;
    return activation->is_begun ? end_slice(stack, slice_of(activation), time) : 0;
}

/* ---- the stack ---- */

struct timeline_activation *timeline_stack_top(struct timeline_stack *stack)
{
    return stack->count > 0 ? &stack->open[stack->count - 1] : NULL;
}

int timeline_stack_pop(struct timeline_stack *stack, int64_t time)
{
    struct timeline_activation *top = timeline_stack_top(stack);
    int status = end(stack, top, time);

    stack->depth -= top->c_name == NULL;
    free(top->c_name);
    stack->count--;
    return status;
}

int timeline_stack_cut(struct timeline_stack *stack, size_t depth, int64_t time)
{
    while (stack->depth > depth)
        if (timeline_stack_pop(stack, time) < 0)
            return -1;
    return depth == 0 ? timeline_stack_leave_c(stack, time) : 0;
}

int timeline_stack_leave_c(struct timeline_stack *stack, int64_t time)
{
    while (stack->count > 0 && timeline_stack_top(stack)->c_name != NULL)
        if (timeline_stack_pop(stack, time) < 0)
            return -1;
    return 0;
}

static bool make_room(struct timeline_stack *stack)
{
    size_t room = stack->room == 0 ? 64 : 2 * stack->room;
    struct timeline_activation *open;

    if (stack->count < stack->room)
        return true;
    open = realloc(stack->open, room * sizeof *open);
    if (open == NULL)
        return false;
    stack->open = open;
    stack->room = room;
    return true;
}

int timeline_stack_push(struct timeline_stack *stack, struct timeline_activation activation,
                        int64_t time)
{
    if (!make_room(stack)) {
        free(activation.c_name);
        return error_set(stack->err, "out of memory");
    }
    activation.inside |= stack->count > 0 && timeline_stack_top(stack)->inside;
    stack->depth += activation.c_name == NULL;
    stack->open[stack->count++] = activation;
    if (begin(stack, timeline_stack_top(stack), time) < 0)
        return -1;
    return begin_line(stack, timeline_stack_top(stack), time);
}

int timeline_stack_set_line(struct timeline_stack *stack, int64_t line, int64_t time)
{
    struct timeline_activation *frame = timeline_stack_top(stack);

    if (!stack->has_lines || frame == NULL)
        return 0;
    if (end_line(stack, frame, time) < 0)
        return -1;
    frame->line = line;
    return begin_line(stack, frame, time);
}

/* How many of the outermost frames stay. Where what is above one was called from another of its
 * lines, it is the last of them, and *same_line is false. */
static size_t count_kept(const struct timeline_stack *stack,
                         const struct timeline_activation *frames, size_t count, bool *same_line)
{
    size_t kept = 0;

    *same_line = true;
    for (size_t i = 0; i < stack->count && kept < count && *same_line; i++) {
        const struct timeline_activation *there = &stack->open[i];

        if (there->c_name != NULL)
            continue;
        if (there->id != frames[kept].id || there->function != frames[kept].function)
            break;
        *same_line =
            !there->is_line_begun || frames[kept].line == 0 || there->line == frames[kept].line;
        kept++;
    }
    return kept;
}

int timeline_stack_become(struct timeline_stack *stack, const struct timeline_activation *frames,
                          size_t count, int64_t time)
{
    bool same_line;
    size_t kept = count_kept(stack, frames, count, &same_line);

    if (timeline_stack_cut(stack, kept, time) < 0)
        return -1;
    if (kept == count && same_line)
        return 0;
    if (timeline_stack_leave_c(stack, time) < 0)
        return -1;
    if (!same_line && timeline_stack_set_line(stack, frames[kept - 1].line, time) < 0)
        return -1;
    for (; kept < count; kept++)
        if (timeline_stack_push(stack, frames[kept], time) < 0)
            return -1;
    return 0;
}

int timeline_stack_open(struct timeline_stack *stack)
{
    stack->is_open = true;
    for (size_t i = 0; i < stack->count; i++)
        if (begin(stack, &stack->open[i], stack->from) < 0 ||
            begin_line(stack, &stack->open[i], stack->from) < 0)
            return -1;
    return 0;
}

void timeline_stack_fini(struct timeline_stack *stack)
{
    while (stack->count > 0)
        free(stack->open[--stack->count].c_name);
    free(stack->open);
}
