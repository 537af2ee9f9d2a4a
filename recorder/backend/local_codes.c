#include "recorder/pycompat.h"

#ifdef PYCOMPAT_MONITORING

#include <stdint.h>
#include <stdlib.h>

#include "recorder/backend/local_codes.h"

#define FIRST_SIZE 256 /* a power of two */

/* Open addressing; `used` counts the graves of removed ones too, at most half full. */
static struct {
    PyCodeObject **items;
    size_t size, used, count;
} set;

/* What stands where one was removed. */
static PyCodeObject grave;

static size_t place_of(const PyCodeObject *code)
{
    return (size_t)(((uintptr_t)code >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32);
}

/* Where `code` is, or would be put. */
static size_t probe(PyCodeObject **items, size_t size, const PyCodeObject *code)
{
    size_t i = place_of(code) & (size - 1);

    while (items[i] != NULL && items[i] != code)
        i = (i + 1) & (size - 1);
    return i;
}

static bool is_item(const PyCodeObject *item)
{
    return item != NULL && item != &grave;
}

static bool make_room(void)
{
    size_t size = set.size != 0 ? set.size : FIRST_SIZE;
    PyCodeObject **items;

    if (2 * (set.used + 1) <= set.size)
        return true;
    while (2 * (set.count + 1) > size / 2)
        size *= 2;
    items = calloc(size, sizeof *items);
    if (items == NULL)
        return false;
    for (size_t i = 0; i < set.size; i++) {
        if (is_item(set.items[i]))
            items[probe(items, size, set.items[i])] = set.items[i];
    }
    free(set.items);
    set.items = items;
    set.size = size;
    set.used = set.count;
    return true;
}

bool local_codes_add(PyCodeObject *code)
{
    size_t i;

    if (!make_room())
        return false;
    i = probe(set.items, set.size, code);
    if (set.items[i] == NULL) {
        set.items[i] = code;
        set.used++;
        set.count++;
    }
    return true;
}

void local_codes_remove(const PyCodeObject *code)
{
    size_t i = set.count != 0 ? probe(set.items, set.size, code) : 0;

    if (set.count == 0 || set.items[i] == NULL)
        return;
    set.items[i] = &grave;
    set.count--;
}

bool local_codes_each(void (*visit)(PyCodeObject *code))
{
    size_t count = 0;
    PyCodeObject **codes = malloc((set.count + 1) * sizeof *codes);

    if (codes == NULL)
        return false;
    for (size_t i = 0; i < set.size; i++) {
        if (is_item(set.items[i])) {
            Py_INCREF(set.items[i]);
            codes[count++] = set.items[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        visit(codes[i]);
        Py_DECREF(codes[i]);
    }
    free(codes);
    return true;
}

void local_codes_clear(void)
{
    free(set.items);
    set.items = NULL;
    set.size = set.used = set.count = 0;
}

#endif
