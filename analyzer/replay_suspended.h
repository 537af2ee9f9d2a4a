/* replay_suspended.h - the activations that a thread suspended in one chunk, by number.
 *
 * A generator comes and goes at every second event: putting and finding are inline and need no
 * memory of their own once the table has grown; forgetting all costs nothing. */
#ifndef ANALYZER_REPLAY_SUSPENDED_H
#define ANALYZER_REPLAY_SUSPENDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replay_suspended {
    uint64_t activation;
    uint64_t epoch; /* of another epoch than the table: free */
    uint64_t key;   /* of its code */
    int64_t step;   /* its line less the first */
};

/* Begin with all zero. */
struct replay_suspensions {
    struct replay_suspended *items; /* owned */
    size_t count, room;             /* a power of two, or 0; at most half of it is taken */
    uint64_t epoch;
};

void replay_suspensions_fini(struct replay_suspensions *table);

/* False: no memory, and the table is as it was. */
bool replay_suspensions_grow(struct replay_suspensions *table);

static inline void replay_suspensions_forget(struct replay_suspensions *table)
{
    table->epoch++;
    table->count = 0;
}

/* The activation's place, or the free one where it would be. There must be room. */
static inline struct replay_suspended *
replay_suspensions_place(const struct replay_suspensions *table, uint64_t activation)
{
    size_t i = (size_t)(activation * 0x9e3779b97f4a7c15u >> 32) & (table->room - 1);

    while (table->items[i].epoch == table->epoch && table->items[i].activation != activation)
        i = (i + 1) & (table->room - 1);
    return &table->items[i];
}

/* NULL: it was not suspended. Good until the next put. */
static inline const struct replay_suspended *
replay_suspensions_get(const struct replay_suspensions *table, uint64_t activation)
{
    if (table->count == 0)
        return NULL;
    const struct replay_suspended *item = replay_suspensions_place(table, activation);
    return item->epoch == table->epoch ? item : NULL;
}

/* False: no memory. */
static inline bool replay_suspensions_put(struct replay_suspensions *table, uint64_t activation,
                                          uint64_t key, int64_t step)
{
    if (__builtin_expect(2 * table->count >= table->room, 0) && !replay_suspensions_grow(table))
        return false;
    struct replay_suspended *item = replay_suspensions_place(table, activation);
    table->count += item->epoch != table->epoch;
    *item = (struct replay_suspended){activation, table->epoch, key, step};
    return true;
}

#endif
