"""Traces of released versions, and of past mistakes: every later reader reads them, to the same result.

tests/corpus/NAME.bin is a trace, NAME.txt what is in it; PYREC_UPDATE_GOLDEN=1 writes the texts anew.
"""
import collections
import glob
import os
import unittest

import support

CORPUS = os.path.join(support.ROOT, "tests", "corpus")
QUERIES = (
    "SELECT python, command, clock, mode, complete, lost_events, events FROM runs",
    "SELECT number, how, ended FROM processes ORDER BY number",
    "SELECT number, name, start_ns, end_ns, events FROM threads ORDER BY number",
    "SELECT event, count(*), sum(self_ns), sum(line), sum(depth) FROM events GROUP BY event ORDER BY event",
    "SELECT qualname, first_line, calls, primitive_calls, resumes, hits, self_ns, self_cpu_ns, cumulative_ns "
    "FROM functions WHERE kind != 'outside' ORDER BY qualname, first_line",
    "SELECT difference_ns FROM accounts WHERE difference_ns != 0",
    "SELECT number, substr(owner, 1, instr(owner, '-')) AS owner, thread_id, start_ns, end_ns FROM windows ORDER BY 1",
    "SELECT text FROM warnings WHERE text LIKE '% took signal %'",
)


class Corpus(unittest.TestCase):
    def traces(self):
        found = sorted(glob.glob(os.path.join(CORPUS, "*.bin")))
        self.assertTrue(found)
        return found

    def test_read_as_ever(self):
        for path in self.traces():
            with self.subTest(os.path.basename(path)):
                command = [support.PYANALYZE, path]
                for query in QUERIES:
                    command += ["--sql", query]
                result = support.run(command)
                self.assertEqual(result.status, 0, result)
                golden = path[:-len(".bin")] + ".txt"
                if os.environ.get("PYREC_UPDATE_GOLDEN"):
                    with open(golden, "wb") as file:
                        file.write(result.out)
                with open(golden, "rb") as file:
                    self.assertEqual(file.read(), result.out)

    def test_second_decoder_agrees(self):
        import decode
        for path in self.traces():
            with self.subTest(os.path.basename(path)):
                result = support.run(
                    [support.PYANALYZE, path, "--sql", "SELECT event, count(*) FROM events GROUP BY 1"])
                theirs = dict(line.split(b"\t") for line in result.out.splitlines()[1:])
                trace = decode.read(path)
                ours = collections.Counter(event.name for event in trace.events())
                windows = support.run([support.PYANALYZE, path, "--sql", "SELECT number, owner FROM windows ORDER BY 1"])
                self.assertEqual([line.decode().split("\t") for line in windows.out.splitlines()[1:]],
                                 [[str(number), window[0]] for process in trace.processes.values()
                                  for number, window in sorted(process.windows.items())])
                self.assertEqual({name: int(number) for name, number in theirs.items()
                                  if name != b"gap"}, {name.encode(): n for name, n in ours.items() if name != "gap"})
