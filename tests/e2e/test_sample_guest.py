"""The sampler as a guest: what programs do to themselves and to all their threads, they can do while they are sampled."""
import errno
import os
import platform
import sys
import unittest

import support
import test_sample

FORBID = os.path.join(support.ROOT, "tests", "fault", "forbid.py")
PROCESS_VM_READV = {"x86_64": 310, "aarch64": 270}.get(platform.machine())

SPIN = '''
def before(n):
    for i in range(n):
        pass
def after(n):
    for i in range(n):
        pass
'''

# Its threads are all under the filter at once, the sampler too.
FILTER = SPIN + '''
import ctypes, struct, sys
def forbid(number):
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in (
        (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000))))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.syscall(317, 1, 1, program) == 0
before(5000000)
for number in map(int, sys.argv[1:]):
    forbid(number)
after(5000000)
print("filtered")
'''

# Nobody but root may look into it, itself neither; then it has a child.
UNDUMPABLE = SPIN + '''
import ctypes, os, threading, time
libc = ctypes.CDLL(None)
def child(n):
    for i in range(n):
        pass
before(5000000)
os.setuid(65534)
assert libc.prctl(4, 0, 0, 0, 0) == 0 and libc.prctl(3, 0, 0, 0, 0) == 0
after(5000000)
def threads():
    with open("/proc/self/stat") as file:
        return int(file.read().rpartition(")")[2].split()[17])
before_it = threads()
thread = threading.Thread(target=time.sleep, args=(0.1,))
thread.start()
thread.join()
while threads() > before_it:     # until the kernel has forgotten it: os.fork() counts threads
    time.sleep(0.01)
if os.fork() == 0:
    child(3000000)
    os._exit(0)
os.wait()
print("undumpable")
'''

NO_THREADS = SPIN + '''
import os, resource, threading
before(5000000)
os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
try:
    os.fork()
except BlockingIOError:
    after(3000000)
    print("no threads")
'''

CLOSED = SPIN + '''
import os, sys, threading, warnings
warnings.simplefilter("ignore")     # os.fork() with threads
os.closerange(3, 65536)
names = [os.path.join(sys.argv[1], "file%d" % i) for i in range(200)]
def all_open():
    return [os.open(name, os.O_RDWR | os.O_CREAT, 0o600) for name in names]
def work(k):
    for i in range(60):
        exec("def made%d_%d(n):\\n    for i in range(n): pass\\nmade%d_%d(3000)" % (k, i, k, i), {})
for attempt in range(6):
    descriptors = all_open()
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    work(9)
    if os.fork() == 0:
        work(5)
        os._exit(0)
    os.wait()
    for thread in threads:
        thread.join()
    os.closerange(3, 65536)
assert all(os.stat(name).st_size == 0 for name in names)
print("closed")
'''

ROOT = SPIN + '''
import os, sys, threading, time
before(5000000)
os.chroot(sys.argv[1])
os.chdir("/")
threads = [threading.Thread(target=after, args=(5000000,)) for i in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("root")
'''

PLACES = SPIN + '''
import os, signal, threading
one = {min(os.sched_getaffinity(0))}
before(1000000)
os.sched_setaffinity(0, one)
os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + 1)
mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
after(1000000)
inner = []
thread = threading.Thread(target=lambda: inner.append((os.sched_getaffinity(0), signal.pthread_sigmask(signal.SIG_BLOCK, []))))
thread.start()
thread.join()
assert os.sched_getaffinity(0) == one and inner == [(one, {signal.SIGUSR1})], inner
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == {signal.SIGUSR1}
os.kill(os.getpid(), signal.SIGUSR1)
assert signal.sigtimedwait({signal.SIGUSR1}, 10).si_signo == signal.SIGUSR1     # no other thread has it open
print("places")
'''

CHILDREN = '''
import multiprocessing, os, subprocess, sys
def square(n):
    return sum(range(n))
def prepare():
    sum(range(1000))
if __name__ == "__main__":
    for i in range(15):
        subprocess.run(["true"], check=True)
        assert subprocess.check_output([sys.executable, "-c", "print(%d)" % i]) == b"%d\\n" % i
    subprocess.run(["true"], preexec_fn=prepare, check=True)
    for i in range(15):
        assert os.waitpid(os.posix_spawnp("true", ["true"], os.environ), 0)[1] == 0
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(square, [1000] * 20) == [499500] * 20
        pool.close()
        pool.join()
    again = "import os, sys; os.execv(sys.executable, [sys.executable, '-c', 'print(sum(range(1000000)))'])"
    assert subprocess.check_output([sys.executable, "-c", again]) == b"499999500000\\n"
    print("children")
'''

# Threads that C code makes, and what ends while they run on.
FOREIGN = '''
import ctypes, threading, time
libc = ctypes.CDLL(None)
def inside(n):
    for i in range(n):
        pass
@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def body(argument):
    inside(30000)
for attempt in range(60):
    threads = (ctypes.c_ulong * 4)()
    for i in range(4):
        assert libc.pthread_create(ctypes.byref(threads, 8 * i), None, body, None) == 0
    for i in range(4):
        assert libc.pthread_join(ctypes.c_ulong(threads[i]), None) == 0
print("foreign")
'''

WATCHED = '''
import faulthandler, os, sys, time, tracemalloc
tracemalloc.start(5)
nowhere = open(os.devnull, "w")
faulthandler.dump_traceback_later(0.01, repeat=True, file=nowhere)
time.sleep(0.1)     # it looks at frames that must not move
faulthandler.cancel_dump_traceback_later()
def numbers(n):
    for i in range(n):
        yield [i]
for i in range(30):
    sum(map(len, numbers(20000)))
    exec("def made():\\n    return %d\\nmade()" % i)
nowhere.close()
assert tracemalloc.get_traced_memory()[1] > 0
print("watched")
'''

NO_SPACE = SPIN + '''
import resource
before(1000000)
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (4096 * pages + (1 << 20),) * 2)
def deeper(n):
    return deeper(n - 1) if n else after(1000000)
held = []
try:
    while True:
        held.append(bytearray(100000))
except MemoryError:
    pass
try:
    deeper(200)
except MemoryError:
    pass
del held
deeper(100)
print("no space")
'''

GREENLETS = '''
import greenlet
def leaf(n):
    for i in range(n):
        pass
def down(n, k):
    if n:
        down(n - 1, k)
    else:
        for i in range(20):
            leaf(500)
            main.switch()
main = greenlet.getcurrent()
several = [greenlet.greenlet(down) for k in range(20)]
for i in range(21):
    for k, one in enumerate(several):
        if not one.dead:
            one.switch(k, k)
leaf(100000)
print("greenlets")
'''

GEVENT = '''
from gevent import monkey
monkey.patch_all()
import gevent, threading, time
def work(n):
    for i in range(n):
        time.sleep(0)
        sum(range(500))
gevent.joinall([gevent.spawn(work, 40) for i in range(20)])
threads = [threading.Thread(target=work, args=(40,)) for i in range(5)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("gevent")
'''


class SampleGuest(unittest.TestCase):
    record = test_sample.Sample.record
    check_books = test_sample.Sample.check_books
    check_seen = test_sample.Sample.check_seen

    def each(self, text, options=("--sample", "100us"), arguments=(), pythons=None):
        """The recording by each interpreter, of a program that ends well, as it does by itself."""
        for python in support.PYTHONS if pythons is None else pythons:
            with self.subTest(support.version_name(python), arguments=arguments):
                recording = self.record(python, text, options)
                recording.program += arguments
                self.assertEqual((recording.plain.status, recording.plain.err), (0, b""), recording.plain)
                self.assertEqual((recording.recorded.status, recording.recorded.out, recording.recorded.err),
                                 (0, recording.plain.out, b""), recording.recorded)
            yield recording
            self.check_books(recording)
            support.figure("programs that do things to themselves while sampled", 1)

    def samples(self, recording, *names):
        rows = dict(recording.query("SELECT name, sum(samples) FROM functions GROUP BY name"))
        return [rows.get(name, 0) for name in names]

    def below_filter(self, recording, error):
        """The same program where copying by process_vm_readv fails with `error`."""
        command = [sys.executable, FORBID, str(error), str(PROCESS_VM_READV), support.PYREC, "run", "--python",
                   recording.python, "-o", recording.trace, *recording.options, *recording.program]
        recording.recorded = recording.run(command)     # instead of without
        return recording.recorded

    @unittest.skipUnless(PROCESS_VM_READV, "its number is not known for this machine")
    def test_copies_through_a_file(self):
        for python in support.PYTHONS:
            for error in (errno.EPERM, errno.ENOSYS):
                for name, text in (("mixture", test_sample.MIXTURE), ("forks", test_sample.FORKS), ("own", test_sample.OWN)):
                    with self.subTest(name, python=support.version_name(python), error=error):
                        sampled = self.record(python, text, ["--sample", "100us"])
                        result = self.below_filter(sampled, error)
                        self.assertEqual((result.status, result.out, result.err), (0, sampled.plain.out, b""))
                        self.check_books(sampled)
                        self.assertGreater(sampled.value("SELECT sum(samples) FROM samplers"), 0)
                        if name == "mixture":
                            self.check_seen(sampled, self.record(python, text, []))

    @unittest.skipUnless(PROCESS_VM_READV, "its number is not known for this machine")
    def test_no_copies_at_all(self):
        hidden = 'mount --bind /dev/null /proc/$$/mem && exec "$@"'
        if support.run(["unshare", "-m", "sh", "-c", hidden, "sh", "true"]).status != 0:
            self.skipTest("no mounts of one's own here")
        for python in support.PYTHONS:
            for error in (errno.EPERM, errno.ENOSYS):
                with self.subTest(support.version_name(python), error=error):
                    recording = self.record(python, "print('never')", ["--sample", "1ms"])
                    command = [sys.executable, FORBID, str(error), str(PROCESS_VM_READV), support.PYREC, "run", "--python",
                               python, "-o", recording.trace, *recording.options, *recording.program]
                    result = support.run(["unshare", "-m", "sh", "-c", hidden, "sh"] + command)
                    self.assertEqual((result.status, result.out), (125, b""))
                    self.assertEqual(result.err, b"pyrec: sampling needs process_vm_readv or /proc/self/mem, and neither "
                                     b"works here (%s)\n" % os.strerror(error).encode())
                    self.assertFalse(os.path.exists(recording.trace))

    @unittest.skipUnless(platform.machine() == "x86_64", "numbers of system calls")
    def test_filter_set_up_by_the_program(self):
        for recording in self.each(FILTER, arguments=[str(PROCESS_VM_READV)]):
            self.assertGreater(min(self.samples(recording, "before", "after")), 0)
            self.assertEqual(recording.query("SELECT * FROM gaps"), [])
        for recording in self.each(FILTER, arguments=[str(PROCESS_VM_READV), "17"]):    # pread64, too
            recording.warnings = b"no way to take samples"
            before, after = self.samples(recording, "before", "after")
            self.assertTrue(before > 0 and after <= 2, (before, after))
            self.assertEqual(recording.query("SELECT reason FROM gaps"), [("failed",)])

    @unittest.skipUnless(os.getuid() == 0, "for root")
    def test_undumpable(self):
        for recording in self.each(UNDUMPABLE):
            self.assertGreater(min(self.samples(recording, "before", "after", "child")), 0)
        for python in support.PYTHONS:
            if PROCESS_VM_READV is not None:
                with self.subTest("through a file", python=support.version_name(python)):
                    recording = self.record(python, UNDUMPABLE, ["--sample", "100us"])
                    recording.warnings = b"no way to take samples"
                    result = self.below_filter(recording, errno.EPERM)
                    self.assertEqual((result.status, result.out, result.err), (0, b"undumpable\n", b""))
                    self.check_books(recording)
                    # what was open stays so; after the fork it cannot be opened any more
                    self.assertGreater(min(self.samples(recording, "before", "after")), 0)
                    self.assertEqual(recording.query("SELECT reason FROM gaps"), [("failed",)] * 2)

    @unittest.skipUnless(os.getuid() == 0, "for root")
    def test_no_more_threads(self):
        for recording in self.each(NO_THREADS):
            recording.warnings = b"no way to take samples"
            before, after = self.samples(recording, "before", "after")
            self.assertTrue(before > 0 and after == 0, (before, after))
            self.assertEqual(recording.query("SELECT reason FROM gaps"), [("failed",)])

    def test_closed_descriptors(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, CLOSED, ["--sample", "50us"])
                recording.program.append(recording.folder)
                result = recording.recorded
                self.assertEqual((result.status, result.out, result.err), (0, b"closed\n", b""))
                self.check_books(recording)
                self.assertEqual(recording.value("SELECT count(*) FROM processes"), 7)
                self.assertEqual(recording.query("SELECT * FROM gaps"), [])

    @unittest.skipUnless(os.getuid() == 0, "for root")
    def test_other_root(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, ROOT, ["--sample", "200us"])
                recording.program.append(recording.folder)
                result = recording.recorded
                self.assertEqual((result.status, result.out, result.err), (0, b"root\n", b""))
                self.check_books(recording)
                self.assertGreater(min(self.samples(recording, "before", "after")), 0)
                # where a thread waits, /proc still says
                self.assertGreater(recording.value("SELECT sum(gil_wait_ns) FROM functions WHERE name = 'after'"), 0)

    def test_places_and_masks(self):
        for recording in self.each(PLACES):
            self.assertTrue(recording.database_path)

    def test_children(self):
        for recording in self.each(CHILDREN):
            self.assertGreater(recording.value("SELECT count(*) FROM processes"), 20)
            self.assertEqual(recording.query("SELECT * FROM gaps"), [])

    def test_foreign_threads(self):
        for recording in self.each(FOREIGN, options=["--sample", "50us"]):
            callers = recording.query("SELECT DISTINCT caller_function FROM edges WHERE callee_function = 'inside'")
            self.assertIn(callers, ([("body",)], []))

    def test_watched(self):
        for python in support.PYTHONS:
            for options, env in (([], {}), (["-X", "dev"], {}), ([], {"PYTHONMALLOC": "debug"}), ([], {"PYTHONMALLOC": "malloc"}),
                                 ([], {"PYTHONTRACEMALLOC": "1"}), ([], {"PYTHONDEVMODE": "1"})):
                with self.subTest(support.version_name(python), options=options, env=env):
                    recording = self.record(python, WATCHED, ["--sample", "50us"] + options)
                    recording.env = support.environment(**env)
                    result = recording.recorded
                    plain = recording.run([python] + options + recording.program)
                    self.assertEqual((result.status, result.out, result.err), (0, plain.out, plain.err))
                    self.check_books(recording)
                    self.assertGreater(self.samples(recording, "numbers")[0], 0)

    def test_importtime(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, "import json\nprint('imported')", ["--sample", "50us", "-X", "importtime"])
                plain = recording.run([python, "-X", "importtime"] + recording.program)
                names = [[line.rpartition(b"|")[2] for line in result.err.splitlines()] for result in (plain, recording.recorded)]
                self.assertEqual(names[0], names[1])
                self.assertEqual((recording.recorded.status, recording.recorded.out), (0, b"imported\n"))

    def test_no_space(self):
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, NO_SPACE, ["--sample", "50us"])
                result = recording.recorded
                self.assertEqual((result.status, result.out, result.err), (0, b"no space\n", b""))
                analyzed = support.run([support.PYANALYZE, recording.trace, "--sql", "SELECT sum(difference_ns) FROM accounts"])
                self.assertEqual((analyzed.status, analyzed.out.split()[-1]), (0, b"0"))

    def test_greenlets(self):
        for name, text in (("greenlet", GREENLETS), ("gevent", GEVENT)):
            pythons = [python for python in support.PYTHONS if support.has_module(python, name)]
            for recording in self.each(text, options=["--sample", "50us"], pythons=pythons):
                self.check_seen(recording, self.record(recording.python, text, []))


if __name__ == "__main__":
    unittest.main()
