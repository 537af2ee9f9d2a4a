"""What hotshot.Profile wrote, as pstats has it."""
import marshal
import os
import pstats

import pyrec

from ..cProfile import _called
from .log import find_owner

__all__ = ["StatsLoader", "load"]


class StatsLoader:
    """Something pstats.Stats can be made of."""

    def __init__(self, logfn):
        self._path = os.path.abspath(logfn)
        self.stats = {}

    def create_stats(self):
        owner = find_owner(self._path)[0]
        text = pyrec._query.read(pyrec._analyzer(), [self._path, "--window", owner, "--format", "pstats"], pyrec.Error)
        self.stats = _called(marshal.loads(text))

    def load(self):
        return pstats.Stats(self)


def load(filename, *args):
    """A pstats.Stats of one log, or of several together."""
    stats = StatsLoader(filename).load()
    for name in args:
        stats.add(StatsLoader(name).load())
    return stats
