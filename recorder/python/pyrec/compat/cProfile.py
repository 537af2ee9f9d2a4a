"""cProfile's interface, recorded by pyrec: calls, primitive calls, callers, C functions included.

    with cProfile.Profile() as pr:
        ...
    pr.print_stats("cumulative")

`ncalls` are equal to cProfile's; times are pyrec's. It profiles the thread that enables it; `threads=True` in the
constructor is all of them, together. The profilers' own functions (`disable`) are no calls here.
"""
import marshal
import pstats
import sys

from ._windows import Owner

__all__ = ["run", "runctx", "Profile"]

TIMER = "pyrec measures time with its own clock: timer must be None"


class Code:
    """What stands for a code object in getstats()."""

    def __init__(self, key):
        self.co_filename, self.co_firstlineno, self.co_name = key

    def __eq__(self, other):
        return isinstance(other, Code) and label(self) == label(other)

    def __hash__(self):
        return hash(label(self))

    def __repr__(self):
        return "<code object %s, file %r, line %d>" % (self.co_name, self.co_filename, self.co_firstlineno)


class profiler_entry(tuple):
    """code, callcount, reccallcount, totaltime, inlinetime, calls (a list of profiler_subentry, or None)"""

    _names = "code", "callcount", "reccallcount", "totaltime", "inlinetime", "calls"

    def __getattr__(self, name):
        try:
            return self[self._names.index(name)]
        except ValueError:
            raise AttributeError(name) from None


class profiler_subentry(profiler_entry):
    """code, callcount, reccallcount, totaltime, inlinetime: one callee of an entry"""

    _names = profiler_entry._names[:5]


def label(code):
    """(file, line, name) of a code object, or of the name of a C function."""
    if isinstance(code, str):
        return ("~", 0, code)
    return (code.co_filename, code.co_firstlineno, code.co_name)


def _code(key):
    return key[2] if key[0] == "~" else Code(key)


class Profile:
    """Profiles calls, of the thread that enables it.

    timer and timeunit are there for those who name them: only None and 0 have a meaning. Without `subcalls` results
    know no callers, without `builtins` the time of C functions is that of their callers.
    """

    def __init__(self, timer=None, timeunit=0.0, subcalls=True, builtins=True, threads=False):
        if timer is not None or timeunit:
            raise NotImplementedError(TIMER)
        self._owner = Owner("cProfile", c_calls=True)
        self._threads = threads
        self._subcalls, self._builtins = subcalls, builtins

    # ---- recording

    def enable(self, subcalls=None, builtins=None):
        """Begin, or go on, profiling."""
        if subcalls is not None:
            self._subcalls = bool(subcalls)
        if builtins is not None:
            self._builtins = bool(builtins)
        if not self._owner.is_open():
            self._owner.open(self._threads)

    def disable(self):
        """Stop profiling; enable() goes on."""
        self._owner.close()

    def clear(self):
        """Forget what there was."""
        self._owner.clear()

    def __enter__(self):
        self.enable()
        return self

    def __exit__(self, *exc_info):
        self.disable()

    # ---- results

    def _read(self):
        if not self._owner.traces:
            return {}
        stats = _called(marshal.loads(self._owner.ask("--format", "pstats")))
        if not self._builtins:
            stats = _without_builtins(stats)
        if not self._subcalls:
            stats = {key: (*value[:4], {}) for key, value in stats.items()}
        return stats

    def snapshot_stats(self):
        """Put what is known now into `stats`: {function: (primitive calls, calls, tottime, cumtime, callers)}."""
        self.stats = self._read()

    def create_stats(self):
        """disable() and snapshot_stats()."""
        self.disable()
        self.snapshot_stats()

    def getstats(self):
        """A list of profiler_entry, one a function."""
        stats = self._read()
        calls = {key: [] for key in stats}
        for callee, (_, _, _, _, callers) in stats.items():
            for caller, (count, primitive, own, cumulative) in callers.items():
                if caller in calls:
                    calls[caller].append(profiler_subentry(
                        (_code(callee), count, count - primitive, cumulative, own)))
        return [profiler_entry((_code(key), count, count - primitive, cumulative, own, calls[key] or None))
                for key, (primitive, count, own, cumulative, _) in stats.items()]

    def print_stats(self, sort=-1):
        """pstats' table on standard output."""
        if not isinstance(sort, tuple):
            sort = (sort,)
        pstats.Stats(self).strip_dirs().sort_stats(*sort).print_stats()

    def dump_stats(self, file):
        """Write a file for pstats."""
        self.create_stats()
        with open(file, "wb") as out:
            marshal.dump(self.stats, out)

    # ---- running

    def run(self, cmd):
        """Profile a statement in the namespace of __main__. Returns the profile."""
        namespace = sys.modules["__main__"].__dict__
        return self.runctx(cmd, namespace, namespace)

    def runctx(self, cmd, globals, locals):
        """Profile a statement in these namespaces. Returns the profile."""
        self.enable()
        try:
            exec(cmd, globals, locals)
        finally:
            self.disable()
        return self

    def runcall(self, func, /, *args, **kw):
        """Profile a call. Returns what it returns."""
        self.enable()
        try:
            return func(*args, **kw)
        finally:
            self.disable()


def _called(stats):
    """Without functions that were running when profiling began and were not called: cProfile does not know them."""
    called = {key for key, value in stats.items() if value[1]}
    return {key: (*stats[key][:4], {caller: edge for caller, edge in stats[key][4].items()
                                    if caller in called and edge[0]}) for key in called}


def _without_builtins(stats):
    """As if C functions had not been looked at: their time is that of who called them."""
    out, extra = {}, {}
    for (file, _, _), (_, _, _, _, callers) in stats.items():
        if file == "~":
            for caller, (_, _, own, _) in callers.items():
                extra[caller] = extra.get(caller, 0) + own
    for key, (primitive, count, own, cumulative, callers) in stats.items():
        if key[0] != "~":
            callers = {caller: edge for caller, edge in callers.items() if caller[0] != "~"}
            out[key] = primitive, count, own + extra.get(key, 0), cumulative, callers
    return out


def _show(profile, filename, sort):
    if filename is not None:
        profile.dump_stats(filename)
    else:
        profile.print_stats(sort)


def run(statement, filename=None, sort=-1):
    """Profile a statement in __main__; print the table, or write a file for pstats."""
    namespace = sys.modules["__main__"].__dict__
    runctx(statement, namespace, namespace, filename, sort)


def runctx(statement, globals, locals, filename=None, sort=-1):
    """The same in these namespaces."""
    profile = Profile()
    try:
        profile.runctx(statement, globals, locals)
    except SystemExit:
        pass
    finally:
        _show(profile, filename, sort)


def main():
    """cProfile's command line: `pyrec cprofile` takes over this process."""
    from ._frontend import become
    become("cprofile", sys.argv[1:])


if __name__ == "__main__":
    main()
