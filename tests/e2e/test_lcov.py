"""Format lcov: which lines were executed, as the interpreter's own tables and lcov itself see it."""
import ast
import os
import re
import shutil
import trace
import unittest

import support

PROGRAM = '''"""A
docstring."""
import argparse, string
def never(a):
    """Its own."""
    if a:
        return 1
    return 2
class Box:
    @property
    def value(self):
        return 3
    @value.setter
    def value(self, value):
        for _ in range(value):
            pass
def numbers():
    yield 1
    yield 2
class Empty:
    def never(self):
        return 4
Box().value = 5
Box().value = 6
list(numbers())
text = [x for x in range(3)
        if x % 2]
key = lambda: 5
exec("1 + 1")
'''


def records(text):
    """{path: {kind: [values]}}"""
    found = {}
    for record in text.split("end_of_record\n")[:-1]:
        lines = [line.split(":", 1) for line in record.splitlines()]
        assert [kind for kind, _ in lines[:2]] == ["TN", "SF"], record
        entry = found.setdefault(lines[1][1], {})
        for kind, value in lines[2:]:
            entry.setdefault(kind, []).append(value)
    return found


def executed(record):
    return {int(line): int(hits) for line, hits in (value.split(",") for value in record["DA"])}


def lines_of_strings(path):
    """Of statements that are nothing but a string: what some tables have and others have not."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return {line for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            for line in range(node.lineno, node.end_lineno + 1)}


class Lcov(unittest.TestCase):
    def record(self, python, options=(), program=PROGRAM):
        recording = support.Recording(python, [], list(options))
        self.addCleanup(recording.close)
        recording.program = [os.path.join(recording.folder, "program.py")]
        with open(recording.program[0], "w", encoding="utf-8") as file:
            file.write(program)
        self.assertEqual(recording.recorded.status, 0, recording.recorded)
        return recording

    def analyze(self, recording, *words):
        result = support.run([support.PYANALYZE, recording.trace, "--format", "lcov", *words])
        self.assertEqual((result.status, result.err), (0, b""), result)
        return result.out.decode()

    def test_lines_and_functions(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python)
                found = records(self.analyze(recording))
                self.assertEqual(list(found), [recording.program[0]])
                record = found[recording.program[0]]
                first = 10 if support.version(python) >= (3, 8) else 11
                named = support.version(python) >= (3, 11)      # before, code does not know its class
                never, value = ("Empty.never", "Box.value") if named else ("never", "value")
                calls = {(4, "never" if named else "never:4"): 0, (first, value + ":10"): 0, (13, value + ":13"): 2,
                         (17, "numbers"): 1, (21, never if named else "never:21"): 0}
                names = {tuple(text.split(",")) for text in record["FN"]}
                self.assertEqual(names, {(str(line), name) for line, name in calls})
                self.assertEqual(dict(text.split(",")[::-1] for text in record["FNDA"]),
                                 {name: str(count) for (_, name), count in calls.items()})
                self.assertEqual((record["FNF"], record["FNH"]), (["5"], ["2"]))
                hits = executed(record)
                self.assertEqual((record["LF"], record["LH"]), ([str(len(hits))], [str(sum(map(bool, hits.values())))]))
                self.assertEqual(record["DA"], sorted(record["DA"], key=lambda text: int(text.split(",")[0])))
                self.assertEqual({line: hits[line] for line in (3, 6, 7, 8, 12, 16, 18, 19, 22, 23, 24, 28)},
                                 {3: 1, 6: 0, 7: 0, 8: 0, 12: 0, 16: 11, 18: 1, 19: 1, 22: 0, 23: 1, 24: 1, 28: 1})
                rows = recording.query("SELECT line, hits FROM lines WHERE executable AND line > 0 AND file LIKE '%program.py'")
                self.assertEqual(hits, dict(rows))

    @unittest.skipUnless(hasattr(trace, "_find_executable_linenos"), "the trace module does not tell lines")
    def test_executable_lines_are_those_of_the_trace_module(self):
        """Of all modules that were imported while it was recorded."""
        for python in support.PYTHONS:
            if support.version(python)[:2] != support.version(support.sys.executable)[:2]:
                continue
            recording = self.record(python)
            found = records(self.analyze(recording, "--file", "*"))
            modules = recording.query("SELECT file FROM functions WHERE kind = 'module' AND file LIKE '/%'")
            self.assertGreater(len(modules), 3)
            for path, in modules:
                strings = lines_of_strings(path)
                theirs = set(trace._find_executable_linenos(path)) - strings - {0, None}
                self.assertEqual(set(executed(found[path])) - strings, theirs, path)

    def test_lcov_reads_it(self):
        if shutil.which("lcov") is None:
            self.skipTest("lcov is not installed")
        recording = self.record(support.PYTHONS[0])
        path = os.path.join(recording.folder, "coverage.info")
        result = support.run([support.PYANALYZE, recording.trace, "-o", path, "--file", "*"])
        self.assertEqual((result.status, result.err), (0, b""), result)
        with open(path, encoding="utf-8") as file:
            found = records(file.read())
        summary = support.run(["lcov", "--summary", path])
        self.assertEqual(summary.status, 0, summary)
        text = (summary.out + summary.err).decode()
        for what, kinds in (("lines", ("LH", "LF")), ("functions", ("FNH", "FNF"))):
            ours = tuple(sum(int(record[kind][0]) for record in found.values()) for kind in kinds)
            theirs = re.search(r"%s\.+: [\d.]+%% \((\d+) of (\d+) %s\)" % (what, what), text)
            self.assertEqual(tuple(map(int, theirs.groups())), ours, text)

    def test_samples_do_not_tell(self):
        # Long enough to be seen: of a run without a sample there would be more to say.
        recording = self.record(support.PYTHONS[0], ["--sample", "1ms"], "sum(range(5000000))\n")
        result = support.run([support.PYANALYZE, recording.trace, "-o", os.path.join(recording.folder, "x.info")])
        self.assertEqual(result.status, 1)
        self.assertIn(b"samples do not tell which lines were executed", result.err)
        self.assertEqual(len(result.err.splitlines()), 1)
        self.assertFalse(os.path.exists(os.path.join(recording.folder, "x.info")))


if __name__ == "__main__":
    unittest.main()
