"""Much of everything: right, and at a cost in proportion."""
import os
import re
import tempfile
import unittest

import support

MANY_AT_ONCE = '''
import sys, threading
COUNT = int(sys.argv[1])
threading.stack_size(256 << 10)
gate = threading.Barrier(COUNT + 1)
def work():
    gate.wait()
    x = 1
threads = [threading.Thread(target=work) for _ in range(COUNT)]
for thread in threads:
    thread.start()
gate.wait()
for thread in threads:
    thread.join()
print("done")
'''

# Threads that run one line each, without the threading module's own.
ONE_BY_ONE = '''
import _thread, sys
lock = _thread.allocate_lock()
lock.acquire()
def work():
    lock.release()
for _ in range(int(sys.argv[1])):
    _thread.start_new_thread(work, ())
    lock.acquire()
print("done")
'''

CODE = '''
import sys
COUNT = int(sys.argv[1])
template = compile("def f():\\n    return 1\\n", "made.py", "exec").co_consts[0]
assert template.co_name == "f"
addresses = set()
class Holder:
    pass
def call(n):
    f = type(call)(template.replace(co_name="f%d" % (n % 1000)), globals())
    addresses.add(id(f.__code__))
    return f()
total = 0
for n in range(COUNT):
    total += call(n)
print(total, len(addresses) < COUNT // 10)
'''

DEEP = '''
import sys, threading
DEPTH = int(sys.argv[1])
sys.setrecursionlimit(DEPTH + 1000)
threading.stack_size(1 << 30)
def f(n):
    if n:
        return f(n - 1) + 1
    return 0
def main():
    print(f(DEPTH))
thread = threading.Thread(target=main)
thread.start()
thread.join()
'''

LARGE = '''
import sys
folder, LINES, NAME = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.path.insert(0, folder)
with open(folder + "/large.py", "w") as file:
    padding = "#" * 45
    for n in range(LINES):
        file.write(padding + "\\n")
    file.write("def far():\\n    return 42\\n")
import large
print(large.far(), large.far.__code__.co_firstlineno)
name = "n" * NAME
space = {}
exec("class A:\\n    def f(self):\\n        return 1\\n", space)
code = space["A"].f.__code__
print(type(large.far)(code.replace(**({"co_qualname": name} if hasattr(code, "co_qualname") else {}), co_name=name), {})(1))
'''


class Extremes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyrec-extremes-")
        self.addCleanup(self.folder.cleanup)

    def each(self, source, arguments, check, pythons=support.PYTHONS):
        program = os.path.join(self.folder.name, "program.py")
        with open(program, "w", encoding="utf-8") as file:
            file.write(source)
        for python in pythons:
            with self.subTest(python=python):
                recording = support.Recording(python, [program, *map(str, arguments)])
                plain, recorded = recording.plain, recording.recorded
                self.assertEqual((plain.status, plain.out, plain.err), (recorded.status, recorded.out, recorded.err))
                self.assertEqual(recording.value("SELECT max(abs(difference_ns)) FROM accounts"), 0)
                self.assertEqual(recording.query("SELECT * FROM warnings"), [])
                check(recording, os.path.getsize(recording.trace))
                recording.close()

    def function(self, recording, name, what):
        return recording.value("SELECT sum(%s) FROM functions WHERE name = ? AND file LIKE '%%/program.py'" % what, name)

    def test_many_threads_at_once(self):
        count = 2000 if support.LONG else 500

        def check(recording, size):
            self.assertEqual(self.function(recording, "work", "calls"), count)
            self.assertEqual(self.function(recording, "work", "hits"), 2 * count)
            self.assertEqual(recording.value("SELECT count(*) FROM threads"), count + 1)
            # What threading does for each is some two hundred events in the thread and in the main one.
            self.assertLess(size, 2e6 + 12000 * count)
            support.figure("threads alive at once, each exact", count, "largest")
        self.each(MANY_AT_ONCE, [count], check)

    def test_many_threads_one_by_one(self):
        count = 100000 if support.LONG else 3000

        def check(recording, size):
            self.assertEqual(self.function(recording, "work", "calls"), count)
            self.assertEqual(self.function(recording, "work", "hits"), count)
            self.assertEqual(recording.value("SELECT count(*) FROM threads"), count + 1)
            # A page of events and a line of facts for a thread that runs one line.
            self.assertLess(size, 2e6 + 4300 * count)
            support.figure("threads one after another, each exact", count, "largest")
            support.figure("bytes of trace that a thread of one line takes at most", size / count, "largest")
        self.each(ONE_BY_ONE, [count], check, support.share(support.PYTHONS[:2], support.PYTHONS[0])
                  if support.LONG else support.PYTHONS)

    def test_many_code_objects(self):
        count = 1000000 if support.LONG else 20000

        def check(recording, size):
            self.assertIn(b"%d True" % count, recording.recorded.out)
            self.assertEqual(recording.query(
                "SELECT sum(calls), sum(hits), count(DISTINCT name), count(*) FROM functions WHERE file LIKE '%/made.py'"),
                [(count, count, 1000, 1000)])
            self.assertLess(size, 2e6 + 200 * count)
            support.figure("code objects made, run once and discarded, each exact", count, "largest")
        self.each(CODE, [count], check)

    def test_deep_recursion(self):
        def check(depth):
            def verify(recording, size):
                self.assertEqual(recording.recorded.out, b"%d\n" % depth)
                self.assertEqual(self.function(recording, "f", "calls"), depth + 1)
                self.assertEqual(self.function(recording, "f", "hits"), 2 * (depth + 1))
                self.assertLess(size, 2e6 + 60 * depth)
                support.figure("frames on one stack, exact", depth, "largest")
            return verify
        for python in support.PYTHONS:
            depth = 100000 if support.version(python) < (3, 11) or not support.LONG else 1000000
            self.each(DEEP, [depth], check(depth), [python])

    def test_many_contexts(self):
        """Memory of the analyzer: what a context costs, with its four lines and one way into it."""
        trace = os.path.join(self.folder.name, "trace.bin")
        program = os.path.join(support.ROOT, "tests", "bench", "programs", "contexts.py")
        support.run([support.PYREC, "run", "-o", trace, "--python", support.PYTHONS[-1], program, "1"])
        result = support.run([support.PYANALYZE, "-v", trace, "--db", trace + ".db"])
        found = re.search(rb"(\d+) contexts, ([\d.]+) MB of sums", result.err)
        contexts, size = int(found[1]), float(found[2]) * 1e6
        self.assertGreater(contexts, 111111)
        self.assertLess(size, 420 * contexts)
        support.figure("bytes of the analyzer's memory that a context of four lines takes", size / contexts, "largest")

    def test_large_sources_and_names(self):
        lines, name = 1100000, 1 << 20

        def check(recording, size):
            self.assertIn(b"42 %d" % (lines + 1), recording.recorded.out)
            self.assertEqual(recording.query("SELECT line, hits FROM lines WHERE file LIKE '%/large.py' AND hits > 0"
                                             " ORDER BY line"), [(lines + 1, 1), (lines + 2, 1)])
            self.assertGreater(recording.value("SELECT length(source) FROM files WHERE path LIKE '%/large.py'"), 50e6)
            self.assertEqual(recording.query("SELECT length(name) FROM functions WHERE length(name) > 9999"), [(name,)])
            self.assertLess(size, 2e6 + 51e6 + 6 * name)
            report = support.run([support.PYANALYZE, recording.database_path, "--file", "large.py",
                                  "--min-percent", "0"])
            self.assertEqual(len(re.findall(rb"(?m)^ *\d+\|.*\|#{45}$", report.out)), lines)
        self.each(LARGE, [self.folder.name, lines, name], check,
                  support.PYTHONS if support.LONG else support.share(support.PYTHONS, support.PYTHONS[0])[:1])


if __name__ == "__main__":
    unittest.main()
