"""The sampling profilers beside each other: how each runs a program, and what it says of it in the end.

A result is {stack: weight}, a stack the lines of its frames, outermost first, each (function, line). Weights are times
or counts, whatever the profiler has.
"""
import collections
import json
import os
import re
import subprocess

import run

Result = collections.namedtuple("Result", "stacks samples problems")
FRAME = re.compile(r"(.*) \((.*):(\d+)\)$")
NAMES = ("pyrec", "py-spy", "py-spy nonblocking", "pyinstrument")


def read_folded(path):
    """Stacks as pyrec and py-spy write them: `name (file:line);... weight`."""
    stacks = collections.Counter()
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            stack, weight = line.rstrip("\n").rsplit(" ", 1)
            frames = [FRAME.match(frame) for frame in stack.split(";")]
            stacks[tuple((frame.group(1), int(frame.group(3))) for frame in frames if frame)] += int(weight)
    return stacks


def read_session(path):
    """pyinstrument's session. What it shows as a frame of a built-in function belongs to the line that calls it."""
    with open(path, encoding="utf-8") as file:
        session = json.load(file)
    session = session.get("session", session)
    stacks = collections.Counter()
    for frames, weight in session["frame_records"]:
        stack = []
        for frame in frames:
            names, *attributes = frame.split("\x01")
            name, file, first = names.split("\x00")
            lines = [int(text[1:]) for text in attributes if text.startswith("l")]
            if not file.startswith("<") and not name.startswith("["):
                stack.append((name, lines[0] if lines else int(first)))
        stacks[tuple(stack)] += weight
    return stacks, session["sample_count"]


class Samplers:
    """Those that are there for one interpreter; `folder` takes what they write."""

    def __init__(self, build, python, folder):
        self.build, self.python, self.folder = build, python, folder
        venv = os.path.join(build, "bench", "venv-" + run.version(python), "bin")
        self.py_spy, self.peer = os.path.join(venv, "py-spy"), os.path.join(venv, "python")
        self.environment = dict(os.environ, PYTHONHASHSEED="0")
        self.versions = dict(line.split() for line in self.ask_versions())

    def ask_versions(self):
        """Lines `name version`."""
        if not os.path.exists(self.peer):
            return []
        code = "import importlib.metadata as m\nfor d in m.distributions(): print(d.metadata['Name'], d.version)"
        text = subprocess.run([self.peer, "-c", code], stdout=subprocess.PIPE, check=True).stdout.decode()
        return [line for line in text.splitlines() if line.split()[0] in ("py-spy", "pyinstrument")]

    def names(self):
        return [name for name in NAMES if name == "pyrec" or name.split()[0] in self.versions]

    def path(self, name, suffix):
        return os.path.join(self.folder, name.replace(" ", "-") + suffix)

    def command(self, name, rate, script):
        """The command that samples `script`, a list beginning with a path, so often a second."""
        if name is None:
            return [self.python] + script
        if name == "pyrec":
            return [os.path.join(self.build, "pyrec"), "run", "-q", "--force", "--python", self.python, "--sample",
                    "%dHz" % rate, "-o", self.path(name, ".bin")] + script
        if name == "pyinstrument":
            return [self.peer, "-m", "pyinstrument", "-i", repr(1 / rate), "-o", self.path(name, ".pyisession")] + script
        return [self.py_spy, "record", "-r", str(rate), "-f", "raw", "-o", self.path(name, ".raw")] + \
            (["--nonblocking"] if "nonblocking" in name else []) + ["--", self.python] + script

    def run(self, name, rate, script):
        """run.Cost of the program under the sampler; None: of the program alone."""
        return run.run(self.command(name, rate, script), self.environment, keep=True)

    def read(self, name, cost):
        """The Result of the run that cost this."""
        if name == "pyrec":
            return self.read_pyrec()
        if name == "pyinstrument":
            stacks, samples = read_session(self.path(name, ".pyisession"))
            return Result(stacks, samples, "")
        said = re.search(r"Samples: (\d+) Errors: (\d+)", cost.output)
        behind = re.findall(r"([\d.]+)s behind", cost.output)
        problems = "%s errors%s" % (said.group(2), ", up to %s s behind" % max(behind, key=float) if behind else "")
        return Result(read_folded(self.path(name, ".raw")), int(said.group(1)), problems)

    def read_pyrec(self):
        folded, trace = self.path("pyrec", ".folded"), self.path("pyrec", ".bin")
        analyze = [os.path.join(self.build, "pyanalyze"), trace]
        run.run(analyze + ["--force", "--lines", "--format", "folded=" + folded], self.environment)
        rows = run.run(analyze + ["--sql", "SELECT rounds, late, samples, missed FROM samplers"], self.environment, True)
        rounds, late, samples, missed = map(int, rows.output.split()[-4:])
        return Result(read_folded(folded), samples, "%.1f %% late, %d missed" % (100 * late / rounds, missed))
