#include "analyzer/replay_stack.h"

#include "analyzer/clock.h"

typedef __int128 wide_int; /* the product of two times */

void replay_cut_begin(struct replay *replay, const struct windows *windows)
{
    struct replay_cut *cut = &replay->cut;

    if (!windows)
        return;
    cut->is_on = cut->is_outside = true;
    cut->next = windows->items;
    cut->end = windows->count ? windows->items + windows->count : cut->next;
    cut->since = replay->hand.ns;
    while (cut->next < cut->end && cut->next->end <= replay->hand.ns)
        cut->next++;
    replay_cut_pass(replay, 0, 0, NULL);
}

void replay_cut_chunk(struct replay *replay, int64_t limit)
{
    struct replay_cut *cut = &replay->cut;

    cut->is_slow = cut->is_on && (cut->is_outside || cut->next->end <= limit);
}

/* The stack is as it is then; who is on it is inherited. */
static void go_in(struct replay *replay, int64_t at)
{
    struct replay_cut *cut = &replay->cut;

    if (!cut->was_inside)
        replay->first_ns = at;
    else if (at > cut->since)
        replay_add_gap(replay, cut->since, at, TRACE_GAP_PAUSED);
    cut->was_inside = true;
    cut->is_outside = false;
    replay->lags[replay->lag] = at - replay->now.time; /* of who came since go_out() */
}

static void go_out(struct replay *replay, int64_t at)
{
    struct replay_cut *cut = &replay->cut;

    cut->is_outside = true;
    cut->since = at;
    cut->next++;
    replay_new_lag(replay, at - replay->now.time);
}

static void account(struct replay *replay, int64_t from, int64_t to, int64_t wait,
                    const uint64_t *reason)
{
    if (replay->cut.is_outside)
        return;
    if (!reason)
        replay_account(replay, to - from, wait);
    else if (to > from)
        replay_add_gap(replay, from, to, *reason);
}

/* How much of the waiting belongs to the time up to `at`: so the parts of an interval add up, in
 * whatever windows they are. */
static int64_t waited_until(const struct replay *replay, int64_t at, int64_t passed, int64_t wait)
{
    int64_t from = replay->hand.ns - passed;

    return passed > 0 ? (int64_t)((wide_int)wait * (at - from) / passed) : 0;
}

/* An edge that lies before the time that passes was overlooked in a trace whose clock went back: it
 * counts from now on. */
void replay_cut_pass(struct replay *replay, int64_t passed, int64_t wait, const uint64_t *reason)
{
    struct replay_cut *cut = &replay->cut;
    int64_t to = replay->hand.ns, from = to - passed, waited = 0;

    while (cut->next < cut->end) {
        int64_t edge = cut->is_outside ? cut->next->start : cut->next->end;
        if (edge > to)
            break;
        edge = edge < from ? from : edge;
        int64_t until = waited_until(replay, edge, passed, wait);
        account(replay, from, edge, until - waited, reason);
        waited = until;
        from = edge;
        if (cut->is_outside)
            go_in(replay, edge);
        else
            go_out(replay, edge);
    }
    account(replay, from, to, wait - waited, reason);
}

void replay_cut_end(struct replay *replay)
{
    if (replay->cut.is_outside)
        replay->hand.ns = replay->cut.since;
}
