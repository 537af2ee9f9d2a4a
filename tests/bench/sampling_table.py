"""The README's table of the sampling profilers, from what sampling.py measured."""

COLUMNS = ("processor time beside the program's, 100 Hz", "1 kHz", "the program's own, more, 1 kHz",
           "lines off by, points, 1 kHz: mean", "most")


def cells(figures, name):
    slow, fast = figures["100"][name], figures["1000"][name]
    return ("%.1f" % (100 * slow["sampler"]["median"]), "%.1f" % (100 * fast["sampler"]["median"]),
            "%+.1f" % (100 * fast["slowdown"]["median"]), "%.2f" % fast["lines"]["mean"], "%.2f" % fast["lines"]["most"])


def label(name, versions):
    tool, *rest = name.split()
    return " ".join([tool] + ([versions[tool]] if tool in versions else []) + rest)


def markdown(report):
    """A row a profiler; in each cell the interpreters beside which all of them were measured. Percent, but for the shares."""
    peers = {version: found["figures"]["peers"] for version, found in report["versions"].items()
             if "1000" in found["figures"].get("peers", {})}
    if not peers:
        return ""
    text = "| %% (%s) | %s |\n|---|%s\n" % (" / ".join(peers), " | ".join(COLUMNS), "---:|" * len(COLUMNS))
    first = next(iter(peers.values()))
    for name in first["1000"]:
        rows = [cells(figures, name) for figures in peers.values() if name in figures["1000"]]
        text += "| %s | %s |\n" % (label(name, first["versions"]), " | ".join(" / ".join(column) for column in zip(*rows)))
    return text
