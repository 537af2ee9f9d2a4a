/* slab.h - items of one size, numbered from 0 in the order in which they were made. They never
 * move, so a pointer will do where speed counts, and a number of half its size anywhere else. */
#ifndef ANALYZER_SLAB_H
#define ANALYZER_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct arena;

#define SLAB_BLOCK 32 /* items that are taken from the arena at a time */

/* Begin with all zero but `size`. */
struct slab {
    size_t size;   /* of an item; a multiple of 8 */
    void **blocks; /* the array is owned, the blocks are the arena's */
    size_t room;   /* of the array */
    uint32_t count;
};

/* One more item, all zero; its number is count - 1 then. NULL: no memory. All are made with one
 * arena, which must live as long as they. */
void *slab_add(struct slab *slab, struct arena *arena);

/* Frees what is not the arena's. */
void slab_fini(struct slab *slab);

static inline void *slab_at(const struct slab *slab, uint32_t number)
{
    return (char *)slab->blocks[number / SLAB_BLOCK] + number % SLAB_BLOCK * slab->size;
}

#endif
