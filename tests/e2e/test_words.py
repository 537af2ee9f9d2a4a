"""What the two programs say to whoever looks at them, where it matters: how a run ended, what is not in a report."""
import os
import re
import subprocess
import tempfile
import unittest

import support

import trace_writer as w

POOL = """
import multiprocessing
def square(x): return x * x
if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    with multiprocessing.Pool(%d) as pool:
        pool.map(square, range(20))
"""
LOOP = "for i in range(%d):\n    j = i\n"


class Words(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="pyrec-words-")
        cls.trace = os.path.join(cls.folder.name, "trace.bin")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def record(self, source, *options, python=support.PYTHONS[0]):
        program = os.path.join(self.folder.name, "app.py")
        with open(program, "w", encoding="utf-8") as file:
            file.write(source)
        return support.run([support.PYREC, "run", "-o", self.trace, *options, "--python", python, program])

    def analyze(self, *words):
        return support.run([support.PYANALYZE, self.trace, *words])

    def test_workers_that_were_terminated(self):
        """multiprocessing ends its workers by SIGTERM: one warning for all of them, which says so."""
        for python in support.PYTHONS:
            for workers in (1, 3, 6):
                with self.subTest(python=python, workers=workers):
                    self.assertEqual(self.record(POOL % workers, python=python).status, 0)
                    pids = self.analyze("--sql", "SELECT pid FROM processes WHERE ended = 'signal 15' ORDER BY 1").out.split()[1:]
                    complete = self.analyze("--sql", "SELECT complete FROM runs").out.split()[1:]
                    warnings = self.analyze("-f", "summary").err.decode().splitlines()
                    self.assertEqual((len(warnings), complete), (1, [b"0"]) if warnings else (0, [b"1"]), warnings)
                    if not warnings:
                        continue   # they left by themselves, or were about to
                    found = re.match(r"pyanalyze: warning: \S+: process(es)? ([\d, ]+?)(?: and (\d+) more)? did not end in order "
                                     r"\(signal 15\): what (its|their) threads were doing is in the table open_frames$", warnings[0])
                    self.assertTrue(found, warnings)
                    listed = found.group(2).split(", ")
                    self.assertLessEqual(set(listed), {pid.decode() for pid in pids})
                    count = len(listed) + int(found.group(3) or 0)
                    self.assertLessEqual(count, len(pids))
                    self.assertEqual(len(set(listed)), min(count, 4))
                    self.assertEqual(found.group(4), "its" if count == 1 else "their")

    def test_killed(self):
        self.record("import os\nos.kill(os.getpid(), 9)\n")
        self.assertIn(b" did not end in order (killed): what its threads", self.analyze("-f", "summary").err)

    def test_limit(self):
        """Whoever set a limit is told that it was reached, and else nothing of it."""
        stopped = b"; recording stopped early, out of space or at the limit given; see it with"
        result = self.record(LOOP % 300000, "-v", "--max-size", "300K")
        self.assertIn(stopped, result.err)
        size = os.path.getsize(self.trace)
        self.assertLessEqual(size, 300 * 1024)
        self.assertIn(b": %.2f MB, " % (size / 1e6), result.err)
        self.assertNotIn(b"stopped", self.record(LOOP % 3000, "-v").err)

    def test_cost_of_samples(self):
        for python in support.PYTHONS:
            with self.subTest(python=python):
                result = self.record("import time\nwhile time.process_time() < 0.3: pass\n", "-v", "-S",
                                     python=python)
                found = re.match(
                    r"\Apyrec: \S+: [\d.]+ MB, ([\d,]+) samples?, 1 thread, 1 process; see it with: pyanalyze .*\n"
                    r"pyrec: own cost: samples ([\d.]+) s of processor time \((\d+), ([\d.]+) us each\)\n"
                    r"pyrec: own cost: entering .*\n\Z", result.err.decode())
                self.assertTrue(found, result)
                samples, seconds, times, each = found.groups()
                self.assertEqual(int(samples.replace(",", "")), int(times))
                row = self.analyze("--csv", "--sql", "SELECT samples, cpu_ns FROM samplers").out.split()[1].decode().split(",")
                self.assertEqual(times, row[0])
                self.assertAlmostEqual(float(seconds), int(row[1]) / 1e9, places=3)
                self.assertAlmostEqual(float(each), int(row[1]) / 1e3 / int(times), delta=0.1)

    def test_no_samples(self):
        """A sampled run without a sample says so, and why, whatever is made of it."""
        end, paused = w.end(0, 0, 500, 500), w.record(9, w.varint(0), w.varint(1), w.varint(10), w.varint(400))
        sampler = w.record(12, *(w.varint(n) for n in (1000000, 3, 2, 0, 1, 70)))
        for facts, why in ((end, "the program was over before the first"), (b"", "the trace ends before the first"),
                           (paused + end, "recording was stopped all the time"),
                           (sampler + end, "rounds that were due: 3, late or not at all: 2, stacks in doubt: 1")):
            with open(self.trace, "wb") as file:
                file.write(w.header() + w.chunk(w.RUN, w.setting("mode", "sample") + w.setting("argv", "app.py")) +
                           w.chunk(w.FACTS, w.process(pid=7) + facts, process=1))
            warning = "no sample was taken: %s\n" % why
            for name in ("annotate", "lines", "functions", "tree", "folded", "callgrind", "summary"):
                result = self.analyze("-f", name)
                self.assertEqual(result.status, 0, result)
                self.assertIn(": %s" % warning, result.err.decode())
                self.assertEqual(result.err.count(b"no sample"), 1, result)
            self.assertIn("\nWarning: %s" % warning, self.analyze().out.decode())
            self.assertEqual(self.analyze("--strict").status, 1)

    def test_ended_or_not(self):
        """A trace without an end is that of a program that runs or of one that was killed; where that can be seen it is told,
        elsewhere it is not."""
        def start_time(pid):
            with open("/proc/%d/stat" % pid, encoding="latin-1") as file:
                return int(file.read().rpartition(")")[2].split()[19])
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino
        zombie = subprocess.Popen(["true"])
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        begun = start_time(os.getpid())
        for name, found, pid, boot_id, identity in (
                ("here", "running", os.getpid(), boot, (begun, namespace)),
                ("another of the same id", "killed", os.getpid(), boot, (begun - 1, namespace)),
                ("no process of that id", "killed", 2**31 - 1, boot, (begun, namespace)),
                ("its parent did not ask yet", "killed", zombie.pid, boot, (start_time(zombie.pid), namespace)),
                ("another boot", "unknown", os.getpid(), boot[::-1], (begun, namespace)),
                ("no boot", "unknown", os.getpid(), "", (begun, namespace)),
                ("another name space", "unknown", os.getpid(), boot, (begun, namespace + 1)),
                ("began when?", "unknown", os.getpid(), boot, (0, 0)),
                ("older recorder", "unknown", os.getpid(), boot, ()),
                ("all processes", "unknown", 2**32 - 1, boot, (begun, namespace)),
                ("no process", "unknown", 0, boot, (begun, namespace))):
            with self.subTest(name):
                with open(self.trace, "wb") as file:
                    file.write(w.header() + w.chunk(w.RUN, w.setting("boot_id", boot_id) + w.setting("argv", "app.py")) +
                               w.chunk(w.FACTS, w.process(pid=pid, identity=identity), process=1, sealed=False))
                result = self.analyze("--sql", "SELECT ended, complete FROM processes JOIN runs USING (run_id)")
                self.assertEqual((result.status, result.out.split()[2:]), (0, [b"unknown", b"0"]), result)
                self.assertIn({"running": b": process %d had not ended when the trace was read: what its ",
                               "killed": b": process %d did not end in order (killed): what its ",
                               "unknown": b": process %d did not end in order (killed, or still running): what its "}[found]
                              % pid, result.err)
        zombie.wait()

    def test_still_running(self):
        """A live trace, and what becomes of it; with a child that is killed before, and its descriptors closed."""
        program = os.path.join(self.folder.name, "app.py")
        with open(program, "w", encoding="utf-8") as file:
            file.write("import os, sys, time\nif os.fork() == 0:\n    os.kill(os.getpid(), 9)\nos.wait()\n"
                       "r, w = os.pipe()\nif os.fork() == 0:\n    os.write(w, b'x')\n    time.sleep(100)\nos.read(r, 1)\n"
                       "time.sleep(0.2)     # it has been seen by a sampler, or there would be another warning\n"
                       "os.closerange(3, 1000)\nprint(1, flush=True)\nsys.stdin.readline()\nos.kill(0, 9)\n")
        for python in support.PYTHONS:
            for options in ([], ["-S"]):
                with self.subTest(python=python, options=options):
                    recorded = subprocess.Popen([support.PYREC, "run", "-o", self.trace, *options, "--python", python, program],
                                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=support.environment(),
                                                start_new_session=True)
                    recorded.stdout.readline()
                    query = ("--sql", "SELECT text FROM warnings WHERE text LIKE 'process%'")
                    alive = self.analyze(*query)
                    recorded.communicate(b"go on\n")
                    gone = self.analyze(*query)
                    while b"had not ended" in gone.out:      # the child, for a moment
                        gone = self.analyze(*query)
                    self.assertRegex(alive.out, rb"^text\nprocesses \d+, \d+ had not ended when the trace was read: [^\n]*\n"
                                                rb"process \d+ did not end in order \(signal 9\): [^\n]*\n$")
                    self.assertRegex(gone.out, rb"^text\nprocesses \d+, \d+ did not end in order \(killed\): [^\n]*\n"
                                               rb"process \d+ did not end in order \(signal 9\): [^\n]*\n$")
                    self.assertEqual((alive.err.count(b"\n"), gone.err.count(b"\n")), (2, 2), (alive, gone))

    def test_left_out(self):
        """Rankings tell what --file hides, all of it together with what they show."""
        self.assertEqual(self.record("import json\n" + LOOP % 20 + "json.dumps(1)\n").status, 0)
        for name, source in (("functions", "functions WHERE kind <> 'outside' AND (cumulative_ns > 0 OR calls > 0)"),
                             ("lines", "lines WHERE hits > 0 OR self_ns > 0")):
            hidden = self.analyze("--sql", "SELECT count(*), sum(self_ns) FROM (SELECT * FROM %s) WHERE file NOT LIKE '%%/app.py'"
                                  % source).out.split()[2:]
            text = self.analyze("-f", name, "--file", "app.py", "--unit", "ns").out.decode()
            self.assertRegex(text, r"(?m)^Left out: %s %s with %s ns \([\d.]+ %%\) by --file$" % (
                hidden[0].decode(), name, hidden[1].decode()))
            self.assertNotIn("Left out", self.analyze("-f", name).out.decode())

    def test_threads_of_a_pool(self):
        """Threads whose names are alike but for a number at the beginning can be told apart in a trace as text."""
        source = "import threading\n" \
                 "def process_the_request(): pass\n" \
                 "threads = [threading.Thread(target=process_the_request, name='Thread-%d (process_the_request)' % i) " \
                 "for i in range(12)]\n" \
                 "for t in threads: t.start(); t.join()\n" \
                 "t = threading.Thread(target=process_the_request, name='\u7dda\u7a0b' * 5); t.start(); t.join()\n"
        self.assertEqual(self.record(source, "--exclude-syspath").status, 0)
        lines = self.analyze("-f", "trace").out.decode().splitlines()
        column = lines[1].index("Thread")
        names = {line[column:column + 14] for line in lines[2:] if "process_the_request" in line and "call" in line}
        for i in range(12):
            self.assertIn(("Thread-%d (process_the_request)" % i)[:13] + "\u2026", names)
        self.assertTrue(any(name.startswith("\u7dda\u7a0b" * 3 + "\u2026 ") for name in names), names)

    def test_whole_of_a_tree(self):
        """The percents of a tree by processor time are of that time."""
        self.assertEqual(self.record("import time\ntime.sleep(0.05)\n" + LOOP % 2000).status, 0)
        cpu, hits = self.analyze("--sql", "SELECT (SELECT sum(self_cpu_ns) FROM accounts) AS cpu, sum(hits) FROM lines").out.split()[2:]
        self.assertIn("\nHere 100 %% is %s ns, the time of all threads on a processor\n" % cpu.decode(),
                      self.analyze("-f", "tree", "--by", "cpu", "--unit", "ns").out.decode())
        self.assertIn("\nHere 100 %% is %s hits\n" % hits.decode(), self.analyze("-f", "tree", "--by", "hits").out.decode())
        self.assertNotIn("Here", self.analyze("-f", "tree").out.decode())


if __name__ == "__main__":
    unittest.main()
