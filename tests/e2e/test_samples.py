"""Every sample on every interpreter: the program does not notice, and the numbers are right.

What "right" means comes from elsewhere: a decoder written from the specification alone, the standard library's tracer
and profiler, pprofile, callgrind_annotate, the sqlite3 shell.
"""
import collections
import os
import re
import signal
import unittest

import support
from support import PYTHONS, SAMPLES

# What a sample is, as far as it matters to what can be compared:
#   steady    its own lines are executed equally often each time
#   single    one thread, one process
#   args      what it is run with
Sample = collections.namedtuple("Sample", "steady single args")
SAMPLE_TABLE = {
    "async_tasks.py": Sample(True, True, []),
    "classes.py": Sample(True, True, []),
    "comprehensions.py": Sample(True, True, []),
    "daemon_threads.py": Sample(False, False, []),
    "deep_stack.py": Sample(False, False, []),
    "exceptions.py": Sample(True, True, []),
    "executed.py": Sample(True, True, []),
    "fork.py": Sample(True, False, []),
    "generators.py": Sample(True, True, []),
    "imports.py": Sample(True, True, []),
    "killed.py": Sample(False, True, []),
    "multiprocessing_pool.py": Sample(False, False, []),
    "os_exit.py": Sample(True, True, []),
    "raw_threads.py": Sample(True, False, []),
    "recursion.py": Sample(True, True, []),
    "sleeping_vs_busy.py": Sample(False, False, []),
    "subprocess_children.py": Sample(False, False, []),
    "threads.py": Sample(True, False, []),
    "unicode_names.py": Sample(True, True, []),
    "weblog": Sample(True, False, ["--lines", "300"]),
}
KILLED = {"killed.py"}
# Up to 3.10 threads that run on at the end crash the interpreter by itself, one time in a few hundred.
CRASHING = {"daemon_threads.py"}
# pprofile does not follow forks and raw threads, and takes executed code for the file whose globals it runs in.
NOT_BY_PPROFILE = {"fork.py", "raw_threads.py", "os_exit.py", "classes.py", "executed.py", "unicode_names.py"}

GOLDEN = os.path.join(support.ROOT, "tests", "golden", "samples")
GOLDEN_VERSIONS = (3, 11), (3, 13)     # one of each backend
STRUCTURE = (
    ("# functions: file, line, name, kind, calls, primitive calls, resumes, hits",
     "SELECT file, first_line, qualname, kind, sum(calls), sum(primitive_calls), sum(resumes), sum(hits) FROM functions "
     "WHERE file LIKE ? || '%' GROUP BY file, first_line, qualname, kind ORDER BY 1, 2, 3"),
    ("# lines: file, line, function, hits",
     "SELECT file, line, function, sum(hits) FROM lines WHERE file LIKE ? || '%' AND (executable OR hits) "
     "GROUP BY file, line, function ORDER BY 1, 2, 3"),
    ("# edges: caller, line, callee, calls, primitive calls, resumes",
     "SELECT caller_function, caller_line, callee_function, sum(calls), sum(primitive_calls), sum(resumes) FROM edges "
     "WHERE caller_file LIKE ?1 || '%' AND callee_file LIKE ?1 || '%' "
     "GROUP BY caller_file, caller_function, caller_line, callee_file, callee_function, callee_line "
     "ORDER BY caller_file, caller_line, callee_file, callee_line"),
)


def hits_by_line(rows, path):
    """{(file, line): hits} of the program's own files."""
    table = collections.Counter()
    for file, line, hits in rows:
        if file.startswith(path) and line and hits:
            table[file, line] += hits
    return table


class CrashingRecording(support.Recording):
    """Of a program at whose end CPython itself crashes now and then, recorded or not: once more, if it did."""

    def run(self, command):
        for _ in range(4):
            result = super().run(command)
            if result.status != -signal.SIGSEGV:
                break
        return result


class SampleTests:
    """The tests; a class a sample and interpreter is made from it below."""

    maxDiff = 4000
    python = sample = None

    @classmethod
    def setUpClass(cls):
        cls.path = os.path.join(SAMPLES, cls.name)
        warnings = b"did not end in order" if cls.name in KILLED else b""
        crashing = cls.name in CRASHING and support.version(cls.python) < (3, 11)
        kind = CrashingRecording if crashing else support.Recording
        cls.recording = kind(cls.python, [cls.path] + cls.sample.args, warnings=warnings)

    @classmethod
    def tearDownClass(cls):
        cls.recording.close()

    def own_hits(self):
        return hits_by_line(self.recording.query("SELECT file, line, hits FROM lines"), self.path)

    def count(self, tool):
        return support.count(self.python, tool, self.recording.program, self.recording.folder)

    def need(self, condition, reason):
        if not condition:
            self.skipTest(reason)

    # ---- the program

    def test_program_does_not_notice(self):
        plain, recorded = self.recording.plain, self.recording.recorded
        self.assertEqual(plain.out, recorded.out, recorded)
        self.assertEqual(plain.err, recorded.err, recorded)
        self.assertEqual(plain.status, recorded.status, recorded)

    # ---- the trace and the database

    def test_second_decoder_agrees(self):
        import decode
        recording = self.recording
        self.assertTrue(recording.database_path)
        trace = decode.read(recording.trace)
        self.assertEqual((trace.damaged, trace.skipped, trace.errors, trace.lost_events), (0, 0, 0, 0))
        theirs = iter(recording.tsv(
            "SELECT t.number, e.time_ns, e.event, e.line, e.depth, e.activation, e.file, e.function, "
            "coalesce(e.detail, '') FROM events e JOIN threads t USING (thread_id) ORDER BY t.number, e.seq"))
        names = {}
        counts = collections.Counter()
        for event in trace.events():
            key = event.file, event.function, event.detail
            if key not in names:
                names[key] = "\t".join(escaped(printable(name)) for name in key).encode()
            thread, number = event.activation
            mine = b"%d\t%d\t%s\t%d\t%d\t%d\t%s" % (
                event.thread, event.time_ns, event.name.encode(), event.line, event.depth, thread << 40 | number,
                names[key])
            other = next(theirs, None)
            if mine != other:
                self.assertEqual(mine, other, "event %d of thread %d" % (counts[event.thread], event.thread))
            counts[event.thread] += 1
        self.assertIsNone(next(theirs, None))
        self.assertEqual(
            counts, collections.Counter(dict(recording.query("SELECT number, events FROM threads WHERE events > 0"))))

    def test_books_close(self):
        query = self.recording.query
        accounts = query("SELECT wall_ns, self_ns, gap_ns, difference_ns FROM accounts")
        self.assertTrue(accounts)
        for wall, self_ns, gap, difference in accounts:
            self.assertEqual(difference, 0)
            self.assertEqual(wall, self_ns + gap)
        total = sum(row[1] for row in accounts)
        outside = self.recording.value(
            "SELECT coalesce(sum(self_ns), 0) FROM functions WHERE kind = 'outside'")
        self.assertEqual(self.recording.value("SELECT sum(self_ns) FROM functions"), total)
        self.assertEqual(self.recording.value("SELECT sum(self_ns) FROM lines") + outside, total)
        self.assertEqual(self.recording.value("SELECT sum(self_ns) FROM contexts"), total)
        self.assertEqual(self.recording.value("SELECT sum(hits) FROM lines"),
                         self.recording.value("SELECT sum(hits) FROM functions"))
        self.assertEqual(self.recording.value("SELECT sum(hits) FROM lines"),
                         self.recording.value("SELECT sum(hits) FROM line_stats"))
        self.assertEqual(self.recording.value("SELECT sum(calls) FROM functions"),
                         self.recording.value("SELECT sum(calls) FROM edges"))
        worst = self.recording.value("SELECT max(cumulative_ns) FROM functions")
        self.assertLessEqual(worst, total)

    def test_database_is_sound(self):
        shell = support.run(["sqlite3", self.recording.database_path,
                             "PRAGMA integrity_check; PRAGMA foreign_key_check; PRAGMA application_id;"])
        self.assertEqual(shell.out.split(), [b"ok", str(0x50595243).encode()], shell)
        # Line 0 is where CPython says that a module without statements is executed.
        self.assertEqual(self.recording.query(
            "SELECT file, line FROM lines WHERE hits > 0 AND line > 0 AND NOT executable"), [])
        warnings = self.recording.value("SELECT count(*) FROM warnings")
        self.assertEqual(warnings, 1 if self.name in KILLED else 0)

    def test_ends(self):
        """Every process ended as it did, and is written down so."""
        ended = self.recording.value("SELECT ended FROM processes WHERE how = 'first'")
        status = self.recording.recorded.status
        # Of the first process only its parent learns the signal, and that is not ours.
        self.assertEqual(ended, "exit %d" % status if status >= 0 else "unknown")
        complete = self.recording.value("SELECT complete FROM runs")
        self.assertEqual(complete, 0 if self.name in KILLED else 1)

    # ---- hits and calls, counted by others

    def test_hits_as_counted_by_the_hook(self):
        self.need(self.sample.steady, "sample whose counts differ from run to run")
        tool = "settrace" if support.version(self.python) < (3, 12) else "monitoring"
        self.assertEqual(hits_by_line(self.count(tool), self.path), self.own_hits())

    def test_hits_as_counted_by_trace(self):
        self.need(self.sample.steady and self.sample.single, "sample that the trace module cannot count")
        self.need(support.version(self.python) < (3, 12), "the trace module counts by another hook from 3.12 on")
        counted = hits_by_line(self.count("trace"), self.path)
        self.assertTrue(counted)
        own = self.own_hits()
        self.assertEqual(counted, collections.Counter({key: own[key] for key in counted}))
        # It sees only code whose globals have a __file__, that is all of the sample's own.
        self.assertEqual(sorted(counted), sorted(own))

    def test_hits_as_counted_by_pprofile(self):
        self.need(self.sample.steady, "sample whose counts differ from run to run")
        self.need(support.version(self.python) < (3, 12), "pprofile counts by another hook from 3.12 on")
        self.need(support.pprofile_path(), "pprofile is not installed")
        self.need(self.name not in NOT_BY_PPROFILE, "sample that pprofile cannot count")
        counted = hits_by_line(self.count("pprofile"), self.path)
        # A documented trait of pprofile: each entry of a frame is a hit of the line where it enters.
        for file, line, entries in self.recording.sql(
                "SELECT e.file, e.line, count(*) FROM events e JOIN functions f USING (function_id) "
                "WHERE event IN ('call', 'resume') AND (kind != 'module' OR %d) GROUP BY 1, 2"
                % (support.version(self.python) < (3, 11))):
            if (file, line) in counted:
                counted[file, line] -= entries
        self.assertEqual(+counted, self.own_hits())

    def test_calls_as_counted_by_cprofile(self):
        self.need(self.sample.steady and self.sample.single, "sample that cProfile cannot count")
        theirs = {(file, line, name): (primitive, calls)
                  for file, line, name, primitive, calls in self.count("cprofile") if file.startswith(self.path)}
        rows = self.recording.query(
            "SELECT file, first_line, name, sum(primitive_calls), sum(calls), sum(resumes), kind FROM functions "
            "GROUP BY file, first_line, name HAVING sum(calls) + sum(resumes) > 0")
        ours = {}
        for file, line, name, primitive, calls, resumes, kind in rows:
            if not file.startswith(self.path):
                continue
            key = file, line, name
            self.assertIn(key, theirs)
            ours[key] = (primitive if kind != "generator" else theirs[key][0], calls + resumes)
        self.assertEqual(ours, theirs)

    # ---- outputs

    def test_golden(self):
        """What the database says of the sample's own code, times apart; PYREC_UPDATE_GOLDEN=1 writes it anew."""
        self.need(self.sample.steady, "sample whose counts differ from run to run")
        minor = support.version(self.python)[:2]
        self.need(minor in GOLDEN_VERSIONS, "golden outputs are kept for CPython %s"
                  % " and ".join("%d.%d" % version for version in GOLDEN_VERSIONS))
        path = os.path.join(GOLDEN, "%s-%d.%d.txt" % (self.name.replace(".py", ""), *minor))
        text = self.structure()
        if os.environ.get("PYREC_UPDATE_GOLDEN"):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), text)

    def structure(self):
        lines = []
        for title, query in STRUCTURE:
            lines.append(title)
            rows = self.recording.query(query, self.path)
            lines += ["  ".join("" if cell is None else str(cell) for cell in row) for row in rows]
            lines.append("")
        return "\n".join(lines).replace(os.path.dirname(self.path) + "/", "")

    def test_callgrind_totals(self):
        out = os.path.join(self.recording.folder, "callgrind.out.sample")
        self.assertTrue(self.recording.database_path)
        result = support.run([support.PYANALYZE, self.recording.trace, "--format", "callgrind=" + out])
        self.assertEqual(result.status, 0, result)
        annotated = support.run(["callgrind_annotate", "--threshold=100", out])
        self.assertEqual(annotated.status, 0, annotated)
        self.assertNotRegex(annotated.err.decode(), "(?i)warn|error")
        text = annotated.out.decode("utf-8", "replace")
        events = re.search(r"Events shown:\s+(.*)", text).group(1).split()
        total = next(line for line in text.splitlines() if "PROGRAM TOTALS" in line)
        numbers = support.decimal(re.sub(r"\([^)]*\)", "", total))
        totals = dict(zip(events, numbers))
        self.assertEqual(totals["ns"], self.recording.value("SELECT sum(self_ns) FROM functions"))
        hits = self.recording.value("SELECT sum(hits) FROM lines")
        self.assertIn(hits, totals.values(), totals)


def printable(text):
    """Names as the database has them: each byte that is not UTF-8 is U+FFFD."""
    data = b"".join(
        letter.encode("utf-8", "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass")
        for letter in text)
    return re.sub("[\udc80-\udcff]", "\ufffd", data.decode("utf-8", "surrogateescape"))


def escaped(text):
    """As pyanalyze writes names in tab-separated values."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def make_classes():
    for python in PYTHONS:
        for name, sample in SAMPLE_TABLE.items():
            title = "%s_on_%s" % (name.replace(".py", "").title().replace("_", ""), support.version_name(python))
            yield title, type(title, (SampleTests, unittest.TestCase), {
                "python": python, "name": name, "sample": sample, "__module__": __name__})


globals().update(make_classes())


class SampleTable(unittest.TestCase):
    def test_every_sample_is_listed(self):
        names = {name for name in os.listdir(SAMPLES) if name not in ("README.md", "__pycache__")}
        self.assertEqual(names, set(SAMPLE_TABLE))
