#include "analyzer/utf8.h"

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"
#define REPLACEMENT_SIZE 3

/* The size of the character at `at`, 0 if what stands there is not one: too short, too long, a
 * surrogate, out of range. */
static size_t character_size(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    size_t size = first < 0x80   ? 1
                  : first < 0xc2 ? 0
                  : first < 0xe0 ? 2
                  : first < 0xf0 ? 3
                  : first < 0xf5 ? 4
                                 : 0;

    if (size < 2 || size > left)
        return size > left ? 0 : size;
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return size;
}

bool utf8_is_valid(struct trace_bytes bytes)
{
    for (size_t i = 0; i < bytes.size;) {
        size_t size = character_size(bytes.at + i, bytes.size - i);
        if (size == 0)
            return false;
        i += size;
    }
    return true;
}

char *utf8_clean(struct trace_bytes bytes, size_t *size)
{
    char *clean =
        bytes.size < SIZE_MAX / REPLACEMENT_SIZE ? malloc(bytes.size * REPLACEMENT_SIZE + 1) : NULL;

    *size = 0;
    for (size_t i = 0; clean && i < bytes.size;) {
        size_t step = character_size(bytes.at + i, bytes.size - i);
        const void *from = step ? (const void *)(bytes.at + i) : REPLACEMENT;
        memcpy(clean + *size, from, step ? step : REPLACEMENT_SIZE);
        *size += step ? step : REPLACEMENT_SIZE;
        i += step ? step : 1;
    }
    return clean;
}
