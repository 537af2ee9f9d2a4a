/* progress.h - what the user is told while it takes long, and what it cost.
 *
 * Only on standard error. A line that is rewritten appears when it is a terminal and the work has
 * taken more than a second; with -v each stage ends with a line of its own.
 */
#ifndef ANALYZER_PROGRESS_H
#define ANALYZER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal, verbose;
    bool shown;            /* a line stands on the terminal */
    const char *stage;     /* borrowed; what is going on, NULL: nothing */
    int64_t stage_started; /* ns, monotonic */
    int64_t stage_cpu;     /* ns of CPU time when it began */
    int64_t next_update;
};

void progress_init(struct progress *progress, bool verbose);

/* A stage begins. `stage` is borrowed until it ends. */
void progress_begin(struct progress *progress, const char *stage);

/* `done` of `total` units of it are done; cheap enough for every megabyte. */
void progress_update(struct progress *progress, uint64_t done, uint64_t total);

/* It ends; -v: seconds, CPU seconds and the peak memory so far, and `detail` (NULL: none) behind
 * them. */
void progress_end(struct progress *progress, const char *detail);

/* Wipes the line; before anything else is written to standard error. */
void progress_clear(struct progress *progress);

#endif
