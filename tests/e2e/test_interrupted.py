"""What a program does while the recorder is in the middle of something, or at an end of its own, does no harm."""
import os
import shutil
import tempfile
import unittest

import support

PACKAGE = os.path.join(support.BUILD, "python")

# A handler in C, which may run at any instruction, ends the process. Most of these find the recorder writing.
HANDLER_EXITS = """
import ctypes, os, random, signal, sys
lib = ctypes.CDLL(None)
lib.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
code = compile("pass", "<made>", "exec")
def child():
    lib.signal(signal.SIGALRM, ctypes.cast(lib._exit, ctypes.c_void_p))
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.003))
    n = 0
    while True:
        n += 1
        exec(code.replace(co_name="made %d " % n + 400 * "long "))
for n in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        child()
    status = os.waitpid(pid, 0)[1]
    if status != signal.SIGALRM << 8:
        print(status)
print("all have ended")
"""

# The disk, or its share of it, is full at the moment of a pause or of its end, with whatever in hand.
FULL = """
import pyrec, sys
def work(n):
    for i in range(n):
        pass
for size in range(40, 400, 6):
    pyrec.start(None, max_size="%dK" % size)
    for n in range(2000):
        work(n % 7)
        pyrec.pause()
        pyrec.resume()
        if not pyrec.is_recording():
            break
    pyrec.stop()
print("done")
"""

NAMES = """
import threading
class Thread(threading.Thread):
    asked = 0
    @property
    def _name(self):
        Thread.asked += 1
        return "name"
    @_name.setter
    def _name(self, name):
        pass
thread = Thread(target=lambda: print("runs"))
Thread.asked = 0
thread.start()
thread.join()
print(Thread.asked)
"""

KEYS = """
import ctypes, pyrec, sys, threading
lib = ctypes.CDLL(None)
key = ctypes.c_uint()
while lib.pthread_key_create(ctypes.byref(key), None) == 0:
    pass
def f():
    return 1
pyrec.start(None)
f()
thread = threading.Thread(target=f)
thread.start()
thread.join()
called = ctypes.CFUNCTYPE(ctypes.c_int)(f)
print(called())
pyrec.stop()
print(called())
"""

# Children by vfork(), as subprocess makes them, run in the memory of this process.
MEMORY = """
import os, subprocess, sys
os.environ.update(("NAME_%d" % n, "value") for n in range(3000))
def mapped():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0])
def run(count):
    for n in range(count):
        subprocess.run(["/bin/true"], check=True)
run(5)
before = mapped()
run(60)
print(mapped() - before < 100, file=sys.stderr)
"""


class Interrupted(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-interrupted-")
        self.addCleanup(shutil.rmtree, self.folder)

    def program(self, text):
        path = os.path.join(self.folder, "program.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def each(self, text, *arguments, options=((), ("-S",)), verify=None):
        """The same happens recorded, in both ways, as plainly; `verify` gets the trace."""
        program = self.program(text)
        trace = os.path.join(self.folder, "trace.bin")
        for python in support.PYTHONS:
            plain = support.run([python, program, *arguments], cwd=self.folder)
            for more in options:
                with self.subTest(python=python, options=more):
                    recorded = support.run([support.PYREC, "run", "--python", python, "-o", trace, *more, program,
                                            *arguments], cwd=self.folder)
                    self.assertEqual((recorded.status, recorded.out, recorded.err),
                                     (plain.status, plain.out, plain.err))
                    self.assertEqual(recorded.status, 0, recorded)
                    if verify:
                        verify(trace)

    def rows(self, trace, sql):
        result = support.run([support.PYANALYZE, trace, "--sql", sql])
        self.assertEqual(result.status, 0, result)
        return [tuple(line.split("\t")) for line in result.out.decode().split("\n")[1:-1]]

    def test_handlers_that_end_the_process(self):
        """What they interrupted is as a kill would have left it: of each process the event in hand may be lost, and is counted."""
        children = 1000 if support.LONG else 100

        def verify(trace):
            self.assertEqual(self.rows(trace, "SELECT count(*) FROM processes WHERE ended = 'exit 14'"),
                             [(str(children),)])
            self.assertEqual(self.rows(trace, "SELECT DISTINCT difference_ns FROM accounts"), [("0",)])
            self.assertEqual(self.rows(trace, "SELECT text FROM warnings WHERE text NOT LIKE "
                                       "'%did not end in order%' AND text NOT LIKE '%event% lost'"), [])
            self.assertLessEqual(int(self.rows(trace, "SELECT lost_events FROM runs")[0][0]), children)
        self.each(HANDLER_EXITS, str(children), options=((), ("--sample", "50us")), verify=verify)

    def test_pauses_where_nothing_fits_any_more(self):
        for python in support.PYTHONS:
            with self.subTest(python=python):
                result = support.run([python, self.program(FULL)], env=support.environment(PYTHONPATH=PACKAGE))
                self.assertEqual((result.status, result.out, result.err), (0, b"done\n", b""))

    def test_names_are_looked_up_without_the_programs_code(self):
        self.each(NAMES)

    def test_no_key_is_left_for_data_of_threads(self):
        for python in support.PYTHONS:
            with self.subTest(python=python):
                result = support.run([python, self.program(KEYS)], env=support.environment(PYTHONPATH=PACKAGE))
                self.assertEqual((result.status, result.out, result.err), (0, b"1\n1\n", b""))

    def test_children_leave_no_memory_behind(self):
        self.each(MEMORY)


if __name__ == "__main__":
    unittest.main()
