#include "analyzer/sample_sums.h"

#include <math.h>

struct sample_sums *sample_table_put(struct sample_table *table, const void *of)
{
    void **slot = map_put(&table->map, (uintptr_t)of, 0);

    if (slot && !*slot) {
        struct sample_sums *sums = *slot = arena_take(&table->arena, sizeof *sums);
        if (sums) {
            sums->of = of;
            sums->next = table->all;
            table->all = sums;
        }
    }
    return slot ? *slot : NULL;
}

struct sample_sums sample_table_get(const struct sample_table *table, const void *of)
{
    const struct sample_sums *sums = table ? map_get(&table->map, (uintptr_t)of, 0) : NULL;

    return sums ? *sums : (struct sample_sums){0};
}

static double time_of(const struct sample_sums *sums)
{
    double time = 0;

    for (int i = 0; i < SAMPLE_STATES; i++)
        time += (double)sums->ns[i];
    return time;
}

void sample_table_settle(struct sample_table *table)
{
    double total = time_of(&table->total);

    for (struct sample_sums *sums = table->all; sums; sums = sums->next) {
        double share = total > 0 ? time_of(sums) / total : 0;
        sums->variance = (1 - share) * (1 - share) * sums->squares +
                         share * share * (table->total.squares - sums->squares);
    }
}

void sample_sums_add(struct sample_sums *sum, const struct sample_sums *sums)
{
    sum->samples += sums->samples;
    sum->cumulative_samples += sums->cumulative_samples;
    for (int i = 0; i < SAMPLE_STATES; i++)
        sum->ns[i] += sums->ns[i];
    sum->variance += sums->variance;
}

int64_t sample_sums_error(const struct sample_sums *sums)
{
    double error = sums->variance > 0 ? sqrt(sums->variance) : 0;

    return error < 9e18 ? (int64_t)(error + 0.5) : INT64_MAX;
}

void sample_table_fini(struct sample_table *table)
{
    map_fini(&table->map);
    arena_fini(&table->arena);
}
