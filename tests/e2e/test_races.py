"""ThreadSanitizer sees no race in the recorder: eight threads, generators, forks, children, exceptions, and a full trace.

The recorder is built with it below the folder of products; make and a compiler that has it are needed. The interpreter
itself is not instrumented, but its locks are seen: what the GIL protects counts as protected.
"""
import glob
import os
import shutil
import subprocess
import tempfile
import unittest

import support

PROGRAM = '''
import os, subprocess, sys, threading, warnings
warnings.simplefilter("ignore")
def numbers(n):
    yield from range(n)
def step(n):
    for i in range(n):
        try:
            sum(numbers(3))
            if i % 50 == 0:
                int("x")
        except ValueError:
            pass
def define(k):
    for n in range(30):
        exec(compile("def f%d():\\n    return 1\\nf%d()" % (n, n), "made-%d-%d" % (k, n), "exec"), {})
def work(k):
    step(700)
    define(k)
    for i in range(4):
        pid = os.fork()
        if pid == 0:
            step(60)  # no thread: the sanitizer's own locks do not go through such a fork
            os._exit(3)
        os.waitpid(pid, 0)
        if i == 2:
            os.closerange(100, 140)
    subprocess.run(["true"])
    os.system("true")
for _ in range(2):
    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
threading.Thread(target=step, args=(10**9,), daemon=True).start()
print("done")
'''

# A race that must be found, else nothing is proved.
CANARY = '''
#include <pthread.h>
static int shared;
static void *add(void *unused)
{
    for (int i = 0; i < 1000; i++)
        shared++;
    return unused;
}
void race(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], 0, add, 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], 0);
}
'''


OPTIONS = ((), ("--c-calls",), ("--max-size", "600K"), ("--max-size", "2M"), ("--no-children",), ("--sample", "100us"),
           ("--sample", "100us", "--max-size", "600K"))


@unittest.skipUnless(support.LONG, "a part of `make torture`")
class Races(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyrec-races-")
        self.addCleanup(self.folder.cleanup)
        self.library = support.run(["cc", "-print-file-name=libtsan.so"]).out.decode().strip()
        if not os.path.isabs(self.library) or shutil.which("setarch") is None:
            self.skipTest("no ThreadSanitizer here")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def build(self, python):
        subprocess.run(["make", "-s", "-C", support.ROOT, "DEPS=no", "SANITIZE=thread", "PYTHONS=" + python,
                        "BUILD=" + support.BUILD, "pyrec", "preload", "recorder"], check=True, stdout=subprocess.DEVNULL)
        return os.path.join(support.BUILD, "sanitize-thread", "pyrec")

    def run_with_sanitizer(self, python, pyrec, program, options=()):
        """What it has reported."""
        for old in glob.glob(self.path("report.*")):
            os.remove(old)
        env = support.environment(LD_PRELOAD=self.library, TSAN_OPTIONS="exitcode=0 die_after_fork=0 log_path=" + self.path("report"))
        result = support.run(["setarch", "-R", pyrec, "run", "--force", "-o", self.path("trace.bin"), *options,
                              "--python", python, program], env=env, cwd=self.folder.name)
        self.assertEqual((result.status, result.out), (0, b"done\n"), result)
        reports = []
        for name in glob.glob(self.path("report.*")):
            with open(name, encoding="utf-8", errors="replace") as file:
                reports += file.read().split("==================")
        # The sampler has a table of open files of its own, where a number is another file than the program's.
        return "\n".join(text for text in reports
                         if "WARNING: ThreadSanitizer" in text and "Location is file descriptor" not in text)

    def test_no_race(self):
        with open(self.path("canary.c"), "w", encoding="utf-8") as file:
            file.write(CANARY)
        support.run(["cc", "-g", "-fsanitize=thread", "-shared", "-fPIC", "-o", self.path("canary.so"), self.path("canary.c")])
        for name, text in (("program.py", PROGRAM), ("canary.py", "import ctypes\nctypes.CDLL('./canary.so').race()\nprint('done')\n")):
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write(text)
        for python in support.PYTHONS:
            with self.subTest(python=python):
                pyrec = self.build(python)
                self.assertIn("data race", self.run_with_sanitizer(python, pyrec, self.path("canary.py")))
                for options in OPTIONS:
                    self.assertEqual(self.run_with_sanitizer(python, pyrec, self.path("program.py"), options), "", options)
                    support.figure("runs of eight threads with forks under ThreadSanitizer without a report", 1)


if __name__ == "__main__":
    unittest.main()
