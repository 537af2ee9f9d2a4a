"""How much of a trace is there for good, as its chunks' headers have it (TRACE.md section 3)."""
import mmap
import struct

PAGE = 4096


def used(path):
    """Its bytes, without the room that chunks have left for what comes."""
    size = PAGE
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as trace:
        mark, at = trace[16:32], PAGE
        while at < len(trace):
            if trace[at:at + 16] != mark:
                at += PAGE
                continue
            capacity, length = struct.unpack_from("<QQ", trace, at + 48)
            size += 96 + length
            at += max(capacity, PAGE)
    return size
