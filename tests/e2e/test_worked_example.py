"""The worked example: section 8 of TRACE.md is these bytes, and they have the sums that were worked out by hand."""
import hashlib
import os
import sqlite3
import tempfile
import unittest

import support

import trace_writer as w
from test_spec import worked_example

SOURCE = b"def f(n):\n    if n: f(n - 1)\n\n\nf(2)\n"


def example():
    """The program of SOURCE in one process and thread; one tick of one ns an event."""
    digest = hashlib.sha256(SOURCE).digest()
    run = w.setting("mode", "exact") + w.setting("argv", "f.py")
    facts = w.process(pid=100, base=1, ticks=1000, monotonic=1000, executable="python3", python="3.11.2", cwd="/p",
                      command=b"python3\0f.py\0")
    facts += w.thread(1, 100, "MainThread", True)
    facts += w.file(1, "/p/f.py", "f.py", 0, digest, len(SOURCE))
    facts += w.code(2, 1, 1, [1, 5], "<module>", module="__main__", flags=2)
    facts += w.code(3, 1, 1, [2], "f", module="__main__", nested=3)
    facts += w.end(0, 0, 1010, 1010)
    events = w.stack(1, 0, 0, [])
    events += w.call(0, 2) + w.line(0, 4)
    events += (w.call(1, 3) + w.line(1, 1)) * 3
    events += w.ret(1) * 4
    at = {"ticks": 1000, "monotonic": 1000}
    return (w.header(realtime=1700000000 * 10**9, monotonic=1000, ticks=1000) + w.chunk(w.RUN, run, **at) +
            w.chunk(w.FACTS, facts, process=1, **at) + w.chunk(w.EVENTS, events, process=1, thread=1, **at) +
            w.chunk(w.SOURCE, w.varint(1) + w.varint(0) + w.varint(len(SOURCE)) + SOURCE, process=1, **at))


def dump(data):
    """The lines that are not zero, and the last, as TRACE.md shows them."""
    return "".join("    %04x: %s\n" % (at, data[at:at + 16].hex(" ")) for at in range(0, len(data), 16)
                   if any(data[at:at + 16]) or at + 16 == len(data))


class Sums(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        trace, path = os.path.join(cls.folder.name, "t.bin"), os.path.join(cls.folder.name, "t.db")
        with open(trace, "wb") as file:
            file.write(example())
        result = support.run([support.PYANALYZE, trace, "--db", path])
        assert result.status == 0, result
        cls.db = sqlite3.connect(path)

    @classmethod
    def tearDownClass(cls):
        cls.db.close()
        cls.folder.cleanup()

    def rows(self, sql):
        return self.db.execute(sql).fetchall()

    def test_document_has_these_bytes(self):
        shown, _ = worked_example()
        self.assertEqual(dump(shown), dump(example()))

    def test_self(self):
        self.assertEqual(self.rows("SELECT f.name, line, s.self_ns FROM line_stats s JOIN functions f USING (function_id) "
                                   "WHERE s.self_ns ORDER BY 1, 2"),
                         [("<module>", 5, 2), ("f", 1, 3), ("f", 2, 5)])

    def test_cumulative(self):
        self.assertEqual(self.rows("SELECT f.name, line, s.cumulative_ns FROM line_stats s "
                                   "JOIN functions f USING (function_id) WHERE s.cumulative_ns ORDER BY 1, 2"),
                         [("<module>", 5, 10), ("f", 1, 3), ("f", 2, 7)])
        self.assertEqual(self.rows("SELECT name, cumulative_ns, calls, primitive_calls FROM functions ORDER BY 1"),
                         [("<module>", 10, 1, 1), ("f", 8, 3, 1)])

    def test_edges(self):
        self.assertEqual(self.rows("SELECT caller_function, caller_line, callee_function, calls, primitive_calls, "
                                   "cumulative_ns, outer_cumulative_ns, cumulative_hits FROM edges ORDER BY 1, 2"),
                         [(None, None, "<module>", 1, 1, 10, 10, 4), ("<module>", 5, "f", 1, 1, 8, 8, 3),
                          ("f", 2, "f", 2, 1, 5, 0, 2)])

    def test_contexts(self):
        self.assertEqual(self.rows("SELECT f.name, c.calls, c.recursive_calls, c.self_ns, c.cumulative_ns "
                                   "FROM contexts c LEFT JOIN functions f USING (function_id) ORDER BY context_id"),
                         [(None, 0, 0, 0, 10), ("<module>", 1, 0, 2, 10), ("f", 3, 2, 8, 8)])

    def test_books_close(self):
        self.assertEqual(self.rows("SELECT wall_ns, self_ns, self_cpu_ns, gap_ns, difference_ns FROM accounts"),
                         [(10, 10, 10, 0, 0)])
        self.assertEqual(self.rows("SELECT complete, duration_ns, lost_events, events FROM runs"), [(1, 10, 0, 12)])
        self.assertEqual(self.rows("SELECT * FROM warnings"), [])

    def test_lines_have_text(self):
        self.assertEqual(self.rows("SELECT line, function, hits, executable, text FROM lines ORDER BY line"),
                         [(1, "<module>", 0, 1, "def f(n):"), (2, "f", 3, 1, "    if n: f(n - 1)"),
                          (5, "<module>", 1, 1, "f(2)")])


if __name__ == "__main__":
    unittest.main()
