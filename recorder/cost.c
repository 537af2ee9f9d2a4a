#include "recorder/cost.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "recorder/clock.h"
#include "recorder/events.h"
#include "recorder/recorder.h"
#include "recorder/toggle.h"

/* Any thread may count, with or without the GIL. */
static struct {
    uint64_t ns, times;
} stages[COST_SAMPLING + 1];

uint64_t cost_begin(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

void cost_end(enum cost_stage stage, uint64_t begun)
{
    cost_add(stage, clock_read_ns(CLOCK_MONOTONIC) - begun, 1);
}

void cost_add(enum cost_stage stage, uint64_t ns, uint64_t times)
{
    __atomic_fetch_add(&stages[stage].ns, ns, __ATOMIC_RELAXED);
    __atomic_fetch_add(&stages[stage].times, times, __ATOMIC_RELAXED);
}

#define ROUNDS 8
#define ROUND_BYTES 8192

/* One round of short LINE events; ns for each. */
static double time_round(struct thread *t, uint8_t *bytes)
{
    uint64_t begun, ns;

    t->at = bytes;
    t->events = 0;
    t->last_unit = clock_ticks() >> t->shift;
    begun = cost_begin();
    while (t->at < t->end)
        event_line(t, t->top->line ^ 1);
    ns = cost_begin() - begun;
    return (double)ns / (double)t->events;
}

/* What an event takes where it is recorded: the least of some rounds, into memory that nobody
 * reads. A process that ends in a signal handler has no malloc(). */
static double time_event(void)
{
    static uint8_t bytes[ROUND_BYTES + 2 * TRACE_EVENT_SIZE_MAX];
    struct open_frame stack[2] = {{.line = 0}};
    struct thread t = {.shift = recorder.sink.tick_shift,
                       .stack = stack,
                       .top = stack + 1,
                       .low = stack + 1,
                       .stack_end = stack + 2,
                       .cpu_clock = CLOCK_THREAD_CPUTIME_ID};
    double least = 0;

    t.end = bytes + ROUND_BYTES;
    for (int i = 0; i < ROUNDS; i++) {
        double ns = time_round(&t, bytes);

        if (i == 0 || ns < least)
            least = ns;
    }
    return least;
}

static double seconds_of(enum cost_stage stage)
{
    return (double)stages[stage].ns / 1e9;
}

static void print_samples(const char *whose)
{
    uint64_t times = stages[COST_SAMPLING].times;
    double seconds = seconds_of(COST_SAMPLING);

    dprintf(STDERR_FILENO,
            "pyrec: own cost%s: samples %.4f s of processor time (%llu, %.1f us each)\n", whose,
            seconds, (unsigned long long)times, times > 0 ? seconds * 1e6 / (double)times : 0.0);
}

static void print_events(uint64_t events, uint64_t bytes)
{
    double each = time_event();

    if (events > 0)
        dprintf(STDERR_FILENO,
                "pyrec: own cost: %.2f bytes and %.1f ns an event (measured now, without CPython's "
                "part), %.3f s in all\n",
                (double)bytes / (double)events, each, each * (double)events / 1e9);
}

/* What the program did to the signal of --toggle-signal. */
static void print_taken(void)
{
    int number = recorder.settings.toggle_signal;

    if (toggle_was_taken())
        dprintf(STDERR_FILENO,
                "pyrec: signal %s was taken by the program: from then on it stopped nothing\n",
                sigabbrev_np(number) != NULL ? sigabbrev_np(number) : "of --toggle-signal");
}

void cost_print(uint64_t events, uint64_t bytes, uint32_t processes)
{
    const char *whose = processes > 1 ? " of the first process" : "";

    print_taken();

    if (recorder.settings.sample_ns > 0)
        print_samples(whose);
    else
        print_events(events, bytes);
    dprintf(
        STDERR_FILENO,
        "pyrec: own cost%s: entering %.4f s; definitions and sources %.4f s (%llu times); chunks "
        "%.4f s (%llu), at most %.0f KB of them mapped\n",
        whose, seconds_of(COST_START), seconds_of(COST_DEFINING),
        (unsigned long long)stages[COST_DEFINING].times, seconds_of(COST_WRITING),
        (unsigned long long)stages[COST_WRITING].times, (double)sink_mapped_most() / 1024);
}
