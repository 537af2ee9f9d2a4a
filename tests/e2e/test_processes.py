"""Processes of every kind: all in the one trace, each event once, in the right process, and no byte in their files."""
import os
import subprocess
import tempfile
import time
import unittest

import support

STEP = '''
def step(n):
    for i in range(n):
        pass
'''

STORM = STEP + '''
import os, sys, threading, time, warnings
warnings.simplefilter("ignore")
FORKS, THREADS = int(sys.argv[1]), 4
def storm(k):
    children = []
    for n in range(FORKS // THREADS):
        pid = os.fork()
        if pid == 0:
            step(100 + n)
            if n % 3 == 0:
                inner = threading.Thread(target=step, args=(7,))
                inner.start()
                inner.join()
            if n % 4 == 0:
                if os.fork() == 0:
                    step(50)
                    os._exit(2)
                os.wait()
            os.read(gate, 1)
            os._exit(1)
        children.append(pid)
        step(10)
    all_born.wait()
    if k == 0:
        os.close(opener)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 256, pid
gate, opener = os.pipe()
# Children wait for the end of the pipe, which each of them holds open: so each closes its own.
main = os.getpid()
os.register_at_fork(after_in_child=lambda: os.getppid() == main and os.close(opener))
all_born = threading.Barrier(THREADS)
threads = [threading.Thread(target=storm, args=(k,)) for k in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
'''

# All descriptors from 3 on are closed and their numbers taken by files of the program's own.
REUSE = STEP + '''
import os, sys
folder = sys.argv[1]
def fill(round):
    os.closerange(3, 1024)
    files = []
    for n in range(150):
        fd = os.open("%s/file-%d-%d" % (folder, round, n), os.O_RDWR | os.O_CREAT, 0o600)
        os.write(fd, b"mine")
        files.append(fd)
    return files
def ours():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name).endswith("trace.bin"):
                found.append(int(name))
        except OSError:
            pass
    return found
for round in range(3):
    step(40000)
    files = fill(round)
    step(40000)
    for fd in ours():
        os.dup2(files[0], fd)
    step(40000)
    if os.fork() == 0:
        step(30000)
        os.closerange(3, 1024)
        step(30000)
        os._exit(0)
    os.wait()
print("done")
'''

DAEMON = STEP + '''
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    for fd in range(3):
        os.dup2(os.open("/dev/null", os.O_RDWR), fd)
    while not os.path.exists(sys.argv[1]):
        step(1000)
        time.sleep(0.001)
    step(3)
    os._exit(42)
os.wait()
step(5)
'''

CHILDREN = STEP + '''
import os, subprocess, sys
me = [sys.executable, os.path.abspath(__file__)]
def call(command, **options):
    subprocess.run(command, check=True, **options)
kind = sys.argv[1] if len(sys.argv) > 1 else "first"
if kind == "first":
    call(me + ["plain"])
    call(me + ["empty"], env={})
    call([me[0], "-I", me[1], "isolated"])
    call([me[0], "-S", "-E", me[1], "nosite"])
    call(["sh", "-c", "%s %s shell" % tuple(me)])
    call("%s %s closed 3<&- 4>&-" % tuple(me), shell=True, env={})
    call(["env", "-i"] + me + ["env"])
    call(me + ["nested", "4"])
    call(me + ["kept"], close_fds=False)
    call(me + ["session"], start_new_session=True, cwd="/")
    assert os.system("%s %s system" % tuple(me)) == 0
    assert os.popen("%s %s popen" % tuple(me)).close() is None
    assert os.spawnv(os.P_WAIT, me[0], me + ["spawnv"]) == 0
    assert os.waitpid(os.posix_spawn(me[0], me + ["posix_spawn"], {}), 0)[1] == 0
    call([me[0], "-c", "import os, sys; os.execve(sys.argv[1], sys.argv[1:], {})"] + me + ["exec"])
    call([me[0], "-c", "import os, sys; os.execv('/bin/sh', ['sh', '-c', 'exec %s %s exec_shell' % tuple(sys.argv[1:])])"] + me)
    call([me[0], "-c", "import os; os.execv('/bin/true', ['true'])"])
elif kind == "nested" and sys.argv[2] != "0":
    call(me + ["nested", str(int(sys.argv[2]) - 1)], env={})
step(len(kind))
'''
KINDS = ("plain empty isolated nosite shell closed env kept session system popen spawnv posix_spawn exec exec_shell "
         "first".split() + 5 * ["nested"])

POOLS = STEP + '''
import multiprocessing, sys
def work(n):
    step(n)
    return n
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(3, maxtasksperchild=4) as pool:
        print(sum(pool.map(work, range(40), chunksize=1)), flush=True)
        pool.close()
        pool.join()
'''


class Processes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyrec-processes-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def each(self, source, check, arguments=()):
        """Behaves on each interpreter as without us, and check(recording) is content."""
        program = self.path("program.py")
        with open(program, "w", encoding="utf-8") as file:
            file.write(source)
        for python in support.PYTHONS:
            with self.subTest(python=python, arguments=arguments):
                recording = support.Recording(python, [program, *arguments])
                plain, recorded = recording.plain, recording.recorded
                self.assertEqual((plain.status, plain.out, plain.err), (recorded.status, recorded.out, recorded.err))
                self.assertEqual(recording.value("SELECT max(abs(difference_ns)) FROM accounts"), 0)
                self.assertEqual(recording.query("SELECT * FROM warnings"), [])
                check(recording)
                recording.close()

    def step_line(self):
        return 1 + STEP[:STEP.index("pass")].count("\n")

    def hits(self, recording):
        """Rounds of step()'s loop in each process that has been in it."""
        return sorted(row[0] for row in recording.query(
            "SELECT sum(s.hits) FROM line_stats s JOIN functions USING (function_id) JOIN threads USING (thread_id)"
            " WHERE functions.name = 'step' AND line = ? GROUP BY threads.process_id", self.step_line()))

    def test_a_storm_of_forks(self):
        forks = 400 if support.LONG else 100

        def check(recording):
            expected = [4 * (forks // 4) * 10]
            for n in range(forks // 4):
                expected += 4 * [100 + n + (7 if n % 3 == 0 else 0)] + (4 * [50] if n % 4 == 0 else [])
            self.assertEqual(self.hits(recording), sorted(expected))
            self.assertEqual(
                dict(recording.query("SELECT ended, count(*) FROM processes GROUP BY 1")),
                {"exit 0": 1, "exit 1": forks, "exit 2": 4 * len(range(0, forks // 4, 4))})
            support.figure("processes forked by four threads, alive at once, recorded exactly", len(expected), "largest")
        self.each(STORM, check, [str(forks)])

    def test_closed_and_reused_descriptors(self):
        def check(recording):
            self.assertEqual(self.hits(recording), 3 * [60000] + [360000])
            names = [name for name in os.listdir(self.folder.name) if name.startswith("file-")]
            self.assertEqual(len(names), 450)
            for name in names:
                with open(self.path(name), "rb") as file:
                    self.assertEqual(file.read(), b"mine", name)
                os.remove(self.path(name))
            support.figure("files on numbers that had been the recorder's, none touched", len(names))
        self.each(REUSE, check, [self.folder.name])

    def test_a_daemon_outlives_its_parent(self):
        program, stop = self.path("program.py"), self.path("stop")
        with open(program, "w", encoding="utf-8") as file:
            file.write(DAEMON)
        for python in support.PYTHONS:
            trace = self.path("trace-%s.bin" % support.version_name(python))
            result = support.run([support.PYREC, "run", "-q", "-o", trace, "--python", python, program, stop])
            self.assertEqual((result.status, result.out, result.err), (0, b"", b""))
            seen = []
            deadline = time.monotonic() + support.HANGS
            while len(seen) < 5 or seen[-1] == seen[0]:  # the trace grows
                self.assertLess(time.monotonic(), deadline, "the daemon does not run")
                seen.append(self.ask(trace, "SELECT sum(s.hits) FROM line_stats s JOIN functions USING (function_id)"
                                            " JOIN threads USING (thread_id) WHERE functions.name = 'step' AND line = %d"
                                            " AND process_id = 3" % self.step_line())[0][0] or 0)
                time.sleep(0.05)
            self.assertEqual(seen, sorted(seen))
            with open(stop, "w", encoding="utf-8"):
                pass
            deadline = time.monotonic() + support.HANGS
            while self.ask(trace, "SELECT ended FROM processes WHERE number = 3") != [("exit 42",)]:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            os.remove(stop)
            hits = self.ask(trace, "SELECT process_id, sum(s.hits) FROM line_stats s JOIN functions USING (function_id)"
                                   " JOIN threads USING (thread_id) WHERE functions.name = 'step' AND line = %d"
                                   " GROUP BY 1" % self.step_line())
            self.assertEqual(hits[0], (1, 5))
            self.assertEqual(hits[1][1] % 1000, 3)

    def ask(self, trace, query):
        result = support.run([support.PYANALYZE, trace, "--json", "--sql", query])
        self.assertEqual(result.status, 0, result)
        return [tuple(row.values()) for row in support.json.loads(result.out)]

    def test_children_of_every_kind(self):
        def check(recording):
            self.assertEqual(self.hits(recording), sorted(map(len, KINDS)))
            self.assertEqual(recording.query("SELECT how, ended FROM processes WHERE parent_process_id IS NULL"),
                             [("first", "exit 0")])
            # os.spawnv forks, and Python code executes: the fourth that ends so.
            self.assertEqual(dict(recording.query("SELECT ended, count(*) FROM processes GROUP BY 1")),
                             {"exit 0": len(KINDS), "exec": 4})
        self.each(CHILDREN, check)

    def test_pools(self):
        def check(recording):
            self.assertEqual(sum(self.hits(recording)), sum(range(40)))
            self.assertEqual(recording.value("SELECT sum(calls) FROM functions WHERE name = 'work'"), 40)
            self.assertEqual(recording.query("SELECT DISTINCT ended FROM processes"), [("exit 0",)])
        for method in ("fork", "spawn", "forkserver"):
            self.each(POOLS, check, [method])


if __name__ == "__main__":
    unittest.main()
