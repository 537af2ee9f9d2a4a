"""What is hard to record: programs that trace themselves, frames that come and go in unusual ways."""
import os
import re
import tempfile
import unittest

import support

SELF_TRACING = '''
import sys, threading, cProfile, doctest, trace
seen = []
def tracer(frame, event, arg):
    seen.append((frame.f_code.co_name, event, frame.f_lineno))
    return tracer
def failing(frame, event, arg):
    raise ValueError("boom")
def f(x):
    y = x + 1
    return y
def g():
    """
    >>> g()
    3
    """
    return 3
print(sys.gettrace(), sys.getprofile())
sys.settrace(tracer)
print(sys.gettrace() is tracer)
f(1)
sys.settrace(None)
print(sys.gettrace(), seen)
f(2)
sys.settrace(failing)
try:
    f(3)
except ValueError as error:
    print(error, sys.gettrace())
seen.clear()
threading.settrace(tracer)
thread = threading.Thread(target=f, args=(4,))
thread.start()
thread.join()
threading.settrace(None)
print([entry for entry in seen if entry[0] == "f"])
profile = cProfile.Profile()
profile.enable()
f(5)
profile.disable()
profile.create_stats()
print(sorted(key[2] for key in profile.stats))
print(doctest.testmod())
counter = trace.Trace(count=1, trace=0)
counter.runfunc(f, 6)
print(sorted((key[1], count) for key, count in counter.results().counts.items() if key[0] == __file__))
f(7)
'''

THROW = '''
def inner():
    try:
        yield 1
    except KeyError:
        yield 2
def outer():
    yield from inner()
def fresh():
    yield
generator = outer()
next(generator)
print(generator.throw(KeyError))
print(list(generator))
try:
    fresh().throw(KeyError)
except KeyError:
    print("thrown into a generator that had not begun")
'''

FORK_IN_GENERATOR = '''
import os
def numbers():
    for n in range(3):
        pid = os.fork()
        if pid == 0:
            yield "child %d" % n
            os._exit(0)
        os.waitpid(pid, 0)
        yield n
def other():
    yield 1
    yield 2
waiting = other()
next(waiting)
for n in numbers():
    if isinstance(n, str):
        next(waiting)
'''

GREENLETS = '''
import greenlet
def work(name, other):
    for i in range(3):
        other().switch()
    return name
a = greenlet.greenlet(lambda: work("a", lambda: b))
b = greenlet.greenlet(lambda: work("b", lambda: a))
print(a.switch())
'''


TRACER_FROM_C = '''
import ctypes
def f():
    return 1
f()
ctypes.pythonapi.PyEval_SetTrace(None, None)
for i in range(100):
    pass
for i in range(3):
    f()
'''

# The same in another thread, while the main one is at work.
TRACER_IN_A_THREAD = '''
import ctypes, threading, time
turns = 0
def f():
    for i in range(100):
        x = 1
def work():
    f()
    ctypes.pythonapi.PyEval_SetTrace(None, None)
    enough = turns + 20     # of the main one, however long they take
    while turns < enough:
        time.sleep(0.01)
    f()
thread = threading.Thread(target=work, name="other")
thread.start()
while thread.is_alive():
    turns += 1
    time.sleep(0.005)
thread.join()
'''

# ... and while the main one is not, to the end of the thread.
TRACER_TO_THE_END = '''
import ctypes, threading
def f():
    pass
def work():
    f()
    ctypes.pythonapi.PyEval_SetTrace(None, None)
    f()
    ctypes.CDLL(None).usleep(20000)
thread = threading.Thread(target=work, name="other")
thread.start()
ctypes.PyDLL(None).sched_yield()
thread.join()
'''

SUBINTERPRETER = '''
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
def f():
    return 1
f()
made = interpreters.create()
run = getattr(interpreters, "exec", None) or interpreters.run_string
run(made, "def g(): return 1\\nfor n in range(100): g()")
interpreters.destroy(made)
f()
'''

THREAD_OF_C = '''
import ctypes, threading
libc = ctypes.CDLL(None)
seen = []
def inside(argument):
    for n in range(3):
        seen.append(n)
    return None
plain = threading.Thread(target=seen.append, args=(9,))
plain.start()
plain.join()
function = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(inside)
handle = ctypes.c_ulong()
libc.pthread_create(ctypes.byref(handle), None, function, None)
libc.pthread_join(handle, None)
print(seen)
'''

EARLY_THREAD = '''
import threading, time
stop = False
def spin():
    n = 0
    while not stop:
        n += 1
        if n % 1000 == 0:
            time.sleep(0.001)
thread = threading.Thread(target=spin, name="early")
thread.start()
'''

LATE_PROGRAM = '''
import sitecustomize, time
def late():
    time.sleep(0.02)
late()
sitecustomize.stop = True
sitecustomize.thread.join()
'''

# From 3.14 on. What is given away has been called before, and recorded.
GIVEN_AWAY = '''
import concurrent.interpreters
from concurrent.futures import InterpreterPoolExecutor
def plus(x):
    return x + 1
def script():
    print("script", end=" ", flush=True)
if __name__ == "__main__":
    plus(1), script()
    other = concurrent.interpreters.create()
    other.exec(script)
    thread = other.call_in_thread(script)
    thread.join()
    print(other.call(plus, 3), other.call(lambda: 4))
    with InterpreterPoolExecutor(2) as pool:
        print(sorted(pool.map(plus, range(4))))
    other.close()
'''

# In 3.13 by functions of a private module, which want code that nobody has touched.
GIVEN_AWAY_BELOW = '''
import sys
if "before" in sys.argv:
    import pyrec, _interpreters     # loaded when recording begins
    pyrec.start(sys.argv[2])
import _interpreters
seen = []
if "audited" in sys.argv:
    sys.addaudithook(lambda event, arguments: seen.append(event) if event.startswith(("code.", "marshal.")) else None)
def script():
    def inner(n):
        return [k * n for k in range(3)] if n else list(locals())
    print("script", inner(2), [name for name in [5] for name in inner(0)], flush=True)
def fails():
    raise ValueError("of its own")
def takes(argument):
    pass
def closes():
    return seen
def make():
    here = 1
    return lambda: here
module = compile("k = [one for one in (1, 2)]; print('module', k, 'one' in locals(), flush=True)", "<given>", "exec")
script(), takes(1), closes(), exec(module)
other = _interpreters.create()
for n in range(2):
    for name in "exec", "call", "run_func":
        for thing in script, script.__code__, fails, takes, make(), closes, module, print, 3:
            try:
                made = getattr(_interpreters, name)(other, thing)
                print(name, getattr(made, "formatted", made), flush=True)
            except (TypeError, ValueError) as error:
                print(name, error, flush=True)
    _interpreters.exec(id=other, code=script)
    _interpreters.call(other, callable=script)
    _interpreters.run_func(other, func=script.__code__, shared={"x": 1})
print(seen, script.__code__ is script.__code__, script())
_interpreters.destroy(other)
if "before" in sys.argv:
    pyrec.stop()
'''

CODE_EXTRA = '''
import ctypes, gc, sys
py = ctypes.pythonapi
names = ("PyUnstable_Eval_RequestCodeExtraIndex", "PyUnstable_Code_SetExtra") if sys.version_info >= (3, 12) else \\
        ("_PyEval_RequestCodeExtraIndex", "_PyCode_SetExtra")
request, store = (getattr(py, name) for name in names)
free_function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
freed = []
free = free_function(freed.append)
request.argtypes, request.restype = (free_function,), ctypes.c_ssize_t
store.argtypes = (ctypes.py_object, ctypes.c_ssize_t, ctypes.c_void_p)
index = request(free)
def make(n):
    space = {}
    exec("def f(): return %d" % n, space)
    return space["f"]
for n in range(20):
    f = make(n)
    f()
    if n % 4 == 0:
        store(f.__code__, index, 100 + n)
        f()
    del f
gc.collect()
print(freed)
del free, freed
'''

C_CALLS = '''
def key(value):
    return -value
def main():
    items = []
    for i in range(5):
        items.append(i)
    items.sort(key=key)
    sorted(items, key=key)
    try:
        len(3)
    except TypeError:
        pass
    "x".join(str(i) for i in items)
    print(len(items), max(items), "a,b".split(","))
if __name__ == "__main__":
    main()
'''

CPROFILE = '''
import cProfile, json, program
profile = cProfile.Profile()
profile.runcall(program.main)
profile.create_stats()
print(json.dumps({key[2]: stats[1] for key, stats in profile.stats.items() if key[0] == "~"}))
'''


class Unusual(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyrec-unusual-")

    def tearDown(self):
        self.folder.cleanup()

    def check(self, source, verify, pythons=None, options=(), env=None, warnings=b""):
        """The program behaves as without us on every interpreter, the books close, and verify(recording) is content."""
        path = os.path.join(self.folder.name, "program.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)
        for python in support.PYTHONS if pythons is None else pythons:
            recording = support.Recording(python, [path], options, env=env, warnings=warnings)
            with self.subTest(python=python):
                self.assertEqual(recording.plain.status, recording.recorded.status, recording.recorded)
                self.assertEqual(recording.plain.out, recording.recorded.out)
                self.assertEqual(recording.plain.err, recording.recorded.err)
                self.assertEqual(recording.value("SELECT max(abs(difference_ns)) FROM accounts"), 0)
                verify(recording)
            recording.close()

    def function(self, recording, name, what):
        return recording.value("SELECT sum(%s) FROM functions JOIN files USING (file_id) "
                               "WHERE origin = 'program' AND functions.name = ?" % what, name)

    def test_a_program_that_traces_itself(self):
        def verify(recording):
            self.assertEqual(self.function(recording, "g", "hits"), 1)
            # The call that the failing tracer forbids is seen where the interpreter tells us before the tracer.
            self.assertIn(self.function(recording, "f", "calls"), (6, 7))
            self.assertEqual(self.function(recording, "f", "hits"), 12)
        self.check(SELF_TRACING, verify)

    def test_a_tracer_installed_from_c(self):
        def verify(recording):
            self.assertEqual(self.function(recording, "f", "calls"), 4)
            self.assertEqual(self.function(recording, "f", "hits"), 4)
        self.each_generation(TRACER_FROM_C, verify, b"another tracer took the recorder's place")

    def test_a_tracer_installed_from_c_in_another_thread(self):
        """From 3.12 on it does not concern us."""
        def verify(recording):
            old = support.version(recording.python) < (3, 12)
            self.assertEqual(recording.query("SELECT reason, name FROM gaps JOIN threads USING (thread_id)"),
                             [("replaced", "other")] if old else [])
            self.assertEqual(recording.value("SELECT complete FROM runs"), not old)
            self.assertEqual(self.function(recording, "f", "calls"), 2)
            self.assertEqual(self.function(recording, "f", "hits"), 402)
        self.each_generation(TRACER_IN_A_THREAD, verify, b"another tracer took the recorder's place")

    def test_a_tracer_installed_from_c_to_the_end_of_a_thread(self):
        def verify(recording):
            lost = 2 - self.function(recording, "f", "calls")
            gaps = recording.query("SELECT reason, name, g.end_ns - g.start_ns > 0 FROM gaps g JOIN threads USING (thread_id)")
            self.assertEqual(gaps, [("replaced", "other", 1)] if support.version(recording.python) < (3, 12) else [])
            self.assertLessEqual(lost, len(gaps))
        self.each_generation(TRACER_TO_THE_END, verify, b"another tracer took the recorder's place")

    def each_generation(self, source, verify, warning):
        """The warning is for those without sys.monitoring."""
        for python in support.PYTHONS:
            old = support.version(python) < (3, 12)
            self.check(source, verify, [python], warnings=warning if old else b"")

    def test_subinterpreters_are_a_declared_gap(self):
        def verify(recording):
            self.assertEqual({row[0] for row in recording.query("SELECT reason FROM gaps")}, {"unseen"})
            self.assertEqual(recording.value("SELECT complete FROM runs"), 0)
            self.assertEqual(self.function(recording, "f", "calls"), 2)
            report = support.run([support.PYANALYZE, recording.trace])
            self.assertIn(b"Warning: Python code may have run unrecorded", report.out)
            self.assertEqual(report.err.count(b"warning"), 1, report)       # nothing had to stop
        self.check(SUBINTERPRETER, verify, warnings=b"Python code may have run unrecorded")

    def test_threads_of_c_are_recorded_or_a_declared_gap(self):
        def verify(recording):
            gaps = {row[0] for row in recording.query("SELECT reason FROM gaps")}
            if support.version(recording.python) < (3, 12):
                self.assertEqual(gaps, {"unseen"})
            else:
                self.assertEqual(gaps, set())
                self.assertEqual(self.function(recording, "inside", "hits"), 3 + 4 + 1)
        self.each_generation(THREAD_OF_C, verify, b"Python code may have run unrecorded")

    def test_throw_passes_through_generators(self):
        def verify(recording):
            self.assertEqual(recording.sql("SELECT count(*) FROM events WHERE event = 'switch'"), [(0,)])
            # next, throw, and the end: each enters both generators, the first time by a call.
            self.assertEqual(self.function(recording, "outer", "calls"), 1)
            self.assertEqual(self.function(recording, "inner", "calls"), 1)
            self.assertEqual(self.function(recording, "inner", "resumes"), 2)
            self.assertEqual(self.function(recording, "fresh", "calls"), 1)
            self.assertEqual(self.function(recording, "fresh", "resumes"), 0)
            self.assertEqual(recording.query(
                "SELECT DISTINCT caller_function FROM edges WHERE callee_function = 'inner' AND resumes > 0"),
                [("outer",)])
        self.check(THROW, verify)

    def test_fork_in_a_generator(self):
        def verify(recording):
            self.assertEqual(recording.value("SELECT count(*) FROM processes"), 4)
            self.assertEqual(self.function(recording, "numbers", "calls"), 1)
            # Each child goes on with a generator that it has from its parent.
            self.assertEqual(recording.sql(
                "SELECT process_id, count(*) FROM events WHERE event = 'resume' AND function = 'other' "
                "AND process_id > 1 GROUP BY 1 ORDER BY 1"), [(2, 1), (3, 1), (4, 1)])
            self.assertEqual(recording.value("SELECT count(*) FROM warnings"), 0)
        self.check(FORK_IN_GENERATOR, verify)

    def test_a_thread_that_runs_already(self):
        def verify(recording):
            self.assertEqual(recording.query("SELECT name FROM threads ORDER BY 1"), [("MainThread",), ("early",)])
            row = recording.query("SELECT calls, hits > 0, self_ns > 0 FROM functions WHERE name = 'spin'")
            self.assertEqual(row, [(0, 1, 1)], "it takes time and counts no call")
            self.assertEqual(self.function(recording, "late", "calls"), 1)
        with open(os.path.join(self.folder.name, "sitecustomize.py"), "w", encoding="utf-8") as file:
            file.write(EARLY_THREAD)
        self.check(LATE_PROGRAM, verify, env=support.environment(PYTHONPATH=self.folder.name))

    def test_functions_of_c_are_those_of_cprofile(self):
        def verify(recording):
            # The library calls C functions too, in the program's files are only these.
            ours = dict(recording.query(
                "SELECT callee_function, sum(calls) FROM edges WHERE caller_file LIKE '%/program.py' "
                "AND callee_function LIKE '<%>' AND callee_file = '<built-in>' GROUP BY 1"))
            theirs = support.run([recording.python, "-c", CPROFILE], cwd=self.folder.name)
            self.assertEqual(theirs.status, 0, theirs)
            theirs = support.json.loads(theirs.out.split(b"\n")[1])
            theirs.pop("<method 'disable' of '_lsprof.Profiler' objects>", None)
            self.assertEqual(ours, theirs)
        self.check(C_CALLS, verify, options=["--c-calls"])

    def test_functions_for_other_interpreters(self):
        pythons = [python for python in support.PYTHONS if support.version(python) >= (3, 14)]
        if not pythons:
            self.skipTest("no interpreter has concurrent.interpreters")
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "program.py")
            with open(program, "w", encoding="utf-8") as file:
                file.write(GIVEN_AWAY)
            for python in pythons:
                for options in ([], ["--c-calls"], ["--exclude-syspath"], ["--sample", "200us"]):
                    with self.subTest(support.version_name(python), options=options):
                        result = support.run([support.PYREC, "run", "-o", program + ".bin", "--force", *options, "--python", python,
                                              program])
                        self.assertEqual((result.status, result.out, result.err),
                                         (0, b"script script script 4 4\n[1, 2, 3, 4]\n", b""), result)

    def test_functions_for_other_interpreters_of_3_13(self):
        pythons = [python for python in support.PYTHONS if support.version(python)[:2] == (3, 13)]
        if not pythons:
            self.skipTest("another version has other ways")
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "program.py")
            with open(program, "w", encoding="utf-8") as file:
                file.write(GIVEN_AWAY_BELOW)
            for python in pythons:
                for arguments in ([], ["audited"]):
                    plain = support.run([python, program, *arguments])
                    self.assertEqual((plain.status, plain.out.count(b"None"), plain.out.count(b"of its own")),
                                     (0, 19, 6), plain)
                    for options in ([], ["--c-calls"], ["--exclude-syspath"], ["--sample", "200us"]):
                        with self.subTest(support.version_name(python), options=options, arguments=arguments):
                            result = support.run([support.PYREC, "run", "-o", program + ".bin", "--force", *options, "--python",
                                                  python, program, *arguments])
                            self.assertEqual((result.status, result.out, result.err), (0, plain.out, plain.err))
                env = support.environment(PYTHONPATH=os.path.join(support.BUILD, "python"))
                plain = support.run([python, program])
                result = support.run([python, program, "before", program + ".own"], env=env)
                self.assertEqual((result.status, result.out, result.err), (0, plain.out, plain.err))

    def test_other_owners_of_co_extra_are_left_in_peace(self):
        def verify(recording):
            self.assertIn(b"[100, 104, 108, 112, 116]", recording.recorded.out)
            self.assertEqual(self.function(recording, "make", "calls"), 20)
        self.check(CODE_EXTRA, verify)

    def test_greenlets_switch_and_call_nobody(self):
        def verify(recording):
            self.assertGreater(recording.sql("SELECT count(*) FROM events WHERE event = 'switch'")[0][0], 4)
            self.assertEqual(self.function(recording, "work", "calls"), 2)
            self.assertEqual(self.function(recording, "work", "resumes"), 0)
            self.assertEqual(recording.query(
                "SELECT caller_function FROM edges WHERE callee_function = 'work'"), [("<lambda>",)] * 2)
        pythons = [python for python in support.PYTHONS if support.has_module(python, "greenlet")]
        if not pythons:
            self.skipTest("no interpreter has greenlet")
        self.check(GREENLETS, verify, pythons)


class OwnCost(unittest.TestCase):
    """What -v says that recording took."""

    LINES = (r"\Apyrec: .*trace.bin: [\d.]+ MB, ([\d,]+) events, 1 thread, 1 process; see it with: pyanalyze .*\n"
             r"pyrec: own cost: ([\d.]+) bytes and ([\d.]+) ns an event \(measured now, without CPython's part\), "
             r"([\d.]+) s in all\n"
             r"pyrec: own cost: entering [\d.]+ s; definitions and sources [\d.]+ s \((\d+) times\); "
             r"chunks [\d.]+ s \((\d+)\), at most (\d+) KB of them mapped\n\Z")

    def test_figures(self):
        for python in support.PYTHONS:
            with self.subTest(python=python):
                recording = support.Recording(
                    python, ["-c", "for i in range(100000):\n    j = i\n    exec('k = 1') if i % 1000 == 0 else 0\n"], ["-v"])
                self.addCleanup(recording.close)
                found = re.match(self.LINES, recording.recorded.err.decode())
                self.assertTrue(found, recording.recorded)
                events = int(found.group(1).replace(",", ""))
                self.assertEqual(events, recording.value("SELECT sum(events) FROM threads"))
                self.assertAlmostEqual(float(found.group(2)), os.path.getsize(recording.trace) / events, places=1)
                self.assertAlmostEqual(float(found.group(4)), float(found.group(3)) * events / 1e9, delta=0.001)
                self.assertGreaterEqual(int(found.group(5)), 101)  # once an exec, and the program
                self.assertGreater(int(found.group(6)), 3)
                self.assertIn(int(found.group(7)), range(256, 1024))


if __name__ == "__main__":
    unittest.main()
