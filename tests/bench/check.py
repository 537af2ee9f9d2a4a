"""Instructions an event, recorded and analyzed, beside those of tests/bench/baseline.json.

    python3 tests/bench/check.py --build DIR [--pythons "PATH..."] [--update] [--functions N]

Counted by valgrind, so the same on a busy machine as on a quiet one. Each program runs at two sizes; the difference,
divided by the difference in events, is free of what starting costs. DIR holds a build with -DPYREC_COUNTING_CLOCK,
in which every reading of the clock is 40 ns after the one before: in real time nearly every event under valgrind would
be too late for the short forms. `recorder` counts pyrec's own instructions, `hook` with CPython's on the way there
(less the same program's without a hook), `floor` those for an empty hook.

Exit status 1: a figure is more than 2 % above its baseline. Figures of other versions of Python or of the compiler
are not compared.
"""
import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import recording
import run
import tools as tool_table

HERE = os.path.dirname(os.path.abspath(__file__))
BASELINE = os.path.join(HERE, "baseline.json")
PROGRAMS = {"recursion": (0.004, 0.02), "lines": (0.004, 0.02), "objects": (0.01, 0.03), "generators": (0.0143, 0.0286),
            "exceptions": (0.01, 0.03)}
MOVED = 0.02


def arguments():
    parser = argparse.ArgumentParser(description="Compare instruction counts with the baseline.")
    parser.add_argument("--build", required=True)
    parser.add_argument("--pythons", default=sys.executable)
    parser.add_argument("--update", action="store_true", help="make these counts the baseline")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="name the N functions that cost most")
    return parser.parse_args()


def read_callgrind(path):
    """{(object, function): instructions} without those of what they call."""
    counts, names = collections.Counter(), {}
    place = {"ob": "", "fn": ""}
    after_call = False
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = re.match(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?", line)
            if match:
                kind, number = match.group(2), match.group(3)
                if match.group(4):
                    names[kind, number] = match.group(4).rstrip()
                if not match.group(1):
                    place[kind] = names[kind, number]
            elif line.startswith("calls="):
                after_call = True
            elif line[:1] in "+-*0123456789":
                if not after_call:
                    counts[place["ob"], place["fn"]] += int(line.split()[1])
                after_call = False
    return counts


class Counter:
    def __init__(self, build, folder):
        self.build, self.folder = build, folder

    def count(self, command, env):
        """Instructions by (object, function) of the process that the command becomes."""
        out = os.path.join(self.folder, "callgrind.out")
        for name in os.listdir(self.folder):
            if name.startswith("callgrind.out"):
                os.remove(os.path.join(self.folder, name))
        run.run(["valgrind", "-q", "--tool=callgrind", "--trace-children=yes", "--callgrind-out-file=" + out] + command, env)
        return read_callgrind(out)

    def recorded(self, tools, program):
        """{"recorder", "hook", "floor"}: instructions an event; and those by function."""
        counts = {tool: [] for tool in ("plain", "floor", "pyrec")}
        events = []
        for scale in PROGRAMS[program]:
            script = [os.path.join(HERE, "workloads", program + ".py"), str(scale)]
            for tool, found in counts.items():
                run.note("%s, %s %s" % (tools.version, tool, program))
                found.append(self.count(tools.command(tool, program, script), tools.env))
            events.append(recording.trace_size(tools.trace("pyrec", program))[0])
        more = {tool: found[1] - found[0] for tool, found in counts.items()}
        span = events[1] - events[0]
        ours = collections.Counter({key: n for key, n in more["pyrec"].items() if key[0].endswith("/pyrec.so")})
        total = {tool: sum(found[1].values()) - sum(found[0].values()) for tool, found in counts.items()}
        by_function = collections.Counter({key: (more["pyrec"][key] - more["plain"][key]) / span for key in more["pyrec"]})
        return {"recorder": sum(ours.values()) / span, "hook": (total["pyrec"] - total["plain"]) / span,
                "floor": (total["floor"] - total["plain"]) / span}, by_function

    def analyzed(self, tools, program):
        """Instructions an event of the analyzer, from traces of two sizes."""
        script = os.path.join(HERE, "workloads", program + ".py")
        counts, events = [], []
        for scale in (0.02, 0.1):
            trace = tools.trace("pyrec", program)
            run.run(tools.recorder("pyrec", program) + [script, str(scale)], tools.env)
            run.note("analyzing " + program)
            events.append(recording.trace_size(trace)[0])
            counts.append(self.count([os.path.join(self.build, "pyanalyze"), trace, "--force", "--db",
                                      os.path.join(self.folder, "check.db")], tools.env))
        by_function = collections.Counter(
            {key: (n - counts[0][key]) / (events[1] - events[0]) for key, n in counts[1].items()})
        return {"analyzer": sum(by_function.values())}, by_function


def show_functions(program, by_function, most):
    for (place, function), count in by_function.most_common(most):
        print("    %-12s %9.2f  %s (%s)" % (program, count, function, os.path.basename(place)))


def measure(options, python, folder):
    """{"recursion recorder": instructions an event, ...}"""
    tools = tool_table.Tools(os.path.abspath(options.build), python, folder, folder)
    counter = Counter(tools.build, folder)
    figures = {}
    for program in PROGRAMS:
        for of in (counter.recorded, counter.analyzed):
            found, by_function = of(tools, program)
            figures.update({"%s %s" % (program, name): round(value, 2) for name, value in found.items()})
            show_functions(program, by_function, options.functions)
    run.note("")
    return figures


def key_of(python):
    compiler = subprocess.run(["cc", "-dumpfullversion"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    return "CPython %s, %s %s" % (run.version(python), os.uname().machine, "cc " + compiler)


def compare(key, figures, baseline):
    """Prints the figures beside the baseline's; returns how many are worse."""
    worse = 0
    print("%s: instructions an event%s" % (key, "" if baseline else " (no baseline)"))
    for name, value in figures.items():
        before = baseline.get(name)
        moved = value / before - 1 if before else 0.0
        is_worse = moved > MOVED and not name.endswith("floor")
        worse += is_worse
        print("  %-24s %8.2f" % (name, value) + ("  was %8.2f  %+6.1f %%%s" % (
            before, 100 * moved, "  worse" if is_worse else "") if before else ""))
    return worse


def main():
    options = arguments()
    if not shutil.which("valgrind"):
        sys.exit("bench-check: valgrind is not installed")
    with open(BASELINE, encoding="utf-8") as file:
        baseline = json.load(file)
    folder = tempfile.mkdtemp(prefix="pyrec-count-")
    worse = 0
    try:
        for python in options.pythons.split():
            key = key_of(python)
            figures = measure(options, python, folder)
            worse += compare(key, figures, baseline.get(key, {}))
            if options.update:
                baseline[key] = figures
    finally:
        shutil.rmtree(folder)
    if options.update:
        with open(BASELINE, "w", encoding="utf-8") as file:
            json.dump(baseline, file, indent=1, sort_keys=True)
            file.write("\n")
    return 1 if worse and not options.update else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except run.Failed as failure:
        sys.exit(str(failure))
