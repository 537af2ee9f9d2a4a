"""Cut and damaged traces: the two decoders find the same events, or both say that there is nothing to find."""
import os
import random
import unittest

import support


def describe(event):
    return event.time_ns, event.name, event.line, event.depth


class Damage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.recording = support.Recording(support.PYTHONS[0], [os.path.join(support.SAMPLES, "threads.py")])
        assert cls.recording.recorded.status == 0
        with open(cls.recording.trace, "rb") as file:
            cls.data = file.read()
        cls.broken = os.path.join(cls.recording.folder, "broken.bin")

    @classmethod
    def tearDownClass(cls):
        cls.recording.close()

    def both(self, data, what):
        """Events by thread from both decoders, and pyanalyze's warnings."""
        import decode
        with open(self.broken, "wb") as file:
            file.write(data)
        result = support.run(
            [support.PYANALYZE, self.broken, "--json", "--sql",
             "SELECT t.number, time_ns, event, line, depth FROM events JOIN threads t USING (thread_id) "
             "ORDER BY events.thread_id, seq"])
        self.assertIn(result.status, (0, 1), (what, result))
        try:
            trace = decode.Trace(data)
            events = list(trace.events())
        except decode.TraceError:
            self.assertEqual(result.status, 1, (what, result))
            self.assertEqual(result.err.count(b"\n"), 1, (what, result))
            self.assertIn(b"broken.bin", result.err)
            return []
        if not events:
            return []
        self.assertEqual(result.status, 0, (what, result))
        theirs = {}
        for row in support.json.loads(result.out):
            number, *event = row.values()
            theirs.setdefault(number, []).append(tuple(event))
        ours = {}
        for event in events:
            ours.setdefault(event.thread, []).append(describe(event))
        self.assertEqual(sorted(ours), sorted(theirs), what)
        for thread in ours:
            # After a lost part pyanalyze adds a gap of its own.
            shown = [event for event in theirs[thread] if event[1] != "gap"]
            self.assertEqual(ours[thread], shown, what)
        return events

    def test_cut_anywhere(self):
        dice = random.Random(1)
        last = -1
        size = len(self.data)
        for cut in sorted([0, 1, 79, 80, 4095, 4096, 4097] + [dice.randrange(size) for _ in range(12)]):
            events = len(self.both(self.data[:cut], "cut at %d" % cut))
            self.assertGreaterEqual(events, last, "cut at %d" % cut)
            last = events

    def test_pages_zeroed(self):
        dice = random.Random(2)
        for _ in range(6):
            page = dice.randrange(1, len(self.data) // 4096)
            data = bytearray(self.data)
            data[page * 4096:page * 4096 + 4096] = bytes(4096)
            self.both(bytes(data), "page %d zeroed" % page)

    def test_bits_flipped(self):
        dice = random.Random(3)
        for _ in range(12):
            place = dice.randrange(4096, len(self.data))
            data = bytearray(self.data)
            data[place] ^= 1 << dice.randrange(8)
            self.both(bytes(data), "bit flipped at %d" % place)

    def test_lost_names(self):
        """Events of code whose facts are lost belong to the function <unknown>: rows and sums agree, whichever way they are asked."""
        import trace_writer as w
        facts = w.process(pid=7) + w.thread(1, 7, "MainThread", 1) + w.file(1, "/p/f.py", "f.py") + \
            w.code(2, 1, 1, [1, 5], "<module>") + w.code(3, 77, 4, [5], "lost_file") + w.end(0, 0, 500, 500)
        events = w.stack(1, 0, 0, []) + w.call(0, 2) + w.line(1, 4) + w.call(1, 99) + w.line(1, 0) + w.call(1, 3) + \
            w.line(1, 1) + w.ret(1) + w.ret(1) + w.ret(1)
        with open(self.broken, "wb") as file:
            file.write(w.header() + w.chunk(w.RUN, w.setting("mode", "exact") + w.setting("argv", "f.py")) +
                       w.chunk(w.FACTS, facts, process=1) + w.chunk(w.EVENTS, events, process=1, thread=1))
        def ask(sql):
            return support.run([support.PYANALYZE, self.broken, "--csv", "--sql", sql]).out.decode().splitlines()[1:]
        self.assertEqual(ask("SELECT seq FROM events WHERE function_id IS NULL OR file_id IS NULL"), [])
        self.assertEqual(ask("SELECT e.function, e.event, f.qualname, f.file FROM events e JOIN functions f USING (function_id) "
                             "WHERE e.file = '<unknown>' ORDER BY seq"),
                         ["<unknown>,call,<unknown>,<unknown>", "<unknown>,line,<unknown>,<unknown>",
                          "lost_file,call,lost_file,<unknown>", "lost_file,line,lost_file,<unknown>",
                          "lost_file,return,lost_file,<unknown>", "<unknown>,return,<unknown>,<unknown>"])
        self.assertEqual(ask("SELECT qualname, hits - (SELECT count(*) FROM events e WHERE event = 'line' AND e.function_id = f.function_id) "
                             "FROM functions f ORDER BY 1"), ["<module>,0", "<unknown>,0", "lost_file,0"])
        self.assertEqual(ask("SELECT f.name, count(*) FROM events e JOIN files f USING (file_id) GROUP BY 1 ORDER BY 1"),
                         ["<unknown>,6", "f.py,3"])

    def test_foreign_files(self):
        for data in (b"", b"\x89PNG\r\n\x1a\n" + bytes(100), b"#!/usr/bin/python3\n" * 500, bytes(10000)):
            with open(self.broken, "wb") as file:
                file.write(data)
            result = support.run([support.PYANALYZE, self.broken])
            self.assertEqual((result.status, result.out), (1, b""), result)
            self.assertEqual(result.err.count(b"\n"), 1, result)
            self.assertIn(b"broken.bin", result.err)
