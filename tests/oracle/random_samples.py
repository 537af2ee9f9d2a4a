"""Random sampled traces: bytes as a recorder might write them, or as none would, and the same for brute_samples.Reader.

Recursion, generators (which come and go like any frame), lines that several functions share, unknown and excluded code,
threads that begin and end, forked children, chunks that are lost or there twice, late and dropped samples.
"""
import random

import brute_samples
import random_trace
import trace_writer as w

REASONS = {1: "paused", 3: "full", 5: "failed", 77: "unknown"}
CHILD_BASE = 60   # what the parent knew when it forked


class ThreadWriter:
    """Makes up what one thread was found doing. Its chunks are (sequence, ticks, before, records, calls)."""

    def __init__(self, rng, process, number, clock, size):
        self.rng, self.process, self.number, self.clock, self.size = rng, process, number, clock, size
        self.ticks = max(0, clock.origin + rng.choice((-50, 0, 5, 100, 70000)))
        self.codes = rng.sample(sorted(random_trace.CODES), rng.randint(2, len(random_trace.CODES)))
        if rng.random() < 0.15:
            self.codes.append(rng.choice((random_trace.UNKNOWN_CODE, 0)))
        self.stack, self.count, self.chunks = [], 0, []
        for _ in range(rng.randint(1, 5)):
            self.write_chunk()

    def emit(self, data, *call):
        self.records.append(data)
        self.calls.append(call)

    def write_chunk(self):
        rng = self.rng
        if rng.random() < 0.1:   # another processor's clock, or a pause that nobody tells of
            self.ticks = max(0, self.ticks + rng.choice((-90, 1, 4000)))
        sequence, ticks, before = len(self.chunks), self.ticks, self.count
        self.records, self.calls, self.nodes = [], [("chunk", ticks, before)], {}
        self.time_unit, self.cpu_unit = 128, 1000
        if rng.random() < 0.7:
            self.set_units()
        for _ in range(rng.randint(0, self.size)):
            self.write_record()
        self.chunks.append((sequence, ticks, before, self.records, self.calls))

    def units(self):
        t = self.rng.choice((0, 1, 1, 2, 7, 8, 8, 8, 9, 16, 127, 128, 3000))
        self.ticks += t * self.time_unit << self.clock.shift
        return t

    def set_units(self):
        self.time_unit, self.cpu_unit = self.rng.choice((1, 37, 128, 999, 4096)), self.rng.choice((1, 700, 1000, 15625))
        self.records.append(w.units(self.time_unit, self.cpu_unit))

    def is_far(self):
        return self.rng.random() < 0.1

    def wander(self):
        """Calls, returns, new lines."""
        rng = self.rng
        for _ in range(rng.choice((0, 0, 1, 1, 2, 6))):
            if self.stack and rng.random() < 0.45:
                self.stack.pop()
            elif len(self.stack) < 12:
                self.stack.append([rng.choice(self.codes), 0])
                self.turn()
        if self.stack and rng.random() < 0.5:
            self.turn()

    def turn(self):
        place = self.stack[-1]
        code = random_trace.CODES.get(place[0])
        place[1] = self.rng.choice(code[3]) - code[2] if code else self.rng.choice((0, 0, 3))

    def innermost(self):
        """The number of the stack's innermost node; what is new is defined first."""
        if self.rng.random() < 0.03:
            return self.rng.choice((len(self.nodes) + 1, 1 << 40)) if self.rng.random() < 0.5 else 0
        number = 0
        for code, step in self.stack:
            number = self.node_of(number, code, step)
        return number

    def node_of(self, parent, code, step):
        if (parent, code, step) not in self.nodes:
            self.nodes[parent, code, step] = len(self.nodes) + 1
            before = len(self.nodes) - 1 if self.rng.random() < 0.9 else None
            self.emit(w.node(parent, code, step, before), "node", parent, code, step)
        return self.nodes[parent, code, step]

    def write_record(self):
        choice = self.rng.random()
        for limit, action in ((0.72, self.sample), (0.86, self.same), (0.91, self.missed), (0.94, self.gap),
                              (0.96, self.extension), (0.98, self.set_units), (1.0, self.stray_node)):
            if choice < limit:
                action()
                return

    def sample(self):
        self.wander()
        number, t = self.innermost(), self.units()
        state = self.rng.choice((0, 0, 0, 1, 2))
        cpu = self.rng.choice((0, 0, 1, t, 3 * t, 500)) if state == 0 else 0
        self.count += 1
        self.emit(w.sample(state, t, number, cpu, self.is_far()), "sample", self.ticks, state, number, cpu * self.cpu_unit)

    def same(self):
        t, count = self.units(), self.rng.choice((1, 1, 2, 9, 1000))
        if self.rng.random() < 0.5:   # about as many periods
            more = 16 * (count - 1) + self.rng.randint(-3, 3)
            t, more = (t + more, more) if t + more >= 0 else (t, 0)
            self.ticks += more * self.time_unit << self.clock.shift
        self.count += count
        self.emit(w.same(t, count, self.is_far()), "same", self.ticks, count)

    def missed(self):
        self.records.append(w.missed(self.rng.randrange(5)))

    def gap(self):
        t, reason = self.units(), self.rng.choice(sorted(REASONS))
        self.emit(w.sample_gap(t, reason), "gap", self.ticks, REASONS[reason])

    def extension(self):
        self.records.append(w.extension(9, b"\0\x80x"))

    def stray_node(self):
        """Nobody is found there; its parent may not exist."""
        parent = self.rng.choice((0, len(self.nodes) + 5, self.rng.randint(0, len(self.nodes))))
        self.node_of(parent, self.rng.choice(self.codes), self.rng.choice((0, 1)))


def chunks_of(rng, thread, clock):
    """(chunks of the file, what a reader is told)."""
    pieces, told = [], []
    for i, (sequence, ticks, before, records, calls) in enumerate(thread.chunks):
        if rng.random() < 0.06:
            continue   # lost
        sealed = i < len(thread.chunks) - 1 or rng.random() < 0.5
        common = dict(process=thread.process, thread=thread.number, sequence=sequence, ticks=ticks,
                      monotonic=clock.monotonic(ticks), before=before)
        body = b"".join(records)
        if not sealed:
            body += b"\0\x85\x81"   # a record whose tag was not stored yet
        elif rng.random() < 0.1:
            body += b"\0" * rng.randint(1, 9)
        pieces.append(w.chunk(w.SAMPLES, body, sealed=sealed, **common))
        if sealed and rng.random() < 0.1:
            pieces.append(w.chunk(w.SAMPLES, b"", sealed=False, **common))   # the slot it was copied from
        told += calls
    return pieces, told


def make(seed, size=40, texts=None):
    """(bytes of a trace, {thread: [calls]}, clock, threads whose process ended in order). `texts`: of FILES, by path."""
    rng = random.Random(seed)
    clock, pieces, told, ended = random_trace.Clock(rng), [], {}, set()
    processes = rng.choice((1, 1, 2))
    threads = [ThreadWriter(rng, rng.randint(1, processes), number, clock, size)
               for number in range(1, rng.randint(1, 4) + 1)]
    for thread in threads:
        more, told[thread.number] = chunks_of(rng, thread, clock)
        pieces += more
    far = max(clock.last, clock.origin) + 10**7
    for process in range(1, processes + 1):
        body = random_trace.facts(texts or {}) if process == 1 else w.process(parent=1, how=1, pid=4300, base=CHILD_BASE)
        if clock.kind and process == 1 or rng.random() < 0.5:   # a clock is measured up to there
            ended.add(process)
            body += w.end(0, 0, far, clock.monotonic(far))
        pieces.append(w.chunk(w.FACTS, body, process=process, ticks=clock.origin, monotonic=5000))
    pieces.append(w.chunk(w.RUN, w.setting("mode", "sample") + w.setting("sample_period", "1000"), ticks=clock.origin,
                          monotonic=5000))
    pieces += random_trace.source_chunks(texts or {}, clock)
    rng.shuffle(pieces)
    data = w.header(monotonic=5000, ticks=clock.origin, rate=clock.rate(), clock=clock.kind, shift=clock.shift)
    return data + b"".join(pieces), told, clock, {t.number for t in threads if t.process in ended}


def read(told, clock, ended, excluded_files=()):
    """{thread: brute_samples.Reader} of what make() told; `ended`: threads whose process ended in order."""
    readers = {}
    for number, calls in told.items():
        if not calls:
            continue
        reader = readers[number] = brute_samples.Reader(random_trace.FUNCTIONS, random_trace.STRINGS, set(excluded_files),
                                                        clock.convert)
        for name, *arguments in calls:
            getattr(reader, name)(*arguments)
        if number in ended:
            reader.stack = []
        else:
            reader.end_at_last_sample()
    return readers
