#include "analyzer/replay_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "analyzer/trace_file.h"
#include "formats/error.h"

#define WORKERS_MAX 64
#define HELD_MAX (24u << 20) /* bytes of jobs that are done and not taken */
#define UPDATE_NS 100000000  /* progress is told that often while waiting */

struct replay_pool {
    struct replay_job *jobs; /* borrowed */
    size_t count;
    pthread_t threads[WORKERS_MAX];
    unsigned thread_count;

    pthread_mutex_t lock; /* of all that follows, and of jobs that are not done */
    pthread_cond_t changed;
    size_t begun, taken;
    uint64_t held;  /* bytes of jobs that are done and not taken */
    uint64_t bytes; /* replayed and not yet told */
    bool stop;
    size_t failed; /* the first job that did; `count`: none */
    struct error failure;
};

/* --- Jobs --- */

static int count_bytes(void *context, uint64_t bytes)
{
    struct replay_pool *pool = context;

    pthread_mutex_lock(&pool->lock);
    pool->bytes += bytes;
    int stop = pool->stop;
    pthread_mutex_unlock(&pool->lock);
    return stop;
}

static void run_job(struct replay_job *job, replay_progress *progress, void *context,
                    struct error *err)
{
    job->replay = malloc(sizeof *job->replay);
    if (job->replay)
        job->status = replay_thread(job->replay, job->file, job->thread, job->facts, job->model,
                                    job->windows, progress, context, err);
    else
        job->status = error_set(err, "%s: out of memory", job->file->path);
    job->memory = job->replay ? replay_memory(job->replay) : 0;
}

/* Whoever fails first, what is told is the failure that comes first in order. Holds the lock. */
static void end_job(struct replay_pool *pool, struct replay_job *job, const struct error *err)
{
    size_t i = (size_t)(job - pool->jobs);

    job->done = true;
    pool->held += job->memory;
    if (job->status < 0 && i < pool->failed) {
        pool->failed = i;
        pool->failure = *err;
    }
    pthread_cond_broadcast(&pool->changed);
}

static void drop(struct replay_job *job)
{
    if (!job->replay)
        return;
    replay_fini(job->replay);
    free(job->replay);
    job->replay = NULL;
}

/* --- Workers --- */

static bool may_begin(const struct replay_pool *pool)
{
    return pool->held < HELD_MAX || pool->begun == pool->taken;
}

/* The next job to be done; NULL: there are no more. Holds the lock. */
static struct replay_job *begin_job(struct replay_pool *pool)
{
    while (!pool->stop && pool->begun < pool->count && !may_begin(pool))
        pthread_cond_wait(&pool->changed, &pool->lock);
    return pool->stop || pool->begun == pool->count ? NULL : &pool->jobs[pool->begun++];
}

static void *work(void *context)
{
    struct replay_pool *pool = context;
    struct replay_job *job;

    pthread_mutex_lock(&pool->lock);
    while ((job = begin_job(pool))) {
        pthread_mutex_unlock(&pool->lock);
        struct error err = {.text = ""};
        run_job(job, count_bytes, pool, &err);
        pthread_mutex_lock(&pool->lock);
        end_job(pool, job, &err);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void start_workers(struct replay_pool *pool, unsigned workers)
{
    if (workers > pool->count)
        workers = (unsigned)pool->count;
    if (workers > WORKERS_MAX)
        workers = WORKERS_MAX;
    while (workers > 1 && pool->thread_count < workers &&
           pthread_create(&pool->threads[pool->thread_count], NULL, work, pool) == 0)
        pool->thread_count++;
}

struct replay_pool *replay_pool_start(struct replay_job *jobs, size_t count, unsigned workers)
{
    struct replay_pool *pool = calloc(1, sizeof *pool);
    pthread_condattr_t attributes;

    if (!pool)
        return NULL;
    pool->jobs = jobs;
    pool->count = pool->failed = count;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    start_workers(pool, workers);
    return pool;
}

/* --- Taking --- */

static struct timespec next_update(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += UPDATE_NS;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

/* Tells of progress without the lock. */
static void tell(struct replay_pool *pool, replay_progress *progress, void *context)
{
    uint64_t bytes = pool->bytes;

    pool->bytes = 0;
    if (!progress || bytes == 0)
        return;
    pthread_mutex_unlock(&pool->lock);
    int stop = progress(context, bytes);
    pthread_mutex_lock(&pool->lock);
    pool->stop |= stop != 0;
}

static void wait_for(struct replay_pool *pool, struct replay_job *job, replay_progress *progress,
                     void *context)
{
    pthread_mutex_lock(&pool->lock);
    while (!job->done && !pool->stop) {
        struct timespec until = next_update();
        while (!job->done && pthread_cond_timedwait(&pool->changed, &pool->lock, &until) == 0)
            ;
        tell(pool, progress, context);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* The job taken before is over. */
static void drop_last(struct replay_pool *pool)
{
    if (pool->taken == 0)
        return;
    struct replay_job *last = &pool->jobs[pool->taken - 1];
    drop(last);
    pthread_mutex_lock(&pool->lock);
    pool->held -= last->memory;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

static void run_here(struct replay_pool *pool, struct replay_job *job, replay_progress *progress,
                     void *context)
{
    struct error err = {.text = ""};

    run_job(job, progress, context, &err);
    pthread_mutex_lock(&pool->lock);
    end_job(pool, job, &err);
    pthread_mutex_unlock(&pool->lock);
}

int replay_pool_next(struct replay_pool *pool, replay_progress *progress, void *context,
                     struct replay **replay, struct error *err)
{
    struct replay_job *job = &pool->jobs[pool->taken];

    drop_last(pool);
    if (pool->thread_count)
        wait_for(pool, job, progress, context);
    else
        run_here(pool, job, progress, context);
    pthread_mutex_lock(&pool->lock);
    bool stopped = pool->stop, good = !stopped && job->status == 0;
    pool->taken += !stopped;
    pool->stop |= !good;
    pthread_mutex_unlock(&pool->lock);
    *replay = good ? job->replay : NULL;
    if (stopped) /* the job may still be going on */
        return error_set(err, "%s: stopped", job->file->path);
    return good ? 0 : error_set(err, "%s", pool->failure.text);
}

void replay_pool_free(struct replay_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    for (size_t i = 0; i < pool->count; i++)
        drop(&pool->jobs[i]);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
