"""Visits: requests of one visitor with no pause of more than half an hour."""
from collections import defaultdict

PAUSE = 30 * 60


class Visit:
    def __init__(self, visitor, start):
        self.visitor = visitor
        self.start = start
        self.end = start
        self.pages = 0

    def add(self, request):
        self.end = request.second
        self.pages += 1

    @property
    def minutes(self):
        return (self.end - self.start) / 60


def group(requests):
    by_visitor = defaultdict(list)
    for request in requests:
        by_visitor[request.visitor].append(request)
    return [visit for visitor in sorted(by_visitor) for visit in split(visitor, by_visitor[visitor])]


def split(visitor, requests):
    """Yields the visits of one visitor."""
    visit = None
    for request in sorted(requests, key=lambda request: request.second):
        if visit is None or request.second - visit.end > PAUSE:
            if visit is not None:
                yield visit
            visit = Visit(visitor, request.second)
        visit.add(request)
    if visit is not None:
        yield visit


def longest(visits):
    ordered = sorted(visits, key=lambda visit: (-visit.pages, visit.visitor, visit.start))
    return [(visit.visitor, visit.pages, "%.1f" % visit.minutes) for visit in ordered]
