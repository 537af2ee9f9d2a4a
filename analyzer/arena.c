#include "analyzer/arena.h"

#include <stdint.h>
#include <stdlib.h>

#define ALIGNMENT 8
#define SMALLEST 4096u
#define LARGEST (1u << 20)

struct arena_block {
    _Alignas(ALIGNMENT) struct arena_block *next;
};

/* Blocks double in size: a thread that does little costs little. */
static int add_block(struct arena *arena, size_t size)
{
    size_t room = arena->total < SMALLEST  ? SMALLEST
                  : arena->total > LARGEST ? LARGEST
                                           : arena->total;

    if (room < size + sizeof(struct arena_block))
        room = size + sizeof(struct arena_block);
    struct arena_block *block = calloc(1, room);
    if (!block)
        return -1;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->at = (char *)(block + 1);
    arena->end = (char *)block + room;
    arena->total += room;
    return 0;
}

void *arena_take(struct arena *arena, size_t size)
{
    if (size > PTRDIFF_MAX - ALIGNMENT - sizeof(struct arena_block))
        return NULL;
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size > (size_t)(arena->end - arena->at) && add_block(arena, size) < 0)
        return NULL;
    void *piece = arena->at;
    arena->at += size;
    return piece;
}

void arena_fini(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
    *arena = (struct arena){0};
}
