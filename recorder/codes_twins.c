#include "recorder/codes_twins.h"

#include <stdlib.h>
#include <string.h>

/* Each fact has one place, and what was there goes: the memory is bounded, whatever comes. */
#define PLACES 1024u
#define SIZE_MAX_KEPT 1024u

struct twin {
    void *bytes; /* owned; NULL: none */
    size_t size;
    uint32_t number;
};

static struct twin *twins; /* owned; made at first need */

static struct twin *place_of(const uint8_t *bytes, size_t size)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001B3);
    return &twins[(hash ^ hash >> 32) % PLACES];
}

static void keep(struct twin *twin, const void *bytes, size_t size, uint32_t number)
{
    free(twin->bytes);
    twin->bytes = malloc(size);
    if (twin->bytes == NULL)
        return;
    memcpy(twin->bytes, bytes, size);
    twin->size = size;
    twin->number = number;
}

uint32_t codes_twins_number(const void *bytes, size_t size, uint32_t number)
{
    struct twin *twin;

    if (twins == NULL)
        twins = calloc(PLACES, sizeof *twins);
    if (twins == NULL || size == 0 || size > SIZE_MAX_KEPT)
        return number;
    twin = place_of(bytes, size);
    if (twin->bytes != NULL && twin->size == size && memcmp(twin->bytes, bytes, size) == 0)
        return twin->number;
    keep(twin, bytes, size, number);
    return number;
}

void codes_twins_forget(void)
{
    for (size_t i = 0; twins != NULL && i < PLACES; i++)
        free(twins[i].bytes);
    free(twins);
    twins = NULL;
}
