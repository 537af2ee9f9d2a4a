"""Killed at any moment: every event but the one in flight is in the trace.

The program counts its own progress in a file it has mapped, one aligned store a step, so that the truth survives the
kill as the trace does. KILLS in the environment says how many kills a test does (default 6).
"""
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import support

PROGRAM = '''
import mmap, os, sys, threading
threads, forks = int(sys.argv[2]), int(sys.argv[3])
with open(sys.argv[1], "r+b") as file:
    progress = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")

def work(k):
    i = 0
    while True:
        i += 1
        progress[k] = i

base = 0
for n in range(forks):
    if os.fork() == 0:
        base = (n + 1) * threads
        break
for k in range(1, threads):
    threading.Thread(target=work, args=(base + k,), daemon=True).start()
work(base)
'''
# Names enough for several chunks of facts, the slot of which is used again and again.
DEFINER = """
import os, signal
for n in range(3000):
    scope = {}
    exec("def f_%d_%s(): pass" % (n, "x" * 100), scope)
    scope.popitem()[1]()
os.kill(os.getpid(), signal.SIGKILL)
"""
STORE = 1 + PROGRAM[:PROGRAM.index("progress[k] = i")].count("\n")
KILLS = int(os.environ.get("KILLS", "6"))


class Killed(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyrec-kill-")
        self.program = os.path.join(self.folder.name, "steps.py")
        self.counts = os.path.join(self.folder.name, "counts")
        self.trace = os.path.join(self.folder.name, "trace.bin")
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(PROGRAM)

    def tearDown(self):
        self.folder.cleanup()

    def kill_once(self, python, threads, forks, delay):
        """Progress of each thread, and the hits of the line that made it."""
        slots = threads * (1 + forks)
        # Killed children may hold the lock of the trace before for a moment more: each kill has its own.
        self.trace = tempfile.mktemp(suffix=".bin", dir=self.folder.name)
        with open(self.counts, "wb") as file:
            file.write(bytes(8 * slots))
        process = subprocess.Popen(
            [support.PYREC, "run", "--force", "-o", self.trace, "--python", python, self.program,
             self.counts, str(threads), str(forks)], start_new_session=True, env=support.environment(),
            stderr=subprocess.DEVNULL)
        self.wait_for_all(slots)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        self.assertEqual(process.wait(), -signal.SIGKILL)
        hits = support.run([support.PYANALYZE, self.trace, "--sql",
                            "SELECT s.hits FROM line_stats s JOIN functions USING (function_id) "
                            "WHERE name = 'work' AND line = %d" % STORE])
        self.assertEqual(hits.status, 0, hits)
        return sorted(self.progress(slots)), sorted(map(int, hits.out.split()[1:])), hits

    def progress(self, slots):
        with open(self.counts, "rb") as file:
            data = file.read()
        return [int.from_bytes(data[8 * k:8 * k + 8], sys.byteorder) for k in range(slots)]

    def wait_for_all(self, slots):
        deadline = time.monotonic() + 60
        while not all(self.progress(slots)):
            self.assertLess(time.monotonic(), deadline, "the program does not run")
            time.sleep(0.005)

    def check(self, threads, forks):
        choose = random.Random(threads * 10 + forks)
        for python in support.PYTHONS:
            for _ in range(KILLS):
                with self.subTest(python=python, threads=threads, forks=forks):
                    done, recorded, result = self.kill_once(python, threads, forks, choose.uniform(0, 0.15))
                    self.assertEqual(len(done), len(recorded), result)
                    for progress, hits in zip(done, recorded):
                        self.assertLessEqual(progress, hits, result)
                        self.assertLessEqual(hits, progress + 1, result)

    def test_one_thread(self):
        self.check(1, 0)

    def test_eight_threads(self):
        self.check(8, 0)

    def test_forks(self):
        self.check(2, 2)

    def test_what_was_defined(self):
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(DEFINER)
        for python in support.PYTHONS:
            with self.subTest(python=python):
                support.run([support.PYREC, "run", "--force", "-o", self.trace, "--python", python, self.program])
                found = support.run([support.PYANALYZE, self.trace, "--sql",
                                     "SELECT count(*), sum(calls), count(DISTINCT name) FROM functions "
                                     "WHERE name LIKE 'f/_%' ESCAPE '/'"])
                self.assertEqual(found.out.split()[-3:], [b"3000"] * 3, found)


if __name__ == "__main__":
    unittest.main()
