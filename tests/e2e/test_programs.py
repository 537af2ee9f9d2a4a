"""Programs that were not written for these tests: parts of the standard library and whatever is installed."""
import os
import re
import unittest

import support
from support import PYTHONS

JSON = b'{"names": ["a", "b", {"deep": [1, 2.5, null, true]}], "text": "\\u00e9"}'
SUITES = ("test.test_bisect", "test.test_textwrap", "test.test_heapq")
APPLICATIONS = (["-m", "pip", "--version"], ["-m", "pprofile", "--help"])
MODULE = '''"""A module to compile and to test."""
import unittest


def triple(n):
    return 3 * n


class TestTriple(unittest.TestCase):
    def test_small(self):
        self.assertEqual(triple(2), 6)

    def test_fails(self):
        with self.assertRaises(AssertionError):
            self.assertEqual(triple(1), 4)
'''


def settled(text):
    """Output without what differs from run to run: durations and addresses."""
    return re.sub(rb"0x[0-9a-f]+", b"0x", re.sub(rb"\d+\.\d+s", b"0.000s", text))


class ProgramTests:
    python = None

    def record(self, program, **options):
        recording = support.Recording(self.python, program, **options)
        self.addCleanup(recording.close)
        plain, recorded = recording.plain, recording.recorded
        self.assertEqual(settled(plain.out), settled(recorded.out), recorded)
        self.assertEqual(settled(plain.err), settled(recorded.err), recorded)
        self.assertEqual(plain.status, recorded.status, recorded)
        self.assertEqual(recording.query("SELECT * FROM accounts WHERE difference_ns != 0"), [])
        self.assertEqual(recording.query("SELECT * FROM warnings"), [])
        self.assertEqual(recording.value("SELECT complete FROM runs"), 1)
        return recording

    def module(self):
        folder = support.tempfile.mkdtemp(prefix="pyrec-e2e-")
        self.addCleanup(support.shutil.rmtree, folder)
        with open(os.path.join(folder, "triples.py"), "w", encoding="utf-8") as file:
            file.write(MODULE)
        return folder

    def test_json_tool(self):
        recording = self.record(["-m", "json.tool"], stdin=JSON)
        self.assertGreater(recording.value(
            "SELECT sum(calls) FROM functions WHERE file LIKE '%/json/tool.py' AND name = 'main'"), 0)

    def test_json_tool_refuses(self):
        recording = self.record(["-m", "json.tool"], stdin=b"{")
        self.assertEqual(recording.recorded.status, 1)

    def test_compileall(self):
        folder = self.module()
        recording = self.record(["-m", "compileall", "-f", "-q", folder])
        self.assertGreater(recording.value("SELECT count(*) FROM functions WHERE file LIKE '%/compileall.py'"), 0)

    def test_unittest(self):
        folder = self.module()
        recording = self.record(["-m", "unittest", "discover", "-v", "-p", "triples.py", "-s", folder])
        self.assertIn(b"Ran 2 tests", recording.recorded.err)
        self.assertEqual(
            recording.query("SELECT calls FROM functions WHERE name = 'triple'"), [(2,)])

    def test_suites_of_the_standard_library(self):
        suites = [name for name in SUITES if support.has_module(self.python, name)]
        if not suites:
            self.skipTest("the standard library's tests are not installed")
        recording = self.record(["-m", "unittest"] + suites)
        self.assertIn(b"OK", recording.recorded.err)

    def test_installed_application(self):
        for program in APPLICATIONS:
            if support.has_module(self.python, program[1]):
                recording = self.record(program)
                self.assertGreater(
                    recording.value("SELECT sum(hits) FROM lines JOIN files USING (file_id) WHERE origin = 'site'"), 0)
                return
        self.skipTest("no third-party application is installed")

    def test_code_and_standard_input(self):
        recording = self.record(["-c", "import sys\nprint(sys.argv, __name__)\n", "--", "-o", "x"])
        self.assertEqual(recording.query("SELECT hits FROM lines WHERE file = '<string>' ORDER BY line"), [(1,), (1,)])
        self.record(["-", "a", "b"], stdin=b"import sys\nprint(sys.argv)\nraise SystemExit(5)\n")

    def test_folder_and_archive(self):
        folder = self.module()
        with open(os.path.join(folder, "__main__.py"), "w", encoding="utf-8") as file:
            file.write("import triples\nprint(triples.triple(14), __name__, __spec__ is None)\n")
        self.record([folder])
        archive = os.path.join(folder, "program.pyz")
        made = support.run([self.python, "-m", "zipapp", folder, "-o", archive])
        self.assertEqual(made.status, 0, made)
        recording = self.record([archive])
        self.assertEqual(recording.query("SELECT calls FROM functions WHERE name = 'triple'"), [(1,)])

    def test_traceback(self):
        folder = self.module()
        path = os.path.join(folder, "fails.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write("def f(n):\n    return 1 // n\n\n\nf(1)\nf(0)\n")
        recording = self.record([path])
        self.assertEqual(recording.recorded.status, 1)
        self.assertEqual(
            recording.query("SELECT line, hits FROM lines WHERE file = ? ORDER BY line", path), [(1, 1), (2, 2), (5, 1), (6, 1)])

    def test_missing_script(self):
        recording = support.Recording(self.python, ["/dev/null/app.py"])
        self.addCleanup(recording.close)
        self.assertEqual(recording.recorded.status, recording.plain.status)
        self.assertEqual(recording.recorded.err, recording.plain.err)


for interpreter in PYTHONS:
    title = "Programs_on_%s" % support.version_name(interpreter)
    globals()[title] = type(title, (ProgramTests, unittest.TestCase), {
        "python": interpreter, "__module__": __name__})
