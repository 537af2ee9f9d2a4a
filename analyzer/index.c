#include "analyzer/index.h"

#include <stdlib.h>

#include "analyzer/slab.h"

static size_t hash(uint64_t a, uint64_t b)
{
    uint64_t h = a * 0x9e3779b97f4a7c15u ^ (b + 0x7f4a7c159e3779b9u) * 0xbf58476d1ce4e5b9u;

    h = (h ^ h >> 32) * 0x94d049bb133111ebu;
    return (size_t)(h ^ h >> 29);
}

void index_fini(struct index *index)
{
    free(index->places);
    *index = (struct index){.items = index->items, .key_of = index->key_of};
}

void *index_get(const struct index *index, uint64_t a, uint64_t b)
{
    if (index->room == 0)
        return NULL;
    for (size_t i = hash(a, b) & (index->room - 1); index->places[i];
         i = (i + 1) & (index->room - 1)) {
        void *item = slab_at(index->items, index->places[i] - 1);
        struct index_key key = index->key_of(item);
        if (key.a == a && key.b == b)
            return item;
    }
    return NULL;
}

static void place(const struct index *index, uint32_t number)
{
    struct index_key key = index->key_of(slab_at(index->items, number));
    size_t i = hash(key.a, key.b) & (index->room - 1);

    while (index->places[i])
        i = (i + 1) & (index->room - 1);
    index->places[i] = number + 1;
}

static int grow(struct index *index)
{
    uint32_t *old = index->places;
    size_t old_room = index->room, room = old_room ? 2 * old_room : 16;
    uint32_t *places = calloc(room, sizeof *places);

    if (!places)
        return -1;
    index->places = places;
    index->room = room;
    for (size_t i = 0; i < old_room; i++)
        if (old[i])
            place(index, old[i] - 1);
    free(old);
    return 0;
}

int index_add_last(struct index *index)
{
    if (index->count >= index->room / 4 * 3 && grow(index) < 0)
        return -1;
    place(index, index->items->count - 1);
    index->count++;
    return 0;
}
