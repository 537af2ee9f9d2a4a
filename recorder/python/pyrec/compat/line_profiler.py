"""line_profiler's interface (version 4 and 5), recorded by pyrec.

    from pyrec.compat.line_profiler import LineProfiler

    lp = LineProfiler(f, g)         # or lp.add_function(f), or @lp
    lp.runcall(main)
    lp.print_stats()

Hits are line events, also of recursive calls; the time of a line is what passed from its beginning on, callees
included, recursion counted once. Without any function everything that ran is reported. `@profile` does nothing unless
LINE_PROFILE=1 is set or --line-profile is an argument of the program; then it reports when the program ends.
"""
import atexit
import inspect
import linecache
import operator
import os
import pickle
import sys

from ._by_count import ByCount
from ._windows import Owner

__version__ = "4.0.2"
__all__ = ["LineProfiler", "LineStats", "load_stats", "main", "profile", "show_func", "show_text"]

UNIT = 1e-9

# Under this name line_profiler's own files have their one object, whose class need not be there to write it: PROTO,
# GLOBAL, EMPTY_TUPLE, NEWOBJ, the members, BUILD, STOP of pickle's protocol 2.
_CLASS = b"line_profiler._line_profiler\nLineStats\n"

_LINES = ("SELECT f.file, f.first_line, f.name, f.qualname, f.kind, s.line, SUM(s.hits), SUM(s.cumulative_ns) FROM line_stats s "
          "JOIN functions f USING (function_id) WHERE f.kind NOT IN ('c', 'outside') "
          "GROUP BY f.file, f.first_line, f.name, f.qualname, f.kind, s.line HAVING SUM(s.hits) > 0")


class LineStats:
    """timings: {(file, first line, function): [(line, hits, time)]}; times are in `unit` seconds."""

    def __init__(self, timings, unit):
        self.timings, self.unit = timings, unit

    def __repr__(self):
        return "LineStats(%r, %r)" % (self.timings, self.unit)

    def __eq__(self, other):
        return isinstance(other, LineStats) and (self.timings, self.unit) == (other.timings, other.unit)

    __hash__ = None

    def print(self, stream=None, **kwargs):
        """show_text() of it."""
        show_text(self.timings, self.unit, stream=stream, **kwargs)

    def to_file(self, filename):
        """Write it for load_stats(), this one's and line_profiler's."""
        state = pickle.dumps({"timings": self.timings, "unit": self.unit}, 2)
        with open(filename, "wb") as out:
            out.write(b"\x80\x02c" + _CLASS + b")\x81" + state[2:-1] + b"b.")


def _functions_in(thing):
    """The plain functions behind a decorated one, a method, a property."""
    if isinstance(thing, property):
        for part in (thing.fget, thing.fset, thing.fdel):
            if part is not None:
                yield from _functions_in(part)
        return
    thing = inspect.unwrap(thing) if callable(thing) else thing
    for name in ("__func__", "func"):   # methods, partial, cached_property
        if hasattr(thing, name) and not hasattr(thing, "__code__"):
            yield from _functions_in(getattr(thing, name))
            return
    if hasattr(thing, "__code__"):
        yield thing


def _keys(functions):
    codes = [function.__code__ for function in functions]
    return {(code.co_filename, code.co_firstlineno, code.co_name) for code in codes}


class LineProfiler(ByCount):
    """Profiles functions line by line."""

    def __init__(self, *functions):
        self._owner = Owner("line_profiler")
        self._before = []    # (owner, functions) of the time before functions were added
        self.functions = []
        for function in functions:
            self.add_function(function)

    # ---- what is profiled

    def add_function(self, func):
        """Report the lines of this function, too, from now on."""
        if self._owner.traces:
            before, self._owner = self._owner, Owner("line_profiler")
            self._before.append((before, list(self.functions)))
            if before.is_open():
                before.close()
                self.enable()
        self.functions += _functions_in(func)

    add_callable = add_function

    def add_class(self, cls):
        """Report all that the class defines. How many functions those are."""
        before = len(self.functions)
        for value in vars(cls).values():
            if isinstance(value, (staticmethod, classmethod, property)) or inspect.isfunction(value):
                self.add_function(value)
        return len(self.functions) - before

    def add_module(self, mod):
        """Report all functions and classes that the module defines. How many functions those are."""
        before = len(self.functions)
        for value in list(vars(mod).values()):
            if getattr(value, "__module__", None) == mod.__name__:
                if inspect.isclass(value):
                    self.add_class(value)
                elif inspect.isfunction(value):
                    self.add_function(value)
        return len(self.functions) - before

    # ---- recording

    def enable(self):
        """Begin profiling."""
        if not self._owner.is_open():
            self._owner.open(all_threads=True)

    def disable(self):
        """Stop profiling."""
        self._owner.close()

    def __call__(self, func):
        """The decorator: profile while the function runs."""
        self.add_function(func)
        return super().__call__(func)

    def run(self, cmd):
        """Profile a statement in the namespace of __main__. Returns the profiler."""
        namespace = sys.modules["__main__"].__dict__
        return self.runctx(cmd, namespace, namespace)

    def runctx(self, cmd, globals, locals):
        """Profile a statement in these namespaces. Returns the profiler."""
        with self:
            exec(cmd, globals, locals)
        return self

    def runcall(self, func, *args, **kw):
        """Profile a call. Returns what it returns."""
        with self:
            return func(*args, **kw)

    # ---- results

    def _is_wanted(self, file, qualname, kind):
        """Is this function reported, which was not added?"""
        return not self.functions

    @property
    def timer_unit(self):
        return UNIT

    def get_stats(self):
        """A LineStats of what is known now."""
        timings = {key: {} for key in _keys(self.functions)}
        for owner, functions in [*self._before, (self._owner, self.functions)]:
            wanted = _keys(functions)
            absolute = {(os.path.abspath(key[0]), *key[1:]): key for key in wanted}
            for file, first, name, qualname, kind, line, hits, time_ns in owner.rows(_LINES)[0]:
                key = absolute.get((file, first, name), (file, first, name))
                if key in wanted or self._is_wanted(file, qualname, kind):
                    row = timings.setdefault(key, {}).setdefault(line, [0, 0])
                    row[0] += hits
                    row[1] += time_ns
        return LineStats({key: [(line, *row) for line, row in sorted(rows.items())] for key, rows in timings.items()},
                         UNIT)

    def dump_stats(self, filename):
        """Write the results for load_stats()."""
        self.get_stats().to_file(filename)

    def print_stats(self, stream=None, output_unit=None, stripzeros=False, details=True, summarize=False, sort=False,
                    rich=False):
        """Print the table. `rich` (colours) is not supported and has no effect."""
        self.get_stats().print(stream=stream, output_unit=output_unit, stripzeros=stripzeros, details=details,
                               summarize=summarize, sort=sort)


_COLUMNS = "%6s %9s %12s %8s %8s  %-s"
_WIDTHS = 12, 8


def _cell(value, width):
    text = "%5.1f" % value
    return text if len(text) <= width else "%5.3g" % value


def show_func(filename, start_lineno, func_name, timings, unit, output_unit=None, stream=None, stripzeros=False,
              rich=False):
    """Print the table of one function."""
    stream = sys.stdout if stream is None else stream
    output_unit = unit if output_unit is None else output_unit
    total = sum(time for _, _, time in timings)
    if stripzeros and not any(hits for _, hits, _ in timings):
        return
    stream.write("Total time: %g s\n" % (total * unit))
    source = linecache.getlines(filename)
    block = inspect.getblock(source[start_lineno - 1:]) if source else []
    if block:
        stream.write("File: %s\nFunction: %s at line %s\n" % (filename, func_name, start_lineno))
    else:
        stream.write("\nCould not find file %s\n" % filename)
        last = max([start_lineno, *(line for line, _, _ in timings)])
        block = [""] * (last - start_lineno + 1)
    rows = {line: (hits, time * unit / output_unit, time) for line, hits, time in timings}
    header = _COLUMNS % ("Line #", "Hits", "Time", "Per Hit", "% Time", "Line Contents")
    stream.write("\n%s\n%s\n" % (header, "=" * len(header)))
    for number, text in enumerate(block, start_lineno):
        cells = ("", "", "", "")
        if number in rows:
            hits, time, raw = rows[number]
            cells = (hits, _cell(time, _WIDTHS[0]), _cell(time / hits, _WIDTHS[1]),
                     _cell(100 * raw / total if total else 0, _WIDTHS[1]))
        stream.write(_COLUMNS % (number, *cells, text.rstrip("\n").rstrip("\r")) + "\n")
    stream.write("\n")


def show_text(stats, unit, output_unit=None, stream=None, stripzeros=False, details=True, summarize=False, sort=False,
              rich=False):
    """Print the tables of all functions."""
    stream = sys.stdout if stream is None else stream
    stream.write("Timer unit: %g s\n\n" % (unit if output_unit is None else output_unit))
    order = sorted(stats.items())
    if sort:
        order.sort(key=lambda item: sum(time for _, _, time in item[1]))
    if details:
        for (file, line, name), timings in order:
            show_func(file, line, name, stats[file, line, name], unit, output_unit, stream, stripzeros)
    if summarize:
        for (file, line, name), timings in order:
            total = sum(map(operator.itemgetter(2), timings)) * unit
            if not stripzeros or total:
                stream.write("%6.2f seconds - %s:%s - %s\n" % (total, file, line, name))


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if name == "LineStats" and module.split(".")[0] in ("line_profiler", "pyrec"):
            return LineStats
        raise pickle.UnpicklingError("%s.%s is nothing that a file of line_profiler's has" % (module, name))


def load_stats(filename):
    """The LineStats of a file that dump_stats() wrote, this one's or line_profiler's."""
    with open(filename, "rb") as file:
        return _Unpickler(file).load()


class GlobalProfiler:
    """`@profile`: the decorator of programs that have it in their source."""

    def __init__(self):
        self.enabled = None
        self.output_prefix = "profile_output"
        self._profile = None

    def enable(self, output_prefix=None):
        """Profile, and report when the program ends."""
        if self._profile is None:
            self._profile = LineProfiler()
            atexit.register(self.show)
        self.enabled = True
        self.output_prefix = output_prefix or self.output_prefix

    def disable(self):
        """Functions that are decorated from now on stay as they are."""
        self.enabled = False

    def __call__(self, func):
        if self.enabled is None:
            wanted = os.environ.get("LINE_PROFILE", "").lower() not in ("", "0", "off", "false", "no")
            if wanted or "--line-profile" in sys.argv:
                self.enable()
            else:
                self.enabled = False
        return self._profile(func) if self.enabled else func

    def show(self):
        """Print a summary, and write the tables to profile_output.txt and profile_output.lprof."""
        stats = self._profile.get_stats()
        stats.print(summarize=True, details=False, sort=True, stripzeros=True)
        with open(self.output_prefix + ".txt", "w", encoding="utf-8") as out:
            stats.print(out, summarize=True, sort=True, stripzeros=True)
        stats.to_file(self.output_prefix + ".lprof")


profile = GlobalProfiler()


def main(args=None):
    """python -m pyrec.compat.line_profiler [-u UNIT] [-z] [-t] [-m] FILE"""
    import argparse
    parser = argparse.ArgumentParser(prog="python -m pyrec.compat.line_profiler")
    parser.add_argument("-u", "--unit", default=1e-6, type=float, help="unit of times, in seconds (%(default)s)")
    parser.add_argument("-z", "--skip-zero", action="store_true", help="not functions that were not called")
    parser.add_argument("-t", "--sort", action="store_true", help="order by total time")
    parser.add_argument("-m", "--summarize", action="store_true", help="a summary, too")
    parser.add_argument("profile_output", help="a file of dump_stats()")
    options = parser.parse_args(args)
    load_stats(options.profile_output).print(output_unit=options.unit, stripzeros=options.skip_zero,
                                             sort=options.sort, summarize=options.summarize)


if __name__ == "__main__":
    main()
