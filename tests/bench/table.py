"""The results as Markdown: the figures with their targets, then every workload."""
import recording
import run
import tools as tool_table


def number(value, form="%.2f"):
    return "–" if value is None else form % value


def columns(versions, pick, form):
    cells = []
    for result in versions.values():
        try:
            cells.append(form(pick(result)))
        except (KeyError, TypeError, ZeroDivisionError):
            cells.append("–")
    return cells


def spread(row):
    return "%.2f (%.2f); worst %.2f, %s" % (row["low"], row["middle"], row["worst"], row["at"])


def mean_events(result, pick):
    return run.geometric_mean(pick(w) for w in result["workloads"].values() if w["events"] > 0)


def ns_an_event(tool):
    def pick(result):
        return mean_events(result, lambda w: 1e9 * max(recording.overhead(w, tool), 0) / w["events"] or None)
    return pick


def filtered(row):
    return "%.3f (%.3f); exceptions %.2f; worst %.2f, %s" % (
        row["low"], row["middle"], row["exceptions"], row["worst"], row["at"])


def memory(row):
    return "%.2f MB + %.1f KB + %.0f KB" % (row["main"] / 1024, row["idle"], row["busy"])


def linearity(analysis):
    """The time of an analysis of nothing is taken off: it is the same for all."""
    fixed = analysis["fixed"]
    first, last = ((row[0], row[1] - fixed) for row in (analysis["sizes"][0], analysis["sizes"][-1]))
    return "%.1f %%: %.2f ns an event at %.0f M, %.2f at %.0f M, and %.1f ms" % (
        100 * (last[1] / last[0] / (first[1] / first[0]) - 1), 1e9 * first[1] / first[0], first[0] / 1e6,
        1e9 * last[1] / last[0], last[0] / 1e6, 1e3 * fixed)


def events_table(row):
    return "%.0f M/s (with columns read %.0f M/s); window %.1f %% (%.1f %%)" % (
        row["events"] / row["all"] / 1e6, row["events"] / row["columns"] / 1e6, 100 * row["window"] / row["all"],
        100 * row["columns_window"] / row["columns"])


# (figure, target, what to take of a version's results, how to show it)
FIGURES = [
    ("overhead of `pyrec run` over that of the empty hook", "3.12+ ≤ 1.15, 3.11 ≤ 1.3, none > 1.5",
     lambda r: r["summary"]["floor"], spread),
    ("the same into memory, without start-up", "3.12+ ≤ 1.0, 3.11 ≤ 1.15", lambda r: r["summary"]["memory"], spread),
    ("overhead over cProfile's, call-heavy", "≤ 1.0", lambda r: r["summary"]["cprofile"], spread),
    ("overhead over pprofile's", "≤ 0.1", lambda r: r["summary"]["pprofile"], spread),
    ("overhead over line_profiler's", "≤ 0.33", lambda r: r["summary"]["line_profiler"], spread),
    ("overhead over coverage's C tracer", "", lambda r: r["summary"]["coverage"], spread),
    ("overhead over yappi's", "", lambda r: r["summary"]["yappi"], spread),
    ("overhead over viztracer's", "", lambda r: r["summary"]["viztracer"], spread),
    ("everything filtered out: run time over untraced, without start-up", "≤ 1.03, exceptions ≤ 1.3",
     lambda r: r["summary"]["filtered"], filtered),
    ("bytes an event", "≤ 1.8", lambda r: mean_events(r, lambda w: w["bytes"] / w["events"]), number),
    ("ns an event: empty hook", "", ns_an_event("floor"), "%.1f".__mod__),
    ("ns an event: `pyrec run`", "", ns_an_event("pyrec"), "%.1f".__mod__),
    ("`pyrec run -c pass` over `python -c pass`, wall", "≤ 10 ms", lambda r: r["start"]["wall"].middle, "%.1f ms".__mod__),
    ("memory: program + idle thread + busy thread", "≤ 2 MB + 8 KB + 300 KB", lambda r: r["memory"], memory),
    ("analyzer, events a second on one core, workloads", "≥ 150 M",
     lambda r: run.geometric_mean(r["analysis"]["workloads"].values()) / 1e6, "%.0f M".__mod__),
    ("analyzer, events a second on one core, largest trace", "≥ 150 M",
     lambda r: r["analysis"]["sizes"][-1][0] / r["analysis"]["sizes"][-1][1] / 1e6, "%.0f M".__mod__),
    ("two threads on two cores, times as fast", "≥ 1.7",
     lambda r: r["analysis"]["threads"]["one"] / r["analysis"]["threads"]["two"], number),
    ("time from the smallest to the largest trace, off linear", "≤ 5 %", lambda r: r["analysis"], linearity),
    ("analyzer memory: largest trace; 10^5 contexts", "≤ 64 MB",
     lambda r: (r["analysis"]["sizes"][-1][2] / 1000, r["analysis"]["contexts"]["kb"] / 1000), "%.0f MB; %.0f MB".__mod__),
    ("analyzer, events a second, 10^5 contexts", "",
     lambda r: r["analysis"]["contexts"]["events"] / r["analysis"]["contexts"]["cpu"] / 1e6, "%.0f M".__mod__),
    ("callgrind; annotate, from the database", "≤ 1 s",
     lambda r: (r["analysis"]["reports"]["callgrind"], r["analysis"]["reports"]["annotate"]), "%.2f s; %.2f s".__mod__),
    ("`SELECT count(*) FROM events`; a window of 1 %", "≥ 30 M/s; ≤ 2 %", lambda r: r["analysis"]["events"], events_table),
]


def row(cells):
    return "| %s |" % " | ".join(cells)


def figures(versions):
    lines = [row(["figure", "target"] + ["CPython " + version for version in versions]),
             "|---|---|" + "---|" * len(versions)]
    for name, target, pick, form in FIGURES:
        cells = columns(versions, pick, form)
        if set(cells) != {"–"}:
            lines.append(row([name, target] + cells))
    return lines


def workloads(result):
    results = result["workloads"]
    shown = [tool for tool in ("floor", "pyrec", "memory", "filtered") + tool_table.PEERS
             if any(tool in w for w in results.values())]
    lines = [row(["", "plain, ms"] + shown + ["pyrec/floor", "memory/floor", "events, M", "bytes/event", "ns/event"]),
             "|---|" + "---:|" * (len(shown) + 6)]
    less = result["start"]["cpu"].middle / 1000
    for name, w in results.items():
        times = [number(w[tool].low / w["plain"].low if tool in w else None) for tool in shown]
        lines.append(row([name, "%.0f" % (1000 * w["plain"].low)] + times + [
            number(recording.ratio(w, "pyrec", "floor")), number(recording.ratio(w, "memory", "floor", 0, less)),
            "%.1f" % (w["events"] / 1e6), "%.2f" % (w["bytes"] / w["events"]) if w["events"] else "–",
            "%.1f" % (1e9 * recording.overhead(w, "pyrec") / w["events"]) if w["events"] else "–"]))
    return lines


# The tables of the README.

TITLES = {"calls": "calls", "recursion": "recursion", "lines": "lines", "nested": "nested loops", "objects": "objects",
          "strings": "strings", "generators": "generators", "exceptions": "exceptions", "threads": "8 threads",
          "imports": "imports", "json_tool": "json.tool", "unparse": "ast.unparse", "weblog": "weblog"}
SHOWN = (("floor", "floor %s"), ("pyrec", "pyrec"), ("cprofile", "cProfile"))


def means(*tools):
    """A function of a version's results: the overhead over each tool's, as far as it was measured."""
    def pick(result):
        return [result["summary"][tool]["low"] for tool in tools]
    return pick


def joined(form, separator="; "):
    return lambda values: separator.join(form % value for value in values)


# (figure, what to take of a version's results, how to show it)
README_FIGURES = [
    ("overhead over the floor's", means("floor"), joined("%.2f")),
    ("the same into memory, without start-up", means("memory"), joined("%.2f")),
    ("ns an event: floor; pyrec", lambda r: [ns_an_event("floor")(r), ns_an_event("pyrec")(r)], joined("%.1f")),
    ("bytes an event", lambda r: mean_events(r, lambda w: w["bytes"] / w["events"]), number),
    ("overhead over cProfile's, call-heavy", means("cprofile"), joined("%.2f")),
    ("overhead over pprofile's; line_profiler's", means("pprofile", "line_profiler"), joined("%.2f")),
    ("everything filtered out: run time over untraced; exceptions",
     lambda r: [r["summary"]["filtered"]["low"], r["summary"]["filtered"]["exceptions"]], joined("%.2f")),
    ("`pyrec run -c pass` over `python -c pass`", lambda r: r["start"]["wall"].middle, "%.1f ms".__mod__),
    ("memory more: program; each idle, each busy thread",
     lambda r: (r["memory"]["main"] / 1024, r["memory"]["idle"], r["memory"]["busy"]), "%.1f MB; %.0f, %.0f KB".__mod__),
]


def readme(report):
    versions = report["versions"]
    head = [title % version if "%" in title else title for version in versions for _, title in SHOWN]
    lines = [row([""] + head), "|---|" + "---:|" * len(head)]
    for name, title in TITLES.items():
        results = [result["workloads"].get(name, {}) for result in versions.values()]
        lines.append(row([title] + [number(w[tool].low / w["plain"].low if tool in w else None)
                                    for w in results for tool, _ in SHOWN]))
    lines += ["", row(["geometric means over these"] + list(versions)), "|---|" + "---:|" * len(versions)]
    for name, pick, form in README_FIGURES:
        lines.append(row([name] + columns(versions, pick, form)))
    return "\n".join(lines) + "\n"


def markdown(report):
    versions = report["versions"]
    lines = ["%s; %s. %d rounds, interleaved; CPU time of the whole process, all threads." % (
        report["machine"]["processor"], report["machine"]["system"], report["rounds"]),
        "Geometric means over the workloads, by minima (by medians). *Overhead* is time beyond that of the plain run.", ""]
    lines += figures(versions)
    for version, result in versions.items():
        peers = ", ".join("%s %s" % item for item in result["peers"].items())
        lines += ["", "CPython %s, times untraced (1 is plain)%s:" % (version, "; peers: " + peers if peers else ""), ""]
        lines += workloads(result)
    return "\n".join(lines) + "\n"
