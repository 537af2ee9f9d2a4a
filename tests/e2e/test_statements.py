"""--statements: lines of one statement as one. Logical lines are those of tokenize, over the standard library."""
import collections
import ctypes
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

import support
import test_random_traces as tables
from support import PYTHONS, SAMPLES

import brute
import brute_samples
import random_samples
import random_trace
import trace_writer as w

ODD = {
    "fields": "x = f'{a}'\ny = f\"{f'{b}'}\"\nz = f'''\n{c\n:>{d\n}}\n'''\nw = f'{{' + f'}}'\nv = rf'\\{e}\\d'\nu = 1\n",
    "slices": "a = f'{x[1:2]!r:>{w}}'\nb = f'{x:%H:%M}' f\"{y:'>10}\"\nc = f'{(lambda q: q)(1)}'\nd = 1\n",
    "quotes": "a = 'it\\'s' \"\\\"\"\nb = r'\\\\\\\\' + 'x'\nc = '''a\\'''\n'''\nd = \"\"\"\"x\"\"\" ''\ne = u'' b'' rb'\\''\nf = 2\n",
    "joined": "a = 1 + \\\n  2\nb = '\\\nx'\nif a and \\\n   b: c = [\n 1,\n]\nd = (  # ((\n 1)\n# )\n\ne = 1\n",
    "headers": "@d(\n 1)\n@e\ndef f(a,\n      b=(1,\n         2)):\n    '''x\n    y'''\n    return (a\n            + b)\nclass A(\n  B):\n"
               "    x = 1; y = [\n2]\n",
    "ends": "a = (1,\r\n 2)\rb = 1\rc = [\r\r\n]\nd = 1",
    "blank": "\n\n# x\n\na = 1\n\n\x0c\nb = (\n\n# y\n\n)\n",
    "names": "suff = {'f': 1}\nif_x = suff['f']\nx = lambda rf: rf\nstuff = 'a' if x else'{'\ny = 1\n",
}
ODD_SINCE = {"nested": ((3, 12), "a = f'{x['a']}'\nb = f'{f'{f'{1}'}'}'\nc = f'{\n  x\n}'\nd = f'{x!r:{'>'}{10}}'\ne = f'{x:a{y}b}' 'c'\n"
                                 "g = f'{a:{'{'}>10}'\nh = 1\n"),
             "templates": ((3, 14), "a = t'{x['a']}{\n y\n!r:>{w}}'\nb = rt\"{t'{f'{1}'}'}\\d\"\nc = Tr\"\"\"\n{\nx}\"\"\"\nd = 1\n")}


@unittest.skipUnless(shutil.which("cc"), "no C compiler: the tokenizer is not tried alone")
class LogicalLines(unittest.TestCase):
    """The tokenizer, compiled alone, and Python's."""

    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="pyrec-logical-")
        library = os.path.join(cls.folder.name, "logical_lines.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-I", support.ROOT, "-o", library,
                        os.path.join(support.ROOT, "analyzer", "logical_lines.c")], check=True)
        cls.library = ctypes.CDLL(library)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def ours(self, data):
        if data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        count = len(lines) - (lines[-1] == b"")
        first = (ctypes.c_uint32 * max(count, 1))()
        self.library.logical_lines_find(data, ctypes.c_size_t(len(data)), first, ctypes.c_size_t(count))
        return list(first)[:count]

    def theirs(self, python, paths):
        result = support.run([python, os.path.join(support.ORACLE, "logical_lines.py"), *paths])
        self.assertEqual(result.status, 0, result)
        return [json.loads(line) for line in result.out.splitlines()]

    def compare(self, python, paths):
        compared = 0
        for path, expected in zip(paths, self.theirs(python, paths)):
            with open(path, "rb") as file:
                found = self.ours(file.read())
            if expected is None:
                continue
            compared += 1
            if found != expected[:len(found)]:
                at = next(i for i, pair in enumerate(zip(found, expected)) if pair[0] != pair[1])
                self.fail("%s:%d: ours %s, theirs %s" % (path, at + 1, found[at], expected[at]))
        return compared

    def test_the_standard_library(self):
        for python in PYTHONS:
            root = support.run([python, "-c", "import os; print(os.path.dirname(os.__file__))"]).out.decode().strip()
            paths = []
            for folder, folders, names in os.walk(root):
                folders[:] = [name for name in folders if name not in ("site-packages", "dist-packages", "lib2to3", "idlelib")]
                paths += [os.path.join(folder, name) for name in names if name.endswith(".py")]
            hard = ("test_fstring", "test_grammar", "test_string_literals", "test_tokenize", "test_unparse", "textwrap",
                    "test_decorators", "test_lambda", "datetime", "argparse", "tokenize")
            chosen = [path for i, path in enumerate(sorted(paths))
                      if i % 6 == 0 or os.path.basename(path)[:-3] in hard]
            self.assertGreater(self.compare(python, chosen), 40)

    def test_odd_ones(self):
        for python in PYTHONS:
            paths = []
            odd = dict(ODD)
            odd.update((name, text) for name, (since, text) in ODD_SINCE.items() if support.version(python) >= since)
            for name, text in odd.items():
                paths.append(os.path.join(self.folder.name, name + ".py"))
                with open(paths[-1], "w", encoding="utf-8", newline="") as file:
                    file.write(text)
            self.assertEqual(self.compare(python, paths), len(paths))

    def test_any_bytes(self):
        import random
        dice = random.Random(7)
        for size in list(range(40)) * 20:
            data = bytes(dice.choice(b"'\"{}()[]\\\n\r:f#r a\xff") for _ in range(size))
            found = self.ours(data)
            self.assertTrue(all(1 <= first <= i for i, first in enumerate(found, 1)), data)


PROGRAM = """\
def f(a,
      b=(1,
         2)):
    x = g(
        a,
        g(b[0],
          b[1]),
    )
    if (a and
            b and
            x):
        return (a +
                sum(i
                    for i in b) +
                3)
    return [
        y
        for y in b
    ]
def g(*args):
    return len(
        args
    )
for i in range(3):
    f(i)
h = sorted([3,
  1, 2],
  key=lambda v:
    -v,
)
def numbers(n):
    got = [
        (yield n),
        (yield
         n + 1),
    ]
    return (got
            if n else
            None)
def fact(n): return n * fact(
    n - 1) if n > 1 else 1
while (h and
       h[0]):
    h.pop(
    ); fact(
        4)
sum(1 for a in
    numbers(2)
    if a)
try:
    f(
        1,
        b=()
    )
except (IndexError,
        ValueError) as e: raise_again = (
    e)
class A(
        object):
    x = [1,
         2]
    @property
    @classmethod
    def p(
            self):
        return (
            1)
"""


class Counts:
    """Hits of statements, by the events and Python's tokenizer alone."""

    maxDiff = 4000
    python = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="pyrec-statements-")
        path = os.path.join(cls.folder.name, "program.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        cls.traces = []
        for words in ([path], [os.path.join(SAMPLES, "classes.py")], [os.path.join(SAMPLES, "generators.py")],
                      [os.path.join(SAMPLES, "threads.py")]):
            cls.traces.append(os.path.join(cls.folder.name, "%d.bin" % len(cls.traces)))
            support.run([support.PYREC, "run", "-o", cls.traces[-1], "--python", cls.python, *words])

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def rows(self, query, *inputs):
        result = support.run([support.PYANALYZE, *inputs, "--json", "--sql", query])
        self.assertEqual(result.status, 0, result)
        return [tuple(row.values()) for row in json.loads(result.out)]

    def first_lines(self, files):
        """{(file, line): first line of its logical line}"""
        result = support.run([self.python, os.path.join(support.ORACLE, "logical_lines.py"), *files])
        return {(file, line): first for file, row in zip(files, result.out.splitlines())
                for line, first in enumerate(json.loads(row) or [], 1)}

    def expected(self, trace):
        files = [path for path, in self.rows("SELECT path FROM files WHERE source IS NOT NULL", trace) if path[0] == "/"]
        first = self.first_lines(files)
        hits, last = collections.Counter(), {}
        for activation, event, file, line in self.rows(
                "SELECT activation, event, file, line FROM events WHERE event IN ('call', 'line') ORDER BY thread_id, seq",
                trace):
            if event == "call":
                last.pop(activation, None)
                continue
            statement = first.get((file, line), line)
            if last.get(activation, (None,))[0] != statement or last[activation][1] == line:
                hits[file, statement] += 1
            last[activation] = statement, line
        return hits, first

    def test_hits(self):
        for trace in self.traces:
            expected, _ = self.expected(trace)
            found = {(file, line): hits for file, line, hits in
                     self.rows("SELECT file, line, hits FROM lines WHERE hits > 0", trace, "--statements")}
            self.assertEqual(found, dict(expected))
            self.assertGreater(sum(expected.values()), 20)

    def test_sums(self):
        """Times are those of the lines, and each table says the same."""
        for trace in self.traces:
            _, first = self.expected(trace)
            sums = collections.Counter()
            for file, line, ns, cpu, total in self.rows(
                    "SELECT file, line, self_ns, self_cpu_ns, cumulative_ns FROM lines", trace):
                for kind, value in (("self", ns), ("cpu", cpu), ("cumulative", total)):
                    sums[file, first.get((file, line), line), kind] += value
            found = collections.Counter()
            for file, line, ns, cpu, total in self.rows(
                    "SELECT file, line, self_ns, self_cpu_ns, cumulative_ns FROM lines", trace, "--statements"):
                found.update({(file, line, "self"): ns, (file, line, "cpu"): cpu, (file, line, "cumulative"): total})
            self.assertEqual(+found, +sums)
            by_line = "SELECT file, line, sum(hits), sum(self_ns) FROM %s GROUP BY 1, 2 HAVING sum(hits) + sum(self_ns) > 0"
            expected = self.rows(by_line % "lines WHERE line > 0 OR file NOT LIKE '<%'", trace, "--statements")
            self.assertEqual(self.rows(by_line % "(SELECT file, line, s.hits, s.self_ns FROM line_stats s JOIN functions "
                                       "USING (function_id))", trace, "--statements"), expected)
            self.assertEqual(
                sum(row[0] for row in self.rows("SELECT self_ns FROM context_lines", trace, "--statements")),
                sum(row[0] for row in self.rows("SELECT self_ns FROM context_lines", trace)))
            for table in "edges", "edge_stats":
                query = "SELECT callee_function_id, sum(calls), sum(resumes), sum(self_ns) FROM %s GROUP BY 1" % table
                self.assertEqual(self.rows(query, trace, "--statements"), self.rows(query, trace))

    def test_a_database_made_so_gives_the_same(self):
        trace = self.traces[0]
        made = os.path.join(self.folder.name, "made.db")
        plain = os.path.join(self.folder.name, "plain.db")
        for path, words in ((made, ["--statements"]), (plain, [])):
            self.assertEqual(support.run([support.PYANALYZE, trace, "--db", path, "--force", *words]).status, 0)
        everything = ["--min-percent", "0"]     # where the machine paused, the program took none of the time
        for words in (["-f", "annotate", *everything], ["-f", "lines", *everything], ["-f", "callgrind"], ["-f", "folded", "--lines"],
                      ["-f", "summary"], ["-f", "lines", "--per-thread", *everything]):
            outputs = [support.run([support.PYANALYZE, path, "--statements", *words]).out for path in (trace, made)]
            self.assertEqual(*outputs)
            if "summary" not in words:
                self.assertNotEqual(outputs[0], support.run([support.PYANALYZE, made, *words]).out)
            self.assertEqual(support.run([support.PYANALYZE, plain, *words]).out,
                             support.run([support.PYANALYZE, made, *words]).out)
        result = support.run([support.PYANALYZE, plain, "--statements"])
        self.assertEqual((result.status, result.out), (1, b""))
        self.assertRegex(result.err, rb"^pyanalyze: .*plain\.db: .*--statements.*\n$")
        with sqlite3.connect(made) as database:
            tables = {name for name, in database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'statement%'")}
            self.assertEqual(tables, {"statement_lines", "statement_stats"})
            rows = database.execute("SELECT line, statement_line FROM statement_lines JOIN files USING (file_id) "
                                    "WHERE path LIKE '%/program.py' AND line BETWEEN 4 AND 11 ORDER BY 1").fetchall()
            self.assertEqual(rows, [(4, 4), (5, 4), (6, 4), (7, 4), (9, 9), (10, 9), (11, 9)])
        database.close()

    def test_annotated(self):
        text = support.run([support.PYANALYZE, self.traces[0], "--statements", "--file", "program.py",
                            "--min-percent", "0"]).out.decode()
        self.assertRegex(text, r"(?m)^ +4\| +4\|.*\|    x = g\($")
        self.assertRegex(text, r"(?m)^ +5\| +\|.*\|        a,$")
        self.assertRegex(text, r"(?m)^\(call\)\| +6\|.*# program\.py:20 g$")


class StatementReader(brute.Reader):
    """Counts lines come to from another line of the same statement, by `statements`: (file, line) -> the statement's first."""

    statements = None

    def __init__(self, *words):
        super().__init__(*words)
        self.inner = collections.Counter()
        self.fresh = set()   # called, and have come to no line yet

    def place(self):
        top = next((frame for frame in reversed(self.stack) if not frame.is_c), None)
        if top is None or self.excluded(top.function):
            return None
        line = top.line if 0 <= top.line <= brute.MAX_LINE else 0
        return top.function, line, self.statements.get((top.function[0], line), line), top.activation

    def call(self, ticks, number):
        self.fresh.add(self.next)
        super().call(ticks, number)

    def resume(self, ticks, number):
        self.fresh.discard(number)
        super().resume(ticks, number)

    def go_on(self, ticks, number, step, activation):
        self.fresh.discard(activation)
        super().go_on(ticks, number, step, activation)

    def adopt(self, record):
        self.fresh -= {activation for _, _, activation in record[3]}
        super().adopt(record)

    def line(self, ticks, step):
        before = self.place()
        super().line(ticks, step)
        after = self.place()
        if not after:
            return
        fresh = after[3] in self.fresh
        self.fresh.discard(after[3])
        if self.inside and not fresh and before[1] != after[1] and before[2] == after[2]:
            self.inner[after[:2]] += 1


class RandomStatements(unittest.TestCase):
    """Random traces of texts with random statements, whole and cut by random windows."""

    maxDiff = 4000

    def make(self, seed):
        rng, asked = random.Random(seed + 0.125), []
        texts, first = random_trace.random_texts(rng)

        def facts(told, clock):
            asked.append(random_trace.Windows(seed, told, clock))
            return asked[0].facts

        trace, told, clock = random_trace.make(seed, rng.choice((12, 60, 150)), facts, texts)
        owners = rng.choice(([], ["ann"], ["bob", "ann"]))
        StatementReader.statements = first
        readers = random_trace.read(told, clock, (tables.EXCLUDED,) if seed % 3 == 0 else (),
                                    asked[0].of(owners, told) if owners else None, StatementReader)
        options = [word for owner in owners for word in ("--window", owner)]
        return trace, readers, first, options + (["--exclude", tables.EXCLUDED] if seed % 3 == 0 else [])

    def compare(self, seed, folder):
        trace, readers, first, options = self.make(seed)
        paths = [os.path.join(folder, name) for name in ("t.bin", "t.db", "plain.db")]
        with open(paths[0], "wb") as file:
            file.write(trace)
        for path, more in zip(paths[1:], (["--statements"], [])):
            result = support.run([support.PYANALYZE, paths[0], "--force", "--db", path, *options, *more])
            self.assertEqual(result.status, 0, (seed, result))
        database, plain = tables.Database(paths[1]), tables.Database(paths[2])
        inner = "SELECT thread_id, function_id, line, inner_hits FROM statement_stats"
        found = database.unique((database.threads_[thread], database.names[function], line, hits)
                                for thread, function, line, hits in database.rows(inner))
        self.assertEqual(found, {(number, *key, hits) for number, reader in readers.items()
                                 for key, hits in reader.inner.items()}, (seed, options))
        self.assertEqual(plain.rows(inner) + plain.rows("SELECT * FROM statement_lines"), [])
        for table in tables.TABLES:   # all else is as without
            self.assertEqual(getattr(database, table)(), getattr(plain, table)(), (seed, table))
        hits = collections.Counter()
        for reader in readers.values():
            for ((path, name, start), line), row in reader.lines.items():
                hits[path, first.get((path, line), line)] += row["hits"] - reader.inner[(path, name, start), line]
        query = "SELECT file, line, hits FROM lines WHERE hits"
        result = support.run([support.PYANALYZE, paths[1], "--statements", "--json", "--sql", query])
        self.assertEqual({(row["file"], row["line"]): row["hits"] for row in json.loads(result.out)},
                         {key: value for key, value in hits.items() if value}, (seed, options))
        database.db.close()
        plain.db.close()
        return sum(sum(reader.inner.values()) for reader in readers.values())

    def test_called_before_the_window(self):
        """A lambda of lines 1 and 2 is called at 20 ns and begins its statement, on line 2, at 30."""
        text = b"f = lambda: (1 +\n 1)\nf()\n"
        facts = w.process() + w.file(1, "/p/a.py", "a.py", sha256=hashlib.sha256(text).digest(), size=len(text)) + \
            w.code(2, 1, 1, [1, 3], "<module>", flags=2) + w.code(3, 1, 1, [1, 2], "<lambda>") + \
            w.thread(1, 71, "MainThread", 1) + w.window(1, "ann", 0, 25, 100) + w.end(0, 0, 100, 100)
        events = w.stack(1, 0, 0, []) + w.call(0, 2) + w.line(10, 2) + w.call(10, 3) + w.line(10, 1) + w.line(10, -1) + \
            w.ret(10) + w.ret(10)
        trace = w.header() + w.chunk(w.RUN, w.setting("mode", "exact")) + w.chunk(w.FACTS, facts, process=1) + \
            w.chunk(w.SOURCE, w.varint(1) + w.varint(0) + w.varint(len(text)) + text, process=1) + \
            w.chunk(w.EVENTS, events, process=1, thread=1)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "t.bin")
            with open(path, "wb") as file:
                file.write(trace)
            for window, main in (([], [(3, 1)]), (["--window", "ann"], [])):
                result = support.run([support.PYANALYZE, path, "--statements", *window, "--json", "--sql",
                                      "SELECT line, hits FROM lines WHERE hits"])
                self.assertEqual([tuple(row.values()) for row in json.loads(result.out)], [(1, 1)] + main, result)

    def compare_samples(self, seed, folder):
        """Of a sampled trace: what was found on any line of a statement was found in it."""
        rng = random.Random(seed + 0.125)
        texts, first = random_trace.random_texts(rng)
        data, told, clock, ended = random_samples.make(seed, rng.choice((12, 100)), texts)
        path = os.path.join(folder, "s.bin")
        with open(path, "wb") as file:
            file.write(data)
        expected = collections.defaultdict(lambda: [0, 0, 0, 0, 0.0])
        readers = random_samples.read(told, clock, ended).values()
        for reader in readers:
            for (file, line), row in reader.file_lines.items():
                sums = expected[file, first.get((file, line), line)]
                sums[0] += row["hits"]
                sums[3] += row["self"]
        for file, line in {key for reader in readers for key in reader.file_lines}:
            samples, cumulative, *_, error = brute_samples.columns(readers, "file", file, line)
            sums = expected[file, first.get((file, line), line)]
            sums[1:3] = sums[1] + samples, sums[2] + cumulative
            sums[4] += round(error) ** 2
        if not expected:
            return 0
        query = "SELECT file, line, hits, samples, cumulative_samples, self_ns, error_ns FROM lines WHERE cumulative_samples"
        result = support.run([support.PYANALYZE, path, "--statements", "--json", "--sql", query])
        found = [tuple(row.values()) for row in json.loads(result.out)]
        self.assertEqual({row[:2]: list(row[2:6]) for row in found}, {k: v[:4] for k, v in expected.items() if v[2]}, seed)
        for row in found:
            self.assertAlmostEqual(row[6], expected[row[:2]][4] ** 0.5, delta=2 + 1e-6 * row[6], msg=seed)
        return len(found)

    def test_samples(self):
        with tempfile.TemporaryDirectory() as folder:
            found = [self.compare_samples(seed, folder) for seed in range(tables.FIRST, tables.FIRST + tables.COUNT // 3)]
        self.assertGreater(sum(map(bool, found)), tables.COUNT // 6)

    def test_random(self):
        with tempfile.TemporaryDirectory() as folder:
            found = [self.compare(seed, folder) for seed in range(tables.FIRST, tables.FIRST + tables.COUNT // 2)]
        self.assertGreater(sum(map(bool, found)), tables.COUNT // 8)


def make_classes():
    for python in PYTHONS:
        title = "Statements_on_" + support.version_name(python)
        yield title, type(title, (Counts, unittest.TestCase), {"python": python, "__module__": __name__})


globals().update(make_classes())

if __name__ == "__main__":
    unittest.main()
