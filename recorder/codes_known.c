#include "recorder/codes_known.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What has been seen, in that order, and an index of places in it plus 1, by digest: open
 * addressing, 0 is free, at most half full. What is made again is mostly made in the same order, so
 * that the one behind the last is tried first. A full index of the largest size begins anew.
 * Guarded by the GIL. */
#define FIRST_SIZE 512u /* of the index; powers of two */
#define LARGEST_SIZE (128u << 10)

struct known_code {
    struct codes_digest digest;
    uint32_t number;
};

static struct {
    struct known_code *items; /* owned; room for half the index */
    uint32_t *index;          /* owned */
    size_t size, count;
    size_t next; /* the item behind the last that was asked for */
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

static inline uint64_t load8(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t load4(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

/* The last 1 to 15 bytes, some of them twice; how many they are has been mixed in. */
static inline void mix_rest(struct codes_digest *digest, const struct codes_digest *key,
                            const uint8_t *at, size_t left)
{
    if (left >= 8)
        mix(digest, key, load8(at), load8(at + left - 8));
    else if (left >= 4)
        mix(digest, key, load4(at), load4(at + left - 4));
    else
        mix(digest, key, at[0], (uint64_t)at[left / 2] << 8 | at[left - 1]);
}

static inline void add_part(struct codes_digest *digest, const struct codes_digest *key,
                            const struct codes_part *part)
{
    const uint8_t *at = part->bytes;
    size_t left = part->size;

    mix(digest, key, part->size, ~(uint64_t)part->size);
    for (; left >= 16; at += 16, left -= 16)
        mix(digest, key, load8(at), load8(at + 8));
    if (left > 0)
        mix_rest(digest, key, at, left);
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

static inline bool is_same(const struct known_code *item, struct codes_digest digest)
{
    return item->digest.a == digest.a && item->digest.b == digest.b;
}

/* Where in the index it is, or would be. */
static uint32_t *find(struct codes_digest digest)
{
    size_t i = digest.a & (known.size - 1);

    while (known.index[i] != 0 && !is_same(&known.items[known.index[i] - 1], digest))
        i = (i + 1) & (known.size - 1);
    return &known.index[i];
}

static bool grow(void)
{
    size_t size = known.size != 0 ? 2 * known.size : FIRST_SIZE;
    struct known_code *items = realloc(known.items, size / 2 * sizeof *items);
    uint32_t *index = items != NULL ? calloc(size, sizeof *index) : NULL;

    if (items != NULL)
        known.items = items;
    if (index == NULL)
        return false;
    free(known.index);
    known.index = index;
    known.size = size;
    for (size_t i = 0; i < known.count; i++)
        *find(items[i].digest) = (uint32_t)i + 1;
    return true;
}

static bool make_room(void)
{
    if (2 * (known.count + 1) <= known.size)
        return true;
    if (known.size < LARGEST_SIZE)
        return grow();
    memset(known.index, 0, known.size * sizeof *known.index);
    known.count = 0;
    return true;
}

uint32_t *codes_known_place(struct codes_digest digest)
{
    uint32_t *place;

    if (known.next < known.count && is_same(&known.items[known.next], digest))
        return &known.items[known.next++].number;
    if (!make_room())
        return NULL;
    place = find(digest);
    if (*place == 0) {
        known.items[known.count] = (struct known_code){.digest = digest};
        *place = (uint32_t)++known.count;
    }
    known.next = *place;
    return &known.items[*place - 1].number;
}

void codes_known_forget(void)
{
    free(known.items);
    free(known.index);
    memset(&known, 0, sizeof known);
}
