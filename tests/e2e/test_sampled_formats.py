"""Formats of a sampled run: nobody reads a count of samples as one of calls, and other tools' readers accept the files."""
import os
import re
import shutil
import tempfile
import unittest

import support

import trace_writer as w

PERIOD = 1 << 20   # ns
UNITS = PERIOD >> 7


def trace():
    """main, on line 3, calls f 40 times as it seems: 30 samples on line 11, 9 on line 12; one on main's line 4."""
    facts = w.process(pid=77) + w.file(1, "/p/app.py", "app.py") + w.code(2, 1, 1, [2, 3, 4], "main") + \
        w.code(3, 1, 10, [11, 12], "f") + w.thread(1, 77, "MainThread", 1) + \
        w.record(12, *map(w.varint, (PERIOD, 41, 1, 40, 0, 5000))) + w.end(0, 0, 41 * PERIOD, 41 * PERIOD)
    records = w.node(0, 2, 2) + w.node(1, 3, 1) + w.node(1, 3, 2) + w.node(0, 2, 3)
    for i in range(39):
        records += w.sample(0 if i < 30 else 2, UNITS, 2 if i < 30 else 3, PERIOD // 1000 if i < 30 else 0)
    records += w.sample(0, UNITS, 4, 0)
    return w.header() + w.chunk(w.RUN, w.setting("mode", "sample") + w.setting("argv", "app.py")) + \
        w.chunk(w.FACTS, facts, process=1) + w.chunk(w.SAMPLES, records, process=1, thread=1)


class SampledFormats(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="pyrec-sampled-formats-")
        cls.trace = os.path.join(cls.folder.name, "trace.bin")
        with open(cls.trace, "wb") as file:
            file.write(trace())

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def text(self, *words):
        result = support.run([support.PYANALYZE, self.trace, *words])
        self.assertEqual((result.status, result.err), (0, b""), result)
        return result.out.decode()

    def test_remarks(self):
        """Every text that counts says what it counts, within 80 columns."""
        remark = "Hits are samples, times estimates (~ below twice their error); no calls known"
        for name in ("annotate", "lines", "functions", "tree"):
            with self.subTest(name):
                text = self.text("-f", name)
                self.assertIn("\nSampled every 1.04858 ms: 40 samples, 0 missed, 2.4 % late\n" + remark + "\n", text)
                self.assertLess(len(remark), 80)
                self.assertNotRegex(text, r"\bCalls\b|\bevents?\b")
        self.assertIn("40 samples", self.text("-f", "summary"))
        self.assertIn("\n         Counts are samples, times are estimates: calls are not known\n", self.text("-f", "stats"))

    def test_functions(self):
        text = self.text("-f", "functions", "--unit", "ms")
        self.assertRegex(text, r"(?m)^ +%\| Time \(ms\)\| +Waiting\| Cumulative\| Hits\|Function$")
        self.assertRegex(text, r"(?m)^ 97\.50%\| +40\.894\| +9\.454\| +40\.894\| +39\|app\.py:10 f$")
        self.assertRegex(text, r"(?m)^ ~2\.50%\| +1\.049\| +1\.049\| +41\.943\| +1\|app\.py:1 main$")   # one sample may be none

    def test_calls_of_a_line(self):
        self.assertRegex(self.text("-f", "annotate", "--unit", "ms"), r"(?m)^ *\(call\)\| +39\| +40\.894\|.*# app\.py:10 f$")

    def test_stats(self):
        text = self.text("-f", "stats", "--sort", "stdname", "--callers")
        self.assertRegex(text, r"(?m)^ +samples  tottime  cumtime$")
        self.assertRegex(text, r"(?m)^/p/app\.py:10\(f\) +<- +39    0\.041    0\.041  /p/app\.py:1\(main\)$")
        self.assertNotIn("calls", text)

    def test_callgrind(self):
        path = os.path.join(self.folder.name, "callgrind.out.x")
        support.run([support.PYANALYZE, self.trace, "--force", "-o", path])
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertRegex(text, r"(?m)^desc: Sampled: times are estimates, calls are not known")
        self.assertLess(text.index("\ndesc:"), text.index("\nevents:"))   # its readers have it only there
        self.assertIn("\nevent: hits : Samples\n", text)
        self.assertEqual(re.findall(r"calls=(\d+)", text), ["40", "39"])
        if shutil.which("callgrind_annotate"):
            result = support.run(["callgrind_annotate", "--threshold=100", path])
            self.assertEqual((result.status, result.err), (0, b""))
            self.assertRegex(result.out.decode(), r"(?m)^%s .*%s .* 40 .*PROGRAM TOTALS$" % (
                format(40 * PERIOD, ","), format(30 * (PERIOD // 1000 * 1000), ",")))


if __name__ == "__main__":
    unittest.main()
