"""--statements: lines of one statement as one. Logical lines are those of tokenize, over the standard library."""
import collections
import ctypes
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

import support
from support import PYTHONS, SAMPLES

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
                                 "g = f'{a:{'{'}>10}'\nh = 1\n")}


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
        for words in (["-f", "annotate"], ["-f", "lines"], ["-f", "callgrind"], ["-f", "folded", "--lines"], ["-f", "summary"],
                      ["-f", "lines", "--per-thread"]):
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
        text = support.run([support.PYANALYZE, self.traces[0], "--statements", "--file", "program.py"]).out.decode()
        self.assertRegex(text, r"(?m)^ +4\| +4\|.*\|    x = g\($")
        self.assertRegex(text, r"(?m)^ +5\| +\|.*\|        a,$")
        self.assertRegex(text, r"(?m)^\(call\)\| +6\|.*# program\.py:20 g$")


def make_classes():
    for python in PYTHONS:
        title = "Statements_on_" + support.version_name(python)
        yield title, type(title, (Counts, unittest.TestCase), {"python": python, "__module__": __name__})


globals().update(make_classes())

if __name__ == "__main__":
    unittest.main()
