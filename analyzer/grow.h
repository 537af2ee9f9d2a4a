/* grow.h - arrays that double. */
#ifndef ANALYZER_GROW_H
#define ANALYZER_GROW_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Makes room for one more item behind `count`. The array, perhaps moved, or NULL: no memory, the
 * old one is untouched. */
static inline void *grow_array(void *items, size_t count, size_t *room, size_t item_size)
{
    size_t more = *room ? 2 * *room : 16;

    if (count < *room)
        return items;
    if (more > SIZE_MAX / item_size)
        return NULL;
    void *grown = realloc(items, more * item_size);
    if (grown)
        *room = more;
    return grown;
}

#endif
