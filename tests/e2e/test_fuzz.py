"""The inputs of the fuzz targets once more, without a fuzzer: seeds, and whatever broke something in the past.

tests/corpus/TARGET/ holds them, build/fuzz/TARGET (tests/fuzz/fuzz_TARGET.c) says what must hold of each.
"""
import glob
import os
import re
import tempfile
import unittest

import support

CORPUS = os.path.join(support.ROOT, "tests", "corpus")
TARGETS = sorted(os.path.basename(path)[len("fuzz_"):-len(".c")]
                 for path in glob.glob(os.path.join(support.ROOT, "tests", "fuzz", "fuzz_*.c")))


def replay(target, *paths):
    return support.run([os.path.join(support.BUILD, "fuzz", target), *paths])


class Replay(unittest.TestCase):
    def test_corpus(self):
        self.assertTrue(TARGETS)
        for target in TARGETS:
            with self.subTest(target):
                folder = os.path.join(CORPUS, target)
                result = replay(target, folder)
                self.assertEqual(result.status, 0, result)
                inputs = len(os.listdir(folder))
                self.assertGreater(inputs, 0)
                self.assertEqual(int(re.search(rb"^(\d+) inputs$", result.err, re.M)[1]), inputs)

    def test_traces(self):
        """The traces of released versions are inputs as well."""
        traces = sorted(glob.glob(os.path.join(CORPUS, "*.bin")))
        self.assertTrue(traces)
        result = replay("trace", *traces)
        self.assertEqual(result.status, 0, result)

    def test_made_of_traces(self):
        """Databases follow the schema of the day, so these inputs are made when they are needed."""
        trace = os.path.join(CORPUS, "1-exceptions-3.13.bin")
        with tempfile.TemporaryDirectory() as folder:
            for kind, target in (("packed", "replay"), ("packed", "profile"), ("rows", "rows"), ("database", "database")):
                path = os.path.join(folder, kind)
                made = support.run([os.path.join(support.BUILD, "fuzz-seeds"), kind, trace, path])
                self.assertEqual(made.status, 0, made)
                result = replay(target, path)
                self.assertEqual(result.status, 0, result)
            # As small as it can be, and a database that pyanalyze takes.
            result = support.run([support.PYANALYZE, path, "--sql", "SELECT count(*) > 9 FROM functions"])
            self.assertEqual(result.out.split()[-1:], [b"1"], result)

    def test_nothing_to_do_is_an_error(self):
        self.assertNotEqual(replay(TARGETS[0]).status, 0)
        self.assertNotEqual(replay(TARGETS[0], "/nowhere").status, 0)
