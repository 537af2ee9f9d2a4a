"""Programs end in every way there is: they end the same, and all that they did is in the trace.

Each program steps through `step` and counts the steps in a file that it has mapped, by single aligned stores, so that
the truth survives any end. `victim` then ends it: in the process that pyrec became, in a forked child, in a thread.
"""
import os
import re
import tempfile
import unittest

import support

PROGRAM = '''
import ctypes, faulthandler, mmap, os, resource, signal, subprocess, sys, threading, time
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
signal.signal(signal.SIGINT, signal.default_int_handler)  # the background of a shell ignores these two
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
with open(sys.argv[1], "r+b") as file:
    counts = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")

def step(k, n):
    for i in range(n):
        counts[k] += 1

def other():
    step(1, 300)
    while True:
        time.sleep(9)

def is_asleep(thread):
    """Whether it is on the line where it stays: from there on it is the same in every run."""
    frame = sys._current_frames().get(thread.ident)
    return frame is not None and frame.f_code is other.__code__ and frame.f_lineno == %(asleep)d

def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()
    time.sleep(9)

def victim():
    step(0, 500)
    %(end)s

thread = threading.Thread(target=other, daemon=True)
thread.start()
while not is_asleep(thread):
    time.sleep(0.001)
victim()
'''
VICTIM = 1 + PROGRAM[:PROGRAM.index("    %(end)s")].count("\n")
STEP = 1 + PROGRAM[:PROGRAM.index("counts[k] += 1")].count("\n")
ASLEEP = 1 + PROGRAM[:PROGRAM.index("time.sleep(9)")].count("\n")

# What victim() does -> how the process ends, as the database says it.
SIGNALS = {
    "os.kill(os.getpid(), signal.SIGKILL)": 9,
    "os.kill(os.getpid(), signal.SIGTERM)": 15,
    "os.kill(os.getpid(), signal.SIGHUP)": 1,
    "os.kill(os.getpid(), signal.SIGQUIT)": 3,
    "os.kill(os.getpid(), signal.SIGUSR1)": 10,
    "os.kill(os.getpid(), signal.SIGALRM)": 14,
    "signal.alarm(1); time.sleep(9)": 14,
    "os.kill(os.getpid(), signal.SIGSYS)": 31,
    "os.kill(os.getpid(), signal.SIGBUS)": 7,
    "os.kill(os.getpid(), signal.SIGXCPU)": 24,
    "signal.signal(signal.SIGPIPE, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGPIPE)": 13,
    "os.kill(os.getpid(), signal.SIGILL)": 4,
    "os.abort()": 6,
    "ctypes.string_at(0)": 11,
    "ctypes.CDLL(None).abort()": 6,
    "in_thread(lambda: ctypes.string_at(0))": 11,
    "in_thread(os.abort)": 6,
    "ctypes.pythonapi.Py_FatalError(b'the end')": 6,
    "faulthandler._fatal_error_c_thread(); time.sleep(9)": 6,
    "faulthandler.enable(); faulthandler._sigsegv()": 11,
    "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\n    while True: pass": 9,
    "faulthandler._stack_overflow()": 11,
}
EXITS = {
    "sys.exit(3)": 3,
    "os._exit(4)": 4,
    "in_thread(lambda: os._exit(5))": 5,
    "raise ValueError('x')": 1,
    "threading.Thread(target=sys.exit, args=(9,)).start()": 0,
    "ctypes.CDLL(None).exit(6)": 6,
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); os.kill(os.getpid(), 15); time.sleep(9)": 7,
    "raise KeyboardInterrupt": 130,
}


def numbered(text):
    """Without addresses and numbers of processes, and without the warnings of --then's report."""
    return re.sub(rb"0x[0-9a-f]+|\d{4,}", b"N", re.sub(rb"(?m)^pyanalyze: warning.*\n", b"", text))


class Ends(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyrec-ends-")
        self.addCleanup(self.folder.cleanup)
        self.program = self.path("program.py")
        self.counts = self.path("counts")
        self.trace = self.path("trace.bin")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def run_both(self, python, options=()):
        """The recorded program's result, if it is the plain one's."""
        results = []
        for command in ([python], [support.PYREC, "run", "--force", "-o", self.trace, "--python", python, *options]):
            with open(self.counts, "wb") as file:
                file.write(bytes(64))
            results.append(support.run(command + [self.program, self.counts], cwd=self.folder.name))
        plain, recorded = results
        self.assertEqual((plain.status, numbered(plain.out), numbered(plain.err)),
                         (recorded.status, numbered(recorded.out), numbered(recorded.err)), recorded)
        return recorded

    def count(self, slot):
        with open(self.counts, "rb") as file:
            return int.from_bytes(file.read()[8 * slot:8 * slot + 8], "little")

    def ask(self, query):
        result = support.run([support.PYANALYZE, self.trace, "--json", "--sql", query])
        self.assertEqual(result.status, 0, result)
        return [tuple(row.values()) for row in support.json.loads(result.out)]

    def check_trace(self, ended, process=1):
        """All steps of both threads are there, and the other thread is where it is."""
        self.assertEqual(self.ask("SELECT ended FROM processes WHERE number = %d" % process), [(ended,)])
        hits = self.ask("SELECT sum(s.hits) FROM line_stats s JOIN functions USING (function_id) JOIN threads USING"
                        " (thread_id) WHERE process_id = %d AND functions.name = 'step' AND line = %d GROUP BY thread_id"
                        " ORDER BY 1" % (process, STEP))
        self.assertEqual(hits, [(self.count(1),), (self.count(0),)])
        self.assertEqual((self.count(0), self.count(1)), (500, 300))
        self.assertEqual(self.ask("SELECT max(abs(difference_ns)) FROM accounts"), [(0,)])

    def open_frames(self, process, thread):
        return self.ask("SELECT f.name, line FROM open_frames o JOIN functions f USING (function_id) JOIN threads t USING"
                        " (thread_id) WHERE o.process_id = %d AND t.name %s ORDER BY depth" % (process, thread))

    def each(self, ends, body, check, options=()):
        for python in support.PYTHONS:
            for end, number in support.share(list(ends.items()), python):
                with self.subTest(python=python, end=end):
                    with open(self.program, "w", encoding="utf-8") as file:
                        file.write(PROGRAM % {"asleep": ASLEEP, "end": body(end)})
                    recorded = self.run_both(python, options)
                    check(recorded, number)

    def check_killed(self, ended):
        def check(recorded, number):
            self.assertIn(recorded.status, (-number, 0))
            self.check_trace(ended % number if "%" in ended else ended)
            frames = self.open_frames(1, "= 'MainThread'")
            self.assertEqual([name for name, _ in frames][:2], ["<module>", "victim"])
            self.assertGreaterEqual(frames[1][1], VICTIM)
            self.assertEqual([name for name, _ in self.open_frames(1, "LIKE 'Thread-1%'")][-1], "other")
        return check

    def test_signals(self):
        self.each(SIGNALS, lambda end: end, self.check_killed("unknown"))

    def test_signals_seen_by_pyrec(self):
        """With --then it is the parent, and says how the first process ended."""
        few = {end: number for end, number in SIGNALS.items() if "getpid" in end or "abort" in end or "string_at" in end}
        self.each(few, lambda end: end, self.check_killed("signal %d"),
                  ["--then", "folded=" + os.path.join(self.folder.name, "x.folded")])

    def test_signals_in_a_child(self):
        """The parent, which is recorded, learns how it ended."""
        def check(_, number):
            self.check_child("signal %d" % number)
        self.each(SIGNALS, self.in_child, check)

    def in_child(self, end):
        return ("import warnings\n    warnings.simplefilter('ignore')\n    if os.fork() == 0:\n        counts[0] = 0\n        step(0, 500)\n        %s\n        os._exit(99)\n"
                "    os.wait()" % end.replace("\n    ", "\n        "))

    def check_child(self, ended):
        self.assertEqual(self.ask("SELECT number, ended FROM processes ORDER BY 1")[1:], [(2, ended)])
        self.assertEqual(self.ask(
            "SELECT s.hits FROM line_stats s JOIN functions USING (function_id) JOIN threads USING (thread_id)"
            " WHERE process_id = 2 AND functions.name = 'step' AND line = %d" % STEP), [(500,)])

    def test_exits(self):
        def check(recorded, number):
            self.assertIn(recorded.status, (number, -2))
            if recorded.status == -2:
                self.check_trace("unknown")
            else:
                self.check_trace("exit %d" % number)
        self.each(EXITS, lambda end: end, check)


if __name__ == "__main__":
    unittest.main()
