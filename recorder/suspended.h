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
#include <stdint.h>

struct suspended {
    const void *frame;
    uint64_t activation;
    uint32_t code;
    int32_t line, first_line;
    uint32_t thread;   /* thread number and chunk of the YIELD that suspended it: */
    uint64_t sequence; /* within them the short RESUME will do */
};

/* The entry for `frame`, made if there is none; NULL: out of memory. Valid until the next call. */
struct suspended *suspended_store(const void *frame);

/* The entry for `frame`, or NULL. */
struct suspended *suspended_find(const void *frame);

void suspended_remove(const void *frame);

/* Forgets all: in a fork's child their activations are the parent's. */
void suspended_clear(void);

#endif
