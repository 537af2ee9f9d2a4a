"""The pyrec command: its options, the trace it begins, the interpreter it finds, and what belongs to a run."""
import os
import pty
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest

import support

# A program with AddressSanitizer in it refuses to start where another library was loaded before its own.
NOT_SANITIZED = unittest.skipIf("sanitize" in support.BUILD, "a sanitizer must be the first library")
MAGIC = b"\x89PYT\r\n\x1a\n"
PATIENCE = 120      # seconds for what takes a moment, on a machine that is slow and has other things to do


def take_number(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return number, at


def take_text(data, at):
    size, at = take_number(data, at)
    return data[at:at + size].decode(), at + size


class Trace:
    """The beginning of a trace, read by TRACE.md sections 2 to 4."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read(1 << 20)
        assert data.startswith(MAGIC), path
        self.processes = int.from_bytes(data[136:140], "little") - 1
        self.settings = {}
        size = int.from_bytes(data[4096 + 56:4096 + 64], "little")
        payload = data[4096 + 96:4096 + 96 + size]
        at = 0
        while at < len(payload):
            end = take_number(payload, at + 1)
            key, value_at = take_text(payload, end[1])
            value, at = take_text(payload, value_at)
            self.settings.setdefault(key, []).append(value)


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="pyrec-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.python = support.PYTHONS[0]

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def files(self):
        return sorted(os.listdir(self.folder))

    def pyrec(self, *arguments, command=support.PYREC, python=None, env=None, **options):
        choice = [] if python is False else ["--python", python or self.python]
        env = env or support.environment()
        return support.run([command, "run", *choice, *arguments], cwd=self.folder, env=env, **options)

    def assert_ran(self, *arguments, **options):
        result = self.pyrec(*arguments, **options)
        self.assertEqual((result.status, result.err), (0, b""), result)
        return result

    def assert_fails(self, status, words, *arguments, **options):
        """One line for the reason (a second one on how to use it), and the program has not run."""
        result = self.pyrec(*arguments, **options)
        lines = result.err.decode().splitlines()
        self.assertEqual(result.status, status, result)
        self.assertEqual(result.out, b"")
        self.assertEqual(len(lines), 2 if status == 2 else 1, result)
        self.assertTrue(lines[0].startswith("pyrec: "), result)
        self.assertIn(words, lines[0])
        return result

    def installed(self, analyzer=None):
        """A pyrec of its own, whose parts can be changed: its path."""
        os.makedirs(self.path("own/lib"))
        shutil.copy(support.PYREC, self.path("own/pyrec"))
        shutil.copytree(os.path.join(support.BUILD, "lib", "pyrec"), self.path("own/lib/pyrec"))
        if analyzer is not None:
            self.write("own/pyanalyze", "#!/bin/sh\n" + analyzer, 0o755)
        return self.path("own/pyrec")


class Words(Command):
    """--help, --version, and wrong command lines."""

    def test_help_fits_a_screen(self):
        for arguments in (["--help"], ["run", "-h"], ["run", "-o", "x", "--help", "nonsense"]):
            result = support.run([support.PYREC] + arguments)
            lines = result.out.decode().splitlines()
            self.assertEqual((result.status, result.err), (0, b""))
            self.assertLessEqual(len(lines), 24)
            self.assertLess(max(map(len, lines)), 80)

    def test_help_and_manual_name_the_same_options(self):
        text = support.run([support.PYREC, "--help"]).out.decode()
        with open(os.path.join(support.ROOT, "recorder", "pyrec.1"), encoding="utf-8") as file:
            manual = file.read()
        names = {word.strip("[],=()") for word in text.split() if word.startswith("--")}
        self.assertGreater(len(names), 15)
        for name in names:
            self.assertIn(".Fl -" if name == "--" else "Fl -" + name[2:], manual, name)

    def test_version(self):
        result = support.run([support.PYREC, "--version"])
        self.assertRegex(result.out.decode(), r"^pyrec \d+\.\d+\.\d+\n$")

    def test_usage(self):
        for arguments, words in (
                ([], "nothing to run"), (["--"], "nothing to run"), (["-q"], "nothing to run"),
                (["--nosuch", "x"], "unknown option --nosuch"), (["-Z", "x"], "unknown option -Z"),
                (["--sample", "1m", "x"], "--sample: not a period"), (["--echo", "-S", "x"], "--echo"),
                (["--outer", "x"], "unknown option --outer"), (["-o"], "-o needs"), (["--out"], "--out needs"),
                (["--force=1", "x"], "--force takes no value"), (["-m"], "-m needs a module"),
                (["-c"], "-c needs code"), (["-X"], "-X needs a value"), (["--out=", "x"], "--out: not a file name"),
                (["--max-size", "many", "x"], "--max-size: not a size"), (["--max-size=1Q", "x"], "--max-size: not"),
                (["--max-size=-1", "x"], "--max-size: not"), (["--max-size=99999999999T", "x"], "--max-size: not"),
                (["--min-free=101%", "x"], "--min-free: not a size"), (["--include", "re:(", "x"], "--include re:(:"),
                (["--python-args=-m x", "x"], "--python-args: not an option of the interpreter: -m"),
                (["--python-args=-Ic x", "x"], "--python-args: not an option of the interpreter: -Ic"),
                (["--python-args=x.py", "x"], "--python-args: not an option of the interpreter: x.py"),
                (["--python-args=-I 'x", "x"], "a quote is not closed"), (["--python-args=-X", "x"], "-X needs a value"),
                (["-o", "a%d", "x"], "or % not followed by p, n or %: a%d"), (["-o", "a%", "x"], "%: a%")):
            with self.subTest(arguments=arguments):
                self.write("x", "print('ran')")
                self.assert_fails(2, words, *arguments)
        self.assertEqual(self.files(), ["x"])

    def test_without_arguments(self):
        self.assertEqual(support.run([support.PYREC]).status, 2)

    def test_run_may_be_left_out(self):
        self.write("app.py", "import sys; print(sys.argv)")
        result = support.run([support.PYREC, "--python", self.python, "app.py", "run"], cwd=self.folder)
        self.assertEqual(result.out, b"['app.py', 'run']\n")
        result = support.run([support.PYREC, "--python=" + self.python, "-c", "print(1)"], cwd=self.folder)
        self.assertEqual(result.out, b"1\n")


class Arguments(Command):
    """Where our options end and the program's begin."""

    def argv(self, *arguments):
        return eval(self.assert_ran(*arguments).out)

    def test_everything_behind_the_program_is_its_own(self):
        text = "import sys; print(sys.argv)"
        self.write("app.py", text)
        self.write("module.py", text)
        rest = ["--out", "x", "--", "-m", "", "--help", "-q", "\u00e9\n"]
        self.assertEqual(self.argv("app.py", *rest), ["app.py"] + rest)
        self.assertEqual(self.argv("--", "app.py", *rest), ["app.py"] + rest)
        self.assertEqual(self.argv("-m", "module", *rest), [self.path("module.py")] + rest)
        self.assertEqual(self.argv("-mmodule", *rest), [self.path("module.py")] + rest)
        self.assertEqual(self.argv("-c", text, *rest), ["-c"] + rest)
        self.assertEqual(self.argv("-qc", text, *rest), ["-c"] + rest)
        self.assertEqual(self.files().count("x"), 0)

    def test_a_name_that_looks_like_an_option(self):
        self.write("-app.py", "import sys; print(sys.argv)")
        self.assertEqual(self.argv("--", "-app.py", "-x"), ["-app.py", "-x"])

    def test_interpreter_options(self):
        code = "import sys; f = sys.flags; print([f.isolated, f.optimize, f.verbose, f.no_site, f.quiet, f.bytes_warning," \
               " f.dev_mode, sys.warnoptions, sorted(sys._xoptions)])"
        for options, expected in (
                ([], [0, 0, 0, 0, 0, 0, False, [], []]),
                (["-I"], [1, 0, 0, 0, 0, 0, False, [], []]),
                (["-OO", "-bb"], [0, 2, 0, 0, 0, 2, False, ["error::BytesWarning"], []]),
                (["-qIO"], [1, 1, 0, 0, 0, 0, False, [], []]),
                (["-IXfoo", "-W", "error", "-Wignore::ImportWarning"],
                 [1, 0, 0, 0, 0, 0, False, ["error", "ignore::ImportWarning"], ["foo"]]),
                (["-X", "foo", "-qX", "bar"], [0, 0, 0, 0, 0, 0, False, [], ["bar", "foo"]]),
                (["--python-args=-S -q -X 'b a'", "--python-args", "-W\"ignore::Import\"Warning"],
                 [0, 0, 0, 1, 1, 0, False, ["ignore::ImportWarning"], ["b a"]]),
                (["--python-args", "--check-hash-based-pycs never -O"], [0, 1, 0, 0, 0, 0, False, [], []])):
            with self.subTest(options=options):
                self.assertEqual(self.argv(*options, "-c", code), expected)

    def test_settings_in_the_trace(self):
        self.write("app.py", "")
        self.assert_ran(
            "--include", "a*", "--exclude=re:^b", "--include", "/c", "--no-threads", "--no-source", "--max-size", "5M",
            "--min-free=1k", "-W", "ignore", "app.py", "x", "--y")
        settings = Trace(self.path("trace.bin")).settings
        expected = {
            "filter": ["+a*", "-re:^b", "+/c"], "threads": ["0"], "source": ["0"], "children": ["1"], "c_calls": ["0"],
            "exclude_syspath": ["0"], "max_size": ["5242880"], "min_free": ["1024"], "argv": ["app.py", "x", "--y"],
            "cwd": [self.folder], "python": [self.python], "mode": ["exact"], "closing_line": ["1"]}
        self.assertEqual({key: settings.get(key) for key in expected}, expected)
        self.assertEqual(settings["host"], [os.uname().nodename])
        self.assertEqual(len(settings["boot_id"][0]), 36)

    def test_other_settings(self):
        self.assert_ran("-q", "--exclude-syspath", "--c-calls", "--no-children", "-m", "json.tool", "--help")
        settings = Trace(self.path("trace.bin")).settings
        disk = os.statvfs(self.folder)
        self.assertEqual([settings[key] for key in ("exclude_syspath", "c_calls", "children", "closing_line", "argv")],
                         [["1"], ["1"], ["0"], ["0"], ["-m", "json.tool", "--help"]])
        self.assertEqual(int(settings["min_free"][0]), disk.f_blocks // 100 * 5 * disk.f_frsize)


class Place(Command):
    """Where the trace goes, and what stands there already."""

    def setUp(self):
        super().setUp()
        self.write("app.py", "print('ran')")

    def test_an_existing_trace_is_kept(self):
        self.assert_ran("app.py")
        first = self.read("trace.bin")
        self.assert_ran("app.py")
        self.assertEqual(self.read("trace.bin.old"), first)
        second = self.read("trace.bin")
        self.assert_ran("--force", "app.py")
        self.assertEqual(self.read("trace.bin.old"), second)
        self.assertEqual(self.files(), ["app.py", "trace.bin", "trace.bin.old"])

    def test_another_file_is_refused(self):
        for content in ("", "notes", MAGIC[:7], b"\0" * 100):
            self.write("notes.txt", content)
            result = self.assert_fails(125, "notes.txt: is there and is no trace", "-o", "notes.txt", "app.py")
            self.assertIn(b"--force", result.err)
            self.assertEqual(self.read("notes.txt"), content.encode() if isinstance(content, str) else content)
        self.assertEqual(self.files(), ["app.py", "notes.txt"])
        self.assert_ran("--force", "-o", "notes.txt", "app.py")
        self.assertTrue(self.read("notes.txt").startswith(MAGIC))
        self.assertEqual(self.files(), ["app.py", "notes.txt"])

    def test_nothing_else_than_a_trace_goes_for_the_old_one(self):
        self.assert_ran("app.py")
        first = self.read("trace.bin")
        self.write("trace.bin.old", "precious")
        self.assert_fails(125, "trace.bin.old: is there and is no trace", "app.py")
        self.assertEqual((self.read("trace.bin"), self.read("trace.bin.old")), (first, b"precious"))
        self.assertEqual(self.files(), ["app.py", "trace.bin", "trace.bin.old"])

    def test_what_is_no_file_is_refused(self):
        os.mkdir(self.path("folder"))
        os.mkfifo(self.path("fifo"))
        for name, words in (("folder", "folder"), (".", "folder"), ("folder/", "folder"), ("/", "folder"),
                            ("fifo", "not a regular file"), ("/dev/null", "not a regular file")):
            self.assert_fails(125, words, "-o", name, "app.py")
            self.assert_fails(125, words, "--force", "-o", name, "app.py")
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))

    def test_a_symbolic_link_is_left_alone(self):
        """Even with --force: it may lead into somebody else's file, and /dev/stdout is one."""
        self.write("precious", "data")
        for target in ("precious", "nowhere", "/dev/null"):
            os.symlink(target, self.path("link"))
            self.assert_fails(125, "link: is a symbolic link", "-o", "link", "app.py")
            self.assert_fails(125, "link: is a symbolic link", "--force", "-o", "link", "app.py")
            self.assertEqual(os.readlink(self.path("link")), target)
            os.remove(self.path("link"))
        self.assertEqual(self.read("precious"), b"data")
        self.assertEqual(self.files(), ["app.py", "precious"])

    def test_folders_that_cannot_be_written(self):
        for name in ("missing/trace.bin", "app.py/trace.bin", "/proc/trace.bin"):
            self.assert_fails(125, "cannot be written", "-o", name, "app.py")
        self.assert_fails(125, "name", "-o", "x" * 300, "app.py")
        self.assert_fails(2, "too long", "-o", "x/" * 3000, "app.py")

    def test_names(self):
        self.assert_ran("-o", "a%%b-%n", "app.py")
        self.assert_ran("-o", "a%%b-%n", "app.py")
        self.write("a%b-3", "in the way")
        self.assert_ran("-o", "a%%b-%n", "app.py")
        self.assertEqual(self.files(), ["a%b-1", "a%b-2", "a%b-3", "a%b-4", "app.py"])
        pid = self.assert_ran("-o", "pid-%p", "-c", "import os; print(os.getpid())").out.decode().strip()
        self.assertTrue(self.read("pid-" + pid).startswith(MAGIC))

    def test_numbers_are_not_shared(self):
        """Many runs at once: each gets a trace of its own."""
        command = [support.PYREC, "--python", self.python, "-o", "%n.bin", "-c", "pass"]
        runs = [subprocess.Popen(command, cwd=self.folder, env=support.environment()) for _ in range(12)]
        self.assertEqual([run.wait() for run in runs], [0] * 12)
        self.assertEqual(self.files(), sorted(["%d.bin" % n for n in range(1, 13)] + ["app.py"]))
        self.assertEqual([Trace(self.path("%d.bin" % n)).processes for n in range(1, 13)], [1] * 12)

    def test_many_runs_for_one_name(self):
        """One is recorded under the name, each other is refused or has it later; no trace is mixed or lost halfway."""
        command = [support.PYREC, "--python", self.python, "-c", "import time; time.sleep(0.3)"]
        runs = [subprocess.Popen(command, cwd=self.folder, env=support.environment(), stderr=subprocess.PIPE)
                for _ in range(8)]
        ended = [(run.communicate()[1], run.returncode) for run in runs]
        self.assertIn((b"", 0), ended)
        for error, status in ended:
            if status != 0:
                self.assertEqual(status, 125)
                self.assertRegex(error, rb"^pyrec: .*trace.bin.*: (is being recorded|another run has just taken .*)\n$")
        for name in self.files():
            if name != "app.py":
                self.assertEqual(Trace(self.path(name)).processes, 1, name)

    def test_a_trace_that_is_being_recorded(self):
        self.write("wait.py", "print('ready', flush=True)\ninput()\nprint('done')\n")
        for python in support.PYTHONS:
            first = subprocess.Popen([support.PYREC, "--python", python, "wait.py"], cwd=self.folder,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=support.environment())
            self.addCleanup(first.stdout.close)
            self.assertEqual(first.stdout.readline(), b"ready\n")
            self.assert_fails(125, "trace.bin: is being recorded", "app.py")
            self.assert_fails(125, "trace.bin: is being recorded", "--force", "app.py")
            self.assertEqual(first.communicate(b"\n")[0], b"done\n")
            self.assertEqual(first.returncode, 0)
            self.assert_ran("app.py")

    def test_a_child_that_lives_on_is_being_recorded(self):
        self.write("parent.py", "import os, sys, time\nif os.fork() == 0:\n    os.close(1)\n    os.read(0, 1)\n")
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        subprocess.run([support.PYREC, "--python", self.python, "parent.py"], cwd=self.folder, stdin=reader, check=True,
                       env=support.environment())
        self.assert_fails(125, "is being recorded", "app.py")
        os.close(writer)
        deadline = time.monotonic() + PATIENCE
        while self.pyrec("app.py").status != 0:
            self.assertLess(time.monotonic(), deadline, "the trace stays locked")
            time.sleep(0.05)

    def test_the_program_changes_its_directory(self):
        self.assert_ran("-o", "here.bin", "-c", "import os; os.chdir('/'); import json; os.fork() or os._exit(0)")
        self.assertEqual(self.files(), ["app.py", "here.bin"])

    def test_not_enough_room(self):
        self.assert_fails(125, "are free there, less than --min-free", "--min-free=900T", "app.py")
        self.assertEqual(self.files(), ["app.py"])

    def test_a_missing_program_costs_no_trace(self):
        self.assert_ran("app.py")
        first = self.read("trace.bin")
        plain = support.run([self.python, "apq.py"], cwd=self.folder)
        result = self.pyrec("apq.py")
        self.assertEqual((result.status, result.out, result.err), (plain.status, plain.out, plain.err))
        self.assertEqual(self.read("trace.bin"), first)
        self.assertEqual(self.files(), ["app.py", "trace.bin"])

    def test_mode_of_the_file(self):
        for mask, expected in ((0o022, 0o644), (0o077, 0o600), (0o000, 0o664)):
            self.assert_ran("--force", "app.py", preexec_fn=lambda mask=mask: os.umask(mask) and None)
            self.assertEqual(stat.S_IMODE(os.stat(self.path("trace.bin")).st_mode), expected)

    def test_few_descriptors(self):
        result = support.run(["bash", "-c", "ulimit -n 30; exec %s --python %s app.py" % (support.PYREC, self.python)],
                             cwd=self.folder)
        self.assertEqual((result.status, result.out, result.err), (0, b"ran\n", b""), result)


class Interpreter(Command):
    def executable(self, *options, **more):
        return self.assert_ran(*options, "-c", "import sys; print(sys.executable)", **more).out.decode().strip()

    def wrapper(self, name, python):
        return self.write(name, '#!/bin/sh\nhelper=$(echo x | cat)\nexec "%s" "$@"\n' % python, 0o755)

    def test_order(self):
        python = os.path.realpath(self.python)
        for name in ("option", "preferred", "venv/bin/python3", "path/python3"):
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            self.write(name, '#!/bin/sh\necho %s\nexec "%s" "$@"\n' % (name, python), 0o755)
        env = support.environment(PATH=self.path("path") + ":" + os.environ["PATH"])
        found = []
        for more in ({}, {"VIRTUAL_ENV": self.path("venv")}, {"PYREC_PYTHON": self.path("preferred")}):
            env.update(more)
            found.append(self.assert_ran("-c", "pass", python=False, env=env).out.decode().strip())
        found.append(self.assert_ran("-c", "pass", python=self.path("option"), env=env).out.decode().strip())
        found.append(self.assert_ran("-c", "pass", python=self.path("venv"), env=env).out.decode().strip())
        self.assertEqual(found, ["path/python3", "venv/bin/python3", "preferred", "option", "venv/bin/python3"])

    def test_beside_a_pip_installed_pyrec(self):
        command = self.installed()
        self.wrapper("own/python3", self.python)
        self.write("own/python3", '#!/bin/sh\necho beside\nexec "%s" "$@"\n' % self.python, 0o755)
        env = support.environment(VIRTUAL_ENV=self.path("nowhere"))
        self.assertNotEqual(self.pyrec("-c", "print()", command=command, python=False, env=env).out, b"beside\n\n")
        self.write("pyvenv.cfg", "")
        self.assertEqual(self.pyrec("-c", "print()", command=command, python=False, env=env).out, b"beside\n\n")

    def test_a_shim_is_a_script(self):
        """Version managers put a shell script on PATH that becomes the interpreter; what it runs meanwhile is no run."""
        for python in support.PYTHONS:
            self.wrapper("bin/python3", python)
            env = support.environment(PATH=self.path("bin") + ":" + os.environ["PATH"])
            self.assertEqual(os.path.realpath(self.executable(python=False, env=env)), os.path.realpath(python))
            trace = Trace(self.path("trace.bin"))
            self.assertEqual(trace.processes, 1)
            self.assertEqual(self.executable(python="python3", env=env), python)

    def test_name_of_the_interpreter(self):
        """argv[0] is what the user would have typed."""
        if support.version(self.python) < (3, 10):
            self.skipTest("no sys.orig_argv")
        os.symlink(self.python, self.path("mypython"))
        env = support.environment(PATH=self.folder + ":" + os.environ["PATH"])
        code = "import sys; print(sys.orig_argv[0])"
        for name in ("mypython", "./mypython", self.path("mypython")):
            self.assertEqual(self.assert_ran("-c", code, python=name, env=env).out.decode().strip(), name)

    def test_not_found(self):
        self.write("app.py", "print('ran')")
        self.write("plain", "no program")
        self.write("noformat", "\0\0\0\0", 0o755)
        self.write("badscript", "#!/no/such/interpreter\n", 0o755)
        self.assert_fails(127, "--python nosuch: No such file", "app.py", python="nosuch")
        self.assert_fails(127, "--python ./nosuch: No such file", "app.py", python="./nosuch")
        self.assert_fails(126, "--python ./plain: Permission denied", "app.py", python="./plain")
        self.assert_fails(127, "--python .: has no bin/python3", "app.py", python=".")
        self.assert_fails(126, "noformat: Exec format error", "app.py", python="./noformat")
        self.assert_fails(127, "badscript: No such file", "app.py", python="./badscript")
        self.assert_fails(127, "PYREC_PYTHON nosuch: No such file", "app.py", python=False,
                          env=support.environment(PYREC_PYTHON="nosuch"))
        self.assert_fails(127, "PATH has no python3", "app.py", python=False, env={"PATH": self.folder})
        self.assertEqual(self.files(), ["app.py", "badscript", "noformat", "plain"])

    def test_no_recorder_for_it(self):
        command = self.installed()
        for python in support.PYTHONS:
            with self.subTest(python=python):
                version = ".".join(map(str, support.version(python)))
                for name in os.listdir(self.path("own/lib/pyrec")):
                    if name.startswith("cpython-%d%d" % support.version(python)[:2]):
                        shutil.rmtree(self.path("own/lib/pyrec", name))
                real = os.path.realpath(python)
                result = self.assert_fails(125, "no recorder for CPython %s (%s); build it: make PYTHON=%s" % (
                    version, real, real), "-c", "print('ran')", command=command, python=python)
                self.assertEqual(self.files(), ["own"], result)
        # In a child it is no reason to say anything.
        if len(support.PYTHONS) > 1:
            shutil.rmtree(self.path("own"))
            command = self.installed()
            last = support.PYTHONS[-1]
            for name in os.listdir(self.path("own/lib/pyrec")):
                if name.startswith("cpython-%d%d" % support.version(last)[:2]):
                    shutil.rmtree(self.path("own/lib/pyrec", name))
            if support.version(last)[:2] != support.version(self.python)[:2]:
                code = "import subprocess; subprocess.run([%r, '-c', 'print(1)'])" % last
                result = self.pyrec("-c", code, command=command)
                self.assertEqual((result.status, result.out, result.err), (0, b"1\n", b""))

    def test_what_cannot_be_recorded_displaces_no_trace(self):
        command = self.installed()
        self.assert_ran("-c", "print('ran')")
        trace = self.read("trace.bin")
        self.write("noformat", b"\x7fELFnot")
        os.chmod(self.path("noformat"), 0o755)
        for name in os.listdir(self.path("own/lib/pyrec")):
            if name.startswith("cpython-"):
                shutil.rmtree(self.path("own/lib/pyrec", name))
        kept = ["noformat", "own", "trace.bin"]
        self.assert_fails(125, "no recorder for", "-c", "print('ran')", command=command)
        self.assertEqual((self.files(), self.read("trace.bin")), (kept, trace))
        for choice in ([], ["--then", "annotate"]):
            result = self.assert_fails(126, "noformat: Exec format error", *choice, "-c", "print('ran')", python="./noformat")
            self.assertEqual((self.files(), self.read("trace.bin"), result.out), (kept, trace, b""))

    def test_a_damaged_recorder(self):
        command = self.installed()
        for python in support.PYTHONS:
            with self.subTest(python=python):
                for name in os.listdir(self.path("own/lib/pyrec")):
                    if name.startswith("cpython-"):
                        self.write("own/lib/pyrec/" + name + "/pyrec.so", "no library")
                self.assert_fails(125, "pyrec.so", "-c", "print('ran')", command=command, python=python)
                self.assert_fails(125, "pyrec.so", "-X", "dev", "-c", "print('ran')", command=command, python=python)
                self.assertEqual(self.files(), ["own"])

    def test_a_recorder_that_cannot_start_in_a_child(self):
        """The child runs on, unrecorded, and frees what is its own: -X dev would notice."""
        command = self.installed()
        self.write("child.py", "import sys; print('child')")
        folder = self.path("own/lib/pyrec")
        code = ("import glob, os, subprocess, sys\n"
                "for name in glob.glob(%r + '/cpython-*/pyrec.so'):\n"
                "    os.rename(name, name + '.was'); open(name, 'w').close()\n"
                "print(subprocess.run([sys.executable, '-X', 'dev', 'child.py'], stdout=-1, stderr=-1))\n"
                "for name in glob.glob(%r + '/cpython-*/pyrec.so'):\n"
                "    os.replace(name + '.was', name)\n" % (folder, folder))
        for python in support.PYTHONS:
            result = self.pyrec("-c", code, command=command, python=python)
            self.assertIn(b"returncode=0, stdout=b'child\\n', stderr=b'')", result.out, result)

    def test_what_is_no_cpython(self):
        self.write("app.sh", "echo ran")
        result = self.pyrec("app.sh", python="/bin/sh")
        self.assertEqual((result.status, result.out), (0, b"ran\n"))
        self.assertRegex(result.err.decode(), r"^pyrec: nothing was recorded: \S+ is not a CPython that can be entered\n$")

    def test_old_versions(self):
        for name in ("python2", "python2.7", "python3.6", "python3.7", "python3.8"):
            python = shutil.which(name, path="/usr/bin:/usr/local/bin")
            if python is not None:
                self.assert_fails(125, "pyrec records 3.9 to 3.14", "-c", "print('ran')", python=python)

    @unittest.skipUnless(shutil.which("cc"), "no C compiler: what says that it is another version cannot be made")
    def test_interpreters_without_a_recorder(self):
        """As far as pyrec looks at them; each would run the program."""
        self.write("fake.c", "#include <stdio.h>\nconst char *Py_GetVersion(void) { return VERSION; }\n"
                             "int main(void) { puts(\"ran\"); return 0; }\n")
        fake = self.path("fake")
        for version, reason in (
                ("3.13.0 experimental free-threading build (main)", "is a free-threaded build of CPython 3.13.0, which pyrec"),
                ("3.14.3 free-threading build (main, Feb  3 2026)", "is a free-threaded build of CPython 3.14.3, which pyrec"),
                ("3.15.0a5 (main)", "is CPython 3.15.0a5; pyrec records 3.9 to 3.14"),
                ("3.15.0 free-threading build (main)", "is a free-threaded build of CPython 3.15.0, which pyrec"),
                ("4.0.0 (main)", "is CPython 4.0.0; pyrec records 3.9 to 3.14"),
                ("3.8.18 (main)", "is CPython 3.8.18; pyrec records 3.9 to 3.14")):
            with self.subTest(version):
                subprocess.run(["cc", "-rdynamic", '-DVERSION="%s"' % version, "-o", fake, self.path("fake.c")], check=True)
                self.assertEqual(support.run([fake]).out, b"ran\n")
                self.assert_fails(125, "%s %s" % (os.path.realpath(fake), reason), "-c", "print('ran')", python=fake)

    def test_a_path_with_a_blank(self):
        self.installed()
        os.rename(self.path("own"), self.path("my own"))
        self.assert_fails(125, "may have no blank or colon", "-c", "print('ran')", command=self.path("my own/pyrec"))
        self.write("a b/c:d.py", "print('ran')")
        self.assert_ran("-o", "a b/e:f,g", "a b/c:d.py")
        self.assertEqual(Trace(self.path("a b/e:f,g")).processes, 1)

    def test_parts_missing(self):
        command = self.installed()
        shutil.rmtree(self.path("own/lib"))
        self.assert_fails(125, "preload.so: No such file", "-c", "print('ran')", command=command)
        self.assert_fails(125, "a report needs", "--then", "annotate", "-c", "print('ran')", command=command)
        self.assertEqual(self.files(), ["own"])


class Analyze(Command):
    def test_is_pyanalyze(self):
        command = self.installed('echo "$#" "$@"; echo "$0" >&2; exit 3\n')
        result = support.run([command, "analyze", "-o", "x y", "--help", "--"], cwd=self.folder)
        self.assertEqual((result.status, result.out), (3, b"4 -o x y --help --\n"), result)

    def test_missing(self):
        result = support.run([self.installed(), "analyze"], cwd=self.folder)
        self.assertEqual((result.status, result.out), (127, b""))
        self.assertIn(b"own/pyanalyze: No such file", result.err)


class Then(Command):
    """pyrec as the parent of the program."""

    def setUp(self):
        super().setUp()
        self.command = self.installed('echo "analyze:" "$@"\n')

    def then(self, code, *options, **more):
        return self.pyrec("--then", "annotate", "--then=svg=a b.svg", *options, "-c", code, command=self.command, **more)

    def test_report(self):
        for python in support.PYTHONS:
            result = self.then("print('ran', flush=True)", "-o", "t.bin", python=python)
            self.assertEqual((result.status, result.err), (0, b""))
            self.assertEqual(result.out.decode(), "ran\nanalyze: %s --format annotate --format svg=a b.svg\n" % (
                self.path("t.bin")))

    def test_the_program_fails(self):
        for code, status in (("raise SystemExit(5)", 5), ("1/0", 1), ("import os; os._exit(255)", 255)):
            result = self.then(code)
            self.assertEqual(result.status, status)
            self.assertIn(b"analyze:", result.out)

    def test_the_report_fails(self):
        """The program's status is pyrec's; only a program that went well has no success without its report."""
        for code, status in (("pass", 125), ("raise SystemExit(5)", 5), ("1/0", 1),
                             ("import os; os.kill(os.getpid(), 9)", -9)):
            for then, said in (("folded=missing/x", b"pyanalyze: missing/x: cannot write: "),
                               ("folded=" + self.folder, b"pyanalyze: ")):
                result = self.pyrec("--then", then, "-c", code)
                self.assertEqual(result.status, status, result)
                self.assertTrue(result.err.endswith(b"\npyrec: the report was not made\n"), result)
                self.assertIn(said, result.err)
        result = self.pyrec("-S", "--then", "lcov", "-c", "pass")
        self.assertEqual((result.status, result.err.splitlines()[-1]), (125, b"pyrec: the report was not made"))

    def test_the_trace_is_gone(self):
        for code, status in (("", 125), ("; raise SystemExit(5)", 5)):
            result = self.pyrec("--then", "annotate", "-c", "import os; os.unlink('trace.bin')" + code)
            self.assertEqual((result.status, result.out), (status, b""), result)
            self.assertEqual(result.err.decode(),
                             "pyrec: %s: the report was not made: the trace is gone\n" % self.path("trace.bin"))

    def test_the_analyzer_dies(self):
        with open(self.path("own/pyanalyze"), "w", encoding="ascii") as file:
            file.write('#!/bin/sh\n[ "$1" = --version ] || kill -9 $$\n')
        result = self.then("pass")
        self.assertEqual((result.status, result.err.decode()),
                         (125, "pyrec: the report was not made: signal 9 ended %s\n" % self.path("own/pyanalyze")))

    def test_a_format_that_there_is_not(self):
        """Said before the program runs, not after."""
        for then in (["nosuch"], ["nosuch=x"], ["folded=a", "nosuch"]):
            options = [word for name in then for word in ("--then", name)]
            result = self.pyrec(*options, "-c", "print('ran')")
            self.assertEqual((result.status, result.out), (2, b""), result)
            self.assertRegex(result.err, rb"\Apyrec: --then: 'nosuch' fits no format; there are annotate, .*\n"
                                         rb"pyrec: --help shows how it is used\n\Z")
            self.assertFalse(os.path.exists(self.path("trace.bin")))

    def test_the_program_is_killed(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV, signal.SIGPIPE, signal.SIGUSR1):
            code = "import os, signal; signal.signal({0}, signal.SIG_DFL) if {0} != 9 else 0; os.kill(os.getpid(), {0})"
            result = self.then(code.format(int(number)))
            self.assertEqual(result.status, -number)
            self.assertIn(b"analyze:", result.out)

    def start(self, code, **options):
        process = subprocess.Popen(
            [self.command, "--python", self.python, "--then", "annotate", "-c", code], cwd=self.folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=support.environment(),
            preexec_fn=os.setpgrp, **options)  # in an orphaned group, as this one may be, SIGTSTP does nothing
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        return process

    def test_signals_reach_the_program(self):
        names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGWINCH", "SIGRTMIN")
        code = ("import signal\nnumbers = {getattr(signal, name) for name in %r}\n"
                "signal.pthread_sigmask(signal.SIG_BLOCK, numbers)\nprint('ready', flush=True)\n"
                "for _ in numbers: print(int(signal.sigwait(numbers)), flush=True)\n" % (names,))
        process = self.start(code)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        for name in names:
            process.send_signal(getattr(signal, name))
            self.assertEqual(process.stdout.readline(), b"%d\n" % getattr(signal, name))
        self.assertIn(b"analyze:", process.stdout.read())
        self.assertEqual(process.wait(), 0)

    def test_a_signal_that_ends_the_program(self):
        process = self.start("print('ready', flush=True); input()")
        process.stdout.readline()
        process.terminate()
        self.assertIn(b"analyze:", process.stdout.read())
        self.assertEqual(process.wait(), -signal.SIGTERM)

    def state(self, process):
        with open("/proc/%d/stat" % process, encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]

    def wait_for_state(self, process, states):
        deadline = time.monotonic() + PATIENCE
        while self.state(process) not in states:
            self.assertLess(time.monotonic(), deadline, "process %d is %s, not %s" % (process, self.state(process), states))
            time.sleep(0.02)

    def test_stopping_and_going_on(self):
        process = self.start("import os; print(os.getpid(), flush=True); input(); print('done')")
        program = int(process.stdout.readline())
        for stop in (signal.SIGTSTP, signal.SIGSTOP):
            (process.send_signal if stop == signal.SIGTSTP else lambda number: os.kill(program, number))(stop)
            self.wait_for_state(program, "T")
            self.wait_for_state(process.pid, "T")
            process.send_signal(signal.SIGCONT)
            self.wait_for_state(program, "SR")
            self.wait_for_state(process.pid, "SR")
        process.stdin.write(b"\n")
        process.stdin.flush()
        self.assertIn(b"done\nanalyze:", process.stdout.read())
        self.assertEqual(process.wait(), 0)

    def test_keys_of_the_terminal(self):
        """^C goes to the program and to pyrec at once: the program sees one."""
        self.write("count.py", "import os, signal, time\nseen = []\n"
                               "signal.signal(signal.SIGINT, lambda *a: seen.append(1))\nprint('go' + 'ing', flush=True)\n"
                               "while not seen: time.sleep(0.05)\ntime.sleep(0.3)\nprint('seen', len(seen), 'END')\n")
        shell = Shell(["bash", "--norc", "--noprofile", "-i"], self.folder, "true")
        self.addCleanup(shell.close)
        shell.enter("%s --then annotate --python %s count.py; echo sta''tus $?" % (self.command, self.python))
        shell.read_until("going")
        os.write(shell.terminal, b"\x03")
        text = shell.read_until("status 0")
        self.assertIn("seen 1 END", text)
        self.assertIn("analyze:", text)
        shell.enter("%s --then annotate --python %s -c 'print(\"go\" + \"ing\"); input()'" % (
            self.command, self.python))
        shell.read_until("going")
        os.write(shell.terminal, b"\x1a")
        shell.read_until("Stopped")
        shell.enter("fg")
        shell.wait_for_program()
        shell.enter("line")
        self.assertIn("analyze:", shell.read_until("analyze:"))
        shell.enter("echo sta''tus $?")
        self.assertIn("status 0", shell.read_until("status 0"))

    def test_signals_as_pyrec_found_them(self):
        code = ("import signal; print([int(n) for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN],"
                " sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))")

        def change():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

        plain = support.run([self.python, "-c", code], preexec_fn=change)
        result = self.then(code, preexec_fn=change)
        self.assertEqual(result.out.splitlines()[0] + b"\n", plain.out)
        self.assertIn(b"analyze:", result.out)

    def test_an_analyzer_that_fails(self):
        self.write("own/pyanalyze", '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho sorry >&2\nexit 1\n', 0o755)
        result = self.then("pass")
        self.assertEqual((result.status, result.err), (125, b"sorry\npyrec: the report was not made\n"))
        self.write("own/pyanalyze", "#!/bin/sh\necho sorry >&2\nexit 1\n", 0o755)
        result = self.then("print('ran')")
        self.assertEqual((result.status, result.out, result.err.decode()),
                         (125, b"", "pyrec: %s: cannot be used: sorry\n" % self.path("own/pyanalyze")))

    def test_no_interpreter(self):
        self.write("badscript", "#!/no/such/interpreter\n", 0o755)
        result = self.then("pass", python="./badscript")
        self.assertEqual((result.status, result.out), (127, b""))
        self.assertEqual(result.err.count(b"\n"), 1)
        self.assertNotIn("trace.bin", self.files())


CHILDREN = r"""
import os, subprocess, sys
me = sys.executable
child = [me, "-c", "print(sorted(k for k in __import__('os').environ if 'PYREC' in k or k == 'LD_PRELOAD'))"]
line = " ".join("'%s'" % word.replace("'", "'\\''") for word in child)
how = sys.argv[1]
sys.stdout.flush()
if how == "run":
    subprocess.run(child)
elif how == "empty":
    subprocess.run(child, env={})
elif how == "isolated":
    subprocess.run([me, "-I", "-E", "-S"] + child[1:], env={})
elif how == "shell":
    subprocess.run(line, shell=True)
elif how == "sh":
    subprocess.run(["sh", "-c", line + "; true"], env={})
elif how == "bash":
    subprocess.run(["bash", "-c", "(" + line + ") | cat"])
elif how == "env-i":
    subprocess.run(["env", "-i"] + child)
elif how == "preexec":
    subprocess.run(child, preexec_fn=os.getpid)
elif how == "close_fds":
    subprocess.run(child, close_fds=False)
elif how == "session":
    subprocess.run(child, start_new_session=True)
elif how == "system":
    os.system(line)
elif how == "system-exec":
    os.system("exec " + line)
elif how == "popen":
    print(os.popen(line).read(), end="")
elif how == "libc-popen":
    import ctypes
    libc = ctypes.CDLL(None)
    libc.popen.restype = ctypes.c_void_p
    libc.pclose(ctypes.c_void_p(libc.popen(line.encode(), b"w")))
elif how == "libc-execl":
    import ctypes
    if os.fork() == 0:
        ctypes.CDLL(None).execl(me.encode(), me.encode(), b"-c", child[2].encode(), None)
    os.wait()
elif how == "libc-execle":
    import ctypes
    if os.fork() == 0:
        ctypes.CDLL(None).execle(me.encode(), me.encode(), b"-c", child[2].encode(), None, None)
    os.wait()
elif how == "libc-execlp":
    import ctypes
    if os.fork() == 0:
        ctypes.CDLL(None).execlp(b"env", b"env", me.encode(), b"-c", child[2].encode(), None)
    os.wait()
elif how == "spawnv":
    os.spawnv(os.P_WAIT, me, child)
elif how == "spawnve":
    os.spawnve(os.P_WAIT, me, child, {})
elif how == "spawnlp":
    os.spawnlp(os.P_WAIT, "env", "env", *child)
elif how == "posix_spawn":
    os.waitpid(os.posix_spawn(me, child, {}), 0)
elif how == "posix_spawnp":
    os.waitpid(os.posix_spawnp("env", ["env"] + child, {"PATH": os.environ["PATH"]}), 0)
elif how == "fexecve":
    if os.fork() == 0:
        os.execve(os.open(me, os.O_RDONLY), child, {})
    os.wait()
elif how == "large":
    subprocess.run(child, env={"V%d" % n: "x" * 90 for n in range(3000)})
elif how == "thread":
    import threading
    threading.stack_size(65536)
    t = threading.Thread(target=subprocess.run, args=(child,), kwargs={"env": {}})
    t.start()
    t.join()
"""
FORKS = ("preexec", "libc-execl", "libc-execle", "libc-execlp", "spawnv", "spawnve", "spawnlp", "fexecve")
WAYS = [line.split('"')[1] for line in CHILDREN.splitlines() if "how ==" in line]


class Children(Command):
    def setUp(self):
        super().setUp()
        self.write("children.py", CHILDREN)

    def test_each_way_to_start_one(self):
        self.assertGreater(len(WAYS), 20)
        for how in WAYS:
            plain = support.run([self.python, "children.py", how], cwd=self.folder)
            self.assertEqual((plain.status, plain.out), (0, b"[]\n"))
            for python in support.PYTHONS:
                with self.subTest(python=python, how=how):
                    self.assertEqual(self.assert_ran("children.py", how, python=python).out, plain.out)
                    recorded = Trace(self.path("trace.bin")).processes
                    # A child that runs some Python before it becomes another program is a process of its own until then.
                    self.assertIn(recorded, (2, 3) if how in FORKS else (2,))

    def test_no_children(self):
        for python in support.PYTHONS:
            for how in ("run", "empty", "shell", "system", "libc-popen", "posix_spawn", "preexec", "spawnv", "libc-execl"):
                with self.subTest(python=python, how=how):
                    result = self.assert_ran("--no-children", "children.py", how, python=python)
                    self.assertEqual(result.out, b"[]\n")
                    self.assertEqual(Trace(self.path("trace.bin")).processes, 1)

    def test_no_children_goes_on_when_replaced(self):
        self.write("app.py", "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'pass'])\n")
        for python in support.PYTHONS:
            self.assert_ran("--no-children", "app.py", python=python)
            self.assertEqual(Trace(self.path("trace.bin")).processes, 2)

    def test_grandchildren(self):
        self.write("app.py", "import subprocess, sys\nn = int(sys.argv[1])\n"
                             "if n: subprocess.run([sys.executable, __file__, str(n - 1)], env={}, check=True)\n")
        for python in support.PYTHONS:
            self.assert_ran("app.py", "4", python=python)
            self.assertEqual(Trace(self.path("trace.bin")).processes, 5)

    def test_failed_exec_changes_nothing(self):
        code = ("import os\nfor f in (os.execv, os.execvp):\n"
                "    try:\n        f('/nosuch', ['x'])\n    except OSError as e:\n        print(e.errno)\n"
                "try:\n    os.execvpe('nosuch', ['x'], {'PATH': '/a:/b:/c'})\nexcept OSError as e:\n    print(e.errno)\n"
                "try:\n    os.posix_spawn('/nosuch', ['x'], {})\nexcept OSError as e:\n    print(e.errno)\n"
                "try:\n    os.execv(os.devnull, ['x'])\nexcept OSError as e:\n    print(e.errno)\n")
        for python in support.PYTHONS:
            self.assertEqual(self.assert_ran("-c", code, python=python).out.split(), b"2 2 2 2 13".split())

    def test_system(self):
        """Statuses and signals as libc's system() has them."""
        code = ("import os, signal, sys\nsignal.signal(signal.SIGQUIT, lambda *a: print('quit'))\n"
                "print(os.system('exit 3'), os.system('kill -9 $$'), os.system('nosuchcommand 2>/dev/null'))\n"
                "print(os.system('echo $0; trap'), os.system('kill -INT $PPID; kill -QUIT $PPID'))\n"
                "print(os.system('kill -TERM $$; echo still'), signal.getsignal(signal.SIGINT))\n"
                "print(os.system(\"echo 'quoted  \\\"words\\\"' $((1+1)) | tr a-z A-Z\"))\n"
                "import ctypes; libc = ctypes.CDLL(None); print(libc.system(None))\n"
                "sys.stdout.flush(); print(os.system('echo \"$LD_PRELOAD$PYREC_RUN\"; env | grep -c PYREC'))\n")
        self.write("app.py", code)
        for python in support.PYTHONS:
            plain = support.run([python, "-u", "app.py"], cwd=self.folder)
            result = self.pyrec("-u", "app.py", python=python)
            self.assertEqual((result.status, result.out, result.err), (plain.status, plain.out, plain.err))

    def test_popen_of_libc(self):
        code = ("import ctypes, sys\nlibc = ctypes.CDLL(None); libc.popen.restype = ctypes.c_void_p\n"
                "def shell(command):\n"
                "    return libc.pclose(ctypes.c_void_p(libc.popen(command.encode(), b'w')))\n"
                "print(shell('exit 3'), shell('kill -9 $$'), shell('nosuchcommand'), flush=True)\n"
                "print(shell(\"echo $0 $# 'it'\\\"'\\\"'s' \\\\\\\\ \\\"$LD_PRELOAD$PYREC_RUN\\\"; env | grep -c PYREC\"))\n"
                "print(libc.popen(b'true', b'x'))\n")
        self.write("app.py", code)
        for python in support.PYTHONS:
            plain = support.run([python, "-u", "app.py"], cwd=self.folder)
            result = self.pyrec("-u", "app.py", python=python)
            self.assertEqual((result.status, result.out, result.err), (plain.status, plain.out, plain.err))

    def test_a_preloaded_library_of_the_user(self):
        """In the child's LD_PRELOAD as the program gave it; ours is not to be seen."""
        code = ("import os, subprocess, sys\n"
                "for value in ('', 'libm.so.6', 'libm.so.6 libdl.so.2'):\n"
                "    subprocess.run([sys.executable, '-c', 'import os; print(dict(os.environ))'],"
                "                   env={'A': '1', 'LD_PRELOAD': value, 'B': '2', 'LC_CTYPE': 'C'})\n")
        for python in support.PYTHONS:
            plain = support.run([python, "-uc", code])
            self.assertEqual(self.assert_ran("-uc", code, python=python).out, plain.out)
            self.assertEqual(Trace(self.path("trace.bin")).processes, 4)

    @NOT_SANITIZED
    def test_a_run_in_a_run(self):
        code = ("import subprocess, sys\n"
                "subprocess.run([%r, '-o', 'inner.bin', '--python', sys.executable, '-c', 'print(2)'], check=True)\n"
                "subprocess.run([sys.executable, '-c', 'print(3)'], check=True)\n" % support.PYREC)
        for python in support.PYTHONS:
            self.assertEqual(self.assert_ran("-c", code, python=python).out, b"2\n3\n")
            self.assertEqual(Trace(self.path("trace.bin")).processes, 2)
            self.assertEqual(Trace(self.path("inner.bin")).processes, 1)

    @NOT_SANITIZED
    def test_replaced_by_a_run(self):
        code = ("import os, sys\nos.execv(%r, ['pyrec', '-o', 'inner.bin', '--python', sys.executable, '-c', 'print(2)'])\n"
                % support.PYREC)
        for python in support.PYTHONS:
            self.assertEqual(self.assert_ran("-c", code, python=python).out, b"2\n")
            self.assertEqual(Trace(self.path("trace.bin")).processes, 1)
            self.assertEqual(Trace(self.path("inner.bin")).processes, 1)

    def test_other_interpreters(self):
        """A run goes through every version of CPython there is a recorder for."""
        code = ("import subprocess, sys\npythons = sys.argv[1:]\n"
                "if pythons: subprocess.run([pythons[0], '-c', open('code').read()] + pythons[1:], check=True)\n"
                "print(sys.version_info[:2])\n")
        self.write("code", code)
        result = self.assert_ran("-c", code, *support.PYTHONS)
        self.assertEqual(len(result.out.splitlines()), len(support.PYTHONS) + 1)
        self.assertEqual(Trace(self.path("trace.bin")).processes, len(support.PYTHONS) + 1)

    def compile(self, name, source, *flags):
        self.write(name + ".c", source)
        if shutil.which("gcc") is None:
            self.skipTest("no gcc")
        built = support.run(["gcc", "-o", self.path(name), self.path(name + ".c"), *flags])
        self.assertEqual(built.status, 0, built)

    def test_behind_a_static_program(self):
        """It is not entered, but what it starts is."""
        self.compile("static", "#include <unistd.h>\nint main(int n, char **v) { execv(v[1], v + 1); return n; }\n", "-static")
        code = "import subprocess, sys; subprocess.run(['./static', sys.executable, 'child.py'], check=True)"
        self.write("child.py", "import os; print([k for k in os.environ if 'PYREC' in k or 'PRELOAD' in k])")
        for python in support.PYTHONS:
            self.assertEqual(self.assert_ran("-c", code, python=python).out, b"[]\n")
            self.assertEqual(Trace(self.path("trace.bin")).processes, 2)

    def test_privileged_program(self):
        """The loader preloads nothing into it, and says nothing."""
        if os.getuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("not root")
        shutil.copy(shutil.which("id"), self.path("privileged"))
        os.chmod(self.path("privileged"), 0o4755)
        os.chmod(self.folder, 0o777)
        command = ["setpriv", "--reuid=65534", "--clear-groups", support.PYREC, "--python", "/usr/bin/python3", "-c",
                   "import subprocess; subprocess.run(['./privileged', '-u'], check=True)"]
        result = support.run(command, cwd=self.folder)
        if b"Permission denied" in result.err or not os.path.exists("/usr/bin/python3"):
            self.skipTest("the build is not for everybody")
        self.assertEqual((result.status, result.out, result.err), (0, b"0\n", b""), result)
        self.assertEqual(Trace(self.path("trace.bin")).processes, 1)

    def test_large_environments(self):
        """Many children with an environment too large for the stack: memory does not grow with their number."""
        code = ("import os, subprocess\nenv = {'V%d' % n: 'x' * 20 for n in range(2000)}\n"
                "def size(): return int(open('/proc/self/statm').read().split()[0])\n"
                "def start(): os.waitpid(os.posix_spawn('/bin/true', ['true'], env), 0)\n"
                "start(); before = size()\nfor n in range(50): start()\nprint(size() - before < 100)\n")
        self.assertEqual(self.assert_ran("-c", code).out, b"True\n")

    def test_embedded_interpreter(self):
        """An application that ends without a main program, the interpreter's memory being checked: not harmed."""
        source = ("#include <dlfcn.h>\n#include <stdio.h>\nint main(int n, char **v){\n"
                  "void (*init)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, \"Py_Initialize\");\n"
                  "int (*end)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, \"Py_FinalizeEx\");\n"
                  "init(); printf(\"%d\\n\", end()); return 0;}\n")
        self.write("host.c", source)
        for python in support.PYTHONS:
            query = ("import sys, sysconfig as s; "
                     "print(sys.base_prefix, s.get_config_var('LIBDIR'), s.get_config_var('LDLIBRARY'))")
            home, folder, name = support.run([python, "-c", query]).out.decode().split()
            library = os.path.join(folder, name)
            if not name.endswith(".so") or not os.path.exists(library) or shutil.which("gcc") is None:
                continue
            built = support.run(["gcc", "-o", self.path("host"), self.path("host.c"), "-Wl,--no-as-needed", library,
                                 "-Wl,-rpath," + folder, "-ldl"])
            self.assertEqual(built.status, 0, built)
            env = support.environment(PYTHONMALLOC="debug", PYTHONHOME=home)
            for more in ({}, {"PYTHONMALLOC": "malloc"}):
                env.update(more)
                code = "import subprocess; print(subprocess.run(['./host'], stdout=-1, stderr=-1))"
                result = self.assert_ran("-c", code, python=python, env=dict(env))
                self.assertIn(b"returncode=0, stdout=b'0\\n', stderr=b'')", result.out)


class Shell:
    """An interactive shell on a terminal of its own; what is typed there is completed by it."""

    def __init__(self, command, folder, setup):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            env = support.environment(PS1="$ ", TERM="dumb", HISTFILE="", COLUMNS="500")
            os.execvpe(command[0], command, env)
        self.enter(setup)
        self.enter("echo re''ady")
        self.read_until("ready")

    def enter(self, line):
        os.write(self.terminal, line.encode() + b"\r")

    def wait_for_program(self):
        """Until it has the terminal: what is typed before, the shell would read, or leave there in a form of its own."""
        end = time.monotonic() + PATIENCE
        while os.tcgetpgrp(self.terminal) == self.pid and time.monotonic() < end:
            time.sleep(0.02)

    def read_until(self, word):
        text = ""
        end = time.monotonic() + PATIENCE
        while word not in text and time.monotonic() < end:
            if select.select([self.terminal], [], [], 0.1)[0]:
                text += os.read(self.terminal, 65536).decode("utf-8", "replace")
        return text

    def complete(self, line):
        """The line after a tab, as the shell would run it: given to `show` instead of pyrec."""
        os.write(self.terminal, line.encode() + b"\t")
        time.sleep(0.3)
        os.write(self.terminal, b" EOL\r")
        text = self.read_until("|EOL")
        shown = [part for part in text.replace("\r", "").splitlines() if part.startswith("SHOWN")]
        return shown[-1].split("|")[1:-1] if shown else text

    def close(self):
        os.close(self.terminal)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Completion(Command):
    """Tried for real, in each shell on a terminal."""

    SETUP = {
        "bash": (["bash", "--norc", "--noprofile", "-i"], "bind 'set enable-bracketed-paste off'; . %s/pyrec.bash"),
        "zsh": (["zsh", "-f", "-i"], "unsetopt zle_bracketed_paste; unset zle_bracketed_paste; PS1='$ '; fpath=(%s $fpath);"
                " autoload -U compinit; compinit -u -D; bindkey '^I' expand-or-complete"),
    }

    def complete(self, name, lines):
        if shutil.which(name) is None:
            self.skipTest("no " + name)
        command, setup = self.SETUP[name]
        shell = Shell(command, self.folder, "pyrec() { printf 'SHOWN'; printf '|%s' \"$@\"; echo; }; " + setup % (
            os.path.join(support.ROOT, "completion")))
        self.addCleanup(shell.close)
        for line, expected in lines:
            with self.subTest(shell=name, line=line):
                words = shell.complete("pyrec " + line)
                self.assertEqual([word.rstrip("/") for word in words], expected.split())  # zsh takes it back

    LINES = (
        ("ru", "run"),
        ("--exclude-s", "--exclude-syspath"),
        ("run --no-so", "run --no-source"),
        ("ap", "app.py"),
        ("run -q ap", "run -q app.py"),
        ("run --then ann", "run --then annotate"),
        ("run --then=flam", "run --then=flamegraph"),
        ("run -o fol", "run -o folder"),
        ("run app.py --no-so", "run app.py --no-so"),
        ("run app.py not", "run app.py notes.txt"),
        ("run -X de", "run -X dev"),
        ("-m json.tool not", "-m json.tool notes.txt"),
        ("-m stringp", "-m stringprep"),
        ("ppro", "pprofile"),
        ("pprofile --exclude-s", "pprofile --exclude-syspath"),
        ("cprofile --outf", "cprofile --outfile"),
        ("cprofile ap", "cprofile app.py"),
        ("kernprof --sum", "kernprof --summarize"),
        ("kernprof -l ap", "kernprof -l app.py"),
    )

    def setUp(self):
        super().setUp()
        for name in ("app.py", "notes.txt", "folder/inner.py"):
            self.write(name, "")

    def test_bash(self):
        self.complete("bash", self.LINES)

    def test_zsh(self):
        self.complete("zsh", self.LINES)


if __name__ == "__main__":
    unittest.main()
