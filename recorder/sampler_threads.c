#include "recorder/sampler_threads.h"

#include <stdlib.h>
#include <time.h>

#include "recorder/clock.h"
#include "recorder/recorder.h"
#include "recorder/sampler_pack.h"

#define THREADS_MAX 65536u

/* With fewer threads at rest, reading their clocks costs less than that of the process. */
#define RESTING_MIN 8

/* To wake up, run Python code and wait again takes a thread longer than that; and reading clocks
 * one after the other errs by no more, for each that moves. */
#define RESTLESS_NS 1000

static struct {
    struct sampler_thread *threads; /* owned: the first `awake` are looked at in each round, the
                                       others rest */
    size_t awake, count, room;
    int64_t unseen;     /* see read_unseen() */
    uint64_t looked_at; /* ticks when those that rest were looked at one by one */
    uintptr_t newest;
    uint64_t next_id; /* as of the last look at the interpreter's list */
    bool relist;      /* that did not find everything in order */
} list = {.relist = true};

/* --- The list --- */

static struct sampler_thread *find_thread(const struct layout_thread *at)
{
    for (size_t i = 0; i < list.count; i++) {
        if (list.threads[i].at.native == at->native)
            return &list.threads[i];
    }
    return NULL;
}

static void swap_threads(size_t i, size_t j)
{
    struct sampler_thread swapped = list.threads[i];

    list.threads[i] = list.threads[j];
    list.threads[j] = swapped;
}

static void add_thread(const struct layout_thread *at, struct sampler_shared *shared)
{
    struct sampler_thread *threads = list.threads;
    size_t room = list.room != 0 ? 2 * list.room : 16;

    if (list.count == list.room) {
        threads = realloc(threads, room * sizeof *threads);
        if (threads == NULL)
            return;
        list.threads = threads;
        list.room = room;
    }
    sampler_thread_begin(&threads[list.count], shared, at,
                         list.next_id != 0 && at->id > list.next_id);
    list.unseen -= (int64_t)threads[list.count].seen;
    swap_threads(list.count++, list.awake++);
}

/* A thread that leaves Python and comes back has another state, and is the same. One that has not
 * started yet seems to be the thread that starts it, whose state is the older one. */
static void list_thread(const struct layout_thread *at, struct sampler_shared *shared)
{
    struct sampler_thread *known = find_thread(at);

    if (known == NULL) {
        add_thread(at, shared);
        return;
    }
    list.relist |= known->listed;
    if (!known->listed || at->id < known->at.id)
        known->at = *at;
    known->listed = true;
}

static void remove_thread(size_t i, struct sampler_shared *shared)
{
    list.unseen += (int64_t)list.threads[i].seen;
    sampler_thread_over(&list.threads[i], shared);
    sampler_thread_fini(&list.threads[i], shared, false);
    if (i < list.awake) {
        swap_threads(i, --list.awake);
        i = list.awake;
    }
    swap_threads(i, --list.count);
}

static bool is_wanted(const struct layout_thread *at)
{
    return at->native != 0 && (recorder.settings.threads || at->native == recorder.pid);
}

/* Walks the interpreter's list. If it changes meanwhile the next round walks it again. */
static void list_threads(uintptr_t newest, uint64_t next_id, struct sampler_shared *shared)
{
    struct layout_thread at = {.next = newest};
    bool whole = true;
    size_t seen = 0;

    for (size_t i = 0; i < list.count; i++)
        list.threads[i].listed = false;
    list.relist = false;
    while (at.next != 0 && whole) {
        whole = ++seen < THREADS_MAX && layout_read_thread(at.next, &at);
        if (whole && is_wanted(&at))
            list_thread(&at, shared);
        list.relist |= whole && at.native == 0; /* it has not started yet */
    }
    list.relist |= !whole;
    list.newest = newest;
    list.next_id = next_id;
    for (size_t i = list.count; whole && i-- > 0;) {
        if (!list.threads[i].listed)
            remove_thread(i, shared);
    }
}

static void look_for_threads(struct sampler_shared *shared)
{
    uintptr_t newest;
    uint64_t next_id;

    if (!layout_newest(&newest, &next_id))
        return;
    if (list.relist || newest != list.newest || next_id != list.next_id)
        list_threads(newest, next_id, shared);
}

/* --- Rounds --- */

static void look_at(size_t i, struct sampler_shared *shared)
{
    if (!sampler_thread_sample(&list.threads[i], shared))
        list.relist = true; /* it is gone, or has another state */
}

/* Of those awake, who has waited long enough. */
static void put_to_rest(const struct sampler_shared *shared)
{
    for (size_t i = list.awake; i-- > 0;) {
        if (sampler_thread_rest(&list.threads[i], shared))
            swap_threads(i, --list.awake);
    }
}

/* What the process's clock shows beside the clocks of the threads listed, as they were seen last:
 * the time of threads that Python does not know, of those that are gone, and of those that rest no
 * more. */
static int64_t read_unseen(struct sampler_shared *shared)
{
    uint64_t own;

    for (size_t i = 0; i < list.awake; i++)
        sampler_thread_see(&list.threads[i], shared);
    own = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
    return (int64_t)(clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - own - shared->seen);
}

/* Has none of them run? What was read is too much by what the clocks moved on meanwhile, so the
 * least of it is right. */
static bool all_rest(int64_t unseen, const struct sampler_shared *shared)
{
    uint64_t second = shared->rested_until - list.looked_at;

    if (unseen < list.unseen)
        list.unseen = unseen;
    return unseen - list.unseen <= RESTLESS_NS * (int64_t)(1 + list.awake) &&
           second < recorder.sink.tick_rate;
}

/* Each is asked by its own clock. What ran since `unseen` was read makes us ask once too often. */
static void look_at_resting(int64_t unseen, struct sampler_shared *shared)
{
    uint64_t before = shared->seen;

    for (size_t i = list.awake; i < list.count && recorder.running; i++)
        look_at(i, shared);
    list.unseen = unseen - (int64_t)(shared->seen - before);
    list.looked_at = shared->rested_until = clock_ticks();
    list.awake = list.count;
}

static void take_resting(struct sampler_shared *shared)
{
    size_t count = list.count - list.awake;
    int64_t unseen = count >= RESTING_MIN ? read_unseen(shared) : 0;

    if (count >= RESTING_MIN && all_rest(unseen, shared)) {
        shared->rests++;
        shared->rested_until = clock_ticks();
        shared->taken += count;
    } else if (count > 0) {
        look_at_resting(unseen, shared);
    }
}

void sampler_threads_begin(struct sampler_shared *shared)
{
    shared->previous = clock_ticks();
    sampler_codes_enter();
    look_for_threads(shared);
    sampler_codes_leave();
}

void sampler_threads_look(struct sampler_shared *shared)
{
    uint64_t now = clock_ticks();

    sampler_codes_enter();
    look_for_threads(shared);
    for (size_t i = 0; i < list.awake && recorder.running; i++)
        look_at(i, shared);
    take_resting(shared);
    put_to_rest(shared);
    sampler_codes_leave();
    shared->previous = now;
}

/* --- Pause and end --- */

void sampler_threads_pause(struct sampler_shared *shared, uint64_t now)
{
    for (size_t i = 0; i < list.count; i++)
        sampler_thread_pause(&list.threads[i], shared, now);
    list.awake = list.count;
}

void sampler_threads_seal(struct sampler_shared *shared)
{
    for (size_t i = 0; i < list.count; i++)
        sampler_thread_seal(&list.threads[i], shared);
    sampler_pack_seal();
    list.awake = list.count;
}

void sampler_threads_forget_files(void)
{
    for (size_t i = 0; i < list.count; i++)
        list.threads[i].status.fd = -1;
}

void sampler_threads_forget(struct sampler_shared *shared, bool of_parent)
{
    while (list.count > 0)
        sampler_thread_fini(&list.threads[--list.count], shared, of_parent);
    sampler_pack_end(of_parent);
    list.awake = 0;
    list.unseen = 0;
    list.next_id = 0;
    list.relist = true;
}
