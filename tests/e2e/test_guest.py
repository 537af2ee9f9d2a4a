"""The recorder is a guest: it keeps nothing alive, counts no references up, and needs nothing of what it finds."""
import os
import tempfile
import unittest

import support

# What dies without us dies with us, at the same moment.
LIFETIMES = '''
import gc, sys, types, weakref
gc.disable()
died = []
def watch(thing, name):
    weakref.finalize(thing, died.append, name)
class Thing:
    pass
def local():
    thing = Thing()
    watch(thing, "local")
    x = 1
    return sys._getframe()
frame = local()
print(died)
del frame
print(died)
def code(n):
    space = {}
    exec("def f():\\n    thing = Thing()\\n    return 1", {"Thing": Thing}, space)
    f = space.pop("f")
    f()
    watch(f.__code__, "code")
    watch(f, "function")
code(1)
print(died)
def module():
    made = types.ModuleType("made")
    exec(compile("import sys\\ndef g():\\n    yield 1\\nlist(g())", "made.py", "exec"), made.__dict__)
    watch(made, "module")
module()
print(died)
def generator():
    thing = Thing()
    watch(thing, "generator")
    yield 1
    yield 2
g = generator()
next(g)
del g
print(died)
def raises():
    thing = Thing()
    watch(thing, "raised")
    raise ValueError
try:
    raises()
except ValueError:
    pass
print(died)
async def coroutine():
    thing = Thing()
    watch(thing, "coroutine")
    await suspended()
@types.coroutine
def suspended():
    yield
c = coroutine()
c.send(None)
c.close()
print(died)
print(gc.collect(), len(gc.garbage))
'''

# References to what passes through our hands: exactly as many after as before.
REFERENCES = '''
import gc, sys
def work(n):
    for i in range(n):
        try:
            list(numbers(3))
            int("x")
        except ValueError:
            pass
def numbers(n):
    for i in range(n):
        yield i
class Odd(Exception):
    pass
def odd():
    try:
        raise Odd
    except Odd:
        return sys._getframe().f_code
def count():
    things = (work, work.__code__, numbers.__code__, work.__globals__, Odd, ValueError, sys.modules, sys, odd.__code__)
    return [sys.getrefcount(thing) for thing in things]
def count_roughly():
    small = [sys.getrefcount(thing) for thing in (None, True, "", 1, ())]
    return small + [len(gc.get_objects())]
work(2000)
odd()
before, roughly = count(), count_roughly()
work(ROUNDS)
for _ in range(1000):
    odd()
after = count()
print(before == after, before if before != after else "", after if before != after else "")
print(all(abs(a - b) < 60 for a, b in zip(roughly, count_roughly())))
if hasattr(sys, "gettotalrefcount"):
    totals = []
    for _ in range(4):
        gc.collect()
        totals.append(sys.gettotalrefcount())
        work(3000)
        odd()
    print(max(totals[1:]) - min(totals[1:]) < 30)
'''

# Memory stays where it is: RSS after the first third, and at the end.
MEMORY = '''
import sys
def step(n):
    for i in range(n):
        x = leaf(i)
def leaf(i):
    return i
def generators(n):
    for i in range(n):
        for j in gen():
            pass
def gen():
    yield 1
    yield 2
def exceptions(n):
    for i in range(n):
        try:
            raise ValueError
        except ValueError:
            pass
def codes(n):
    for i in range(n):
        exec(TEXT, {})
TEXT = compile("def f():\\n    return 1\\nf()", "made.py", "exec")
def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4
def work(n):
    step(n)
    generators(n // 8)
    exceptions(n // 8)
    codes(n // 100)
ROUNDS = int(sys.argv[1])
work(100000)
first = rss()
for _ in range(ROUNDS):
    work(100000)
print(rss() - first < 1500 or rss() - first)
'''

# Everything is patched, replaced or gone before the program has ended.
TEAR_DOWN = '''
import builtins, os, sys, threading, time
def step(n):
    for i in range(n):
        pass
step(10)
write, remove = os.write, delattr
os.environ.clear()
def nothing(*arguments, **options):
    return None
for module in (os, time, threading):
    for name in list(vars(module)):
        if callable(getattr(module, name)) and name not in ("PathLike", "Thread"):
            setattr(module, name, nothing)
step(10)
sys.stdout = sys.stderr = sys.stdin = None
for name in list(sys.modules):
    if name not in ("builtins", "sys", "__main__"):
        sys.modules.pop(name)
sys.path[:] = []
sys.meta_path[:] = []
step(10)
for name in list(vars(builtins)):
    if name not in ("range", "__build_class__", "None"):
        remove(builtins, name)
step(10)
write(1, b"done\\n")
for name in [*sys.__dict__]:
    del sys.__dict__[name]
step(10)
'''

SHADOWED = ("json", "platform", "threading", "traceback", "linecache", "inspect", "tokenize", "random", "signal")

PROFILER = '''
import sys
def f(n):
    for i in range(n):
        len("text")
told = []
def profiler(frame, event, argument):
    told.append((event, getattr(argument, "__name__", argument)))
def other(frame, event, argument):
    profiler(frame, event, argument)
sys.setprofile(profiler)
f(3)
sys.setprofile(other)
f(3)
sys.setprofile(None)
print(told)
'''


class Guest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyrec-guest-")
        self.addCleanup(self.folder.cleanup)

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def each(self, source, verify, arguments=(), options=(), pythons=support.PYTHONS):
        program = self.write("program.py", source)
        for python in pythons:
            with self.subTest(python=python):
                recording = support.Recording(python, [program, *arguments], options)
                plain, recorded = recording.plain, recording.recorded
                self.assertEqual((plain.status, plain.out, plain.err), (recorded.status, recorded.out, recorded.err))
                self.assertEqual(recording.value("SELECT max(abs(difference_ns)) FROM accounts"), 0)
                verify(recording)
                recording.close()

    def test_lifetimes(self):
        def verify(recording):
            for word in (b"local", b"code", b"function", b"module", b"generator", b"raised", b"coroutine"):
                self.assertIn(word, recording.recorded.out)
        self.each(LIFETIMES, verify)
        self.each(LIFETIMES, verify, options=["--c-calls"])

    def test_references(self):
        rounds = 100000 if support.LONG else 5000

        def verify(recording):
            self.assertEqual(set(recording.recorded.out.split()), {b"True"})
            support.figure("events after which all reference counts were the same",
                           recording.value("SELECT sum(events) FROM runs"))
        self.each(REFERENCES.replace("ROUNDS", str(rounds)), verify)

    def test_memory(self):
        def verify(recording):
            self.assertEqual(recording.recorded.out, b"True\n")
            support.figure("events during which memory stayed the same", recording.value("SELECT sum(events) FROM runs"))
        self.each(MEMORY, verify, ["20" if support.LONG else "2"])

    def test_everything_torn_down(self):
        def verify(recording):
            self.assertEqual(recording.recorded.out, b"done\n")
            self.assertEqual(recording.query("SELECT calls FROM functions WHERE name = 'step'"), [(5,)])
            self.assertEqual(recording.query("SELECT ended FROM processes"), [("exit 0",)])
        self.each(TEAR_DOWN, verify)

    def test_a_profiler_of_the_programs_own(self):
        """It is told what it would be told otherwise, though calls of C are recorded; from 3.12 on CPython tells it of the
        end of sys.setprofile(), too, as soon as any tool has asked for calls."""
        def verify(recording):
            self.assertEqual(recording.recorded.out.count(b"c_call"), 1 + 3 + 3 + 1)
        self.each(PROFILER, verify, options=["--c-calls"], pythons=[
            python for python in support.PYTHONS if support.version(python) < (3, 12)])

    def test_shadowed_modules(self):
        for name in SHADOWED:
            self.write(name + ".py", "print(%r)\nraise ImportError('not the one')\n" % name)

        def verify(recording):
            # Some may have been imported before the program began.
            self.assertGreater(set(recording.recorded.out.split()), {b"json", b"platform", b"inspect"})
        self.each("for name in %r:\n    try:\n        __import__(name)\n    except ImportError:\n        pass\n" % (SHADOWED,),
                  verify)


if __name__ == "__main__":
    unittest.main()
