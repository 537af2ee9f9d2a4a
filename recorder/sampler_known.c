#include "recorder/sampler_known.h"

#include <stdlib.h>

/* Code that comes and goes leaves items behind: beyond this many all is forgotten. */
#define COUNT_MAX (UINT32_C(1) << 20)

static size_t place_of(const struct sampler_known *known, uint64_t a, uint64_t b)
{
    uint64_t hash = (a * UINT64_C(0x9E3779B97F4A7C15)) ^ (b * UINT64_C(0xC2B2AE3D27D4EB4F));
    size_t i = (size_t)(hash ^ hash >> 29) & (known->room - 1);

    while (known->items[i].a != 0 && (known->items[i].a != a || known->items[i].b != b))
        i = (i + 1) & (known->room - 1);
    return i;
}

const int64_t *sampler_known_get(const struct sampler_known *known, uint64_t a, uint64_t b)
{
    const struct known_item *item;

    if (known->room == 0)
        return NULL;
    item = &known->items[place_of(known, a, b)];
    return item->a != 0 ? &item->value : NULL;
}

static bool grow(struct sampler_known *known)
{
    struct sampler_known grown = {.room = known->room != 0 ? 2 * known->room : 1024};

    if (known->count >= COUNT_MAX)
        sampler_known_fini(known);
    grown.items = calloc(grown.room, sizeof *grown.items);
    if (grown.items == NULL)
        return false;
    for (size_t i = 0; i < known->room; i++) {
        if (known->items[i].a != 0)
            grown.items[place_of(&grown, known->items[i].a, known->items[i].b)] = known->items[i];
    }
    grown.count = known->count;
    free(known->items);
    *known = grown;
    return true;
}

void sampler_known_put(struct sampler_known *known, uint64_t a, uint64_t b, int64_t value)
{
    struct known_item *item;

    if (2 * (known->count + 1) > known->room && !grow(known))
        return;
    item = &known->items[place_of(known, a, b)];
    known->count += item->a == 0;
    *item = (struct known_item){a, b, value};
}

void sampler_known_fini(struct sampler_known *known)
{
    free(known->items);
    *known = (struct sampler_known){0};
}
