"""--window: only what happened in somebody's windows counts, cut at the tick."""
import os
import random
import sqlite3
import tempfile
import unittest

import support
import test_random_traces as tables

import random_trace
import trace_writer as w


class RandomWindows(unittest.TestCase):
    """Every table of the database equals what the definitions say, with random windows in random traces."""

    def compare(self, seed, size):
        asked = []

        def facts(told, clock):
            asked.append(random_trace.Windows(seed, told, clock))
            return asked[0].facts

        data, told, clock = random_trace.make(seed, size, facts)
        rng = random.Random(seed + 0.25)
        owners = rng.sample(["ann", "bob"], rng.choice((1, 1, 2)))
        excluded = (tables.EXCLUDED,) if seed % 3 == 0 else ()
        windows = asked[0].of(owners, told)
        expected = tables.Tables(random_trace.read(told, clock, excluded, windows))
        with tempfile.TemporaryDirectory() as folder:
            trace, path = os.path.join(folder, "t.bin"), os.path.join(folder, "t.db")
            with open(trace, "wb") as file:
                file.write(data)
            options = [option for name in owners for option in ("--window", name)]
            options += ["--exclude", tables.EXCLUDED] if excluded else []
            result = support.run([support.PYANALYZE, trace, "--db", path, *options])
            self.assertEqual(result.status, 0, (seed, result))
            database = tables.Database(path)
            for table in tables.TABLES:
                found, wanted = getattr(database, table)(), getattr(expected, table)()
                if found != wanted:
                    missing = [row for row in wanted if row not in found]
                    extra = [row for row in found if row not in wanted]
                    self.fail("seed %d %s: %s\nmissing %s\nextra   %s" % (
                        seed, windows, table, "\n        ".join(map(str, missing[:8])),
                        "\n        ".join(map(str, extra[:8]))))
            self.assertEqual(database.rows("PRAGMA foreign_key_check"), [])
            database.db.close()
        return bool(expected.readers)

    def test_small(self):
        filled = [self.compare(seed, 12) for seed in range(tables.FIRST, tables.FIRST + tables.COUNT)]
        self.assertGreater(sum(filled), tables.COUNT // 4)   # the windows do show something

    def test_large(self):
        for seed in range(tables.FIRST, tables.FIRST + tables.COUNT // 4):
            self.compare(10**6 + seed, 150)


class Partition(unittest.TestCase):
    """Windows that lie side by side: what adds up over them is what the whole has."""

    SUMS = (
        "SELECT number, file, first_line, line, sum(s.hits), sum(s.self_ns) FROM line_stats s "
        "JOIN functions f USING (function_id) JOIN threads t USING (thread_id) GROUP BY 1, 2, 3, 4, f.qualname",
        "SELECT file, qualname, first_line, calls, primitive_calls, resumes, cumulative_ns, self_cpu_ns FROM functions "
        "WHERE kind <> 'outside'",
        "SELECT caller_function, caller_file, caller_line, callee_file, callee_function, callee_line, calls, resumes, "
        "cumulative_ns, outer_cumulative_ns, cumulative_hits FROM edges")
    KEYS = (4, 3, 6)

    def sums(self, trace, *options):
        """For each query its rows, by key, as lists of figures."""
        path = trace + ".db"
        result = support.run([support.PYANALYZE, trace, "--db", path, *options])
        self.assertEqual(result.status, 0, result)
        database = sqlite3.connect(path)
        out = []
        for query, count in zip(self.SUMS, self.KEYS):
            rows = {}
            for row in database.execute(query):
                sums = rows.setdefault(row[:count], [0] * (len(row) - count))
                sums[:] = [a + b for a, b in zip(sums, row[count:])]
            out.append({key: sums for key, sums in rows.items() if any(sums)})
        database.close()
        return out

    def compare(self, seed):
        rng = random.Random(seed + 0.75)

        def facts(told, clock):
            ticks = sorted({call[1] for calls in told.values() for call in calls if call[0] not in ("chunk", "cpu")} |
                           {clock.origin + 5})
            edges = sorted({rng.choice(ticks) + rng.choice((0, 0, 1, 3)) for _ in range(rng.choice((1, 2, 6)))} - {0})
            starts, ends = [0] + edges, edges + [0]
            owners.extend("w%d" % i for i in range(len(starts)))
            return b"".join(w.window(i + 1, owners[i], 0, start, end)
                            for i, (start, end) in enumerate(zip(starts, ends)))

        owners = []
        data, _, _ = random_trace.make(seed, 60, facts)
        with tempfile.TemporaryDirectory() as folder:
            trace = os.path.join(folder, "t.bin")
            with open(trace, "wb") as file:
                file.write(data)
            whole, parts = self.sums(trace), [{}, {}, {}]
            for owner in owners:
                for table, rows in zip(parts, self.sums(trace, "--window", owner)):
                    for key, figures in rows.items():
                        table[key] = [a + b for a, b in zip(table.get(key, [0] * len(figures)), figures)]
        for mine, theirs in zip(parts, whole):
            for key in set(mine) | set(theirs):
                self.assertEqual(mine.get(key), theirs.get(key), (seed, key))

    def test_parts_are_the_whole(self):
        for seed in range(tables.FIRST, tables.FIRST + tables.COUNT // 3):
            self.compare(seed)


def app(windows):
    """main (line 1, then 2) calls f (10, then 11) from line 3, and is on line 4 at the end. Each step takes 10 ns, f's
    line 11 1000; a second thread spins on line 2 all the time."""
    facts = w.process() + w.file(1, "/p/a.py", "a.py") + w.code(2, 1, 1, [2, 3, 4], "main") + \
        w.code(3, 1, 10, [11], "f") + w.thread(1, 71, "MainThread", 1) + w.thread(2, 72, "other", 0)
    facts += b"".join(w.window(*window) for window in windows) + w.end(0, 0, 2000, 2000)
    main = w.stack(1, 0, 0, []) + w.call(0, 2) + w.line(10, 1) + w.line(10, 1) + w.call(10, 3) + w.line(10, 1) + \
        w.cpu(400) + w.ret(1000) + w.line(10, 1) + w.ret(10)
    other = w.stack(1, 0, 0, []) + w.call(0, 2) + w.line(10, 1) + w.line(1500, 0) + w.ret(10)
    return w.header() + w.chunk(w.RUN, w.setting("mode", "exact")) + w.chunk(w.FACTS, facts, process=1) + \
        w.chunk(w.EVENTS, main, process=1, thread=1) + w.chunk(w.EVENTS, other, process=1, thread=2)


class Windows(unittest.TestCase):
    """What is counted, figure by figure."""

    def analyze(self, windows, *options, err=b""):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        trace, path = os.path.join(folder.name, "t.bin"), os.path.join(folder.name, "t.db")
        with open(trace, "wb") as file:
            file.write(app(windows))
        result = support.run([support.PYANALYZE, trace, "--db", path, *options])
        self.assertEqual((result.status, result.err), (0, err))
        database = sqlite3.connect(path)
        self.addCleanup(database.close)
        return lambda sql: database.execute(sql).fetchall()

    LINES = "SELECT line, hits, self_ns, cumulative_ns FROM lines WHERE hits OR self_ns OR cumulative_ns ORDER BY line"
    EDGES = "SELECT caller_line, callee_function, calls, cumulative_ns FROM edges ORDER BY callee_function"
    GAPS = "SELECT thread_id, start_ns, end_ns, reason FROM gaps ORDER BY start_ns"

    def test_cut_in_the_middle_of_a_line(self):
        query = self.analyze([(1, "p", 1, 25, 540)], "--window", "p")
        self.assertEqual(query(self.LINES), [(3, 0, 5, 515), (10, 0, 10, 10), (11, 1, 500, 500)])
        self.assertEqual(query(self.EDGES), [(3, "f", 1, 510), (None, "main", 0, 515)])
        self.assertEqual(query("SELECT number, start_ns, end_ns FROM threads"), [(1, 25, 540)])
        self.assertEqual(query("SELECT self_ns, gap_ns, difference_ns FROM accounts"), [(515, 0, 0)])
        self.assertEqual(query("SELECT depth, line, since_ns FROM open_frames"), [(0, 3, 25), (1, 11, 30)])
        self.assertEqual(query("SELECT name, calls, primitive_calls FROM functions WHERE cumulative_ns ORDER BY 1"),
                         [("f", 1, 1), ("main", 0, 0)])

    def test_waiting_is_shared_in_proportion(self):
        query = self.analyze([(1, "p", 1, 290, 540)], "--window", "p")   # a quarter of line 11, which ran for 36 %
        self.assertEqual(query("SELECT self_ns, self_cpu_ns FROM lines WHERE line = 11"), [(250, 90)])

    def test_between_windows_is_a_gap(self):
        query = self.analyze([(1, "p", 1, 25, 35), (2, "p", 0, 140, 240)], "--window", "p", "--thread", "1")
        self.assertEqual(query(self.LINES), [(3, 0, 5, 110), (10, 0, 5, 5), (11, 0, 100, 100)])
        self.assertEqual(query(self.GAPS), [(1, 35, 140, "paused")])
        self.assertEqual(query(self.EDGES), [(3, "f", 1, 105), (None, "main", 0, 110)])
        self.assertEqual(query("SELECT wall_ns, self_ns, gap_ns, difference_ns FROM accounts"), [(215, 110, 105, 0)])

    def test_owners_are_independent(self):
        windows = [(1, "p", 1, 25, 600), (2, "q", 1, 30, 140), (3, "p", 1, 500, 700)]
        self.assertEqual(self.analyze(windows, "--window", "p")("SELECT self_ns FROM accounts"), [(675,)])
        self.assertEqual(self.analyze(windows, "--window", "q")("SELECT self_ns FROM accounts"), [(110,)])
        both = self.analyze(windows, "--window", "p", "--window", "q")
        self.assertEqual(both("SELECT self_ns FROM accounts"), [(675,)])
        self.assertEqual(both("SELECT number, owner, thread_id, start_ns, end_ns FROM windows ORDER BY 1"),
                         [(1, "p", 1, 25, 600), (2, "q", 1, 30, 140), (3, "p", 1, 500, 700)])
        self.assertEqual(both("SELECT value FROM meta WHERE key = 'selection'"), [("window p, window q",)])

    def test_all_threads(self):
        query = self.analyze([(1, "p", 0, 25, 125)], "--window", "p")
        self.assertEqual(query("SELECT thread_id, self_ns FROM accounts ORDER BY 1"), [(1, 100), (2, 100)])
        self.assertEqual(query("SELECT thread_id FROM windows"), [(None,)])

    def test_still_open(self):
        query = self.analyze([(1, "p", 1, 1045, 0)], "--window", "p")
        self.assertEqual(query(self.LINES), [(3, 0, 5, 5), (4, 1, 10, 10)])
        self.assertEqual(query("SELECT end_ns FROM windows"), [(None,)])
        self.assertEqual(query("SELECT count(*) FROM open_frames"), [(0,)])

    def test_not_asked_for(self):
        query = self.analyze([(1, "p", 1, 25, 540)])
        self.assertEqual(query("SELECT count(*), sum(self_ns) FROM accounts"), [(2, 1060 + 1520)])
        self.assertEqual(query("SELECT owner FROM windows"), [("p",)])

    def test_nobody(self):
        query = self.analyze([(1, "p", 1, 25, 540)], "--window", "nobody", err=
                             b"pyanalyze: warning: no thread is selected: none matches --thread, --process and "
                             b"--window\n")
        self.assertEqual(query("SELECT count(*) FROM threads"), [(0,)])

    def test_events(self):
        """The table `events` has what is in the windows, of the trace and of a database made of them."""
        with tempfile.TemporaryDirectory() as folder:
            trace, path = os.path.join(folder, "t.bin"), os.path.join(folder, "t.db")
            with open(trace, "wb") as file:
                file.write(app([(1, "p", 1, 25, 35), (2, "p", 0, 1040, 1051), (3, "q", 1, 0, 1)]))
            query = ["--sql", "SELECT number, time_ns, event, e.line FROM events e JOIN threads USING (thread_id)"]

            def rows(*options):
                result = support.run([support.PYANALYZE, *options, *query])
                self.assertEqual((result.status, result.err), (0, b""))
                return [tuple(line.split()) for line in result.out.decode().splitlines()[1:]]

            inside = [("1", "30", "call", "10"), ("1", "1040", "return", "11"), ("1", "1050", "line", "4")]
            self.assertEqual(rows(trace, "--window", "p"), inside)
            self.assertEqual(len(rows(trace)), 8 + 4)
            support.run([support.PYANALYZE, trace, "--db", path, "--window", "p"])
            self.assertEqual(rows(path, trace), inside)
            result = support.run([support.PYANALYZE, trace, "--window", "p", "--sql",
                                  "SELECT count(*) FROM events WHERE time_ns > 1040 AND line = 4"])
            self.assertEqual(result.out.split()[1], b"1")

    def test_a_database_has_no_windows_to_cut(self):
        with tempfile.TemporaryDirectory() as folder:
            trace, path = os.path.join(folder, "t.bin"), os.path.join(folder, "t.db")
            with open(trace, "wb") as file:
                file.write(app([]))
            support.run([support.PYANALYZE, trace, "--db", path])
            result = support.run([support.PYANALYZE, path, "--window", "p"])
        self.assertEqual(result.status, 2)
        self.assertIn(b"--window needs the trace", result.err)


if __name__ == "__main__":
    unittest.main()
