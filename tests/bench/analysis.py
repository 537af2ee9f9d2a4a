"""What analyzing costs: events a second, memory, linearity, the reports, the events table."""
import os
import re

import recording
import run

HERE = os.path.dirname(os.path.abspath(__file__))
MIXTURE_EVENTS = 89700  # a round of programs/mixture.py
ROUNDS = 5
FEW_EVENTS = 1000000  # too few to say how fast


class Analysis:
    """The analyzer of one build, on traces made by one interpreter; files go to tools.folder."""

    def __init__(self, tools):
        self.tools = tools
        self.program = os.path.join(tools.build, "pyanalyze")
        processors = sorted(os.sched_getaffinity(0))
        self.one, self.two = set(processors[-1:]), set(processors[-2:])

    def path(self, name):
        return os.path.join(self.tools.folder, name)

    def record(self, name, program, *arguments):
        """Makes the trace NAME.bin of one of programs/; returns its events."""
        path = self.path(name + ".bin")
        script = os.path.join(HERE, "programs", program + ".py")
        run.note("recording " + name)
        run.run([os.path.join(self.tools.build, "pyrec"), "run", "-q", "--force", "-o", path, "--python",
                 self.tools.python, script] + list(map(str, arguments)), self.tools.env)
        return recording.trace_size(path)[0]

    def database(self, trace, name="analysis.db"):
        return [self.program, trace, "--force", "--db", self.path(name)]

    def best(self, command, processors, kind="cpu", rounds=ROUNDS):
        with run.on_processors(processors):
            return run.figure([getattr(run.run(command, self.tools.env), kind) for _ in range(rounds)])

    def peak_kb(self, command):
        """Its VmHWM as getrusage tells it; a shell stands between, whose small memory is the one it inherits."""
        shell = ["/bin/sh", "-c", '"$@"; exit $?', "sh"] + command + ["-v"]
        output = run.run(shell, self.tools.env, keep=True).output
        match = re.search(r"memory at most ([\d.]+) MB", output)
        return float(match.group(1)) * 1000 if match else None

    def workloads(self, results):
        """Events a CPU second, trace to finished database, of each workload's own trace, on one core."""
        speeds = {}
        for workload, result in results.items():
            if result["events"] >= FEW_EVENTS:
                run.note("analyzing " + workload)
                cost = self.best(self.database(self.tools.trace("pyrec", workload)), self.one)
                speeds[workload] = result["events"] / cost.low
        return speeds

    def sizes(self, events):
        """[(events, CPU seconds, KB)] of the mixture at these sizes. The last trace and database stay."""
        rows = []
        for wanted in events:
            count = self.record("mixture", "mixture", wanted // MIXTURE_EVENTS)
            run.note("analyzing %d events" % count)
            command = self.database(self.path("mixture.bin"), "mixture.db")
            rows.append((count, self.best(command, self.one).low, self.peak_kb(command)))
        return rows

    def fixed(self):
        """CPU seconds of the analysis of a program that does nothing."""
        run.run(self.tools.recorder("pyrec", "nothing") + ["-c", "pass"], self.tools.env)
        return self.best(self.database(self.tools.trace("pyrec", "nothing"), "nothing.db"), self.one, rounds=3 * ROUNDS).low

    def threads(self, wanted):
        """Two threads in the trace: wall seconds on one core and on two."""
        count = self.record("threads2", "mixture", wanted // MIXTURE_EVENTS, 2)
        command = self.database(self.path("threads2.bin"))
        walls = {"one": [], "two": []}
        for _ in range(3 * ROUNDS):  # one quiet moment of the machine is enough for each
            for name, processors in (("one", self.one), ("two", self.two)):
                walls[name].append(self.best(command, processors, "wall", 1).low)
        return {"events": count, **{name: min(values) for name, values in walls.items()}}

    def contexts(self, wanted):
        count = self.record("contexts", "contexts", max(1, wanted // 544000))
        command = self.database(self.path("contexts.bin"))
        return {"events": count, "cpu": self.best(command, self.one).low, "kb": self.peak_kb(command)}

    def reports(self):
        """CPU seconds of reports from the mixture's database and the weblog's, whichever takes longer."""
        run.run(self.database(self.tools.trace("pyrec", "weblog"), "weblog.db"))
        return {name: max(self.best([self.program, self.path(db), "--force", "--format",
                                     "%s=%s" % (name, self.path("report"))], self.one).low
                          for db in ("mixture.db", "weblog.db")) for name in ("callgrind", "annotate")}

    def events_table(self, count):
        """CPU seconds of a count of all events and of a window of 1 % of the time, without what `SELECT 1` takes."""
        inputs = [self.program, self.path("mixture.bin"), self.path("mixture.db"), "--sql"]
        last = int(run.run(inputs + ["SELECT max(end_ns) FROM threads"], keep=True).output.split()[1])
        first = last // 2
        window = "WHERE time_ns BETWEEN %d AND %d" % (first, first + last // 100)
        queries = {"nothing": "SELECT 1", "all": "SELECT count(*) FROM events",
                   "columns": "SELECT count(depth), sum(line) FROM events",
                   "window": "SELECT count(*) FROM events " + window,
                   "columns_window": "SELECT count(depth), sum(line) FROM events " + window}
        seconds = {}
        for name, sql in queries.items():
            run.note("events: " + name)
            seconds[name] = self.best(inputs + [sql], self.one).low
        nothing = seconds.pop("nothing")
        seconds = {name: max(value - nothing, 1e-4) for name, value in seconds.items()}
        return {"events": count, "nothing": nothing, **seconds}


def measure(tools, results, sizes):
    analysis = Analysis(tools)
    out = {"workloads": analysis.workloads(results), "fixed": analysis.fixed(), "sizes": analysis.sizes(sizes)}
    out["reports"] = analysis.reports() if "weblog" in results else {}
    out["events"] = analysis.events_table(out["sizes"][-1][0])
    out["threads"] = analysis.threads(sizes[0] * 3)
    out["contexts"] = analysis.contexts(sizes[0])
    return out
