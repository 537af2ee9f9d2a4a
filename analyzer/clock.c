#include "analyzer/clock.h"

#define STEP_MAX_NS (1u << 28)

typedef unsigned __int128 wide_uint; /* 96 bits are needed, this is what there is */

/* floor(ticks num / den) and the remainder. */
static uint64_t convert(const struct clock *clock, uint64_t ticks, uint64_t *rest)
{
    wide_uint product = (wide_uint)ticks * clock->num;
    wide_uint ns = product / clock->den;

    *rest = (uint64_t)(product - ns * clock->den);
    return ns > CLOCK_MAX_NS ? CLOCK_MAX_NS : (uint64_t)ns;
}

void clock_init(struct clock *clock, uint64_t origin, uint64_t num, uint64_t den, unsigned shift)
{
    *clock = (struct clock){.origin = origin, .num = num, .den = den, .shift = shift};
    for (uint64_t i = 0; i < CLOCK_STEPS; i++)
        clock->step_ns[i] = convert(clock, i << shift, &clock->step_rest[i]);
}

int64_t clock_ns(const struct clock *clock, uint64_t ticks)
{
    uint64_t rest;

    return ticks <= clock->origin ? 0 : (int64_t)convert(clock, ticks - clock->origin, &rest);
}

static void set_limit(struct clock_hand *hand)
{
    /* By table only where neither an addition to rest can overflow nor as many to ns as there are
     * bytes in a chunk. */
    int plain = hand->lag == 0 && hand->ns < CLOCK_MAX_NS / 2 && hand->clock->den < 1ull << 62 &&
                hand->clock->step_ns[CLOCK_STEPS - 1] < STEP_MAX_NS;
    hand->limit = plain ? CLOCK_STEPS : 0;
}

static void stand_at(struct clock_hand *hand, uint64_t ticks)
{
    uint64_t since = ticks > hand->clock->origin ? ticks - hand->clock->origin : 0;

    hand->ns = (int64_t)convert(hand->clock, since, &hand->rest);
    hand->ticks = ticks;
    hand->lag = ticks < hand->clock->origin ? hand->clock->origin - ticks : 0;
    set_limit(hand);
}

void clock_hand_init(struct clock_hand *hand, const struct clock *clock, uint64_t ticks)
{
    *hand = (struct clock_hand){.clock = clock};
    stand_at(hand, ticks);
}

void clock_hand_set(struct clock_hand *hand, const struct clock *clock, uint64_t ticks)
{
    uint64_t at = hand->ticks + hand->lag; /* where ns stands */

    hand->clock = clock;
    if (ticks >= at) {
        stand_at(hand, ticks);
        return;
    }
    hand->ticks = ticks;
    hand->lag = at - ticks;
    set_limit(hand);
}

static uint64_t saturating_ticks(const struct clock *clock, uint64_t units)
{
    return units > UINT64_MAX >> clock->shift ? UINT64_MAX : units << clock->shift;
}

int64_t clock_hand_advance_far(struct clock_hand *hand, uint64_t units)
{
    uint64_t ticks = saturating_ticks(hand->clock, units);
    int64_t before = hand->ns;

    if (ticks > UINT64_MAX - hand->ticks)
        ticks = UINT64_MAX - hand->ticks;
    if (ticks <= hand->lag && hand->lag) {
        hand->lag -= ticks;
        hand->ticks += ticks;
        set_limit(hand);
        return 0;
    }
    stand_at(hand, hand->ticks + ticks);
    if (hand->ns < before) /* only if it was at the maximum */
        hand->ns = before;
    return hand->ns - before;
}
