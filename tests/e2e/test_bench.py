"""The reckoning of the benchmarks: a wrong figure is worse than none."""
import collections
import json
import os
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench"))

import nearness  # noqa: E402 (it is there from here on)
import paired  # noqa: E402
import samplers  # noqa: E402
import sampling_table  # noqa: E402
import trace_bytes  # noqa: E402


class Paired(unittest.TestCase):
    def test_ranks_are_those_of_the_tables(self):
        # the sign test's: the median of so many lies between the k-th value from below and from above, 95 %
        for count, rank in ((6, 1), (9, 2), (15, 4), (20, 6), (25, 8), (50, 18), (100, 40)):
            self.assertEqual(paired.ranks(count), (rank - 1, count - rank), count)

    def test_few_disturbed_pairs_do_not_move_it(self):
        pairs = [(1.0, 1.0 + 0.001 * (i % 5)) for i in range(100)] + [(1.0, 30.0)] * 10
        found = paired.relative(pairs)
        self.assertAlmostEqual(found.median, 0.002)
        self.assertLess(found.high, 0.005)
        self.assertEqual(found.pairs, 110)

    def test_turns_visit_both_of_each_pair(self):
        turns = list(paired.turns(4))
        self.assertEqual([second for second, pair in turns], [False, True, True, False] * 2)
        self.assertEqual(collections.Counter(pair for second, pair in turns), {0: 2, 1: 2, 2: 2, 3: 2})


class Nearness(unittest.TestCase):
    LINES = {("a", 2): 0.25, ("b", 5): 0.75}

    def test_what_a_line_calls_is_its_own(self):
        stacks = {(("work", 9), ("a", 2)): 1, (("work", 9), ("a", 2), ("c", 7)): 2, (("work", 9), ("b", 5)): 3,
                  (("work", 9), ("b", 4)): 50, (("a", 2),): 100}
        self.assertEqual(nearness.line_shares(stacks, self.LINES), {("a", 2): 0.5, ("b", 5): 0.5})

    def test_distance(self):
        found = nearness.distance({("a", 2): 0.5, ("b", 5): 0.5}, self.LINES, 75)
        self.assertAlmostEqual(found["most"], 25)
        self.assertAlmostEqual(found["mean"], 25)
        self.assertAlmostEqual(found["most_errors"], 5)     # sqrt(0.25 * 0.75 / 75) = 0.05

    def test_shares_of_several_runs(self):
        self.assertEqual(nearness.summed([{"a": (1, 0), "b": (2, 0)}, {"a": (1, 0)}], 0), {"a": 0.5, "b": 0.5})


class Readers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "file")

    def write(self, text):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def test_folded(self):
        self.write("<module> (a b.py:3);f (x.py:10) 7\n<outside> 4\n")
        self.assertEqual(samplers.read_folded(self.path), {(("<module>", 3), ("f", 10)): 7, (): 4})

    def test_session(self):
        frames = ["MainThread\0<thread>\x001", "f\0/x.py\x0010\x01l12", "sum\0<built-in>\x000"]
        self.write(json.dumps({"sample_count": 2, "frame_records": [[frames, 0.5], [frames[:2], 0.25]]}))
        self.assertEqual(samplers.read_session(self.path), ({(("f", 12),): 0.75}, 2))


class Table(unittest.TestCase):
    def test_a_row_a_profiler(self):
        figure = {"sampler": {"median": 0.0512}, "slowdown": {"median": -0.001}, "lines": {"mean": 0.25, "most": 1}}
        peers = {"versions": {"py-spy": "1.2"}, "100": {"py-spy nonblocking": figure}, "1000": {"py-spy nonblocking": figure}}
        text = sampling_table.markdown({"versions": {"3.1": {"figures": {"peers": peers}}, "3.2": {"figures": {}},
                                                     "3.3": {"figures": {"peers": peers}}}})
        self.assertEqual(text.splitlines()[2], "| py-spy 1.2 nonblocking | 5.1 / 5.1 | 5.1 / 5.1 | -0.1 / -0.1 | 0.25 / 0.25 | "
                                               "1.00 / 1.00 |")
        self.assertIn("(3.1 / 3.3)", text)
        self.assertEqual(sampling_table.markdown({"versions": {"3.2": {"figures": {}}}}), "")


class Size(unittest.TestCase):
    def test_room_for_what_comes_is_not_counted(self):
        def chunk(capacity, length):
            return (b"0123456789abcdef" + struct.pack("<IIIIIIQQQ", 0, 6, 1, 1, 1, 0, 0, capacity, length)).ljust(capacity, b"x")

        with tempfile.NamedTemporaryFile() as file:
            file.write(b"\0" * 16 + b"0123456789abcdef" + b"\0" * 4064 + chunk(4096, 10) + chunk(65536, 1000) + b"\0" * 4096)
            file.flush()
            self.assertEqual(trace_bytes.used(file.name), 4096 + 106 + 1096)


if __name__ == "__main__":
    unittest.main()
