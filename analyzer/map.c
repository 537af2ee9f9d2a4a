#include "analyzer/map.h"

#include <stdlib.h>

static size_t hash(uint64_t a, uint64_t b)
{
    uint64_t h = a * 0x9e3779b97f4a7c15u ^ (b + 0x7f4a7c159e3779b9u) * 0xbf58476d1ce4e5b9u;

    h = (h ^ h >> 32) * 0x94d049bb133111ebu;
    return (size_t)(h ^ h >> 29);
}

void map_fini(struct map *map)
{
    free(map->entries);
    *map = (struct map){0};
}

static struct map_entry *find(const struct map *map, uint64_t a, uint64_t b)
{
    size_t i = hash(a, b) & (map->room - 1);

    while (map->entries[i].value && (map->entries[i].a != a || map->entries[i].b != b))
        i = (i + 1) & (map->room - 1);
    return &map->entries[i];
}

void *map_get(const struct map *map, uint64_t a, uint64_t b)
{
    return map->room ? find(map, a, b)->value : NULL;
}

static int grow(struct map *map)
{
    struct map bigger = {.room = map->room ? 2 * map->room : 16, .count = map->count};

    bigger.entries = calloc(bigger.room, sizeof *bigger.entries);
    if (!bigger.entries)
        return -1;
    for (size_t i = 0; i < map->room; i++)
        if (map->entries[i].value)
            *find(&bigger, map->entries[i].a, map->entries[i].b) = map->entries[i];
    free(map->entries);
    *map = bigger;
    return 0;
}

void **map_put(struct map *map, uint64_t a, uint64_t b)
{
    if (map->count >= map->room / 4 * 3 && grow(map) < 0)
        return NULL;
    struct map_entry *entry = find(map, a, b);
    if (!entry->value) {
        entry->a = a;
        entry->b = b;
        map->count++;
    }
    return &entry->value;
}
