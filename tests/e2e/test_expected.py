"""Numbers known in advance: what each sample must have done, whoever counts."""
import os
import unittest

import support
from support import PYTHONS, SAMPLES


def line_of(sample, text, nth=0):
    """The number of the nth line of a sample that contains the text."""
    with open(os.path.join(SAMPLES, sample), encoding="utf-8") as file:
        return [number for number, line in enumerate(file.read().split("\n"), 1) if text in line][nth]


class ExpectedTests:
    python = None

    def record(self, sample, *options, args=(), **more):
        recording = support.Recording(self.python, [os.path.join(SAMPLES, sample), *args], options=options, **more)
        self.addCleanup(recording.close)
        return recording

    def hits(self, recording, sample, text, nth=0):
        rows = recording.query("SELECT sum(hits) FROM lines WHERE file = ? AND line = ?",
                               os.path.join(SAMPLES, sample), line_of(sample, text, nth))
        return rows[0][0]

    def test_recursion(self):
        recording = self.record("recursion.py")
        self.assertEqual(
            recording.query("SELECT name, calls, primitive_calls FROM functions "
                            "WHERE kind = 'function' AND file LIKE '%/recursion.py' ORDER BY name"),
            [("factorial", 20, 1), ("fibonacci", 1973, 1), ("is_even", 32, 2), ("is_odd", 31, 2), ("main", 1, 1)])
        left, right = (line_of("recursion.py", text) for text in ("left =", "right ="))
        self.assertEqual(
            recording.query("SELECT caller_line, sum(calls) FROM edges WHERE caller_function = 'fibonacci' GROUP BY 1"),
            [(left, 986), (right, 986)])
        self.assertEqual(
            recording.value("SELECT sum(outer_cumulative_ns) FROM edges "
                            "WHERE caller_function = 'fibonacci' AND callee_function = 'fibonacci'"), 0)

    def test_threads(self):
        recording = self.record("threads.py")
        self.assertEqual(self.hits(recording, "threads.py", "total += number"), sum(range(100)))
        self.assertEqual(self.hits(recording, "threads.py", "results.append"), 100)
        names = [name for name, in recording.query("SELECT name FROM threads ORDER BY name")]
        self.assertEqual(names, ["MainThread", "worker-0", "worker-1", "worker-2", "worker-3"])

    def test_raw_threads(self):
        recording = self.record("raw_threads.py")
        self.assertEqual(self.hits(recording, "raw_threads.py", "total += i"), 60)
        self.assertEqual(recording.value("SELECT count(*) FROM threads"), 4)

    def test_threads_can_be_left_out(self):
        recording = self.record("threads.py", "--no-threads")
        self.assertEqual(recording.recorded.status, 0)
        self.assertEqual(recording.value("SELECT count(*) FROM threads"), 1)
        self.assertEqual(self.hits(recording, "threads.py", "total += number"), 0)

    def test_fork(self):
        recording = self.record("fork.py")
        self.assertEqual(self.hits(recording, "fork.py", "total += i"), 0 + 10 + 20 + 5 + 100)
        ended = [row[0] for row in recording.query("SELECT ended FROM processes ORDER BY ended")]
        self.assertEqual(ended, ["exit 0", "exit 0", "exit 1", "exit 7", "exit 7"])
        self.assertEqual(recording.query("SELECT calls FROM functions WHERE name = 'main'"), [(1,)])
        self.assertEqual(recording.value("SELECT count(*) FROM processes WHERE how = 'fork'"), 4)
        self.assertEqual(recording.value(
            "SELECT count(*) FROM processes c JOIN processes p ON c.parent_process_id = p.process_id"), 4)

    def test_children_started_in_every_way(self):
        recording = self.record("subprocess_children.py")
        lines = recording.query(
            "SELECT sum(hits), count(DISTINCT file_id) FROM lines WHERE file IN ('<string>', '<stdin>') AND line = 2")
        self.assertEqual(lines[0][0], 7)
        ended = sorted(row[0] for row in recording.query(
            "SELECT ended FROM processes WHERE how != 'first' AND python != ''"))
        self.assertIn("exit 9", ended)
        self.assertIn("exit 11", ended)
        self.assertEqual(recording.value("SELECT count(*) FROM accounts WHERE difference_ns != 0"), 0)

    def test_children_can_be_left_out(self):
        for sample in ("subprocess_children.py", "fork.py"):
            recording = self.record(sample, "--no-children")
            self.assertEqual(recording.recorded.out, recording.plain.out)
            self.assertEqual(recording.value("SELECT count(*) FROM processes"), 1, sample)

    def test_a_child_left_out_takes_no_source(self):
        """It is the first to call a function of a file that was there before the recording began."""
        program = ("import encodings, functools, os\n"
                   "os.register_at_fork(after_in_child=functools.partial(encodings.normalize_encoding, 'a b'))\n"
                   "child = os.fork()\n"
                   "if child:\n"
                   "    os.waitpid(child, 0)\n"
                   "    encodings.normalize_encoding('a b')\n")
        recording = support.Recording(self.python, ["-c", program], ["--no-children"])
        self.addCleanup(recording.close)
        self.assertTrue(recording.value("SELECT source IS NOT NULL FROM files WHERE name = 'encodings/__init__.py'"))

    def test_multiprocessing(self):
        recording = self.record("multiprocessing_pool.py")
        self.assertEqual(self.hits(recording, "multiprocessing_pool.py", "total += i"), 2 * sum(range(20)))
        calls = recording.query(
            "SELECT sum(calls) FROM functions WHERE name = 'solve'")
        self.assertEqual(calls, [(40,)])

    def test_deep_stack(self):
        recording = self.record("deep_stack.py")
        self.assertEqual(self.hits(recording, "deep_stack.py", "return 1 + descend"), 5100)
        reached = self.hits(recording, "deep_stack.py", "depths.append")
        self.assertTrue(900 < reached <= 1000, reached)
        unwound = recording.sql("SELECT count(*) FROM events WHERE event = 'unwind' AND function = 'endless'")
        self.assertTrue(reached <= unwound[0][0] <= reached + 1, (reached, unwound))
        self.assertEqual(recording.value("SELECT max(self_ns) FROM accounts") >= recording.value(
            "SELECT max(cumulative_ns) FROM functions"), True)

    def test_killed(self):
        recording = self.record("killed.py", warnings=b"did not end in order")
        self.assertEqual(recording.recorded.status, -9)
        self.assertEqual(self.hits(recording, "killed.py", "if i == count - 1"), 1000)
        self.assertEqual(self.hits(recording, "killed.py", "os.kill"), 1)
        self.assertEqual(
            recording.query("SELECT depth, f.name, line FROM open_frames JOIN functions f USING (function_id) "
                            "ORDER BY depth"),
            [(0, "<module>", line_of("killed.py", "last(1000)")), (1, "last", line_of("killed.py", "os.kill"))])

    def test_os_exit(self):
        recording = self.record("os_exit.py")
        self.assertEqual(recording.recorded.status, 42)
        self.assertEqual(self.hits(recording, "os_exit.py", "os._exit(42)"), 1)
        self.assertEqual(self.hits(recording, "os_exit.py", "never printed"), 0)

    def test_waiting_is_told_from_running(self):
        recording = self.record("sleeping_vs_busy.py")
        wall, cpu = recording.query(
            "SELECT self_ns, self_cpu_ns FROM functions WHERE name = 'sleep'")[0]
        self.assertGreater(wall, 190 * 1000 * 1000)
        self.assertLess(cpu, wall / 50)
        busy = recording.value("SELECT self_cpu_ns FROM functions WHERE name = 'compute'")
        self.assertGreater(busy, 10 * cpu)     # not a share of its time: the machine may be busy with other things

    def test_exceptions(self):
        recording = self.record("exceptions.py")
        unwound = recording.sql("SELECT count(*) FROM events WHERE event = 'unwind' AND function = 'dive'")
        self.assertEqual(unwound, [(4 + 21 + 1 + 2 + 3,)])
        calls, = recording.query("SELECT calls FROM functions WHERE name = 'dive'")[0]
        self.assertEqual(calls, 4 + 21 + 1 + 2 + 3)

    def test_generators(self):
        recording = self.record("generators.py")
        rows = dict((name, (calls, resumes)) for name, calls, resumes in recording.query(
            "SELECT name, calls, resumes FROM functions WHERE kind = 'generator'"))
        # A generator that is not used up is closed, which resumes it; CPython 3.13 alone knows when that does nothing.
        self.assertEqual(rows["average"], (1, 3 if support.version(self.python)[:2] == (3, 13) else 4))
        self.assertEqual(rows["stubborn"], (1, 2))
        # Of eight countdowns made, one is never iterated. To close it CPython up to 3.11 enters it, as a call.
        self.assertEqual(rows["countdown"][0], 7 if support.version(self.python) >= (3, 12) else 8)

    def test_twins_are_not_mixed_up(self):
        recording = self.record("executed.py")
        twins = recording.query("SELECT sum(calls), sum(hits) FROM functions WHERE name = 'twin'")
        self.assertEqual(twins, [(2, 3)])
        many = recording.query("SELECT sum(calls), sum(hits) FROM functions WHERE file = '<many>'")
        self.assertEqual(many, [(200, 400)])

    def test_names_that_are_not_ascii(self):
        recording = self.record("unicode_names.py")
        names = {name for name, in recording.query("SELECT name FROM functions")}
        self.assertTrue({"größe", "Straße", "наименование", "変数", "grüße"} <= names, names)
        raw = recording.query("SELECT raw_path FROM files WHERE raw_path IS NOT NULL AND path LIKE '%caf%'")
        self.assertEqual([os.path.basename(bytes(path)) for path, in raw], [b"caf\xe9.py"])

    def test_filters(self):
        recording = self.record("weblog", "--include", "similar.py", args=["--lines", "200"])
        files = {os.path.basename(file) for file, in recording.query("SELECT DISTINCT file FROM functions "
                                                                     "WHERE kind != 'outside'")}
        self.assertEqual(files, {"similar.py"})
        recording = self.record("weblog", "--exclude-syspath", args=["--lines", "200"])
        origins = {origin for origin, in recording.query(
            "SELECT origin FROM functions f JOIN files USING (file_id) WHERE kind != 'outside'")}
        self.assertEqual(origins - {"generated"}, {"program"})

    def test_no_source(self):
        recording = self.record("recursion.py", "--no-source")
        self.assertEqual(recording.query("SELECT * FROM files WHERE source IS NOT NULL"), [])


for interpreter in PYTHONS:
    title = "Expected_on_%s" % support.version_name(interpreter)
    globals()[title] = type(title, (ExpectedTests, unittest.TestCase), {
        "python": interpreter, "__module__": __name__})
