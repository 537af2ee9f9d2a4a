"""How much slower do programs run while they are recorded? Ours beside the floor and beside other profilers.

    python3 tests/bench/bench.py [--build DIR] [--python PATH] [--rounds N] [--tools a,b] [--programs a,b]

Rounds are interleaved (every tool once, then again), so that a slow minute of the machine hits all; each figure is
the median of the rounds, divided by the median of the plain runs. `floor` is a hook that does nothing at all.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ("fib", "loop", "nested", "objects", "strings")
SLOW = ("pprofile",)


def arguments():
    parser = argparse.ArgumentParser(description="Measure the slowdown of recording.")
    parser.add_argument("--build", default=os.path.join(os.path.dirname(os.path.dirname(HERE)), "build"))
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=int, default=50)
    parser.add_argument("--tools", default="floor,pyrec,cprofile,pprofile,line_profiler,viztracer,coverage")
    parser.add_argument("--programs", default=",".join(PROGRAMS))
    return parser.parse_args()


def build_floor(python, folder):
    query = "import sysconfig; print(sysconfig.get_path('include'))"
    include = subprocess.run([python, "-c", query], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    suffix = sysconfig.get_config_var("SHLIB_SUFFIX") or ".so"
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", "-I" + include, os.path.join(HERE, "floor.c"),
         "-o", os.path.join(folder, "floor" + suffix)], check=True)


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.trace = os.path.join(folder, "trace.bin")
        self.env = dict(os.environ, PYTHONPATH=folder, PYTHONHASHSEED="0")
        self.env.pop("PYTHONSTARTUP", None)
        python, nowhere = options.python, os.path.join(folder, "out")
        self.commands = {
            "plain": [python],
            "floor": [python, "-c", "import sys, runpy; sys.argv[:1] = []\nimport floor\n"
                      "runpy.run_path(sys.argv[0], run_name='__main__')"],
            "pyrec": [os.path.join(options.build, "pyrec"), "run", "-q", "-o", self.trace, "--python", python],
            "cprofile": [python, "-m", "cProfile", "-o", nowhere],
            "pprofile": [python, "-m", "pprofile", "--out", nowhere],
            "line_profiler": [python, "-m", "kernprof", "-q", "-l", "--prof-mod", os.path.join(HERE, "programs.py")],
            "viztracer": [python, "-m", "viztracer", "--quiet", "-o", nowhere + ".json"],
            "coverage": [python, "-m", "coverage", "run", "--data-file", nowhere],
        }

    def usable(self, tool):
        modules = {"cprofile": "cProfile", "line_profiler": "kernprof"}
        if tool in ("plain", "floor", "pyrec"):
            return True
        command = [self.options.python, "-c", "import " + modules.get(tool, tool)]
        return subprocess.run(command, stderr=subprocess.DEVNULL, env=self.env, check=False).returncode == 0

    def measure(self, tool, program):
        if os.path.exists(self.trace):
            os.remove(self.trace)
        command = self.commands[tool] + [os.path.join(HERE, "programs.py"), program, str(self.options.scale)]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env, check=False)
        if result.returncode != 0:
            sys.exit("%s failed:\n%s" % (" ".join(command), result.stderr.decode()))
        return float(result.stdout.split()[0])

    def events(self):
        """(events, bytes) of the last trace."""
        result = subprocess.run(
            [os.path.join(self.options.build, "pyanalyze"), self.trace, "--sql", "SELECT events, bytes FROM runs"],
            stdout=subprocess.PIPE, check=True)
        return tuple(map(int, result.stdout.split()[-2:]))


def main():
    options = arguments()
    programs = options.programs.split(",")
    folder = tempfile.mkdtemp(prefix="pyrec-bench-")
    try:
        build_floor(options.python, folder)
        bench = Bench(options, folder)
        tools = ["plain"] + [tool for tool in options.tools.split(",") if bench.usable(tool)]
        times = {(tool, program): [] for tool in tools for program in programs}
        sizes = {}
        for turn in range(options.rounds):
            for program in programs:
                for tool in tools:
                    if tool in SLOW and turn > 0:
                        continue
                    times[tool, program].append(bench.measure(tool, program))
                    if tool == "pyrec" and program not in sizes:
                        sizes[program] = bench.events()
        show(options, programs, tools, times, sizes)
    finally:
        shutil.rmtree(folder)


def show(options, programs, tools, times, sizes):
    version = subprocess.run([options.python, "-V"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    print("%s, median of %d rounds, times untraced (lower is better)" % (version, options.rounds))
    print("%-16s" % "" + "".join("%9s" % program for program in programs))
    median = {key: statistics.median(values) for key, values in times.items()}
    for tool in tools[1:]:
        print("%-16s" % tool + "".join("%9.2f" % (median[tool, p] / median["plain", p]) for p in programs))
    if sizes:
        print("%-16s" % "pyrec ns/event" + "".join(
            "%9.1f" % ((median["pyrec", p] - median["plain", p]) * 1e9 / sizes[p][0]) for p in programs))
        print("%-16s" % "floor ns/event" + "".join(
            "%9.1f" % ((median["floor", p] - median["plain", p]) * 1e9 / sizes[p][0]) for p in programs)
            if "floor" in tools else "")
        print("%-16s" % "bytes/event" + "".join("%9.2f" % (sizes[p][1] / sizes[p][0]) for p in programs))
    print("%-16s" % "plain, ms" + "".join("%9.1f" % (1000 * median["plain", p]) for p in programs))


if __name__ == "__main__":
    main()
