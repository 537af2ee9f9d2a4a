#include "analyzer/events_suspended.h"

#include <stdlib.h>

enum { FIRST_ROOM = 64 };

struct events_suspended_entry {
    uint64_t number;
    uint64_t epoch;
    struct events_frame frame;
};

/* Its entry, or the free one where it would be. */
static struct events_suspended_entry *find(const struct events_suspended *table, uint64_t number)
{
    size_t at = (size_t)(number * 0x9E3779B97F4A7C15u >> 32) & (table->room - 1);

    while (table->entries[at].epoch == table->epoch && table->entries[at].number != number)
        at = (at + 1) & (table->room - 1);
    return &table->entries[at];
}

static bool grow(struct events_suspended *table)
{
    struct events_suspended grown = {.epoch = table->epoch};

    grown.room = table->room > 0 ? table->room * 2 : FIRST_ROOM;
    grown.entries = calloc(grown.room, sizeof *grown.entries);
    if (grown.entries == NULL)
        return false;
    for (size_t i = 0; i < table->room; i++) {
        if (table->entries[i].epoch == table->epoch)
            *find(&grown, table->entries[i].number) = table->entries[i];
    }
    grown.count = table->count;
    free(table->entries);
    *table = grown;
    return true;
}

bool events_suspended_put(struct events_suspended *table, const struct events_frame *frame)
{
    struct events_suspended_entry *entry;

    if (table->count * 2 >= table->room && !grow(table))
        return false;
    entry = find(table, frame->number);
    table->count += entry->epoch != table->epoch;
    *entry = (struct events_suspended_entry){frame->number, table->epoch, *frame};
    return true;
}

const struct events_frame *events_suspended_get(const struct events_suspended *table,
                                                uint64_t number)
{
    struct events_suspended_entry *entry = table->room > 0 ? find(table, number) : NULL;

    return entry != NULL && entry->epoch == table->epoch ? &entry->frame : NULL;
}

void events_suspended_clear(struct events_suspended *table)
{
    table->epoch++;
    table->count = 0;
}

void events_suspended_fini(struct events_suspended *table)
{
    free(table->entries);
    *table = (struct events_suspended){.entries = NULL};
}
