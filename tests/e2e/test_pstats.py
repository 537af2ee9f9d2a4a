"""cProfile's file and table, by cProfile and pstats themselves: what pstats reads in our file is what cProfile counts of
the same program, function by function and edge by edge; what we print is what pstats prints, byte by byte."""
import importlib.util
import io
import marshal
import os
import pstats
import re
import sys
import tempfile
import unittest

import support
from support import PYTHONS, SAMPLES

HARNESS = os.path.join(support.ORACLE, "lsprof.py")
PROGRAMS = ("async_tasks.py", "classes.py", "comprehensions.py", "exceptions.py", "executed.py", "generators.py",
            "imports.py", "recursion.py", "unicode_names.py")
# throw() into a coroutine that awaits another goes straight to that one. cProfile, which is told of the latter only, has
# the thrower as its caller; we have the awaiting one, which is between them on the stack.
THROWN = {"async_tasks.py": ("sleep",)}
RANDOM = "<method 'getrandbits' of '_random.Random' objects>"     # again until the number fits
THREADED = ("raw_threads.py", "threads.py")
# Programs of the standard library and their arguments; STDLIB stands for its folder.
FOREIGN = (
    ("tokenize.py", "STDLIB/bisect.py"),
    ("ast.py", "STDLIB/textwrap.py"),
    ("dis.py", "STDLIB/bisect.py"),
    ("tabnanny.py", "-v", "STDLIB/textwrap.py"),
    ("calendar.py", "2024"),
    ("json/tool.py", "DATA/values.json"),
    ("inspect.py", "textwrap:wrap"),
)
RECURSION = """\
import functools

def left(n):
    return right(n - 1) if n else 0
def right(n):
    a = left(n - 1) if n else 1
    b = left(n // 2) if n else 1
    return a + b
def count(n):
    if n:
        yield from count(n - 1)
        yield n
def twice(f, n): return f(n), f(n)
def each(rows):
    return sorted(map(lambda n: left(n), rows), key=lambda n: -n) if rows else each([1])
def escape(n):
    if n == 0:
        raise KeyError(n)
    try:
        return escape(n - 1)
    except KeyError:
        return escape(0) if n == 2 else n
def interleave(n):
    a, b = count(n), count(n)
    return [next(a) + next(b) for _ in range(n)]
class Chain:
    def __init__(self, n):
        self.next = Chain(n - 1) if n else None
    def __len__(self):
        return 1 + len(self.next) if self.next is not None else 0
left(9)
twice(left, 5), twice(right, 6)
each([3, 1, 2]), each([])
list(count(5)), interleave(4)
len(Chain(6))
functools.reduce(lambda a, b: a + left(b), range(5))
try:
    escape(3)
    escape(1)
    escape(0)
except KeyError:
    pass
"""


def is_of_import(function):
    """What imports the harness's own module counts more than the program."""
    return function[0].startswith("<frozen") or "_distutils_hack" in function[0] or function[0] == HARNESS


def plain(functions, thrown):
    """{function: (primitive calls, calls)} and {(caller, callee): (calls, primitive calls)} without names that differ
    from run to run, or that only cProfile gives: some have addresses, and a C method of a class that has another of
    that name goes by the latter's."""
    renamed = {}

    def name(function):
        file, line, text = function
        file = re.sub(r"/tmp\w{8}/", "/tmp/", file)
        text = re.sub(r" of type object at 0x\w+", "", text)
        text = re.sub(r"^<function (?:.*\.)?(\w+) at 0x\w+>$|^<method '(\w+)' of .*>$|^<built-in method (\w+)>$",
                      lambda match: "method " + (match.group(1) or match.group(2) or match.group(3)), text)
        return file, line, text

    def add(table, key, values):
        table[key] = tuple(map(sum, zip(table.get(key, (0, 0)), values)))

    edges = {}
    for function, (primitive, calls, callers) in functions.items():
        if is_of_import(function) or "_lsprof.Profiler" in function[2] or function[2] == RANDOM:
            continue
        if function[0] != "~":       # those that the harness calls too are compared by their callers
            add(renamed, name(function), (primitive, calls))
        for caller, counts in callers.items():
            if not is_of_import(caller) and function[2] not in thrown:
                add(edges, (name(caller), name(function)), counts)
    return renamed, edges


def without_primitive(functions, alike):
    """For us functions that look alike are one, also where one of them calls another."""
    return {function: (calls if function in alike else primitive, calls,
                       {caller: (counts[0], counts[0] if alike & {function, caller} else counts[1])
                        for caller, counts in callers.items()})
            for function, (primitive, calls, callers) in functions.items()}


class CountsTests:
    maxDiff = 6000
    python = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="pyrec-pstats-")
        cls.place = cls.folder.name
        cls.stdlib = support.run([cls.python, "-c", "import os; print(os.path.dirname(os.__file__))"]).out.decode().strip()
        with open(os.path.join(cls.place, "values.json"), "w", encoding="utf-8") as file:
            file.write('{"a": [1, 2, {"b": null}], "c": "\\u00e9", "d": [[], {}, 1.5e3, true]}')
        with open(os.path.join(cls.place, "recursion.py"), "w", encoding="utf-8") as file:
            file.write(RECURSION)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def counted(self, program):
        out = os.path.join(self.place, "lsprof")
        result = support.run([self.python, HARNESS, out] + program, cwd=self.place)
        self.assertTrue(os.path.exists(out), result)
        with open(out, "rb") as file:
            rows = marshal.load(file)
        os.remove(out)
        return result, {row[0]: row[1:4] for row in rows}, {row[0] for row in rows if row[4] > 1}

    def recorded(self, program, *selection):
        trace, out = (os.path.join(self.place, name) for name in ("t.bin", "t.pstats"))
        result = support.run([support.PYREC, "run", "-o", trace, "--force", "--c-calls", "--python", self.python,
                              HARNESS, "-"] + program, cwd=self.place)
        analyzed = support.run([support.PYANALYZE, trace, "-o", out, "--force", *selection])
        self.assertEqual(analyzed.status, 0, analyzed)
        with open(out, "rb") as file:
            stats = marshal.load(file)
        return result, {function: (row[0], row[1], {caller: sums[:2] for caller, sums in row[4].items()})
                        for function, row in stats.items()}

    def compare(self, program, thrown=()):
        theirs, counted, alike = self.counted(program)
        ours, recorded = self.recorded(program)
        self.assertEqual(re.sub(rb"0x\w+", b"0x", ours.out), re.sub(rb"0x\w+", b"0x", theirs.out))
        self.assertEqual((ours.err, ours.status), (theirs.err, theirs.status))
        tables = [plain(without_primitive(functions, alike), thrown) for functions in (counted, recorded)]
        for expected, found in zip(*tables):
            self.assertEqual({key: value for key, value in expected.items() if found.get(key) != value},
                             {key: value for key, value in found.items() if expected.get(key) != value})
            self.assertGreater(len(found), 4)

    def test_samples(self):
        for name in PROGRAMS:
            with self.subTest(name):
                self.compare([os.path.join(SAMPLES, name)], THROWN.get(name, ()))

    def test_threads(self):
        """Up to 3.11 cProfile sees its own thread. From 3.12 it sees all, on one stack: callers and primitive calls are
        any thread's, calls are right. How often locks are asked for is chance: the program's own functions, and what
        they call."""
        for name in THREADED:
            program = [os.path.join(SAMPLES, name)]
            with self.subTest(name):
                alone = support.version(self.python) < (3, 12)
                _, counted, _ = self.counted(program)
                _, recorded = self.recorded(program, *(["--thread", "MainThread"] if alone else []))
                (functions, calls), (expected, expected_calls) = plain(counted, ()), plain(recorded, ())
                self.assertEqual(*({key: row[0 if alone else 1:] for key, row in table.items() if key[0] == program[0]}
                                   for table in (functions, expected)))
                if alone:
                    self.assertEqual(*({key: row for key, row in table.items() if key[0][0] == program[0]}
                                       for table in (calls, expected_calls)))
                    self.assertGreater(len(calls), 2)

    def test_recursion_of_every_kind(self):
        self.compare([os.path.join(self.place, "recursion.py")])

    def test_programs_of_the_standard_library(self):
        for words in FOREIGN:
            with self.subTest(words[0]):
                program = [word.replace("STDLIB", self.stdlib).replace("DATA", self.place) for word in words]
                program[0] = os.path.join(self.stdlib, program[0])
                self.compare(program)

    def test_pstats_of_this_version_reads_it(self):
        path = os.path.join(self.place, "recursion.py")
        trace, out = (os.path.join(self.place, name) for name in ("r.bin", "r.prof"))
        support.run([support.PYREC, "run", "-o", trace, "--c-calls", "--python", self.python, path], cwd=self.place)
        self.assertEqual(support.run([support.PYANALYZE, trace, "-o", out]).status, 0)
        browser = support.run([self.python, "-m", "pstats", out], input=b"strip\nsort cumulative\nstats 5\ncallers esc\n")
        self.assertIn(b"function calls (", browser.out)
        self.assertRegex(browser.out, rb"recursion\.py:16\(escape\) +<- +3 .*\n +4/2 .* recursion\.py:16\(escape\)\n")
        table = support.run([self.python, "-c", "import pstats, sys; pstats.Stats(sys.argv[1]).strip_dirs()"
                             ".sort_stats('time', 'name').print_stats(.5, 'recursion').print_callers()", out])
        for words in ([], ["--callers"]):
            ours = support.run([support.PYANALYZE, trace, "-f", "stats", "--strip-dirs", "--sort", "time,name"] + (
                words or ["--restrict", ".5", "--restrict", "recursion"]))
            self.assertIn(ours.out, table.out)


class Stats(pstats.Stats):
    """pstats, but callers that strip_dirs() makes alike are added up instead of overwritten, and sums are of whole
    nanoseconds: else what is equal comes in an order that the last bits of floating point numbers give it."""

    def strip_dirs(self):
        for function, (*sums, callers) in list(self.stats.items()):
            stripped = {}
            for caller, values in callers.items():
                key = pstats.func_strip_path(caller)
                stripped[key] = tuple(map(sum, zip(stripped.get(key, (0,) * 4), values)))
            self.stats[function] = (*sums, stripped)
        super().strip_dirs()
        for function, (*counts, own, below, callers) in self.stats.items():
            callers = {caller: (*values[:2], round(values[2], 9), round(values[3], 9)) for caller, values in callers.items()}
            self.stats[function] = (*counts, round(own, 9), round(below, 9), callers)
        return self


class Text(unittest.TestCase):
    maxDiff = 4000
    SORTS = (("cumulative",), ("calls",), ("time", "name"), ("nfl",), ("stdname",), ("pcalls", "line"), ("cumt", "ti"),
             ("file", "line", "na"), ("module", "name", "line"), ("tottime", "ncalls"), (-1,), (0,), (1,), (2,))
    RESTRICTIONS = ((), (5,), (0,), (.1, "imp"), ("<", .5, 3), (1.0,), (0.0,), (r"\{built-in", "s"), (r"[\w.]+:1\(",),
                    ("it's",), ('"',), ("zzz",), (.12345678901234567,), (1e-05,), (1000000,))
    REGEXES = (r"^\{", r"{built", r"\d+\(", r"[\d]{2,}\(", r"\((?:left|right)\)", r"(?i)LEFT", r"(?P<x>le)ft", r".+?:1\(",
               r"\bleft\b", r"\Bft", r"[^\s\w]\(", r"le{0,1}ft", r"a|b", r"[]]", r"[\]-]", r"x*", r"\.py\Z", r"\Arecursion",
               r"[a-c]\S*\)$", r"\W\(", r"\D\d\D", "\u00e9", r"\.\bpy\b", r"\t", r"[\t ]'", r"<\w+'", r"'\w+' of '\w+'")

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="pyrec-stats-")
        path = os.path.join(cls.folder.name, "recursion.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write("import json, typing\n" + RECURSION)
        cls.databases = {}
        for name, words in (("program", [path]), ("sample", [os.path.join(SAMPLES, "unicode_names.py")]),
                            ("threads", [os.path.join(SAMPLES, "threads.py")])):
            trace, database, out = (os.path.join(cls.folder.name, name + end) for end in (".bin", ".db", ".prof"))
            support.run([support.PYREC, "run", "-o", trace, "--c-calls", "--python", PYTHONS[0]] + words)
            result = support.run([support.PYANALYZE, trace, "--db", database, "-o", out])
            assert result.status == 0, result
            cls.databases[name] = database, out

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @staticmethod
    def theirs(path, sort, restrictions, strip=False, reverse=False, what="stats"):
        text = io.StringIO()
        stats = Stats(path, stream=text)
        stats.files = []
        if strip:
            stats.strip_dirs()
        stats.sort_stats(*sort)
        if reverse:
            stats.reverse_order()
        getattr(stats, "print_" + what)(*restrictions)
        # What could do anything to a terminal is escaped.
        shown = text.getvalue().replace("a b;c\n.py", "a b;c\\n.py")
        shown = re.sub("[\u2028\u202e]", lambda match: "\\u%x" % ord(match.group()), shown)
        return re.sub("[\ud800-\udfff]", "\ufffd", shown)

    @staticmethod
    def ours(database, sort, restrictions, strip=False, reverse=False, what="stats"):
        words = ["--sort", ",".join(map(str, sort))]
        words += ["--strip-dirs"] * strip + ["--reverse"] * reverse + ["--" + what] * (what != "stats")
        for restriction in restrictions:
            words += ["--restrict", str(restriction)]
        result = support.run([support.PYANALYZE, database, "--format", "stats"] + words)
        assert result.status == 0, result
        return result.out.decode()

    def compare(self, name, *arguments, **options):
        database, path = self.databases[name]
        theirs = self.theirs(path, *arguments, **options)
        ours = self.ours(database, *arguments, **options)
        if name == "sample":     # a name of two lines is one there, and an escape takes more room than what it stands for
            theirs, ours = (re.sub(" +", " ", text) for text in (theirs, ours))
        self.assertEqual(ours, theirs, (name, arguments, options))

    def test_orders(self):
        for name in self.databases:
            for sort in self.SORTS:
                for strip in False, True:
                    self.compare(name, sort, (), strip=strip)
                    self.compare(name, sort, (20,), strip=strip, reverse=True)

    def test_restrictions(self):
        for restrictions in self.RESTRICTIONS:
            for what in "stats", "callers", "callees":
                self.compare("program", ("time",), restrictions, what=what)

    def test_callers_and_callees(self):
        for name in self.databases:
            for what in "callers", "callees":
                for strip in False, True:
                    self.compare(name, ("stdname",), (), what=what, strip=strip)
                    self.compare(name, ("cumulative", "stdname"), ("o",), what=what, strip=strip, reverse=True)

    def test_regular_expressions_are_pythons(self):
        for regex in self.REGEXES:
            self.compare("program", ("stdname",), (regex,), strip=True)

    def test_every_abbreviation(self):
        known = pstats.Stats().get_sort_arg_defs()
        words = {key[:size] for key in pstats.Stats.sort_arg_dict_default for size in range(1, len(key) + 1)}
        database = self.databases["program"][0]
        for word in sorted(words | {"x", "cumulativex", "Time", "3", "-2", "wall"}):
            result = support.run([support.PYANALYZE, database, "-f", "stats", "--sort", word, "--restrict", "1"])
            full = [key for key in pstats.Stats.sort_arg_dict_default if key.startswith(word)]
            titles = {pstats.Stats.sort_arg_dict_default[key][1] for key in full}
            if word in known or len(titles) == 1:      # "cum" too, which pstats refuses: both of its keys are the same
                self.assertIn(b"Ordered by: %s\n" % known.get(word, (0, *titles))[1].encode(), result.out)
                continue
            self.assertEqual((result.status, result.out), (2, b""), word)
            self.assertIn(b"ambiguous" if full else b"is not one of", result.err)
            for key in full:
                self.assertIn(key.encode(), result.err)

    def test_own_selections(self):
        database, path = self.databases["program"]
        by_file = self.ours(database, ("nfl",), ()).splitlines()
        result = support.run([support.PYANALYZE, database, "-f", "stats", "--file", "recursion.py", "--sort", "nfl",
                              "--top", "3"])
        lines = result.out.decode().splitlines()
        self.assertEqual(lines[0], by_file[0])
        self.assertRegex(lines[3], r"^   List reduced from \d+ to 1\d due to --file$")
        self.assertRegex(lines[4], r"^   List reduced from 1\d to 3 due to --top$")
        self.assertEqual(lines[7:10], [line for line in by_file[5:] if "recursion.py" in line][:3])
        total = sum(row[2] for row in pstats.Stats(path).stats.values())
        result = support.run([support.PYANALYZE, database, "-f", "stats", "--min-percent", "30", "--unit", "us"])
        shown = [line.split() for line in result.out.decode().splitlines()[6:-2]]
        self.assertIn("in %.3f us\n" % (total * 1e6), result.out.decode())
        expected = [row[3] * 1e6 for row in pstats.Stats(path).stats.values() if row[3] >= .3 * total]
        self.assertEqual(sorted(float(row[3]) for row in shown), sorted(float("%.3f" % time) for time in expected))

    def test_per_thread(self):
        database, path = self.databases["threads"]
        result = support.run([support.PYANALYZE, database, "-f", "stats", "--per-thread"])
        parts = re.findall(r"^Thread .* \[\d+\] of process \d+\n\n +(\d+) function calls", result.out.decode(), re.M)
        self.assertGreater(len(parts), 2)
        self.assertEqual(sum(map(int, parts)), pstats.Stats(path).total_calls)
        out = os.path.join(self.folder.name, "split.prof")
        self.assertEqual(support.run([support.PYANALYZE, database, "-o", out, "--per-thread"]).status, 0)
        files = [out] + ["%s-%02d" % (out, n) for n in range(2, len(parts) + 1)]
        self.assertEqual([str(Stats(file).total_calls) for file in files if os.path.getsize(file) > 2],
                         [part for part in parts if part != "0"])
        merged = Stats(*[file for file in files if os.path.getsize(file) > 2])
        whole = Stats(path)
        self.assertEqual({key: row[:2] for key, row in merged.stats.items()},
                         {key: row[:2] for key, row in whole.stats.items()})

    @unittest.skipUnless(importlib.util.find_spec("gprof2dot"), "gprof2dot is not installed")
    def test_gprof2dot_reads_it(self):
        for _, path in self.databases.values():
            result = support.run([sys.executable, "-m", "gprof2dot", "-f", "pstats", path])
            self.assertEqual((result.status, result.err), (0, b""))
            self.assertGreater(result.out.count(b" -> "), 5)

    @unittest.skipUnless(importlib.util.find_spec("snakeviz"), "snakeviz is not installed")
    def test_snakeviz_reads_it(self):
        for _, path in self.databases.values():
            result = support.run([sys.executable, "-c", "import pstats, sys; from snakeviz import stats; "
                                  "s = pstats.Stats(sys.argv[1]); print(len(stats.table_rows(s)), "
                                  "len(stats.json_stats(s)))", path])
            self.assertEqual(result.out.split(), [str(len(pstats.Stats(path).stats)).encode()] * 2, result)

    def test_every_caller_is_a_key(self):
        """snakeviz fails otherwise."""
        for _, path in self.databases.values():
            with open(path, "rb") as file:
                stats = marshal.load(file)
            for row in stats.values():
                self.assertLessEqual(set(row[4]), set(stats))


def make_classes():
    for python in PYTHONS:
        title = "Counts_on_" + support.version_name(python)
        yield title, type(title, (CountsTests, unittest.TestCase), {"python": python, "__module__": __name__})


globals().update(make_classes())

if __name__ == "__main__":
    unittest.main()
