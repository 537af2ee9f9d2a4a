"""`--format compare`: what became slower between two runs, also of a program that was edited meanwhile."""
import json
import os
import re
import tempfile
import unittest

import support

BEFORE = '''import json
def parse(text):
    total = 0
    for part in text.split(","):
        total += int(part)
    return total
class Store:
    def add(self, row):
        self.rows.append(row)
    def gone(self):
        return [f() for f in (lambda: 1, lambda: 2)]
def main():
    store = Store()
    store.rows = []
    for i in range(20):
        store.add(parse("%d,%d" % (i, i)))
    store.gone()
    exec("def made(): pass\\nmade()")
    json.dumps({"a": [1, 2, 3]})
main()
'''
AFTER = BEFORE.replace("import json\n", "import json\nimport sys  # one line more\n") \
    .replace("range(20)", "range(30)").replace("total += int(part)", "total += int(part) + 0") \
    .replace("    store.gone()\n", "").replace("class Store:\n", "class Store:\n    def new(self): pass\n")
EXACT = {"cpu": "self_cpu_ns", "wall": "self_ns", "cumulative": "cumulative_ns", "waiting": "self_ns - self_cpu_ns",
         "hits": "hits", "calls": "calls"}
COUNTS = ("hits", "calls")


class Compare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="pyrec-compare-")
        cls.traces = [cls.record("before", BEFORE), cls.record("after", AFTER)]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def record(cls, name, source, *options):
        folder = os.path.join(cls.folder.name, name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "app.py"), "w", encoding="utf-8") as file:
            file.write(source)
        trace = os.path.join(cls.folder.name, name + ".bin")
        python = support.PYTHONS[0] if name != "after" else support.PYTHONS[-1]
        result = support.run([support.PYREC, "run", "-o", trace, "--python", python, *options,
                              os.path.join(folder, "app.py")])
        assert result.status == 0, result
        return trace

    def compare(self, *words, traces=None):
        result = support.run([support.PYANALYZE, *(traces or self.traces), "-f", "compare", "--unit", "ns", *words])
        self.assertEqual((result.status, result.err), (0, b""), result)
        return result.out.decode()

    @staticmethod
    def rows(text):
        """{place: (change, before, after)} of both tables, and their order."""
        found = {}
        for row in re.findall(r"^ *([+-]\d+)\| *(\d*)\| *(\d*)\|(?: *\d+\| *[+-]?\d*\|)?(.+)$", text.split("\n\n", 2)[2], re.M):
            found.setdefault(row[3], []).append(tuple(int(number or 0) for number in row[:3]))
        return found

    def ask(self, trace, sql):
        result = support.run([support.PYANALYZE, trace, "--json", "--sql", sql])
        self.assertEqual(result.status, 0, result)
        return json.loads(result.out)

    def functions(self, trace, measure):
        """What one run alone has of each function, by what makes it the same: the nth of that name in its file."""
        sums, counts = {}, {}
        for row in self.ask(trace, """SELECT files.name AS file, files.file_id AS id, qualname, module, origin, %s AS value
                                      FROM functions JOIN files USING (file_id)
                                      WHERE kind <> 'outside' AND file <> '<string>' AND
                                      (calls > 0 OR hits > 0 OR cumulative_ns > 0 OR sha256 <> '')
                                      ORDER BY first_line, function_id""" % measure):
            module = row["module"] if row["origin"] == "generated" else ""
            nth = counts[key] = counts.get(key := (row["id"], row["module"], row["qualname"]), 0) + 1
            key = row["origin"], row["file"], module, row["qualname"], nth
            sums[key] = sums.get(key, 0) + row["value"]
        return sums

    def lines(self, trace, measure):
        sums, counts = {}, {}
        for row in self.ask(trace, """SELECT files.name AS file, file_id AS id, function, origin, line, text, %s AS value
                                      FROM lines JOIN files USING (file_id) WHERE file NOT LIKE '<%%'
                                      ORDER BY line""" % measure):
            text = row["line"] if row["text"] is None else row["text"].strip(" \t")
            nth = counts[key] = counts.get(key := (row["id"], row["function"], text), 0) + 1
            key = row["origin"], row["file"], row["function"], text, nth
            sums[key] = sums.get(key, 0) + row["value"]
        return sums

    def check(self, text, sums):
        """The rows say what the sums of the two runs alone say, largest change first."""
        wanted = []
        for key in set(sums[0]) | set(sums[1]):
            before, after = sums[0].get(key, 0), sums[1].get(key, 0)
            if before != after:
                wanted.append((after - before, before, after))
        found = self.rows(text)
        self.assertEqual(sorted(row for rows in found.values() for row in rows), sorted(wanted))
        self.assertGreater(len(wanted), 3)
        changes = list(map(int, re.findall(r"^ *([+-]\d+)\|", text.split("\n\n", 2)[2], re.M)))
        grown = [change for change in changes if change > 0]
        self.assertEqual(changes, sorted(grown, reverse=True) + sorted(changes[len(grown):]))

    def test_functions(self):
        for key, measure in EXACT.items():
            with self.subTest(key):
                self.check(self.compare("--top", "100000", "--sort", key, "--file", "!<string>"),
                           [self.functions(trace, measure) for trace in self.traces])

    def test_lines(self):
        for key in ("cpu", "wall", "waiting", "hits"):    # sums over threads and functions: not the cumulative ones
            with self.subTest(key):
                self.check(self.compare("--lines", "--top", "100000", "--sort", key, "--file", "!<*"),
                           [self.lines(trace, EXACT[key]) for trace in self.traces])

    def test_edits(self):
        """Functions and lines that moved are the same; what came and what went has the other side empty."""
        text = self.compare("--sort", "calls", "--file", "app.py")
        name = "Store." if support.version(support.PYTHONS[-1]) >= (3, 11) and \
            support.version(support.PYTHONS[0]) >= (3, 11) else ""
        found = self.rows(text)
        self.assertEqual(found["app.py:3 parse"], [(10, 20, 30)])
        if name:
            self.assertEqual(found["app.py:10 Store.add"], [(10, 20, 30)])
            self.assertEqual(found["app.py:10 Store.gone"], [(-1, 1, 0)])
            self.assertRegex(text, r"(?m)^ *-1\| *1\| *0?\|app.py:10 Store.gone$")
        lines = self.rows(self.compare("--lines", "--sort", "hits", "--file", "app.py"))
        lines = {re.sub(r"^.*\|", "", place): rows for place, rows in lines.items()}
        self.assertEqual(lines["total += int(part)"], [(-40, 40, 0)])
        self.assertEqual(lines["total += int(part) + 0"], [(60, 0, 60)])
        self.assertEqual(lines["return total"], [(10, 20, 30)])

    def test_totals(self):
        """They are those of the runs, and the header says which is which."""
        text = self.compare("--top", "1")
        for label, trace in zip(("Before: ", "After:  "), self.traces):
            self.assertRegex(text, "(?m)^%s%s, 20.* UTC, Python 3.*: .*app.py$" % (label, re.escape(trace)))
        sql = "SELECT (SELECT sum(self_ns) FROM accounts) AS ns, sum(hits) AS hits, sum(calls) AS calls FROM functions"
        before, after = (self.ask(trace, sql)[0] for trace in self.traces)
        for key, title in (("ns", "time of all threads"), ("hits", "lines executed"), ("calls", "calls")):
            self.assertRegex(text, r"(?m)^ *%s\| *%d\| *%d\|%s$" % (
                re.escape("%+d" % (after[key] - before[key])) if after[key] != before[key] else "", before[key],
                after[key], title))
        self.assertRegex(text, r"(?m)^and \d+ more functions? with \+\d+ ns$")

    def test_same_run_and_database(self):
        """A run beside itself has no difference; a database of two runs says the same as their traces."""
        again = os.path.join(self.folder.name, "both.db")
        self.assertEqual(support.run([support.PYANALYZE, *self.traces, "--db", again]).status, 0)
        self.assertEqual(self.compare(traces=[again]), self.compare())

    def test_wrong_number(self):
        for traces, said in ((self.traces[:1], b"here is 1"),
                             (self.traces + [self.record("third", BEFORE)], b"here are 3")):
            result = support.run([support.PYANALYZE, *traces, "-f", "compare"])
            self.assertEqual((result.status, result.out), (2, b""), result)
            self.assertEqual(result.err, b"pyanalyze: compare needs the traces of two runs, the one before and the one after: "
                             + said + b"\n")

    def test_threads(self):
        """--per-thread says what it does not do; a thread alone can be compared."""
        result = support.run([support.PYANALYZE, *self.traces, "-f", "compare", "--per-thread"])
        self.assertEqual(result.status, 0, result)
        self.assertIn(b"compare: --per-thread does not split it; --thread NAME shows one thread", result.err)
        text = self.compare("--thread", "MainThread")
        self.assertIn("\nSelection: thread MainThread\n", text)
        self.assertEqual(text.replace("Selection: thread MainThread\n", ""), self.compare())

    def test_wrong_sort(self):
        result = support.run([support.PYANALYZE, *self.traces, "-f", "compare", "--lines", "--sort", "calls"])
        self.assertEqual((result.status, result.err.count(b"\n")), (2, 1), result)

    def test_samples(self):
        """A difference within the error of samples is marked; calls are not known and not shown."""
        source = "import time\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass\n"
        traces = [self.record("samples" + n, source, "--sample", "1ms") for n in "12"]
        # its row is there however little it changed, and whatever else did
        text = self.compare("--file", "app.py", "--min-percent", "0", "--top", "1000", traces=traces)
        self.assertIn("|samples\n", text)
        self.assertNotIn("calls", text.lower())
        doubts = 0
        for mark, change, before, after in re.findall(
                r"^ *(~?)([+-]\d+)\| *(\d*)\| *(\d*)\| *\d+\|.*app.py", text, re.M):
            self.assertEqual(int(change), int(after or 0) - int(before or 0))
            doubts += mark == "~"
        sql = "SELECT max(s.error_ns) AS error, sum(s.self_cpu_ns) AS ns FROM line_stats s JOIN functions USING (function_id) " \
              "WHERE file LIKE '%app.py'"
        sides = [self.ask(trace, sql)[0] for trace in traces]
        change = abs(sides[0]["ns"] - sides[1]["ns"])
        if 0 < change < min(side["error"] for side in sides):    # what did not change at all has no row
            self.assertEqual(doubts, 1, text)

    def test_hostile_names(self):
        source = 'exec(compile("\\n\\ndef f():\\n    x = \'\\x1b[2J\'\\nf()", "a\\x1b[31m\\nb", "exec"))\n' \
                 'import linecache\nlinecache.cache["q"] = 1, None, ["\\x9b1m\\n"], "q"\nexec(compile("pass", "q", "exec"))\n'
        traces = [self.record("hostile1", source), self.record("hostile2", source + source)]
        for words in ([], ["--lines"]):
            text = self.compare("--top", "1000", *words, traces=traces)
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")


if __name__ == "__main__":
    unittest.main()
