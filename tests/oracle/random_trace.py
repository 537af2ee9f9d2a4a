"""Random traces: bytes as a recorder might write them, and the same events for brute.Reader.

Everything that TRACE.md allows can happen: recursion, lines that several functions share, generators that move
between threads, lost and duplicated chunks, gaps, greenlets, frames that were open before, unknown code.
"""
import hashlib
import random

import brute
import trace_writer as w

# code number -> (file, qualname, first line, lines, flags); 8 is the same function as 3, and 99 stands in no fact.
CODES = {
    1: ("/p/a.py", "<module>", 1, [1, 2, 10, 20, 30], 2),
    2: ("/p/a.py", "f", 2, [3, 4, 5], 0),
    3: ("/p/a.py", "g", 10, [11, 12, 13, 14], 1),
    4: ("/p/a.py", "<lambda>", 12, [12], 0),
    5: ("/p/a.py", "<listcomp>", 4, [4, 5], 0),
    6: ("/p/b.py", "h", 5, [6, 7, 200, 201], 0),
    7: ("/p/b.py", "K", 1, [1, 2], 4),
    8: ("/p/a.py", "g", 10, [11, 12, 14], 1),
    9: ("/p/c.py", "skipped", 3, [4, 5, 6], 0),
}
UNKNOWN_CODE = 99
FILES = {20: "/p/a.py", 21: "/p/b.py", 22: "/p/c.py"}
STRINGS = {30: "len", 31: "sorted", 32: "ValueError"}
FUNCTIONS = {number: code[:3] for number, code in CODES.items()}


class Clock:
    """How ticks become ns in a trace whose last anchor is at `last` ticks (TRACE.md section 7)."""

    def __init__(self, rng):
        self.kind = rng.choice((0, 0, 1))
        self.shift = rng.choice((0, 0, 1, 3))
        self.origin = rng.choice((0, 1000))
        self.num, self.den = (1, 1) if self.kind == 0 else rng.choice(((1, 3), (7, 5), (1000003, 2999999)))
        self.last = self.origin

    def monotonic(self, ticks):
        self.last = max(self.last, ticks)
        return 5000 + max(0, ticks - self.origin) * self.num // self.den

    def convert(self, ticks):
        if ticks <= self.origin:
            return 0
        if self.kind == 0:
            return ticks - self.origin
        ns = self.monotonic(self.last) - 5000
        return (ticks - self.origin) * ns // (self.last - self.origin)

    def rate(self):
        return self.den * 10**9 // self.num


class Activation:
    def __init__(self, code, line, thread, number):
        self.code, self.line, self.thread, self.number = code, line, thread, number

    def first_line(self):
        return CODES[self.code][2] if self.code in CODES else 0


class ThreadWriter:
    """Makes up what one thread does. Its chunks are (sequence, ticks, before, cpu, stack record bytes, events bytes,
    calls), `calls` being what a brute.Reader is told."""

    def __init__(self, rng, number, clock, pool, size):
        self.rng, self.number, self.clock, self.pool, self.size = rng, number, clock, pool, size
        self.ticks = clock.origin + rng.choice((-50, 0, 5, 100))
        self.ticks = max(0, self.ticks)
        self.next, self.stack, self.record, self.chunks, self.count = 1, [], [], [], 0
        self.cpu = rng.randrange(1000)
        self.codes = rng.sample(sorted(CODES), rng.randint(2, len(CODES)))
        if rng.random() < 0.1:
            self.codes.append(UNKNOWN_CODE)
        for _ in range(rng.choice((0, 0, 0, 2, 5))):
            self.stack.append(self.begin())
        for _ in range(rng.randint(1, 6)):
            self.write_chunk()

    def begin(self):
        code = self.rng.choice(self.codes)
        self.next += 1
        activation = Activation(code, 0, self.number, self.next - 1)
        activation.line = activation.first_line()
        return activation

    # --- stack records ---

    def stack_record(self, base):
        """(bytes, what a reader is told) of the stack as it is, by reference to the frames `base` before it."""
        same = 0
        for (old, line), new in zip(base, self.stack):
            if old is not new or line != new.line:
                break
            same += 1
        kept = self.rng.choice((same, same, self.rng.randint(0, same)))
        frames, told = [], []
        for a in self.stack[kept:]:
            step = a.line - a.first_line()
            if a.thread == self.number:
                frames.append((a.code, step, self.next - a.number))
                told.append((a.code, a.line, a.number))
            else:
                frames.append((a.code, step, a.thread, a.number))
                told.append((a.code, a.line, (a.thread, a.number)))
        return (w.stack(self.next, len(self.stack), kept, frames), (self.next, len(self.stack), kept, told))

    def snapshot(self):
        return [(a, a.line) for a in self.stack]

    # --- chunks ---

    def write_chunk(self):
        self.ticks += self.rng.choice((0, 0, 3, 70, 40000))
        if self.rng.random() < 0.05:
            self.ticks = max(0, self.ticks - self.rng.randrange(60))   # another processor's clock
        self.cpu += self.rng.choice((0, 50, 20000))
        record, told = self.stack_record(self.record)
        self.record = self.snapshot()
        header = (len(self.chunks), self.ticks, self.count, self.cpu)
        self.bytes, self.calls, self.suspended = [], [("chunk", *header, told)], []
        for _ in range(self.rng.randint(0, self.size)):
            self.write_event()
        self.chunks.append((*header, record, self.bytes, self.calls))

    def units(self):
        t = self.rng.choice((0, 1, 1, 1, 2, 5, 15, 16, 40, 255, 256, 300, 25000))
        if self.rng.random() < (0.9 if t << self.clock.shift > 20000 else 0.02):
            ns = self.rng.choice((0, t // 2, t, 2 * t, 90000))
            self.emit(w.cpu(ns), "cpu", ns, stamp=True)
            self.cpu += ns
        self.ticks += t << self.clock.shift
        return t

    def emit(self, data, name, *told, stamp=False):
        self.bytes.append(data)
        self.calls.append((name, *told) if stamp else (name, self.ticks, *told))
        self.count += not stamp

    def long(self):
        return self.rng.random() < 0.1

    def write_event(self):
        choice = self.rng.random()
        for limit, action in ((0.45, self.line), (0.62, self.call), (0.76, self.leave), (0.82, self.yield_),
                              (0.88, self.resume), (0.91, self.c_call), (0.94, self.c_return), (0.96, self.mark),
                              (0.97, self.raise_), (0.98, self.switch), (0.99, self.gap), (1.0, self.extension)):
            if choice < limit:
                action()
                return

    def line(self):
        t, top = self.units(), self.stack[-1] if self.stack else None
        target = self.rng.choice(CODES[top.code][3]) if top and top.code in CODES else self.rng.randrange(50)
        if self.rng.random() < 0.03:
            target = self.rng.choice((0, 4, 12, 5000, -7, 2**31 + 3))   # where no fact says that there is a line
        step = target - (top.line if top else 0)
        if top:
            top.line = target
        self.emit(w.line(t, step, self.long()), "line", step)

    def call(self):
        t = self.units()
        activation = self.begin()
        self.stack.append(activation)
        self.emit(w.call(t, activation.code, self.long()), "call", activation.code)

    def leave(self):
        t = self.units()
        if self.stack:
            self.stack.pop()
        self.emit(w.unwind(t) if self.rng.random() < 0.2 else w.ret(t, self.long()), "leave")

    def yield_(self):
        t = self.units()
        if self.stack:
            activation = self.stack.pop()
            if activation.thread == self.number:
                self.suspended.append(activation)
            self.pool.append(activation)
        self.emit(w.yield_(t, self.long()), "yield_")

    def resume(self):
        t = self.units()
        if self.suspended and self.rng.random() < 0.7:
            a = self.suspended.pop(self.rng.randrange(len(self.suspended)))
            self.pool.remove(a)
            self.stack.append(a)
            self.emit(w.resume(t, self.next - a.number), "resume", a.number)
            return
        fresh = not self.pool
        if self.pool:
            a = self.pool.pop(self.rng.randrange(len(self.pool)))
            self.suspended = [s for s in self.suspended if s is not a]
        else:
            a = self.begin()   # never seen before: inherited
        self.stack.append(a)
        step = a.line - a.first_line()
        if a.thread == self.number:
            following = a.number if fresh else self.next
            self.emit(w.go_on(t, a.code, step, following - a.number), "go_on", a.code, step, a.number)
        else:
            self.emit(w.go_on(t, a.code, step, foreign=(a.thread, a.number)), "go_on", a.code, step,
                      (a.thread, a.number))

    def with_string(self, tag, name):
        t, number = self.units(), self.rng.choice((30, 31, 32, 39))
        self.emit(w.with_string(tag, t, number), name, number)

    def c_call(self):
        self.with_string(8, "c_call")

    def c_return(self):
        t = self.units()
        self.emit(w.c_return(t), "c_return")

    def mark(self):
        self.with_string(14, "mark")

    def raise_(self):
        t = self.units()
        self.emit(w.with_string(7, t, 32), "raise_")

    def other_stack(self):
        """The thread goes on elsewhere: some frames kept, some new ones."""
        base = self.snapshot()
        self.stack = self.stack[:self.rng.randint(0, len(self.stack))]
        if self.stack and self.rng.random() < 0.5:
            self.stack[-1].line = self.rng.choice((4, 11, 12))
        for _ in range(self.rng.choice((0, 1, 3))):
            self.stack.append(self.begin())
        return self.stack_record(base)

    def switch(self):
        t = self.units()
        data, told = self.other_stack()
        self.emit(w.switch(t, data), "switch", told)

    def gap(self):
        t, length = self.units(), self.rng.choice((0, 10, 1000))
        data, told = self.other_stack()
        reason = self.rng.choice(((1, "paused"), (2, "replaced"), (3, "full"), (5, "failed"), (6, "unseen"), (77, "unknown")))
        at = self.ticks
        self.ticks += length << self.clock.shift
        self.bytes.append(w.gap(t, reason[0], length, data))
        self.calls.append(("gap", at, reason[1], self.ticks, told))
        self.count += 1

    def extension(self):
        self.bytes.append(w.extension(9, b"\0\x80x"))


def facts(texts):
    out = w.process(pid=4242, base=1)
    for number, path in FILES.items():
        text = texts.get(path, b"")
        out += w.file(number, path, path[3:], sha256=hashlib.sha256(text).digest() if text else b"", size=len(text))
    for number, (path, name, first, lines, flags) in CODES.items():
        file_number = next(key for key, value in FILES.items() if value == path)
        out += w.code(number, file_number, first, lines, name, flags=flags)
    for number, value in STRINGS.items():
        out += w.text(number, value)
    return out


def source_chunks(texts, clock):
    return [w.chunk(w.SOURCE, w.varint(number) + w.varint(0) + w.varint(len(texts[path])) + texts[path], process=1,
                    ticks=clock.origin, monotonic=5000) for number, path in FILES.items() if path in texts]


def random_texts(rng):
    """({path: text}, {(path, line): the first line of its statement})"""
    texts, first = {}, {}
    for path in FILES.values():
        lines = []
        while len(lines) < 210:
            size = rng.choice((1, 1, 2, 3, 5))
            first.update({(path, len(lines) + 1 + i): len(lines) + 1 for i in range(size)})
            lines += ["x = 1"] if size == 1 else ["x = (1 +"] + ["1 +"] * (size - 2) + ["1)"]
        texts[path] = "\n".join(lines).encode() + b"\n"
    return texts, first


def make(seed, size=40, windows=None, texts=None):
    """(bytes of a trace, {thread: [calls]}, clock). `windows`: called with the last two, returns more facts. `texts`: of
    FILES, by path."""
    rng = random.Random(seed)
    clock, pool, pieces, told = Clock(rng), [], [], {}
    threads = [ThreadWriter(rng, number, clock, pool, size) for number in range(1, rng.randint(1, 3) + 1)]
    for thread in threads:
        calls = told.setdefault(thread.number, [])
        for i, (sequence, ticks, before, cpu, record, events, chunk_calls) in enumerate(thread.chunks):
            if rng.random() < 0.06:
                continue   # lost
            last = i == len(thread.chunks) - 1
            sealed, apart = not last or rng.random() < 0.5, rng.random() < 0.2
            common = dict(process=1, thread=thread.number, sequence=sequence, ticks=ticks,
                          monotonic=clock.monotonic(ticks), before=before, cpu=cpu)
            body = b"".join(events)
            if apart:
                pieces.append(w.chunk(w.STACK, record, **{**common, "before": 0, "cpu": 0}))
            else:
                body = record + body
            if not sealed:
                body += b"\0\x85\x81"   # an event whose tag was not stored yet
            elif rng.random() < 0.1:
                body += b"\0" * rng.randint(1, 9)
            pieces.append(w.chunk(w.EVENTS, body, sealed=sealed, apart=apart, **common))
            if sealed and rng.random() < 0.1:
                pieces.append(w.chunk(w.EVENTS, record, sealed=False, **common))   # the slot it was copied from
            calls += chunk_calls
    more = windows(told, clock) if windows else b""
    pieces.append(w.chunk(w.FACTS, facts(texts or {}) + more, process=1, ticks=clock.origin, monotonic=5000))
    pieces.append(w.chunk(w.RUN, w.setting("mode", "exact") + w.setting("argv", "app.py"), ticks=clock.origin,
                          monotonic=5000))
    pieces += source_chunks(texts or {}, clock)
    if clock.kind:   # far enough away for the ratio to be measured
        far = clock.origin + 10**7
        pieces.append(w.chunk(w.FACTS, w.end(0, 0, far, clock.monotonic(far)), process=1, sequence=1,
                              ticks=clock.origin, monotonic=5000))
    rng.shuffle(pieces)
    if rng.random() < 0.2:
        pieces.insert(rng.randrange(len(pieces)), bytes(w.PAGE))
    data = w.header(monotonic=5000, ticks=clock.origin, rate=clock.rate(), clock=clock.kind, shift=clock.shift)
    return data + b"".join(pieces), told, clock


def read(told, clock, excluded_files=(), windows=None, make_reader=brute.Reader):
    """{thread: brute.Reader} of what make() told; `windows`: those that count, by thread."""
    readers = {}
    for number, calls in told.items():
        reader = make_reader(FUNCTIONS, STRINGS, set(excluded_files), clock.convert,
                             None if windows is None else windows.get(number, []))
        try:
            for name, *arguments in calls:
                getattr(reader, name)(*arguments)
        except brute.Over:
            pass
        if calls and (windows is None or reader.inside or reader.outside_since is not None):
            readers[number] = reader
            reader.end()
    return readers


def unite(windows):
    """Intervals, ascending and apart, of what at least one of them covers."""
    out = []
    for start, end in sorted(window for window in windows if window[0] < window[1]):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


class Windows:
    """Random windows of a trace that make() made, at and between its stamps. By number: (owner, thread, start, end)."""

    OWNERS = ("ann", "bob", "")

    def __init__(self, seed, told, clock):
        rng = random.Random(seed + 0.5)
        ticks = sorted({call[1] for calls in told.values() for call in calls if call[0] not in ("chunk", "cpu")} |
                       {call[2] for calls in told.values() for call in calls if call[0] == "chunk"} | {clock.origin})
        self.clock, self.all, self.facts = clock, {}, b""
        for number in range(1, rng.choice((1, 1, 2, 5, 12)) + 1):
            start, end = sorted(max(1, rng.choice(ticks) + rng.choice((0, 0, 0, -1, 1, 2, 7))) for _ in "ab")
            thread = rng.choice((0, *told))
            if rng.random() < 0.15:
                end = 0
            owner = rng.choice(self.OWNERS)
            self.all[number] = (owner, thread, start, end)
            if end and rng.random() < 0.5:   # opened first, closed later
                self.facts += w.window(number, owner, thread, start, 0)
            self.facts += w.window(number, owner, thread, start, end)

    def of(self, owners, threads):
        forever = 1 << 62
        return {thread: unite((self.clock.convert(start), self.clock.convert(end) if end else forever)
                              for owner, number, start, end in self.all.values()
                              if owner in owners and number in (0, thread))
                for thread in threads}
