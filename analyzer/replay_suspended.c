#include "analyzer/replay_suspended.h"

#include <stdlib.h>

#define FIRST_ROOM 64

void replay_suspensions_fini(struct replay_suspensions *table)
{
    free(table->items);
    *table = (struct replay_suspensions){0};
}

bool replay_suspensions_grow(struct replay_suspensions *table)
{
    struct replay_suspensions grown = *table;

    grown.room = table->room ? 2 * table->room : FIRST_ROOM;
    grown.epoch += table->epoch == 0; /* new places are of epoch 0, and free */
    grown.items = calloc(grown.room, sizeof *grown.items);
    if (!grown.items)
        return false;
    for (size_t i = 0; i < table->room; i++) {
        const struct replay_suspended *item = &table->items[i];
        if (item->epoch == table->epoch)
            *replay_suspensions_place(&grown, item->activation) = *item;
    }
    free(table->items);
    *table = grown;
    return true;
}
