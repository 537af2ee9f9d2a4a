"""What samples cost, and how true they are.

    python3 tests/bench/sampling.py [--build DIR] [--pythons "PATH..."] [--rounds N]

Each figure beside its target, for each interpreter. Costs are CPU time; the slowdown is the ratio of the program's own
CPU time in pairs of runs, plain and sampled in turns: the median, and between which two ratios it lies 95 times in 100.
On a machine that is busy with other things the figures of being on time mean little; they say so.
"""
import argparse
import math
import os
import sqlite3
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = os.path.join(ROOT, "tests", "bench", "programs")


class Bench:
    def __init__(self, build, python, folder):
        self.build, self.python = build, python
        self.trace = os.path.join(folder, "trace.bin")
        self.database = os.path.join(folder, "profile.db")

    def plain(self, name, *arguments):
        return subprocess.run([self.python, os.path.join(PROGRAMS, name), *arguments], check=True,
                              stdout=subprocess.PIPE).stdout

    def sampled(self, period, name, *arguments):
        return subprocess.run([os.path.join(self.build, "pyrec"), "run", "-q", "--force", "--python", self.python, "--sample",
                               period, "-o", self.trace, os.path.join(PROGRAMS, name), *arguments], check=True,
                              stdout=subprocess.PIPE).stdout

    def query(self, sql):
        subprocess.run([os.path.join(self.build, "pyanalyze"), self.trace, "--db", self.database], check=True)
        database = sqlite3.connect(self.database)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()


def cost(bench, scale):
    """CPU time of the sampler over that of the program: one busy thread, 20 frames deep."""
    for period, target in (("100Hz", 0.2), ("1kHz", 1.5), ("10kHz", 15)):
        bench.sampled(period, "shares.py", str(scale))
        own, samples, program = bench.query("SELECT sum(cpu_ns), sum(samples), (SELECT sum(self_cpu_ns) FROM accounts) "
                                            "FROM samplers")[0]
        yield "CPU time of the sampler, %s (%.1f us a sample)" % (period, own / 1e3 / samples), \
            "%.2f %%" % (100 * own / program), "<= %g %%" % target, 100 * own / program <= target


def slowdown(bench, scale, rounds):
    ratios = []
    for _ in range(rounds):
        plain = float(bench.plain("shares.py", str(scale)))
        ratios.append(float(bench.sampled("1kHz", "shares.py", str(scale))) / plain - 1)
    ratios.sort()
    middle, spread = rounds / 2, 0.98 * math.sqrt(rounds)
    low, high = ratios[max(0, int(middle - spread))], ratios[min(rounds - 1, math.ceil(middle + spread))]
    median = ratios[rounds // 2]
    yield "slowdown at 1 kHz, %d pairs" % rounds, "%+.2f %% (%+.2f to %+.2f)" % (100 * median, 100 * low, 100 * high), \
        "<= 0.5 %", median <= 0.005


def on_time(bench, seconds):
    for kind, what in (("gil", "while a C call holds the GIL"), ("join", "while the main thread joins")):
        bench.sampled("1kHz", "waiting.py", kind, str(seconds))
        rounds, late, missed, samples = bench.query(
            "SELECT sum(rounds), sum(late), sum(missed), sum(samples) FROM samplers")[0]
        share = 100 * (rounds - late) / rounds
        yield "samples on time at 1 kHz, " + what, "%.2f %%, %d of %d dropped" % (share, missed, samples), \
            ">= 99 %", share >= 99


def shares(bench, scale):
    bench.sampled("1kHz", "shares.py", str(scale))
    rows = dict((name, (ns, error)) for name, ns, error in bench.query(
        "SELECT name, self_cpu_ns, error_ns FROM functions WHERE name IN ('one', 'two', 'three', 'four')"))
    total = sum(ns for ns, error in rows.values())
    worst = max(abs(rows[name][0] - total * part / 10) / rows[name][1]
                for name, part in (("one", 1), ("two", 2), ("three", 3), ("four", 4)))
    yield "shares of 10, 20, 30, 40 %", " ".join("%.1f" % (100 * rows[name][0] / total)
                                                 for name in ("one", "two", "three", "four")) + \
        ": %.1f standard errors" % worst, "<= 3", worst <= 3


def threads(bench, seconds):
    bench.sampled("1kHz", "waiting.py", "busy", str(seconds))
    cpu = [row[0] for row in bench.query("SELECT self_cpu_ns FROM accounts JOIN threads USING (thread_id) "
                                         "WHERE name = 'busy'")]
    share = 100 * min(cpu) / sum(cpu)
    yield "two busy threads: the lesser share", "%.0f %%" % share, "about 50 %", 30 <= share
    bench.sampled("1kHz", "waiting.py", "mixed", str(seconds))
    busy, sleeping = (bench.query("SELECT 100.0 * self_cpu_ns / wall_ns FROM accounts JOIN threads USING (thread_id) "
                                  "WHERE name = '%s'" % name)[0][0] for name in ("busy", "sleeping"))
    yield "a busy and a sleeping one: on a processor", "%.0f %%, %.1f %%" % (busy, sleeping), "sleeping 0 %", sleeping < 1
    bench.sampled("100Hz", "waiting.py", "idle", str(seconds))
    own, wall = bench.query("SELECT sum(cpu_ns), (SELECT max(duration_ns) FROM runs) FROM samplers")[0]
    yield "200 idle threads at 100 Hz, of a core", "%.2f %%" % (100 * own / wall), "<= 0.5 %", own / wall <= 0.005


def rows(bench, options):
    yield from cost(bench, options.scale)
    yield from slowdown(bench, options.scale // 2, options.rounds)
    yield from on_time(bench, 2)
    yield from shares(bench, options.scale)
    yield from threads(bench, 2)


def main():
    parser = argparse.ArgumentParser(description="Measure what samples cost, and how true they are.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--pythons", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--scale", type=int, default=1500, help="1500: about two seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for python in options.pythons.split():
            print("%s, load %.1f" % (python, os.getloadavg()[0]))
            for what, figure, target, met in rows(Bench(options.build, python, folder), options):
                print("  %-52s %-34s %-12s %s" % (what, figure, target, "" if met else "no"), flush=True)


if __name__ == "__main__":
    main()
