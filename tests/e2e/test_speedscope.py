"""--format speedscope, and --format chrometrace of samples: files that speedscope's importer takes, whose stacks and weights
are those of the tables and of the folded stacks to the nanosecond."""
import collections
import json
import os
import tempfile
import unittest

import support
import test_chrometrace
import test_random_traces as exact

import random_samples
import random_trace
import trace_writer as w

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


class Profile(collections.namedtuple("Profile", "name unit start end stacks")):
    """stacks: [(frames, outermost first, weight)], in the order of time; frames: (name, file, line)."""
    __slots__ = ()

    def sums(self):
        out = collections.Counter()
        for stack, weight in self.stacks:
            out[stack] += weight
        return out


def check_sampled(profile):
    """What the schema and the importer (importSampledProfile) ask for."""
    assert set(profile) == {"type", "name", "unit", "samples", "weights", "startValue", "endValue"}, profile.keys()
    assert len(profile["samples"]) == len(profile["weights"])
    assert all(isinstance(weight, int) and weight > 0 for weight in profile["weights"])
    return list(zip(map(tuple, profile["samples"]), profile["weights"]))


def check_evented(profile):
    """The same of importEventedProfile: times never go back, what closes is what is open, nothing stays open."""
    assert set(profile) == {"type", "name", "unit", "events", "startValue", "endValue"}, profile.keys()
    stacks, stack, before = [], (), profile["startValue"]
    for event in profile["events"]:
        assert set(event) == {"type", "frame", "at"}, event
        assert before <= event["at"] <= profile["endValue"], event
        if event["at"] > before:
            stacks.append((stack, event["at"] - before))
        before = event["at"]
        if event["type"] == "O":
            stack += event["frame"],
        else:
            assert (event["type"], event["frame"]) == ("C", stack[-1]), event
            stack = stack[:-1]
    assert stack == (), stack
    return stacks + ([((), profile["endValue"] - before)] if before < profile["endValue"] else [])


def read(text):
    """{name of a profile: Profile}"""
    document = json.loads(text)
    assert set(document) == {"$schema", "exporter", "name", "profiles", "shared"} and document["$schema"] == SCHEMA
    assert document["name"] and document["exporter"].startswith("pyrec@")
    frames = []
    for frame in document["shared"]["frames"]:
        assert set(frame) in ({"name"}, {"name", "file", "line"}), frame
        frames.append((frame["name"], frame.get("file"), frame.get("line")))
    assert len(set(frames)) == len(frames) or any(name.startswith("<") for name, _, _ in frames), frames
    out, used = [], set()
    for profile in document["profiles"]:
        assert profile["unit"] in ("nanoseconds", "none")
        assert profile["startValue"] <= profile["endValue"]
        stacks = {"sampled": check_sampled, "evented": check_evented}[profile["type"]](profile)
        used.update(number for stack, _ in stacks for number in stack)
        out.append(Profile(profile["name"], profile["unit"], profile["startValue"], profile["endValue"],
                           [(tuple(frames[number] for number in stack), weight) for stack, weight in stacks]))
    assert used <= set(range(len(frames))), used
    return out


def folded_frame(frame):
    name, file, line = frame if frame[1] is not None else ("<unknown>", "<unknown>", 0)
    return ("%s (%s:%d)" % (name, file, line)).replace(";", ":")


def fold(stack):
    """As folded stacks have it: recursion returns to the frame that is there already; the import machinery is left out."""
    out = []
    for frame in map(folded_frame, stack):
        out = out[:out.index(frame)] + [frame] if frame in out else out + [frame]
    return ";".join(frame for frame in out if "(<frozen importlib" not in frame) or "<outside>"


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pyrec-speedscope-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.trace = self.folder + "/t.bin"

    def write(self, data):
        with open(self.trace, "wb") as file:
            file.write(data)

    def run_it(self, *options, status=0):
        result = support.run([support.PYANALYZE, self.trace, *options])
        self.assertEqual(result.status, status, result)
        return (result.err if status else result.out).decode()

    def rows(self, sql, *options):
        return [tuple(row.values()) for row in json.loads(self.run_it("--json", "--sql", sql, *options))]


PERIOD = 1000   # ns


class Samples(Files):
    """A trace of a few samples, byte by byte."""

    def setUp(self):
        super().setUp()
        facts = w.process(pid=77) + w.file(1, "/p/\u00e4 \x01\"\\.py", "\u00e4 \x01\"\\.py") + \
            w.file(2, "/p/lib.py", "lib.py") + \
            w.code(2, 1, 1, [2, 3, 4], "main") + w.code(3, 1, 10, [11, 12], "f\ud800\t".encode("utf-8", "surrogatepass")) + \
            w.code(4, 2, 5, [6, 7], "g") + w.thread(1, 77, "Main", 1) + w.thread(2, 78, "other", 0) + \
            w.end(0, 0, 20 * PERIOD, 20 * PERIOD)
        units = w.units(PERIOD, 100)
        one = units + w.node(0, 2, 1) + w.node(1, 3, 1) + w.node(2, 4, 1) + w.node(2, 4, 2) + w.node(1, 3, 2)
        one += w.sample(0, 1, 1, 9)      # main
        one += w.sample(0, 1, 3, 10)     # main f:11 g:6
        one += w.sample(2, 2, 4)         # main f:11 g:7, blocked
        one += w.same(3, 3)              # three more of them
        one += w.sample_gap(4, 1)        # paused
        one += w.sample(1, 1, 5)         # main f:12, waiting for the GIL
        one += w.sample(0, 1, 0, 5)      # no frame
        two = units + w.node(0, 4, 1) + w.sample(0, 2, 1, 20)
        self.write(w.header() + w.chunk(w.RUN, w.setting("mode", "sample") + w.setting("argv", "app.py")) +
                   w.chunk(w.FACTS, facts, process=1) + w.chunk(w.SAMPLES, one, process=1, thread=1, ticks=3 * PERIOD) +
                   w.chunk(w.SAMPLES, two, process=1, thread=2, ticks=5 * PERIOD))

    FRAMES = ('"shared":{"frames":[\n'
              '{"name":"main","file":"\u00e4 \\\\x01\\"\\\\.py","line":1},\n'
              '{"name":"f\ufffd\ufffd\ufffd\\\\t","file":"\u00e4 \\\\x01\\"\\\\.py","line":10},\n'
              '{"name":"g","file":"lib.py","line":5}\n'
              ']}}\n')

    def test_bytes(self):
        text = self.run_it("-f", "speedscope")
        self.assertEqual(text.replace(text.split('"exporter":"')[1].split('"')[0], "pyrec@1"), (
            '{"$schema":"https://www.speedscope.app/file-format-schema.json","exporter":"pyrec@1",\n'
            '"name":"app.py",\n'
            '"profiles":[\n'
            '{"type":"sampled","name":"Main [77] of process 77","unit":"nanoseconds","samples":[\n'
            '[0],\n[0,1,2],\n[],\n[0,1],\n[]\n],"weights":[\n'
            '1000,\n6000,\n4000,\n1000,\n1000\n],"startValue":3000,"endValue":16000},\n'
            '{"type":"sampled","name":"other [78] of process 77","unit":"nanoseconds","samples":[\n'
            '[2]\n],"weights":[\n2000\n],"startValue":5000,"endValue":7000}\n],\n' + self.FRAMES))
        read(text)

    def weights(self, *options):
        return [([name for name, _, _ in stack], weight) for profile in read(self.run_it("-f", "speedscope", *options))
                for stack, weight in profile.stacks]

    F = "f\ufffd\ufffd\ufffd\\t"

    def test_what_is_weighed(self):
        """By CPU time nothing that waited has a place, by samples each counts as one."""
        self.assertEqual(self.weights("--by", "cpu"), [(["main"], 900), (["main", self.F, "g"], 1000), ([], 500), (["g"], 2000)])
        self.assertEqual(self.weights("--by", "hits"),
                         [(["main"], 1), (["main", self.F, "g"], 5), (["main", self.F], 1), ([], 1), (["g"], 1)])
        profiles = read(self.run_it("-f", "speedscope", "--by", "hits"))
        self.assertEqual([(p.unit, p.start, p.end) for p in profiles], [("none", 0, 8), ("none", 0, 1)])

    def test_lines(self):
        """Each in the slice of its function; what is called from another line begins anew."""
        profile = read(self.run_it("-f", "speedscope", "--lines"))[0]
        self.assertEqual([([(name, line) for name, _, line in stack], weight) for stack, weight in profile.stacks], [
            ([("main", 1), ("line 2", 2)], 1000),
            ([("main", 1), ("line 2", 2), (self.F, 10), ("line 11", 11), ("g", 5), ("line 6", 6)], 1000),
            ([("main", 1), ("line 2", 2), (self.F, 10), ("line 11", 11), ("g", 5), ("line 7", 7)], 5000),
            ([], 4000),
            ([("main", 1), ("line 2", 2), (self.F, 10), ("line 12", 12)], 1000),
            ([], 1000)])

    def test_windows(self):
        """A sample that reaches into a window counts for the time that lies in it."""
        self.assertEqual(self.weights("--from", "3500ns", "--to", "5500ns"),
                         [(["main"], 500), (["main", self.F, "g"], 1500), (["g"], 500)])
        self.assertEqual(self.weights("--from", "12us", "--to", "15500ns"), [([], 2000), (["main", self.F], 1000), ([], 500)])
        self.assertEqual(self.weights("--from", "5us", "--to", "6us", "--thread", "other"), [(["g"], 1000)])
        # A file without any profile hangs the viewer.
        self.assertEqual(read(self.run_it("-f", "speedscope", "--from", "1s")), [Profile("nothing", "nanoseconds", 0, 0, [])])

    def test_choices(self):
        self.assertEqual(self.weights("--file", "lib.py"), [([], 1000), (["g"], 6000), ([], 6000), (["g"], 2000)])
        self.assertEqual(self.weights("--exclude", "lib.py"),
                         [(["main"], 1000), (["main", self.F], 6000), ([], 4000), (["main", self.F], 1000), ([], 1000)])
        self.assertEqual(self.weights("--function", "g"), [([], 1000), (["g"], 6000), ([], 6000), (["g"], 2000)])
        self.assertIn("no recorded function is called 'x'", self.run_it("-f", "speedscope", "--function", "x", status=1))

    def test_chrometrace(self):
        """Samples one after the other that found the same are one slice, which ends where a gap begins."""
        def short(*options):
            slices, names, instants = test_chrometrace.read(self.run_it("-f", "chrometrace", *options))
            self.assertEqual((set(names.values()), instants), ({"Main", "other"}, [("gap", "not recorded: paused")]))
            return sorted((*piece[:3], piece.at and piece.at[-5:]) for thread in slices.values() for piece in thread)
        self.assertEqual(short(), [
            (3000, 10000, "main", ".py:1"), (4000, 10000, self.F, "py:10"), (4000, 10000, "g", ".py:5"),
            (5000, 7000, "g", ".py:5"), (14000, 15000, self.F, "py:10"), (14000, 15000, "main", ".py:1")])
        self.assertEqual([piece[:3] for piece in short("--lines") if "line" in piece[2]], [
            (3000, 10000, "line 2"), (4000, 5000, "line 6"), (4000, 10000, "line 11"), (5000, 7000, "line 6"),
            (5000, 10000, "line 7"), (14000, 15000, "line 12"), (14000, 15000, "line 2")])

    def test_columns_of_events(self):
        """What only samples have is not in SELECT *."""
        self.assertEqual(self.rows("SELECT time_ns, self_ns, samples, self_cpu_ns, stack FROM events WHERE thread_id = 1"), [
            (4000, 1000, 1, 900, "[[2,2]]"), (5000, 1000, 1, 1000, "[[2,2],[3,11],[1,6]]"),
            (7000, 2000, 1, 0, "[[2,2],[3,11],[1,7]]"), (10000, 3000, 3, 0, "[[2,2],[3,11],[1,7]]"),
            (10000, 4000, None, None, None), (15000, 1000, 1, 0, "[[2,2],[3,12]]"), (16000, 1000, 1, 500, "[]")])
        self.assertEqual(self.rows("SELECT stack FROM events WHERE thread_id = 2", "--exclude", "lib.py"), [("[[0,6]]",)])
        self.assertEqual(len(self.rows("SELECT * FROM events LIMIT 1")[0]), 15)

    def test_a_file_of_the_kind_is_replaced(self):
        path = self.folder + "/app.speedscope.json"
        for _ in range(2):
            self.run_it("-o", path)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), self.run_it("-f", "speedscope"))


class RandomSamples(Files):
    def compare(self, seed):
        data, told, clock, ended = random_samples.make(seed, 30)
        if not random_samples.read(told, clock, ended):
            return False
        self.write(data)
        options = ["--exclude", exact.EXCLUDED] if seed % 3 == 0 else []
        for by in "self", "cpu", "hits":
            profiles = read(self.run_it("-f", "speedscope", "--by", by, *options))
            self.compare_folded((seed, by), profiles, by, options)
            self.assertTrue(all(sum(profile.sums().values()) == profile.end - profile.start for profile in profiles))
        self.compare_chrometrace(seed, profiles, options)
        self.compare_events(seed, options)
        return True

    def compare_folded(self, place, profiles, by, options):
        """Stacks and their weights, all of them and each thread's, as --format folded has them."""
        theirs = collections.Counter()
        for line in self.run_it("-f", "folded", "--by", by, "--per-thread", *options).splitlines():
            stack, weight = line.rsplit(" ", 1)
            if not stack.endswith("<outside>"):
                theirs[stack] += int(weight)
        mine = collections.Counter()
        for profile in profiles:
            for stack, weight in profile.sums().items():
                if stack:
                    mine["%s;%s" % (profile.name.split(" of process")[0], fold(stack))] += weight
        self.assertEqual(mine, theirs, place)

    def compare_chrometrace(self, seed, profiles, options):
        """The same slices: each stack for the same time."""
        slices, _, _ = test_chrometrace.read(self.run_it("-f", "chrometrace", *options))
        mine = collections.Counter()
        for profile in read(self.run_it("-f", "speedscope", *options)):
            for stack, weight in profile.stacks:
                for name, _, _ in stack:
                    mine[name] += weight
        theirs = collections.Counter()
        for thread in slices.values():
            for piece in thread:
                theirs[piece.name] += piece.end - piece.begin
        self.assertEqual(+theirs, mine, seed)

    def compare_events(self, seed, options):
        """The table: times, samples and CPU time of its rows are those of the sums."""
        rows = self.rows("SELECT sum(self_ns), sum(self_cpu_ns), sum(samples) FROM events WHERE event = 'sample'", *options)
        sums = self.rows("SELECT sum(self_ns), sum(self_cpu_ns), (SELECT sum(events) FROM threads) FROM accounts", *options)
        self.assertEqual(rows, sums, seed)

    def test_all_views_agree(self):
        found = [self.compare(seed) for seed in range(exact.FIRST, exact.FIRST + exact.COUNT // 3)]
        self.assertGreater(sum(found), exact.COUNT // 6)


class Exact(Files):
    def test_bytes(self):
        facts = w.process(base=1, pid=7) + w.file(1, "/p/a.py", "a.py") + w.end(0, 0)
        for number, name, line in (2, "main", 1), (3, "f", 10):
            facts += w.code(number, 1, line, [line + 1, line + 2], name)
        events = w.stack(1, 0, 0, []) + w.call(1, 2) + w.line(1, 1) + w.call(1, 3) + w.line(2, 1) + w.ret(5) + w.ret(1)
        self.write(w.header() + w.chunk(w.RUN, w.setting("mode", "exact") + w.setting("argv", "a.py")) +
                   w.chunk(w.FACTS, facts, process=1) + w.chunk(w.EVENTS, events, process=1, thread=1))
        text = self.run_it("-f", "speedscope")
        self.assertEqual(text[text.index('"name"'):], (
            '"name":"a.py",\n"profiles":[\n'
            '{"type":"evented","name":"thread 1 [0] of process 7","unit":"nanoseconds","events":[\n'
            '{"type":"O","frame":0,"at":1},\n{"type":"O","frame":1,"at":3},\n{"type":"C","frame":1,"at":10},\n'
            '{"type":"C","frame":0,"at":11}\n],"startValue":0,"endValue":11}\n],\n'
            '"shared":{"frames":[\n{"name":"main","file":"a.py","line":1},\n{"name":"f","file":"a.py","line":10}\n]}}\n'))
        self.assertEqual(self.run_it("-f", "speedscope", "--by", "cpu", status=1),
                         "pyanalyze: --format speedscope: --by cpu and --by hits are of samples; --format folded has them of "
                         "exact recordings\n")

    def test_deep_stacks(self):
        """Only what is called from a function is inside it, also where the stack had to move."""
        facts = w.process(base=1, pid=7) + w.file(1, "/p/a.py", "a.py") + w.end(0, 0)
        for number, name, line in (2, "main", 1), (3, "f", 10):
            facts += w.code(number, 1, line, [line + 1, line + 2], name)
        events = w.stack(1, 0, 0, []) + w.call(1, 2) * 600 + w.call(1, 3) * 3 + w.ret(1) * 603
        self.write(w.header() + w.chunk(w.RUN, w.setting("mode", "exact") + w.setting("argv", "a.py")) +
                   w.chunk(w.FACTS, facts, process=1) + w.chunk(w.EVENTS, events, process=1, thread=1))
        result = support.run([support.PYANALYZE, self.trace, "-f", "speedscope", "--function", "f"],
                             env=support.environment(MALLOC_PERTURB_="90"))
        (profile,) = read(result.out)
        self.assertEqual([(len(stack), weight) for stack, weight in profile.stacks],
                         [(0, 601), (1, 1), (2, 1), (3, 1), (2, 1), (1, 1), (0, 600)])
        self.assertEqual({name for stack, _ in profile.stacks for name, _, _ in stack}, {"f"})

    def spans(self, *options):
        """What stack was open how long, of the thread: from both formats."""
        slices, names, _ = test_chrometrace.read(self.run_it("-f", "chrometrace", *options))
        theirs = collections.Counter()
        for thread in slices.values():
            for piece in thread:
                theirs[piece.name] += piece.end - piece.begin
        mine = collections.Counter()
        for profile in read(self.run_it("-f", "speedscope", *options)):
            for stack, weight in profile.stacks:
                for name, _, _ in stack:
                    mine[name] += weight
        return mine, +theirs

    def check_stacks(self, place, condition):
        """What rows tell of a thread's stack, and the column where they do not, is the stack of every row."""
        told, thread, stack = 0, None, None
        for row in self.rows("SELECT thread_id, event, depth, activation, stack FROM events " + condition):
            if row[0] != thread:
                thread, stack = row[0], None
            if row[4] is not None:
                told += 1
                stack = [frame[2] for frame in json.loads(row[4])]
            elif row[1] in ("call", "resume"):
                stack = stack + [row[3]]
            if row[1:] == ("gap", 0, None, None):   # lost events
                continue
            self.assertEqual((len(stack), stack[-1:]), (row[2], [row[3]] if row[2] else []), (place, row))
            if row[1] in ("return", "yield", "unwind"):
                stack.pop()
        return told

    def test_stacks_of_events(self):
        told = 0
        for seed in range(exact.FIRST, exact.FIRST + exact.COUNT // 3):
            self.write(random_trace.make(seed, 30)[0])
            for condition in "", "WHERE time_ns BETWEEN 20000 AND 300000", "WHERE file_id = 1":
                if condition.startswith("WHERE f"):   # with rows in between
                    rows = self.rows("SELECT depth, stack FROM events " + condition)
                    self.assertTrue(all(len(json.loads(text)) == depth for depth, text in rows if text))
                else:
                    told += self.check_stacks((seed, condition), condition)
        self.assertGreater(told, exact.COUNT)

    def test_random_traces(self):
        """Well nested whatever a trace holds (generators, switches, gaps, lost chunks), and the same as chrometrace."""
        for seed in range(exact.FIRST, exact.FIRST + exact.COUNT // 3):
            self.write(random_trace.make(seed, 30)[0])
            for options in [], ["--lines"], ["--from", "1us", "--to", "300us"], ["--exclude", exact.EXCLUDED], \
                    ["--function", "g", "--lines"]:
                result = support.run([support.PYANALYZE, self.trace, "-f", "speedscope", *options])
                if b"no recorded function" in result.err:
                    continue
                with self.subTest(seed, options=options):
                    mine, theirs = self.spans(*options)
                    self.assertEqual(mine, theirs)


class Recorded(Files):
    PROGRAM = test_chrometrace.PROGRAM

    def record(self, python, *options):
        program = self.folder + "/program.py"
        with open(program, "w", encoding="utf-8") as file:
            file.write(self.PROGRAM)
        result = support.run([support.PYREC, "run", "--python", python, "-q", "--force", "-o", self.trace, *options, program])
        self.assertEqual(result.status, 0, result)

    def test_exact(self):
        """Self time of every function is the table's; threads have their names."""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                self.record(python, "--c-calls")
                profiles = read(self.run_it("-f", "speedscope"))
                self.assertEqual(sorted(profile.name.split(" [")[0] for profile in profiles),
                                 ["MainThread", "worker 0", "worker 1", "worker 2"])
                own = collections.Counter()
                for profile in profiles:
                    for stack, weight in profile.stacks:
                        own[stack[-1][0] if stack else "<outside>"] += weight
                self.assertEqual(own, dict(self.rows("SELECT qualname, sum(self_ns) FROM functions GROUP BY 1 "
                                                     "HAVING sum(self_ns) > 0")))

    def test_frames_that_were_open_before(self):
        """A recording that begins in the middle: the frames that are open have their names from the first event on."""
        program = self.folder + "/program.py"
        with open(program, "w", encoding="utf-8") as file:
            file.write("import pyrec\ndef outer():\n    inner()\ndef inner():\n    pyrec.start(%r)\n    leaf()\n"
                       "def leaf():\n    pass\nouter()\npyrec.stop()\n" % self.trace)
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                env = support.environment(PYTHONPATH=os.path.join(support.BUILD, "python"))
                self.assertEqual(support.run([python, program], env=env).status, 0)
                (profile,) = read(self.run_it("-f", "speedscope", "--file", "program.py"))
                stacks = [[name for name, _, _ in stack] for stack, _ in profile.stacks]
                self.assertIn(["<module>", "outer", "inner", "leaf"], stacks)
                self.assertEqual(stacks[0][:2], ["<module>", "outer"])
                slices, _, _ = test_chrometrace.read(self.run_it("-f", "chrometrace", "--file", "program.py"))
                begins = {piece.name: piece.begin for thread in slices.values() for piece in thread}
                self.assertEqual(begins["<module>"], profile.start)
                os.remove(self.trace)

    def test_sampled(self):
        """Each thread's time is that of the accounts, and each stack one of the folded ones."""
        for python in support.PYTHONS:
            with self.subTest(support.version_name(python)):
                self.PROGRAM = "import threading, time\ndef busy(n):\n    return sum(i * i for i in range(n))\n" \
                    "def work():\n    for i in range(30):\n        busy(20000)\n        time.sleep(.001)\n" \
                    "threads = [threading.Thread(target=work, name='worker %d' % i) for i in range(2)]\n" \
                    "[thread.start() for thread in threads]\nwork()\n"
                self.record(python, "--sample", "1ms")
                walls = dict(self.rows("SELECT name || ' [' || native_id || ']', wall_ns FROM accounts JOIN threads USING "
                                       "(thread_id)"))
                profiles = read(self.run_it("-f", "speedscope"))
                self.assertGreater(len(profiles), 2)
                theirs = {line.rsplit(" ", 1)[0] for line in self.run_it("-f", "folded").splitlines()}
                for profile in profiles:
                    self.assertEqual(profile.end - profile.start, walls[profile.name.split(" of process")[0]])
                    self.assertEqual(sum(profile.sums().values()), profile.end - profile.start)
                    for stack in profile.sums():
                        self.assertIn(fold(stack), theirs)


if __name__ == "__main__":
    unittest.main()
