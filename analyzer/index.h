/* index.h - a hash table of things that hold their own keys, two numbers each. It stores pointers
 * to them alone. Never shrinks, forgets nothing but all. */
#ifndef ANALYZER_INDEX_H
#define ANALYZER_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct index_key {
    uint64_t a, b;
};

typedef struct index_key index_key_of(const void *item);

/* Begin with all zero but `key_of`. */
struct index {
    index_key_of *key_of;
    void **items; /* owned; NULL: free */
    size_t count;
    size_t room; /* a power of two, or 0 */
};

void index_fini(struct index *index);

/* The item with these keys, or NULL. */
void *index_get(const struct index *index, uint64_t a, uint64_t b);

/* Where the item with these keys stands: NULL there if it was not there yet, then the caller stores
 * it at once, or nothing ever more. NULL: no memory. Good until the next call. */
void **index_put(struct index *index, uint64_t a, uint64_t b);

#endif
