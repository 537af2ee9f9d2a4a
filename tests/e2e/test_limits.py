"""Out of space, at a limit: recording stops, the program goes on, the trace is readable and says so."""
import os
import subprocess
import tempfile
import unittest

import support

PROGRAM = '''
import threading
def step(n):
    for i in range(n):
        pass
threads = [threading.Thread(target=step, args=(60000,)) for _ in range(2)]
for thread in threads:
    thread.start()
step(60000)
for thread in threads:
    thread.join()
print("done")
'''

# The program sets the limit itself, asks for the signal, and sees its children through.
FILE_SIZE = """
import os, resource, signal, sys, warnings
warnings.simplefilter("ignore")  # threads that have been joined may still be there for a moment
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (int(sys.argv[1]),))
""" + PROGRAM.replace('print("done")', """if os.fork() == 0:
    step(60000)
    os._exit(3)
print("done", os.wait()[1])""")

ADDRESS_SPACE = """
import mmap, os, resource, sys
def step(n):
    for i in range(n):
        pass
step(100)
used = int(open("/proc/self/statm").read().split()[0]) * mmap.PAGESIZE
resource.setrlimit(resource.RLIMIT_AS, 2 * (used + int(sys.argv[1]),))
try:
    bytearray(1 << 30)
except MemoryError:
    print("no memory", flush=True)
step(200000)
if os.fork() == 0:
    step(60000)
    os._exit(3)
print("done", os.wait()[1])
"""

VANISHED = """
import os, shutil, subprocess, sys, warnings
warnings.simplefilter("ignore")
""" + PROGRAM.replace('print("done")', """shutil.rmtree(sys.argv[1])
step(200000)
os.closerange(3, 512)
step(200000)
print(os.path.exists(sys.argv[1]), flush=True)
if os.fork() == 0:
    step(60000)
    os._exit(3)
print("done", os.wait()[1], subprocess.run([sys.executable, "-c", "print('child', flush=True)"]).returncode)""")

# A library before ours in which files cannot be mapped, or not be allocated.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int fails(const char *what)
{
    const char *wanted = getenv("FAILS");

    return wanted != NULL && strcmp(wanted, what) == 0;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    static void *(*next)(void *, size_t, int, int, int, off_t);

    if (next == NULL)
        next = dlsym(RTLD_NEXT, "mmap");
    if (fails("mmap") && (flags & MAP_SHARED) && fd >= 0 && (protection & PROT_WRITE)) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    return next(at, size, protection, flags, fd, offset);
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
    static int (*next)(int, off_t, off_t);

    if (next == NULL)
        next = dlsym(RTLD_NEXT, "posix_fallocate");
    return fails("fallocate") ? EOPNOTSUPP : next(fd, offset, size);
}
"""


class Limits(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyrec-limits-")
        self.program = os.path.join(self.folder.name, "steps.py")
        self.trace = os.path.join(self.folder.name, "trace.bin")
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(PROGRAM)

    def tearDown(self):
        self.folder.cleanup()

    def record(self, python, options=(), limit=None):
        command = [support.PYREC, "run", "--force", "-o", self.trace, "--python", python, *options, self.program]
        if limit is not None:
            command = ["sh", "-c", 'ulimit -f %d; exec "$0" "$@"' % limit] + command
        result = support.run(command)
        self.assertEqual((result.status, result.out, result.err), (0, b"done\n", b""), result)

    def ask(self, query):
        result = support.run([support.PYANALYZE, self.trace, "--json", "--sql", query])
        self.assertEqual(result.status, 0, result)
        return [tuple(row.values()) for row in support.json.loads(result.out)]

    def run_both(self, python, source, *arguments, prepare=lambda: None, options=(), env=None):
        """Not even the program that looks for it notices."""
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(source)
        prepare()
        plain = support.run([python, self.program, *arguments], env=env)
        prepare()
        recorded = support.run([support.PYREC, "run", "--force", "-o", self.trace, *options, "--python", python,
                                self.program, *arguments], env=env)
        self.assertEqual((plain.status, plain.out, plain.err), (recorded.status, recorded.out, recorded.err))
        return recorded

    def check(self):
        """Events that were kept."""
        result = support.run([support.PYANALYZE, self.trace, "--json", "--sql",
                              "SELECT complete, events, (SELECT max(abs(difference_ns)) FROM accounts) books, "
                              "(SELECT group_concat(DISTINCT reason) FROM gaps) reasons FROM runs"])
        self.assertEqual(result.status, 0, result)
        row = support.json.loads(result.out)[0]
        self.assertEqual(row["complete"], 0)
        self.assertIn(row["books"], (0, None))
        self.assertIn(b"recording stopped", result.err)
        if row["events"]:
            self.assertEqual(row["reasons"], "full")
        return row["events"]

    def test_max_size(self):
        for python in support.PYTHONS:
            kept = []
            for size in ("1K", "16K", "40K", "100K"):
                with self.subTest(python=python, size=size):
                    self.record(python, ["--max-size", size])
                    self.assertLessEqual(os.path.getsize(self.trace), max(8192, int(size[:-1]) * 1024))
                    kept.append(self.check())
            self.assertEqual(kept[0], 0)
            self.assertGreater(kept[-1], 1000)

    def test_max_size_of_a_whole_run(self):
        """The limit holds for all processes and threads together."""
        source = PROGRAM.replace('print("done")', 'import os, warnings\nwarnings.simplefilter("ignore")\nfor _ in range(6):\n    os.fork()\nstep(9000)\nos._exit(0)')
        for python in support.PYTHONS:
            with self.subTest(python=python):
                self.run_both(python, source, options=["--max-size", "700K"])
                self.assertLessEqual(os.path.getsize(self.trace), 700 << 10)
                self.assertGreater(self.check(), 50000)

    def test_file_size_limit_of_the_program(self):
        limits = range(1, 1 << 20, 1 << 14) if support.LONG else (1, 5000, 70000, 300000)
        for python in support.PYTHONS:
            for limit in limits:
                with self.subTest(python=python, limit=limit):
                    recorded = self.run_both(python, FILE_SIZE, str(limit))
                    self.assertEqual(recorded.out, b"done 768\n")
                    self.check()
                    support.figure("limits of file size, in the program or around it, survived", 1)

    def test_address_space_limit(self):
        kept = []
        for python in support.PYTHONS:
            for room in (0, 64 << 10, 200 << 10, 1 << 20, 8 << 20):
                with self.subTest(python=python, room=room):
                    recorded = self.run_both(python, ADDRESS_SPACE, str(room))
                    self.assertEqual(recorded.out, b"no memory\ndone 768\n")
                    stopped = self.ask("SELECT pid FROM gaps JOIN processes USING (process_id) WHERE reason = 'failed'")
                    complete, events = self.ask("SELECT complete, events FROM runs")[0]
                    self.assertEqual(complete, not stopped)
                    self.assertEqual(self.ask("SELECT ended FROM processes WHERE number = 1"), [("exit 0",)])
                    kept.append(bool(complete))
                    if complete:
                        self.assertGreater(events, 2 * 200000 + 2 * 60000)
        self.assertEqual(set(kept), {True, False})

    def test_vanished_folder(self):
        folder = os.path.join(self.folder.name, "gone")
        self.trace = os.path.join(folder, "trace.bin")
        for python in support.PYTHONS:
            with self.subTest(python=python):
                recorded = self.run_both(python, VANISHED, folder, prepare=lambda: os.mkdir(folder))
                self.assertEqual(recorded.out, b"False\nchild\ndone 768 0\n")

    def test_read_only_folder(self):
        mounted = os.path.join(self.folder.name, "fixed")
        os.mkdir(mounted)
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", mounted], stderr=subprocess.DEVNULL, check=False)
        if mount.returncode != 0:
            self.skipTest("no right to mount")
        try:
            for path in (os.path.join(mounted, "t.bin"), "/proc/t.bin", os.path.join(mounted, "no", "t.bin")):
                result = support.run([support.PYREC, "run", "-o", path, "-c", "print(1)"])
                self.assertEqual((result.status, result.out), (125, b""))
                self.assertEqual(result.err.count(b"\n"), 1, result)
                self.assertIn(os.fsencode(os.path.dirname(path)), result.err)
        finally:
            subprocess.run(["umount", mounted], check=True)

    @unittest.skipIf("sanitize" in support.BUILD, "a sanitizer must be the first library")
    def test_file_systems_without_mapping_or_allocation(self):
        """Where nothing can be allocated zeros are written; where nothing can be mapped pyrec says so before it begins."""
        source, library = (os.path.join(self.folder.name, name) for name in ("shim.c", "shim.so"))
        with open(source, "w", encoding="utf-8") as file:
            file.write(SHIM)
        built = support.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"])
        self.assertEqual(built.status, 0, built)
        for python in support.PYTHONS:
            with self.subTest(python=python):
                env = support.environment(LD_PRELOAD=library, FAILS="fallocate")
                self.run_both(python, PROGRAM, env=env)
                self.assertEqual(self.ask("SELECT complete, events > 360000 FROM runs"), [(1, 1)])
                os.remove(self.trace)
                env["FAILS"] = "mmap"
                result = support.run([support.PYREC, "run", "-o", self.trace, "--python", python, self.program], env=env)
                self.assertEqual((result.status, result.out), (125, b""))
                self.assertIn(b"cannot be mapped: No such device", result.err)
                self.assertFalse(os.path.exists(self.trace))

    def test_file_size_limit(self):
        for python in support.PYTHONS:
            refused = support.run(["sh", "-c", 'ulimit -f 1; exec "$0" "$@"', support.PYREC, "run", "-o", self.trace + "2",
                                   "--python", python, self.program])
            self.assertEqual((refused.status, refused.out), (125, b""), refused)
            self.assertIn(b"File too large", refused.err)
            for limit in range(33, 2048, 32) if support.LONG else (17, 64, 150):
                with self.subTest(python=python, limit=limit):
                    self.record(python, limit=limit)
                    self.check()

    def test_disk_full(self):
        mounted = os.path.join(self.folder.name, "small")
        os.mkdir(mounted)
        for kib in range(4, 1024, 4) if support.LONG else (4, 16, 28, 64, 200):
            mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dk" % kib, "tmpfs", mounted],
                                   stderr=subprocess.DEVNULL, check=False)
            if mount.returncode != 0:
                self.skipTest("no right to mount")
            try:
                self.trace = os.path.join(mounted, "trace.bin")
                for python in support.PYTHONS:
                    with self.subTest(python=python, kib=kib):
                        self.fill(python, kib)
            finally:
                subprocess.run(["umount", mounted], check=True)

    def fill(self, python, kib):
        """Where not even the beginning of a trace has room, nothing runs; else the program does not notice."""
        if kib < 8:
            result = support.run([support.PYREC, "run", "-o", self.trace, "--min-free", "0", "--python", python, self.program])
            self.assertEqual((result.status, result.out), (125, b""))
            self.assertIn(b"No space left on device", result.err)
            self.assertEqual(os.listdir(os.path.dirname(self.trace)), [])
            return
        self.record(python, ["--min-free", "0"])
        self.check()
        os.remove(self.trace)  # else it is kept beside the next one
        support.figure("full disks of different sizes survived", 1)


if __name__ == "__main__":
    unittest.main()
