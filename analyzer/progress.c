#include "analyzer/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_NS = 1000000000, NEXT_NS = 100000000 };

static int64_t now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void progress_init(struct progress *progress, bool verbose)
{
    memset(progress, 0, sizeof *progress);
    progress->terminal = isatty(STDERR_FILENO);
    progress->verbose = verbose;
}

void progress_begin(struct progress *progress, const char *stage)
{
    progress->stage = stage;
    progress->stage_started = now(CLOCK_MONOTONIC);
    progress->stage_cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    progress->next_update = progress->stage_started + FIRST_NS;
}

void progress_update(struct progress *progress, uint64_t done, uint64_t total)
{
    int64_t time;

    if (!progress->terminal || progress->stage == NULL)
        return;
    time = now(CLOCK_MONOTONIC);
    if (time < progress->next_update)
        return;
    progress->next_update = time + NEXT_NS;
    progress->shown = true;
    fprintf(stderr, "\r\033[K%s: %3.0f %%", progress->stage,
            total > 0 ? 100.0 * (double)done / (double)total : 0.0);
    fflush(stderr);
}

void progress_clear(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}

void progress_end(struct progress *progress, const char *detail)
{
    struct rusage usage;

    progress_clear(progress);
    if (progress->verbose && progress->stage != NULL) {
        getrusage(RUSAGE_SELF, &usage);
        fprintf(stderr, "pyanalyze: %s: %.3f s, CPU %.3f s, memory at most %.1f MB%s%s\n",
                progress->stage, (double)(now(CLOCK_MONOTONIC) - progress->stage_started) / 1e9,
                (double)(now(CLOCK_PROCESS_CPUTIME_ID) - progress->stage_cpu) / 1e9,
                (double)usage.ru_maxrss * 1024 / 1e6, detail != NULL ? ", " : "",
                detail != NULL ? detail : "");
    }
    progress->stage = NULL;
}
