"""The README's table of the sampling profilers, from what sampling.py measured."""

COLUMNS = ("processor time of the sampler, 100 Hz; 1 kHz", "the program's own more, 1 kHz", "on the wall, 1 kHz",
           "lines off by, 1 kHz: mean; most", "samples of those due, 1 kHz")


def cells(figures, name):
    slow, fast = figures["100"][name], figures["1000"][name]
    return ("%.1f %%; %.1f %%" % (100 * slow["sampler"]["median"], 100 * fast["sampler"]["median"]),
            "%+.1f %%" % (100 * fast["slowdown"]["median"]), "%+.1f %%" % (100 * fast["wall"]["median"]),
            "%.2f; %.2f" % (fast["lines"]["mean"], fast["lines"]["most"]),
            "%.0f %%" % min(100, 100 * fast["samples"] / fast["seconds"] / 1000))


def markdown(report):
    """A table for each interpreter beside which the others were measured."""
    text = ""
    for version, found in report["versions"].items():
        figures = found["figures"].get("peers", {})
        if "1000" not in figures:
            continue
        text += "| %s | %s |\n|---|%s\n" % (version, " | ".join(COLUMNS), "---:|" * len(COLUMNS))
        for name in figures["1000"]:
            label = " ".join([name.split()[0], figures["versions"].get(name.split()[0], "")] + name.split()[1:])
            text += "| %s | %s |\n" % (" ".join(label.split()), " | ".join(cells(figures, name)))
        text += "\n"
    return text
