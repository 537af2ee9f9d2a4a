"""Random sampled traces: every table of the database equals what the definitions say (tests/oracle/brute_samples.py)."""
import json
import os
import pstats
import re
import tempfile
import unittest

import support
import test_random_traces as exact

import brute
import brute_samples
import random_samples

COLUMNS = "samples, cumulative_samples, running_ns, gil_wait_ns, blocked_ns, error_ns"


class Expected(exact.Tables):
    """Beside the tables that exact traces have, the columns of samples by what they are of."""

    def columns(self, readers, *thing):
        return brute_samples.columns(readers, *thing)

    def line_samples(self):
        return {(thread, *function, line): self.columns([reader], "line", function, line)
                for thread, reader in self.readers.items() for function, line in reader.lines
                if any(reader.lines[function, line].values())}

    def function_samples(self):
        return {key: self.columns(self.readers.values(), "function", key) for key, row in self.functions.items()
                if any(row.values())}

    def file_line_samples(self):
        return {key: self.columns(self.readers.values(), "file", *key) for key, row in self.lines.items()
                if any(row.values())}

    def edge_samples(self):
        return {(*(caller or (None, None, None)), line if caller else None, *callee):
                self.columns(self.readers.values(), "edge", (caller, line, callee)) for caller, line, callee in self.edges}

    def rows(self):
        """Of the table events: thread, samples so far, time, state, innermost function and its line, frames."""
        return [(thread, *row) for thread, reader in self.readers.items() for row in reader.rows]


class Database(exact.Database):
    @staticmethod
    def split(rows):
        return {row[:-6]: row[-6:] for row in rows}

    def line_samples(self):
        return self.split((self.threads_[t], *self.names[f], *rest) for t, f, *rest in self.rows(
            "SELECT thread_id, function_id, line, %s FROM line_stats" % COLUMNS))

    def function_samples(self):
        return self.split(row[:-1] for row in self.rows(
            "SELECT file, qualname, first_line, %s, abs(hits) + abs(self_ns) + abs(cumulative_ns) FROM functions" % COLUMNS)
            if row[-1])

    def file_line_samples(self):
        return self.split(row[:-1] for row in self.rows(
            "SELECT file, line, %s, hits + self_ns + cumulative_ns FROM lines" % COLUMNS) if row[-1])

    def edge_samples(self):
        return self.split((*self.names.get(caller, (None,) * 3), line, *self.names[callee], *rest)
                          for caller, line, callee, *rest in self.rows(
            "SELECT caller_function_id, caller_line, callee_function_id, %s FROM edges" % COLUMNS))


SAMPLE_TABLES = ("line_samples", "function_samples", "file_line_samples", "edge_samples")


class RandomSamples(unittest.TestCase):
    def compare_rows(self, place, found, wanted):
        missing = [row for row in wanted if row not in found]
        extra = [row for row in found if row not in wanted]
        if missing or extra or found != wanted:
            self.fail("%s\nmissing %s\nextra   %s" % (place, "\n        ".join(map(str, missing[:8])),
                                                      "\n        ".join(map(str, extra[:8]))))

    def compare_columns(self, place, found, wanted):
        self.assertEqual(sorted(map(str, found)), sorted(map(str, wanted)), place)
        for key, row in wanted.items():
            self.assertEqual(found[key][:5], row[:5], (place, key))
            self.assertAlmostEqual(found[key][5], row[5], delta=0.51 + 1e-9 * row[5], msg=(place, key))

    def compare(self, seed, size, folder):
        data, told, clock, ended = random_samples.make(seed, size)
        excluded = (exact.EXCLUDED,) if seed % 3 == 0 else ()
        expected = Expected(random_samples.read(told, clock, ended, excluded))
        trace, path = os.path.join(folder, "t.bin"), os.path.join(folder, "t.db")
        with open(trace, "wb") as file:
            file.write(data)
        options = ["--exclude", exact.EXCLUDED] if excluded else []
        result = support.run([support.PYANALYZE, trace, "--force", "--db", path, *options])
        if not expected.readers:
            return 0
        self.assertEqual(result.status, 0, (seed, result))
        database = Database(path)
        for table in exact.TABLES:
            self.compare_rows((seed, table), getattr(database, table)(), getattr(expected, table)())
        for table in SAMPLE_TABLES:
            self.compare_columns((seed, table), getattr(database, table)(), getattr(expected, table)())
        self.assertEqual(database.rows("PRAGMA foreign_key_check"), [])
        database.db.close()
        self.compare_events(seed, trace, options, expected)
        return sum(reader.events for reader in expected.readers.values())

    def compare_events(self, seed, trace, options, expected):
        query = "SELECT t.number, seq, time_ns, detail, function, line, depth FROM events JOIN threads t USING (thread_id) " \
            "WHERE event = 'sample'"
        result = support.run([support.PYANALYZE, trace, *options, "--json", "--sql", query])
        self.assertEqual(result.status, 0, (seed, result))
        found = [tuple(row.values()) for row in json.loads(result.out)]
        self.compare_rows((seed, "events"), sorted(found, key=str), sorted(expected.rows(), key=str))

    def compare_stats(self, seed, folder):
        """The table `stats`, and what pstats reads of the format `pstats`: samples in place of calls, the same in both."""
        data, told, clock, ended = random_samples.make(seed, 40)
        readers = random_samples.read(told, clock, ended).values()
        if not readers:
            return 0
        trace, path = os.path.join(folder, "t.bin"), os.path.join(folder, "t.pstats")
        with open(trace, "wb") as file:
            file.write(data)
        self.assertEqual(support.run([support.PYANALYZE, trace, "--force", "-o", path]).status, 0)
        text = support.run([support.PYANALYZE, trace, "-f", "stats", "--unit", "ns", "--sort", "stdname"]).out.decode()
        theirs = pstats.Stats(path)
        expected, pairs = brute.Sums(), brute.Sums()
        for reader in readers:
            for (file, name, line), row in reader.functions_.items():
                if file != brute.OUTSIDE:
                    expected.add((file, line, name), hits=row["hits"], self=row["self"], time=row["time"])
            for (caller, callee), row in reader.pairs.items():
                if caller:
                    pairs.add(((callee[0], callee[2], callee[1]), (caller[0], caller[2], caller[1])), samples=row["samples"],
                              time=row["time"])
        lines = text.split("\n")
        total = sum(row["hits"] for row in expected.values())
        self.assertEqual(lines[0], "         %d samples in %d.000 ns" % (total, sum(row["self"] for row in expected.values())))
        self.assertEqual(lines[1], "         Counts are samples, times are estimates: calls are not known")
        self.assertIn("  samples  tottime  cumtime filename:lineno(function)", lines)
        rows = re.findall(r"(?m)^ *(\d+) +(\d+)\.000 +(\d+)\.000 (.*):(\d+)\((.*)\)$", text)
        found = {(file, int(line), name): tuple(map(int, figures)) for *figures, file, line, name in rows}
        self.assertEqual({key: row for key, row in found.items() if any(row)},
                         {key: (row["hits"], row["self"], row["time"]) for key, row in expected.items() if any(row.values())}, seed)
        read = {key: (calls, round(1e9 * self_), round(1e9 * below)) for key, (_, calls, self_, below, _) in
                theirs.stats.items()}
        self.assertEqual(read, found, seed)
        self.assertEqual(theirs.total_calls, total)
        self.assertEqual({(callee, caller): (row[0], round(1e9 * row[3])) for callee, (*_, callers) in theirs.stats.items()
                          for caller, row in callers.items()},
                         {key: (row["samples"], row["time"]) for key, row in pairs.items()}, seed)
        return total

    def test_stats(self):
        with tempfile.TemporaryDirectory() as folder:
            found = [self.compare_stats(seed, folder) for seed in range(exact.FIRST, exact.FIRST + exact.COUNT // 4)]
        self.assertGreater(sum(map(bool, found)), exact.COUNT // 8)

    def test_small(self):
        with tempfile.TemporaryDirectory() as folder:
            found = [self.compare(seed, 12, folder) for seed in range(exact.FIRST, exact.FIRST + exact.COUNT)]
        self.assertGreater(sum(map(bool, found)), exact.COUNT // 2)

    def test_large(self):
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(exact.FIRST, exact.FIRST + exact.COUNT // 4):
                self.compare(10**6 + seed, 150, folder)


if __name__ == "__main__":
    unittest.main()
