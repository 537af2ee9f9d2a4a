#include "analyzer/slab.h"

#include <stdlib.h>

#include "analyzer/arena.h"
#include "analyzer/grow.h"

static int add_block(struct slab *slab, struct arena *arena)
{
    size_t count = slab->count / SLAB_BLOCK;
    void **grown = grow_array(slab->blocks, count, &slab->room, sizeof *grown);

    if (!grown)
        return -1;
    slab->blocks = grown;
    grown[count] = arena_take(arena, SLAB_BLOCK * slab->size);
    return grown[count] ? 0 : -1;
}

void *slab_add(struct slab *slab, struct arena *arena)
{
    if (slab->count == UINT32_MAX)
        return NULL;
    if (slab->count % SLAB_BLOCK == 0 && add_block(slab, arena) < 0)
        return NULL;
    return slab_at(slab, slab->count++);
}

void slab_fini(struct slab *slab)
{
    free(slab->blocks);
    *slab = (struct slab){.size = slab->size};
}
