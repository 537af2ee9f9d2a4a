"""What two views of one trace say is the same: every format's totals are those of the tables, on random traces, and the
timelines show each stack as it was."""
import collections
import glob
import json
import marshal
import os
import random
import re
import sqlite3
import tempfile
import unittest

import support
import test_chrometrace
import test_random_traces as tables
import test_speedscope

import random_samples
import random_trace
import trace_writer as w

COUNT = tables.COUNT // 6


class View:
    """One trace with some options: its tables, and its reports as numbers."""

    def __init__(self, folder, trace, options):
        self.folder, self.trace, self.options = folder, trace, options
        self.run("--db", folder + "/t.db", "--force")
        self.db = sqlite3.connect(folder + "/t.db")

    def run(self, *arguments):
        result = support.run([support.PYANALYZE, self.trace, *self.options, *arguments])
        assert result.status == 0, result
        return result.out.decode()

    def value(self, sql):
        return self.db.execute("SELECT ifnull(sum(%s), 0) FROM %s" % sql).fetchone()[0]

    def folded(self, *arguments):
        return sum(int(line.rsplit(" ", 1)[1]) for line in self.run("-f", "folded", *arguments).splitlines())

    def callgrind(self, text):
        """(sum of all self costs, the totals it claims)"""
        costs, of_call = collections.Counter(), False
        for line in text.splitlines():
            if line.startswith("calls="):
                of_call = True
            elif line[:1].isdigit():
                for i, cost in enumerate(line.split()[1:]):
                    costs[i] += 0 if of_call else int(cost)
                of_call = False
        summary, totals = (re.search("(?m)^%s: (.*)$" % key, text)[1] for key in ("summary", "totals"))
        assert summary == totals, text
        return tuple(costs[i] for i in range(3)), tuple(map(int, totals.split()))

    def callgrind_of_threads(self):
        self.run("-f", "callgrind=%s/callgrind.out.t" % self.folder, "--per-thread")
        totals = (0, 0, 0)
        for path in glob.glob(self.folder + "/callgrind.out.t*"):
            with open(path, encoding="utf-8") as file:
                costs, claimed = self.callgrind(file.read())
            assert costs == claimed, path
            totals = tuple(map(sum, zip(totals, claimed)))
            os.remove(path)
        return totals

    def pstats(self, *arguments):
        """(calls, ns) of all files that are written."""
        self.run("-f", "pstats=%s/t.pstats" % self.folder, *arguments)
        rows = []
        for path in glob.glob(self.folder + "/t.pstats*"):
            with open(path, "rb") as file:
                rows += marshal.load(file).values()
            os.remove(path)
        return sum(row[1] for row in rows), round(1e9 * sum(row[2] for row in rows))

    def rows(self, *arguments):
        """The rows of numbered lines, or of shares."""
        text = self.run("--min-percent", "0", "--unit", "ns", *arguments)
        return [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if re.match(r" *[\d.]+%?\|", line)]

    def column(self, rows, number):
        return sum(int(row[number] or 0) for row in rows)

    def slices(self, *arguments):
        """{name: self time} of the timeline."""
        own, stacks, before = collections.Counter(), {}, {}
        for event in json.loads(self.run("-f", "chrometrace", *arguments), parse_float=str)["traceEvents"]:
            key = event["pid"], event["tid"]
            if event["ph"] in "BE":
                time, stack = test_chrometrace.ns(event["ts"]), stacks.setdefault(key, [])
                if stack:
                    own[stack[-1]] += time - before[key]
                before[key] = time
                if event["ph"] == "B":
                    stack.append(event["name"])
                else:
                    assert stack.pop() == event["name"], event
        assert not any(stacks.values()), stacks
        return {name: ns for name, ns in own.items() if ns}

    def speedscope(self, *arguments):
        """{name: its own weight}; a stack without frames is <outside>."""
        own = collections.Counter()
        for profile in test_speedscope.read(self.run("-f", "speedscope", *arguments)):
            for stack, weight in profile.stacks:
                own[stack[-1][0] if stack else "<outside>"] += weight
        return own


class Totals(unittest.TestCase):
    def check(self, seed, size, folder):
        asked = []

        def windows(told, clock):
            asked.append(random_trace.Windows(seed, told, clock))
            return asked[0].facts

        data, _, _ = random_trace.make(seed, size, windows if seed % 4 == 1 else None)
        with open(folder + "/t.bin", "wb") as file:
            file.write(data)
        view = View(folder, folder + "/t.bin", (["--exclude", tables.EXCLUDED] if seed % 3 == 0 else []) + (
            ["--window", random.Random(seed).choice(["ann", "bob"])] if seed % 4 == 1 else []))
        ns, cpu, hits = whole = tuple(view.value((column, "functions")) for column in ("self_ns", "self_cpu_ns", "hits"))
        inside = view.value(("self_ns", "functions WHERE kind <> 'outside'"))
        calls = view.value(("calls + resumes", "functions WHERE kind <> 'outside'"))
        for table, total in (("accounts", ns), ("contexts", ns), ("line_stats", inside), ("lines", inside),
                             ("function_stats", inside)):
            self.assertEqual(view.value(("self_ns", table)), total, (seed, table))
        for by, total in ("self", ns), ("cpu", cpu), ("hits", hits):
            for options in [], ["--lines"], ["--per-thread"], ["--lines", "--per-thread"]:
                self.assertEqual(view.folded("--by", by, *options), total, (seed, by, options))
        self.assertEqual(view.callgrind(view.run("-f", "callgrind")), (whole, whole), seed)
        self.assertEqual(view.callgrind_of_threads(), whole, seed)
        self.assertEqual(view.pstats(), (calls, inside), seed)
        self.assertEqual(view.pstats("--per-thread"), (calls, inside), seed)
        self.assertEqual(int(re.search(r"(\d+) function calls", view.run("-f", "stats"))[1]), calls, seed)
        rows = view.rows("-f", "annotate")
        listed = [row for row in rows if len(row) > 7]
        self.assertEqual((view.column(listed, 1), view.column(listed, 2)), (hits, inside), seed)
        for options in [], ["--per-thread"]:
            rows = view.rows("-f", "lines", *options)
            self.assertEqual((view.column(rows, 1), view.column(rows, 3)), (inside, hits), (seed, options))
            self.assertEqual(view.column(view.rows("-f", "functions", *options), 1), inside, (seed, options))
        self.check_timeline(seed, view)
        view.db.close()

    def check_timeline(self, seed, view):
        found = view.slices()
        if view.value(("1", "gaps")):   # the stack behind one shows with the event that follows
            return
        expected = dict(view.db.execute("SELECT qualname, sum(self_ns) FROM functions WHERE kind <> 'outside' GROUP BY 1 "
                                        "HAVING sum(self_ns) > 0"))
        self.assertEqual(found, expected, seed)
        found = view.speedscope()
        del found["<outside>"]
        self.assertEqual(found, expected, seed)
        self.timelines += 1

    def test_every_format_adds_up(self):
        self.timelines = 0
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(tables.FIRST, tables.FIRST + COUNT):
                self.check(seed, 30, folder)
        self.assertGreater(self.timelines, COUNT // 10)


class Sampled(unittest.TestCase):
    """The same of samples, whose states add up to their times."""

    def check(self, seed, view):
        ns, cpu, hits = whole = tuple(view.value((column, "functions")) for column in ("self_ns", "self_cpu_ns", "hits"))
        inside = view.value(("self_ns", "functions WHERE kind <> 'outside'"))
        for by, total in ("self", ns), ("cpu", cpu), ("hits", hits):
            for options in [], ["--lines"], ["--per-thread"]:
                self.assertEqual(view.folded("--by", by, *options), total, (seed, by, options))
        for by, column in ("self", "self_ns"), ("cpu", "self_cpu_ns"), ("hits", "hits"):
            expected = dict(view.db.execute("SELECT qualname, sum(%s) AS n FROM functions WHERE kind <> 'outside' GROUP BY 1 "
                                            "HAVING n > 0" % column))
            found = view.speedscope("--by", by)
            del found["<outside>"]
            self.assertEqual(found, expected, (seed, by))
            if by == "self":
                self.assertEqual(view.slices(), expected, seed)
        self.assertEqual(view.callgrind(view.run("-f", "callgrind")), (whole, whole), seed)
        self.assertEqual(view.callgrind_of_threads(), whole, seed)
        self.assertEqual((view.pstats()[1], view.pstats("--per-thread")[1]), (inside, inside), seed)
        for table in "lines", "line_stats", "functions WHERE kind <> 'outside'":
            self.assertEqual(view.value(("self_ns", table)), inside, (seed, table))
            self.assertEqual(view.value(("running_ns + gil_wait_ns + blocked_ns", table)), inside, (seed, table))

    def test_every_format_adds_up(self):
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(tables.FIRST, tables.FIRST + COUNT // 2):
                with open(folder + "/t.bin", "wb") as file:
                    file.write(random_samples.make(seed, 30)[0])
                view = View(folder, folder + "/t.bin", [])
                self.check(seed, view)
                view.db.close()


class Merged(unittest.TestCase):
    """Two traces in one database: what adds up is the sum of both."""

    SUMS = (
        "SELECT file, qualname, first_line, sum(calls), sum(resumes), sum(hits), sum(self_ns), sum(self_cpu_ns), "
        "sum(cumulative_ns) FROM functions WHERE calls + resumes + hits + self_ns + cumulative_ns > 0 GROUP BY 1, 2, 3",
        "SELECT file, line, 0, sum(hits), sum(self_ns), sum(cumulative_ns) FROM lines "
        "WHERE hits + self_ns + cumulative_ns > 0 GROUP BY 1, 2",
        "SELECT caller_file || caller_function, caller_line, callee_file || callee_function, sum(calls), sum(resumes), "
        "sum(self_ns), sum(cumulative_ns), sum(outer_cumulative_ns), sum(cumulative_hits) FROM edges GROUP BY 1, 2, 3",
        "SELECT 0, 0, 0, sum(wall_ns), sum(self_ns), sum(gap_ns) FROM accounts",
        "SELECT 0, 0, 0, count(*), sum(self_ns), sum(calls), sum(cumulative_ns) FROM contexts")

    def load(self, *traces):
        path = traces[0] + ".db"
        result = support.run([support.PYANALYZE, *traces, "--db", path, "--force"])
        self.assertEqual(result.status, 0, result)
        database = sqlite3.connect(path)
        sums = [collections.Counter({(*row[:3], i): value for row in database.execute(query)
                                     for i, value in enumerate(row[3:]) if value}) for query in self.SUMS]
        database.close()
        return sums

    def test_sums_are_added(self):
        mark = w.MARK
        self.addCleanup(setattr, w, "MARK", mark)
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(tables.FIRST, tables.FIRST + COUNT // 2):
                traces = [folder + "/0.bin", folder + "/1.bin"]
                for i, trace in enumerate(traces):
                    w.MARK = bytes([i] * 16)
                    with open(trace, "wb") as file:
                        file.write(random_trace.make(7 * seed + i, 40)[0])
                one, other, both = self.load(traces[0]), self.load(traces[1]), self.load(*traces)
                self.assertEqual([a + b for a, b in zip(one, other)], both, seed)


class Made(unittest.TestCase):
    """Traces of a few events."""

    CODES = ((2, "main", 1), (3, "f", 10), (4, "g", 20), (5, "h", 30))

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.trace = self.folder.name + "/t.bin"

    def make(self, events, facts=b""):
        """`events`: payloads of chunks of one thread, each (sequence, events before, ticks, bytes)."""
        facts += w.process(base=1) + w.file(1, "/p/a.py", "a.py") + w.end(0, 0)
        for number, name, line in self.CODES:
            facts += w.code(number, 1, line, [line + 1, line + 2], name)
        data = w.header() + w.chunk(w.RUN, w.setting("mode", "exact") + w.setting("argv", "a.py"))
        data += w.chunk(w.FACTS, facts, process=1)
        for sequence, before, ticks, payload in events:
            data += w.chunk(w.EVENTS, payload, process=1, thread=1, sequence=sequence, before=before, ticks=ticks)
        with open(self.trace, "wb") as file:
            file.write(data)

    def run_it(self, *arguments):
        result = support.run([support.PYANALYZE, self.trace, *arguments])
        self.assertEqual(result.status, 0, result)
        return result.out.decode()

    def timeline(self, *arguments):
        slices, _, _ = test_chrometrace.read(self.run_it("-f", "chrometrace", *arguments))
        return sorted((piece.begin, piece.end, piece.name) for thread in slices.values() for piece in thread)

    def pause_in_f_and_go_on_in_g(self):
        """As the recorder writes it: the gap ends on an empty stack, then comes the stack of now."""
        self.make([(0, 0, 0, w.stack(1, 0, 0, []) + w.call(1, 2) + w.line(1, 1) + w.call(1, 3) + w.line(2, 1) +
                    w.gap(5, 1, 100, w.stack(3, 0, 0, [])) + w.switch(0, w.stack(5, 2, 0, [(2, 2, 2), (4, 1, 1)])) +
                    w.line(4, 1) + w.ret(3) + w.line(1, 0) + w.ret(1))])

    def test_a_pause_that_ends_elsewhere(self):
        self.pause_in_f_and_go_on_in_g()
        self.assertEqual(self.timeline(), [(1, 10, "main"), (3, 10, "f"), (110, 117, "g"), (110, 119, "main")])
        rows = self.run_it("-f", "trace", "--unit", "ns").splitlines()[2:]
        ends = [row.split("  ")[-1].strip() for row in rows if "return" in row]
        self.assertEqual(ends, ["return from g", "return from main"])   # when they began is not known

    def test_a_function_with_what_is_below_ends_with_its_frame(self):
        self.pause_in_f_and_go_on_in_g()
        rows = self.run_it("-f", "trace", "--unit", "ns", "--function", "f").splitlines()[2:]
        self.assertEqual([row.split()[0] for row in rows], ["3", "5", "10"])

    def test_lost_events_leave_another_function_in_the_place(self):
        first = w.stack(1, 0, 0, []) + w.call(1, 2) + w.line(1, 1) + w.call(1, 3) + w.line(1, 1)
        self.make([(0, 0, 0, first), (2, 9, 50, w.stack(5, 2, 1, [(4, 1, 1)]) + w.line(1, 1) + w.ret(2) + w.ret(3))])
        self.assertEqual(self.timeline(), [(1, 56, "main"), (3, 51, "f"), (51, 53, "g")])
        rows = self.run_it("-f", "trace", "--unit", "ns").splitlines()
        self.assertTrue(rows[-2].endswith("return from g") and rows[-1].endswith("return from main (55 ns)"), rows)

    def test_lines_far_behind_the_text(self):
        """pprofile has a row for each line up to the last one, but not for billions that hold nothing."""
        far = 2 * 10**9
        self.make([(0, 0, 0, w.stack(1, 0, 0, []) + w.call(1, 2) + w.line(1, 1) + w.line(1, 499) + w.line(1, far - 501) +
                    w.ret(1))])
        rows = [line for line in self.run_it("-f", "pprofile").splitlines() if re.match(r" *\d+\|", line)]
        numbers = [int(row.split("|")[0]) for row in rows]
        self.assertEqual(numbers[:502], list(range(1, 503)))
        self.assertEqual(numbers[-1], far)
        self.assertLess(len(numbers), 200000)

    def test_no_thread_was_in_the_window(self):
        """Still a file of the kind that was asked for."""
        self.make([(0, 0, 0, w.stack(1, 0, 0, []) + w.call(1, 2) + w.ret(1))], w.window(1, "me", 0, 500, 600))
        for name in "callgrind", "pstats":
            path = "%s/t.%s" % (self.folder.name, name)
            self.run_it("-f", "%s=%s" % (name, path), "--per-thread", "--window", "me")
            with open(path, "rb") as file:
                text = file.read()
            if name == "pstats":
                self.assertEqual(marshal.loads(text), {})
            else:
                self.assertIn(b"\ntotals: 0 0 0\n", text)


class Patterns(unittest.TestCase):
    """A pattern means the same while recording and while analyzing, and in any locale: its characters are those of UTF-8."""

    FITS = {"?.py": True, "[\u00e4\u00f6].py": True, "re:/.\\.py$": True, "re:/..\\.py$": False}

    def lines(self, trace, locale, *options):
        env = dict(support.environment(), LC_ALL=locale)
        result = support.run([support.PYANALYZE, trace, *options, "--sql",
                              "SELECT count(*) FROM lines WHERE hits AND file LIKE '%/\u00e4.py'"], env=env)
        self.assertEqual(result.status, 0, result)
        return int(result.out.split()[1]) > 0

    def test_characters(self):
        with tempfile.TemporaryDirectory() as folder:
            program, trace = folder + "/\u00e4.py", folder + "/t.bin"
            with open(program, "w", encoding="utf-8") as file:
                file.write("import locale\nlocale.setlocale(locale.LC_ALL, 'C')\n")
            for python in support.PYTHONS:
                for locale in "C", "C.UTF-8":
                    env = dict(support.environment(PYTHONCOERCECLOCALE="0", PYTHONUTF8="0"), LC_ALL=locale)
                    record = [support.PYREC, "run", "--python", python, "--force", "-o", trace]
                    self.assertEqual(support.run(record + [program], env=env).status, 0)
                    found = {pattern: self.lines(trace, locale, "--include", pattern) for pattern in self.FITS}
                    self.assertEqual(found, self.FITS, locale)
                    for pattern in self.FITS:
                        self.assertEqual(support.run(record + ["--include", pattern, program], env=env).status, 0)
                        found[pattern] = self.lines(trace, locale)
                    self.assertEqual(found, self.FITS, locale)


if __name__ == "__main__":
    unittest.main()
