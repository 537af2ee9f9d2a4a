#include "formats/pool.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 1 << 16 };

struct pool_block {
    struct pool_block *next; /* owned */
    max_align_t bytes[];
};

void *pool_alloc(struct pool *pool, size_t size)
{
    size_t aligned =
        (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    void *result;

    if (aligned < size || aligned > SIZE_MAX / 2)
        return NULL;
    if (aligned > pool->left) {
        size_t room = aligned > BLOCK_SIZE ? aligned : BLOCK_SIZE;
        struct pool_block *block = malloc(sizeof *block + room);

        if (block == NULL)
            return NULL;
        block->next = pool->blocks;
        pool->blocks = block;
        pool->at = (char *)block->bytes;
        pool->left = room;
    }
    result = pool->at;
    pool->at += aligned;
    pool->left -= aligned;
    return result;
}

char *pool_string(struct pool *pool, const char *bytes, size_t size)
{
    char *copy = size == SIZE_MAX ? NULL : pool_alloc(pool, size + 1);

    if (copy == NULL)
        return NULL;
    if (size > 0)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

void pool_fini(struct pool *pool)
{
    while (pool->blocks != NULL) {
        struct pool_block *next = pool->blocks->next;

        free(pool->blocks);
        pool->blocks = next;
    }
    *pool = (struct pool){0};
}
