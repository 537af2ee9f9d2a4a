/* events_suspended.h - the generators that a thread suspended in one chunk, by activation number.
 */
#ifndef ANALYZER_EVENTS_SUSPENDED_H
#define ANALYZER_EVENTS_SUSPENDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct facts_code;

/* An open frame. */
struct events_frame {
    const struct facts_code *code; /* borrowed; NULL: no fact defines it */
    int64_t line;
    uint64_t thread; /* who began the activation */
    uint64_t number; /* its number there */
};

/* Begin with all zero, then clear. Forgetting all costs nothing: entries of earlier epochs count as
 * free. */
struct events_suspended {
    struct events_suspended_entry *entries; /* owned */
    size_t count, room;                     /* a power of two, or 0 */
    uint64_t epoch;
};

void events_suspended_clear(struct events_suspended *table);
void events_suspended_fini(struct events_suspended *table);

/* Keeps a copy under the frame's number. False: out of memory. */
bool events_suspended_put(struct events_suspended *table, const struct events_frame *frame);

/* The frame, good until the next put; NULL: it was not suspended since the last clear. */
const struct events_frame *events_suspended_get(const struct events_suspended *table,
                                                uint64_t number);

#endif
