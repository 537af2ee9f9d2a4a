"""Which sampler costs least, and which is nearest to the truth? Ours, py-spy and pyinstrument, side by side.

The truth is programs/known.py's own: it measures each of its lines in the very run that is sampled. A second truth, of a
run that nobody sampled: how often each line ran, as pyrec counts it exactly, times what it takes.
"""
import collections
import json
import math
import os
import statistics

import paired
import run

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
KNOWN, BUSY = (os.path.join(PROGRAMS, name) for name in ("known.py", "busy.py"))
REST = ("work", 0)      # all that is done in work() and is none of the lines


# --- What it costs ---

def pieces(cost):
    """(CPU time, wall time) of the work of busy.py."""
    lines = [line.split() for line in cost.output.splitlines() if line[:1].isdigit()]
    rows = [tuple(map(float, words)) for words in lines if len(words) == 2]
    return tuple(map(sum, zip(*rows)))


def elsewhere(long, short):
    """The processor time that is none of the work's, for a second of work, from two runs: starting costs both the same."""
    return (long[2] - long[0] - short[2] + short[0]) / (long[0] - short[0])


def measure_costs(samplers, rate, rounds, loops):
    """{name: {slowdown, wall, sampler}}: the program's own processor time and time on the wall, over those without a sampler,
    in pairs; and what is used elsewhere, for a second of the program's processor time."""
    names = [None] + samplers.names()
    runs = {(name, size): [] for name in names for size in (1, 4)}
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            run.note("round %d of %d: %d Hz, %s" % (turn + 1, rounds, rate, name))
            for size in (1, 4):
                cost = samplers.run(name, rate, [BUSY, "8", str(loops * size // 4)])
                runs[name, size].append((*pieces(cost), cost.cpu))
    run.note("")
    result = {}
    for name in names[1:]:
        pairs = list(zip(runs[None, 4], runs[name, 4]))
        result[name] = {what: paired.relative([(a[i], b[i]) for a, b in pairs])._asdict()
                        for i, what in ((0, "slowdown"), (1, "wall"))}
        result[name]["sampler"] = paired.interval(
            [elsewhere(b, a) for a, b in zip(runs[name, 1], runs[name, 4])])._asdict()
    return result


# --- How true it is ---

def truth_of(cost):
    """{(function, line): (wall, cpu, count)} as the program says."""
    text = next(line for line in cost.output.splitlines() if line.startswith('{"lines"'))
    return {(key.split(":")[0], int(key.split(":")[1])): tuple(value) for key, value in json.loads(text)["lines"].items()}


def line_shares(stacks, lines):
    """{(function, line): share} of what lies below work(). What is called from one of the lines is theirs."""
    shares = collections.Counter()
    for stack, weight in stacks.items():
        if any(function == "work" for function, line in stack):
            shares[next((frame for frame in stack if frame in lines), REST)] += weight
    total = sum(shares[line] for line in lines) or 1
    return {line: shares[line] / total for line in lines}


def function_shares(shares):
    functions = collections.Counter()
    for (function, line), share in shares.items():
        functions[function] += share
    return dict(functions)


def ratio(stacks):
    """The part of seldom() in it and often(): a quarter."""
    weights = collections.Counter()
    for stack, weight in stacks.items():
        weights.update({function: weight for function, line in stack[-1:] if function in ("often", "seldom")})
    return weights["seldom"] / (sum(weights.values()) or 1)


def distance(shares, truth, samples):
    """How far shares are from the truth: most and mean, in percentage points and in standard errors of so many samples."""
    apart = {key: abs(shares.get(key, 0) - truth[key]) for key in truth}
    errors = {key: math.sqrt(max(truth[key] * (1 - truth[key]), 1e-9) / max(samples, 1)) for key in truth}
    return {"most": 100 * max(apart.values()), "mean": 100 * statistics.mean(apart.values()),
            "most_errors": max(apart[key] / errors[key] for key in truth),
            "mean_errors": statistics.mean(apart[key] / errors[key] for key in truth)}


def summed(truths, column):
    """The shares of the lines in several runs."""
    total = collections.Counter()
    for truth in truths:
        total.update({line: values[column] for line, values in truth.items()})
    everything = sum(total.values())
    return {line: value / everything for line, value in total.items()}


def measure_nearness(samplers, rate, rounds, steps):
    """{name: {lines, functions: distance; ratio, samples, due, problems, shares}, truth}, over all rounds together."""
    result = {}
    for name in samplers.names():
        stacks, truths, samples, problems = collections.Counter(), [], 0, []
        for turn in range(rounds):
            run.note("round %d of %d: %d Hz, %s" % (turn + 1, rounds, rate, name))
            cost = samplers.run(name, rate, [KNOWN, str(steps), str(turn)])
            found = samplers.read(name, cost)
            truths.append(truth_of(cost))
            stacks.update(found.stacks)
            samples += found.samples
            problems.append(found.problems)
        truth = summed(truths, 0)
        shares = line_shares(stacks, truth)
        known = sum(value[0] for one in truths for value in one.values())
        result[name] = {"lines": distance(shares, truth, samples),
                        "functions": distance(function_shares(shares), function_shares(truth), samples),
                        "ratio": ratio(stacks), "samples": samples, "seconds": known, "problems": problems,
                        "shares": {"%s:%d" % line: (share, truth[line]) for line, share in shares.items()}}
    run.note("")
    return result


def count_exactly(samplers, steps, seed):
    """({line: hits as pyrec counts them}, {line: times the program says that it ran}) of one run of known.py."""
    trace, database = samplers.path("exact", ".bin"), [os.path.join(samplers.build, "pyanalyze")]
    cost = run.run([os.path.join(samplers.build, "pyrec"), "run", "-q", "--force", "--python", samplers.python, "-o", trace,
                    KNOWN, str(steps), str(seed)], samplers.environment, keep=True)
    said = truth_of(cost)
    rows = run.run(database + [trace, "--sql", "SELECT function, calls FROM (SELECT name AS function, calls FROM functions "
                               "WHERE file LIKE '%known.py')"], samplers.environment, keep=True).output
    calls = dict((line.split("\t")[0], int(line.split("\t")[1])) for line in rows.splitlines()[1:])
    return {line: calls[line[0]] for line in said}, {line: values[2] for line, values in said.items()}
