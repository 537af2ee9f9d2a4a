"""--format chrometrace: slices that nest, that are the activations of the table `events`, and whose times are those of the
tables to the nanosecond."""
import collections
import json
import re
import unittest

import support

PROGRAM = '''
import threading, sys
def fact(n):
    return 1 if n < 2 else n * fact(n - 1)
def numbers(n):
    for i in range(n):
        yield i
def fails(text):
    try:
        return int(text)
    except ValueError:
        return len(text)
class Box:
    def __init__(self, n):
        self.n = n
    def total(self):
        return sum(numbers(self.n))
def work(n):
    for i in range(n):
        fact(i); fails("x%d" % i); Box(i).total()
    sorted(range(n), key=lambda x: -x)
threads = [threading.Thread(target=work, args=(4 + i,), name="worker %d" % i) for i in range(3)]
for thread in threads:
    thread.start()
work(7)
for thread in threads:
    thread.join()
sys.stdout.write("done\\n")
'''


def ns(number):
    """Microseconds with three decimals, as they stand in the file, in whole nanoseconds."""
    assert re.fullmatch(r"-?\d+\.\d{3}", number), number
    return int(number.replace(".", ""))


class Slice(collections.namedtuple("Slice", "begin end name category at")):
    __slots__ = ()


def read(text):
    """{(pid, tid): [Slice]}, {(pid, tid): name}, [(category, name)] of a file."""
    document = json.loads(text, parse_float=str)
    assert document["displayTimeUnit"] == "ns"
    slices, names, instants = collections.defaultdict(list), {}, []
    stacks, times = collections.defaultdict(list), {}
    for event in document["traceEvents"]:
        key = event["pid"], event["tid"]
        if event["ph"] in "BE":
            time = ns(event["ts"])
            assert times.get(key, time) <= time, event      # no viewer has to sort
            times[key] = time
        if event["ph"] == "B":
            stacks[key].append((time, event["name"], event["cat"], event.get("args", {}).get("at")))
        elif event["ph"] == "E":
            begin, *rest = stacks[key].pop()
            slices[key].append(Slice(begin, time, *rest))
        elif event["ph"] == "i":
            instants.append((event["cat"], event["name"]))
        elif event["name"] == "thread_name":
            names[key] = event["args"]["name"]
        else:
            assert event["name"] == "process_name", event
    assert not any(stacks.values()), stacks
    return slices, names, instants


class ChromeTrace(unittest.TestCase):
    def record(self, python, text, *options, name="program.py"):
        recording = support.Recording(python, [], list(options))
        self.addCleanup(recording.close)
        program = "%s/%s" % (recording.folder, name)
        with open(program, "w", encoding="utf-8") as file:
            file.write(text)
        recording.program = [program]
        self.assertEqual(recording.recorded.status, 0, recording.recorded)
        return recording

    def write(self, recording, *options, status=0):
        result = support.run([support.PYANALYZE, recording.trace, "--format", "chrometrace", *options])
        self.assertEqual(result.status, status, result)
        return result.out if status == 0 else result.err

    def check_nested(self, slices):
        """Each lies within the one that is open when it begins."""
        for thread in slices.values():
            open_ends = []
            for piece in sorted(thread, key=lambda piece: (piece.begin, -piece.end)):
                while open_ends and open_ends[-1] <= piece.begin and not (piece.end == piece.begin == open_ends[-1]):
                    open_ends.pop()
                self.assertTrue(not open_ends or piece.end <= open_ends[-1], piece)
                open_ends.append(piece.end)

    def test_slices_are_the_tables(self):
        for python in support.PYTHONS:
            for options in ((), ("--c-calls",)):
                with self.subTest(support.version_name(python), options=options):
                    recording = self.record(python, PROGRAM, *options)
                    slices, names, instants = read(self.write(recording))
                    self.check_nested(slices)
                    self.assertEqual(sorted(names.values()), ["MainThread", "worker 0", "worker 1", "worker 2"])
                    everything = [piece for thread in slices.values() for piece in thread if piece.category == "python"]
                    counts = collections.Counter(piece.name for piece in everything)
                    times = collections.Counter()
                    for piece in everything:
                        times[piece.name] += piece.end - piece.begin
                    rows = recording.query("SELECT qualname, sum(calls + resumes), sum(cumulative_ns), min(calls = primitive_calls) "
                                           "FROM functions WHERE kind NOT IN ('c', 'outside') AND calls + resumes > 0 GROUP BY 1")
                    for qualname, count, cumulative, is_plain in rows:
                        self.assertEqual(counts[qualname], count, qualname)
                        if is_plain:
                            self.assertEqual(times[qualname], cumulative, qualname)
                    self.assertEqual(sum(counts.values()), sum(row[1] for row in rows))
                    self.assertEqual(sum(kind == "raise" for kind, name in instants),
                                     recording.sql("SELECT count(*) FROM events WHERE event = 'raise'")[0][0])
                    in_c = [piece.name for thread in slices.values() for piece in thread if piece.category == "c"]
                    self.assertEqual(len(in_c), recording.sql("SELECT count(*) FROM events WHERE event = 'c_call'")[0][0])

    def test_lines(self):
        """A slice from each line to the next; of functions that yield nothing, as often and as long as the table says."""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                recording = self.record(python, PROGRAM)
                slices, names, instants = read(self.write(recording, "--lines", "--file", "program.py"))
                self.check_nested(slices)
                seen = collections.Counter(int(piece.name.split(":")[0]) for thread in slices.values() for piece in thread
                                           if piece.category == "line")
                rows = recording.query("SELECT line, hits FROM lines WHERE file LIKE '%program.py' AND hits > 0")
                generator = (5, 6, 7)
                self.assertEqual({line: hits for line, hits in rows if line not in generator},
                                 {line: hits for line, hits in seen.items() if line not in generator})
                self.assertIn("17: return sum(numbers(self.n))",
                              {piece.name for thread in slices.values() for piece in thread})

    def test_windows(self):
        """What a window shows is what the whole shows, cut."""
        recording = self.record(support.PYTHONS[-1], PROGRAM)
        whole, _, _ = read(self.write(recording))
        everything = sorted((key, piece) for key, thread in whole.items() for piece in thread)
        first, last = (limit(piece.begin for key, piece in everything if piece.name == "work") for limit in (min, max))
        some, _, _ = read(self.write(recording, "--from", "%dns" % first, "--to", "%dns" % last))
        cut = sorted((key, piece._replace(begin=max(piece.begin, first), end=min(piece.end, last)))
                     for key, piece in everything if piece.begin <= last and piece.end >= first)
        self.assertEqual(sorted((key, piece) for key, thread in some.items() for piece in thread), cut)
        self.assertGreater(len(cut), 10)

    def test_choices(self):
        recording = self.record(support.PYTHONS[-1], PROGRAM)
        total = "Box.total" if support.version(support.PYTHONS[-1]) >= (3, 11) else "total"
        slices, _, _ = read(self.write(recording, "--function", total))
        self.assertEqual({piece.name for thread in slices.values() for piece in thread}, {total, "numbers"})
        slices, _, _ = read(self.write(recording, "--file", "!program.py"))
        self.assertNotIn("fact", {piece.name for thread in slices.values() for piece in thread})
        self.assertEqual(self.write(recording, "--function", "nowhere", status=1),
                         b"pyanalyze: --function: no recorded function is called 'nowhere'\n")

    def test_what_is_open(self):
        """A program that is killed: its frames end with the last stamp of the thread."""
        recording = support.Recording(support.PYTHONS[-1], [], [])
        self.addCleanup(recording.close)
        program = recording.folder + "/program.py"
        with open(program, "w", encoding="utf-8") as file:
            file.write('import os\ndef a():\n    b()\ndef b():\n    os.kill(os.getpid(), 9)\na()\n')
        recording.program = [program]
        self.assertEqual(recording.recorded.status, -9)
        slices, _, _ = read(self.write(recording, "--file", "program.py"))
        (thread,) = slices.values()
        self.assertEqual([piece.name for piece in sorted(thread)], ["<module>", "a", "b"])
        self.assertEqual(len({piece.end for piece in thread}), 1)


if __name__ == "__main__":
    unittest.main()
