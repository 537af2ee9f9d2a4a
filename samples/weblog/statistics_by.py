"""Figures a page and an hour."""
from collections import defaultdict


def percentile(ordered, percent):
    """The nearest-rank percentile of numbers already in order."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]


def page_times(requests):
    times = defaultdict(list)
    for request in requests:
        if request.status == 200:
            times[request.path].append(request.milliseconds)
    rows = []
    for path, values in times.items():
        values.sort()
        rows.append((path, len(values), percentile(values, 50), percentile(values, 95)))
    return sorted(rows, key=lambda row: (-row[3], row[0]))


def by_time_of_day(requests, hours=4):
    counts = defaultdict(int)
    for request in requests:
        counts[request.second // 3600 // hours] += 1
    return [("%02d-%02d h" % (part * hours, (part + 1) * hours), counts[part]) for part in sorted(counts)]
