"""`import pyrec`: a program that records itself, on each interpreter."""
import os
import shutil
import tempfile
import unittest

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


class Recording(Case):
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
            self.assertEqual(out[:5], ["[('f', 4), ('outer', 0)]", "[('phase 1', 9), ('phase 2', 18)]",
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


if __name__ == "__main__":
    unittest.main()
