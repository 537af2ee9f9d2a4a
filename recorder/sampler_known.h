/* sampler_known.h - what the sampler has learnt: which call was seen for certain, and which
 * instruction is on which line.
 *
 * A copy of a running thread's frames is not of one moment: a frame may stand beside one that
 * replaced the frame it called. So a call (from this instruction of that code, of this code) counts
 * only once it was seen in a thread that did not run while it was copied.
 */
#ifndef RECORDER_SAMPLER_KNOWN_H
#define RECORDER_SAMPLER_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct known_item {
    uint64_t a, b; /* a: 0 if free */
    int64_t value;
};

/* A set or map; begin with all zero. */
struct sampler_known {
    struct known_item *items; /* owned; open addressing */
    size_t count, room;
};

/* The value of (a, b), a not 0. NULL: not there. */
const int64_t *sampler_known_get(const struct sampler_known *known, uint64_t a, uint64_t b);

/* Puts it there; without memory, not. */
void sampler_known_put(struct sampler_known *known, uint64_t a, uint64_t b, int64_t value);
void sampler_known_fini(struct sampler_known *known);

#endif
