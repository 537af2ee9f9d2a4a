"""TRACE.md's worked example decodes to what the document says it means."""
import os
import re
import unittest

import support

import decode


def worked_example():
    """The bytes of the hex dump in section 8, and the text around it; None while there is no dump."""
    with open(os.path.join(support.ROOT, "formats", "trace", "TRACE.md"), encoding="utf-8") as file:
        section = re.split(r"^## 8\. .*$", file.read(), flags=re.M)[1]
    section = re.split(r"^## ", section, flags=re.M)[0]
    dump = bytearray()
    for offset, digits in re.findall(r"^\s*([0-9A-Fa-f]{4,8})[: ]\s*((?:[0-9A-Fa-f]{2} ?)+)", section, flags=re.M):
        offset = int(offset, 16)
        dump += bytes(max(0, offset - len(dump)))
        data = bytes.fromhex(digits)
        dump[offset:offset + len(data)] = data
    return bytes(dump), section


class WorkedExample(unittest.TestCase):
    def test_primitives(self):
        self.assertEqual(decode.crc32c(b"123456789"), 0xE3069283)
        for data, value in ((b"\0", 0), (b"\x7f", 127), (b"\x80\x01", 128), (b"\xff" * 9 + b"\1", 2 ** 64 - 1)):
            self.assertEqual(decode.Cursor(data).varint(), value)
        for data, value in ((b"\0", 0), (b"\1", -1), (b"\2", 1), (b"\xff\x01", -128)):
            self.assertEqual(decode.Cursor(data).svarint(), value)
        for data in (b"", b"\x80", b"\xff" * 9 + b"\2", b"\xff" * 11):
            with self.assertRaises(decode.Truncated):
                decode.Cursor(data).varint()

    def test_worked_example(self):
        dump, section = worked_example()
        self.assertTrue(dump, "section 8 has no hex dump")
        trace = decode.Trace(dump)
        self.assertEqual((trace.damaged, trace.errors), (0, 0))
        events = list(trace.events())
        self.assertTrue(events)
        for event in events:
            self.assertIn(event.name, section.lower())
