#include "formats/names.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "formats/pool.h"

static uint64_t hash_text(const char *bytes, size_t size)
{
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    return hash;
}

static bool is_text(const char *text, const char *bytes, size_t size)
{
    return strlen(text) == size && memcmp(text, bytes, size) == 0;
}

static int add(struct names *names, const char *bytes, size_t size)
{
    if (names->count == names->room) {
        size_t room = names->room == 0 ? 256 : names->room * 2;
        const char **texts = realloc(names->texts, room * sizeof(const char *));

        if (texts == NULL)
            return -1;
        names->texts = texts;
        names->room = room;
    }
    names->texts[names->count] = pool_string(names->pool, bytes, size);
    if (names->texts[names->count] == NULL)
        return -1;
    names->count++;
    return 0;
}

int64_t names_number(struct names *names, const char *bytes, size_t size)
{
    for (uint64_t hash = hash_text(bytes, size);; hash++) {
        struct keymap_slot *slot = keymap_slot(&names->numbers, hash);

        if (slot == NULL)
            return -1;
        if (slot->value == 0) {
            if (names->count >= UINT32_MAX || add(names, bytes, size) < 0)
                return -1;
            slot->value = (uint32_t)names->count;
        }
        if (is_text(names->texts[slot->value - 1], bytes, size))
            return slot->value - 1;
    }
}

void names_fini(struct names *names)
{
    keymap_fini(&names->numbers);
    free(names->texts);
}
