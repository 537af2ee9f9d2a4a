"""Samples: what pyrec run --sample takes is true, complete in its books, and the program does not notice."""
import collections
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest

import support

import decode

MINUTES = float(os.environ.get("MINUTES", "0"))      # `make torture`: for how long each hostile program is sampled, at least

# What each line does is known: a thread that is alone spends three parts of its time in one loop, one in another. They
# take turns of odd lengths, not in step with a clock of any kind, and the program says what they took.
SHARES = '''
import time
def three(n):
    x = 0
    for i in range(n):
        x += i; x -= i; x += i; x -= i
    return x
def one(n):
    x = 0
    for i in range(n):
        x += i; x -= i; x += i; x -= i
    return x
took = [0, 0, 0, 0]
turn = 1
for _ in range(60):
    turn = turn * 37 % 101     # 1 to 100, as by chance
    for i, (function, n) in enumerate(((three, 300 * turn), (one, 100 * turn))):
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        function(n)
        took[i] += time.perf_counter_ns() - wall
        took[2 + i] += time.thread_time_ns() - cpu
print(*took)
'''

# From 3.12 on the interpreter puts a frame of its own between the two.
CONSTRUCTORS = '''
class Box:
    def __init__(self, n):
        for i in range(n):
            pass
def make(n):
    for i in range(n):
        Box(200)
make(10000)
'''

STATES = '''
import threading, time
stop = False
def busy():
    while not stop:
        sum(range(100))
def sleeper():
    time.sleep(0.5)
threads = [threading.Thread(target=busy, name="busy%d" % i) for i in range(2)]
threads.append(threading.Thread(target=sleeper, name="sleeper"))
for thread in threads:
    thread.start()
threads[2].join()
stop = True
for thread in threads[:2]:
    thread.join()
'''

# Many threads that rest, and one of them that goes on now and then; what time its lines took it says itself.
RESTING = '''
import threading, time
end = threading.Event()
def sleeper():
    end.wait()
def walker():
    times = [time.monotonic()]
    time.sleep(0.3)
    times.append(time.monotonic())
    time.sleep(0.15)
    times.append(time.monotonic())
    time.sleep(0.2)
    times.append(time.monotonic())
    print(*(int(1e9 * (b - a)) for a, b in zip(times, times[1:])))
threads = [threading.Thread(target=sleeper) for i in range(30)] + [threading.Thread(target=walker)]
for thread in threads:
    thread.start()
threads[-1].join()
end.set()
for thread in threads:
    thread.join()
'''

# A thread that cannot go on, because one call of C keeps the lock; the kernel wakes it every few milliseconds to look.
KEPT = '''
import threading
done = False
def waiter():
    while not done:
        pass
thread = threading.Thread(target=waiter, name="waiter")
thread.start()
sum(range(40000000))
done = True
thread.join()
'''

# The same code compiled again and again, as a template is; and another that is only nearly the same.
AGAIN = '''
TEXT = "def inner(n):\\n return sum(range(n))\\nfor i in range(3):\\n inner(50000)\\n"
for i in range(300):
    exec(compile(TEXT, "<template>", "exec"))
exec(compile("\\n" + TEXT, "<template>", "exec"))
'''

# A thread for each request, as many servers have it; then the end that is asked for.
REQUESTS = '''
import os, signal, sys, threading
def request(n):
    sum(range(n))
def serve(count):
    for i in range(count):
        thread = threading.Thread(target=request, args=(200000,))
        thread.start()
        thread.join()
END = "%s"
serve(60)
if END == "fork":
    if os.fork() == 0:
        serve(60)
        os._exit(0)
    serve(60)
    os.wait()
if END == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
'''

# Calls of every kind, some too short to be copied while they last; code that comes and goes; threads; generators.
MIXTURE = '''
import threading
class Box:
    def __init__(self, n):
        self.n = n
    @property
    def twice(self):
        return self.n + self.n
    def __add__(self, other):
        return Box(self.n + other.n)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
def numbers(n):
    for i in range(n):
        yield i
def chain(n):
    yield from numbers(n)
def short(i):
    return i
def other(i):
    return -i
def down(n):
    return 0 if n == 0 else 1 + down(n - 1)
def catch(n):
    try:
        raise ValueError(n)
    except ValueError as error:
        return error
def churn(n):
    for i in range(n):
        space = {}
        exec("def made(x):\\n    return x + %d\\nfor i in range(50):\\n    made(i)\\n" % i, space)
def work():
    for i in range(12):
        fib(15)
        sum(chain(500))
        for k in range(500):
            short(k)
            other(k)
        Box(1) + Box(2)
        Box(3).twice
        down(100)
        catch(i)
        churn(20)
        sorted([short(k) for k in range(300)], key=lambda k: other(k))
def threads():
    for i in range(10):
        thread = threading.Thread(target=work)
        thread.start()
        if i % 3 == 0:
            thread.join()
work()
threads()
'''

FORKS = '''
import os
def spin(n):
    for i in range(n):
        pass
def child():
    spin(3000000)
    os._exit(7)
for i in range(20):
    if os.fork() == 0:
        child() if i == 0 else os._exit(0)
    spin(2000)
for i in range(20):
    os.wait()
print("done")
'''

# Ends at which the interpreter still knows what threads there have been.
FORK_THREADS = '''
import ctypes, os, sys, threading, time, warnings
warnings.simplefilter("ignore")     # that a thread forks
def spin(n=300000):
    for i in range(n):
        pass
def threads():
    several = [threading.Thread(target=spin, name="made%d" % i) for i in range(3)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    libc, foreign = ctypes.CDLL(None), ctypes.c_ulong()
    body = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda argument: spin())
    assert libc.pthread_create(ctypes.byref(foreign), None, body, None) == 0
    assert libc.pthread_join(foreign, None) == 0
def child():
    if os.fork() == 0:
        threads()
        while time.thread_time() < 0.2:
            spin()
        os._exit(0)
    os.wait()
spin()
threads()
child()
thread = threading.Thread(target=child, name="forks")
thread.start()
thread.join()
sys.stdout.write("threads\\n")
sys.stdout.flush()
os._exit(0)
'''

# os.fork() warns of threads from 3.12 on: where the program has some, and nowhere else.
FORK_WARNINGS = '''
import os, sys, threading, warnings
warnings.simplefilter("always")
warned = []
warnings.showwarning = lambda message, category, *where: warned.append(category.__name__)
def fork(how, n):
    for i in range(n):
        pid = how()
        if pid == 0:
            os._exit(0)
        sum(range(300))
        if i % 5 == 4:
            for _ in range(5):
                os.wait()
def terminal():
    pid, fd = os.forkpty()
    if pid != 0:
        try:
            os.read(fd, 1)      # until the child has ended: without its terminal it would be hung up
        except OSError:
            pass
        os.close(fd)
    return pid
def report(what):
    print(what, len(warned), sorted(set(warned)))
    warned.clear()
fork(os.fork, ROUNDS * 50)
report("alone")
try:
    fork(terminal, 5)
    report("terminals")
except OSError:
    print("no terminals")
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
fork(os.fork, ROUNDS * 10)
report("beside a thread")
stop.set()
thread.join()
thread = threading.Thread(target=fork, args=(os.fork, ROUNDS * 10))
thread.start()
thread.join()
report("in a thread")
'''

# In a pause there is no thread of ours, from its first moment on.
FORKS_IN_PAUSES = '''
import os, signal, warnings
warnings.simplefilter("always")
warned = []
warnings.showwarning = lambda message, category, *where: warned.append(category.__name__)
for i in range(300):
    signal.raise_signal(signal.SIGUSR1)
    if os.fork() == 0:
        os._exit(0)
    signal.raise_signal(signal.SIGUSR1)
    os.wait()
    sum(range(3000))
print("warned", warned)
'''

# Attempts that fail, and what comes after: sampled as what came before.
EXECS = '''
import os
def before(n):
    for i in range(n):
        pass
def after(n):
    for i in range(n):
        pass
before(8000000)
for i in range(3):
    try:
        os.execvp("no-such-program-anywhere", ["x"])
    except FileNotFoundError:
        pass
after(8000000)
print("execs", flush=True)
'''

# A program that counts on its descriptors, threads and signals being its own.
OWN = '''
import os, signal, sys, threading, time
os.close(0)
for i in range(300):
    fd = os.open("/dev/null", os.O_RDONLY)
    assert fd == 0, fd
    os.close(fd)
    time.sleep(0.0002)
assert threading.active_count() == 1 and len(sys._current_frames()) == 1
assert signal.getsignal(signal.SIGPROF) == signal.SIG_DFL and not signal.pthread_sigmask(signal.SIG_BLOCK, [])
got = []
signal.signal(signal.SIGUSR1, lambda *args: got.append(threading.current_thread()))
for i in range(100):
    os.kill(os.getpid(), signal.SIGUSR1)
assert len(got) == 100 and set(got) == {threading.main_thread()}
assert "gc" not in sys.modules, "something imported gc"
print("own")
'''


# What moves fast under a sampler's eyes, one program each. Every one of them ends by itself, and prints what it should.
HOSTILE = {
    "threads": """
import threading
def leaf(n):
    for i in range(n):
        pass
def work():
    leaf(300)
for i in range(ROUNDS * 60):
    several = [threading.Thread(target=work) for _ in range(8)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
print("threads")
""",
    "recursion": """
import sys
sys.setrecursionlimit(30000)
def down(n):
    return 0 if n == 0 else 1 + down(n - 1)
def zigzag(n, depth):
    for i in range(n):
        down(depth * i // n)
for i in range(ROUNDS * 3):
    zigzag(40, 8000)
print("recursion")
""",
    "generators": """
import asyncio
def numbers(n):
    for i in range(n):
        yield i
def nested(n, depth):
    if depth:
        yield from nested(n, depth - 1)
    else:
        yield from numbers(n)
async def task(n):
    for i in range(n):
        await asyncio.sleep(0)
    return n
async def tasks():
    return sum(await asyncio.gather(*[task(20) for i in range(20)]))
for i in range(ROUNDS * 25):
    sum(nested(40, 20))
    sum(len(list(numbers(3))) for _ in range(300))
    asyncio.run(tasks())
print("generators")
""",
    "codes": """
def churn(n):
    for i in range(n):
        name = "made" + "xyz"[i % 3] * (i % 50)
        space = {}
        exec("def %s(x):\\n    for k in range(20):\\n        x += k\\n    return x\\n%s(1)" % (name, name), space)
        space[name](2)
churn(ROUNDS * 1500)
print("codes")
""",
    "fork": """
import os
def child(n):
    for i in range(n):
        pass
for i in range(ROUNDS * 60):
    if os.fork() == 0:
        child(3000)
        os._exit(0)
    child(500)
for i in range(ROUNDS * 60):
    assert os.wait()[1] == 0
print("fork")
""",
    "subinterpreters": """
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
def spin(n):
    for i in range(n):
        pass
for i in range(ROUNDS * 12):
    other = interpreters.create()
    (getattr(interpreters, "run_string", None) or interpreters.exec)(other, "def f(n):\\n    for i in range(n): pass\\nf(2000)")
    interpreters.destroy(other)
    spin(2000)
print("subinterpreters")
""",
    "shutdown": """
import signal, subprocess, sys
crashed = 0
for i in range(ROUNDS * 4):
    program = "import threading, atexit, sys\\ndef spin():\\n    while True:\\n        [x for x in range(50)]\\n" \\
        "for _ in range(6): threading.Thread(target=spin, daemon=True).start()\\n" \\
        "atexit.register(lambda: [i for i in range(1000)])\\n" \\
        "class Last:\\n    def __del__(self):\\n        sum(range(10000))\\nlast = Last()\\nsys.last = Last()"
    status = subprocess.run([sys.executable, "-c", program]).returncode
    # Up to 3.10 threads that run on at the end crash the interpreter by itself, one time in a few hundred.
    known = status == -signal.SIGSEGV and sys.version_info < (3, 11)
    assert status == 0 or known, status
    crashed += known
assert crashed <= 1 + ROUNDS // 6, crashed
print("shutdown")
""",
}


MODULE = """
import os, sys, threading
import pyrec
def burn(n):
    for i in range(n):
        pass
def idle(n):
    for i in range(n):
        pass
def other():
    for k in range(40):
        burn(50000)
def begin(depth, path):
    begin(depth - 1, path) if depth else pyrec.start(path, sample="200us")
thread = threading.Thread(target=other, name="early")
thread.start()
for attempt in range(2):
    path = os.path.join(sys.argv[1], "%d.bin" % attempt)
    begin(40 * attempt, path)
    assert [c for c in object.__subclasses__() if c.__module__ in ("builtins", "pyrec") and c.__name__ == "C"] == []
    burn(2000000)
    pyrec.pause()
    idle(2000000)
    pyrec.resume()
    burn(2000000)
    assert not pyrec.mark("not here")
    pyrec.stop()
    rows = dict(pyrec.query(path, "SELECT name, samples FROM functions WHERE name IN ('burn', 'idle')"))
    assert rows["burn"] > 10 and rows.get("idle", 0) == 0, rows
    names = {row[0] for row in pyrec.query(path, "SELECT name FROM threads")}
    assert "MainThread" in names and names <= {"MainThread", "early"}, names
    assert pyrec.query(path, "SELECT DISTINCT reason FROM gaps") == [("paused",)]
    assert pyrec.query(path, "SELECT sum(difference_ns) FROM accounts") == [(0,)]
    thread.join()
print("module")
"""


TOGGLE = """
import os, signal
def on(n):
    for i in range(n):
        pass
def off(n):
    for i in range(n):
        pass
def toggle():
    os.kill(os.getpid(), signal.SIGUSR1)
for i in range(5):
    on(800000)
    toggle()
    off(100000)
    toggle()
on(100000)
print("toggle")
"""


# What the main thread waits for when the signal comes: a call that cannot be interrupted, and those that go on by themselves.
TOGGLE_LATE = """
import os, select, signal, subprocess, sys, threading, time
def early(n):
    for i in range(n):
        pass
def late(n):
    for i in range(n):
        pass
def again(n):
    for i in range(n):
        pass
def soon(function, *arguments):
    thread = threading.Timer(0.1, function, arguments)
    thread.start()
    return thread
def toggle():
    os.kill(os.getpid(), signal.SIGUSR1)
early(600000)
thread = soon(toggle)
sum(range(30000000))        # handlers of Python run behind it
thread.join()
late(600000)
toggle()
again(600000)
begun = time.monotonic()
thread = soon(toggle)
time.sleep(0.3)
assert time.monotonic() - begun >= 0.3
thread.join()
late(600000)
toggle()
ends = os.pipe()
threads = [soon(toggle), threading.Timer(0.3, os.write, (ends[1], b"x"))]
threads[1].start()
assert select.select([ends[0]], [], [])[0] == [ends[0]] and os.read(ends[0], 9) == b"x"
for thread in threads:
    thread.join()
late(600000)
toggle()
thread = soon(toggle)
assert subprocess.run(["sleep", "0.3"]).returncode == 0
thread.join()
late(600000)
toggle()
again(600000)
print("late")
"""

# A program with its own idea of the signal.
TOGGLE_NOT_TAKEN = """
import signal
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
ours = signal.getsignal(signal.SIGUSR1)
assert signal.signal(signal.SIGUSR1, ours) is ours
for wrong in ((signal.SIGUSR1, 3.5), (1 << 70, signal.SIG_IGN), (signal.SIGUSR1,), ("x", ours)):
    try:
        signal.signal(*wrong)
    except (TypeError, ValueError, OverflowError):
        continue
    raise AssertionError(wrong)
print("not taken")
"""

TOGGLE_TAKEN = """
import os, signal
got = []
def handler(number, frame):
    got.append(number)
def all_of_it(n):
    for i in range(n):
        pass
signal.signal(signal.SIGUSR1, handler)
for i in range(5):
    os.kill(os.getpid(), signal.SIGUSR1)
    all_of_it(300000)
assert got == [signal.SIGUSR1] * 5, got
print("taken")
"""


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


# (file, function, line) of all instructions of some files, as their own interpreter compiles them.
PLACES = """
import _imp, dis, json, sys
def frozen(name):
    for name in {"importlib._bootstrap": "_frozen_importlib", "importlib._bootstrap_external": "_frozen_importlib_external"}.get(
            name, name), name:
        try:
            return _imp.get_frozen_object(name)
        except ImportError:
            pass
def compiled(file):
    if file.startswith("<frozen "):
        return frozen(file[8:-1])
    with open(file, "rb") as text:
        return compile(text.read(), file, "exec")
def places(file, code):
    name = getattr(code, "co_qualname", code.co_name)
    yield from ((file, name, line) for _, line in dis.findlinestarts(code))
    yield file, name, code.co_firstlineno
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            yield from places(file, constant)
found = []
for file in sys.argv[1:]:
    found += places(file, compiled(file))
print(json.dumps(sorted({place for place in found if place[2] is not None})))
"""


def compiled_places(python, files):
    files = sorted(file for file in files if file.startswith("<frozen ") or os.path.exists(file))
    return {tuple(place) for place in json.loads(support.run([python, "-c", PLACES, *files]).out)}


class Sample(unittest.TestCase):
    def record(self, python, text, options, name="program.py"):
        recording = support.Recording(python, [], list(options))
        self.addCleanup(recording.close)
        recording.program = [write(recording.folder, name, text)]
        return recording

    def check_books(self, recording):
        self.assertEqual(recording.query("SELECT difference_ns FROM accounts WHERE difference_ns != 0"), [])
        self.assertEqual(recording.value("SELECT mode FROM runs"), "sample")
        self.assertEqual(recording.value("SELECT sum(self_ns) FROM functions"),
                         recording.value("SELECT sum(self_ns) FROM accounts"))

    def test_shares(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, SHARES, ["--sample", "200us"])
                self.assertEqual(recording.recorded.status, 0, recording.recorded)
                self.check_books(recording)
                found = {name: row for name, *row in recording.query(
                    "SELECT qualname, self_ns, self_cpu_ns, error_ns FROM functions WHERE qualname IN ('one', 'three')")}
                three, one, three_cpu, one_cpu = map(int, recording.recorded.out.split())
                # Within five of the standard errors that are told, which grow where the machine keeps samples waiting.
                for name, wall, cpu in ("three", three, three_cpu), ("one", one, one_cpu):
                    self.assertLess(abs(found[name][0] - wall), 5 * found[name][2], (name, found, wall))
                    self.assertLess(abs(found[name][1] - cpu), 5 * found[name][2], (name, found, cpu))
                rounds, late = recording.query("SELECT sum(rounds), sum(late) FROM samplers")[0]
                self.assertTrue(found["three"][2] < three / 8 or late > rounds / 20, (found, rounds, late))
                self.assertEqual(recording.query("SELECT count(*) FROM edges WHERE calls > 0 OR resumes > 0"), [(0,)])
                above = recording.value("SELECT min(cumulative_ns - self_ns) FROM functions")
                self.assertGreaterEqual(above, 0)

    def test_states(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, STATES, ["-S"])
                self.assertEqual(recording.recorded.status, 0, recording.recorded)
                self.check_books(recording)
                states = collections.defaultdict(collections.Counter)
                for name, state, ns in recording.sql(
                        "SELECT name, detail, count(*) FROM events JOIN threads USING (thread_id) WHERE event = 'sample' "
                        "GROUP BY 1, 2"):
                    states[name][state] += ns
                self.assertEqual(set(states) - {"busy0", "busy1", "sleeper", "MainThread"}, set())
                self.assertGreater(states["sleeper"]["blocked"], 0)
                gil = states["busy0"]["gil"] + states["busy1"]["gil"]
                rounds, late = recording.query("SELECT sum(rounds), sum(late) FROM samplers")[0]
                # One of the two waits for the other, all the time; where processors are rare, both wait for these.
                self.assertTrue(gil > 5 or late > rounds / 2, (states, rounds, late))
                self.assertEqual(states["busy0"]["blocked"] + states["busy1"]["blocked"], 0, states)
                sleeping = recording.query(
                    "SELECT text FROM lines WHERE file LIKE '%program.py' ORDER BY self_ns - self_cpu_ns DESC LIMIT 3")
                self.assertIn(("    time.sleep(0.5)",), sleeping)

    def test_resting(self):
        """A thread that goes on is noticed among many that do not, though nobody looks at each of them."""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, RESTING, ["-S"])
                self.assertEqual(recording.recorded.status, 0, recording.recorded)
                self.check_books(recording)
                self.assertEqual(recording.value("SELECT count(*) FROM threads"), 32)
                slept = dict(recording.query("SELECT text, self_ns FROM lines WHERE text LIKE '%time.sleep(%'"))
                lost = recording.value("SELECT sum(late * period_ns) FROM samplers")    # on a machine that is busy
                for line, ns in zip(("0.3", "0.15", "0.2"), recording.recorded.out.split()):
                    self.assertAlmostEqual(slept["    time.sleep(%s)" % line], int(ns), delta=20e6 + lost)

    def test_waiting_on_is_the_same(self):
        """However often a thread looks at the lock, as long as it waits where it waited it takes no new records."""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, KEPT, ["-S"])
                self.assertEqual(recording.recorded.status, 0, recording.recorded)
                self.check_books(recording)
                rows, samples = recording.sql(
                    "SELECT sum(detail = 'gil'), max(seq) FROM events JOIN threads USING (thread_id) WHERE name = 'waiter'")[0]
                self.assertGreater(samples, 50)
                self.assertLess(rows, samples / 10)

    def test_code_compiled_again(self):
        """Code that is the same for all that can be told has one fact, and what differs has its own."""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, AGAIN, ["-S"])
                self.assertEqual(recording.recorded.status, 0, recording.recorded)
                self.check_books(recording)
                with open(recording.trace, "rb") as file:
                    trace = decode.Trace(file.read())
                found = collections.Counter(code.name for code in trace.processes[1].codes.values()
                                            if trace.file(1, code.file).path == "<template>")
                self.assertEqual(found, {"<module>": 2, "inner": 2})
                # It takes nearly all of the time, though its address was another's before: no sample is in doubt for that.
                inner, missed, samples = recording.sql(
                    "SELECT (SELECT sum(samples) FROM functions WHERE name = 'inner'), sum(missed), sum(samples) FROM samplers")[0]
                self.assertGreater(inner, samples / 2)
                self.assertLess(missed, samples / 2)

    def test_a_thread_a_request(self):
        """What short threads leave is packed; nothing of it is lost, however it ends, and our two readers agree."""
        for python in support.PYTHONS:
            for end in "exit", "fork", "kill":
                with self.subTest(support.version_name(python), end=end):
                    recording = self.record(python, REQUESTS % end, ["--sample", "200us"])
                    recording.warnings = b"did not end in order" if end == "kill" else b""
                    self.assertEqual(recording.recorded.status, -9 if end == "kill" else 0)
                    self.check_books(recording)
                    with open(recording.trace, "rb") as file:
                        trace = decode.Trace(file.read())
                    self.assertEqual((trace.damaged, trace.skipped), (0, 0))
                    packed = [chunk for chunk in trace.chunks if chunk.kind == decode.SAMPLES and chunk.capacity % 4096]
                    self.assertGreater(len(packed), 10)
                    self.assertEqual(len({(chunk.process, chunk.thread) for chunk in packed}), len(packed))
                    rows = collections.Counter((event.process, event.thread, event.name) for event in trace.events())
                    self.assertEqual(trace.lost_events, 0)
                    self.assertEqual(rows, {tuple(row[:3]): row[3] for row in recording.sql(
                        "SELECT t.process_id, t.number, event, count(*) FROM events e JOIN threads t USING (thread_id) "
                        "GROUP BY 1, 2, 3")})
                    self.assertGreater(recording.value("SELECT sum(samples) FROM functions WHERE name = 'request'"), 20)
                    self.assertLess(os.path.getsize(recording.trace) - sum(
                        chunk.capacity for chunk in trace.chunks if chunk.kind != decode.SAMPLES), len(packed) * 2048 + 300000)

    def test_a_damaged_pack_gives_less(self):
        for end, damages in (("kill", (b"\0", b"\xff\xff\x7f")),     # a length of the pack that is not sealed
                             ("exit", (b"\xee",))):
            recording = self.record(support.PYTHONS[0], REQUESTS % end, ["--sample", "200us"])
            recording.recorded
            with open(recording.trace, "rb") as file:
                whole = file.read()
            chunks = [chunk for chunk in decode.Trace(whole).chunks if chunk.kind == decode.SAMPLES]
            every = {(chunk.process, chunk.thread) for chunk in chunks}
            first = min(chunk.offset for chunk in chunks if chunk.capacity % 4096)
            for damage in damages:
                with self.subTest(end, damage=damage):
                    path = os.path.join(recording.folder, "damaged.bin")
                    with open(path, "wb") as file:
                        file.write(whole[:first] + damage + whole[first + len(damage):])
                    result = support.run([support.PYANALYZE, path, "--sql", "SELECT count(*) FROM threads WHERE events > 0"])
                    self.assertEqual(result.status, 0, result)
                    with open(path, "rb") as file:
                        left = {(chunk.process, chunk.thread) for chunk in decode.Trace(file.read()).chunks
                                if chunk.kind == decode.SAMPLES}
                    self.assertEqual(int(result.out.split()[-1]), len(left))
                    self.assertLess(left, every)

    def test_no_wrong_frame(self):
        """Each (function, line) and each call that was seen is one that exact recording has."""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                exact = self.record(python, MIXTURE, [])
                sampled = self.record(python, MIXTURE, ["--sample", "50us"])
                self.assertEqual(sampled.recorded.status, 0, sampled.recorded)
                self.assertEqual(sampled.recorded.out, sampled.plain.out)
                self.check_books(sampled)
                self.assertTrue(sampled.value("SELECT sum(hits) FROM lines WHERE file LIKE '%program.py'"))
                self.check_seen(sampled, exact)

    def test_constructors(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, CONSTRUCTORS, ["--sample", "200us"])
                self.assertEqual(recording.recorded.status, 0, recording.recorded)
                self.check_books(recording)
                self.assertEqual(recording.query("SELECT DISTINCT caller_function FROM edges WHERE callee_function LIKE '%__init__' "
                                                 "AND caller_file NOT LIKE '<frozen%'"), [("make",)])

    def test_fork(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, FORKS, ["--sample", "100us"])
                self.assertEqual((recording.recorded.status, recording.recorded.out), (0, b"done\n"), recording.recorded)
                self.assertEqual(recording.recorded.err, b"")
                self.check_books(recording)
                self.assertEqual(recording.value("SELECT count(*) FROM processes"), 21)
                self.assertIn(("exit 7",), recording.query("SELECT ended FROM processes"))
                spinning = recording.query(
                    "SELECT DISTINCT ended FROM line_stats JOIN threads USING (thread_id) JOIN functions USING "
                    "(function_id) JOIN processes USING (process_id) WHERE qualname = 'spin' AND ended = 'exit 7'")
                self.assertEqual(spinning, [("exit 7",)])       # the child has a sampler of its own

    def test_threads_of_a_fork(self):
        """Threads that a fork's child makes are all seen, whoever makes them; its main thread is called that."""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, FORK_THREADS, ["--sample", "200us"])
                result = recording.recorded
                self.assertEqual((result.status, result.out, result.err), (0, b"threads\n", b""))
                self.check_books(recording)
                self.assertEqual(recording.query("SELECT * FROM gaps"), [])
                self.assertEqual(recording.value("SELECT complete FROM runs"), 1)
                names = recording.query("SELECT process_id, native_id = pid, name FROM threads JOIN processes USING (process_id)")
                mains = [(process, name) for process, is_main, name in names if is_main]
                self.assertEqual(sorted(mains), [(process, "MainThread") for process in (1, 2, 3)])
                # of C code; too short, perhaps, to be seen
                others = {(process, name) for process, is_main, name in names if not is_main and not name.startswith("thread ")}
                made = {(process, "made%d" % i) for process in (1, 2, 3) for i in range(3)}
                self.assertEqual(others - made, {(1, "forks")})

    def test_fork_warns_as_without(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                program = FORK_WARNINGS.replace("ROUNDS", "100" if support.LONG else "1")
                recording = self.record(python, program, ["--sample", "100us"])
                self.assertEqual((recording.recorded.status, recording.recorded.out, recording.recorded.err),
                                 (0, recording.plain.out, b""))
                self.check_books(recording)
                support.figure("forks at 10 kHz that warn of threads as without us", 70 * (100 if support.LONG else 1))

    def test_fork_in_a_pause(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, FORKS_IN_PAUSES, ["--sample", "100us", "--toggle-signal", "USR1"])
                self.assertEqual((recording.recorded.status, recording.recorded.out, recording.recorded.err),
                                 (0, b"warned []\n", b""))
                self.check_books(recording)

    def test_exec_that_fails(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, EXECS, ["--sample", "200us"])
                self.assertEqual((recording.recorded.status, recording.recorded.out), (0, b"execs\n"), recording.recorded)
                self.check_books(recording)
                seen = dict(recording.query("SELECT name, samples FROM functions WHERE name IN ('before', 'after')"))
                self.assertGreater(min(seen.get("before", 0), seen.get("after", 0)), 0, seen)
                self.assertEqual(recording.query("SELECT name FROM threads"), [("MainThread",)])
                self.assertEqual(recording.query("SELECT ended FROM processes"), [("exit 0",)])
                self.assertEqual(recording.query("SELECT sum(s.samples) - (SELECT sum(events) FROM threads) FROM samplers s"),
                                 [(0,)])

    def test_not_noticed(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, OWN, ["--sample", "100us"])
                self.assertEqual((recording.recorded.status, recording.recorded.out), (0, b"own\n"), recording.recorded)

    def test_unlike_is_refused(self):
        python = support.PYTHONS[0]
        traces = [self.record(python, "pass", options) for options in ([], ["-S"])]
        for recording in traces:
            self.assertEqual(recording.recorded.status, 0, recording.recorded)
        result = support.run([support.PYANALYZE] + [recording.trace for recording in traces])
        self.assertEqual(result.status, 1)
        self.assertIn(b"they cannot be summed", result.err)
        self.assertEqual(len(result.err.splitlines()), 1)

    def test_every_format(self):
        recording = self.record(support.PYTHONS[0], SHARES, ["--sample", "200us"])
        self.assertTrue(recording.database_path)
        for name in ("annotate", "callgrind", "folded", "flamegraph", "tree"):
            result = support.run([support.PYANALYZE, recording.trace, "--format", name])
            self.assertEqual((result.status, result.err), (0, b""), name)
            self.assertIn(b"three", result.out)
            if name == "flamegraph":
                samples = recording.value("SELECT sum(samples) FROM samplers")
                self.assertIn("%d samples, one every 0.2 ms" % samples, result.out.decode())

    def test_depth(self):
        program = "def f(n):\n    return f(n - 1) if n else sum(range(3000000))\nf(200)\n"
        recording = self.record(support.PYTHONS[0], program, ["--sample", "100us", "--max-depth", "20"])
        self.assertEqual(recording.recorded.status, 0, recording.recorded)
        deepest = recording.sql("SELECT max(depth) FROM events")[0][0]
        self.assertEqual(deepest, 21)       # and one for the frames farther out

    def test_hostile(self):
        """At 20 kHz: the program is what it is without, and nothing is seen that is not there."""
        rounds = 4 if MINUTES else 30 if support.LONG else 1
        for python in support.PYTHONS:
            for name in support.share(sorted(HOSTILE), python):
                with self.subTest(name, python=support.version_name(python)):
                    over = time.monotonic() + MINUTES * 60
                    while True:
                        self.check_hostile(python, name, min(rounds, 10) if name == "recursion" else rounds)
                        if time.monotonic() >= over:
                            break

    def check_hostile(self, python, name, rounds):
        text = HOSTILE[name].replace("ROUNDS", str(rounds))
        sampled = self.record(python, text, ["--sample", "50us"])
        self.assertEqual((sampled.recorded.status, sampled.recorded.out, sampled.recorded.err),
                         (0, name.encode() + b"\n", b""), sampled.recorded)
        exact = self.record(python, HOSTILE[name].replace("ROUNDS", "1"), [])
        if name == "subinterpreters":
            sampled.warnings = exact.warnings = b"in subinterpreters"
        self.check_books(sampled)
        self.assertEqual(exact.recorded.status, 0, exact.recorded)
        self.check_seen(sampled, exact)
        taken, missed = sampled.query("SELECT sum(samples), sum(missed) FROM samplers")[0]
        support.figure("samples in hostile programs", taken)
        support.figure("samples dropped there", missed)

    def check_seen(self, sampled, exact):
        """What samples show, exact recording has: of the program each line and call, of other files what is in them."""
        places = "SELECT DISTINCT file, qualname, line FROM line_stats JOIN functions USING (function_id) " \
                 "WHERE kind != 'outside' AND line_stats.hits >= %d"
        seen = {(os.path.basename(file) if file.endswith("program.py") else file, name, line)
                for file, name, line in sampled.query(places % 1)}
        there = {(os.path.basename(file) if file.endswith("program.py") else file, name, line)
                 for file, name, line in exact.query(places % 0)}
        seen.discard(("<unknown>", "<unknown>", 0))     # of code that has not been announced yet: nothing is claimed
        elsewhere = {place for place in seen - there if place[0].startswith(("/", "<frozen "))}
        self.assertEqual(seen - there - elsewhere, set())
        self.assertEqual(elsewhere - compiled_places(sampled.python, {place[0] for place in elsewhere}), set())
        calls = "SELECT DISTINCT caller_function, caller_line, callee_function FROM edges " \
                "WHERE caller_file LIKE '%program.py' AND callee_file LIKE '%program.py'"
        self.assertEqual(set(sampled.query(calls)) - set(exact.query(calls)), set())
        support.figure("places seen in samples, each of them true", len(seen))

    def test_module(self):
        """Begun, paused and ended by the program, twice; a thread that runs already has its name."""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)), tempfile.TemporaryDirectory() as folder:
                program = write(folder, "program.py", MODULE)
                env = support.environment(PYTHONPATH=os.path.join(support.BUILD, "python"))
                if not os.path.isdir(env["PYTHONPATH"]):
                    env["PYTHONPATH"] = os.path.join(support.ROOT, "recorder", "python")
                result = support.run([python, program, folder], env=env)
                self.assertEqual((result.status, result.out, result.err), (0, b"module\n", b""))

    def test_table(self):
        recording = self.record(support.PYTHONS[0], SHARES, ["--sample", "200us"])
        self.assertTrue(recording.database_path)
        table = support.run([support.PYANALYZE, recording.trace, "--format", "samples"]).out.decode()
        head, columns, *rows = table.splitlines()
        self.assertRegex(head, r"^Thread MainThread \(\d+ samples, \d+\.\d{3} seconds\)$")
        self.assertEqual([word.strip() for word in columns.split("|")],
                         ["cpu_time (cum)", "ticks (cum)", "samples (cum)", "filename:lineno", "function"])
        samples = sum(int(row.split("|")[2].split("(")[0]) for row in rows)
        self.assertEqual(samples, recording.value("SELECT sum(samples) FROM lines"))
        self.assertIn("program.py:6 | three", table)
        exact = self.record(support.PYTHONS[0], SHARES, [])
        self.assertTrue(exact.database_path)
        table = support.run([support.PYANALYZE, exact.trace, "--format", "samples"]).out.decode()
        self.assertTrue(table.startswith("Thread MainThread (0 samples, "), table)
        self.assertIn("program.py:6 | three", table)

    def test_columns(self):
        recording = self.record(support.PYTHONS[0], SHARES, ["--sample", "200us"])
        for table in ("lines", "line_stats", "functions", "edges"):
            self.assertEqual(recording.query("SELECT count(*) FROM %s WHERE running_ns + gil_wait_ns + blocked_ns != self_ns "
                                             "AND samples > 0" % table), [(0,)])
            self.assertEqual(recording.query("SELECT count(*) FROM %s WHERE samples > cumulative_samples" % table), [(0,)])
        for table in ("lines", "line_stats", "functions"):
            self.assertEqual(recording.query("SELECT count(*) FROM %s WHERE hits != samples" % table), [(0,)])
        time, error = recording.query("SELECT self_ns, error_ns FROM functions WHERE name = 'three'")[0]
        self.assertTrue(0 < error < time, (time, error))
        # The program calls nobody else's functions: its own make up the time in its module.
        self.assertEqual(recording.query("SELECT (SELECT sum(samples) FROM functions WHERE file LIKE '%program.py') - "
                                         "cumulative_samples FROM functions WHERE name = '<module>' AND file LIKE '%program.py'"), [(0,)])

    def test_cpu_of_short_threads(self):
        """Threads that are over before a second sample have run, and what leads by CPU time is theirs."""
        program = """
import threading
def work():
    x = 0
    for i in range(8000):
        x += i
for _ in range(800):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
"""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, program, ["--sample", "2ms"])
                running, cpu, passed = recording.query("SELECT running_ns, self_cpu_ns, self_ns FROM functions WHERE name = 'work'")[0]
                self.assertGreater(running, 0)
                self.assertGreater(2 * cpu, running)
                self.assertLessEqual(cpu, passed)
                self.check_books(recording)

    @unittest.skipIf(os.geteuid() != 0, "only root changes the root directory")
    def test_states_without_proc(self):
        """In a fork's child in an empty root directory nobody says who waits; that who computes did not, its clock tells."""
        program = """
import os, sys, tempfile, threading, time
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
os.chroot(sys.argv[1])
def busy():
    end = time.process_time() + 0.3
    while time.process_time() < end:
        sum(range(100))
if os.fork() == 0:
    thread = threading.Thread(target=time.sleep, args=(0.3,), name="sleeper")
    thread.start()
    busy()
    thread.join()
    os._exit(0)
os.wait()
"""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)), tempfile.TemporaryDirectory() as root:
                recording = self.record(python, program, ["--sample", "1ms"])
                recording.program.append(root)
                states = dict((name, times) for name, *times in recording.query(
                    "SELECT name, sum(running_ns), sum(blocked_ns), sum(self_cpu_ns) FROM line_stats JOIN threads USING (thread_id) "
                    "WHERE process_id = 2 GROUP BY name"))
                running, _, cpu = states["MainThread"]
                self.assertGreater(2 * running, cpu)
                self.assertGreater(cpu, 100e6)
                self.assertGreater(states["sleeper"][1], 10 * states["sleeper"][0])

    @unittest.skipIf(os.geteuid() != 0, "nothing to give up")
    def test_states_without_privileges(self):
        """A daemon that became nobody may not read what its threads wait for, but whether they do."""
        program = """
import os, threading, time
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
os.setgid(65534); os.setuid(65534)
def busy():
    end = time.process_time() + 0.3
    while time.process_time() < end:
        sum(range(100))
threads = [threading.Thread(target=busy, name="busy"), threading.Thread(target=time.sleep, args=(0.3,), name="sleeper")]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, program, ["--sample", "1ms"])
                states = dict((name, times) for name, *times in recording.query(
                    "SELECT name, sum(running_ns), sum(blocked_ns), sum(self_cpu_ns) FROM line_stats JOIN threads USING (thread_id) "
                    "GROUP BY name"))
                running, blocked, cpu = states["busy"]
                self.assertGreater(running, blocked)
                self.assertGreater(cpu, 100e6)
                self.assertGreater(states["sleeper"][1], 10 * states["sleeper"][0])

    def test_never_on_time(self):
        """A sampler that gets no processor until the program ends: what it saw then would be the end, each time. The rounds
        that did not come are counted, from the start on, and the report says why there is nothing."""
        def alone():
            os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        try:
            subprocess.run(["true"], preexec_fn=alone, check=True)
        except (OSError, subprocess.SubprocessError):
            self.skipTest("real-time scheduling is not permitted")
        program = "import time\nend = time.perf_counter() + 0.05\nwhile time.perf_counter() < end: pass\n"
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, program, ["--sample", "1ms"])
                result = support.run([support.PYREC, "run", "--python", python, "-o", recording.trace, "--sample", "1ms",
                                      *recording.program], preexec_fn=alone)
                self.assertEqual(result.status, 0, result)
                analyzed = support.run([support.PYANALYZE, recording.trace, "--csv", "--sql",
                                        "SELECT rounds, late, samples FROM samplers"])
                rounds, late, samples = map(int, analyzed.out.split()[1].split(b","))
                self.assertGreaterEqual(rounds, 50, analyzed)
                if samples == 0:    # it may have had a processor while the program waited for the disk
                    self.assertEqual(rounds, late)
                    self.assertIn(b"no sample was taken: rounds that were due: %d, late or not at all: %d, stacks in doubt: 0\n"
                                  % (rounds, late), analyzed.err)

    def test_toggle(self):
        """A signal stops recording, and starts it again: exactly recorded and sampled alike, in the program's own words."""
        for python in support.PYTHONS:
            for options in ([], ["--sample", "200us"]):
                with self.subTest(support.version_name(python), options=options):
                    recording = self.record(python, TOGGLE, ["--toggle-signal", "USR1"] + options)
                    self.assertEqual((recording.recorded.status, recording.recorded.out), (0, b"toggle\n"),
                                     recording.recorded)
                    counts = dict(recording.query("SELECT name, hits FROM functions WHERE name IN ('on', 'off')"))
                    self.assertGreater(counts.get("on", 0), 0)
                    self.assertLessEqual(counts.get("off", 0), 1)
                    self.assertIn(("paused",), recording.query("SELECT DISTINCT reason FROM gaps"))
                    self.assertEqual(recording.query("SELECT * FROM accounts WHERE difference_ns != 0"), [])

    def test_toggle_while_waiting(self):
        """Behind a call of C at the latest, and what waits is not interrupted."""
        for python in support.PYTHONS:
            for options in ([], ["--sample", "200us"]):
                with self.subTest(support.version_name(python), options=options):
                    recording = self.record(python, TOGGLE_LATE, ["--toggle-signal", "USR1"] + options)
                    self.assertEqual((recording.recorded.status, recording.recorded.out, recording.recorded.err),
                                     (0, b"late\n", b""))
                    counts = dict(recording.query("SELECT name, sum(hits) FROM functions GROUP BY name"))
                    self.assertGreater(min(counts.get("early", 0), counts.get("again", 0)), 0, counts)
                    self.assertLessEqual(counts.get("late", 0), 4, counts)
                    self.assertEqual(recording.value("SELECT count(*) FROM gaps JOIN threads USING (thread_id) "
                                                     "WHERE name = 'MainThread' AND reason = 'paused'"), 4)

    def test_toggle_taken(self):
        for python in support.PYTHONS:
            for options in ([], ["--sample", "200us"]):
                with self.subTest(support.version_name(python), options=options):
                    recording = self.record(python, TOGGLE_TAKEN, ["-v", "--toggle-signal", "USR1"] + options)
                    recording.warnings = b" took signal %d, which should stop and start recording, for itself " % signal.SIGUSR1
                    self.assertEqual((recording.recorded.status, recording.recorded.out), (0, b"taken\n"), recording.recorded)
                    self.assertIn(b"pyrec: signal USR1 was taken by the program", recording.recorded.err)
                    self.assertEqual(recording.value("SELECT complete FROM runs"), 1)
                    with open(recording.trace, "rb") as file:
                        self.assertEqual([process.taken[0] for process in decode.Trace(file.read()).processes.values()],
                                         [signal.SIGUSR1])
                    self.assertEqual(recording.query("SELECT * FROM gaps"), [])
                    self.assertGreater(recording.value("SELECT hits FROM functions WHERE name = 'all_of_it'"), 0)

    def test_toggle_not_taken(self):
        """Another signal's handler, ours put back, one that is refused: nobody is told anything."""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, TOGGLE_NOT_TAKEN, ["-v", "--toggle-signal", "USR1"])
                self.assertEqual((recording.recorded.status, recording.recorded.out), (0, b"not taken\n"), recording.recorded)
                self.assertNotIn(b"was taken", recording.recorded.err)
                self.assertTrue(recording.database_path)

    def test_toggle_refused(self):
        for name in ("KILL", "STOP", "SEGV", "SIGBUS", "FPE", "ILL", "TRAP", "SYS", "NOSUCH", "", "12"):
            result = support.run([support.PYREC, "run", "--toggle-signal", name, "x.py"])
            self.assertEqual((result.status, b"--toggle-signal" in result.err), (2, True), result)


if __name__ == "__main__":
    unittest.main()
