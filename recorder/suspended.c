#include "recorder/suspended.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 64 /* a power of two */

static struct suspended none[1];

struct suspended_table suspended_table = {.entries = none};

static struct suspended *probe(const struct suspended_table *table, const void *frame)
{
    size_t i = suspended_place(frame, table->mask);

    while (table->entries[i].frame != NULL && table->entries[i].frame != frame)
        i = (i + 1) & table->mask;
    return &table->entries[i];
}

static bool grow(void)
{
    struct suspended_table *old = &suspended_table;
    size_t size = old->entries != none ? 2 * (old->mask + 1) : FIRST_SIZE;
    struct suspended_table new = {calloc(size, sizeof *new.entries), size - 1, old->used};

    if (new.entries == NULL)
        return false;
    for (size_t i = 0; i <= old->mask; i++) {
        if (old->entries[i].frame != NULL)
            *probe(&new, old->entries[i].frame) = old->entries[i];
    }
    if (old->entries != none)
        free(old->entries);
    suspended_table = new;
    return true;
}

struct suspended *suspended_add(const void *frame)
{
    struct suspended *entry;

    if (2 * (suspended_table.used + 1) > suspended_table.mask + 1 && !grow())
        return NULL;
    entry = probe(&suspended_table, frame);
    if (entry->frame == NULL) {
        entry->frame = frame;
        suspended_table.used++;
    }
    return entry;
}

struct suspended *suspended_search(const void *frame)
{
    struct suspended *entry = probe(&suspended_table, frame);

    return entry->frame != NULL ? entry : NULL;
}

void suspended_remove(const void *frame)
{
    struct suspended *entries = suspended_table.entries;
    const struct suspended *entry = suspended_find(frame);
    size_t mask = suspended_table.mask;
    size_t hole, i;

    if (entry == NULL)
        return;
    hole = i = (size_t)(entry - entries);
    for (;;) {
        i = (i + 1) & mask;
        if (entries[i].frame == NULL)
            break;
        /* An entry may fill the hole unless its own place lies behind the hole. */
        if (((i - suspended_place(entries[i].frame, mask)) & mask) >= ((i - hole) & mask)) {
            entries[hole] = entries[i];
            hole = i;
        }
    }
    entries[hole].frame = NULL;
    suspended_table.used--;
}

void suspended_clear(void)
{
    if (suspended_table.entries != none)
        free(suspended_table.entries);
    suspended_table = (struct suspended_table){.entries = none};
}
