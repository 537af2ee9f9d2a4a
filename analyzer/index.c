#include "analyzer/index.h"

#include <stdlib.h>

static size_t hash(uint64_t a, uint64_t b)
{
    uint64_t h = a * 0x9e3779b97f4a7c15u ^ (b + 0x7f4a7c159e3779b9u) * 0xbf58476d1ce4e5b9u;

    h = (h ^ h >> 32) * 0x94d049bb133111ebu;
    return (size_t)(h ^ h >> 29);
}

void index_fini(struct index *index)
{
    free(index->items);
    *index = (struct index){.key_of = index->key_of};
}

static void **find(const struct index *index, uint64_t a, uint64_t b)
{
    for (size_t i = hash(a, b) & (index->room - 1);; i = (i + 1) & (index->room - 1)) {
        if (!index->items[i])
            return &index->items[i];
        struct index_key key = index->key_of(index->items[i]);
        if (key.a == a && key.b == b)
            return &index->items[i];
    }
}

void *index_get(const struct index *index, uint64_t a, uint64_t b)
{
    return index->room ? *find(index, a, b) : NULL;
}

static int grow(struct index *index)
{
    void **old = index->items;
    size_t old_room = index->room, room = old_room ? 2 * old_room : 16;
    void **items = calloc(room, sizeof *items);

    if (!items)
        return -1;
    index->items = items;
    index->room = room;
    for (size_t i = 0; i < old_room; i++)
        if (old[i]) {
            struct index_key key = index->key_of(old[i]);
            *find(index, key.a, key.b) = old[i];
        }
    free(old);
    return 0;
}

void **index_put(struct index *index, uint64_t a, uint64_t b)
{
    if (index->count >= index->room / 4 * 3 && grow(index) < 0)
        return NULL;
    void **item = find(index, a, b);
    index->count += !*item;
    return item;
}
