"""AddressSanitizer and UndefinedBehaviorSanitizer see nothing wrong in the recorder: exactly recording, and sampling at 20 kHz.

The recorder is built with both below the folder of products, and libasan.so is preloaded into interpreters that know
nothing of it; they take each object from malloc, so that what they free is poison to whoever looks at it. Copies that
the kernel makes for the sampler (process_vm_readv, pread) are not looks: the sanitizer checks where they go, not where
they come from. That is as it should be, for a freed frame may be copied, and must only not be believed.
"""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import support
import test_sample

CANARIES = {
    "heap-buffer-overflow": "char *p = malloc(8); p[argument] = 1; free(p);",
    "heap-use-after-free": "char *p = malloc(8); free(p); p[argument - 1] = 1;",
    "runtime error: shift exponent": "sink = 1 << (argument * 8);",
}

CANARY = "#include <stdlib.h>\nvolatile int sink;\nvoid hit(volatile int argument)\n{\n%s\n}\n"

FLAGS = ["-g", "-fPIC", "-shared", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

# Everything here ends by itself, and prints the same each time.
PROGRAMS = dict(test_sample.HOSTILE, mixture=test_sample.MIXTURE, forks=test_sample.FORKS, execs=test_sample.EXECS,
                own=test_sample.OWN, toggle=test_sample.TOGGLE)


# Valgrind runs one thread at a time, and slowly.
FOR_VALGRIND = """
import os, threading
def spin(n):
    return sum(i for i in range(n))
threads = [threading.Thread(target=spin, args=(20000,)) for i in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for i in range(20):
    exec("def made():\\n    return %d\\nmade()" % i)
if os.fork() == 0:
    spin(1000)
    os._exit(0)
os.wait()
print("valgrind")
"""


@unittest.skipUnless(support.LONG or os.environ.get("PYREC_SANITIZED") == "1", "a part of `make sanitize`")
class Sanitized(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.runtime = support.run(["cc", "-print-file-name=libasan.so"]).out.decode().strip()
        if not os.path.isabs(cls.runtime):
            raise unittest.SkipTest("no AddressSanitizer here")
        subprocess.run(["make", "-s", "-C", support.ROOT, "DEPS=no", "SANITIZE=address,undefined", "PRELOADED=1", "CC=cc",
                        "PYTHONS=" + " ".join(support.PYTHONS), "BUILD=" + support.BUILD, "pyrec", "preload", "recorder"],
                       check=True, stdout=subprocess.DEVNULL)
        cls.pyrec = os.path.join(support.BUILD, "sanitize-address-undefined-preloaded", "pyrec")

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyrec-sanitized-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def record(self, python, program, options):
        """What the program printed, with its status, and what was reported meanwhile."""
        for old in glob.glob(self.path("report.*")):
            os.remove(old)
        log = "log_path=" + self.path("report")
        env = support.environment(LD_PRELOAD=self.runtime, PYTHONMALLOC="malloc", UBSAN_OPTIONS="print_stacktrace=1",
                                  ASAN_OPTIONS="detect_leaks=0:verify_asan_link_order=0:exitcode=99:" + log)
        result = support.run([self.pyrec, "run", "--force", "-o", self.path("trace.bin"), "--python", python, *options, *program],
                             env=env, cwd=self.folder.name, timeout=1200)
        reports = []
        for name in glob.glob(self.path("report.*")):
            with open(name, encoding="utf-8", errors="replace") as file:
                reports.append(file.read())
        if b"runtime error:" in result.err:
            reports.append(result.err.decode("utf-8", "replace"))
        return result, "\n".join(reports)

    def check(self, python, program, options):
        plain = support.run([python, *program], cwd=self.folder.name, timeout=1200)
        result, report = self.record(python, program, options)
        self.assertEqual(report, "", options)
        self.assertEqual((result.status, result.out), (plain.status, plain.out), result)
        if "--sample" in options:
            table = support.run([support.PYANALYZE, self.path("trace.bin"), "--sql",
                                 "SELECT sum(samples), sum(missed) FROM samplers"])
            self.assertEqual(table.status, 0, table)
            taken, missed = map(int, table.out.splitlines()[1].split())
            self.assertGreater(taken, 0)
            support.figure("samples under the sanitizers", taken)
            support.figure("samples dropped there", missed)
        support.figure("programs under the sanitizers without a report", 1)

    def test_canaries(self):
        """What must be found, is: in C code beside the recorder, while it records."""
        for wanted, text in CANARIES.items():
            with open(self.path("canary.c"), "w", encoding="utf-8") as file:
                file.write(CANARY % text)
            subprocess.run(["cc", *FLAGS, "-o", self.path("canary.so"), self.path("canary.c")], check=True)
            code = "import ctypes\nctypes.CDLL(%r).hit(8)\n" % self.path("canary.so")
            result, report = self.record(support.PYTHONS[0], ["-c", code], ["--sample", "1ms"])
            self.assertNotEqual(result.status, 0)
            self.assertIn(wanted, report)

    def test_recorder_is_sanitized(self):
        for name in glob.glob(os.path.join(os.path.dirname(self.pyrec), "lib", "pyrec", "**", "*.so"), recursive=True):
            with open(name, "rb") as file:
                symbols = file.read()
            self.assertTrue(b"__asan_report_load8" in symbols and b"__ubsan_handle" in symbols, name)

    def test_hostile(self):
        for python in support.PYTHONS:
            for name in support.share(sorted(PROGRAMS), python):
                if name == "shutdown" and support.version(python) < (3, 11):
                    continue        # what it is about is found in these interpreters themselves
                with open(self.path("program.py"), "w", encoding="utf-8") as file:
                    file.write(PROGRAMS[name].replace("ROUNDS", "1"))
                toggle = ["--toggle-signal", "USR1"] if name == "toggle" else []
                for options in ([], ["--sample", "50us"]):
                    with self.subTest(name, python=support.version_name(python), options=options):
                        if toggle:
                            result, report = self.record(python, [self.path("program.py")], options + toggle)
                            self.assertEqual((report, result.status, result.out), ("", 0, b"toggle\n"))
                        else:
                            self.check(python, [self.path("program.py")], options)

    def test_memcheck(self):
        """Valgrind, too, which sees what memory has been written: 3.11.7 has reports of its own, in nothing of ours."""
        if shutil.which("valgrind") is None:
            self.skipTest("no valgrind here")
        with open(self.path("program.py"), "w", encoding="utf-8") as file:
            file.write(FOR_VALGRIND)
        for python in support.PYTHONS:
            for options in ([], ["--sample", "500us"]):
                with self.subTest(python=support.version_name(python), options=options):
                    result = support.run(["valgrind", "-q", "--trace-children=yes", "--fullpath-after=", "--log-file="
                                          + self.path("valgrind.%p"), support.PYREC, "run", "--force", "-o",
                                          self.path("trace.bin"), "--python", python, *options, self.path("program.py")],
                                         env=support.environment(PYTHONMALLOC="malloc"), timeout=1200)
                    self.assertEqual((result.status, result.out), (0, b"valgrind\n"), result)
                    for name in glob.glob(self.path("valgrind.*")):
                        with open(name, encoding="utf-8", errors="replace") as file:
                            reports = re.sub("==[0-9]+==", "", file.read()).split("\n \n")
                        self.assertEqual([report for report in reports if "recorder/" in report or "pyrec.so" in report], [])
                        os.remove(name)
                    support.figure("programs under valgrind without a report of the recorder", 1)

    def test_samples(self):
        names = [name for name in sorted(os.listdir(support.SAMPLES)) if name.endswith(".py")]
        for python in support.PYTHONS:
            for name in support.share(names, python):
                for options in ([], ["--c-calls"], ["--sample", "50us"]):
                    with self.subTest(name, python=support.version_name(python), options=options):
                        result, report = self.record(python, [os.path.join(support.SAMPLES, name)], options)
                        self.assertEqual(report, "")
                        plain = support.run([python, os.path.join(support.SAMPLES, name)], cwd=self.folder.name)
                        self.assertEqual(result.status, plain.status, result)
                        support.figure("programs under the sanitizers without a report", 1)


if __name__ == "__main__":
    unittest.main()
