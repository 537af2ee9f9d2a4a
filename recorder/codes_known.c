#include "recorder/codes_known.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Powers of two. A table of the largest size that is full begins anew. */
#define FIRST_SIZE 256u
#define LARGEST_SIZE (64u << 10)

struct known_code {
    struct codes_digest digest;
    uint32_t number; /* 0: free */
};

/* Open addressing, at most three quarters full. Guarded by the GIL. */
static struct {
    struct known_code *items; /* owned */
    size_t size, count;
} known;

/* The digest: each word goes into two products of 128 bits whose halves are folded together, as
 * wyhash does; one alone would lose a word that meets a zero. */

static inline uint64_t fold(uint64_t x, uint64_t y)
{
    unsigned __int128 product = (unsigned __int128)x * y;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline void mix(struct codes_digest *digest, const struct codes_digest *key, uint64_t x,
                       uint64_t y)
{
    digest->a = fold(digest->a ^ x, y ^ key->a);
    digest->b = fold(digest->b ^ y, x ^ key->b);
}

static void add_part(struct codes_digest *digest, const struct codes_digest *key,
                     const struct codes_part *part)
{
    const uint8_t *at = part->bytes;
    size_t left = part->size;
    uint64_t pair[2];

    mix(digest, key, part->size, ~(uint64_t)part->size);
    for (; left >= sizeof pair; at += sizeof pair, left -= sizeof pair) {
        memcpy(pair, at, sizeof pair);
        mix(digest, key, pair[0], pair[1]);
    }
    if (left > 0) {
        memset(pair, 0, sizeof pair);
        memcpy(pair, at, left);
        mix(digest, key, pair[0], pair[1]);
    }
}

struct codes_digest codes_known_digest(const struct codes_part *parts, size_t count,
                                       const uint8_t key[16])
{
    struct codes_digest digest = {UINT64_C(0x9E3779B97F4A7C15), UINT64_C(0xC2B2AE3D27D4EB4F)};
    struct codes_digest keys;

    memcpy(&keys, key, sizeof keys);
    for (size_t i = 0; i < count; i++)
        add_part(&digest, &keys, &parts[i]);
    mix(&digest, &keys, digest.b, digest.a);
    return digest;
}

static struct known_code *find(struct known_code *items, size_t size, struct codes_digest digest)
{
    size_t i = digest.a & (size - 1);

    while (items[i].number != 0 && (items[i].digest.a != digest.a || items[i].digest.b != digest.b))
        i = (i + 1) & (size - 1);
    return &items[i];
}

static bool grow(void)
{
    size_t size = known.size != 0 ? 2 * known.size : FIRST_SIZE;
    struct known_code *items = calloc(size, sizeof *items);

    if (items == NULL)
        return false;
    for (size_t i = 0; i < known.size; i++) {
        if (known.items[i].number != 0)
            *find(items, size, known.items[i].digest) = known.items[i];
    }
    free(known.items);
    known.items = items;
    known.size = size;
    return true;
}

static bool make_room(void)
{
    if (4 * (known.count + 1) <= 3 * known.size)
        return true;
    if (known.size < LARGEST_SIZE)
        return grow();
    memset(known.items, 0, known.size * sizeof *known.items);
    known.count = 0;
    return true;
}

uint32_t *codes_known_place(struct codes_digest digest)
{
    struct known_code *item;

    if (!make_room())
        return NULL;
    item = find(known.items, known.size, digest);
    if (item->number == 0) {
        item->digest = digest;
        known.count++;
    }
    return &item->number;
}

void codes_known_forget(void)
{
    free(known.items);
    memset(&known, 0, sizeof known);
}
