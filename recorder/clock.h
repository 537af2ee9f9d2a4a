/* clock.h - what time it is, as cheaply as this machine can tell.
 *
 * Ticks are the processor's time stamp counter where it is invariant (x86-64), else
 * CLOCK_MONOTONIC in nanoseconds. One run uses one clock: the trace's header names it.
 */
#ifndef RECORDER_CLOCK_H
#define RECORDER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "formats/trace/trace.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

extern bool clock_is_tsc; /* set by clock_use(), then constant */

/* Nanoseconds of the system's clock `id`. Not inline: its local would cost the callbacks a stack
 * frame. */
uint64_t clock_read_ns(clockid_t id);

#if defined(PYREC_COUNTING_CLOCK)
/* Only for `make bench-check`, where valgrind counts instructions: 40 ns pass from one reading to
 * the next, so that every run writes the same events, in their short forms, however slow it is. */
extern uint64_t clock_count;

static inline bool clock_is_quick(void)
{
    return true;
}

static inline uint64_t clock_ticks_quick(void)
{
    return clock_count += 40;
}
#elif defined(__x86_64__)
/* Can the ticks be read without a call? */
static inline bool clock_is_quick(void)
{
    return clock_is_tsc;
}

/* The ticks, if so. */
static inline uint64_t clock_ticks_quick(void)
{
    return __rdtsc();
}
#else
static inline bool clock_is_quick(void)
{
    return true;
}

static inline uint64_t clock_ticks_quick(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}
#endif

static inline uint64_t clock_ticks(void)
{
    return clock_is_quick() ? clock_ticks_quick() : clock_read_ns(CLOCK_MONOTONIC);
}

/* The best clock of this machine. */
enum trace_clock clock_choose(void);

/* From now on clock_ticks() reads `clock`. False: this machine does not have it. */
bool clock_use(enum trace_clock clock);

/* Ticks a second, measured in about 100 us to about 0.1 %. */
uint64_t clock_measure_rate(void);

/* The shift that makes a unit of time 4 to 8 ns at that rate. */
unsigned clock_tick_shift(uint64_t rate);

#endif
