"""`import pyrec`: a program that records itself, on each interpreter."""
import json
import os
import shutil
import tempfile
import unittest
import zipfile

import support

PACKAGE = os.path.join(support.BUILD, "python")


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-module-")
        self.addCleanup(shutil.rmtree, self.folder)

    def program(self, text, name="program.py"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run_program(self, python, text, *arguments, **more):
        """What a program prints that imports pyrec and ends well, saying nothing on standard error."""
        path = self.program(text)
        result = support.run([python, path, *arguments], cwd=self.folder,
                             env=support.environment(PYTHONPATH=PACKAGE, **more))
        self.assertEqual((result.status, result.err), (0, b""), result)
        return result.out.decode()

    def rows(self, trace, sql):
        result = support.run([support.PYANALYZE, os.path.join(self.folder, trace), "--sql", sql])
        self.assertEqual((result.status, result.err), (0, b""), result)
        return [tuple(line.split("\t")) for line in result.out.decode().split("\n")[1:-1]]

    def calls(self, trace, name="leaf"):
        """How often a function was called in each process of a trace, in their order."""
        return [int(n) for n, in self.rows(
            trace, "SELECT (SELECT count(*) FROM events e WHERE e.process_id = p.process_id AND event = 'call' "
            "AND function = '%s') FROM processes p ORDER BY process_id" % name)]


BLOCKS = '''
import pyrec
def cube(n):
    return n ** 3
with pyrec.record("trace.bin", include=["program.py"]) as recording:
    numbers = [cube(n) for n in range(10)]
cube(11)
print(recording.path)
print(pyrec.query("trace.bin", "SELECT calls, hits FROM functions WHERE name = ?", ["cube"]))
print(pyrec.query("trace.bin", "SELECT calls FROM functions WHERE name = :name AND 1 = 1 /* :no */", {"name": "cube"}))
print(sum(1 for event in pyrec.events("trace.bin", "event = 'call' AND function = 'cube'")))
print(pyrec.is_recording(), pyrec.trace_path())
'''

DECORATED = '''
import pyrec
@pyrec.record("trace.bin", exclude_syspath=True)
def work(n):
    """Its own words."""
    return work(n - 1) + leaf() if n else 0
def leaf():
    return 1
for n in range(3):
    work(n)
    leaf()
print(work.__name__, work.__doc__)
print(pyrec.query("trace.bin", "SELECT name, calls FROM functions WHERE calls > 0 ORDER BY name"))
pyrec.stop()
with pyrec.record("other.bin"):
    leaf()
print(pyrec.query("other.bin", "SELECT calls FROM functions WHERE name = 'leaf'"))
'''

PAUSED = '''
import sys, time
import pyrec
def f(n):
    return n
def outer():
    pyrec.start(None, exclude_syspath=True)
    f(1)
    pyrec.mark("phase 1")
    pyrec.pause()
    pyrec.pause()
    assert sys.gettrace() is None
    if hasattr(sys, "monitoring"):
        assert sys.monitoring.get_tool(3) == "pyrec" and sys.monitoring.get_events(3) == 0
        assert sys.monitoring.get_local_events(3, f.__code__) == 0
    for n in range(1000):
        f(n)
    pyrec.resume()
    f(2)
    pyrec.resume()
    pyrec.mark("phase 2")
    f(3)
    with pyrec.paused():
        f(4)
    return f(5)
outer()
f(6)
pyrec.stop()
assert not hasattr(sys, "monitoring") or sys.monitoring.get_tool(3) is None
f(7)
ask = lambda sql: [tuple(row) for row in pyrec.query(None, sql)]
print(ask("SELECT name, calls FROM functions WHERE name IN ('f', 'outer') ORDER BY name"))
print(ask("SELECT text, line FROM marks ORDER BY time_ns"))
print(ask("SELECT count(*), reason FROM gaps"))
print(ask("SELECT sum(difference_ns) FROM accounts"))
print(ask("SELECT ended FROM processes"))
for function in (pyrec.stop, pyrec.pause, pyrec.resume):
    try:
        function()
    except pyrec.Error as error:
        print(error)
'''

THREADS = '''
import threading
import pyrec
go, done = threading.Event(), threading.Event()
def leaf():
    pass
def early():
    go.wait()
    leaf()
    done.wait()
def late():
    leaf()
def enable():
    pyrec.start("trace.bin", include="program.py")
def disable():
    leaf()
    pyrec.stop()
first = threading.Thread(target=early, name="early")
first.start()
enable()
go.set()
second = threading.Thread(target=late, name="late")
second.start()
second.join()
done.set()
first.join()
helper = threading.Thread(target=disable, name="helper")
helper.start()
helper.join()
leaf()
'''


FORKED = '''
import os
import pyrec
def leaf():
    return 1
def child(code):
    pid = os.fork()
    if pid == 0:
        leaf()
        code()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
def stop_in_child():
    pyrec.stop()
    leaf()
    with pyrec.record("child.bin"):
        leaf()
def pause_in_child():
    pyrec.pause()
    leaf()
    pyrec.resume()
    leaf()
def outside():
    assert not pyrec.is_recording()
    pyrec.start("outside.bin")
    leaf()
    pyrec.stop()
pyrec.start("trace.bin", children=True)
child(leaf)
child(stop_in_child)
child(pause_in_child)
pyrec.pause()
child(pyrec.resume)
pyrec.resume()
pyrec.stop()
child(lambda: None)
pyrec.start("alone.bin", children=False)
child(outside)
pyrec.stop()
'''

CYCLES = '''
import sys, threading
import pyrec
def leaf(n):
    return n
def numbers():
    for n in range(4):
        yield leaf(n)
generator = numbers()
stop = threading.Event()
def spin():
    while not stop.is_set():
        leaf(0)
thread = threading.Thread(target=spin)
thread.start()
for i in range(20):
    with pyrec.record("trace.bin" if i % 2 else None, threads=i % 3 != 0, exclude_syspath=i % 5 == 0, c_calls=i % 7 == 0):
        leaf(i)
        if i % 5 == 0:
            next(generator)
        with pyrec.paused():
            leaf(i)
    rows = pyrec.query("trace.bin" if i % 2 else None, "SELECT sum(f.calls) AS calls, sum(a.difference_ns) AS rest "
        "FROM (SELECT sum(difference_ns) AS difference_ns FROM accounts) a, (SELECT calls FROM functions "
        "WHERE name = 'spin' UNION ALL SELECT 0) f")
    assert rows[0].rest == 0, rows
    for row in pyrec.query("trace.bin" if i % 2 else None, "SELECT sum(hits) AS hits FROM lines "
        "WHERE function = 'leaf' AND hits > 0"):
        assert row.hits >= 1
    assert sys.gettrace() is None
stop.set()
thread.join()
'''

CODES = '''
import sys
import pyrec
def f():
    return 1
def numbers():
    yield f()
    yield f()
kept = numbers()
next(kept)
pyrec.start("trace.bin", include="program.py", c_calls=True)
next(kept)
exec("f()")
exec(compile("def late():\\n    return len('x')\\nlate()", "program.py", "exec"))
with pyrec.paused():
    exec(compile("def hidden():\\n    return f()\\nhidden()", "program.py", "exec"))
hidden()
f()
pyrec.stop()
'''

JOINED = '''
import sys
import pyrec
def leaf():
    pass
assert pyrec.is_recording()
print(pyrec.trace_path() == sys.argv[1])
with pyrec.record("other.bin"):
    leaf()
print(pyrec.start("another.bin") == sys.argv[1])
pyrec.pause()
leaf()
pyrec.resume()
pyrec.stop()
leaf()
try:
    pyrec.stop()
except pyrec.Error as error:
    print(error)
pyrec.mark("last")
print(pyrec.query(None, "SELECT count(*) AS n FROM functions WHERE name = 'leaf'"))
'''

TRACED = '''
import sys
import pyrec
seen = []
def tracer(frame, event, argument):
    if frame.f_code.co_name in ("f", "block"):
        seen.append((event, frame.f_lineno - frame.f_code.co_firstlineno))
    return tracer
def f():
    x = 1
    return x
def block():
    with pyrec.record("trace.bin", include="program.py"):
        f()
        with pyrec.paused():
            f()
            assert sys.gettrace() is tracer
    f()
sys.settrace(tracer)
block()
with pyrec.record("trace.bin", include="program.py"):
    sys.settrace(None)
    f()
    sys.settrace(tracer)
    f()
sys.settrace(None)
print([event for event in seen if event[0] == "call"].count(("call", 0)), len(seen))
'''

REFUSED = '''
import sys
import pyrec
def check(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except (pyrec.Error, TypeError) as error:
        print(type(error).__name__, error, flush=True)
check(pyrec.start, "/no/such/folder/t.bin")
check(pyrec.start, max_size="12X")
check(pyrec.start, include="re:(")
check(pyrec.start, colour=True)
check(pyrec.query, "nothing.bin", "SELECT 1")
with open("text", "w") as file:
    file.write("not a trace")
check(pyrec.start, "text")
check(pyrec.query, "text", "SELECT 1")
if sys.version_info >= (3, 12):
    sys.monitoring.use_tool_id(3, "other")
    sys.monitoring.use_tool_id(4, "another")
    check(pyrec.start, "trace.bin")
    sys.monitoring.free_tool_id(3)
    sys.monitoring.free_tool_id(4)
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
if sys.version_info < (3, 12):
    name = interpreters.create()
    interpreters.run_string(name, """if True:
        import pyrec
        try:
            pyrec.start("trace.bin")
        except Exception as error:
            print("Error", error, flush=True)
        """)
pyrec.start("trace.bin")
pyrec.stop()
'''

WINDOWS = '''
import threading
import pyrec
from pyrec import _recorder
def leaf():
    pass
def other():
    leaf()
_recorder.start(pyrec._command(None, {}), True, True, 0)
leaf()
assert not pyrec.is_recording()
first = _recorder.window_open("one", False)
leaf()
second = _recorder.window_open("two", True)
leaf()
thread = threading.Thread(target=other)
thread.start()
thread.join()
_recorder.window_close(first)
leaf()
_recorder.window_close(second)
leaf()
assert not pyrec.is_recording()
try:
    fourth = _recorder.window_open("three", False)
    pyrec.start("refused.bin")
except pyrec.Error as error:
    assert "pyrec.stop()" in str(error)
_recorder.window_close(fourth)
third = _recorder.window_open("one", False)
leaf()
leaf()
_recorder.window_close(third)
pyrec.start("mine.bin")
leaf()
pyrec.stop()
print(first, second, third, pyrec.trace_path())
'''



KINDS = '''
import asyncio
import pyrec
def leaf():
    return 1
@pyrec.record("generator.bin", exclude_syspath=True)
def generator(n):
    for i in range(n):
        yield leaf()
print(list(generator(3)), list(generator(2)))
@pyrec.record("coroutine.bin", exclude_syspath=True)
async def coroutine():
    await asyncio.sleep(0)
    return leaf()
asyncio.run(coroutine())
asyncio.run(coroutine())
@pyrec.record("both.bin", exclude_syspath=True)
async def both():
    for i in range(3):
        yield leaf()
async def main():
    print([item async for item in both()])
asyncio.run(main())
print(pyrec.query("generator.bin", "SELECT calls, resumes FROM functions WHERE name IN ('generator', 'leaf') ORDER BY name"))
print(pyrec.query("coroutine.bin", "SELECT calls, resumes FROM functions WHERE name IN ('coroutine', 'leaf') ORDER BY name"))
print(pyrec.query("both.bin", "SELECT calls, resumes FROM functions WHERE name IN ('both', 'leaf') ORDER BY name"))
'''

ASKED = '''
import pyrec
def leaf():
    pass
pyrec.start("trace.bin", include="*")
leaf()
rows = pyrec.query(None, "SELECT calls FROM functions WHERE name = 'leaf' AND calls = :n", {"n": 1})
events = []
for event in pyrec.events(None, "function = ?", ["leaf"]):
    events.append(event.event)
leaf()
pyrec.stop()
print(rows, events)
'''

SAMPLED = '''
import time
import pyrec
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
pyrec.start("trace.bin", sample="1ms")
burn(0.1)
print(pyrec.mark("nowhere"))
pyrec.pause()
burn(0.05)
pyrec.resume()
pyrec.stop()
print(pyrec.query("trace.bin", "SELECT mode FROM runs"))
print(pyrec.query("trace.bin", "SELECT sum(hits) > 5 AS enough FROM lines WHERE function = 'burn'"))
'''

CHURN = '''
import sys, threading
import pyrec
sys.setswitchinterval(1e-5)
stop = False
def leaf(n):
    return n
def worker():
    for n in range(20):
        leaf(n)
def spawner():
    while not stop:
        threads = [threading.Thread(target=worker) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
spawners = [threading.Thread(target=spawner) for _ in range(2)]
for thread in spawners:
    thread.start()
for i in range(60):
    pyrec.start(None, include="program.py")
    for _ in range(5):
        with pyrec.paused():
            leaf(1)
    pyrec.stop()
    if i % 10 == 0:
        assert pyrec.query(None, "SELECT sum(difference_ns) AS d FROM accounts")[0].d == 0
stop = True
for thread in spawners:
    thread.join()
'''


TEXTS = r'''
import linecache, sys, types
def remember(name, text):
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
def run(name, text, **names):
    exec(compile(text, name, "exec"), names)
    return names
cell = "/tmp/ipykernel_1/123.py"
remember(cell, "def in_cell():\n    return 'é'\nin_cell()\n")
run(cell, "def in_cell():\n    return 'é'\nin_cell()\n")
late = run("<late>", "def first():\n    pass\ndef second():\n    pass\nfirst()\n")
remember("<late>", "def first():\n    pass\ndef second():\n    pass\nfirst()\n")
run("<late>", "pass")
linecache.cache["<odd>"] = (1, None, [1, 2], "<odd>")
run("<odd>", "x = 1")
linecache.cache["<lazy>"] = (lambda: sys.exit(1),)
run("<lazy>", "x = 1")
def doctested():
    """
    >>> 1 + 1
    2
    >>> def inner():
    ...     return "inner"
    >>> inner()
    'inner'
    """
import doctest
print(doctest.testmod())
sys.path.insert(0, sys.argv[1])
import stored
sys.path.insert(0, sys.argv[2])
import deflated.inside
print(stored.VALUE, deflated.inside.VALUE)
'''

NAMED = '''
import sys
import pyrec
class Names:
    def of_frame(self, frame):
        if frame.f_code.co_name == "broken":
            raise ValueError("no name")
        return "/virtual/%s.py" % frame.f_code.co_name
def of_file(filename, names):
    return names["__name__"] + ".virtual"
def f():
    return lambda: 1
def broken():
    pass
with pyrec.record("frame.bin", filename=Names().of_frame, include="/virtual/*"):
    f()()
sys.unraisablehook = lambda unraisable: print("unraisable", unraisable.exc_value)
with pyrec.record("broken.bin", filename=Names().of_frame):
    broken()
with pyrec.record("file.bin", filename=of_file):
    f()
'''

# From 3.13 on an interpreter says where its members stand. One that were laid out otherwise would say so, too.
LAID_OUT = '''
import ctypes, pyrec
says = (ctypes.c_uint64 * 64).in_dll(ctypes.pythonapi, "_PyRuntime")
at = next(i for i in range(20, 40) if list(says[i:i + 3]) == [0, 8, 16])    # prev, next, interp of a thread
for i in (at + 1, at + 3, at + 9, at + 12):
    says[i] += 8
    for options in {}, {"sample": 0.001}:
        try:
            pyrec.start("trace.bin", **options)
        except pyrec.Error as error:
            print(error)
    says[i] -= 8
says[0] += 1
try:
    pyrec.start("trace.bin")
except pyrec.Error as error:
    print(error)
says[0] -= 1
with pyrec.record("good.bin"):
    print("recorded")
'''


class Recording(Case):
    def test_another_layout(self):
        for python in support.PYTHONS:
            if support.version(python) >= (3, 13):
                out = self.run_program(python, LAID_OUT).splitlines()
                self.assertEqual(out.pop(), "recorded")
                self.assertEqual((len(out), len(set(out))), (9, 1), out)
                self.assertRegex(out[0], r"^CPython 3\.\d+\.\d+ is laid out otherwise than 3\.\d+\.\d+, which this recorder was "
                                         r"built for; build it anew: make PYTHON=/")
                self.assertFalse(os.path.exists(os.path.join(self.folder, "trace.bin")))

    def test_a_block(self):
        for python in support.PYTHONS:
            out = self.run_program(python, BLOCKS).splitlines()
            self.assertEqual(out, [os.path.join(os.path.realpath(self.folder), "trace.bin"),
                                   "[Row(calls=10, hits=10)]", "[Row(calls=10)]", "10", "False None"])
            self.assertEqual(self.rows("trace.bin", "SELECT ended FROM processes"), [("unknown",)])

    def test_a_decorator_collects_all_calls(self):
        for python in support.PYTHONS:
            out = self.run_program(python, DECORATED).splitlines()
            self.assertEqual(out, ["work Its own words.", "[Row(name='leaf', calls=3), Row(name='work', calls=6)]",
                                   "[Row(calls=1)]"])

    def test_pauses_nest_and_are_gaps(self):
        for python in support.PYTHONS:
            out = self.run_program(python, PAUSED).splitlines()
            self.assertEqual(out[:5], ["[('f', 4), ('outer', 0)]", "[('phase 1', 9), ('phase 2', 21)]",
                                       "[(2, 'paused')]", "[(0,)]", "[('unknown',)]"])
            self.assertEqual(out[5:], ["nothing is being recorded that this program has begun",
                                       "nothing is being recorded that could be paused",
                                       "there was no pause() that this could be the end of"])

    def test_threads_that_run_already(self):
        for python in support.PYTHONS:
            self.run_program(python, THREADS)
            self.assertEqual(
                self.rows("trace.bin", "SELECT t.name, l.hits FROM line_stats l JOIN functions f USING (function_id) "
                          "JOIN threads t USING (thread_id) WHERE f.name = 'leaf' AND l.hits > 0 ORDER BY 1"),
                [("early", "1"), ("helper", "1"), ("late", "1")])

    def test_forked_children(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                self.run_program(python, FORKED)
                self.assertEqual(self.calls("trace.bin"), [0, 2, 1, 2, 0])
                self.assertEqual(self.calls("child.bin"), [1])
                self.assertEqual(self.calls("outside.bin"), [1])
                self.assertEqual(self.calls("alone.bin"), [0])

    def test_again_and_again(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                self.run_program(python, CYCLES)

    def test_codes_of_any_origin(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                self.run_program(python, CODES)
                self.assertEqual(
                    self.rows("trace.bin", "SELECT name, calls, resumes, hits FROM functions WHERE name IN "
                              "('f', 'late', 'hidden', 'numbers') ORDER BY name"),
                    [("f", "4", "0", "4"), ("hidden", "1", "0", "1"), ("late", "1", "0", "1"), ("numbers", "0", "1", "1")])

    def test_joins_the_recording_of_pyrec_run(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                program, trace = self.program(JOINED), os.path.join(self.folder, "trace.bin")
                result = support.run(
                    [support.PYREC, "run", "--python", python, "-o", trace, "--include", "*", program, trace],
                    env=support.environment(PYTHONPATH=PACKAGE), cwd=self.folder)
                self.assertEqual((result.status, result.err), (0, b""), result)
                self.assertEqual(result.out.decode().splitlines(), [
                    "True", "True", "nothing is being recorded that this program has begun", "[Row(n=1)]"])
                self.assertEqual(self.calls("trace.bin"), [2])
                self.assertEqual(self.rows("trace.bin", "SELECT text FROM marks ORDER BY time_ns"),
                                 [("begin record",), ("end record",), ("last",)])
                self.assertEqual(self.rows("trace.bin", "SELECT path FROM files WHERE path LIKE '%/pyrec/%.py'"), [])
                self.assertFalse(os.path.exists(os.path.join(self.folder, "other.bin")))

    def test_the_programs_own_tracer_goes_on(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                recorded = self.run_program(python, TRACED)
                self.assertEqual(self.calls("trace.bin", "f"), [2])
                plain = self.run_program(python, TRACED.replace("import pyrec\n", """
class paused:
    def __init__(self, *arguments, **options):
        pass
    def __enter__(self):
        pass
    def __exit__(self, *exception):
        pass
class pyrec:
    record = paused = paused
"""))
                self.assertEqual(recorded, plain)

    def test_refusals_are_one_sentence(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                out = self.run_program(python, REFUSED).splitlines()
                expected = [
                    "Error /no/such/folder/t.bin: cannot be written: No such file or directory",
                    "Error --max-size: not a size (as 500M or 2G): 12X", "Error --include re:(: ",
                    "TypeError pyrec has no option 'colour'", "Error nothing.bin: No such file or directory",
                    "Error %s: is there and is no trace (--force replaces it)" % os.path.join(self.folder, "text"),
                    "Error text: "]
                if support.version(python) >= (3, 12):
                    expected.append("Error both sys.monitoring tool ids for us (3 and 4) are in use")
                else:
                    expected.append("Error pyrec records the main interpreter only, not a subinterpreter")
                self.assertEqual(len(out), len(expected), out)
                for line, start in zip(out, expected):
                    self.assertTrue(line.startswith(start), (line, start))

    def test_windows(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                program = WINDOWS + """
import shutil
shutil.copyfile(pyrec.trace_path(), "windows.bin")
"""
                self.assertEqual(self.run_program(python, program).split()[:3], ["1", "2", "4"])
                self.assertEqual(self.calls("mine.bin"), [1])
                self.assertEqual(self.calls("windows.bin"), [6])
                self.assertEqual(self.rows("windows.bin", "SELECT reason FROM gaps WHERE thread_id = 1"),
                                 [("paused",)] * 3)
                for owner, calls in (("one", "4"), ("two", "3")):
                    result = support.run([support.PYANALYZE, os.path.join(self.folder, "windows.bin"), "--window", owner,
                                          "--sql", "SELECT calls FROM functions WHERE name = 'leaf'"])
                    self.assertEqual((result.status, result.out.split()[1:]), (0, [calls.encode()]), result)

    def test_generators_and_coroutines_decorated(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                self.assertEqual(self.run_program(python, KINDS).splitlines(), [
                    "[1, 1, 1] [1, 1]", "[1, 1, 1]", "[Row(calls=2, resumes=5), Row(calls=5, resumes=0)]",
                    "[Row(calls=2, resumes=2), Row(calls=2, resumes=0)]", "[Row(calls=1, resumes=3), Row(calls=3, resumes=0)]"])

    def test_asking_is_not_recorded(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                out = self.run_program(python, ASKED)
                self.assertEqual(out, "[Row(calls=1)] ['call', 'line', 'return']\n")
                self.assertEqual(self.rows("trace.bin", "SELECT name, calls FROM functions WHERE calls > 0"), [("leaf", "2")])

    def test_samples(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                out = self.run_program(python, SAMPLED).splitlines()
                self.assertEqual(out, ["False", "[Row(mode='sample')]", "[Row(enough=1)]"])

    def test_threads_that_come_and_go(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                self.run_program(python, CHURN)

    def test_examples_of_the_documentation(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                program = "import doctest, pyrec, pyrec._query\nfor module in (pyrec, pyrec._query):\n" \
                          "    result = doctest.testmod(module)\n    print(result.failed, result.attempted > 2)\n"
                self.assertEqual(self.run_program(python, program), "0 True\n0 True\n")


class Texts(Case):
    def texts(self, trace):
        """The recorded texts by path."""
        result = support.run([support.PYANALYZE, os.path.join(self.folder, trace), "--json", "--sql",
                              "SELECT path, source FROM files ORDER BY path"])
        self.assertEqual((result.status, result.err), (0, b""), result)
        return {row["path"]: row["source"] and bytes.fromhex(row["source"]).decode() for row in json.loads(result.out)}

    def zip(self, name, member, text, method):
        path = os.path.join(self.folder, name)
        with zipfile.ZipFile(path, "w", method) as file:
            file.writestr(member, text)
            if "/" in member:
                file.writestr(os.path.dirname(member) + "/__init__.py", "")
        return path

    def test_what_only_the_program_has(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                stored = self.zip("stored.zip", "stored.py", "VALUE = 'stored'\n", zipfile.ZIP_STORED)
                deflated = self.zip("deflated.zip", "deflated/inside.py", "VALUE = 'deflated'\n" * 9, zipfile.ZIP_DEFLATED)
                program = self.program(TEXTS)
                plain = support.run([python, program, stored, deflated], cwd=self.folder)
                recorded = support.run([support.PYREC, "run", "--python", python, "-o", "texts.bin", program, stored,
                                        deflated], cwd=self.folder)
                self.assertEqual((recorded.status, recorded.out, recorded.err), (0, plain.out, b""), recorded)
                texts = self.texts("texts.bin")
                self.assertEqual(texts["/tmp/ipykernel_1/123.py"], "def in_cell():\n    return 'é'\nin_cell()\n")
                self.assertIn("def second", texts["<late>"])
                self.assertEqual(texts["<doctest __main__.doctested[1]>"], 'def inner():\n    return "inner"\n')
                self.assertEqual(texts["<doctest __main__.doctested[2]>"], "inner()\n")
                self.assertEqual(texts[stored + "/stored.py"], "VALUE = 'stored'\n")
                self.assertEqual(texts[deflated + "/deflated/inside.py"], "VALUE = 'deflated'\n" * 9)
                self.assertFalse(texts["<odd>"] or texts["<lazy>"])

    def test_a_program_on_standard_input(self):
        text = "import sys\nprint(sys.stdin.read())\n"
        for python in support.PYTHONS:
            with self.subTest(python):
                path = self.program(text, "input")
                with open(path, "rb") as file:
                    for more in ({"stdin": file}, {"input": text.encode()}):
                        result = support.run([support.PYREC, "run", "--python", python, "-o", "stdin.bin", "-"],
                                             cwd=self.folder, **more)
                        self.assertEqual((result.status, result.err, result.out), (0, b"", b"\n"), result)
                        self.assertEqual(self.texts("stdin.bin")["<stdin>"], text if "stdin" in more else None)

    def test_names_by_a_function(self):
        for python in support.PYTHONS:
            with self.subTest(python):
                out = self.run_program(python, NAMED)
                self.assertEqual(out, "unraisable no name\n")
                self.assertEqual(sorted(self.texts("frame.bin")),
                                 ["/virtual/<lambda>.py", "/virtual/<module>.py", "/virtual/f.py"])
                self.assertEqual(self.calls("frame.bin", "f"), [1])
                self.assertIn(os.path.join(os.path.realpath(self.folder), "__main__.virtual"), self.texts("file.bin"))


if __name__ == "__main__":
    unittest.main()
