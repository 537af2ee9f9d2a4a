/* replay_pool.h - many threads of traces, replayed by a few threads of ours.
 *
 * Jobs begin in order and are taken in order, so what is made of them does not depend on which was
 * done first. Those that are done and not taken may hold so much memory, and then the others wait.
 */
#ifndef ANALYZER_REPLAY_POOL_H
#define ANALYZER_REPLAY_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/replay.h"

struct error;

struct replay_job {
    const struct trace_file *file;     /* borrowed, as all here */
    const struct trace_thread *thread;
    const struct facts *facts;
    struct model *model;
    const struct windows *windows; /* NULL: all of the thread */

    /* The pool's: */
    struct replay *replay; /* owned */
    uint64_t memory;       /* bytes of it */
    int status;
    bool done;
};

struct replay_pool;

/* Begins with the jobs, which the caller keeps until the pool is freed. With less than two workers
 * or jobs, or if no thread can be had, they are done while they are waited for. NULL: no memory. */
struct replay_pool *replay_pool_start(struct replay_job *jobs, size_t count, unsigned workers);

/* Waits for the next job, calling `progress` (may be NULL) in this thread with the bytes done
 * lately. 0, or -1 with *err set. On success *replay is good until the next call. */
int replay_pool_next(struct replay_pool *pool, replay_progress *progress, void *context,
                     struct replay **replay, struct error *err);

/* Stops what is still going on, and frees. NULL is fine. */
void replay_pool_free(struct replay_pool *pool);

#endif
