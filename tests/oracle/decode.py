"""A second decoder of trace files, written from formats/trace/TRACE.md alone.

It shares no code and no idea with the C decoder: where the two disagree, one of them or the document is wrong. It reads
everything into memory and checks everything it can; speed is no concern.

    python3 tests/oracle/decode.py trace.bin        events as tab-separated values
"""
import collections
import os
import struct
import sys

MAGIC = b"\x89PYT\r\n\x1a\n"
PAGE = 4096
READ_VERSION = 1
RUN, FACTS, EVENTS, STACK, SOURCE, SAMPLES, PACK = 1, 2, 3, 4, 5, 8, 9
OPTIONAL = 1 << 31
SEALED, STACK_APART = 1, 2
GAP_REASONS = {1: "paused", 2: "replaced", 3: "full", 4: "lost", 5: "failed", 6: "unseen"}

Header = collections.namedtuple(
    "Header", "write_version read_version mark realtime monotonic ticks tick_rate clock tick_shift")
Chunk = collections.namedtuple(
    "Chunk", "offset kind sealed stack_apart process thread encoding sequence capacity payload ticks monotonic "
    "events_before cpu")
Code = collections.namedtuple("Code", "number parent file first_line flags name qualname module lines")
File = collections.namedtuple("File", "number path name origin sha256 size")
Frame = collections.namedtuple("Frame", "code line activation")
Event = collections.namedtuple(
    "Event", "process thread time_ns name code file function line depth activation detail")


class TraceError(Exception):
    """The file is not a trace that this decoder can read."""


class Truncated(Exception):
    """What is being decoded ends in the middle."""


def crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


CRC_TABLE = crc32c_table()


def crc32c(data):
    table = CRC_TABLE
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def text(data):
    """A string of the trace as Python's str: see section 1 on surrogates."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


class Cursor:
    """Reads the primitives of section 1 from bytes."""

    def __init__(self, data, at=0):
        self.data = data
        self.at = at

    def byte(self):
        if self.at >= len(self.data):
            raise Truncated
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise Truncated
        if value >= 1 << 64:
            raise Truncated
        return value

    def svarint(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def bytes(self, size):
        if size > len(self.data) - self.at:
            raise Truncated
        self.at += size
        return self.data[self.at - size:self.at]

    def string(self):
        return self.bytes(self.varint())

    def more(self):
        return self.at < len(self.data)


def read_header(data):
    if len(data) < 80 or data[:8] != MAGIC:
        raise TraceError("not a trace")
    write_version, read_version, crc = struct.unpack_from("<HHI", data, 8)
    if crc != crc32c(data[16:80]):
        raise TraceError("the header's checksum is wrong")
    if read_version > READ_VERSION:
        raise TraceError("needs a reader of version %d" % read_version)
    return Header(write_version, read_version, data[16:32], *struct.unpack_from("<QQQQII", data, 32))


class Process:
    """What the FACTS chunks of one process say."""

    def __init__(self, number):
        self.number = number
        self.parent = self.how = self.pid = 0
        self.base = 0
        self.python = self.command = self.cwd = self.executable = ""
        self.threads = {}
        self.files = {}
        self.codes = {}
        self.strings = {}
        self.end = None
        self.children = []
        self.gaps = []
        self.stats = {}
        self.windows = {}
        self.taken = None    # (signal, ticks)

    def take(self, kind, c):
        method = self.TAKERS.get(kind)
        if method is not None:
            method(self, c)

    def take_process(self, c):
        self.parent, self.how, self.pid, self.base = c.varint(), c.varint(), c.varint(), c.varint()
        self.anchor = c.varint(), c.varint()
        self.executable, self.python, self.cwd = text(c.string()), text(c.string()), text(c.string())
        self.command = [text(part) for part in c.string().split(b"\0")[:-1]]
        self.start, self.namespace = (c.varint(), c.varint()) if c.more() else (0, 0)

    def take_thread(self, c):
        number, native, name, main = c.varint(), c.varint(), text(c.string()), c.varint()
        self.threads[number] = (native, name, main)

    def take_file(self, c):
        number = c.varint()
        self.files[number] = File(
            number, text(c.string()), text(c.string()), c.varint(), c.string().hex(), c.varint())

    def take_code(self, c):
        number, parent, file, first_line, flags = (c.varint() for _ in range(5))
        name, qualname, module = (text(c.string()) for _ in range(3))
        lines, line = [], first_line
        for _ in range(c.varint()):
            line += c.svarint()
            lines.append(line)
        self.codes[number] = Code(number, parent - 1, file, first_line, flags, name, qualname, module, lines)

    def take_string(self, c):
        number = c.varint()
        self.strings[number] = text(c.string())

    def take_end(self, c):
        self.end = c.varint(), c.varint(), c.varint(), c.varint()

    def take_child(self, c):
        self.children.append((c.varint(), c.varint(), c.varint()))

    def take_gap(self, c):
        self.gaps.append((c.varint(), c.varint(), c.varint(), c.varint()))

    def take_stats(self, c):
        thread = c.varint()
        self.stats[thread] = (c.varint(), c.varint(), c.varint(), c.varint())

    def take_window(self, c):
        number = c.varint()
        self.windows[number] = (text(c.string()), c.varint(), c.varint(), c.varint())

    def take_taken(self, c):
        self.taken = (c.varint(), c.varint())

    TAKERS = {2: take_process, 3: take_thread, 4: take_file, 5: take_code, 6: take_string, 7: take_end,
              8: take_child, 9: take_gap, 10: take_stats, 11: take_window, 13: take_taken}


UNKNOWN_CODE = Code(0, -1, 0, 0, 0, "", "", "", [])
UNKNOWN_FILE = File(0, "", "", 0, "", 0)


class Trace:
    def __init__(self, data):
        self.data = data
        self.header = read_header(data)
        self.damaged = 0     # bytes passed over that are neither chunks nor zero
        self.skipped = 0     # chunks of an unknown kind or encoding
        self.errors = 0      # events that make no sense (6.3, 6.5)
        self.lost_events = 0
        self.extensions = 0
        self.pack_anchors = []
        self.settings = []
        self.processes = {}
        self.sources = {}
        self.chunks = self.choose(self.walk())
        self.read_facts()
        self.read_sources()
        self.measure_clock()

    # ---- section 3: chunks

    def walk(self):
        at = PAGE
        while at < len(self.data):
            chunk = self.chunk_at(at)
            if chunk is None:
                page = self.data[at:at + PAGE]
                if page.strip(b"\0"):
                    self.damaged += len(page)
                at += PAGE
            else:
                at += chunk.capacity
                if chunk.kind == PACK and chunk.encoding == 0:
                    yield from self.packed(chunk)
                else:
                    yield chunk

    def chunk_at(self, at):
        data = self.data
        if data[at:at + 16] != self.header.mark or len(data) - at < 96:
            return None
        (crc, kind, flags, process, thread, encoding, sequence, capacity, length, ticks, monotonic, before,
         cpu) = struct.unpack_from("<IIIIIIQQQQQQQ", data, at + 16)
        if capacity == 0 or capacity % PAGE:
            return None
        sealed = bool(flags & SEALED)
        if at + capacity > len(data):
            sealed = False
            capacity = self.next_mark(at) - at
        if sealed:
            if length > capacity - 96 or crc != crc32c(data[at + 20:at + 96 + length]):
                return None
            payload = data[at + 96:at + 96 + length]
        else:
            payload = data[at + 96:at + capacity]
        return Chunk(at, kind, sealed, bool(flags & STACK_APART), process, thread, encoding, sequence, capacity,
                     payload, ticks, monotonic, before, cpu)

    def packed(self, pack):
        """The chunks in a PACK chunk."""
        self.pack_anchors.append((pack.ticks, pack.monotonic))
        c = Cursor(pack.payload)
        try:
            while c.more():
                start = c.at
                inner = Cursor(c.string())
                thread, sequence, before = inner.varint(), inner.varint(), inner.varint()
                ticks, cpu = pack.ticks + inner.svarint(), inner.varint()
                yield Chunk(pack.offset + 96 + start, SAMPLES, True, False, pack.process, thread, 0, sequence, c.at - start,
                            inner.data[inner.at:], ticks, None, before, cpu)
        except Truncated:
            pass

    def next_mark(self, at):
        """The next page behind `at` that begins with the mark, or the end of the file."""
        at += PAGE
        while at < len(self.data) and self.data[at:at + 16] != self.header.mark:
            at += PAGE
        return min(at, len(self.data))

    def choose(self, chunks):
        """Of copies the sealed one; known kinds and encodings only; ordered by sequence."""
        chosen = {}
        for chunk in chunks:
            if chunk.kind not in (RUN, FACTS, EVENTS, STACK, SOURCE, SAMPLES):
                if not chunk.kind & OPTIONAL:
                    raise TraceError("offset %d: chunk of unknown kind %d" % (chunk.offset, chunk.kind))
                self.skipped += 1
            elif chunk.encoding != 0:
                self.skipped += 1
            else:
                key = (chunk.kind, chunk.process, chunk.thread, chunk.sequence)
                if chunk.kind == SOURCE:
                    c = Cursor(chunk.payload)
                    key += (c.varint(), c.varint())
                if key not in chosen or chunk.sealed and not chosen[key].sealed:
                    chosen[key] = chunk
        return [chosen[key] for key in sorted(chosen)]

    def of_kind(self, kind):
        return [chunk for chunk in self.chunks if chunk.kind == kind]

    # ---- section 4: facts

    @staticmethod
    def records(chunk):
        c = Cursor(chunk.payload)
        try:
            while c.more():
                kind = c.byte()
                if kind == 0:
                    break
                yield kind, Cursor(c.string())
        except Truncated:
            if chunk.sealed:
                raise

    def read_facts(self):
        for chunk in self.of_kind(RUN):
            for kind, c in self.records(chunk):
                if kind == 1:
                    self.settings.append((text(c.string()), text(c.string())))
        for chunk in self.of_kind(FACTS):
            process = self.process(chunk.process)
            for kind, c in self.records(chunk):
                process.take(kind, c)

    def read_sources(self):
        """The texts that are whole, by (process, file)."""
        pieces = collections.defaultdict(dict)
        for chunk in self.of_kind(SOURCE):
            c = Cursor(chunk.payload)
            file, offset, total = c.varint(), c.varint(), c.varint()
            pieces[chunk.process, file, total][offset] = c.bytes(len(c.data) - c.at)
        for (process, file, total), parts in pieces.items():
            whole = b"".join(parts[offset] for offset in sorted(parts))
            if len(whole) == total:
                self.sources[process, file] = whole

    def process(self, number):
        if number not in self.processes:
            self.processes[number] = Process(number)
        return self.processes[number]

    def look_up(self, table, process, number, unknown):
        """A number that its process does not define and that is below its code base is its parent's."""
        while process in self.processes:
            facts = self.processes[process]
            if number in getattr(facts, table):
                return getattr(facts, table)[number]
            if number >= facts.base:
                break
            process = facts.parent
        return unknown

    def code(self, process, number):
        return self.look_up("codes", process, number, UNKNOWN_CODE)

    def file(self, process, number):
        return self.look_up("files", process, number, UNKNOWN_FILE)

    def string(self, process, number):
        return self.look_up("strings", process, number, "")

    # ---- section 7: time

    def measure_clock(self):
        header = self.header
        anchors = [(header.ticks, header.monotonic)]
        anchors += [(chunk.ticks, chunk.monotonic) for chunk in self.chunks if chunk.monotonic is not None]
        anchors += self.pack_anchors
        anchors += [process.end[2:] for process in self.processes.values() if process.end]
        last = max(anchors, key=lambda anchor: anchor[0])
        ticks, ns = last[0] - header.ticks, last[1] - header.monotonic
        if header.clock == 0:
            ticks, ns = 1, 1
        elif ticks < header.tick_rate // 1000 or ticks == 0:
            ticks, ns = header.tick_rate, 1000000000
        self.ticks_to_ns = lambda stamp: max(0, stamp - header.ticks) * ns // ticks

    # ---- sections 5 and 6: events

    def threads(self):
        """(process, thread) of every thread with events, in the order of threads."""
        return sorted({(chunk.process, chunk.thread) for chunk in self.of_kind(EVENTS)}, key=lambda pair: pair[1])

    def events(self):
        """Every event, thread by thread, in order."""
        for process, thread in self.threads():
            yield from ThreadDecoder(self, process, thread).events()
        for process, thread in sorted({(chunk.process, chunk.thread) for chunk in self.of_kind(SAMPLES)}):
            yield from SampleDecoder(self, process, thread).events()


class ThreadDecoder:
    def __init__(self, trace, process, thread):
        self.trace = trace
        self.process = process
        self.thread = thread
        self.record = []       # the stack record of the chunk before
        self.stack = []
        self.next = 1
        self.seen = 0          # events of this thread up to here
        self.sequence = 0      # of the next chunk

    def events(self):
        for chunk in self.trace.of_kind(EVENTS):
            if (chunk.process, chunk.thread) == (self.process, self.thread):
                yield from self.chunk_events(chunk)

    def stack_record(self, c, before):
        """The frames that a stack record describes; `before` are those that `kept` counts."""
        following, depth, kept = c.varint(), c.varint(), c.varint()
        frames = before[:kept]
        frames += [Frame(0, 0, (0, 0))] * (kept - len(frames))
        for _ in range(depth - kept):
            code, foreign = divmod(c.varint(), 2)
            line = c.svarint() + self.trace.code(self.process, code).first_line
            activation = (c.varint(), c.varint()) if foreign else (self.thread, following - c.varint())
            frames.append(Frame(code, line, activation))
        self.next = following
        return frames

    def chunk_events(self, chunk):
        if chunk.events_before > self.seen:
            self.trace.lost_events += chunk.events_before - self.seen
        if chunk.sequence != self.sequence:
            self.record = list(self.stack)
        self.sequence = chunk.sequence + 1
        self.seen = chunk.events_before
        c = Cursor(chunk.payload)
        self.now = chunk.ticks
        self.suspended = {}
        try:
            if chunk.stack_apart:
                self.record = self.stack_record(Cursor(self.stack_payload(chunk)), self.record)
            elif not chunk.sealed and chunk.payload[:1] == b"\0":
                return
            else:
                self.record = self.stack_record(c, self.record)
            self.stack = list(self.record)
            while c.more():
                tag = c.byte()
                if tag == 0:
                    break
                event = self.event(tag, c)
                if event is not None:
                    yield event
        except Truncated:
            if chunk.sealed:
                raise TraceError("offset %d: a sealed chunk does not decode" % chunk.offset)

    def stack_payload(self, chunk):
        for other in self.trace.of_kind(STACK):
            if (other.process, other.thread, other.sequence) == (chunk.process, chunk.thread, chunk.sequence):
                return other.payload
        raise Truncated

    def pass_time(self, units):
        self.now += units << self.trace.header.tick_shift

    def event(self, tag, c):
        """Decodes one event and returns it, or None for what is no event of its own."""
        if tag & 0x80:
            self.pass_time(tag & 15)
            return self.line((tag >> 4 & 7) - 3)
        if tag & 0x40:
            self.pass_time(c.byte())
            return self.line((tag & 63) - 32)
        if tag & 0x30:
            self.pass_time(tag & 15)
            return (self.call(c) if tag >> 4 == 1 else self.pop("return") if tag >> 4 == 2 else self.pop("yield"))
        if tag not in self.LONG:
            raise Truncated
        if tag not in (0x0B, 0x0F):
            self.pass_time(c.varint())
        return self.LONG[tag](self, c)

    def row(self, name, detail=""):
        """An event of the frame on top."""
        self.seen += 1
        time_ns = self.trace.ticks_to_ns(self.now)
        if not self.stack:
            return Event(self.process, self.thread, time_ns, name, 0, "", "", 0, 0, (0, 0), detail)
        number, line, activation = self.stack[-1]
        code = self.trace.code(self.process, number)
        path = self.trace.file(self.process, code.file).path
        return Event(self.process, self.thread, time_ns, name, number, path, code.qualname, line,
                     len(self.stack), activation, detail)

    def stray(self):
        """An event that needs a frame, and there is none."""
        self.seen += 1
        self.trace.errors += 1

    def line(self, step):
        if not self.stack:
            return self.stray()
        self.stack[-1] = self.stack[-1]._replace(line=self.stack[-1].line + step)
        return self.row("line")

    def call(self, c):
        code = c.varint()
        self.stack.append(Frame(code, self.trace.code(self.process, code).first_line, (self.thread, self.next)))
        self.next += 1
        return self.row("call")

    def pop(self, name):
        if not self.stack:
            return self.stray()
        event = self.row(name)
        frame = self.stack.pop()
        if name == "yield":
            self.suspended[frame.activation] = frame
        return event

    def resume(self, c):
        activation = (self.thread, self.next - c.varint())
        frame = self.suspended.pop(activation, None)
        if frame is None:
            self.trace.errors += 1
            frame = Frame(0, 0, activation)
        self.stack.append(frame)
        return self.row("resume")

    def go_on(self, c):
        code = c.varint()
        line = c.svarint() + self.trace.code(self.process, code).first_line
        back, foreign = divmod(c.varint(), 2)
        activation = (back, c.varint()) if foreign else (self.thread, self.next - back)
        if activation == (self.thread, self.next):
            self.next += 1   # never seen before: it is numbered now
        if activation == (self.thread, self.next):
            self.next += 1
        self.suspended.pop(activation, None)
        self.stack.append(Frame(code, line, activation))
        return self.row("resume")

    def with_string(self, name, c):
        detail = self.trace.string(self.process, c.varint())
        if not self.stack and name != "mark":
            return self.stray()
        return self.row(name, detail)

    def switch(self, c):
        self.stack = self.stack_record(c, self.stack)
        return self.row("switch")

    def gap(self, c):
        reason, length = c.varint(), c.varint()
        event = self.row("gap", GAP_REASONS.get(reason, str(reason)))
        self.pass_time(length)
        self.stack = self.stack_record(c, self.stack)
        return event

    def cpu(self, c):
        c.varint()

    def extension(self, c):
        c.varint()
        c.string()
        self.trace.extensions += 1

    LONG = {
        0x01: lambda self, c: self.line(c.svarint()),
        0x02: call,
        0x03: lambda self, c: self.pop("return"),
        0x04: lambda self, c: self.pop("yield"),
        0x05: resume,
        0x06: lambda self, c: self.pop("unwind"),
        0x07: lambda self, c: self.with_string("raise", c),
        0x08: lambda self, c: self.with_string("c_call", c),
        0x09: lambda self, c: self.row("c_return") if self.stack else self.stray(),
        0x0A: go_on,
        0x0B: cpu,
        0x0C: switch,
        0x0D: gap,
        0x0E: lambda self, c: self.with_string("mark", c),
        0x0F: extension,
    }


class SampleDecoder:
    """Section 9: the samples of one thread; an event is one record of it, SAME included."""

    STATES = "running", "gil", "blocked"

    def __init__(self, trace, process, thread):
        self.trace = trace
        self.process = process
        self.thread = thread
        self.samples = self.missed = 0
        self.cpu_ns = 0

    def events(self):
        for chunk in self.trace.of_kind(SAMPLES):
            if (chunk.process, chunk.thread) != (self.process, self.thread):
                continue
            self.trace.lost_events += max(0, chunk.events_before - self.samples)
            self.samples = chunk.events_before
            try:
                yield from self.chunk_events(chunk)
            except Truncated:
                if chunk.sealed:
                    raise TraceError("offset %d: a sealed chunk does not decode" % chunk.offset)

    def chunk_events(self, chunk):
        c = Cursor(chunk.payload)
        self.now = chunk.ticks
        self.nodes = [None]
        self.time_unit, self.cpu_unit = 128, 1000
        node, state = 0, "blocked"
        while c.more():
            tag = c.byte()
            if tag == 0:
                break
            if tag == 1:
                self.nodes.append((c.varint(), c.varint(), c.svarint()))
            elif tag & 0xC0 == 0x40:
                self.nodes.append((len(self.nodes) - 1, c.varint(), tag & 63))
            elif tag & 0x80:
                time = tag & 31
                if time == 31:
                    time = c.svarint()
                if tag >> 5 & 3 == 3:
                    more = c.varint()
                    time += 16 * more
                    self.samples += 1 + more
                else:
                    node, state = c.varint(), self.STATES[tag >> 5 & 3]
                    self.samples += 1
                if tag >> 5 & 3 == 0:
                    self.cpu_ns += c.varint() * self.cpu_unit
                self.pass_time(max(0, time))
                yield self.row("sample", node, state)
            elif tag == 6:
                self.missed += c.varint()
            elif tag == 7:
                length, reason = c.varint(), c.varint()
                yield self.row("gap", node, GAP_REASONS.get(reason, str(reason)))
                self.pass_time(length)
            elif tag == 8:
                self.time_unit, self.cpu_unit = c.varint(), c.varint()
            elif tag == 15:
                c.varint()
                c.string()
                self.trace.extensions += 1
            else:
                raise Truncated

    def pass_time(self, units):
        self.now += units * self.time_unit << self.trace.header.tick_shift

    def stack(self, node):
        """(code, line), innermost first."""
        while node:
            parent, code, step = self.nodes[node]
            yield self.trace.code(self.process, code), self.trace.code(self.process, code).first_line + step
            node = parent

    def row(self, name, node, detail):
        frames = list(self.stack(node))
        time_ns = self.trace.ticks_to_ns(self.now)
        if not frames:
            return Event(self.process, self.thread, time_ns, name, 0, "", "", 0, 0, (0, 0), detail)
        code, line = frames[0]
        path = self.trace.file(self.process, code.file).path
        return Event(self.process, self.thread, time_ns, name, code.number, path, code.qualname, line, len(frames),
                     (self.thread, 0), detail)


def read(path):
    with open(path, "rb") as file:
        return Trace(file.read())


def main():
    trace = read(sys.argv[1] if len(sys.argv) > 1 else "trace.bin")
    out = open(sys.stdout.fileno(), "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    try:
        for event in trace.events():
            out.write("%d\t%d\t%d\t%s\t%s\t%s\t%d\t%d\t%d:%d\t%s\n" % (
                event.process, event.thread, event.time_ns, event.name, event.file.replace("\n", "\\n"),
                event.function, event.line, event.depth, *event.activation, event.detail))
        out.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
