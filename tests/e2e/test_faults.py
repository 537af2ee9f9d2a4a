"""Calls of the system that fail: no space, an error of the disk, an interruption, half of what was asked for.

tests/fault/fault.c fails the N-th call of one kind, N from 1 until there are no more. What is written is whole or
not there at all, what was there before stays, and a program that is recorded does not notice.
"""
import errno
import os
import re
import shutil
import signal
import tempfile
import unittest

import support

FAULT = os.path.join(support.BUILD, "fault.so")
TRACE = os.path.join(support.ROOT, "tests", "corpus", "1-generators-3.11.bin")
CALLS = ("write", "fsync", "ftruncate", "fallocate", "rename", "link", "open", "mmap")
# mode, error, and whether the result must be there all the same
MODES = (("once", errno.ENOSPC, False), ("once", errno.EIO, False), ("always", errno.ENOSPC, False),
         ("once", errno.EINTR, True), ("short", 0, True))


def formats():
    """The names of all formats, from the command itself."""
    text = support.run([support.PYANALYZE, "--format", "no-such-format", TRACE]).err.decode()
    names = re.findall(r"\b[a-z][a-z-]+\b", text.partition("(")[2] or text.partition(":")[2])
    found = [name for name in names
             if support.run([support.PYANALYZE, TRACE, "--format", name, "-o", "/dev/null"]).status == 0]
    assert {"annotate", "callgrind", "zip"} <= set(found), text
    return found


def faulty(command, fault, **more):
    return support.run(command, env=support.environment(LD_PRELOAD=FAULT, FAULT=fault, **more))


def count_calls(command, folder, **more):
    log = os.path.join(folder, "log")
    result = faulty(command, "write:0", FAULT_LOG=log, **more)
    assert result.status == 0, result
    counts = {}
    with open(log, encoding="ascii") as file:
        for line in file:
            name, count = line.split()
            counts[name] = counts.get(name, 0) + int(count)
    os.remove(log)
    return counts, result


def read(path):
    with open(path, "rb") as file:
        return file.read()


def is_sanitized():
    return b"__asan_init" in read(support.PYANALYZE)


@unittest.skipIf(is_sanitized(), "AddressSanitizer must be loaded first, and so must what fails calls")
class Analyzer(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-fault-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.out = os.path.join(self.folder, "out")
        self.path = os.path.join(self.out, "result")

    def fresh(self, old):
        shutil.rmtree(self.out, ignore_errors=True)
        os.mkdir(self.out)
        with open(self.path, "wb") as file:
            file.write(old)

    def check(self, options):
        command = [support.PYANALYZE, TRACE, "--force"] + options
        self.fresh(b"old")
        counts, _ = count_calls(command, self.folder, FAULT_FILE=self.out)
        self.assertEqual(os.listdir(self.out), ["result"])
        whole = read(self.path)
        self.assertGreaterEqual(counts["write"], 1)
        failures = 0
        for call in CALLS:
            for mode, error, must_work in MODES:
                if mode == "short" and call != "write":
                    continue
                for number in range(1, counts[call] + 1):
                    self.fresh(b"old")
                    what = "%s:%d:%s" % (call, number, mode)
                    result = faulty(command, what, FAULT_FILE=self.out, FAULT_ERRNO=str(error))
                    what = (what, error, result)
                    self.assertEqual(os.listdir(self.out), ["result"], what)
                    if result.status == 0:
                        self.assertEqual((result.err, len(read(self.path))), (b"", len(whole)), what)
                        if "--db" not in options:
                            self.assertEqual(read(self.path), whole, what)
                        continue
                    failures += 1
                    self.assertFalse(must_work and call == "write", what)
                    self.assertEqual((result.status, result.err.count(b"\n")), (1, 1), what)
                    self.assertTrue(result.err.startswith(b"pyanalyze: " + self.path.encode()), what)
                    self.assertEqual(read(self.path), b"old", what)
        self.assertGreater(failures, 0)

    def test_database(self):
        self.check(["--db", self.path])

    def test_formats(self):
        for name in formats():
            with self.subTest(name):
                self.check(["--format", name, "-o", self.path])

    def test_ended(self):
        """SIGTERM before any call: the old file or the new one, and nothing beside it."""
        command = [support.PYANALYZE, TRACE, "--force", "--per-thread", "--format", "callgrind", "-o", self.path]
        self.fresh(b"old")
        counts, _ = count_calls(command, self.folder, FAULT_FILE=self.out)
        for call in ("write", "fsync", "rename", "link", "open"):
            for number in range(1, counts[call] + 1):
                self.fresh(b"old")
                result = faulty(command, "%s:%d:term" % (call, number), FAULT_FILE=self.out)
                self.assertEqual(result.status, -signal.SIGTERM, (call, number, result))
                beside = [name for name in os.listdir(self.out) if not name.startswith("result")]
                self.assertEqual(beside, [], (call, number))
        self.assertGreater(counts["rename"], 0)

    def test_rows(self):
        self.check(["--sql", "SELECT * FROM events", "--json", "-o", self.path])

    def test_zip_file(self):
        self.check(["--zipfile", self.path])

    def test_standard_output(self):
        """There is nothing to be put away: half is written, and said to be half."""
        with open("/dev/full", "wb") as full:
            result = support.subprocess.run([support.PYANALYZE, TRACE], stdout=full, stderr=support.subprocess.PIPE,
                                            env=support.environment(), check=False)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, b"pyanalyze: standard output: cannot write: No space left on device\n")


PROGRAM = """
import sys, threading
def f(n):
    return n and f(n - 1)
def work():
    for i in range(%d):
        f(5)
thread = threading.Thread(target=work)
thread.start()
work()
thread.join()
print("done", file=sys.stderr)
print(sys.argv)
"""
PYTHONS = sorted({support.PYTHONS[0], support.PYTHONS[-1]})    # the ways to write are the same in all
TURNS = 2000    # more than a chunk holds


@unittest.skipIf(is_sanitized(), "AddressSanitizer must be loaded first, and so must what fails calls")
class Recorder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-fault-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.program = os.path.join(self.folder, "app.py")
        with open(self.program, "w", encoding="ascii") as file:
            file.write(PROGRAM % TURNS)
        self.trace = os.path.join(self.folder, "recorded.bin")

    def check_trace(self, what):
        """A trace that can be read without a damaged place, and that tells if something is missing; or none."""
        if not os.path.exists(self.trace):
            return
        result = support.run([support.PYANALYZE, self.trace, "--json", "--sql",
                              "SELECT complete, lost_events, (SELECT max(calls) FROM functions WHERE name = 'f') calls "
                              "FROM runs", "--sql", "SELECT text FROM warnings"])
        if result.status != 0:
            self.assertEqual(result.err.count(b"\n"), 1, (what, result))
            return
        ((run,), warnings) = support.json.loads(result.out)
        self.assertNotIn("damaged", str(warnings), what)
        self.assertNotIn("decode", str(warnings), what)
        if run["calls"] != 2 * 6 * TURNS:
            self.assertEqual(run["complete"], 0, (what, run, warnings))
            self.assertTrue(warnings, what)

    def clean(self):
        for name in set(os.listdir(self.folder)) - {"app.py"}:
            os.remove(os.path.join(self.folder, name))

    def check(self, python, program, counts=None):
        """Fails each call of one of the two programs: `pyrec`, or the interpreter that it becomes."""
        command = [support.PYREC, "run", "--python", python, "-o", self.trace, self.program, "x"]
        plain = support.run([python, self.program, "x"])
        select = {"FAULT_PROGRAM": program, "FAULT_FILE": "recorded.bin"}
        if counts is None:
            counts, result = count_calls(command, self.folder, **select)
            self.assertEqual((result.out, result.err), (plain.out, plain.err))
        tried = 0
        for call in CALLS:
            for mode, error, _ in MODES:
                if mode == "short" and call != "write":
                    continue
                for number in range(1, counts.get(call, 0) + 1):
                    self.clean()
                    what = "%s:%d:%s" % (call, number, mode)
                    result = faulty(command, what, FAULT_ERRNO=str(error), **select)
                    what = (what, error, result)
                    tried += result.status == 125 or not os.path.exists(self.trace) or number == 1
                    if result.status == 125:    # before the program began
                        self.assertEqual((result.out, result.err.count(b"\n")), (b"", 1), what)
                        self.assertTrue(result.err.startswith(b"pyrec: "), what)
                    else:
                        self.assertEqual((result.status, result.out, result.err),
                                         (plain.status, plain.out, plain.err), what)
                    self.check_trace(what)
                    left = set(os.listdir(self.folder)) - {"app.py", "recorded.bin"}
                    self.assertEqual(left, set(), what)
        return tried

    def test_interpreter(self):
        for python in PYTHONS:
            with self.subTest(python):
                self.assertGreater(self.check(python, "python"), 0)

    def test_command(self):
        """It becomes the interpreter, so nobody counts its calls: it makes fewer than these."""
        calls = dict.fromkeys(("write", "rename", "open", "mmap"), 3)
        self.assertGreater(self.check(support.PYTHONS[0], "/pyrec", calls), 0)

    def test_memory_of_the_recorder(self):
        """Allocations of the extension alone: the interpreter's own may not fail."""
        for python in PYTHONS:
            with self.subTest(python):
                command = [support.PYREC, "run", "--python", python, "-o", self.trace, self.program, "x"]
                plain = support.run([python, self.program, "x"])
                select = {"FAULT_PROGRAM": "python", "FAULT_CALLER": "/pyrec.so"}
                log = os.path.join(self.folder, "log")
                faulty(command, "malloc:0", FAULT_LOG=log, **select)
                count = int(re.search(r"malloc (\d+)", read(log).decode())[1])
                os.remove(log)
                self.assertGreater(count, 10)
                for number in range(1, count + 1):
                    self.clean()
                    what = "malloc:%d:%s" % (number, ("once", "always")[number % 5 == 0])
                    result = faulty(command, what, **select)
                    if result.status != 125:
                        self.assertEqual((result.status, result.out, result.err),
                                         (plain.status, plain.out, plain.err), (what, result))
                    self.check_trace((what, result))
