#include "recorder/suspended.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 64 /* a power of two */

/* Open addressing with linear probing; at most half full. The GIL guards it. */
static struct {
    struct suspended *entries;
    size_t size, used;
} table;

static size_t place_of(const void *frame, size_t size)
{
    return (size_t)(((uintptr_t)frame >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (size - 1);
}

static struct suspended *probe(struct suspended *entries, size_t size, const void *frame)
{
    size_t i = place_of(frame, size);

    while (entries[i].frame != NULL && entries[i].frame != frame)
        i = (i + 1) & (size - 1);
    return &entries[i];
}

static bool grow(void)
{
    size_t size = table.size != 0 ? table.size * 2 : FIRST_SIZE;
    struct suspended *entries = calloc(size, sizeof *entries);

    if (entries == NULL)
        return false;
    for (size_t i = 0; i < table.size; i++) {
        if (table.entries[i].frame != NULL)
            *probe(entries, size, table.entries[i].frame) = table.entries[i];
    }
    free(table.entries);
    table.entries = entries;
    table.size = size;
    return true;
}

struct suspended *suspended_store(const void *frame)
{
    struct suspended *entry;

    if (2 * (table.used + 1) > table.size && !grow())
        return NULL;
    entry = probe(table.entries, table.size, frame);
    if (entry->frame == NULL) {
        entry->frame = frame;
        table.used++;
    }
    return entry;
}

struct suspended *suspended_find(const void *frame)
{
    struct suspended *entry;

    if (table.used == 0)
        return NULL;
    entry = probe(table.entries, table.size, frame);
    return entry->frame != NULL ? entry : NULL;
}

void suspended_remove(const void *frame)
{
    struct suspended *entry = suspended_find(frame);
    size_t mask = table.size - 1;
    size_t hole, i;

    if (entry == NULL)
        return;
    hole = i = (size_t)(entry - table.entries);
    for (;;) {
        i = (i + 1) & mask;
        if (table.entries[i].frame == NULL)
            break;
        /* An entry may fill the hole unless its own place lies behind the hole. */
        if (((i - place_of(table.entries[i].frame, table.size)) & mask) >= ((i - hole) & mask)) {
            table.entries[hole] = table.entries[i];
            hole = i;
        }
    }
    table.entries[hole].frame = NULL;
    table.used--;
}

void suspended_clear(void)
{
    free(table.entries);
    table.entries = NULL;
    table.size = table.used = 0;
}
