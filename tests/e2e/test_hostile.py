"""Names that mean harm: in paths, functions, modules, threads, marks, windows, commands and source text, through every
format that pyanalyze has, into files, onto a terminal, into queries."""
import csv
import errno
import hashlib
import io
import json
import marshal
import os
import pty
import re
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree
import zipfile

import support

import trace_writer as w

NAMES = [
    b"two\nlines", b"carriage\rreturn", b"quote\"'`", b"<script>alert(1)</script>", b"]]><script>alert(2)</script>", b"a;b 7",
    b"fn=(1) forged\ncalls=1 2\n3 4", b"nul\0inside", b"\xed\xb2\x80lone\xed\xa0\x80", b"\xff\xfe\x80 no utf-8", b"\xc0\xaf",
    b"\xf4\x90\x80\x80", "bidi \u202egpj.exe \u2066x\u2069\u200f".encode(), b"\x1b[31mred\x1b]0;title\x07\x1b[2J",
    b"\xc2\x9b31m c1", b"\x7f\x08\x08", b"../../../../etc/passwd", b"/etc/passwd", b"C:\\Windows\\win.ini", b"c:evil", b"//host/share",
    b"..", b".", b"/", b"", b"~", b"-rf", b"$(touch x)", b"`touch x`", b"%s%n%d", b"a\tb", b"\\", b"con", b"aux.py", b"x" * 300,
    b"', 1); DROP TABLE functions; --", b"&lt;&amp;", b"<!--", b"--></svg>", b"<?php", b"\xe2\x80\xa8line\xe2\x80\xa9sep", b"\xef\xbb\xbfbom",
    b"=cmd|' /C calc'!A0", b"{}", b"[0]", b"\xf0\x9f\x92\xa9", "e\u0301\u0327\u0334".encode(),
]
EVERY_BYTE = [name for byte in range(256) for b in [bytes([byte])] for name in (b + b"first", b"mid" + b + b"dle", b"last" + b)]
SOURCE = b"".join(b"x = %d # " % i + name.replace(b"\n", b" ").replace(b"\r", b" ").replace(b"\0", b" ") + b"\n"
                  for i, name in enumerate(NAMES)) + b"\f\x1b[31m\x00\x9b\xff end \\\n\r\n\ry = 1 <script>"


def make(names, path):
    """A trace in which each name is that of a file, a function, a module, a thread, a mark and so on."""
    digest = hashlib.sha256(SOURCE).digest()
    facts = w.process(pid=77, cwd=names[0], executable=names[-1], command=b"\0".join(names[:9]) + b"\0")
    events, ticks = {}, 100
    for i, name in enumerate(names):
        number = 10 * i + 10
        facts += w.file(number, name if i % 3 else b"/p/" + name, name, i % 5, digest, len(SOURCE))
        facts += w.code(number + 1, number, 1 + i, range(1 + i, 4 + i), name, name, module=name)
        facts += w.text(number + 2, name)
        facts += w.thread(i + 1, 1000 + i, name, i == 0)
        facts += w.window(i + 1, name, 0, 10, 20)
        one = w.call(1, number + 1) + w.line(1, 0) + w.with_string(0x0E, 1, number + 2) + w.with_string(8, 1, number + 2)
        one += w.c_return(2) + w.with_string(7, 1, number + 2) + w.line(3, 1) + w.ret(2)
        events.setdefault(1 + i % 7, []).append(one)
    run = b"".join(w.setting("argv", name) for name in names[:9]) + b"".join(
        w.setting(key, names[i % len(names)]) for i, key in enumerate(("host", "system", "recorder", "cwd", "python"))) + w.setting("mode", "exact")
    pieces = [w.chunk(1, run), w.chunk(2, facts, process=1)]
    for thread, parts in sorted(events.items()):
        pieces.append(w.chunk(3, w.stack(1, 0, 0, []) + b"".join(parts), process=1, thread=thread, ticks=ticks, monotonic=ticks))
    pieces.append(w.chunk(5, w.varint(10) + w.varint(0) + w.varint(len(SOURCE)) + SOURCE, process=1))
    with open(path, "wb") as file:
        file.write(w.header() + b"".join(pieces))


def formats():
    """All formats that --help lists."""
    text = support.run([support.PYANALYZE, "--help"]).out.decode()
    names = re.findall(r"^  (\S+)", text.partition("\nFormats:\n")[2], re.M)
    trace = os.path.join(support.ROOT, "tests", "corpus", "1-generators-3.11.bin")
    names = [name for name in names    # without those for other recordings
             if support.run([support.PYANALYZE, trace, "--format", name, "-o", "/dev/null"]).status == 0]
    assert {"annotate", "callgrind", "flamegraph", "zip"} <= set(names), text
    return names


def is_dangerous(character):
    code = ord(character)
    return (code < 32 and character not in "\n\t" or 0x7F <= code < 0xA0 or 0x2028 <= code <= 0x202E or
            0x2066 <= code <= 0x2069 or code in (0x200E, 0x200F, 0x61C, 0xFEFF) or 0xD800 <= code < 0xE000)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def on_terminal(command):
    """What a command writes to a terminal, and its exit status."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                               env=support.environment(TERM="xterm", PAGER=""))
    os.close(theirs)
    out = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError as error:
            assert error.errno == errno.EIO
            break
        if not piece:
            break
        out += piece
    os.close(ours)
    err = process.stderr.read()
    process.stderr.close()
    return process.wait(), out, err


class Hostile(unittest.TestCase):
    names = NAMES
    options = ([], ["--lines"], ["--per-thread"], ["--fold", "--top", "5"])

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="pyrec-hostile-")
        cls.trace = os.path.join(cls.folder, "trace.bin")
        cls.database = os.path.join(cls.folder, "profile.db")
        make(cls.names, cls.trace)
        result = support.run([support.PYANALYZE, cls.trace, "--db", cls.database])
        assert result.status == 0, result
        cls.inputs = [cls.database, cls.trace]    # which some formats read as well
        cls.formats = formats()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def write(self, name, *options):
        path = os.path.join(self.folder, "out." + name)
        result = support.run([support.PYANALYZE, *self.inputs, "--force", "--min-percent", "0", "--format", name, "-o",
                              path, *options])
        self.assertEqual(result.status, 0, result)
        self.check_text(result.err, name)
        return path

    def check_text(self, data, what):
        text = data.decode("utf-8", "strict")
        bad = [(match.start(), hex(ord(match[0])), text[max(0, match.start() - 30):match.start() + 30])
               for match in re.finditer("[^ -~\n\t]", text) if is_dangerous(match[0])]
        self.assertEqual(bad[:3], [], what)
        return text

    def rows(self, sql, *options):
        result = support.run([support.PYANALYZE, self.trace, *options, "--sql", sql])
        self.assertEqual(result.status, 0, result)
        return result.out

    def test_every_format_into_a_file(self):
        for name in self.formats:
            for options in self.options:
                if "--per-thread" not in options and name not in ("callgrindzip", "pstats", "zip"):
                    with self.subTest(name, options=options):
                        self.check_text(read(self.write(name, *options)), name)

    def test_every_format_onto_a_terminal(self):
        for descriptor in os.openpty():  # where there are none, this is skipped
            os.close(descriptor)
        binary = []
        for name in self.formats:
            for options in self.options:
                with self.subTest(name, options=options):
                    status, out, err = on_terminal([support.PYANALYZE, *self.inputs, "--format", name, "--no-pager", *options])
                    self.check_text(err, name)
                    if status == 2 and b"is not written to a terminal" in err:
                        binary.append(name)
                        continue
                    if status == 1 and b"several files" in err and "--per-thread" in options:
                        continue
                    self.assertEqual(status, 0, (name, err))
                    out = re.sub(rb"\x1b\[[0-9;]*m", b"", out.replace(b"\r\n", b"\n"))
                    self.check_text(out, (name, "terminal"))
        self.assertEqual({"callgrindzip", "pstats", "zip"}, set(binary))

    def test_nothing_is_lost_or_merged(self):
        counts = json.loads(self.rows(
            "SELECT (SELECT count(*) FROM functions WHERE kind = 'function') functions, (SELECT count(*) FROM marks) marks, "
            "(SELECT count(*) FROM windows) windows, (SELECT sum(calls) FROM functions WHERE kind = 'function') calls, "
            "(SELECT count(*) FROM accounts WHERE difference_ns) open", "--json"))[0]
        n = len(self.names)
        self.assertEqual(counts, {"functions": n, "marks": n, "windows": n, "calls": n, "open": 0})

    def test_bytes_are_kept(self):
        """A path that is no UTF-8 is there as it was."""
        rows = json.loads(self.rows("SELECT path, hex(raw_path) raw FROM files WHERE raw_path IS NOT NULL", "--json"))
        kept = {bytes.fromhex(row["raw"]) for row in rows}
        expected = set()
        for i, name in enumerate(self.names):
            path = name if i % 3 else b"/p/" + name
            try:
                path.decode("utf-8")
            except UnicodeDecodeError:
                expected.add(path)
        self.assertEqual(kept, expected)

    def test_rows_are_what_they_say(self):
        sql = "SELECT e.*, f.source FROM events e LEFT JOIN files f USING (file_id) ORDER BY thread_id, seq"
        rows = json.loads(self.rows(sql, "--json").decode("utf-8"))
        self.assertEqual(len(rows), 8 * len(self.names))
        csv.field_size_limit(1 << 24)
        table = list(csv.reader(io.StringIO(self.rows(sql, "--csv").decode("utf-8"), newline=""), strict=True))
        self.assertEqual(len(table), len(rows) + 1)
        self.assertEqual({len(row) for row in table}, {len(table[0])})
        tsv = self.rows(sql).decode("utf-8").split("\n")
        self.assertEqual(len(tsv), len(rows) + 2)
        self.assertEqual({line.count("\t") for line in tsv[:-1]}, {len(table[0]) - 1})
        status, out, _ = on_terminal([support.PYANALYZE, self.trace, "--no-pager", "--sql", sql.replace(", f.source", "")])
        self.assertEqual(status, 0)
        self.check_text(re.sub(rb"\x1b\[[0-9;]*m", b"", out.replace(b"\r\n", b"\n")), "rows on a terminal")

    @unittest.skipUnless(shutil.which("callgrind_annotate"), "no callgrind_annotate is installed")
    def test_callgrind_is_read_by_its_own_tool(self):
        path = self.write("callgrind")
        text = read(path).decode()
        functions = set(re.findall(r"^c?fn=\((\d+)\)", text, re.M))
        named = re.findall(r"^c?fn=\(\d+\) (.+)$", text, re.M)
        self.assertEqual(len(named), len(functions))
        self.assertEqual(len(set(named)), len(named))
        self.assertTrue(all(re.match(r"([a-z]+[:=]|\d+ \d+|#|calls=|c?f[nile]+=|[+-]?\d+|$)", line) for line in text.split("\n")), path)
        result = support.run(["callgrind_annotate", "--threshold=100", "--auto=no", path], cwd=self.folder)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.err, b"")

    @unittest.skipUnless(shutil.which("xmllint"), "no xmllint is installed")
    def test_svg_is_well_formed_and_runs_only_its_own_script(self):
        own = None
        for options in self.options[:3]:
            path = self.write("flamegraph", *options)
            result = support.run(["xmllint", "--noout", "--nonet", path])
            self.assertEqual((result.status, result.err), (0, b""))
            root = xml.etree.ElementTree.fromstring(read(path))
            scripts = [e.text for e in root.iter() if e.tag.endswith("}script")]
            self.assertEqual(len(scripts), 1)
            own = own or scripts[0]
            self.assertEqual(scripts[0], own)
            for element in root.iter():
                for attribute in element.attrib:
                    self.assertFalse(attribute.lower().startswith("on") and element is not root, (element.tag, attribute))
                    self.assertNotIn("href", attribute.lower())
            allowed = {"svg", "title", "style", "rect", "g", "text", "script"}
            self.assertLessEqual({e.tag.rpartition("}")[2] for e in root.iter()}, allowed)

    def test_zips_stay_in_their_folder(self):
        for name in self.formats:
            data = read(self.write(name)) if name in ("zip", "callgrindzip") else b""
            if not data.startswith(b"PK"):
                continue
            archive = zipfile.ZipFile(io.BytesIO(data))
            self.assertIsNone(archive.testzip())
            names = archive.namelist()
            self.assertEqual(len({entry.lower() for entry in names}), len(names))
            for entry in names:
                self.assertFalse(os.path.isabs(entry) or ".." in entry.split("/") or "\\" in entry or ":" in entry, entry)
                self.check_text(entry.encode(), "zip")
            with tempfile.TemporaryDirectory() as outer:
                inner = os.path.join(outer, "a", "b", "c", "d")
                os.makedirs(inner)
                if shutil.which("unzip"):
                    path = os.path.join(self.folder, "out." + name)
                    self.assertEqual(support.run(["unzip", "-q", "-d", inner, path]).status, 0)
                else:
                    archive.extractall(inner)
                found = [os.path.join(folder, file) for folder, _, files in os.walk(outer) for file in files]
                self.assertEqual(len(found), len(names))
                self.assertTrue(all(path.startswith(inner + os.sep) for path in found))

    def test_pstats_is_data(self):
        if "pstats" not in self.formats:
            self.skipTest("there is no such format")
        stats = marshal.loads(read(self.write("pstats")))
        self.assertTrue(all(isinstance(part, (str, int)) for key in stats for part in key))
        self.assertGreaterEqual(len(stats), len(self.names) // 2)

    def test_selection_by_a_hostile_name(self):
        """Names can be typed where they can be arguments; what does not exist is said on one line."""
        for name in self.names[:len(NAMES)]:
            if b"\0" in name or not name:
                continue
            for option in ("--thread", "--window", "--file", "--include"):
                result = support.run([support.PYANALYZE.encode(), self.trace.encode(), option.encode() + b"=" + name
                                      if option != "--thread" else b"--thread=" + name])
                self.assertIn(result.status, (0, 1, 2), result)
                self.check_text(result.err, (option, name))
                self.check_text(result.out, (option, name))


class EveryByte(Hostile):
    names = EVERY_BYTE
    options = ([], ["--lines"])

    test_selection_by_a_hostile_name = None


class Long(Hostile):
    """Names of a megabyte."""
    names = [b"n" * (1 << 20), b"short", b"../" * (1 << 18)]
    options = ([],)

    test_selection_by_a_hostile_name = None


class InputsAndOutputs(unittest.TestCase):
    """The names of the files that pyanalyze itself is given."""

    def test_input_names(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in NAMES:
                name = name.replace(b"/", b"_").replace(b"\0", b"_")[:200]
                if name in (b"", b".", b".."):
                    continue
                path = os.path.join(folder.encode(), name)
                for data in (b"no trace", b""):
                    with open(path, "wb") as file:
                        file.write(data)
                    result = support.run([support.PYANALYZE.encode(), path])
                    self.assertEqual((result.status, result.err.count(b"\n")), (1, 1), (name, result))
                    text = result.err.decode("utf-8")
                    self.assertFalse(any(map(is_dangerous, text)), text)
                os.remove(path)

    def test_a_recorded_program_with_hostile_names(self):
        """The whole way from CPython: names as code objects, threads and files have them."""
        program = (
            "import threading\n"
            "names = %r\n"
            "for i, name in enumerate(names):\n"
            "    scope = {'__name__': name}\n"
            "    exec(compile('def f():\\n    return 1\\n', name.replace('\\0', '') or 'x', 'exec'), scope)\n"
            "    f = scope['f']\n"
            "    f.__code__ = f.__code__.replace(co_name=name)\n"
            "    thread = threading.Thread(target=f, name=name)\n"
            "    thread.start(); thread.join()\n" % [name.decode("utf-8", "surrogateescape") for name in NAMES])
        for python in support.PYTHONS:
            recording = support.Recording(python, ["-c", program])
            try:
                self.assertEqual((recording.plain.status, recording.recorded.status), (0, 0), recording.recorded)
                count = recording.value("SELECT count(*) FROM functions WHERE calls = 1 AND kind = 'function' AND first_line = 1")
                self.assertEqual(count, len(NAMES))
                result = support.run([support.PYANALYZE, recording.trace])
                self.assertFalse(any(map(is_dangerous, result.out.decode("utf-8"))))
            finally:
                recording.close()
