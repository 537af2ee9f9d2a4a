"""Small differences on a machine that is never quiet: many short pairs, and between what the truth lies.

Of each pair one is `a`, the other `b`, in the order a b b a, so that what drifts hits both alike. What counts is the median
of b / a - 1 over the pairs: a few that something else disturbed do not move it. Its interval is that of the order
statistics (binomial): whatever the distribution, the median lies in it 95 times in 100.
"""
import collections
import math
import statistics

Interval = collections.namedtuple("Interval", "median low high pairs")


def ranks(count, confidence=0.95):
    """Which two of `count` values in order, from 0, enclose their distribution's median so often."""
    tail, low = 0.0, 0
    for k in range(count // 2):
        tail += math.comb(count, k) / 2 ** count
        if tail > (1 - confidence) / 2:
            break
        low = k
    return low, count - 1 - low


def interval(values):
    values = sorted(values)
    low, high = ranks(len(values))
    return Interval(statistics.median(values), values[low], values[high], len(values))


def relative(pairs):
    """The Interval of b / a - 1 of [(a, b)]."""
    return interval([b / a - 1 for a, b in pairs])


def turns(count):
    """The order of `count` pairs, as (is it b?, number of the pair)."""
    for pair in range(count):
        yield from ((second, pair) for second in ((False, True) if pair % 2 == 0 else (True, False)))


def percent(found):
    return "%+.2f %% (%+.2f to %+.2f)" % (100 * found.median, 100 * found.low, 100 * found.high)
