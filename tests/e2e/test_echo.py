"""pyrec run --echo: each event on standard error, as the trace has it, in the order in which it happened."""
import os
import re
import shutil
import tempfile
import unittest

import support

PROGRAM = '''
import sys, threading
def numbers(n):
    for i in range(n):
        yield len("x" * i)
def work():
    return sum(numbers(3))
def broken(depth):
    if depth:
        broken(depth - 1)
    raise ValueError("\\x1b[31m")
work()
thread = threading.Thread(target=work, name="second")
thread.start()
thread.join()
try:
    broken(2)
except ValueError:
    print("caught", file=sys.stderr)
'''

LINE = re.compile(r"^ *(\d+\.\d{6}) (\d+)/(\S+)  *([a-z_]+)  *(\S+|<.*?>):(\d+) (\S+|<.*?>)(?:  (.*))?$")


class Echo(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-echo-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.program = os.path.join(self.folder, "program.py")
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(PROGRAM)

    def record(self, python, *options):
        result = support.run([support.PYREC, "run", "--python", python, "-o", "trace.bin", "--include", "program.py",
                              *options, self.program], cwd=self.folder)
        self.assertEqual((result.status, result.out), (0, b""), result)
        return result.err.decode().splitlines()

    def events(self):
        result = support.run([support.PYANALYZE, os.path.join(self.folder, "trace.bin"), "--sql",
                              "SELECT name, event, line, function, detail FROM events JOIN threads USING (thread_id) "
                              "WHERE event NOT IN ('switch', 'gap') ORDER BY thread_id, seq"])
        self.assertEqual((result.status, result.err), (0, b""), result)
        return [tuple(line.split("\t")) for line in result.out.decode().split("\n")[1:-1]]

    def check(self, python, *options):
        lines = self.record(python, "--echo", *options)
        self.assertIn("caught", lines)
        found = [LINE.match(line) for line in lines if line != "caught"]
        self.assertNotIn(None, found, lines)
        times = [float(match.group(1)) for match in found]
        self.assertEqual(times, sorted(times))
        echoed = sorted((match.group(3), match.group(4), match.group(6), match.group(7),
                         match.group(8) if match.group(4) in ("raise", "c_call") else "\\N") for match in found)
        self.assertEqual(echoed, sorted(self.events()))
        for match in found:
            if match.group(4) == "line":
                self.assertEqual(match.group(8), PROGRAM.split("\n")[int(match.group(6)) - 1].strip())
        return lines

    def test_what_the_trace_has(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                lines = self.check(python)
                calls = [line for line in lines if " call " in line and line.endswith(":8 broken")]
                self.assertEqual([len(line) - len(line.lstrip("0123456789./MainThread ")) for line in calls],
                                 sorted({len(line) - len(line.lstrip("0123456789./MainThread ")) for line in calls}))
                self.assertEqual(len(calls), 3)

    def test_calls_of_c_functions(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                self.check(python, "--c-calls")

    def test_nothing_else_changes(self):
        python = support.PYTHONS[0]
        self.assertEqual(self.record(python), ["caught"])
        plain = sorted(self.events())
        self.record(python, "--echo")
        self.assertEqual(sorted(self.events()), plain)


if __name__ == "__main__":
    unittest.main()
