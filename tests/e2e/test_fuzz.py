"""The inputs of the fuzz targets once more, without a fuzzer: seeds, and whatever broke something in the past.

tests/corpus/TARGET/ holds them, build/fuzz/TARGET (tests/fuzz/fuzz_TARGET.c) says what must hold of each.
"""
import glob
import os
import re
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

    def test_nothing_to_do_is_an_error(self):
        self.assertNotEqual(replay(TARGETS[0]).status, 0)
        self.assertNotEqual(replay(TARGETS[0], "/nowhere").status, 0)
