"""The pyanalyze command: inputs and outputs, errors and statuses, queries and their rows, events, terminals."""
import contextlib
import csv
import functools
import hashlib
import io
import json
import os
import pty
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import unittest
import zipfile

import support
from support import PYANALYZE

import decode
import trace_writer
from trace_writer import string, svarint, varint

PROGRAM = """\
import threading

def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)

def numbers(count):
    for number in range(count):
        yield number

def work():
    total = 0
    for number in numbers(300):
        total += number
    try:
        raise ValueError(total)
    except ValueError:
        pass
    return fib(9)

threads = [threading.Thread(target=work, name='worker %d' % i) for i in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
work()
"""


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


FORMATS = re.findall(r"^  ([a-z]+) ", support.run([support.PYANALYZE, "--help"]).out.decode().partition("Formats:")[2], re.M)


class Case(unittest.TestCase):
    """A trace recorded once a class, and a fresh folder to work in for each test."""

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="pyanalyze-shared-")
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)
        cls.program = os.path.join(cls.shared, "program.py")
        with open(cls.program, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        cls.trace = os.path.join(cls.shared, "trace.bin")
        result = support.run([support.PYREC, "run", "--python", support.PYTHONS[0], "-o", cls.trace, cls.program],
                             cwd=cls.shared)
        assert result.status == 0, result
        cls.database = os.path.join(cls.shared, "profile.db")
        result = support.run([PYANALYZE, cls.trace, "--db", cls.database])
        assert result.status == 0 and result.err == b"", result
        with open(cls.trace, "rb") as file:
            cls.bytes = file.read()

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyanalyze-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def run_it(self, *words, **options):
        options.setdefault("cwd", self.folder)
        return support.run([PYANALYZE, *words], **options)

    def good(self, *words, **options):
        result = self.run_it(*words, **options)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.err, b"", result)
        return result.out

    def rows(self, *queries, inputs=None):
        words = [word for query in queries for word in ("--sql", query)]
        return json.loads(self.good(*(inputs or [self.trace]), "--json", *words))

    def bad(self, status, *words, named=(), **options):
        """The command fails with one line that names all of that, prints nothing and leaves nothing behind."""
        before = sorted(os.listdir(self.folder))
        result = self.run_it(*words, **options)
        self.assertEqual(result.status, status, result)
        self.assertEqual(result.out, b"", result)
        self.assertTrue(result.err.startswith(b"pyanalyze: "), result)
        self.assertEqual(result.err.count(b"\n"), 1, result)
        for name in named:
            self.assertIn(name.encode(), result.err, result)
        self.assertEqual(sorted(os.listdir(self.folder)), before, result)
        return result.err


class Usage(Case):
    def test_wrong_use_is_status_2_and_one_line(self):
        for words, named in (
                (["--nonsense"], ["--nonsense", "--help"]),
                (["-x"], ["-x"]),
                (["--zipfile=x", "--format"], ["--format", "NAME[=FILE]"]),
                (["--format", "svgg"], ["svgg", *FORMATS]),
                (["-o", "x.what"], ["x.what", "annotate"]),
                (["--unit", "h"], ["s, ms, us, ns"]),
                (["--csv"], ["--sql"]),
                (["--sql", "SELECT 1", "--csv", "--json"], ["--csv", "--json"]),
                (["--format", "folded=a", "--format", "annotate=a"], ["a", "folded", "annotate"]),
                (["--zipfile", "a", "--db", "a"], ["a"]),
                ([self.database, self.database], ["not merged"]),
                ([self.database, "--thread", "x"], ["--thread", "trace"]),
                ([self.database, "--process", "1"], ["--process", "trace"]),
                ([self.database, "--include", "*.py"], ["--include", "trace"]),
                ([self.database, "--db", "other.db"], ["--db", "database already"])):
            with self.subTest(words=words):
                self.bad(2, *([] if words[0] == self.database else [self.trace]), *words, named=named)

    def test_help_version_schema(self):
        help_text = self.good("--help").decode()
        self.assertLessEqual(len(help_text.splitlines()), 66)
        self.assertLessEqual(max(map(len, help_text.splitlines())), 80)
        self.assertRegex(self.good("--version"), rb"^pyanalyze \d+\.\d+\.\d+\n$")
        schema = self.good("--schema")
        for name in ("profile.sql", "profile_indexes.sql"):
            with open(os.path.join(support.ROOT, "formats", name), "rb") as file:
                self.assertIn(file.read(), schema)
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            database.executescript(schema.decode())

    def test_every_option_is_in_help_manual_and_completions(self):
        names = set(re.findall(r"^  (?:-\w,|   ) (--[a-z-]+)", self.good("--help").decode(), re.M))
        self.assertGreater(len(names), 20)
        for place in ("analyzer/pyanalyze.1", "completion/pyanalyze.bash", "completion/_pyanalyze"):
            with open(os.path.join(support.ROOT, place), encoding="utf-8") as file:
                text = file.read()
            for name in names:
                self.assertIn(name.replace("--", "Fl -", 1) if place.endswith(".1") else name, text, place)

    def test_every_format_is_in_manual_and_completions(self):
        names = re.findall(r"^  ([a-z]+) ", self.good("--help").decode().partition("\nFormats:\n")[2], re.M)
        self.assertGreater(len(names), 10)
        for place, form in (("analyzer/pyanalyze.1", ".It Cm %s\n"), ("completion/pyrec.bash", " %s"),
                            ("completion/_pyrec", "'%s["), ("README.md", "      %s ")):
            with open(os.path.join(support.ROOT, place), encoding="utf-8") as file:
                text = file.read().replace("formats='", "formats=' ")
            for name in names:
                if name != "compare" or "_pyrec" not in place and "pyrec." not in place:    # it needs two recordings
                    self.assertIn(form % name, text, place)

    def test_full_standard_output_is_a_problem(self):
        with open("/dev/full", "wb") as full:
            for words in (["--help"], [self.trace], [self.trace, "--sql", "SELECT * FROM lines"]):
                finished = subprocess.run([PYANALYZE, *words], stdout=full, stderr=subprocess.PIPE, check=False)
                self.assertEqual(finished.returncode, 1, words)
                self.assertEqual(finished.stderr.count(b"\n"), 1)
                self.assertIn(b"No space left", finished.stderr)


class Inputs(Case):
    def test_trace_bin_is_the_default(self):
        shutil.copy(self.trace, self.path("trace.bin"))
        everything = ["--min-percent", "0"]     # where the machine paused, this program took none of the time
        self.assertIn(b"fib(n - 1)", self.good(*everything))
        self.assertEqual(self.good(*everything), self.good(self.trace, *everything))

    def test_without_one_there_is_a_hint(self):
        self.bad(1, named=["trace.bin", "No such file", "pyrec run"])
        self.assertNotIn(b"pyrec run", self.bad(1, "other.bin", named=["other.bin", "No such file"]))

    def test_foreign_files(self):
        self.write("empty", b"")
        self.write("text", b"hello\n" * 1000)
        self.write("binary", bytes(range(256)) * 100)
        self.write("start", self.bytes[:7])
        self.write("header", self.bytes[:79])
        os.mkdir(self.path("folder"))
        os.mkfifo(self.path("fifo"))
        for name in os.listdir(self.folder):
            with self.subTest(name=name):
                self.bad(1, name, named=[name])

    def test_every_cut_gives_a_result_or_one_line(self):
        cuts = [80, 4095, 4096, 4097, 4200, 8191, 8192] + [
            random.Random(1).randrange(len(self.bytes)) for _ in range(25)]
        found = []
        for cut in sorted(cuts):
            self.write("cut.bin", self.bytes[:cut])
            result = self.run_it("cut.bin", "--json", "--sql", "SELECT count(*) AS n FROM events")
            self.assertIn(result.status, (0, 1), (cut, result))
            if result.status:
                self.assertEqual(result.err.count(b"\n"), 1, (cut, result))
                self.assertIn(b"cut.bin", result.err)
            else:
                found.append(json.loads(result.out)[0]["n"])
        self.assertEqual(found, sorted(found), "a longer file has no fewer events")
        self.assertGreater(found[-1], found[0])

    def test_damage_is_a_warning_and_strict_makes_it_a_failure(self):
        data = bytearray(self.bytes)
        events = [at for at in range(4096, len(data), 4096)
                  if data[at:at + 16] == data[16:32] and data[at + 20] == 3]
        self.assertGreater(len(events), 1)
        data[events[0] + 200] ^= 0x55
        sealed = data[events[0] + 24] & 1
        self.write("damaged.bin", data)
        result = self.run_it("damaged.bin", "--sql", "SELECT count(*) FROM warnings")
        self.assertEqual(result.status, 0, result)
        strict = self.run_it("damaged.bin", "--strict", "--sql", "SELECT count(*) FROM warnings")
        self.assertEqual(strict.out, result.out)
        self.assertEqual(strict.err, result.err)
        warned = b"pyanalyze: warning: damaged.bin: " in result.err
        self.assertEqual(strict.status, 1 if warned else 0)
        self.assertTrue(warned or not sealed, result)

    def test_strict_without_warnings_is_success(self):
        self.good(self.trace, "--strict", "--sql", "SELECT 1")

    def test_the_same_run_twice_is_refused(self):
        shutil.copy(self.trace, self.path("copy.bin"))
        self.bad(1, self.trace, "copy.bin", named=["copy.bin"])

    def test_several_traces_are_kept_apart_in_runs(self):
        other = self.path("other.bin")
        support.run([support.PYREC, "run", "--python", support.PYTHONS[0], "-o", other, self.program])
        both = self.rows("SELECT count(*) AS runs FROM runs", "SELECT sum(hits) AS hits FROM lines",
                         "SELECT run_id, count(*) AS n FROM events GROUP BY 1", inputs=[self.trace, other])
        self.assertEqual(both[0], [{"runs": 2}])
        alone = [self.rows("SELECT sum(hits) AS hits FROM lines", inputs=[path])[0]["hits"]
                 for path in (self.trace, other)]
        self.assertEqual(both[1], [{"hits": sum(alone)}])
        self.assertEqual([row["run_id"] for row in both[2]], [1, 2])

    def test_a_selection_of_nothing_is_warned_of(self):
        for words in (["--thread", "nobody"], ["--process", "1"]):
            result = self.run_it(self.trace, *words, "--strict", "--sql", "SELECT 1 AS one")
            self.assertEqual((result.status, result.out), (1, b"one\n1\n"))
            self.assertIn(b"warning: no thread is selected", result.err)

    def test_selection(self):
        query = "SELECT name, (SELECT sum(hits) FROM lines) AS hits FROM threads"
        row, = self.rows(query, inputs=[self.trace, "--thread", "worker 1"])
        whole = self.rows(query)
        self.assertEqual(row["name"], "worker 1")
        self.assertLess(0, row["hits"])
        self.assertLess(row["hits"], whole[0]["hits"])
        pid = self.rows("SELECT pid FROM processes")[0]["pid"]
        self.assertEqual(self.rows(query, inputs=[self.trace, "--process", str(pid)]), whole)
        files = "SELECT DISTINCT file FROM functions WHERE kind != 'outside'"
        self.assertEqual(self.rows(files, inputs=[self.trace, "--include", "program.py"]), [{"file": self.program}])
        self.assertNotIn({"file": self.program}, self.rows(files, inputs=[self.trace, "--exclude", "program.py"]))


class Databases(Case):
    def change(self, *statements):
        path = shutil.copy(self.database, self.path("changed.db"))
        with contextlib.closing(sqlite3.connect(path)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()
        return path

    def test_gives_what_the_trace_gives(self):
        for words in ([], ["-f", "callgrind"], ["-f", "folded"], ["-f", "zip"], ["--sql", "SELECT * FROM lines"],
                      ["--file", "program.py", "--fold"], ["--per-thread", "-f", "folded"]):
            with self.subTest(words=words):
                self.assertEqual(self.good(self.database, *words), self.good(self.trace, *words))

    def test_is_sound(self):
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            self.assertEqual(database.execute("PRAGMA foreign_key_check").fetchall(), [])

    def test_is_opened_where_nothing_can_be_written(self):
        path = shutil.copy(self.database, self.path("read only?&%#.db"))
        os.chmod(path, 0o400)
        os.chmod(self.folder, 0o500)
        try:
            self.good(path, "--sql", "SELECT 1")
        finally:
            os.chmod(self.folder, 0o700)

    def test_newer_and_foreign_ones_are_refused(self):
        self.bad(1, self.change("PRAGMA user_version = 2"), named=["changed.db", "another version"])
        self.bad(1, self.change("PRAGMA user_version = 0"), named=["changed.db", "another version"])
        self.bad(1, self.change("PRAGMA application_id = 7"), named=["changed.db", "not one that pyanalyze made"])
        self.bad(1, self.change("DROP TABLE lines"), named=["changed.db", "lines"])
        self.bad(1, self.change("ALTER TABLE lines DROP COLUMN hits"), named=["changed.db", "lines"])

    def test_a_view_in_the_place_of_a_table_is_refused(self):
        self.bad(1, self.change("ALTER TABLE lines RENAME TO real_lines",
                                "CREATE VIEW lines AS SELECT * FROM real_lines"), named=["changed.db", "lines"])

    def test_additions_of_the_user_are_welcome(self):
        path = self.change("CREATE VIEW hot AS SELECT * FROM lines WHERE self_ns > 0", "CREATE TABLE notes (n)")
        self.good(path, "--sql", "SELECT count(*) FROM hot")

    def test_damaged_ones_give_one_line(self):
        with open(self.database, "rb") as file:
            data = bytearray(file.read())
        for at in range(4096, len(data) - 64, 1777):
            data[at:at + 8] = b"\xff" * 8
        self.write("damaged.db", data)
        for words in ([], ["-f", "folded"], ["--sql", "SELECT * FROM lines"]):
            self.bad(1, "damaged.db", *words, named=["damaged.db"])
        # Damage that only shows when the rows are read.
        chance = random.Random(2)
        for _ in range(40):
            with open(self.database, "rb") as file:
                data = bytearray(file.read())
            for at in range(3 * 4096, len(data), 4096):
                place = at + chance.randrange(4000)
                data[place:place + 8] = chance.randbytes(8)
            self.write("damaged.db", data)
            for words in (["-f", "folded"], ["-f", "callgrind"], ["--sql", "SELECT count(source) FROM files"]):
                result = self.run_it("damaged.db", *words)
                self.assertIn(result.status, (0, 1), result)
                if result.status:
                    last = result.err.splitlines()[-1]
                    self.assertTrue(last.startswith(b"pyanalyze: damaged.db: "), result)
        self.write("cut.db", data[:100])
        self.bad(1, "cut.db", named=["cut.db"])

    def test_with_its_trace_it_has_events(self):
        query = "SELECT count(*) AS n FROM events"
        self.assertEqual(self.rows(query, inputs=[self.database, self.trace]), self.rows(query))
        self.bad(1, self.database, "--sql", query, named=["trace", "command line"])

    def test_is_not_merged_with_another_trace(self):
        other = self.path("other.bin")
        support.run([support.PYREC, "run", "--python", support.PYTHONS[0], "-o", other, "-c", "pass"])
        self.bad(2, self.database, other, named=["other.bin", "profile.db"])


class Outputs(Case):
    def test_by_name(self):
        self.good(self.trace, "-o", "app.svg", "--zipfile", "app.zip", "--db", "app.db")
        self.good(self.trace, "-o", "app.folded")
        self.good(self.trace, "-o", "app.txt", "--min-percent", "0")
        self.assertEqual(self.run_it(self.trace, "-o", "callgrind.out.app").status, 0)
        self.assertEqual(sorted(os.listdir(self.folder)), [
            "app.db", "app.folded", "app.svg", "app.txt", "app.zip", "callgrind.out.app"])
        self.assertIn(b"<svg", self.read("app.svg"))
        self.assertTrue(zipfile.is_zipfile(self.path("app.zip")))
        self.assertEqual(self.read("app.db")[:15], b"SQLite format 3")
        self.assertIn(b"fib(n - 1)", self.read("app.txt"))
        self.assertRegex(self.read("app.folded"), rb"fib \(program\.py:3\) \d+\n")
        self.assertIn(b"\nevents:", self.read("callgrind.out.app"))

    def test_options_of_reports_reach_the_formats(self):
        def text(*words):
            return self.good(self.trace, *words).decode()

        def files(*words):
            return re.findall(r"^File: (.*)$", text("--min-percent", "0", *words), re.M)
        self.assertEqual(sorted(files("--sort", "hits")), sorted(files("--sort", "wall")))
        for key, column in (("hits", "hits"), ("wall", "self_ns"), ("cpu", "self_cpu_ns")):
            rows = self.rows("SELECT path, name, sum(%s) AS n FROM lines JOIN files USING (file_id) GROUP BY 1" % column)
            sums = {row[either]: row["n"] for either in ("name", "path") for row in rows}   # a file here goes by its name
            shown = [sums[name] for name in files("--sort", key)]
            self.assertEqual(shown, sorted(shown, reverse=True), key)
        self.assertEqual(files("--sort", "cpu"), files())
        self.assertEqual(files("--top", "1"), files()[:1])
        self.assertEqual([os.path.basename(name) for name in files("--file", "program.py")], ["program.py"])
        self.assertEqual(files("--file", "re:/(program|threading)\\.py$", "--file", "nothing"),
                         [name for name in files() if re.search(r"(program|threading)\.py$", name)])
        for unit in ("s", "ms", "us", "ns"):
            self.assertIn("Time (%s)|" % unit, text("--unit", unit))
        self.assertIn("[...", text("--file", "threading.py", "--fold", "--min-percent", "0"))
        self.assertGreater(len(text("--min-percent", "0").splitlines()), len(text("--min-percent", "5").splitlines()))
        weights = {text("-f", "folded", "--by", by) for by in ("self", "cpu", "hits")}
        self.assertEqual(len(weights), 3)
        self.assertIn(text("-f", "folded"), weights)
        self.assertIn("program.py:6", text("-f", "folded", "--lines"))
        self.assertNotIn("program.py:6)", text("-f", "folded"))
        self.assertIn("worker 1", text("-f", "folded", "--per-thread"))
        self.assertNotIn("worker 1", text("-f", "folded"))
        result = self.run_it(self.trace, "-f", "callgrind=callgrind.out.x", "--per-thread", "--zipfile", "x.zip")
        self.assertEqual(result.status, 0, result)
        self.assertGreater(len([name for name in os.listdir(self.folder) if name.startswith("callgrind.out.x")]), 1)
        self.assertIn(b"x.zip", result.err)
        with zipfile.ZipFile(self.path("x.zip")) as archive:
            self.assertTrue(any(name.endswith("program.py") for name in archive.namelist()))
            inside = [name for name in archive.namelist() if name.endswith("program.py")][0]
        self.assertIn(inside.encode(), self.read("callgrind.out.x"))

    def test_several_formats_at_once(self):
        out = self.good(self.trace, "-f", "folded", "-f", "folded=a.folded", "-f", "flamegraph=a.svg")
        self.assertEqual(out, self.read("a.folded"))

    def test_the_same_kind_is_replaced(self):
        for name in ("a.svg", "a.folded", "a.txt", "a.db", "a.zip"):
            self.good(self.trace, "-o", name)
            first = self.read(name)
            self.good(self.trace, "-o", name)
            if name != "a.db":
                self.assertEqual(first, self.read(name))
        for name in ("a.csv", "a.json", "a.tsv"):
            for _ in range(2):
                self.good(self.trace, "--sql", "SELECT * FROM files", "-o", name)

    def test_another_kind_is_not_without_force(self):
        source = b"print('precious')\n"
        for name, words in (("a.svg", []), ("callgrind.out.a", []), ("a.folded", []), ("a.txt", []), ("a.db", []),
                            ("a.zip", []), ("a.py", ["--sql", "SELECT 1"]), ("a.py", ["-f", "folded"])):
            with self.subTest(name=name):
                self.write(name, source)
                self.bad(1, self.trace, *words, "-o", name, named=[name, "--force"])
                self.assertEqual(self.read(name), source)
                self.assertEqual(self.run_it(self.trace, *words, "-o", name, "--force").status, 0)
                self.assertNotEqual(self.read(name), source)

    def test_empty_files_are_filled(self):
        self.write("a.svg", b"")
        self.good(self.trace, "-o", "a.svg")

    def test_an_input_never_is(self):
        shutil.copy(self.trace, self.path("trace.bin"))
        shutil.copy(self.database, self.path("in.db"))
        os.link(self.path("trace.bin"), self.path("hard.svg"))
        os.symlink("trace.bin", self.path("soft.svg"))
        os.symlink("in.db", self.path("soft.db"))
        for words in (["trace.bin", "-f", "folded=trace.bin"], ["trace.bin", "-o", "hard.svg"],
                      ["trace.bin", "-o", "soft.svg"], ["trace.bin", "--db", "trace.bin"],
                      ["trace.bin", "--zipfile", "./trace.bin"], ["in.db", "-f", "annotate=soft.db"],
                      ["trace.bin", "--sql", "SELECT 1", "-o", "soft.svg", "-f", "annotate"]):
            with self.subTest(words=words):
                self.bad(1, *words, "--force", named=["input"])
        self.assertEqual(self.read("trace.bin"), self.bytes)
        self.assertEqual(digest(self.path("in.db")), digest(self.database))

    def test_places_that_cannot_be_written(self):
        os.mkdir(self.path("folder"))
        os.mkdir(self.path("folder.svg"))
        for name in ("nowhere/a.svg", "nowhere/a.db", "folder.svg"):
            with self.subTest(name=name):
                self.bad(1, self.trace, "-o", name, named=[name])
        self.bad(1, self.trace, "--db", "folder", named=["folder"])

    def test_a_failure_leaves_the_old_file(self):
        self.good(self.trace, "--sql", "SELECT 1 AS a", "-o", "a.csv")
        self.bad(1, self.trace, "--sql", "SELECT 2 AS a; SELECT absent", "-o", "a.csv", named=["absent"])
        self.assertEqual(self.read("a.csv"), b"a\r\n1\r\n")
        with open(self.path("limit.sh"), "w", encoding="utf-8") as file:
            file.write("ulimit -f 4; trap '' XFSZ; exec \"$@\"\n")
        self.good(self.trace, "-o", "a.svg")
        before = self.read("a.svg")
        result = support.run(["sh", "limit.sh", PYANALYZE, self.trace, "-o", "a.svg"], cwd=self.folder)
        self.assertEqual(result.status, 1, result)
        self.assertIn(b"a.svg", result.err)
        self.assertEqual(self.read("a.svg"), before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.csv", "a.svg", "limit.sh"])

    def test_special_files(self):
        self.good(self.trace, "-f", "folded=/dev/null")
        self.assertTrue(os.path.exists("/dev/null") and not os.path.isfile("/dev/null"))
        self.assertEqual(self.good(self.trace, "-f", "folded=/dev/stdout"), self.good(self.trace, "-f", "folded"))
        self.bad(1, self.trace, "--db", "/dev/null", named=["/dev/null"])

    def test_same_bytes_whatever_the_place(self):
        results = set()
        for more in ({"LC_ALL": "C", "TZ": "UTC"}, {"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Apia", "COLUMNS": "40"}):
            env = support.environment()
            env.update(more)
            self.good(self.trace, "-o", "a.svg", "--zipfile", "a.zip", env=env)
            text = self.good(self.trace, "-f", "annotate", "-f", "folded", "--sql", "SELECT * FROM functions", env=env)
            results.add((self.read("a.svg"), self.read("a.zip"), text))
        self.assertEqual(len(results), 1)

    def test_who_stops_reading_is_no_error(self):
        for words in ([], ["--sql", "SELECT * FROM events"], ["--sql", "SELECT * FROM events", "--json"],
                      ["-f", "zip"], ["--help"]):
            with self.subTest(words=words):
                process = subprocess.Popen([PYANALYZE, self.trace, *words], stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE)
                process.stdout.close()
                self.assertEqual(process.stderr.read(), b"")
                process.stderr.close()
                self.assertEqual(process.wait(), 0)

    def test_results_after_a_lost_reader_are_written(self):
        process = subprocess.Popen([PYANALYZE, self.trace, "-f", "annotate", "-f", "folded=a.folded"],
                                   stdout=subprocess.PIPE, cwd=self.folder)
        process.stdout.close()
        self.assertEqual(process.wait(), 0)
        self.assertEqual(self.read("a.folded"), self.good(self.trace, "-f", "folded"))

    def test_an_interrupt_leaves_no_temporary_file(self):
        for delay in [i / 1000 for i in range(40)]:     # the file has a name for a part of a millisecond
            process = subprocess.Popen([PYANALYZE, self.trace, "--db", "a.db", "-o", "a.svg"], cwd=self.folder,
                                       stderr=subprocess.DEVNULL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(delay)
            process.send_signal(signal.SIGTERM)
            self.assertIn(process.wait(), (0, -signal.SIGTERM))
            self.assertLessEqual(set(os.listdir(self.folder)), {"a.db", "a.svg"})

    def test_verbose_reports_cost_on_standard_error(self):
        result = self.run_it(self.trace, "-v", "-f", "folded")
        self.assertEqual(result.out, self.good(self.trace, "-f", "folded"))
        self.assertRegex(result.err, rb"pyanalyze: analyze: [\d.]+ s, CPU [\d.]+ s, memory at most [\d.]+ MB, \d+ events, "
                                     rb"\d+ bytes, [\d.]+ bytes and [\d.]+ ns an event \(read [\d.]+ s, [\d.]+ MB; "
                                     rb"replay [\d.]+ s, [\d.]+ MB; store [\d.]+ s, [\d.]+ MB\), \d+ contexts, ")
        self.assertRegex(result.err, rb"pyanalyze: folded: ")


class Queries(Case):
    TABLES = ("runs", "processes", "threads", "files", "functions", "lines", "line_stats", "edges", "edge_stats",
              "function_stats", "function_edges",
              "contexts", "context_lines", "context_edges", "accounts", "open_frames", "meta")

    @functools.cached_property
    def connection(self):
        connection = sqlite3.connect(self.database)
        self.addCleanup(connection.close)
        return connection

    def expected(self, query):
        cursor = self.connection.execute(query)
        return [column[0] for column in cursor.description], cursor.fetchall()

    def test_json_is_what_sqlite_says(self):
        def cell(value):
            return value.hex().upper() if isinstance(value, bytes) else value
        for table in self.TABLES:
            query = "SELECT * FROM %s ORDER BY rowid" % table
            names, rows = self.expected(query)
            self.assertEqual(self.rows(query, inputs=[self.database]),
                             [dict(zip(names, map(cell, row))) for row in rows], table)

    def test_csv_is_what_sqlite_says(self):
        def cell(value):
            if isinstance(value, bytes):
                return value.hex().upper()
            return "" if value is None else repr(value) if isinstance(value, float) else str(value)
        for table in self.TABLES:
            query = "SELECT * FROM %s ORDER BY rowid" % table
            names, rows = self.expected(query)
            text = self.good(self.database, "--csv", "--sql", query).decode()
            self.assertEqual(list(csv.reader(io.StringIO(text, newline=""))),
                             [names] + [list(map(cell, row)) for row in rows], table)

    def test_tsv_is_what_sqlite_says(self):
        letters = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
        def cell(text):
            if text == "\\N":
                return None
            return re.sub(r"\\(.)", lambda match: letters[match.group(1)], text)
        for table in self.TABLES:
            query = "SELECT * FROM %s ORDER BY rowid" % table
            names, rows = self.expected(query)
            text = self.good(self.database, "--sql", query).decode()
            lines = [[cell(field) for field in line.split("\t")] for line in text.split("\n")[:-1]]
            self.assertEqual(lines[0], names)
            self.assertEqual(lines[1:], [
                [None if value is None else value.hex().upper() if isinstance(value, bytes) else str(value)
                 for value in row] for row in rows], table)

    def test_from_files_and_standard_input(self):
        self.write("q.sql", b"-- a query\nSELECT 1 AS a;\n")
        self.assertEqual(self.good(self.trace, "--sql", "@q.sql"), b"a\n1\n")
        self.assertEqual(self.good(self.trace, "--sql", "-", input=b"SELECT 2 AS b"), b"b\n2\n")
        self.assertEqual(self.good(self.trace, "--sql", "@q.sql", "--sql", "-", "--sql", "SELECT 3 AS c",
                                   input=b"SELECT 2 AS b"), b"a\n1\n\nb\n2\n\nc\n3\n")
        self.bad(1, self.trace, "--sql", "@none.sql", named=["none.sql"])

    def test_errors_name_query_line_and_column(self):
        self.write("q.sql", b"SELECT 1 AS one\nFROM runs\nWHERE absent = 1;\n")
        self.assertEqual(self.bad(1, self.trace, "--sql", "@q.sql"),
                         b"pyanalyze: q.sql:3:7: no such column: absent (--schema shows what there is)\n")
        self.assertEqual(self.bad(1, self.trace, "--sql", "SELECT absent"),
                         b"pyanalyze: --sql:1:8: no such column: absent (--schema shows what there is)\n")
        result = self.run_it(self.trace, "--sql", "SELECT 1 AS a", "--sql", "SELECT 'x', absent")
        self.assertEqual((result.status, result.out, result.err),
                         (1, b"a\n1\n", b"pyanalyze: --sql (query 2):1:13: no such column: absent (--schema shows what there is)\n"))

    def test_nothing_can_be_changed(self):
        path = shutil.copy(self.database, self.path("mine.db"))
        for query in ("DELETE FROM lines", "UPDATE lines SET hits = 0", "DROP TABLE lines", "CREATE TABLE t (a)",
                      "ATTACH 'new.db' AS new", "VACUUM", "VACUUM INTO 'new.db'", "PRAGMA journal_mode = WAL",
                      "PRAGMA user_version = 5", "CREATE VIRTUAL TABLE main.e USING pyrec_events",
                      "INSERT INTO files SELECT * FROM files", "SELECT load_extension('./x.so')",
                      "CREATE TEMP TRIGGER t AFTER INSERT ON lines BEGIN DELETE FROM lines; END; "
                      "INSERT INTO lines DEFAULT VALUES",
                      "SELECT writefile('new', 'x')", "SELECT readfile('/etc/passwd')", "SELECT edit('x')"):
            for source in (path, self.trace):
                with self.subTest(query=query, source=source):
                    self.bad(1, source, "--sql", query, named=["--sql:1:"])
        self.assertEqual(digest(path), digest(self.database))
        self.assertEqual(digest(self.trace), hashlib.sha256(self.bytes).hexdigest())

    def test_temporary_tables(self):
        rows = self.rows("CREATE TEMP TABLE hot AS SELECT * FROM lines ORDER BY self_ns DESC LIMIT 3",
                         "SELECT count(*) AS n FROM hot", "SELECT 1 AS one")
        self.assertEqual(rows, [[{"n": 3}], [{"one": 1}]])

    def test_functions(self):
        (row,) = self.rows("SELECT median(hits) AS m, percentile(hits, 100) = max(hits) AS p, duration(1500) AS d, "
                           "sum(file REGEXP 'program\\.py$') > 0 AS r FROM lines WHERE hits > 0")
        self.assertEqual((row["p"], row["d"], row["r"]), (1, "1.50 us", 1))
        hits = sorted(row["hits"] for row in self.rows("SELECT hits FROM lines WHERE hits > 0"))
        middle = len(hits) // 2
        self.assertEqual(row["m"], hits[middle] if len(hits) % 2 else (hits[middle - 1] + hits[middle]) / 2)


class Events(Case):
    ALL = "SELECT * FROM events ORDER BY thread_id, seq"

    @functools.cached_property
    def events(self):
        return self.rows(self.ALL)

    def test_columns(self):
        self.assertEqual(list(self.events[0]), [
            "run_id", "seq", "time_ns", "self_ns", "process_id", "thread_id", "event", "file_id", "function_id", "line",
            "depth", "activation", "file", "function", "detail"])
        self.assertEqual({row["event"] for row in self.events if row["file"] == self.program},
                         {"line", "call", "return", "yield", "resume", "raise"})
        raised = [row for row in self.events if row["event"] == "raise" and row["function"] == "work"]
        # Up to 3.11 the end of a generator is an exception that its loop sees.
        self.assertEqual({row["detail"] for row in raised} - {"StopIteration"}, {"ValueError"})

    def test_ids_and_sums_are_those_of_the_tables(self):
        for inputs in ([self.trace], [self.database, self.trace]):
            for query in (
                    "SELECT * FROM functions LEFT JOIN (SELECT function_id, sum(event = 'line') AS h, "
                    "sum(event = 'call') AS c, sum(event = 'resume') AS r FROM events GROUP BY 1) USING (function_id) "
                    "WHERE coalesce(h, 0) != hits OR coalesce(c, 0) != calls OR coalesce(r, 0) != resumes",
                    "SELECT * FROM events e LEFT JOIN functions f USING (function_id) "
                    "WHERE f.file_id IS NOT e.file_id OR f.file IS NOT e.file OR f.qualname IS NOT e.function",
                    "SELECT * FROM accounts JOIN threads USING (thread_id) LEFT JOIN (SELECT thread_id, process_id AS p, "
                    "sum(self_ns) AS s, count(*) AS n, min(time_ns) AS first, max(time_ns) AS last FROM events "
                    "GROUP BY 1) USING (thread_id) WHERE s IS NOT wall_ns OR n IS NOT events OR first IS NOT start_ns "
                    "OR last IS NOT end_ns OR p IS NOT process_id",
                    "SELECT activation FROM events GROUP BY 1 HAVING count(DISTINCT function_id) != 1"):
                self.assertEqual(self.rows(query, inputs=inputs), [], query)

    def test_self_is_the_time_to_the_next_event(self):
        for row, following in zip(self.events, self.events[1:]):
            if row["thread_id"] == following["thread_id"]:
                self.assertEqual(row["self_ns"], following["time_ns"] - row["time_ns"])
                self.assertEqual(row["seq"] + 1, following["seq"])
            else:
                self.assertEqual(row["self_ns"], 0)

    def test_conditions_select_the_same_rows_as_a_full_scan(self):
        chance = random.Random(7)
        times = sorted(row["time_ns"] for row in self.events)
        queries = []
        for _ in range(12):
            first, last = sorted(chance.sample(times, 2))
            queries.append(("time_ns >= %d AND time_ns <= %d" % (first, last),
                            lambda row, a=first, b=last: a <= row["time_ns"] <= b))
            queries.append(("time_ns > %d.5 AND time_ns < %d" % (first, last),
                            lambda row, a=first, b=last: a + 0.5 < row["time_ns"] < b))
            queries.append(("time_ns = %d" % first, lambda row, a=first: row["time_ns"] == a))
        for column in ("thread_id", "process_id", "file_id", "function_id", "run_id"):
            for value in {row[column] for row in chance.sample(self.events, 10)} | {-1, 10**12}:
                queries.append(("%s = %d" % (column, value), lambda row, c=column, v=value: row[c] == v))
        queries += [("thread_id = '1'", lambda row: row["thread_id"] == 1),
                    ("thread_id = 1.5", lambda row: False), ("thread_id IS NULL", lambda row: False),
                    ("thread_id IN (1, 3)", lambda row: row["thread_id"] in (1, 3)),
                    ("time_ns > 'x'", lambda row: False), ("time_ns < 'x'", lambda row: True),
                    ("time_ns > 1e30", lambda row: False), ("time_ns > -1e30", lambda row: True),
                    ("time_ns < NULL", lambda row: False), ("time_ns = NULL", lambda row: False),
                    ("time_ns < 0", lambda row: False), ("time_ns <= 0", lambda row: row["time_ns"] == 0),
                    ("time_ns < 0.5", lambda row: row["time_ns"] == 0), ("time_ns <= -0.5", lambda row: False),
                    ("time_ns >= -0.5", lambda row: True), ("time_ns = %d.5" % times[9], lambda row: False),
                    ("time_ns = %d.0" % times[9], lambda row: row["time_ns"] == times[9]),
                    ("time_ns = '%d'" % times[9], lambda row: row["time_ns"] == times[9]),
                    ("time_ns > %d" % 2**63, lambda row: False), ("time_ns < %d" % 2**63, lambda row: True),
                    ("time_ns > -9223372036854775808", lambda row: True),
                    ("time_ns > 9 AND time_ns < 5", lambda row: False), ("time_ns >= x'00'", lambda row: False),
                    ("function_id = 0", lambda row: False), ("function_id = 1.0", lambda row: row["function_id"] == 1),
                    ("file_id = 'x'", lambda row: False), ("function_id = NULL", lambda row: False),
                    ("function_id IS NULL", lambda row: row["function_id"] is None)]
        for condition, keeps in queries:
            rows = self.rows("SELECT * FROM events WHERE %s ORDER BY thread_id, seq" % condition)
            self.assertEqual(rows, [row for row in self.events if keeps(row)], condition)

    def test_natural_orders_need_no_sorting(self):
        for order, condition, sorts in (
                ("thread_id, seq", "1", False), ("thread_id, time_ns, seq", "1", False), ("seq", "thread_id = 1", False),
                ("time_ns", "thread_id = 2", False), ("time_ns", "1", True), ("seq", "1", True),
                ("thread_id DESC, seq", "1", True), ("thread_id, line", "1", True)):
            query = "SELECT * FROM events WHERE %s ORDER BY %s" % (condition, order)
            plan = json.dumps(self.rows("EXPLAIN QUERY PLAN " + query))
            self.assertEqual("TEMP B-TREE" in plan, sorts, (order, plan))
            columns = [word.split()[0] for word in order.split(", ")]
            rows = self.rows(query)
            keys = [tuple(-row[c] if "DESC" in order and c == "thread_id" else row[c] for c in columns) for row in rows]
            self.assertEqual(keys, sorted(keys), order)

    def test_as_the_second_decoder_has_them(self):
        theirs = {}
        for event in decode.Trace(self.bytes).events():
            theirs.setdefault((event.process, event.thread), []).append(
                (event.time_ns, event.name, event.file, event.function, event.line, event.depth, event.detail,
                 event.activation[0] << 40 | event.activation[1]))
        ours = {}
        for row in self.rows("SELECT p.number AS p, t.number AS t, e.* FROM events e JOIN threads t USING (thread_id) "
                             "JOIN processes p ON p.process_id = e.process_id ORDER BY e.thread_id, seq"):
            ours.setdefault((row["p"], row["t"]), []).append(
                (row["time_ns"], row["event"], row["file"], row["function"], row["line"], row["depth"],
                 row["detail"] or "", row["activation"]))
        self.assertEqual(ours, theirs)

    def test_only_the_selected_threads(self):
        rows = self.rows("SELECT DISTINCT name FROM events JOIN threads USING (thread_id)",
                         inputs=[self.trace, "--thread", "worker 0"])
        self.assertEqual(rows, [{"name": "worker 0"}])

    def test_temporary_views_may_use_them(self):
        rows = self.rows("CREATE TEMP VIEW calls AS SELECT * FROM events WHERE event = 'call'",
                         "SELECT count(*) AS n FROM calls")
        self.assertEqual(rows, [{"n": sum(row["event"] == "call" for row in self.events)}])

    def test_two_scans_at_once_are_independent(self):
        rows = self.rows("SELECT count(*) AS n FROM events a JOIN events b ON a.thread_id = b.thread_id AND "
                         "a.seq = b.seq + 1 WHERE a.seq < 20 AND b.seq < 20")
        threads = {row["thread_id"] for row in self.events}
        self.assertEqual(rows, [{"n": 18 * len(threads)}])


def stack(following, frames=(), kept=0):
    """A stack record; a frame is (code, line - first line, number), with the thread behind if another began it."""
    return trace_writer.stack(following, kept + len(frames), kept, [
        (code, step, *thread, number) if thread else (code, step, following - number)
        for code, step, number, *thread in frames])


class Made(Case):
    """Events of traces made by hand."""
    CODES = ((1, 101, 10, "main"), (2, 101, 20, "f"), (3, 102, 5, "gen"))
    STRINGS = ((50, "ValueError"), (51, "len"), (52, "phase 2"))

    def made(self, *chunks, shift=0):
        """A trace with one thread and these chunks: (payload, ticks, events before, more of trace_writer.chunk())."""
        w = trace_writer
        facts = w.process() + w.thread(1, 77, "MainThread", 1) + w.file(101, "/a.py") + w.file(102, "/b.py")
        facts += b"".join(w.code(number, file, first, [], name) for number, file, first, name in self.CODES)
        facts += b"".join(w.text(number, value) for number, value in self.STRINGS) + w.end(ticks=10**9, monotonic=10**9)
        parts = [w.header(shift=shift), w.chunk(w.RUN, w.setting("mode", "exact")), w.chunk(w.FACTS, facts, process=1)]
        for sequence, (payload, ticks, before, more) in enumerate(chunks):
            parts.append(w.chunk(**{"kind": w.EVENTS, "payload": payload, "process": 1, "thread": 1, "ticks": ticks,
                                    "monotonic": ticks, "before": before, "sequence": sequence, **more}))
        return self.write("made.bin", b"".join(parts))

    def check(self, *chunks, **options):
        """The events of such a trace in short, after comparing with the second decoder."""
        path = self.made(*chunks, **options)
        result = self.run_it(path, "--json", "--sql", "SELECT * FROM events")
        self.assertEqual(result.status, 0, result)
        rows = json.loads(result.out)
        decoded = decode.read(path)
        theirs = [(e.thread, e.time_ns, e.name, e.function, e.line, e.depth, e.activation[0] << 40 | e.activation[1],
                   e.detail) for e in decoded.events()]
        names = {"<unknown>": ""}
        ours = [(row["thread_id"], row["time_ns"], row["event"], names.get(row["function"], row["function"]) or "",
                 row["line"] or 0, row["depth"], row["activation"] or 0, row["detail"] or "") for row in rows
                if (row["event"], row["detail"]) != ("gap", "lost")]  # a row of pyanalyze's own
        self.assertEqual(ours, theirs)
        numbers = [row["seq"] for row in rows]
        self.assertEqual(numbers, sorted(set(numbers)))
        if decoded.errors == 0:  # events that make no sense are no rows, but they end the time before them
            self.assertEqual([row["self_ns"] for row in rows], [
                after["time_ns"] - row["time_ns"] for row, after in zip(rows, rows[1:] + rows[-1:])])
        return [(row["seq"], row["time_ns"], row["self_ns"], row["event"], row["function"], row["line"], row["depth"],
                 (row["activation"] or 0) & 0xFFFFFFFF, row["detail"]) for row in rows]

    def test_long_and_short_forms(self):
        payload = stack(1) + bytes([0x12]) + varint(1) + bytes([0xB3, 0x60 + 5, 200, 0x01]) + varint(1000) + svarint(-4) + \
            bytes([0x02]) + varint(7) + varint(2) + bytes([0x21, 0x03]) + varint(9)
        self.assertEqual(self.check((payload, 100, 0, {})), [
            (1, 102, 3, "call", "main", 10, 1, 1, None), (2, 105, 200, "line", "main", 10, 1, 1, None),
            (3, 305, 1000, "line", "main", 15, 1, 1, None), (4, 1305, 7, "line", "main", 11, 1, 1, None),
            (5, 1312, 1, "call", "f", 20, 2, 2, None), (6, 1313, 9, "return", "f", 20, 2, 2, None),
            (7, 1322, 0, "return", "main", 11, 1, 1, None)])

    def test_generators(self):
        payload = stack(2, [(1, 0, 1)]) + bytes([0x11]) + varint(3) + bytes([0xC1, 0x31]) + \
            bytes([0x05]) + varint(1) + varint(1) + bytes([0x31, 0x0A]) + varint(2) + varint(3) + svarint(1) + \
            varint(2) + bytes([0x06]) + varint(1) + \
            bytes([0x0A]) + varint(1) + varint(3) + svarint(7) + varint(5 << 1 | 1) + varint(9) + bytes([0x21])
        rows = self.check((payload, 0, 0, {}))
        self.assertEqual([row[3:8] for row in rows], [
            ("call", "gen", 5, 2, 2), ("line", "gen", 6, 2, 2), ("yield", "gen", 6, 2, 2), ("resume", "gen", 6, 2, 2),
            ("yield", "gen", 6, 2, 2), ("resume", "gen", 6, 2, 2), ("unwind", "gen", 6, 2, 2),
            ("resume", "gen", 12, 2, 9), ("return", "gen", 12, 2, 9)])

    def test_raise_c_call_mark_and_what_is_no_event(self):
        payload = stack(1) + bytes([0x0E]) + varint(1) + varint(52) + bytes([0x11]) + varint(1) + \
            bytes([0x0B]) + varint(5000) + bytes([0x0F]) + varint(99) + string("whatever") + \
            bytes([0x08]) + varint(30) + varint(51) + bytes([0x09]) + varint(2) + bytes([0x07]) + varint(1) + varint(50) + \
            bytes([0x07]) + varint(1) + varint(77)
        self.assertEqual(self.check((payload, 0, 0, {})), [
            (1, 1, 1, "mark", None, None, 0, 0, "phase 2"), (2, 2, 30, "call", "main", 10, 1, 1, None),
            (3, 32, 2, "c_call", "main", 10, 1, 1, "len"), (4, 34, 1, "c_return", "main", 10, 1, 1, None),
            (5, 35, 1, "raise", "main", 10, 1, 1, "ValueError"), (6, 36, 0, "raise", "main", 10, 1, 1, None)])

    def test_switch_and_gap(self):
        payload = stack(3, [(1, 1, 1), (2, 2, 2)]) + bytes([0x0C]) + varint(5) + stack(4, [(3, 0, 3)], kept=1) + \
            bytes([0x0D]) + varint(10) + varint(1) + varint(1000) + stack(4, [(2, 5, 2)], kept=1) + bytes([0xB2])
        self.assertEqual(self.check((payload, 0, 0, {})), [
            (1, 5, 10, "switch", "gen", 5, 2, 3, None), (2, 15, 1002, "gap", "gen", 5, 2, 3, "paused"),
            (3, 1017, 0, "line", "f", 25, 2, 2, None)])

    def test_stacks_go_on_over_chunks(self):
        first = stack(3, [(1, 0, 1), (2, 0, 2)]) + bytes([0x11]) + varint(2) + bytes([0x21, 0x11]) + varint(2)
        second = stack(5, [(2, 0, 4)], kept=2) + bytes([0xC1, 0x21])
        apart = bytes([0xB1, 0x21])
        self.made((first, 0, 0, {}), (second, 50, 3, {}), (apart, 90, 5, {"apart": True}),
                  (stack(5, kept=2), 0, 0, {"kind": trace_writer.STACK, "sequence": 2}))
        expected = [(1, 1, 1, "call", 20, 3), (2, 2, 1, "return", 20, 3), (3, 3, 48, "call", 20, 3),
                    (4, 51, 1, "line", 21, 3), (5, 52, 39, "return", 21, 3), (6, 91, 1, "line", 20, 2),
                    (7, 92, 0, "return", 20, 2)]
        query = "SELECT seq, time_ns, self_ns, event, line, depth FROM events"
        self.assertEqual([tuple(row.values()) for row in self.rows(query, inputs=["made.bin"])], expected)
        # Chunks that lie before the window are stepped over, and the stack is right all the same.
        for first_ns in range(0, 95):
            rows = self.rows(query + " WHERE time_ns >= %d" % first_ns, inputs=["made.bin"])
            self.assertEqual([tuple(row.values()) for row in rows], [row for row in expected if row[1] >= first_ns])

    def test_a_missing_chunk_costs_only_itself(self):
        first = stack(1) + bytes([0x11]) + varint(1) + bytes([0x11]) + varint(2)
        third = stack(9, [(3, 0, 8)], kept=2) + bytes([0xB1, 0x21, 0x21])
        rows = self.check((first, 0, 0, {}), (third, 100, 40, {"sequence": 2}))
        self.assertEqual([row[:5] for row in rows], [
            (1, 1, 1, "call", "main"), (2, 2, 0, "call", "f"), (3, 2, 99, "gap", "f"), (41, 101, 1, "line", "gen"),
            (42, 102, 1, "return", "gen"), (43, 103, 0, "return", "f")])
        query = "SELECT (SELECT sum(self_ns) FROM events WHERE detail IS 'lost') AS lost, gap_ns, wall_ns, " \
            "(SELECT sum(self_ns) FROM events) AS wall FROM accounts"
        result = self.run_it("made.bin", "--json", "--sql", query)
        self.assertEqual(json.loads(result.out), [{"lost": 99, "gap_ns": 98, "wall_ns": 103, "wall": 102}])

    def test_the_unsealed_end(self):
        first = stack(2, [(1, 0, 1)]) + bytes([0xB1])
        rows = self.check((first, 0, 0, {}), (stack(2, kept=1) + bytes([0xC1, 0xC1]), 10, 1, {"sealed": False}))
        self.assertEqual([row[:6] for row in rows], [
            (1, 1, 10, "line", "main", 10), (2, 11, 1, "line", "main", 11), (3, 12, 0, "line", "main", 12)])
        rows = self.check((first, 0, 0, {}), (b"", 10, 1, {"sealed": False}))
        self.assertEqual(rows[-1][:4], (1, 1, 0, "line"))

    def test_code_without_facts(self):
        rows = self.check((stack(1) + bytes([0x11]) + varint(77) + bytes([0xC1]), 0, 0, {}))
        self.assertEqual([row[3:7] for row in rows], [("call", "<unknown>", 0, 1), ("line", "<unknown>", 1, 1)])

    def test_coarse_units(self):
        rows = self.check((stack(1) + bytes([0x13]) + varint(1) + bytes([0xB2]), 7, 0, {}), shift=4)
        self.assertEqual([row[1:3] for row in rows], [(7 + 3 * 16, 32), (7 + 5 * 16, 0)])

    def test_a_clock_that_goes_back(self):
        """Time stands still until the clock has caught up, and windows are of that time."""
        chunk = stack(2, [(1, 0, 1)]) + bytes([0x8F + 0x30] * 3)
        self.made((chunk, 100, 0, {}), (chunk, 60, 3, {}), (chunk, 110, 6, {}))
        rows = self.rows("SELECT seq, time_ns, self_ns FROM events", inputs=["made.bin"])
        self.assertEqual([row["time_ns"] for row in rows], [115, 130, 145, 145, 145, 145, 145, 145, 155])
        self.assertEqual([row["self_ns"] for row in rows], [15, 15, 0, 0, 0, 0, 0, 10, 0])
        for first in range(110, 160, 3):
            for last in (first, first + 20, 1000):
                found = self.rows("SELECT seq, time_ns, self_ns FROM events WHERE time_ns BETWEEN %d AND %d"
                                  % (first, last), inputs=["made.bin"])
                self.assertEqual(found, [row for row in rows if first <= row["time_ns"] <= last], (first, last))

    def test_random_streams_as_the_second_decoder_reads_them(self):
        chance = random.Random(3)
        for _ in range(40):
            chunks, before = [], 0
            for number in range(chance.randrange(1, 4)):
                payload = stack(5, [(chance.randrange(1, 5), chance.randrange(9), i) for i in range(1, chance.randrange(1, 5))])
                for _ in range(chance.randrange(200)):
                    payload += self.random_event(chance)
                chunks.append((payload, number * 10**7, before, {"sequence": chance.choice((number, number * 2))}))
                before += chance.randrange(300)
            sequences = [more["sequence"] for *_, more in chunks]
            if len(set(sequences)) == len(sequences):
                self.check(*sorted(chunks, key=lambda chunk: chunk[3]["sequence"]), shift=chance.choice((0, 3)))

    @staticmethod
    def random_event(chance):
        time, code = varint(chance.choice((0, 5, 300))), varint(chance.randrange(1, 5))
        return chance.choice((
            bytes([0x80 | chance.randrange(0x30, 0x80)]), bytes([chance.randrange(0x60, 0x80), chance.randrange(256)]),
            bytes([0x10 | chance.randrange(16)]) + code, bytes([0x20 | chance.randrange(16)]),
            b"\x02" + time + code, b"\x03" + time, b"\x06" + time, b"\x08" + time + varint(51), b"\x09" + time,
            b"\x07" + time + varint(50), b"\x0B" + varint(100), b"\x0E" + time + varint(52),
            b"\x0A" + time + code + svarint(chance.randrange(4)) + varint(1 << 1),
            b"\x0C" + time + stack(9, [(2, 1, 7)], kept=0), b"\x0D" + time + varint(2) + varint(70) + stack(9, kept=0)))


class Extension(Case):
    """The events in SQLite itself."""
    EXTENSION = os.path.join(support.BUILD, "pyrec_events")

    def shell(self, *lines, database=":memory:"):
        if shutil.which("sqlite3") is None:
            self.skipTest("the sqlite3 shell is not installed")
        return support.run(["sqlite3", "-bail", "-batch", database],
                           input="\n".join((".load " + self.EXTENSION,) + lines).encode(), cwd=self.folder)

    def test_shell(self):
        result = self.shell("CREATE VIRTUAL TABLE temp.events USING pyrec_events('%s');" % self.trace,
                            "SELECT count(*), median(seq) > 0, duration(2e6) FROM events;")
        count = self.rows("SELECT count(*) AS n FROM events")[0]["n"]
        self.assertEqual((result.status, result.out), (0, b"%d|1|2.00 ms\n" % count), result)

    def test_ids_are_those_of_the_open_database_or_of_a_load(self):
        query = "SELECT thread_id, function_id, file_id, count(*) FROM events GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;"
        create = "CREATE VIRTUAL TABLE temp.events USING pyrec_events('%s');" % self.trace
        known = self.shell(create, query, database=self.database)
        alone = self.shell(create, query)
        self.assertEqual(known.status, 0, known)
        ours = "".join("|".join(map(str, row.values())) + "\n" for row in self.rows(query))
        self.assertEqual(known.out.decode(), ours)
        self.assertEqual(alone.out.decode(), ours)

    def test_python(self):
        python = "/usr/bin/python3"
        script = ("import sqlite3, sys; db = sqlite3.connect(':memory:'); db.enable_load_extension(True); "
                  "db.load_extension(sys.argv[1]); "
                  "db.execute('CREATE VIRTUAL TABLE temp.events USING pyrec_events(\"%s\")' % sys.argv[2]); "
                  "print(db.execute('SELECT count(*) FROM events').fetchone()[0])")
        if not os.path.exists(python) or b"True" not in support.run(
                [python, "-c", "import sqlite3; print(hasattr(sqlite3.Connection, 'load_extension'))"]).out:
            self.skipTest("no Python with loadable SQLite extensions")
        result = support.run([python, "-c", script, self.EXTENSION, self.trace])
        self.assertEqual(result.status, 0, result)
        self.assertEqual(int(result.out), self.rows("SELECT count(*) AS n FROM events")[0]["n"])

    def test_refusals(self):
        for create, reason in (
                ("CREATE VIRTUAL TABLE events USING pyrec_events('%s');" % self.trace, b"temporary"),
                ("CREATE VIRTUAL TABLE temp.events USING pyrec_events;", b"needs the path"),
                ("CREATE VIRTUAL TABLE temp.events USING pyrec_events('none.bin');", b"none.bin: No such file"),
                ("CREATE VIRTUAL TABLE temp.events USING pyrec_events('%s');" % self.program, b"not a trace")):
            result = self.shell(create)
            self.assertNotEqual(result.status, 0)
            self.assertIn(reason, result.err)

    def test_a_path_in_a_database_is_not_opened(self):
        path = self.path("evil.db")
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.executescript("PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES ('table', 'events', "
                                   "'events', 0, 'CREATE VIRTUAL TABLE events USING pyrec_events(\"%s\")');"
                                   % self.trace)
        result = self.shell("SELECT count(*) FROM events;", database=path)
        self.assertNotEqual(result.status, 0)
        self.assertIn(b"temporary", result.err)


class Terminal(Case):
    """What is printed does not depend on the terminal; dress does."""

    def on_terminal(self, *words, columns=80, **environment):
        """(status, what the terminal got)."""
        env = support.environment(**environment)
        main, side = pty.openpty()
        support.run(["stty", "cols", str(columns)], stdin=side)
        process = subprocess.Popen([PYANALYZE, *words], stdin=subprocess.DEVNULL, stdout=side, stderr=side, env=env,
                                   cwd=self.folder)
        os.close(side)
        parts = []

        def collect():
            with contextlib.suppress(OSError):
                while part := os.read(main, 65536):
                    parts.append(part)
        reader = threading.Thread(target=collect)
        reader.start()
        status = process.wait(support.HANGS)
        reader.join()
        os.close(main)
        return status, b"".join(parts).replace(b"\r\n", b"\n")

    def test_rows_are_aligned(self):
        status, text = self.on_terminal(self.trace, "--no-pager", "--color", "never", "--sql",
                                        "SELECT 'a' AS name, 10 AS n UNION ALL SELECT 'bcd' || char(27), 9")
        self.assertEqual((status, text), (0, b"name      n\n-------  --\na        10\nbcd\\x1b   9\n"))

    def test_colour(self):
        escape = b"\033["
        for words, environment, coloured in (([], {}, True), ([], {"NO_COLOR": "1"}, False), ([], {"TERM": "dumb"}, False),
                                             (["--color", "never"], {}, False),
                                             (["--color", "always"], {"NO_COLOR": "1"}, True)):
            with self.subTest(words=words, environment=environment):
                _, text = self.on_terminal(self.trace, "--no-pager", *words, **environment)
                self.assertEqual(escape in text, coloured)
        self.assertNotIn(escape, self.good(self.trace))
        self.assertIn(escape, self.good(self.trace, "--color", "always"))

    def test_same_lines_and_numbers(self):
        _, shown = self.on_terminal(self.trace, "--no-pager", "--color", "never", columns=500)
        plain = self.good(self.trace)
        squeeze = lambda text: re.sub(rb"[ -]+", b" ", text)
        self.assertEqual(squeeze(shown).split(), squeeze(plain).split())

    def test_pager(self):
        query = ["--sql", "SELECT 1 AS one"]
        _, text = self.on_terminal(self.trace, *query, PAGER="sed s/^/paged:/")
        self.assertIn(b"paged:", text)
        for words, environment in ((["--no-pager"], {"PAGER": "sed s/^/paged:/"}), ([], {"PAGER": ""}),
                                   ([], {"PAGER": "cat"})):
            _, text = self.on_terminal(self.trace, *query, *words, **environment)
            self.assertNotIn(b"paged:", text)
            self.assertIn(b"one", text)
        status, text = self.on_terminal(self.trace, "--sql", "SELECT * FROM events", PAGER="head -n 2")
        self.assertEqual(status, 0)
        self.assertEqual(text.count(b"\n"), 2)
        self.assertEqual(support.run(["sh", "-c", "PAGER='sed s/^/paged:/' %s %s --sql 'SELECT 1 AS one'"
                                      % (PYANALYZE, self.trace)]).out, b"one\n1\n")

    def test_binary_is_not_written_to_it(self):
        status, text = self.on_terminal(self.trace, "-f", "zip")
        self.assertEqual(status, 2)
        self.assertIn(b"not written to a terminal", text)
        self.assertEqual(self.good(self.trace, "-f", "zip")[:2], b"PK")

    def test_no_progress_into_a_pipe(self):
        result = self.run_it(self.trace, "--sql", "SELECT count(*) FROM events a, events b WHERE a.seq < 3")
        self.assertEqual(result.err, b"")


class Documents(Case):
    def test_manual_is_clean(self):
        if shutil.which("mandoc") is None:
            self.skipTest("mandoc is not installed")
        result = support.run(["mandoc", "-T", "lint", "-W", "warning",
                              os.path.join(support.ROOT, "analyzer", "pyanalyze.1")])
        self.assertEqual(result.status, 0, result)

    def test_queries_of_the_manual_run(self):
        with open(os.path.join(support.ROOT, "analyzer", "pyanalyze.1"), encoding="utf-8") as file:
            examples = file.read().partition(".Sh EXAMPLES")[2]
        queries = re.findall(r'--sql "([^"]*)"', examples)
        self.assertGreater(len(queries), 5)
        for query in queries:
            self.good(self.trace, "--sql", query)

    def completions_in_bash(self, *words):
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pyanalyze 2>/dev/null; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        env = support.environment()
        env["PATH"] = support.BUILD + ":" + env["PATH"]
        result = support.run(["bash", "-c", script, "bash", os.path.join(support.ROOT, "completion", "pyanalyze.bash"),
                              "pyanalyze", *words], env=env, cwd=self.folder)
        return sorted(result.out.decode().split())

    def test_bash(self):
        self.write("app.db", b"")
        complete = self.completions_in_bash
        self.assertEqual(complete("--fo"), ["--fold", "--force", "--format"])
        self.assertEqual(complete("--format", ""), sorted(FORMATS))
        self.assertEqual(complete("-f", "fo"), ["folded"])
        self.assertEqual(complete("--format", "=", "flameg"), ["flamegraph"])
        self.assertEqual(complete("--format", "folded", "=", "a"), ["app.db"])
        self.assertEqual(complete("--sort", "c"), ["calls", "cpu", "cumtime", "cumulative"])
        self.assertEqual(complete("--db", "a"), ["app.db"])
        self.assertEqual(complete("--sql", "@a"), ["@app.db"])
        self.assertEqual(complete("a"), ["app.db"])

    def test_zsh(self):
        if shutil.which("zsh") is None:
            self.skipTest("zsh is not installed")
        for descriptor in os.openpty():  # zpty needs one as well
            os.close(descriptor)
        script = r'''
            zmodload zsh/zpty
            zpty shell "PS1=PROMPT; fpath=($1 $fpath) zsh -f -i"
            zpty -w shell "PATH=$2:\$PATH; fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; cd $3; PS1=READY; LISTMAX=0"
            zpty -r -m shell line "*READY*READY*"
            zpty -w -n shell "pyanalyze $4"$'\t'
            # A second one where the first only says that there are several; and time, however slow the machine is.
            for ((i = 1; i <= 600; i++)); do
                sleep 0.1
                while zpty -r -t shell line; do print -r -- "$line"; shown+=$line; done
                missing=
                for word in "${@:5}"; do [[ $shown == *$word* ]] || missing=$word; done
                [[ -n $missing ]] || break
                (( i % 30 )) || zpty -w -n shell $'\t'
            done
        '''
        for typed, words in (("--zi", ["--zipfile"]), ("--sort ", ["cpu", "wall", "hits"]), ("--format ", FORMATS)):
            result = support.run(["zsh", "-f", "-c", script, "zsh", os.path.join(support.ROOT, "completion"),
                                  support.BUILD, self.folder, typed, *words])
            shown = result.out.decode("utf-8", "replace")
            for word in words:
                self.assertIn(word, shown)


if __name__ == "__main__":
    unittest.main()
