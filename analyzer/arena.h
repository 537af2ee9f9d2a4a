/* arena.h - memory that is given piece by piece and freed at once. */
#ifndef ANALYZER_ARENA_H
#define ANALYZER_ARENA_H

#include <stddef.h>

struct arena_block;

/* Begin with all zero. */
struct arena {
    struct arena_block *blocks; /* owned; the newest first */
    char *at, *end;             /* free bytes of the newest */
    size_t total;               /* bytes taken from the system */
};

/* `size` zeroed bytes, aligned for pointers and 64-bit numbers. NULL: no memory. Pieces do not
 * move. */
void *arena_take(struct arena *arena, size_t size);
void arena_fini(struct arena *arena);

#endif
