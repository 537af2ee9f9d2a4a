/* sample_sums.h - what samples tell of a line, a function or an edge beside its times.
 *
 * A time is an estimate: of `total` ns of a thread, seen in samples whose weights squared are
 * `all_squares` together, `time` ns in samples whose weights squared are `squares`; its variance is
 * that of a share which each sample has or has not, independently of the others.
 */
#ifndef ANALYZER_SAMPLE_SUMS_H
#define ANALYZER_SAMPLE_SUMS_H

#include <stdint.h>

#include "analyzer/arena.h"
#include "analyzer/map.h"

/* Whose column the time of a sample goes into. */
enum sample_state { SAMPLE_RUNNING, SAMPLE_GIL, SAMPLE_BLOCKED, SAMPLE_STATES };

struct sample_sums {
    uint64_t samples, cumulative_samples;
    int64_t ns[SAMPLE_STATES];
    double squares;  /* ns^2 */
    double variance; /* ns^2; only once settled, or in totals */
    uint64_t active; /* how often it is on the stack */
    const void *of;
    struct sample_sums *next;
};

/* Those of one thread, or of all, by the address of what they are of. */
struct sample_table {
    struct map map;
    struct arena arena;
    struct sample_sums *all;
    struct sample_sums total; /* of the thread */
};

/* The sums of the thing at that address, made at first need. NULL: no memory. */
struct sample_sums *sample_table_put(struct sample_table *table, const void *of);

/* The same; all zero if there are none, or no table. */
struct sample_sums sample_table_get(const struct sample_table *table, const void *of);

/* Works the variances out, once all is in. */
void sample_table_settle(struct sample_table *table);

/* Adds the sums of one thread to those of all. */
void sample_sums_add(struct sample_sums *sum, const struct sample_sums *sums);

/* The standard error, in ns. */
int64_t sample_sums_error(const struct sample_sums *sums);

void sample_table_fini(struct sample_table *table);

/* The columns of a row (formats/profile.sql), as arguments for store_row(): "iiiiii". */
#define SAMPLE_COLUMNS(sums)                                                                       \
    (int64_t)(sums).samples, (int64_t)(sums).cumulative_samples, (sums).ns[SAMPLE_RUNNING],        \
        (sums).ns[SAMPLE_GIL], (sums).ns[SAMPLE_BLOCKED], sample_sums_error(&(sums))

#endif
