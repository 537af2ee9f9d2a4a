/* map.h - a hash map from two numbers to a pointer. Never shrinks, forgets nothing but all. */
#ifndef ANALYZER_MAP_H
#define ANALYZER_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_entry {
    uint64_t a, b;
    void *value; /* NULL: free */
};

/* Begin with all zero. */
struct map {
    struct map_entry *entries; /* owned */
    size_t count;
    size_t room; /* a power of two, or 0 */
};

void map_fini(struct map *map);

/* The value stored under (a, b), or NULL. */
void *map_get(const struct map *map, uint64_t a, uint64_t b);

/* Where the value of (a, b) stands: NULL behind it if it was not there yet, then the caller stores
 * one at once. NULL: no memory. Good until the next call. */
void **map_put(struct map *map, uint64_t a, uint64_t b);

#endif
