#include "analyzer/windows.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/clock.h"
#include "analyzer/facts.h"
#include "analyzer/grow.h"
#include "analyzer/trace_file.h"

bool windows_owned_by(struct trace_bytes owner, const char *const *owners)
{
    if (!owners)
        return true;
    for (; *owners; owners++)
        if (strlen(*owners) == owner.size && memcmp(*owners, owner.at, owner.size) == 0)
            return true;
    return false;
}

int windows_add(struct windows *windows, struct window window)
{
    struct window *grown =
        grow_array(windows->items, windows->count, &windows->room, sizeof *grown);

    if (!grown)
        return -1;
    windows->items = grown;
    grown[windows->count++] = window;
    return 0;
}

static int compare_starts(const void *a, const void *b)
{
    const struct window *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* Those that overlap or touch become one. */
void windows_unite(struct windows *windows)
{
    size_t kept = 0;

    if (windows->count == 0)
        return;
    qsort(windows->items, windows->count, sizeof *windows->items, compare_starts);
    for (size_t i = 1; i < windows->count; i++) {
        struct window *last = &windows->items[kept], next = windows->items[i];
        if (next.start > last->end)
            windows->items[++kept] = next;
        else if (next.end > last->end)
            last->end = next.end;
    }
    windows->count = kept + 1;
}

int windows_of_thread(struct windows *windows, const struct facts *facts, const struct clock *clock,
                      const char *const *owners, const struct trace_thread *thread)
{
    size_t count;
    const struct facts_window *all = facts_windows(facts, &count);

    for (size_t i = 0; i < count; i++) {
        const struct facts_window *from = &all[i];
        if (from->key.process != thread->process ||
            (from->thread && from->thread != thread->thread) ||
            !windows_owned_by(from->owner, owners))
            continue;
        struct window window = {clock_ns(clock, from->start_ticks),
                                from->end_ticks ? clock_ns(clock, from->end_ticks) : INT64_MAX};
        if (window.start < window.end && windows_add(windows, window) < 0)
            return -1;
    }
    windows_unite(windows);
    return 0;
}

bool windows_cover(const struct windows *windows, int64_t ns)
{
    size_t low = 0, high = windows->count;

    while (low < high) { /* the first that begins later */
        size_t middle = low + (high - low) / 2;
        if (windows->items[middle].start > ns)
            high = middle;
        else
            low = middle + 1;
    }
    return low > 0 && ns < windows->items[low - 1].end;
}

void windows_fini(struct windows *windows)
{
    free(windows->items);
    *windows = (struct windows){0};
}
