#include "analyzer/slab.h"

#include <stdlib.h>

#include "analyzer/arena.h"
#include "analyzer/grow.h"

static int add_block(struct slab *slab, size_t block, struct arena *arena)
{
    size_t items = block < SLAB_GROWING ? (size_t)SLAB_FIRST << block : SLAB_LARGEST;
    void **grown = grow_array(slab->blocks, block, &slab->room, sizeof *grown);

    if (!grown)
        return -1;
    slab->blocks = grown;
    grown[block] = arena_take(arena, items * slab->size);
    return grown[block] ? 0 : -1;
}

void *slab_add(struct slab *slab, struct arena *arena)
{
    struct slab_place at = slab_place(slab->count);

    if (slab->count == UINT32_MAX)
        return NULL;
    if (at.place == 0 && add_block(slab, at.block, arena) < 0)
        return NULL;
    return slab_at(slab, slab->count++);
}

void slab_fini(struct slab *slab)
{
    free(slab->blocks);
    *slab = (struct slab){.size = slab->size};
}
