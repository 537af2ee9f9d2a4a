#include "analyzer/fact_list.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/grow.h"

void *fact_list_add(struct fact_list *list, struct facts_key key)
{
    void *grown = grow_array(list->items, list->count, &list->room, list->size);

    if (!grown)
        return NULL;
    list->items = grown;
    void *item = (char *)list->items + list->count++ * list->size;
    memset(item, 0, list->size);
    *(struct facts_key *)item = key;
    return item;
}

static int compare_numbers(const struct facts_key *a, const struct facts_key *b)
{
    if (a->process != b->process)
        return a->process < b->process ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

static int compare_records(const void *a, const void *b)
{
    const struct facts_key *x = a, *y = b;
    int order = compare_numbers(x, y);

    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

void fact_list_settle(struct fact_list *list)
{
    char *items = list->items;
    size_t kept = 0;

    if (list->count)
        qsort(items, list->count, list->size, compare_records);
    for (size_t i = 0; i < list->count; i++) {
        const struct facts_key *key = (const void *)(items + i * list->size);
        const struct facts_key *last = (const void *)(items + (kept ? kept - 1 : 0) * list->size);
        if (kept && compare_numbers(last, key) == 0)
            kept--;
        if (kept != i)
            memcpy(items + kept * list->size, key, list->size);
        kept++;
    }
    list->count = kept;
}

void *fact_list_find(const struct fact_list *list, uint32_t process, uint64_t number)
{
    struct facts_key key = {process, number, 0};
    size_t low = 0, high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        void *item = (char *)list->items + middle * list->size;
        int order = compare_numbers(&key, item);
        if (order == 0)
            return item;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
