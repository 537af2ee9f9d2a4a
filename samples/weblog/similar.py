"""Which page did they mean? The nearest by edit distance: this is where the time goes."""
import functools


@functools.lru_cache(maxsize=None)
def distance(a, b):
    """Letters to insert, delete or replace to make `a` into `b`."""
    previous = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        current = [i]
        for j, other in enumerate(b, 1):
            current.append(min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (letter != other)))
        previous = current
    return previous[-1]


def nearest(path, candidates):
    best = None
    for candidate in candidates:
        found = (distance(path, candidate), candidate)
        if best is None or found < best:
            best = found
    return best


def suggest(missing, good):
    """(asked for, probably meant, distance), the surest first."""
    candidates = sorted(good)
    rows = []
    for path in sorted(missing):
        steps, candidate = nearest(path, candidates)
        rows.append((path, candidate, steps))
    rows.sort(key=lambda row: (row[2], row[0]))
    return rows
