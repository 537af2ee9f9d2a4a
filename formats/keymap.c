#include "formats/keymap.h"

#include <stdlib.h>

enum { SLOTS_MIN = 1024 };

static uint64_t mix(uint64_t key)
{
    key = (key ^ (key >> 32)) * 0xD6E8FEB86659FD93u;
    key = (key ^ (key >> 32)) * 0xD6E8FEB86659FD93u;
    return key ^ (key >> 32);
}

static int grow(struct keymap *map)
{
    struct keymap larger = {.count = map->count == 0 ? SLOTS_MIN : map->count * 2,
                            .used = map->used};

    larger.slots = calloc(larger.count, sizeof *larger.slots);
    if (larger.slots == NULL)
        return -1;
    for (size_t i = 0; i < map->count; i++) {
        size_t at = mix(map->slots[i].key) & (larger.count - 1);

        if (map->slots[i].value == 0)
            continue;
        while (larger.slots[at].value != 0)
            at = (at + 1) & (larger.count - 1);
        larger.slots[at] = map->slots[i];
    }
    free(map->slots);
    *map = larger;
    return 0;
}

struct keymap_slot *keymap_slot(struct keymap *map, uint64_t key)
{
    size_t at;

    if (map->used >= map->count / 2 && grow(map) < 0)
        return NULL;
    at = mix(key) & (map->count - 1);
    while (map->slots[at].value != 0 && map->slots[at].key != key)
        at = (at + 1) & (map->count - 1);
    if (map->slots[at].value == 0) {
        map->slots[at].key = key;
        map->used++;
    }
    return &map->slots[at];
}

void keymap_fini(struct keymap *map)
{
    free(map->slots);
    *map = (struct keymap){0};
}
