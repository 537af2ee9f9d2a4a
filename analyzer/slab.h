/* slab.h - items of one size, numbered from 0 in the order in which they were made. They never
 * move, so a pointer will do where speed counts, and a number of half its size anywhere else. */
#ifndef ANALYZER_SLAB_H
#define ANALYZER_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct arena;

/* Items in a block: as many as there are so far, so that a few cost little, up to the largest, so
 * that items made one after the other are mostly neighbours in memory. Both are powers of two. */
#define SLAB_FIRST 16
#define SLAB_LARGEST 512

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

#define SLAB_GROWING (__builtin_ctz(SLAB_LARGEST) - __builtin_ctz(SLAB_FIRST)) /* blocks */

struct slab_place {
    size_t block, place;
};

static inline struct slab_place slab_place(uint32_t number)
{
    uint64_t at = (uint64_t)number + SLAB_FIRST; /* so that blocks begin at powers of two */

    if (at >= SLAB_LARGEST)
        return (struct slab_place){at / SLAB_LARGEST + SLAB_GROWING - 1, at % SLAB_LARGEST};
    unsigned log = 63 - (unsigned)__builtin_clzll(at);
    return (struct slab_place){log - __builtin_ctz(SLAB_FIRST), at - (1u << log)};
}

static inline void *slab_at(const struct slab *slab, uint32_t number)
{
    struct slab_place at = slab_place(number);

    return (char *)slab->blocks[at.block] + at.place * slab->size;
}

#endif
