"""Libraries that do unusual things with frames, threads and C: they behave as ever, and are recorded right.

Each program counts its own calls and prints the counts; a library that is not installed is left out.
"""
import os
import re
import tempfile
import unittest

import support

COUNTING = '''
import atexit, collections, json, os, sys
calls = collections.Counter()
def counted(name):
    calls[name] += 1
def report():
    print(json.dumps(calls, sort_keys=True))
'''

ASYNCIO = COUNTING + '''
import asyncio
async def leaf(n):
    counted("leaf")
    await asyncio.sleep(0)
    return n
async def numbers(n):
    counted("numbers")
    for i in range(n):
        await asyncio.sleep(0)
        yield i
async def cancelled():
    counted("cancelled")
    await asyncio.sleep(60)
async def worker(n):
    counted("worker")
    total = 0
    async for i in numbers(n):
        total += await leaf(i)
    task = asyncio.ensure_future(cancelled())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        total += 1
    return total
def blocking(n):
    counted("blocking")
    return n
async def main():
    counted("main")
    print(sum(await asyncio.gather(*(worker(n) for n in range(20)))))
    loop = asyncio.get_running_loop()
    print(sum(await asyncio.gather(*(loop.run_in_executor(None, blocking, n) for n in range(30)))))
asyncio.run(main())
report()
'''

FUTURES = COUNTING + '''
import concurrent.futures, threading
lock = threading.Lock()
def task(n):
    with lock:
        counted("task")
    return n * n
def child(n):
    return n + 1
if __name__ == "__main__":
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        print(sum(pool.map(task, range(200))))
    with concurrent.futures.ProcessPoolExecutor(3) as pool:
        print(sum(pool.map(child, range(40))))
    calls["child"] = 40
    report()
'''

DOCTEST = COUNTING + '''
import doctest
def double(n):
    """
    >>> double(2)
    4
    >>> [double(n) for n in range(3)]
    [0, 2, 4]
    >>> double("a")
    'aa'
    >>> double()
    Traceback (most recent call last):
    TypeError: double() missing 1 required positional argument: 'n'
    """
    counted("double")
    return 2 * n
print(doctest.testmod())
report()
'''

UNITTEST = COUNTING + '''
import unittest, unittest.mock
class Tests(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        counted("setUp")
    def test_sub(self):
        counted("test_sub")
        for n in range(3):
            with self.subTest(n=n):
                self.assertLess(n, 3)
    @unittest.expectedFailure
    def test_fails(self):
        counted("test_fails")
        self.fail()
    @unittest.skip("no")
    def test_skipped(self):
        counted("test_skipped")
    @unittest.mock.patch("os.getcwd", return_value="there")
    def test_mock(self, mock):
        counted("test_mock")
        self.assertEqual(os.getcwd(), "there")
    async def test_async(self):
        counted("test_async")
print(unittest.main(exit=False, argv=["x"]).result)
report()
'''

GREENLET = COUNTING + '''
import greenlet, threading
def ping(n):
    counted("ping")
    for i in range(n):
        other = main.switch(i)
    return "end"
def deep(n):
    counted("deep")
    if n == 0:
        return main.switch("bottom")
    return deep(n - 1)
main = greenlet.getcurrent()
many = [greenlet.greenlet(ping) for _ in range(20)]
for k in range(5):
    print([g.switch(5) if k == 0 else g.switch() for g in many])
g = greenlet.greenlet(deep)
print(g.switch(50), g.switch("back"))
def fails():
    counted("fails")
    try:
        main.switch()
    finally:
        counted("finally")
g = greenlet.greenlet(fails)
g.switch()
try:
    g.throw(ValueError)
except ValueError:
    print("thrown")
def in_thread():
    home = greenlet.getcurrent()
    def inner():
        counted("inner")
        for i in range(10):
            home.switch()
    g = greenlet.greenlet(inner)
    for i in range(10):
        g.switch()
threads = [threading.Thread(target=in_thread) for _ in range(3)]
for thread in threads:
    thread.start()
    thread.join()
report()
'''

GEVENT = '''
from gevent import monkey
monkey.patch_all()
import gevent, gevent.pool, gevent.queue
''' + COUNTING + '''
import threading, time, subprocess, socket
def worker(n):
    counted("worker")
    for i in range(n):
        gevent.sleep(0)
        step()
    return n
def step():
    counted("step")
print(sum(job.value for job in gevent.joinall([gevent.spawn(worker, n) for n in range(20)])))
queue = gevent.queue.Queue(2)
def produce():
    counted("produce")
    for n in range(50):
        queue.put(n)
    queue.put(None)
def consume():
    counted("consume")
    while queue.get() is not None:
        step()
gevent.joinall([gevent.spawn(produce), gevent.spawn(consume)])
def patched():
    counted("patched")
    time.sleep(0.001)
threads = [threading.Thread(target=patched) for _ in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
def serve(listener):
    counted("serve")
    client, _ = listener.accept()
    client.sendall(client.recv(100).upper())
    client.close()
listener = socket.create_server(("127.0.0.1", 0))
gevent.spawn(serve, listener)
client = socket.create_connection(listener.getsockname())
client.sendall(b"hello")
print(client.recv(100))
print(subprocess.run([sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE).stdout)
report()
'''

FLASK = COUNTING + '''
import threading, urllib.request
import flask, werkzeug.serving
app = flask.Flask("app")
lock = threading.Lock()
@app.before_request
def before():
    with lock:
        counted("before")
@app.route("/<name>")
def page(name):
    with lock:
        counted("page")
    return flask.render_template_string("{% for c in name %}{{ c }}.{% endfor %}", name=name)
@app.route("/error")
def error():
    with lock:
        counted("error")
    raise KeyError("gone")
@app.errorhandler(KeyError)
def failed(error):
    with lock:
        counted("failed")
    return "sorry", 500
werkzeug.serving.WSGIRequestHandler.log = lambda *arguments: None
server = werkzeug.serving.make_server("127.0.0.1", 0, app, threaded=True)
thread = threading.Thread(target=server.serve_forever)
thread.start()
def ask(path):
    try:
        with urllib.request.urlopen("http://127.0.0.1:%d/%s" % (server.server_port, path)) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        return error.code
def client():
    for name in ("a", "bc", "error"):
        answers.add((name, ask(name)))
answers = set()
clients = [threading.Thread(target=client) for _ in range(6)]
for c in clients:
    c.start()
for c in clients:
    c.join()
print(sorted(answers))
server.shutdown()
thread.join()
server.server_close()
report()
'''

NUMPY = COUNTING + '''
import numpy
def scalar(x):
    counted("scalar")
    return x + 1.0
def row(values):
    counted("row")
    return values.sum()
def key(a):
    counted("key")
    return -a
print(numpy.vectorize(scalar, otypes=[float])(numpy.arange(100)).sum())
print(numpy.apply_along_axis(row, 1, numpy.ones((30, 4))).tolist())
print(numpy.frompyfunc(scalar, 1, 1)(numpy.arange(50)).sum())
print(sorted(numpy.arange(10), key=key))
print(numpy.fromfunction(lambda i, j: i + j, (3, 3)).sum(), numpy.dot(numpy.ones((300, 300)), numpy.ones((300, 300)))[0, 0])
class Array(numpy.ndarray):
    def __array_finalize__(self, other):
        counted("__array_finalize__")
a = numpy.zeros(4).view(Array)
print((a + a)[1:].shape)
report()
'''

CYTHON_MODULE = '''
cdef class Adder:
    cdef public object function
    def __init__(self, function):
        self.function = function
    def add(self, int n):
        cdef int i
        total = 0
        for i in range(n):
            total += self.function(i)
        return total
def numbers(function, n):
    for i in range(n):
        yield function(i)
def failing(function):
    try:
        function("x")
    except TypeError:
        return "caught"
'''

CYTHON = COUNTING + '''
sys.path.insert(0, sys.argv[1])
import fast
def back(n):
    counted("back")
    return n + 1
def outer():
    counted("outer")
    print(fast.Adder(back).add(500))
    print(sum(fast.numbers(back, 100)))
    print(fast.failing(back))
    print(sorted(range(5), key=fast.Adder(back).function))
outer()
report()
'''

PYTEST = '''
import pytest
@pytest.fixture(params=[1, 2])
def number(request):
    yield request.param
def triple(n):
    return 3 * n
@pytest.mark.parametrize("times", range(4))
def test_many(number, times):
    assert triple(number) == 3 * number
def test_fails():
    a, b = [1, 2], [1, 3]
    assert a == b
def test_raises(capsys, monkeypatch, tmp_path):
    with pytest.raises(ZeroDivisionError):
        1 / 0
    print("x")
    assert capsys.readouterr().out == "x\\n"
'''


def settled(text):
    return re.sub(rb"0x[0-9a-f]+|\d+\.\d+ ?s\b", b"N", text)


class Libraries(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyrec-libraries-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def pythons(self, *modules):
        found = [python for python in support.PYTHONS if all(support.has_module(python, name) for name in modules)]
        if not found:
            self.skipTest("no interpreter has " + " and ".join(modules))
        return found

    def record(self, python, arguments, status=0):
        recording = support.Recording(python, arguments)
        self.addCleanup(recording.close)
        plain, recorded = recording.plain, recording.recorded
        self.assertEqual((plain.status, settled(plain.out), settled(plain.err)),
                         (recorded.status, settled(recorded.out), settled(recorded.err)))
        self.assertEqual(recorded.status, status, recorded)
        self.assertEqual(recording.value("SELECT max(abs(difference_ns)) FROM accounts"), 0)
        self.assertEqual(recording.query("SELECT * FROM warnings"), [])
        support.figure("programs of libraries recorded right", 1)
        return recording

    def check(self, source, modules=(), arguments=(), verify=lambda recording: None):
        """The calls that the program has counted are those of the trace."""
        program = self.write("program.py", source)
        for python in self.pythons(*modules):
            with self.subTest(python=python):
                recording = self.record(python, [program, *arguments])
                counts = support.json.loads(recording.recorded.out.splitlines()[-1])
                for name, count in counts.items():
                    row = recording.query("SELECT sum(calls) FROM functions WHERE name = ? AND file = ?", name, program)
                    if name != "finally":
                        self.assertEqual(row, [(count,)], name)
                self.assertEqual(
                    recording.query("SELECT sum(calls) FROM functions WHERE name = 'counted' AND file = ?", program)[0][0],
                    sum(counts.values()) - counts.get("child", 0))
                verify(recording)

    def callers(self, recording, callee, what="calls"):
        return {row[0] for row in recording.query(
            "SELECT DISTINCT caller_function FROM edges WHERE callee_function = ? AND %s > 0" % what, callee)}

    def test_asyncio(self):
        def verify(recording):
            self.assertEqual(self.callers(recording, "leaf"), {"worker"})
            self.assertEqual(recording.query(
                "SELECT name, sum(resumes) FROM functions WHERE name IN ('leaf', 'cancelled') GROUP BY 1 ORDER BY 1"),
                [("cancelled", 20), ("leaf", 190)])
        self.check(ASYNCIO, verify=verify)

    def test_futures(self):
        self.check(FUTURES)

    def test_doctest(self):
        self.check(DOCTEST)

    def test_unittest(self):
        self.check(UNITTEST)

    def test_greenlet(self):
        def verify(recording):
            # A greenlet is nobody's callee but its own beginning's: no edge crosses a switch.
            self.assertNotIn("ping", self.callers(recording, "ping"))
            self.assertEqual(self.callers(recording, "deep") - {"deep"}, self.callers(recording, "ping"))
            self.assertEqual(recording.value("SELECT sum(primitive_calls) FROM functions WHERE name = 'deep'"), 1)
            self.assertGreater(recording.sql("SELECT count(*) FROM events WHERE event = 'switch'")[0][0], 200)
        self.check(GREENLET, ["greenlet"], verify=verify)

    def test_gevent(self):
        def verify(recording):
            self.assertEqual(self.callers(recording, "step"), {"worker", "consume"})
            self.assertFalse(self.callers(recording, "worker") & {"worker", "produce", "consume", "<module>"})
        self.check(GEVENT, ["gevent"], verify=verify)

    def test_flask(self):
        self.check(FLASK, ["flask"])

    def test_numpy(self):
        self.check(NUMPY, ["numpy"])

    def test_cython(self):
        pythons = self.pythons("Cython")
        self.write("fast.pyx", CYTHON_MODULE)
        for python in pythons:
            include, suffix = support.run([python, "-c", "import sysconfig as s; print('-I' + s.get_path('include'),"
                                                         " s.get_config_var('EXT_SUFFIX'))"]).out.decode().split()
            for command in ([python, "-m", "cython", "-3", "fast.pyx"],
                            ["cc", "-O1", "-w", "-shared", "-fPIC", include, "-o", "fast" + suffix, "fast.c"]):
                built = support.run(command, cwd=self.folder.name)
                if built.status != 0:
                    self.skipTest("Cython does not build here")

        def verify(recording):
            # C code is transparent: the caller is the line that called it.
            self.assertEqual(self.callers(recording, "back"), {"outer"})
        self.check(CYTHON, ["Cython"], [self.folder.name], verify)

    def test_pytest(self):
        self.write("test_it.py", PYTEST)
        for python in self.pythons("pytest"):
            with self.subTest(python=python):
                recording = self.record(python, ["-m", "pytest", "-q", "-p", "no:cacheprovider", self.path("test_it.py")], 1)
                self.assertIn(b"1 failed, 9 passed", recording.recorded.out)
                self.assertEqual(recording.query("SELECT name, sum(calls) FROM functions WHERE file LIKE '%/test_it.py' AND"
                                                 " calls > 1 GROUP BY 1 ORDER BY 1"),
                                 [("number", 8), ("test_many", 8), ("triple", 8)])


if __name__ == "__main__":
    unittest.main()
