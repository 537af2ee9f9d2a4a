"""`--format trace`: every event of the trace is a row, in the order of time; windows, functions, files and threads leave
exactly the rows that a second reading of the events says."""
import collections
import json
import os
import re
import sqlite3
import tempfile
import unittest

import support
from support import PYTHONS, SAMPLES

Row = collections.namedtuple("Row", "time thread place level text")
Event = collections.namedtuple("Event", "time thread event file line depth function detail")

PROGRAM = """\
import os

class Box:
    def __init__(self, n):
        self.n = n
    def values(self):
        for i in range(self.n):
            yield os.path.basename("a/%d" % i)

def twice(f, n):
    return [f(n), f(n)]

def fact(n):
    return 1 if n < 2 else n * fact(n - 1)

def fail(n):
    if n == 0:
        raise ValueError(n)
    fail(n - 1)

def main():
    for value in Box(3).values():
        twice(fact, 4)
    try:
        fail(2)
    except ValueError:
        pass

main()
main()
"""

VERBS = {"call": "call", "resume": "resume", "return": "return from", "yield": "yield from", "unwind": "unwind",
         "raise": "raise", "c_call": "call", "c_return": "return from C", "switch": "switch to another stack",
         "mark": "mark", "gap": "not recorded:"}


class Recorded:
    """A program, its trace, and its events as SQL has them."""

    def __init__(self, folder, python, program, *options):
        self.trace = os.path.join(folder, "%s.bin" % os.path.basename(program[0]))
        result = support.run([support.PYREC, "run", "-o", self.trace, "--force", "--python", python, *options] + program)
        assert result.status == 0, result
        query = ("SELECT time_ns, thread_id, event, coalesce(file, ''), line, depth, coalesce(function, ''), "
                 "coalesce(detail, '') FROM events ORDER BY thread_id, seq")
        result = support.run([support.PYANALYZE, self.trace, "--json", "--sql", query, "--db", self.trace + ".db"])
        assert result.status == 0, result
        self.events = [Event(*row.values()) for row in json.loads(result.out)]
        database = sqlite3.connect(self.trace + ".db")
        self.begin, self.end = database.execute("SELECT min(start_ns), max(end_ns) FROM threads").fetchone()
        self.texts = {(file, line): (text or "").strip(" \t\f")
                      for file, line, text in database.execute("SELECT file, line, text FROM lines")}
        self.threads = database.execute("SELECT thread_id, name, native_id FROM threads ORDER BY thread_id").fetchall()
        database.close()

    def rows(self, *arguments):
        result = support.run([support.PYANALYZE, self.trace, "--format", "trace", "--unit", "ns", *arguments])
        assert result.status == 0, result
        lines = result.out.decode().splitlines()
        head = lines[1]
        assert lines[0].startswith("Trace of: ") and head.split()[:2] == ["Time", "ns"], lines[:2]
        assert len(lines) > 2, lines
        if lines[2].startswith("Nothing of what was asked for; there are events from "):
            assert [int(word) for word in lines[2].split() if word.isdigit()] == [self.begin, self.end], lines
            assert len(lines) == 3, lines
            return []
        thread, place, what = head.find("Thread"), head.index("Place"), head.index("What")
        return [Row(int(line[:line.index("  ", len(line) - len(line.lstrip()))]),
                    line[thread:place].strip() if thread >= 0 else "", line[place:what].strip(),
                    (len(line[what:]) - len(line[what:].lstrip())) // 2, line[what:].strip()) for line in lines[2:]]

    def in_time(self):
        return sorted(self.events, key=lambda event: event.time)   # stable: threads in their order


def expected_text(recorded, event):
    if event.event == "line":
        return recorded.texts[event.file, event.line] or "(%s)" % event.function
    words = [VERBS[event.event]]
    if event.event in ("call", "resume", "return", "yield", "unwind"):
        words.append(event.function)
    if event.detail:
        words.append(event.detail)
    return " ".join(words)


def within(events, function):
    """The events of each outermost activation of a function, by the depths of its thread alone."""
    active, kept = {}, []
    for event in events:
        depth = active.get(event.thread)
        if depth is not None and event.depth < depth:
            depth = None
        if depth is None and event.function == function:
            depth = event.depth
        if depth is not None:
            kept.append(event)
        if depth == event.depth and event.event in ("return", "yield", "unwind"):
            depth = None
        active[event.thread] = depth
    return kept


class Tests:
    maxDiff = 4000
    python = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="pyrec-trace-text-")
        path = os.path.join(cls.folder.name, "program.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        cls.program = Recorded(cls.folder.name, cls.python, [path])
        cls.with_c = Recorded(cls.folder.name, cls.python, [os.path.join(SAMPLES, "generators.py")], "--c-calls")
        cls.threads = Recorded(cls.folder.name, cls.python, [os.path.join(SAMPLES, "threads.py")])

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def compare(self, recorded, rows, events):
        self.assertEqual([row.time for row in rows], [event.time for event in events])
        names = {thread: name for thread, name, _ in recorded.threads}
        for row, event in zip(rows, events):
            text = re.sub(r" \(\d+ ns\)$", "", row.text) if event.event != "line" else row.text
            self.assertEqual(re.sub(r"^\[\d+\] ", "", text), expected_text(recorded, event), (row, event))
            if event.file:
                self.assertTrue(row.place.endswith(":%d" % event.line), (row, event))
            if row.thread and len(names[event.thread]) <= 14:
                self.assertEqual(row.thread, names[event.thread])

    def test_every_event_in_the_order_of_time(self):
        for recorded in (self.program, self.with_c, self.threads):
            self.compare(recorded, recorded.rows(), recorded.in_time())
        self.assertGreater(len({row.thread for row in self.threads.rows()}), 2)

    def test_indentation_is_the_depth(self):
        for recorded in (self.program, self.threads):
            for row, event in zip(recorded.rows(), recorded.in_time()):
                depth = event.depth - (event.event in ("call", "resume", "return", "yield", "unwind"))
                self.assertEqual(row.level, min(depth, 20), (row, event))
                self.assertEqual(row.text.startswith("[%d] " % depth), depth > 20)

    def test_how_long_an_activation_took(self):
        begun, checked = {}, 0
        for row, event in zip(self.program.rows(), self.program.in_time()):
            if event.event in ("call", "resume"):
                begun[event.depth] = event.time
            if event.event in ("return", "yield", "unwind"):
                self.assertTrue(row.text.endswith(" (%d ns)" % (event.time - begun[event.depth])), row)
                checked += 1
        self.assertGreater(checked, 30)

    def test_windows(self):
        events = self.threads.in_time()
        for a, b in ((.1, .2), (.5, .5), (0, 1), (.3, 2)):
            start = events[int(a * (len(events) - 1))].time
            end = events[min(int(b * len(events)), len(events) - 1)].time
            kept = [event for event in events if start <= event.time <= end]
            self.compare(self.threads, self.threads.rows("--from", "%dns" % start, "--to", "%dns" % end), kept)
            back = self.threads.end - start, self.threads.end - end
            self.compare(self.threads, self.threads.rows("--from", "-%dns" % back[0], "--to", "-%dns" % back[1]), kept)
        self.assertEqual(self.threads.rows("--to", "0"), [])  # told in words, which rows() checks
        self.assertEqual(self.threads.rows("--from", "1000"), [])

    def test_a_function_with_what_is_below(self):
        for function in ("main", "fact", "twice", "fail", "<module>"):
            kept = within(self.program.in_time(), function)
            self.assertGreater(len(kept), 10)
            rows = self.program.rows("--function", function)
            self.compare(self.program, rows, kept)
            self.assertEqual(min(row.level for row in rows), 0)
        name = "Box.values" if support.version(self.python) >= (3, 11) else "values"
        kept = within(self.program.in_time(), name)
        self.compare(self.program, self.program.rows("--function", "values"), kept)
        self.compare(self.program, self.program.rows("--function", "*alues"), kept)
        self.assertEqual({event.function for event in kept}, {name, "basename", "_get_sep"})
        # The window may begin in the middle of an activation.
        middle = kept[len(kept) // 2].time
        self.compare(self.program, self.program.rows("--function", "values", "--from", "%dns" % middle),
                     [event for event in kept if event.time >= middle])

    def test_files(self):
        own = [event for event in self.program.in_time() if event.file.endswith("/program.py")]
        rows = self.program.rows("--file", "program.py")
        self.compare(self.program, rows, own)
        # What is not shown does not indent; what it calls does not either.
        self.assertEqual({row.level for row in self.threads.rows("--file", "threads.py")} & {0, 1, 2}, {0, 1, 2})
        excluded = self.program.rows("--exclude", "*/lib/*", "--exclude", "re:^<")
        self.assertEqual([row.time for row in excluded], [row.time for row in rows])

    def test_threads(self):
        expected = []
        for thread, name, native in self.threads.threads:
            events = [event for event in self.threads.events if event.thread == thread]
            expected += events
            result = support.run([support.PYANALYZE, self.threads.trace, "--format", "trace", "--thread", str(native)])
            self.assertEqual(len(result.out.splitlines()) - 2, len(events), name)
        self.compare(self.threads, self.threads.rows("--per-thread"), expected)

    def test_the_first_rows(self):
        self.assertEqual(self.program.rows("--top", "7"), self.program.rows()[:7])

    def test_units(self):
        time = self.program.in_time()[5].time
        for unit, text in (("s", "%d.%09d" % divmod(time, 10**9)), ("ms", "%d.%06d" % divmod(time, 10**6)),
                           ("us", "%d.%03d" % divmod(time, 1000)), ("ns", "%d" % time)):
            result = support.run([support.PYANALYZE, self.program.trace, "-f", "trace", "--unit", unit])
            self.assertEqual(result.out.decode().splitlines()[7].split()[0], text)

    def test_samples(self):
        trace = os.path.join(self.folder.name, "sampled.bin")
        path = os.path.join(self.folder.name, "busy.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write("def busy():\n    for i in range(3000000):\n        i * i\nbusy()\n")
        support.run([support.PYREC, "run", "--sample", "1ms", "-o", trace, "--python", self.python, path])
        result = support.run([support.PYANALYZE, trace, "-f", "trace", "--file", "busy.py"])
        self.assertRegex(result.out.decode(), r"busy\.py:[23] +sample: busy running\n")
        result = support.run([support.PYANALYZE, trace, "-f", "summary"])
        self.assertRegex(result.out.decode().splitlines()[1], r" thread, \d+ samples$")

    def test_several_runs(self):
        result = support.run([support.PYANALYZE, self.program.trace, self.threads.trace, "-f", "trace"])
        self.assertEqual((result.status, result.out.count(b"Trace of: ")), (0, 2))
        self.assertEqual(len(result.out.splitlines()), len(self.program.events) + len(self.threads.events) + 4)

    def test_a_database_alone_is_refused_in_one_line(self):
        result = support.run([support.PYANALYZE, self.program.trace + ".db", "-f", "trace"])
        self.assertEqual((result.status, result.out), (1, b""))
        self.assertRegex(result.err, rb"^pyanalyze: --format trace: .*trace.*\n$")
        both = support.run([support.PYANALYZE, self.program.trace + ".db", self.program.trace, "-f", "trace"])
        alone = support.run([support.PYANALYZE, self.program.trace, "-f", "trace"])
        self.assertEqual((both.status, both.out), (0, alone.out))

    def test_no_such_function(self):
        result = support.run([support.PYANALYZE, self.program.trace, "-f", "trace", "--function", "nobody"])
        self.assertEqual((result.status, result.err),
                         (1, b"pyanalyze: --function: no recorded function is called 'nobody'\n"))

    @unittest.skipIf("sanitize" in support.BUILD, "a sanitizer keeps what is freed")
    def test_memory_does_not_grow_with_the_trace(self):
        def most(turns):
            path = os.path.join(self.folder.name, "loop.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write("def f(n):\n    return n\nfor i in range(%d):\n    f(i)\n" % turns)
            trace = os.path.join(self.folder.name, "loop.bin")
            support.run([support.PYREC, "run", "-o", trace, "--force", "--python", self.python, path])
            result = support.run([support.PYANALYZE, trace, "-v", "-f", "trace=/dev/null"])
            self.assertEqual(result.status, 0, result)
            return float(re.search(rb"trace: .* at most ([\d.]+) MB", result.err).group(1)), os.path.getsize(trace)
        small, few = most(2000)
        large, many = most(200000)
        self.assertGreater(many, few + 500000)
        # The trace itself is mapped.
        self.assertLess(large - small, 3 + (many - few) / 1e6)

    def test_a_reader_that_leaves_is_no_error(self):
        result = support.run(["bash", "-c", '"$0" "$1" -f trace | head -3; echo ${PIPESTATUS[0]}', support.PYANALYZE,
                              self.threads.trace])
        self.assertEqual((result.out.splitlines()[3:], result.err), ([b"0"], b""))


def make_classes():
    for python in PYTHONS:
        title = "TraceText_on_" + support.version_name(python)
        yield title, type(title, (Tests, unittest.TestCase), {"python": python, "__module__": __name__})


globals().update(make_classes())

if __name__ == "__main__":
    unittest.main()
