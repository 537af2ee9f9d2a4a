/* keymap.h - a hash table from 64-bit keys to small numbers. */
#ifndef FORMATS_KEYMAP_H
#define FORMATS_KEYMAP_H

#include <stddef.h>
#include <stdint.h>

struct keymap_slot {
    uint64_t key;
    uint32_t value; /* 0: new */
};

/* All zeros is an empty one. */
struct keymap {
    struct keymap_slot *slots; /* owned */
    size_t count;              /* a power of two */
    size_t used;
};

/* The slot of the key, good until the next call. With value 0 it is new, and the caller gives it
 * another. NULL: out of memory. */
struct keymap_slot *keymap_slot(struct keymap *map, uint64_t key);

void keymap_fini(struct keymap *map);

#endif
