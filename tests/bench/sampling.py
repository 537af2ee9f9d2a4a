"""What samples cost, and how true they are.

    python3 tests/bench/sampling.py [--build DIR] [--pythons "PATH..."] [--parts a,b] [--rounds N] [--pairs N] [--quick]

Each figure beside its target, for each interpreter. Parts: cost, slowdown, ontime, shares, threads, size, peers. Costs are
CPU time. Of the slowdown each figure is a median over pairs, plain and sampled in turns, and between what the truth
lies 95 times in 100 (paired.py). Beside what is on time stands what a thread gets that only sleeps (sleeper.c), at the same time and with
the same wishes; and as the scheduler's first, if that is allowed: the difference is not the machine's but other programs'.
py-spy and pyinstrument take part where they are installed (`make bench-peers`): nearness.py. All figures go to
BUILD/bench/sampling.json, the README's table to BUILD/bench/sampling.md.
"""
import argparse
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile

import bench
import nearness
import paired
import run
import samplers
import sampling_table
import trace_bytes

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(ROOT, "tests", "bench")
PROGRAMS = os.path.join(HERE, "programs")
PARTS = ("cost", "slowdown", "ontime", "shares", "threads", "size", "peers")


class Bench:
    def __init__(self, options, python, folder):
        self.options, self.build, self.python = options, os.path.abspath(options.build), python
        self.folder, self.results = folder, {}
        self.trace, self.database = os.path.join(folder, "trace.bin"), os.path.join(folder, "profile.db")
        self.environment = dict(os.environ, PYTHONHASHSEED="0", PYTHONPATH=os.path.join(self.build, "python"))

    def plain(self, name, *arguments):
        return run.run([self.python, os.path.join(PROGRAMS, name), *arguments], self.environment, keep=True).output

    def sampled(self, period, name, *arguments, options=()):
        return run.run([os.path.join(self.build, "pyrec"), "run", "-q", "--force", "--python", self.python, "--sample", period,
                        *options, "-o", self.trace, os.path.join(PROGRAMS, name), *arguments], self.environment, keep=True).output

    def query(self, sql):
        subprocess.run([os.path.join(self.build, "pyanalyze"), self.trace, "--db", self.database], check=True)
        database = sqlite3.connect(self.database)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    @contextlib.contextmanager
    def sleeping(self, *hows):
        """Threads that only sleep, meanwhile; {how: (rounds, late, CPU ns a wake-up, median ns late, 99th percentile)}."""
        command = [os.path.join(self.folder, "sleeper"), "1000", str(self.options.seconds), "futex"]
        started = {how: subprocess.Popen(command + [how], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for how in hows}
        found = {}
        yield found
        for how, process in started.items():
            text, errors = process.communicate()
            if not errors:
                found[how] = list(map(int, text.split()))


def build_sleeper(folder):
    subprocess.run(["cc", "-O2", "-pthread", os.path.join(HERE, "sleeper.c"), "-o", os.path.join(folder, "sleeper")], check=True)


def cost(bench):
    """CPU time of the sampler over that of the program: one busy thread, 20 frames deep."""
    for period, target in (("100Hz", 0.2), ("1kHz", 1.5), ("10kHz", 15)):
        bench.sampled(period, "shares.py", str(bench.options.scale))
        own, samples, program = bench.query("SELECT sum(cpu_ns), sum(samples), (SELECT sum(self_cpu_ns) FROM accounts) "
                                            "FROM samplers")[0]
        yield "CPU time of the sampler, %s (%.1f us a sample)" % (period, own / 1e3 / samples), \
            "%.2f %%" % (100 * own / program), "<= %g %%" % target, 100 * own / program <= target


def times(output):
    """busy.py's pieces: [(CPU time, time on the wall)]."""
    return [tuple(map(float, line.split())) for line in output.splitlines()]


def in_one_process(bench, pairs, loops, sampled):
    """Pieces of work with and without, in turns, in one process: it has the same addresses, the same memory, the same heat."""
    arguments = ("busy.py", str(2 * pairs), str(loops))
    rows = times(bench.sampled("1kHz", *arguments, "pauses") if sampled else bench.plain(*arguments))
    pieces = {(second, pair): row for (second, pair), row in zip(paired.turns(pairs), rows)}
    return [(pieces[False, pair], pieces[True, pair]) for pair in range(pairs)]


def in_processes(bench, pairs, loops):
    """Whole processes in turns."""
    costs = {}
    for second, pair in paired.turns(pairs):
        run.note("pair %d of %d" % (pair + 1, pairs))
        arguments = ("busy.py", "4", str(loops * 2))
        rows = times(bench.sampled("1kHz", *arguments) if second else bench.plain(*arguments))
        costs[second, pair] = tuple(map(sum, zip(*rows)))
    run.note("")
    return [(costs[False, pair], costs[True, pair]) for pair in range(pairs)]


def slowdown(bench):
    pairs, loops = bench.options.pairs, bench.options.loops
    for what, found in (("control: pieces that nobody samples", in_one_process(bench, pairs, loops, False)),
                        ("pieces of one process, in turns", in_one_process(bench, pairs, loops, True)),
                        ("processes, in turns", in_processes(bench, pairs // 4, loops))):
        for column, clock in enumerate(("CPU", "wall")):
            figure = paired.relative([(a[column], b[column]) for a, b in found])
            bench.results["slowdown, %s, %s" % (what, clock)] = figure._asdict()
            judged = column == 0 and not what.startswith("control")
            yield "slowdown, %s time: %s (%d)" % (clock, what, figure.pairs), paired.percent(figure), \
                "<= 0.5 %" if judged else "", figure.median <= 0.005 or not judged


def share_on_time(rounds, late):
    return 100 * (rounds - late) / rounds


def on_time(bench):
    for kind, what in (("gil", "while a C call holds the GIL"), ("join", "while the main thread joins")):
        with bench.sleeping("slice", "fifo") as sleepers:
            bench.sampled("1kHz", "waiting.py", kind, str(bench.options.seconds))
        rounds, late, missed, samples, own = bench.query(
            "SELECT sum(rounds), sum(late), sum(missed), sum(samples), sum(cpu_ns) FROM samplers")[0]
        share = share_on_time(rounds, late)
        yield "on time at 1 kHz, " + what, "%.2f %%, %d of %d dropped" % (share, missed, samples), ">= 99 %", share >= 99
        bench.results["on time, " + kind] = {"pyrec": [rounds, late, own // max(samples, 1)], **sleepers}
        for how, (due, missing, cpu, middle, most) in sleepers.items():
            label = "  beside it, a bare sleeper" + (", SCHED_FIFO" if how == "fifo" else "")
            yield label, "%.2f %%, %.1f us of CPU each" % (share_on_time(due, missing), cpu / 1e3), "", True


def shares(bench):
    bench.sampled("1kHz", "shares.py", str(bench.options.scale))
    rows = dict((name, (ns, error)) for name, ns, error in bench.query(
        "SELECT name, self_cpu_ns, error_ns FROM functions WHERE name IN ('one', 'two', 'three', 'four')"))
    total = sum(ns for ns, error in rows.values())
    worst = max(abs(rows[name][0] - total * part / 10) / rows[name][1]
                for name, part in (("one", 1), ("two", 2), ("three", 3), ("four", 4)))
    yield "shares of 10, 20, 30, 40 %", " ".join("%.1f" % (100 * rows[name][0] / total)
                                                 for name in ("one", "two", "three", "four")) + \
        ": %.1f standard errors" % worst, "<= 3", worst <= 3


def threads(bench):
    seconds = str(bench.options.seconds)
    bench.sampled("1kHz", "waiting.py", "busy", seconds)
    cpu = [row[0] for row in bench.query("SELECT self_cpu_ns FROM accounts JOIN threads USING (thread_id) "
                                         "WHERE name = 'busy'")]
    share = 100 * min(cpu) / sum(cpu)
    yield "two busy threads: the lesser share", "%.0f %%" % share, "about 50 %", 30 <= share
    bench.sampled("1kHz", "waiting.py", "mixed", seconds)
    busy, sleeping = (bench.query("SELECT 100.0 * self_cpu_ns / wall_ns FROM accounts JOIN threads USING (thread_id) "
                                  "WHERE name = '%s'" % name)[0][0] for name in ("busy", "sleeping"))
    yield "a busy and a sleeping one: on a processor", "%.0f %%, %.1f %%" % (busy, sleeping), "sleeping 0 %", sleeping < 1
    bench.sampled("100Hz", "waiting.py", "idle", seconds)
    own, wall = bench.query("SELECT sum(cpu_ns), (SELECT max(duration_ns) FROM runs) FROM samplers")[0]
    yield "200 idle threads at 100 Hz, of a core", "%.2f %%" % (100 * own / wall), "<= 0.5 %", own / wall <= 0.005


def size(bench):
    """How fast the trace of a server under load grows, once it has begun: what the second half of a run adds."""
    seconds = 4 * bench.options.seconds
    for what, *words in (("with 1 thread", "1"), ("with 16 threads", "16"), ("with 100 threads", "100"),
                         ("with a thread a request", "4", "once")):
        sizes, requests = [], 0
        for factor in (1, 2):
            arguments = [words[0], str(factor * seconds)] + words[1:]
            requests = int(bench.sampled("1kHz", "server.py", *arguments, options=["--no-children"]))
            sizes.append(trace_bytes.used(bench.trace))
        hour = (sizes[1] - sizes[0]) * 3600 / seconds
        bench.results["bytes an hour, " + what] = hour
        yield "an hour at 1 kHz of a server " + what, "%.0f MB; %.0f requests a second" % (
            hour / 1e6, requests / seconds / 2), "<= 100 MB", hour <= 100e6


def least(figures, name, key):
    """Is pyrec's the least of these?"""
    return name != "pyrec" or all(key(figures["pyrec"]) <= key(figure) for figure in figures.values())


def peers(bench):
    """Ours beside the others, where they are installed. Processor time in all, of the program's: its own slowdown and what is
    used elsewhere; and how far the shares of lines and functions are from the truth."""
    tools = samplers.Samplers(bench.build, bench.python, bench.folder)
    steps, rounds = bench.options.steps, bench.options.rounds
    calls, truth = nearness.count_exactly(tools, steps, 1)
    yield "lines of known.py: pyrec counts what it says", "%d runs of %d lines" % (sum(truth.values()), len(truth)), "equal", \
        calls == truth
    bench.results["peers"] = {"versions": tools.versions}
    for rate in (100, 1000):
        costs = nearness.measure_costs(tools, rate, rounds, bench.options.loops * 4)
        near = nearness.measure_nearness(tools, rate, max(2, rounds // 2), steps)
        bench.results["peers"][str(rate)] = {name: {**costs[name], **near[name]} for name in costs}
        for name, figure in costs.items():
            yield "%4d Hz, %s: sampler's CPU; wall" % (rate, name), "%.2f %%; %s" % (
                100 * figure["sampler"]["median"], paired.percent(paired.Interval(**figure["wall"]))), "least", \
                least(costs, name, lambda figure: figure["sampler"]["median"] + max(figure["slowdown"]["median"], 0))
        for name, figure in near.items():
            yield "%4d Hz, %s: samples of those due" % (rate, name), "%.0f %%; %s" % (
                100 * figure["samples"] / figure["seconds"] / rate, figure["problems"][-1] or "nothing said"), "", True
            yield "%4d Hz, %s: lines off by (mean, most)" % (rate, name), "%.2f, %.2f points; %.1f standard errors" % (
                figure["lines"]["mean"], figure["lines"]["most"], figure["lines"]["most_errors"]), "nearest", \
                least(near, name, lambda figure: figure["lines"]["mean"])


FUNCTIONS = dict(zip(PARTS, (cost, slowdown, on_time, shares, threads, size, peers)))


def arguments():
    parser = argparse.ArgumentParser(description="Measure what samples cost, and how true they are.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--pythons", default=sys.executable)
    parser.add_argument("--parts", default=",".join(PARTS), help="of " + ", ".join(PARTS))
    parser.add_argument("--rounds", type=int, help="beside the peers: 10; with --quick 4")
    parser.add_argument("--pairs", type=int, help="of the slowdown: 400; with --quick 60")
    parser.add_argument("--scale", type=int, default=1500, help="1500: about two seconds")
    parser.add_argument("--seconds", type=int, default=5, help="of what waits")
    parser.add_argument("--quick", action="store_true", help="shorter runs, fewer rounds")
    options = parser.parse_args()
    options.rounds = options.rounds or (4 if options.quick else 10)
    options.pairs = options.pairs or (60 if options.quick else 400)
    options.loops = 5000            # some 20 ms
    options.steps = 150 if options.quick else 400
    return options


def save(options, report):
    folder = os.path.join(options.build, "bench")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "sampling.json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    with open(os.path.join(folder, "sampling.md"), "w", encoding="utf-8") as file:
        file.write(sampling_table.markdown(report))


def main():
    options = arguments()
    report = {"machine": bench.machine(), "versions": {}}
    with tempfile.TemporaryDirectory() as folder:
        build_sleeper(folder)
        for python in options.pythons.split():
            print("%s, load %.1f" % (python, os.getloadavg()[0]))
            test = Bench(options, python, folder)
            rows = []
            report["versions"][run.version(python)] = {"rows": rows, "figures": test.results}
            for part in options.parts.split(","):
                for what, figure, target, met in FUNCTIONS[part](test):
                    print("  %-52s %-40s %-12s %s" % (what, figure, target, "" if met else "no"), flush=True)
                    rows.append({"what": what, "figure": figure, "target": target, "met": met})
                    save(options, report)


if __name__ == "__main__":
    try:
        main()
    except run.Failed as failure:
        sys.exit(str(failure))
