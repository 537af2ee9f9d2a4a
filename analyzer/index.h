/* index.h - a hash table of the items of a slab that hold their own keys, two numbers each. It
 * stores their numbers alone. Never shrinks, forgets nothing but all. */
#ifndef ANALYZER_INDEX_H
#define ANALYZER_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct slab;

struct index_key {
    uint64_t a, b;
};

typedef struct index_key index_key_of(const void *item);

/* Begin with all zero but `items` and `key_of`. */
struct index {
    const struct slab *items; /* borrowed */
    index_key_of *key_of;
    uint32_t *places; /* owned; an item's number plus 1, or 0: free */
    size_t count;
    size_t room; /* a power of two, or 0 */
};

void index_fini(struct index *index);

/* The item with these keys, or NULL. */
void *index_get(const struct index *index, uint64_t a, uint64_t b);

/* Puts in the last item of the slab, which has its keys, and no other has the same. 0, or -1: no
 * memory. */
int index_add_last(struct index *index);

#endif
