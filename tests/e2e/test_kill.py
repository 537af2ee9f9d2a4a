"""Killed at any moment: every event but the one in flight is in the trace.

The program counts its own progress in a file it has mapped, one aligned store a step, so that the truth survives the
kill as the trace does. KILLS in the environment says how many kills a test does with each interpreter.
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
KILLS = int(os.environ.get("KILLS", "0")) or (1 + 125 // len(support.PYTHONS) if support.LONG else 6)


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
        if delay >= 0:
            self.wait_for_all(slots)
        time.sleep(abs(delay))
        os.killpg(process.pid, signal.SIGKILL)
        self.assertEqual(process.wait(), -signal.SIGKILL)
        support.figure("programs killed at a random moment", 1)
        if not os.path.exists(self.trace):
            self.assertLess(delay, 0)
            return [], [], None
        hits = self.ask("SELECT s.hits FROM line_stats s JOIN functions USING (function_id) "
                        "WHERE name = 'work' AND line = %d" % STORE)
        support.figure("events that a killed program had counted, and that were all in its trace", sum(hits))
        return sorted(self.progress(slots)), sorted(hits), hits

    def ask(self, query):
        result = support.run([support.PYANALYZE, self.trace, "--json", "--sql", query])
        self.assertEqual(result.status, 0, result)
        return [row if len(row) > 1 else row[0]
                for row in (tuple(row.values()) for row in support.json.loads(result.out))]

    def progress(self, slots):
        with open(self.counts, "rb") as file:
            data = file.read()
        return [int.from_bytes(data[8 * k:8 * k + 8], sys.byteorder) for k in range(slots)]

    def wait_for_all(self, slots):
        deadline = time.monotonic() + support.HANGS
        while not all(self.progress(slots)):
            self.assertLess(time.monotonic(), deadline, "the program does not run")
            time.sleep(0.005)

    def compare(self, done, recorded, result):
        """At each counter at most the store in flight differs."""
        self.assertEqual(len(done), len(recorded), result)
        for progress, hits in zip(done, recorded):
            self.assertLessEqual(progress, hits, result)
            self.assertLessEqual(hits, progress + 1, result)

    def check(self, threads, forks):
        choose = random.Random(threads * 10 + forks)
        for python in support.PYTHONS:
            for _ in range(KILLS):
                with self.subTest(python=python, threads=threads, forks=forks):
                    self.compare(*self.kill_once(python, threads, forks, choose.uniform(0, 0.15)))
                    # Each thread is found where it was: in the loop, or on its way to the trace.
                    where = self.ask("SELECT name, line FROM open_frames JOIN functions USING (function_id) "
                                     "WHERE name = 'work'")
                    self.assertEqual(len(where), threads * (1 + forks))
                    self.assertLessEqual({line for _, line in where}, set(range(STORE - 2, STORE + 1)))

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

    def test_at_the_beginning(self):
        """While the interpreter starts, threads begin, children are made."""
        choose = random.Random(7)
        for python in support.PYTHONS:
            for _ in range(KILLS):
                with self.subTest(python=python):
                    done, recorded, _ = self.kill_once(python, 2, 1, -choose.uniform(0.001, 0.12))
                    self.compare(done, [0] * (len(done) - len(recorded)) + recorded, "at the beginning")

    def test_a_child_is_taken(self):
        """As the out-of-memory killer does: the others go on, and the parent says what became of it."""
        source = PROGRAM.replace("    if os.fork() == 0:", "    child = os.fork()\n    if child == 0:").replace(
            "work(base)\n", "work(base) if base else print(os.waitpid(child, 0)[1], progress[0] + progress[1], flush=True)\n")
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(source)
        for python in support.PYTHONS:
            for _ in range(max(1, KILLS // 6)):
                self.take_child(python)

    def take_child(self, python):
        self.trace = tempfile.mktemp(suffix=".bin", dir=self.folder.name)
        with open(self.counts, "wb") as file:
            file.write(bytes(8 * 4))
        process = subprocess.Popen([support.PYREC, "run", "-o", self.trace, "--python", python, self.program, self.counts,
                                    "2", "1"], stdout=subprocess.PIPE, env=support.environment())
        deadline = time.monotonic() + support.HANGS
        while not all(self.progress(4)[1:]):
            self.assertLess(time.monotonic(), deadline, "the program does not run")
            time.sleep(0.005)
        with open("/proc/%d/task/%d/children" % (process.pid, process.pid), encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        self.assertEqual(process.stdout.read().split()[0], b"9")
        process.stdout.close()
        self.assertEqual(process.wait(), 0)
        self.assertEqual(self.ask("SELECT ended FROM processes ORDER BY number"), ["exit 0", "signal 9"])
        hits = self.ask("SELECT s.hits FROM line_stats s JOIN functions USING (function_id) "
                        "WHERE name = 'work' AND line = %d" % STORE)
        self.compare(sorted(self.progress(4)[1:]), sorted(hits), hits)


if __name__ == "__main__":
    unittest.main()
