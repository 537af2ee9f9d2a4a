"""What the tests of whole programs share: where things are, and how to run, record and read them.

tests/run.py sets PYREC_BUILD (the folder of products) and PYREC_PYTHONS (the interpreters to test with).
"""
import functools
import glob
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PYREC_BUILD", os.path.join(ROOT, "build"))
PYTHONS = os.environ.get("PYREC_PYTHONS", sys.executable).split()
LONG = os.environ.get("PYREC_LONG") == "1"     # `make torture`: everything, often
PYREC = os.path.join(BUILD, "pyrec")
PYANALYZE = os.path.join(BUILD, "pyanalyze")
SAMPLES = os.path.join(ROOT, "samples")
ORACLE = os.path.join(ROOT, "tests", "oracle")

sys.path.insert(0, ORACLE)


def ordinary_signals():
    """No signal ignored or blocked: what nohup, a shell's background or a CI's runner left so would reach every program."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:    # subprocess sees to these
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


CALLERS_OWN = ("COLUMNS", "FORCE_COLOR", "LANG", "LANGUAGE", "LESS", "LINES", "NO_COLOR", "PAGER", "VIRTUAL_ENV")


def ordinary_environment():
    """Nothing of the caller's terminal and language, also for commands that are run without environment()."""
    for name in CALLERS_OWN:
        os.environ.pop(name, None)
    os.environ.update(LC_ALL="C.UTF-8", TERM="xterm")


ordinary_signals()
ordinary_environment()


def share(things, python):
    """Of many things to try with each interpreter, the part that is this one's; all of them in the long run."""
    return things if LONG else things[PYTHONS.index(python)::len(PYTHONS)]


def figure(name, value, how="sum"):
    """A figure for the report of the long run: the sum, or the largest, of all of the same name."""
    if "PYREC_FIGURES" in os.environ:
        with open(os.environ["PYREC_FIGURES"], "a", encoding="utf-8") as file:
            file.write("%s\t%s\t%d\n" % (how, name, value))


class Result:
    """What a finished command left behind."""

    def __init__(self, command, finished):
        self.command = command
        self.status = finished.returncode
        self.out = finished.stdout
        self.err = finished.stderr

    def __repr__(self):
        return "%s\nstatus %d\nstdout %r\nstderr %r" % (
            " ".join(self.command), self.status, self.out[-2000:], self.err[-2000:])


def environment(**more):
    """A calm environment: nothing of the caller's Python either, no bytecode files, hashes the same each time."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYREC"))}
    env.update(PYTHONDONTWRITEBYTECODE="1", PYTHONHASHSEED="0")
    env.update(more)
    return env


HANGS = 1200     # seconds after which a command is taken to hang: no measure of anything, for machines may be slow


def run(command, timeout=HANGS, env=None, **options):
    options.setdefault("stdin" if "input" not in options else "input", options.pop("input", subprocess.DEVNULL))
    return Result(command, subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env or environment(), timeout=timeout,
        check=False, **options))


@functools.lru_cache(maxsize=None)
def version(python):
    """(3, 11, 2) of an interpreter."""
    return tuple(map(int, run([python, "-c", "import sys; print(*sys.version_info[:3])"]).out.split()))


def version_name(python):
    return "%d_%d_%d" % version(python)


@functools.lru_cache(maxsize=None)
def has_module(python, name):
    return run([python, "-c", "import " + name]).status == 0


@functools.lru_cache(maxsize=None)
def pprofile_path():
    """The folder to put on PYTHONPATH so that any interpreter finds pprofile, or None."""
    for folder in ["/usr/lib/python3/dist-packages"] + sys.path:
        if glob.glob(os.path.join(folder, "pprofile", "__init__.py")):
            return folder
    return None


class Recording:
    """One program, run plainly and recorded; made when first asked for."""

    def __init__(self, python, program, options=(), stdin=b"", warnings=b"", env=None):
        self.python = python
        self.program = list(program)
        self.options = list(options)
        self.stdin = stdin
        self.env = env
        self.warnings = warnings     # what pyanalyze's warnings must contain; empty: there must be none
        self.folder = tempfile.mkdtemp(prefix="pyrec-e2e-")
        self.trace = os.path.join(self.folder, "trace.bin")

    def close(self):
        if "database" in self.__dict__:
            self.database.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, command):
        work = os.path.join(self.folder, "cwd")
        shutil.rmtree(work, ignore_errors=True)
        os.mkdir(work)
        return run(command, cwd=work, input=self.stdin, env=self.env)

    @functools.cached_property
    def plain(self):
        return self.run([self.python] + self.program)

    @functools.cached_property
    def recorded(self):
        return self.run(
            [PYREC, "run", "--python", self.python, "-o", self.trace] + self.options + self.program)

    @functools.cached_property
    def database_path(self):
        """Analyzes the trace; a failure is an AssertionError with pyanalyze's own words."""
        recorded = self.recorded
        assert os.path.exists(self.trace), "no trace: %r" % recorded
        path = os.path.join(self.folder, "profile.db")
        result = run([PYANALYZE, self.trace, "--db", path])
        assert result.status == 0, result
        expected = self.warnings in result.err if self.warnings else result.err == b""
        assert expected, "pyanalyze warned, or did not: %r" % result
        return path

    @functools.cached_property
    def database(self):
        database = sqlite3.connect(self.database_path)
        database.text_factory = lambda data: data.decode("utf-8", "surrogatepass")
        return database

    def query(self, sql, *parameters):
        return self.database.execute(sql, parameters).fetchall()

    def value(self, sql, *parameters):
        return self.query(sql, *parameters)[0][0]

    def sql(self, query):
        """Rows as pyanalyze prints them: the only way to the events."""
        assert os.path.exists(self.database_path)
        result = run([PYANALYZE, self.trace, "--json", "--sql", query])
        assert result.status == 0, result
        return [tuple(row.values()) for row in json.loads(result.out)]

    def tsv(self, query):
        """The same as lines of bytes, for many rows."""
        assert os.path.exists(self.database_path)
        result = run([PYANALYZE, self.trace, "--sql", query])
        assert result.status == 0, result
        return result.out.split(b"\n")[1:-1]


def count(python, tool, program, folder):
    """Runs a program under a foreign recorder (tests/oracle/count.py); returns its rows, all processes' together."""
    out = os.path.join(folder, "count-" + tool)
    env = environment()
    if tool == "pprofile":
        env["PYTHONPATH"] = pprofile_path()
    result = run([python, os.path.join(ORACLE, "count.py"), tool, out] + program, env=env, cwd=folder)
    rows = []
    for path in glob.glob(out + ".*"):
        with open(path, encoding="utf-8", errors="surrogatepass") as file:
            rows += json.load(file)
        os.remove(path)
    assert rows, result
    return rows


def decimal(text):
    """Integers in a line as tools print them: with thousands' commas."""
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]
