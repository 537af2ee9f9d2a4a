"""The tools under measurement: how each runs a script, and whether it is there."""
import os
import subprocess

import run

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = {"cprofile": "cProfile", "line_profiler": "kernprof"}
PEERS = ("cprofile", "pprofile", "line_profiler", "coverage", "yappi", "viztracer", "pyinstrument")
LINE_PEERS = ("pprofile", "line_profiler", "coverage")


def build_floor(python, folder):
    """The empty hook for one interpreter; returns its path."""
    include = run.query(python, "sysconfig.get_path('include')")
    path = os.path.join(folder, "floor-%s.so" % run.version(python))
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-I" + include, os.path.join(HERE, "floor.c"), "-o", path],
                   check=True)
    return path


class Tools:
    """What can be measured with one interpreter. Traces and reports go to `folder`, `memory` is a tmpfs."""

    def __init__(self, build, python, folder, memory):
        self.build, self.python, self.folder, self.memory = build, python, folder, memory
        self.version = run.version(python)
        self.monitoring = tuple(map(int, self.version.split(".")[:2])) >= (3, 12)
        self.floor = build_floor(python, folder)
        venv = os.path.join(build, "bench", "venv-" + self.version, "bin", "python")
        self.peer_python = venv if os.path.exists(venv) else python
        self.env = dict(os.environ, PYTHONHASHSEED="0", COVERAGE_CORE="ctrace")
        for name in ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONPROFILEIMPORTTIME"):
            self.env.pop(name, None)

    def trace(self, tool, workload):
        return os.path.join(self.memory if tool == "memory" else self.folder, "%s-%s.bin" % (tool, workload))

    def recorder(self, tool, workload, *options):
        return [os.path.join(self.build, "pyrec"), "run", "-q", "--force", "--python", self.python, *options,
                "-o", self.trace(tool, workload)]

    def command(self, tool, workload, script):
        """The command that runs `script`, a list beginning with a path."""
        peer, out = self.peer_python, os.path.join(self.folder, "peer.out")
        before = {
            "plain": lambda: [self.python],
            "floor": lambda: [self.python, os.path.join(HERE, "launch.py"), self.floor],
            "pyrec": lambda: self.recorder(tool, workload),
            "memory": lambda: self.recorder(tool, workload),
            "filtered": lambda: self.recorder(tool, workload, "--exclude", "*"),
            "cprofile": lambda: [self.python, "-m", "cProfile", "-o", out],
            "pprofile": lambda: [peer, "-m", "pprofile", "--out", out],
            "line_profiler": lambda: [peer, "-m", "kernprof", "-q", "-l", "-p", script[0], "-o", out],
            "viztracer": lambda: [peer, "-m", "viztracer", "--quiet", "-o", out + ".json"],
            "coverage": lambda: [peer, "-m", "coverage", "run", "--data-file", out],
            "yappi": lambda: [peer, "-m", "yappi", "-o", out],
            "pyinstrument": lambda: [peer, "-m", "pyinstrument", "-o", out],
        }
        return before[tool]() + script

    def is_usable(self, tool):
        if tool == "filtered":
            return self.monitoring
        if tool not in PEERS or tool == "cprofile":
            return True
        command = [self.peer_python, "-c", "import " + MODULES.get(tool, tool)]
        return subprocess.run(command, stderr=subprocess.DEVNULL, env=self.env, check=False).returncode == 0

    def peer_versions(self):
        code = ("import importlib.metadata as m\nfor n in %r:\n try: print(n, m.version(n))\n"
                " except m.PackageNotFoundError: pass" % (PEERS[1:],))
        text = subprocess.run([self.peer_python, "-c", code], stdout=subprocess.PIPE, check=True).stdout.decode()
        return dict(line.split() for line in text.splitlines())

    def measure(self, tool, workload, script):
        """CPU seconds of one run."""
        for path in (self.trace(tool, workload), self.trace(tool, workload) + ".old"):
            if tool in ("pyrec", "memory", "filtered") and os.path.exists(path):
                os.remove(path)
        cost = run.run(self.command(tool, workload, script), self.env).cpu
        if tool == "memory":
            os.remove(self.trace(tool, workload))
        return cost
