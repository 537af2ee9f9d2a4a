/* suspended.h - frames that are off the stack but will come back: generators, coroutines, switched
 * stacks.
 *
 * A hash table from the interpreter's frame to the activation. An entry whose frame died is
 * harmless: a new frame at its address begins by being called, and is stored anew when it is first
 * suspended.
 */
#ifndef RECORDER_SUSPENDED_H
#define RECORDER_SUSPENDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct suspended {
    const void *frame;
    uint64_t activation;
    uint32_t code;
    int32_t line, first_line;
    uint32_t thread;   /* thread number and chunk of the YIELD that suspended it: */
    uint64_t sequence; /* within them the short RESUME will do */
};

/* Open addressing with linear probing; at most half full. The GIL guards it. */
struct suspended_table {
    struct suspended *entries; /* never NULL */
    size_t mask;               /* entries less one; a power of two less one */
    size_t used;
};

extern struct suspended_table suspended_table;

static inline size_t suspended_place(const void *frame, size_t mask)
{
    return (size_t)(((uintptr_t)frame >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32) & mask;
}

/* Where the entry for `frame` is, unless another is in its place. */
static inline struct suspended *suspended_first(const void *frame)
{
    return &suspended_table.entries[suspended_place(frame, suspended_table.mask)];
}

/* suspended_store() and suspended_find() where that is so. */
struct suspended *suspended_add(const void *frame);
struct suspended *suspended_search(const void *frame);

/* The entry for `frame`, made if there is none; NULL: out of memory. Valid until the next call. */
static inline struct suspended *suspended_store(const void *frame)
{
    struct suspended *entry = suspended_first(frame);

    return __builtin_expect(entry->frame == frame, 1) ? entry : suspended_add(frame);
}

/* The entry for `frame`, or NULL. */
static inline struct suspended *suspended_find(const void *frame)
{
    struct suspended *entry = suspended_first(frame);

    return __builtin_expect(entry->frame == frame, 1) ? entry : suspended_search(frame);
}

void suspended_remove(const void *frame);

/* Forgets all: in a fork's child their activations are the parent's. */
void suspended_clear(void);

#endif
