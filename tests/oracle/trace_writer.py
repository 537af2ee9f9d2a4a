"""Writes traces for tests, by formats/trace/TRACE.md alone. Speaks every form of every event."""
import struct

PAGE = 4096
MARK = bytes(range(0xA0, 0xB0))
RUN, FACTS, EVENTS, STACK, SOURCE, SAMPLES = 1, 2, 3, 4, 5, 8


def _crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_TABLE = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def svarint(n):
    return varint((n << 1 ^ n >> 63) & (1 << 64) - 1)


def string(text):
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return varint(len(data)) + data


def record(kind, *fields):
    body = b"".join(fields)
    return bytes([kind]) + varint(len(body)) + body


def header(realtime=0, monotonic=0, ticks=0, rate=10**9, clock=0, shift=0, read_version=1):
    checked = MARK + struct.pack("<QQQQIIQ", realtime, monotonic, ticks, rate, clock, shift, 0)
    head = b"\x89PYT\r\n\x1a\n" + struct.pack("<HHI", 1, read_version, crc32c(checked)) + checked
    return head.ljust(PAGE, b"\0")


def chunk(kind, payload, process=0, thread=0, sequence=0, ticks=0, monotonic=0, before=0, cpu=0, sealed=True,
          apart=False, encoding=0):
    capacity = (96 + len(payload) + PAGE) // PAGE * PAGE
    rest = struct.pack("<IIIIIQQQQQQQ", kind, sealed | apart << 1, process, thread, encoding, sequence, capacity,
                       len(payload) if sealed else 0, ticks, monotonic, before, cpu)
    crc = crc32c(rest + payload) if sealed else 0
    return (MARK + struct.pack("<I", crc) + rest + payload).ljust(capacity, b"\0")


def setting(key, value):
    return record(1, string(key), string(value))


def process(parent=0, how=0, pid=1, base=0, ticks=0, monotonic=0, executable="python", python="3.11.2", cwd="/",
            command=b"python\0app.py\0", identity=()):
    return record(2, varint(parent), varint(how), varint(pid), varint(base), varint(ticks), varint(monotonic),
                  string(executable), string(python), string(cwd), string(command), *map(varint, identity))


def thread(number, native, name, is_main):
    return record(3, varint(number), varint(native), string(name), varint(is_main))


def file(number, path, name="", origin=0, sha256=b"", size=0):
    return record(4, varint(number), string(path), string(name), varint(origin), string(sha256), varint(size))


def code(number, file_number, first_line, lines, name, qualname=None, module="m", flags=0, nested=0):
    steps, before = [], first_line
    for line in lines:
        steps.append(svarint(line - before))
        before = line
    return record(5, varint(number), varint(nested), varint(file_number), varint(first_line), varint(flags),
                  string(name), string(qualname or name), string(module), varint(len(lines)), *steps)


def text(number, value):
    return record(6, varint(number), string(value))


def end(how=0, status=0, ticks=0, monotonic=0):
    return record(7, varint(how), varint(status), varint(ticks), varint(monotonic))


def window(number, owner, thread, start, end):
    return record(11, varint(number), string(owner), varint(thread), varint(start), varint(end))


def node(parent, number, step, before=None):
    """`before`: the node defined before this one, if the short form may be used."""
    if parent == before and 0 <= step < 64:
        return bytes([0x40 | step]) + varint(number)
    return b"\x01" + varint(parent) + varint(number) + svarint(step)


def timed(state, t, *fields, far=False):
    """`far`: the time stands apart even if it fits the first byte."""
    if 0 <= t < 31 and not far:
        return bytes([0x80 | state << 5 | t]) + b"".join(fields)
    return bytes([0x80 | state << 5 | 31]) + svarint(t) + b"".join(fields)


def sample(state, t, innermost, cpu=0, far=False):
    """state: 0 running, which has CPU time, 1 waiting for the GIL, 2 blocked."""
    return timed(state, t, varint(innermost), *[varint(cpu)] * (state == 0), far=far)


def same(t, count, far=False):
    return timed(3, t - 16 * (count - 1), varint(count - 1), far=far)


def units(time, cpu_ns):
    return b"\x08" + varint(time) + varint(cpu_ns)


def missed(count):
    return b"\x06" + varint(count)


def sample_gap(t, reason):
    return b"\x07" + varint(t) + varint(reason)


def stack(following, depth, kept, frames):
    """frames: (code, line step, back) or (code, line step, thread, number)."""
    out = varint(following) + varint(depth) + varint(kept)
    for frame in frames:
        out += varint(frame[0] << 1 | (len(frame) == 4)) + svarint(frame[1]) + b"".join(map(varint, frame[2:]))
    return out


def line(t, step, long=False):
    if not long and t < 16 and -3 <= step <= 4:
        return bytes([0x80 | step + 3 << 4 | t])
    if not long and t < 256 and -32 <= step <= 31:
        return bytes([0x40 | step + 32, t])
    return b"\x01" + varint(t) + svarint(step)


def short(tag, t, high, long):
    return bytes([high | t]) if t < 16 and not long else bytes([tag]) + varint(t)


def call(t, number, long=False):
    return short(2, t, 0x10, long) + varint(number)


def ret(t, long=False):
    return short(3, t, 0x20, long)


def yield_(t, long=False):
    return short(4, t, 0x30, long)


def resume(t, back):
    return b"\x05" + varint(t) + varint(back)


def unwind(t):
    return b"\x06" + varint(t)


def with_string(tag, t, number):
    return bytes([tag]) + varint(t) + varint(number)


def c_return(t):
    return b"\x09" + varint(t)


def go_on(t, number, step, back=None, foreign=None):
    ref = varint(back << 1) if foreign is None else varint(foreign[0] << 1 | 1) + varint(foreign[1])
    return b"\x0a" + varint(t) + varint(number) + svarint(step) + ref


def cpu(ns):
    return b"\x0b" + varint(ns)


def switch(t, record_bytes):
    return b"\x0c" + varint(t) + record_bytes


def gap(t, reason, length, record_bytes):
    return b"\x0d" + varint(t) + varint(reason) + varint(length) + record_bytes


def extension(kind, data):
    return b"\x0f" + varint(kind) + string(data)
