/* clock.h - ticks to nanoseconds since the start of the run, exactly (TRACE.md section 7).
 *
 * A clock is the ratio (M1 - M0) / (T1 - T0) and its origin. Sums are differences of converted
 * stamps, so conversion rounds each stamp down, never a duration. A `struct clock_hand` walks along
 * one thread's stamps and carries the remainder: an event costs an addition and a compare, and the
 * result is the same as converting each stamp alone.
 */
#ifndef ANALYZER_CLOCK_H
#define ANALYZER_CLOCK_H

#include <stdint.h>

#define CLOCK_STEPS 256          /* times below this are converted by table */
#define CLOCK_MAX_NS (1ll << 60) /* stamps are kept below this, whatever a file says */

struct clock {
    uint64_t origin;                 /* T0, ticks */
    uint64_t num;                    /* M1 - M0, at least 1 */
    uint64_t den;                    /* T1 - T0, at least 1 */
    unsigned shift;                  /* a unit is 2^shift ticks */
    uint64_t step_ns[CLOCK_STEPS];   /* a time of i units: i 2^shift num / den ... */
    uint64_t step_rest[CLOCK_STEPS]; /* ... and its remainder */
};

/* A clock with origin T0 that runs num ns in den ticks. */
void clock_init(struct clock *clock, uint64_t origin, uint64_t num, uint64_t den, unsigned shift);

/* ns since the start of the run; 0 before it, at most CLOCK_MAX_NS. */
int64_t clock_ns(const struct clock *clock, uint64_t ticks);

/* Where a thread stands. */
struct clock_hand {
    const struct clock *clock;
    uint64_t limit; /* times below this may go by table; 0 while `lag` is not used up */
    int64_t ns;     /* the current stamp */
    uint64_t rest;  /* remainder of its conversion, below clock->den */
    uint64_t ticks; /* the current stamp, unconverted and unrounded */
    uint64_t lag; /* ticks that must pass before ns moves again: before the origin, or a clock that
                     went back */
};

/* Stands at `ticks`. Never moves ns back: a stamp before the current one waits until time has
 * caught up. */
void clock_hand_set(struct clock_hand *hand, const struct clock *clock, uint64_t ticks);

/* The same for a hand that stands nowhere yet. */
void clock_hand_init(struct clock_hand *hand, const struct clock *clock, uint64_t ticks);

/* Moves by any number of units. Returns the ns that passed. */
int64_t clock_hand_advance_far(struct clock_hand *hand, uint64_t units);

static inline int64_t clock_hand_advance(struct clock_hand *hand, uint64_t units)
{
    if (__builtin_expect(units >= hand->limit, 0))
        return clock_hand_advance_far(hand, units);
    const struct clock *clock = hand->clock;
    uint64_t rest = hand->rest + clock->step_rest[units];
    uint64_t carry = rest >= clock->den;
    int64_t passed = (int64_t)(clock->step_ns[units] + carry);
    hand->rest = rest - (carry ? clock->den : 0);
    hand->ticks += units << clock->shift;
    hand->ns += passed;
    return passed;
}

#endif
