#define PYCOMPAT_COUNTS
#include "recorder/pycompat.h"

#include "recorder/unseen.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "recorder/clock.h"
#include "recorder/facts.h"
#include "recorder/recorder.h"

/* Any thread may look, with or without the GIL. */
static struct {
    _Atomic uint64_t interpreters; /* made before we began */
    _Atomic uint64_t threads;      /* made before we began, or expected */
    _Atomic uint64_t looked;       /* ticks of the last look: there was nothing then */
    atomic_bool found;
} unseen;

void unseen_begin(void)
{
    unseen.interpreters = pycompat_interpreters_made();
    unseen.threads = pycompat_threads_made();
    unseen.looked = clock_ticks();
    unseen.found = false;
}

uint64_t unseen_threads_made(void)
{
    return pycompat_threads_made();
}

void unseen_expect_threads(uint64_t count)
{
    unseen.threads += count;
}

/* A sampler sees every thread that the interpreter has a state for, whoever made it. */
static bool is_thread_there(void)
{
    uint64_t threads = recorder.settings.sample_ns == 0 ? pycompat_threads_made() : 0;

    return recorder.settings.threads && threads != 0 && threads != unseen.threads;
}

static bool is_something_there(void)
{
    return pycompat_interpreters_made() != unseen.interpreters || is_thread_there();
}

static void put_gap(struct fact *fact, uint64_t start, uint64_t end)
{
    fact_init(fact);
    fact_put_uint(fact, 0);
    fact_put_uint(fact, TRACE_GAP_UNSEEN);
    fact_put_uint(fact, start);
    fact_put_uint(fact, end);
}

void unseen_look(void)
{
    uint64_t now = clock_ticks();
    struct fact fact;

    if (unseen.found)
        return;
    if (!is_something_there()) {
        unseen.looked = now;
    } else if (!atomic_exchange(&unseen.found, true)) {
        put_gap(&fact, unseen.looked, now);
        unseen.looked = now;
        facts_write(TRACE_FACT_GAP, &fact);
    }
}

/* Nobody says when an interpreter or a thread is gone. */
void unseen_end(void)
{
    struct fact fact;

    if (!unseen.found && !is_something_there())
        return;
    put_gap(&fact, unseen.looked, clock_ticks());
    facts_write_last(TRACE_FACT_GAP, &fact);
}
