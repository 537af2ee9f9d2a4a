"""What recording costs: time of the workloads under each tool, start-up, memory, bytes."""
import os
import struct

import run
import tools as tool_table

HERE = os.path.dirname(os.path.abspath(__file__))
CALL_HEAVY = ("recursion", "calls", "objects")
FEW = ("recursion", "lines", "objects", "strings")  # what the slow ones are measured with
MOST_ROUNDS = {"pprofile": 1, "line_profiler": 1, "coverage": 2, "yappi": 1, "viztracer": 1, "pyinstrument": 2}
STARTS = 30


def workload_names():
    return sorted(name[:-3] for name in os.listdir(os.path.join(HERE, "workloads")) if name.endswith(".py"))


def trace_size(path):
    """(events, bytes): the header counts the events in sealed chunks (TRACE.md section 2)."""
    with open(path, "rb") as trace:
        header = trace.read(160)
    return struct.unpack_from("<Q", header, 152)[0], os.path.getsize(path)


def measure(tools, workloads, names, scale, rounds):
    """{workload: {"plain": {...}, ..., "events", "bytes"}}, times in seconds."""
    usable = [name for name in names if tools.is_usable(name)]
    jobs = {}
    for workload in workloads:
        script = [os.path.join(HERE, "workloads", workload + ".py"), str(scale)]
        for tool in usable:
            if tool in MOST_ROUNDS and workload not in FEW:
                continue
            jobs[workload, tool] = (lambda t=tool, w=workload, s=script: tools.measure(t, w, s),
                                    MOST_ROUNDS.get(tool, rounds))
    costs = run.interleave(rounds, jobs)
    results = {workload: {} for workload in workloads}
    for (workload, tool), seconds in costs.items():
        results[workload][tool] = run.figure(seconds)
    for workload in workloads:
        results[workload]["events"], results[workload]["bytes"] = trace_size(tools.trace("pyrec", workload))
    return results


def overhead(result, tool, which=0):
    """Seconds more than plain; which: 0 by minima, 1 by medians. None: not measured."""
    if tool not in result or "plain" not in result:
        return None
    return result[tool][which] - result["plain"][which]


def ratio(result, tool, other, which=0, less=0.0):
    """Overhead over another's overhead, `less` seconds taken off first."""
    above, below = overhead(result, tool, which), overhead(result, other, which)
    return None if above is None or not below or below <= 0 else (above - less) / below


def start_up(tools):
    """Milliseconds that an empty program takes longer: wall and CPU, minimum and median."""
    command = {"plain": [tools.python, "-c", "pass"],
               "pyrec": tools.recorder("pyrec", "pass") + ["-c", "pass"]}
    costs = run.interleave(STARTS, {(tool,): (lambda c=c: run.run(c, tools.env), STARTS) for tool, c in command.items()})
    result = {}
    for kind in ("wall", "cpu"):
        figures = {tool: run.figure([getattr(cost, kind) for cost in costs[tool,]]) for tool in command}
        result[kind] = run.Figure(*(1000 * (figures["pyrec"][i] - figures["plain"][i]) for i in (0, 1)))
        result[kind + "_plain"] = 1000 * figures["plain"].low
    return result


def memory(tools, rounds=5):
    """KB that the recorded program has more: with its main thread only, for each idle, for each busy thread."""
    script = os.path.join(HERE, "programs", "memory.py")
    shapes = {"main": (0, 0), "idle": (0, 100), "busy": (8, 0)}
    jobs = {}
    for shape, numbers in shapes.items():
        for tool in ("plain", "pyrec"):
            command = tools.command(tool, "memory", [script] + list(map(str, numbers)))
            jobs[shape, tool] = (lambda c=command: int(run.run(c, tools.env, keep=True).output.split()[0]), rounds)
    peaks = {key: run.figure(values).middle for key, values in run.interleave(rounds, jobs).items()}
    more = {shape: peaks[shape, "pyrec"] - peaks[shape, "plain"] for shape in shapes}
    return {"main": more["main"], "idle": (more["idle"] - more["main"]) / 100, "busy": (more["busy"] - more["main"]) / 8,
            "plain": peaks["main", "plain"]}


def summary(results, starting):
    """The derived rows: {row: {"low", "middle", "worst", "at"}} over the workloads."""
    less = starting["cpu"].middle / 1000
    rows = {
        "floor": [("pyrec", "floor", 0.0, None)],
        "memory": [("memory", "floor", less, None)],
        "cprofile": [("pyrec", "cprofile", 0.0, CALL_HEAVY)],
    }
    for peer in tool_table.PEERS[1:]:
        rows[peer] = [("pyrec", peer, 0.0, None)]
    table = {}
    for row, [(tool, other, taken, only)] in rows.items():
        values = {w: ratio(r, tool, other, 0, taken) for w, r in results.items() if not only or w in only}
        values = {w: value for w, value in values.items() if value is not None}
        if values:
            worst = max(values, key=values.get)
            table[row] = {"low": run.geometric_mean(values.values()), "worst": values[worst], "at": worst,
                          "middle": run.geometric_mean(ratio(results[w], tool, other, 1, taken) for w in values)}
    filtered = {w: (r["filtered"].low - less) / r["plain"].low for w, r in results.items() if "filtered" in r}
    if filtered:
        worst = max(filtered, key=filtered.get)
        medians = ((r["filtered"].middle - less) / r["plain"].middle for w, r in results.items() if w != "exceptions")
        table["filtered"] = {"low": run.geometric_mean(v for w, v in filtered.items() if w != "exceptions"),
                             "middle": run.geometric_mean(medians), "worst": filtered[worst], "at": worst,
                             "exceptions": filtered.get("exceptions")}
    return table
