/* timeline_stack.h - for timeline.c: what is open on the thread that is being played. */
#ifndef FORMATS_TIMELINE_STACK_H
#define FORMATS_TIMELINE_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/timeline.h"

struct error;

/* A frame, or above it a C function. */
struct timeline_activation {
    int64_t id;   /* tells it from others in its place; 0: it cannot be told */
    int64_t line; /* --lines: that it is on; 0: none yet */
    const struct catalog_function *function; /* NULL: not known, or of C */
    char *c_name;                            /* owned; NULL: a frame */
    bool inside;                             /* of what --function asks for */
    bool is_shown;
    bool is_begun, is_line_begun; /* their slices */
};

struct timeline_stack {
    struct error *err;
    const struct timeline_listener *listener;
    bool has_lines;
    bool is_open;                     /* the window has begun */
    int64_t from, to;                 /* the window */
    int64_t now;                      /* of the last that was told; never goes back */
    struct timeline_activation *open; /* owned */
    size_t count, room;
    size_t depth; /* frames among them */
};

/* The activation on top; NULL: none. */
struct timeline_activation *timeline_stack_top(struct timeline_stack *stack);

/* What follows returns 0, or -1 with the error set. */

/* The outermost `depth` frames stay, with the C functions between them. */
int timeline_stack_cut(struct timeline_stack *stack, size_t depth, int64_t time);

/* C functions above the innermost frame are over. */
int timeline_stack_leave_c(struct timeline_stack *stack, int64_t time);

/* The activation on top is over. */
int timeline_stack_pop(struct timeline_stack *stack, int64_t time);

/* One begins; its c_name becomes the stack's, on failure too. */
int timeline_stack_push(struct timeline_stack *stack, struct timeline_activation activation,
                        int64_t time);

/* The frame on top is on that line from now on. */
int timeline_stack_set_line(struct timeline_stack *stack, int64_t line, int64_t time);

/* The stack becomes these frames, which own no names. Those that are there already stay, and so do
 * C functions above the innermost of them if no other frame comes. A line of 0: as it is. */
int timeline_stack_become(struct timeline_stack *stack, const struct timeline_activation *frames,
                          size_t count, int64_t time);

/* The window begins, with what is open. */
int timeline_stack_open(struct timeline_stack *stack);

/* Nothing is open any more, and nobody is told. */
void timeline_stack_fini(struct timeline_stack *stack);

#endif
