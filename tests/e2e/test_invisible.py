"""The program cannot tell that it is recorded, apart from what pyrec(1) lists.

self_report.py says everything a program can find out about itself; each way to start it is run plainly and
recorded, on each CPython, and every fact that differs must be one of VISIBLE, which must stand in the manual.
"""
import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
import termios
import unittest
import zipfile

import support

HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESS = re.compile(rb"0x[0-9a-f]+")
REPORT = os.path.join(HERE, "self_report.py")

# Fact -> what the manual says about it, in the section WHAT REMAINS VISIBLE.
VISIBLE = {
    "mapped_files": "/proc/self/maps",
    "kernel_environ_size": "/proc/self/environ",
    "descriptors_from_100": "descriptor",
    "code_size": "__sizeof__",
    "monitoring": "sys.monitoring.get_tool",
    "monitoring_events": "sys.monitoring.get_tool",
}
VISIBLE_IN_SAMPLED = dict(VISIBLE, thread_count="/proc/self/task", kernel_status="/proc/self/task")


def manual_section():
    with open(os.path.join(support.ROOT, "recorder", "pyrec.1"), encoding="utf-8") as file:
        text = file.read()
    return text.partition(".Sh WHAT REMAINS VISIBLE")[2].partition("\n.Sh ")[0]


# A program with AddressSanitizer in it refuses to start where another library was loaded before its own.
NOT_SANITIZED = unittest.skipIf("sanitize" in support.BUILD, "a sanitizer must be the first library")


class Folder(unittest.TestCase):
    """A folder of its own for each test, with the report in it in every form."""
    options = []

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-e2e-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def run_plainly(self, python, arguments, **options):
        return support.run([python] + arguments, cwd=self.folder, **options)

    def run_recorded(self, python, arguments, **options):
        return support.run(
            [support.PYREC, "run", "--python", python, "-o", self.path("trace.bin")] + self.options + arguments,
            cwd=self.folder, **options)

    def assert_recorded(self, events=1):
        """That there is a trace with a process in it."""
        with open(self.path("trace.bin"), "rb") as file:
            header = file.read(4096)
        self.assertGreaterEqual(int.from_bytes(header[136:140], "little") - 1, events)

    def assert_same(self, python, arguments, **options):
        plain = self.run_plainly(python, arguments, **options)
        recorded = self.run_recorded(python, arguments, **options)
        self.assertEqual(plain.status, recorded.status, recorded)
        self.assertEqual(plain.out, recorded.out)
        self.assertEqual(ADDRESS.sub(b"0x", plain.err), ADDRESS.sub(b"0x", recorded.err))
        self.assert_recorded()
        return plain


class Facts(Folder):
    visible = VISIBLE

    def setUp(self):
        super().setUp()
        with open(REPORT, encoding="utf-8") as file:
            self.text = file.read()
        self.write("report.py", self.text)
        self.write("package/__init__.py", "")
        self.write("package/__main__.py", self.text)
        self.write("package/module.py", self.text)
        self.write("folder/__main__.py", self.text)
        with zipfile.ZipFile(self.path("program.zip"), "w") as archive:
            archive.writestr("__main__.py", self.text)

    def compare(self, python, arguments, stdin=None, env=None):
        options = {"env": env} if env else {}
        if stdin is not None:
            options["input"] = stdin.encode()
        results = [self.run_plainly(python, arguments, **options), self.run_recorded(python, arguments, **options)]
        facts = []
        for result in results:
            self.assertEqual((result.status, result.err), (0, b""), result)
            facts.append(json.loads(result.out))
        self.assert_recorded()
        plain, recorded = facts
        self.assertEqual(plain.keys(), recorded.keys())
        for name in plain:
            if name not in self.visible:
                self.assertEqual(plain[name], recorded[name], "%s (%s %s)" % (name, python, arguments))
        self.assertEqual(*map(self.status_but_threads, facts))
        return plain, recorded

    @staticmethod
    def status_but_threads(facts):
        """What the kernel says of the process, but for threads: how many, and what libc does with signals 32 and 33, its own."""
        own = 1 << 31 | 1 << 32
        lines = [line.split() for line in facts["kernel_status"]]
        return [(name, int(words[0], 16) & ~own if name in ("SigCgt:", "SigIgn:") else words)
                for name, *words in lines if name != "Threads:"]

    def each(self, arguments, **options):
        for python in support.PYTHONS:
            with self.subTest(python=python, arguments=arguments):
                self.compare(python, arguments, **options)

    def test_script(self):
        self.each(["report.py"])
        self.each(["report.py", "--name", "value", "--", "-o", "x"])
        self.each([self.path("report.py")])

    def test_module(self):
        self.each(["-m", "report", "argument"])
        self.each(["-m", "package"])
        self.each(["-m", "package.module", "-v"])

    def test_code(self):
        self.each(["-c", self.text, "argument", "-c"])

    def test_stdin(self):
        self.each(["-", "argument"], stdin=self.text)

    def test_folder_and_zip(self):
        self.each(["folder"])
        self.each(["program.zip", "argument"])

    def test_interpreter_options(self):
        for options in (["-I"], ["-E"], ["-s"], ["-O"], ["-OO"], ["-B"], ["-u"], ["-b"], ["-X", "dev"],
                        ["-Xfaulthandler"], ["-X", "utf8"], ["-W", "error"], ["-Werror::DeprecationWarning"],
                        ["-IEs"], ["-bb"], ["-ubX", "dev"]):
            self.each(options + ["report.py"])
        for python in support.PYTHONS:
            with self.subTest(python=python):
                plain = json.loads(self.run_plainly(python, ["-I", "-S", "report.py"]).out)
                recorded = json.loads(self.run_recorded(python, ["-I", "--python-args=-S", "report.py"]).out)
                for name in plain.keys() - self.visible.keys():
                    self.assertEqual(plain[name], recorded[name], name)

    def test_environment(self):
        env = support.environment(PYTHONPATH=self.folder, PYTHONUTF8="1", PYTHONMALLOC="debug", EMPTY="")
        self.each(["report.py"], env=env)

    @NOT_SANITIZED
    def test_preloaded_libraries(self):
        for preload in ("", "libm.so.6", "libm.so.6:libdl.so.2"):
            env = {"LD_PRELOAD": preload, "PATH": os.environ["PATH"], "LAST": "1"}
            self.each(["report.py"], env=env)

    def test_underscore_of_the_shell(self):
        for python in support.PYTHONS:
            plain, recorded = (
                support.run(["bash", "-c", "%s -c 'import os; print(os.environ[\"_\"])'; true" % command], cwd=self.folder)
                for command in (python, "%s --python %s" % (support.PYREC, python)))
            self.assertEqual(plain.out, recorded.out)

    def test_virtual_environment(self):
        for python in support.PYTHONS:
            with self.subTest(python=python):
                environment = self.path("venv" + support.version_name(python))
                made = support.run([python, "-m", "venv", "--without-pip", environment])
                if made.status != 0:
                    self.skipTest("no venv module")
                inner = os.path.join(environment, "bin", "python")
                plain, recorded = self.compare(inner, ["report.py"])
                self.assertEqual(recorded["executable"][:2], [inner, environment])
                env = support.environment(VIRTUAL_ENV=environment)
                found = support.run([support.PYREC, "-o", self.path("trace.bin"), "report.py"], cwd=self.folder, env=env)
                self.assertEqual(json.loads(found.out)["executable"][:2], [inner + "3", environment], found)

    @NOT_SANITIZED
    def test_what_is_visible_is_so_and_is_in_the_manual(self):
        seen = set()
        for python in support.PYTHONS:
            plain, recorded = self.compare(python, ["report.py"])
            seen |= {name for name in self.visible if plain[name] != recorded[name]}
            own = set(recorded["mapped_files"]) - set(plain["mapped_files"])
            self.assertEqual([name for name in own if not name.startswith(support.BUILD)],
                             [self.path("trace.bin")] if self.path("trace.bin") in own else [], own)
            self.assertTrue(all(number >= 100 for number, _, _ in recorded["descriptors_from_100"]))
            self.assertFalse(any(inheritable for _, _, inheritable in recorded["descriptors_from_100"][
                len(plain["descriptors_from_100"]):]))
        versions = [support.version(python) for python in support.PYTHONS]
        expected = set(self.visible)
        if max(versions) < (3, 12):
            expected -= {"monitoring", "monitoring_events"}
        self.assertLessEqual(seen, expected)
        section = manual_section()
        for name in seen:
            self.assertIn(self.visible[name], section.replace("\\_", "_"), name)


class Behaviour(Folder):
    """Output and end of programs, byte for byte."""

    def each(self, arguments, **options):
        for python in support.PYTHONS:
            with self.subTest(python=python, arguments=arguments):
                self.assert_same(python, arguments, **options)

    def each_text(self, text, *arguments, **options):
        self.write("program.py", text)
        self.each(["program.py", *arguments], **options)

    def test_uncaught_exception(self):
        text = "def f(n):\n    return 1 // n if n < 1 else f(n - 1)\n\nf(3)\n"
        self.each_text(text)
        self.write("folder/__main__.py", text)
        self.each(["-m", "program"])
        self.each(["-c", text])
        self.each(["folder"])
        self.each(["-"], input=text.encode())

    def test_exception_chains_and_groups(self):
        self.each_text("try:\n    {}['x']\nexcept KeyError as e:\n    raise ValueError('y') from e\n")
        self.each_text("import threading\nt = threading.Thread(target=lambda: 1 / 0, name='worker')\nt.start(); t.join()\n")
        self.each_text("class X:\n    def __del__(self):\n        raise OSError('gone')\nX()\n")

    def test_syntax_and_missing(self):
        self.each_text("def f(:\n")
        self.each(["-m", "no_such_module"])
        self.each(["-c", "import no_such_module"])

    def test_exit_statuses(self):
        for how in ("sys.exit()", "sys.exit(3)", "sys.exit('words')", "sys.exit(256)", "raise SystemExit(-1)",
                    "os._exit(7)", "exit(9)", "pass", "os.abort()", "os.kill(0 or os.getpid(), 9)",
                    "os.kill(os.getpid(), 15)", "signal.raise_signal(signal.SIGINT)",
                    "ctypes.CDLL(None).exit(5)", "ctypes.CDLL(None).quick_exit(6)", "ctypes.CDLL(None)._Exit(8)"):
            self.each(["-c", "import ctypes, os, resource, signal, sys\n"
                             "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nprint('before', flush=True)\n" + how])

    def test_order_at_exit(self):
        self.each_text("import atexit, threading, time\n"
                       "atexit.register(print, 'atexit')\n"
                       "over = threading.Event()\n"
                       "threading.Thread(target=lambda: (over.wait(), time.sleep(0.05), print('thread'))).start()\n"
                       "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\nprint('main')\nover.set()\n")

    def test_standard_streams(self):
        self.each_text("import sys\nprint(sys.stdin.read().upper()); sys.stderr.write('e\\n')\n", input=b"some input\n")
        self.each_text("print(input('? '))\n", input=b"")
        self.each_text("import sys\nsys.stdout.buffer.write(bytes(range(256)))\n")

    def test_warnings(self):
        text = "import warnings\nwarnings.warn('once', stacklevel=1)\nf = open('/dev/null')\ndel f\n"
        self.each_text(text)
        self.write("program.py", text)
        self.each(["-W", "always", "program.py"])
        self.each(["-X", "dev", "program.py"])
        self.each(["-Werror", "program.py"])

    def test_main_can_be_pickled_and_imported(self):
        self.each_text("import pickle\nclass Point:\n    pass\n"
                       "print(pickle.dumps(Point()), type(pickle.loads(pickle.dumps(Point()))) is Point)\n"
                       "import __main__\nprint(__main__.Point is Point, __main__.__file__)\n")

    def test_multiprocessing(self):
        for method in ("fork", "spawn", "forkserver"):
            self.each_text("import multiprocessing\ndef square(n):\n    return n * n\nif __name__ == '__main__':\n"
                           "    with multiprocessing.get_context(%r).Pool(2) as pool:\n"
                           "        print(pool.map(square, range(8)))\n" % method)

    def test_verbose_interpreter(self):
        """-v shows each import: none is ours, and no audit hook is cleared that a plain run has not. The recorder
        holds sys.monitoring until the end, so its destruction is not shown; the manual says so."""
        clean = re.compile(rb"0x[0-9a-f]+|# destroy sys.monitoring\n")
        for python in support.PYTHONS:
            plain = self.run_plainly(python, ["-v", "-c", "pass"])
            recorded = self.run_recorded(python, ["--python-args=-v", "-c", "pass"])
            self.assertEqual(clean.sub(b"", plain.err), clean.sub(b"", recorded.err))

    def test_help_of_the_interpreter(self):
        for python in support.PYTHONS:
            plain = self.run_plainly(python, ["--version"])
            recorded = self.run_recorded(python, ["--python-args=--version", "x"])
            self.assertEqual((plain.status, plain.out, plain.err), (recorded.status, recorded.out, recorded.err))

    def test_user_audit_hooks(self):
        self.each_text("import sys\nseen = []\nsys.addaudithook(lambda event, args: seen.append(event))\n"
                       "import json.tool, os\nid(seen); os.listdir('.')\nprint(seen)\n")


    def test_garbage_collector(self):
        """It runs when it would, also where the next object made would start it. To the last object it is not the same:
        some come from lists of free ones, which we have used."""
        self.write("sitecustomize.py", """
import gc, os
class Thing:
    pass
things = []
while gc.get_count()[0] < gc.get_threshold()[0] - int(os.environ["LEFT"]):
    things.append(Thing())
""")
        self.write("program.py", """
import gc
print(sum(one["collections"] for one in gc.get_stats()) * (gc.get_threshold()[0] + 1) + gc.get_count()[0])
""")
        for python in support.PYTHONS:
            for left in (60, 30, 15, 8, 4, 2, 1):
                env = support.environment(PYTHONPATH=self.folder, LEFT=str(left))
                plain, recorded = (int(run(python, ["program.py"], env=env).out)
                                   for run in (self.run_plainly, self.run_recorded))
                self.assertLess(abs(plain - recorded), 30, (python, left))

    def test_number_of_objects(self):
        """From 3.12 on, but for samples, nothing of ours is among the program's objects."""
        self.write("program.py", "import gc\nprint(len(gc.get_objects()))\n")
        for python in support.PYTHONS:
            if not self.options and support.version(python) >= (3, 12):
                self.assert_same(python, ["program.py"])


class SampledFacts(Facts):
    options = ["--sample", "200us"]
    visible = VISIBLE_IN_SAMPLED


class SampledBehaviour(Behaviour):
    options = ["--sample", "200us"]


class Terminal(Folder):
    def test_interactive_program(self):
        """A program that talks on a terminal: the same dialogue."""
        text = "import sys\nprint(sys.stdin.isatty(), sys.stdout.isatty())\nprint('hello ' + input('name? '))\n"
        self.write("program.py", text)
        for python in support.PYTHONS:
            plain = self.talk([python, "program.py"])
            self.assertEqual(plain, (0, b"True True\r\nname? you\r\nhello you\r\n"))
            for options in ([], ["--sample", "200us"]):
                self.assertEqual(plain, self.talk([support.PYREC, "-q", "--python", python, "-o", self.path("trace.bin"), *options,
                                                   "program.py"]))

    def talk(self, command):
        """Its status, and what the terminal shows: the answer is typed when the question is there, as people do."""
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=self.folder, start_new_session=True,
                                   env=support.environment(), preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:     # nobody has it open any more
                return process.wait(), shown
            if shown.endswith(b"name? "):
                os.write(ours, b"you\n")


if __name__ == "__main__":
    unittest.main()
