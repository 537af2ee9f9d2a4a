/* fuzz_replay.c - a packed trace, repaired (packed.h): its events read in both ways there are,
 * without a database, so that there can be many more of them.
 *
 * The replay that sums and the walk behind the table `events` count the same events, and the time
 * of each thread is in its sums and gaps, to the last nanosecond.
 */
#include <stdlib.h>

#include "analyzer/events_walk.h"
#include "analyzer/facts.h"
#include "analyzer/model.h"
#include "analyzer/replay.h"
#include "analyzer/trace_file.h"
#include "analyzer/windows.h"
#include "formats/error.h"
#include "tests/fuzz/checks.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packed.h"

static int64_t sum_cells(const struct sums *sums)
{
    int64_t total = 0;

    for (uint32_t n = 0; n < sums->nodes.count; n++) {
        const struct sums_cell *cell;
        for (uint64_t i = 0; (cell = sums_next_cell(sums_node(sums, n), &i));)
            total += cell->self;
    }
    return total;
}

/* All of the thread, or what is in the windows. */
static void check_thread(const struct trace_file *file, const struct trace_thread *thread,
                         const struct facts *facts, struct model *model,
                         const struct windows *windows)
{
    struct replay replay = {0};
    struct error err = {.usage = 0};

    if (replay_thread(&replay, file, thread, facts, model, windows, NULL, NULL, &err) < 0) {
        check_error(&err);
    } else {
        FUZZ_CLAIM(sum_cells(&replay.sums) + replay.gap_ns == replay.hand.ns - replay.first_ns,
                   "the books of thread %u do not close", thread->thread);
    }
    replay_fini(&replay);
}

static void walk_thread(struct events_walk *walk, const struct trace_thread *thread)
{
    struct error err = {.usage = 0};
    int64_t last = 0, self;
    uint64_t seq = 0;
    int status;

    events_walk_begin(walk, thread);
    while ((status = events_walk_next(walk, &err)) > 0) {
        int64_t time = events_walk_time(walk);
        FUZZ_CLAIM(walk->seq > seq, "event %llu comes twice", (unsigned long long)walk->seq);
        FUZZ_CLAIM(time >= last, "time goes back in thread %u", thread->thread);
        if (seq % 64 == 0)
            FUZZ_CLAIM(events_walk_self(walk, &self, &err) < 0 || self >= 0, "negative time");
        last = time;
        seq = walk->seq;
    }
    if (status < 0)
        check_error(&err);
}

static void check_windows(const struct trace_file *file, const struct trace_thread *thread,
                          const struct facts *facts, struct model *model)
{
    struct windows windows = {0};

    FUZZ_CLAIM(windows_of_thread(&windows, facts, &file->clock, NULL, thread) == 0, "no memory");
    check_thread(file, thread, facts, model, &windows);
    windows_fini(&windows);
}

static void check_threads(const struct trace_file *file, struct facts *facts)
{
    struct model model;
    struct error err = {.usage = 0};
    struct events_walk *walk = events_walk_new(file, facts);

    FUZZ_CLAIM(walk && model_build(&model, &facts, 1, NULL, &err) == 0, "no memory");
    events_walk_window(walk, 0, CLOCK_MAX_NS);
    for (size_t i = 0; i < file->thread_count; i++) {
        check_thread(file, &file->threads[i], facts, &model, NULL);
        check_windows(file, &file->threads[i], facts, &model);
        walk_thread(walk, &file->threads[i]);
    }
    events_walk_free(walk);
    model_fini(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct error err = {.usage = 0};
    size_t unpacked;
    uint8_t *trace = packed_unpack(bytes, size, &unpacked);
    struct trace_file *file = trace_file_open(scratch_write("trace.bin", trace, unpacked), &err);
    struct facts *facts = file ? facts_read(file, &err) : NULL;

    if (facts)
        check_threads(file, facts);
    else
        check_error(&err);
    facts_free(facts);
    trace_file_close(file);
    free(trace);
    return 0;
}
