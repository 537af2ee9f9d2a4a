"""Every format, written from a profile that is kept (tests/golden/formats/fixture.sql): golden outputs, and what the
programs that read the formats make of them: callgrind_annotate, xmllint, zipfile, unzip, Chromium.

With PYREC_UPDATE_GOLDEN=1 in the environment the golden outputs are written instead of compared.
"""
import fnmatch
import collections
import os
import pty
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import tempfile
import termios
import time
import fcntl
import unicodedata
import unittest
import xml.etree.ElementTree
import zipfile

import browser
import support

GOLDEN = os.path.join(support.ROOT, "tests", "golden", "formats")
SVG = "{http://www.w3.org/2000/svg}"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def make_database(path, *more_sql):
    database = sqlite3.connect(path)
    for name in ("formats/profile.sql", "formats/profile_indexes.sql", "tests/golden/formats/fixture.sql"):
        database.executescript(read(os.path.join(support.ROOT, name)).decode())
    for sql in more_sql:
        database.executescript(sql)
    database.close()
    return path


class FormatTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="pyrec-formats-")
        cls.profile = make_database(os.path.join(cls.folder, "profile.db"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def analyze(self, *arguments, database=None, env=None):
        result = support.run([support.PYANALYZE, database or self.profile] + list(arguments), env=env, cwd=self.folder)
        self.assertEqual(result.status, 0, result)
        return result.out

    def write(self, name, *arguments, **options):
        """The bytes of a report written to a file of that name."""
        path = os.path.join(self.folder, name)
        self.analyze("--force", "-o", path, *arguments, **options)
        return read(path)

    def query(self, sql):
        database = sqlite3.connect(self.profile)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()


class Golden(FormatTest):
    """The fixture gives exactly these bytes."""

    maxDiff = None
    CASES = {
        "annotate.txt": ["--format", "annotate"],
        "annotate_all.txt": ["--format", "annotate", "--min-percent", "0", "--sort", "wall", "--unit", "ns"],
        "annotate_fold.txt": ["--format", "annotate", "--fold", "--min-percent", "2", "--sort", "hits", "--unit", "ms"],
        "annotate_file.txt": ["--format", "annotate", "--file", "*/orders/*", "--file", "importing.py", "--top", "1"],
        "lines.txt": ["--format", "lines"],
        "lines_threads.txt": ["--format", "lines", "--per-thread", "--sort", "hits", "--top", "3", "--unit", "ms"],
        "functions.txt": ["--format", "functions", "--sort", "cumulative", "--min-percent", "5"],
        "functions_threads.txt": ["--format", "functions", "--per-thread", "--sort", "calls", "--file", "app.py"],
        "summary.txt": ["--format", "summary"],
        "summary_few.txt": ["--format", "summary", "--top", "2", "--file", "*/orders/*", "--unit", "us"],
        "stats.txt": ["--format", "stats"],
        "stats_threads.txt": ["--format", "stats", "--per-thread", "--strip-dirs", "--sort", "nfl", "--unit", "ms"],
        "stats_callers.txt": ["--format", "stats", "--callers", "--callees", "--sort", "stdname", "--top", "12"],
        "callgrind.txt": ["--format", "callgrind"],
        "folded.txt": ["--format", "folded"],
        "folded_cpu.txt": ["--format", "folded", "--by", "cpu"],
        "folded_lines.txt": ["--format", "folded", "--lines", "--per-thread", "--by", "hits"],
        "lcov.txt": ["--format", "lcov"],
        "lcov_file.txt": ["--format", "lcov", "--file", "*/render.py"],
        "tree.txt": ["--format", "tree"],
        "tree_all.txt": ["--format", "tree", "--file", "*", "--min-percent", "0", "--unit", "us"],
        "tree_lines.txt": ["--format", "tree", "--lines", "--per-thread", "--by", "hits"],
        "tree_cpu.txt": ["--format", "tree", "--by", "cpu", "--file", "!*/orders/*", "--min-percent", "3"],
        "pprofile.txt": ["--format", "pprofile"],
        "pprofile_file.txt": ["--format", "pprofile", "--file", "!*/orders/*", "--file", "*/orders/m*"],
        "flamegraph.svg": ["--format", "flamegraph"],
        "flamegraph_lines.svg": ["--format", "flamegraph", "--lines", "--per-thread"],
    }

    def compare(self, name, data):
        path = os.path.join(GOLDEN, name)
        if os.environ.get("PYREC_UPDATE_GOLDEN"):
            with open(path, "wb") as file:
                file.write(data)
        self.assertEqual(data.decode().split("\n"), read(path).decode().split("\n"), name)

    def test_outputs(self):
        for name, arguments in self.CASES.items():
            with self.subTest(name):
                data = self.analyze(*arguments)
                # The script and the style have files of their own.
                data = re.sub(rb"<style>.*?</style>", b"<style/>", data, flags=re.S)
                data = re.sub(rb"<script>.*?</script>", b"<script/>", data, flags=re.S)
                self.compare(name, data)

    def test_one_callgrind_file_a_thread(self):
        first = self.write("callgrind.out.split", "--per-thread")
        parts = [first] + [read(os.path.join(self.folder, "callgrind.out.split-0%d" % n)) for n in (2, 3)]
        self.compare("callgrind_threads.txt", b"".join(parts))

    def test_names_inside_the_zip(self):
        data = self.write("callgrind.out.zipped", "--zipfile", os.path.join(self.folder, "src.zip"))
        self.compare("callgrind_zipped.txt", data)

    def test_neither_locale_nor_time_zone_matters(self):
        for arguments in list(self.CASES.values()) + [["--format", "zip"]]:
            plain = self.analyze(*arguments)
            for strange in ({"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"}, {"LC_ALL": "C", "TZ": "America/Lima"},
                            {"LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de", "COLUMNS": "40"}):
                with self.subTest(arguments=arguments, env=strange):
                    env = dict(support.environment(), **strange)
                    self.assertEqual(self.analyze(*arguments, env=env), plain)


class Callgrind(FormatTest):
    """callgrind_annotate reads it without a warning and finds the database's sums."""

    def annotate(self, path, *options):
        result = support.run(["callgrind_annotate", "--threshold=100", "--auto=no", *options, path], cwd=self.folder)
        self.assertEqual(result.status, 0, result)
        self.assertNotIn(b"WARNING", result.out + result.err)
        self.assertEqual(result.err, b"")
        return result.out.decode()

    @staticmethod
    def costs(report):
        """{function: (ns, cpu_ns, hits)}, with the program's total as None."""
        found = {}
        row = re.compile(r"^ *([\d,.]+) \([ \d.]+%\) +([\d,.]+)(?: \([ \d.]+%\))? +([\d,.]+)(?: \([ \d.]+%\))?  (.*)$")
        for line in report.splitlines():
            match = row.match(line)
            if match:
                name = match.group(4)
                numbers = tuple(int(match.group(i).replace(",", "")) for i in (1, 2, 3))
                found[None if name == "PROGRAM TOTALS" else name.split(":", 1)[1]] = numbers
        return found

    def setUp(self):
        self.path = os.path.join(self.folder, "callgrind.out.fixture")
        self.data = self.write("callgrind.out.fixture").decode()

    def test_totals_are_the_databases(self):
        costs = self.costs(self.annotate(self.path))
        self.assertEqual(costs[None], self.query("SELECT sum(self_ns), sum(self_cpu_ns), sum(hits) FROM functions")[0])

    def test_self_cost_of_every_function(self):
        costs = self.costs(self.annotate(self.path))
        rows = self.query("SELECT qualname, self_ns, self_cpu_ns, hits FROM functions WHERE module = '__main__'")
        self.assertGreater(len(rows), 5)
        for qualname, *expected in rows:
            self.assertEqual(costs["__main__:" + qualname], tuple(expected), qualname)

    def test_inclusive_cost_is_right_under_recursion(self):
        costs = self.costs(self.annotate(self.path, "--inclusive=yes"))
        for qualname, ns, cpu in self.query("SELECT qualname, cumulative_ns, cumulative_cpu_ns FROM functions "
                                            "WHERE qualname IN ('main', 'fact', 'even', 'odd', 'pause')"):
            self.assertEqual(costs["__main__:" + qualname][:2], (ns, cpu), qualname)

    def test_totals_are_the_sum_of_the_lines(self):
        lines, skip = [0, 0, 0], False
        for line in self.data.splitlines():
            if re.match(r"\d", line) and not skip:
                lines = [a + int(b) for a, b in zip(lines, line.split()[1:])]
            skip = line.startswith("calls=")
        for key in ("summary: ", "totals: "):
            self.assertIn("%s%d %d %d\n" % (key, *lines), self.data)

    def test_threads_add_up(self):
        self.write("callgrind.out.parts", "--per-thread")
        total = [0, 0, 0]
        for name in ("callgrind.out.parts", "callgrind.out.parts-02", "callgrind.out.parts-03"):
            costs = self.costs(self.annotate(os.path.join(self.folder, name)))
            total = [a + b for a, b in zip(total, costs[None])]
        self.assertEqual(tuple(total), self.costs(self.annotate(self.path))[None])

    def test_sources_are_found_in_the_extracted_zip(self):
        place = os.path.join(self.folder, "extracted")
        archive = os.path.join(self.folder, "beside.zip")
        result = support.run([support.PYANALYZE, self.profile, "-o", os.path.join(self.folder, "callgrind.out.z"),
                              "--zipfile", archive, "--force"], cwd=self.folder)
        self.assertIn(b"kcachegrind", result.err)
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(place)
        annotated = support.run(["callgrind_annotate", "--threshold=100",
                                 os.path.join(self.folder, "callgrind.out.z")], cwd=place)
        self.assertIn(b"    return n * fact(n - 1)", annotated.out)
        self.assertIn(b"    return ', '.join(out)", annotated.out)
        missing = annotated.out.partition(b"could not be found")[2]
        self.assertEqual(re.findall(rb"^  (\S.*)$", missing, re.M), [b"<frozen importlib._bootstrap>"])

    def test_several_files_cannot_go_to_a_pipe(self):
        result = support.run([support.PYANALYZE, self.profile, "--format", "callgrind", "--per-thread"])
        self.assertEqual(result.status, 1)
        self.assertIn(b"standard output", result.err)


class Recorded(unittest.TestCase):
    """Real recordings: every format has the same total, and callgrind's sums are those of the database."""

    def check(self, python, sample):
        recording = support.Recording(python, [os.path.join(support.SAMPLES, sample)])
        self.addCleanup(recording.close)
        total = recording.value("SELECT sum(self_ns) FROM functions")
        paths = {name: os.path.join(recording.folder, "report." + name)
                 for name in ("callgrind", "folded", "flamegraph")}
        result = support.run([support.PYANALYZE, recording.database_path] +
                             [word for name in paths for word in ("--format", name + "=" + paths[name])])
        self.assertEqual(result.status, 0, result)
        folded = sum(int(line.rsplit(b" ", 1)[1]) for line in read(paths["folded"]).splitlines())
        self.assertEqual(folded, total)
        frames = re.findall(rb'data-v="0 0 (\d+) ', read(paths["flamegraph"]))
        self.assertEqual(frames, [b"%d" % total])
        self.assertEqual(support.run(["xmllint", "--noout", paths["flamegraph"]]).err, b"")
        # In a folder above the program's, which is not the one that it ran in.
        report = support.run(["callgrind_annotate", "--threshold=100", "--auto=no", "--inclusive=yes",
                              paths["callgrind"]], cwd=support.ROOT)
        self.assertNotIn(b"WARNING", report.out + report.err)
        costs = Callgrind.costs(report.out.decode())
        self.assertEqual(costs[None][0], total)
        # Of functions that call each other in a circle, callgrind's way shows the outermost whole and the others in part.
        rows = recording.query("SELECT module || ':' || qualname, cumulative_ns FROM functions "
                               "WHERE kind <> 'outside' AND function_id NOT IN (SELECT caller_function_id FROM edges "
                               "WHERE caller_function_id <> callee_function_id "
                               "AND outer_cumulative_ns < cumulative_ns) AND module || ':' || qualname IN "
                               "(SELECT module || ':' || qualname FROM functions GROUP BY 1 HAVING count(*) = 1)")
        self.assertGreater(len(rows), 3)
        for name, cumulative in rows:
            if cumulative:
                self.assertEqual(costs[name][0], cumulative, name)

    def test_samples(self):
        for python in support.PYTHONS:
            for sample in ("recursion.py", "generators.py", "exceptions.py", "threads.py", "fork.py"):
                with self.subTest(python=python, sample=sample):
                    self.check(python, sample)


@unittest.skipUnless(all(map(shutil.which, ("kcachegrind", "Xvfb", "xdotool", "dbus-run-session"))),
                     "KCachegrind or a virtual display is not installed")
class KCachegrind(FormatTest):
    """KCachegrind itself, on a display that nobody sees."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        read_end, write_end = os.pipe()
        cls.display = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1024x768x24", "-nolisten", "tcp"],
            pass_fds=[write_end], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write_end)
        with os.fdopen(read_end) as number:
            name = ":" + number.readline().strip()
        with open(os.path.join(cls.folder, "kcachegrindrc"), "w", encoding="utf-8") as file:
            file.write("[TipOfDay]\nRunOnStart=false\n")
        cls.env = dict(support.environment(), DISPLAY=name, XDG_CONFIG_HOME=cls.folder, HOME=cls.folder,
                       XDG_RUNTIME_DIR=cls.folder, QT_QPA_PLATFORM="xcb")

    @classmethod
    def tearDownClass(cls):
        cls.display.terminate()
        cls.display.wait()
        super().tearDownClass()

    def titles_once(self, path, seconds):
        process = subprocess.Popen(["dbus-run-session", "kcachegrind", path], env=self.env, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                found = support.run(["bash", "-c", "for w in $(xdotool search --name ''); do xdotool getwindowname $w; done"],
                                    env=self.env).out.decode().splitlines()
                if any("Error" in title or os.path.basename(path) in title for title in found):
                    return found
                time.sleep(.25)
            return None
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()

    def titles(self, path):
        """The titles of its windows once there is one that speaks of the file, or of an error. One start in ten it opens
        none at all, whatever the file, and waits for ever; how long is enough depends on the machine."""
        return next(filter(None, (self.titles_once(path, seconds) for seconds in (20, 40, 80, 160))), [])

    def test_it_opens_callgrind_files(self):
        for options in ([], ["--per-thread"], ["--zipfile", os.path.join(self.folder, "kc.zip")]):
            self.write("callgrind.out.kc", *options)
            path = os.path.join(self.folder, "callgrind.out.kc")
            titles = self.titles(path)
            self.assertIn("%s [python3 app.py --name 'two words' 'tab\\there'] \u2014 KCachegrind" % path, titles)
            self.assertNotIn("Error", " ".join(titles))

    def test_it_does_complain(self):
        """Else the test above would say nothing."""
        path = os.path.join(self.folder, "callgrind.out.bad")
        with open(path, "w", encoding="utf-8") as file:
            file.write("nothing\n")
        self.assertIn("Error", " ".join(self.titles(path)))


class Zip(FormatTest):
    def test_the_recorded_sources_bit_by_bit(self):
        data = self.write("src.zip")
        path = os.path.join(self.folder, "src.zip")
        with zipfile.ZipFile(path) as archive:
            self.assertIsNone(archive.testzip())
            contents = [archive.read(name) for name in archive.namelist()]
            self.assertEqual(archive.namelist(), sorted(archive.namelist()))
            self.assertIn("_stdlib/json/render.py", archive.namelist())
            for info in archive.infolist():
                self.assertEqual(info.date_time, (1980, 1, 1, 0, 0, 0))
                self.assertEqual(info.external_attr >> 16, 0o100644)
        recorded = [row[0] for row in self.query("SELECT source FROM files WHERE source IS NOT NULL")]
        self.assertEqual(collections.Counter(contents), collections.Counter(recorded))
        self.assertEqual(data, self.analyze("--format", "zip"))
        self.assertEqual(support.run(["unzip", "-tq", path]).status, 0)

    def test_without_sources_it_is_an_empty_zip(self):
        bare = make_database(os.path.join(self.folder, "bare.db"), "UPDATE files SET source = NULL")
        self.write("empty.zip", database=bare)
        with zipfile.ZipFile(os.path.join(self.folder, "empty.zip")) as archive:
            self.assertEqual(archive.namelist(), [])

    def test_only_chosen_files(self):
        self.write("some.zip", "--file", "app.py")
        with zipfile.ZipFile(os.path.join(self.folder, "some.zip")) as archive:
            self.assertEqual(archive.namelist(), ["app.py"])


class Folded(FormatTest):
    def sums(self, *arguments):
        lines = self.analyze("--format", "folded", *arguments).decode().splitlines()
        found = {}
        for line in lines:
            stack, weight = re.fullmatch(r"(.*) (\d+)", line).groups()
            self.assertNotIn(stack, found)
            self.assertNotRegex(stack, r"\d$")
            self.assertNotIn("importlib", stack)
            found[stack] = int(weight)
        return found

    def test_sums_are_the_databases(self):
        for by, column in (("self", "self_ns"), ("cpu", "self_cpu_ns"), ("hits", "hits")):
            expected = self.query("SELECT sum(%s) FROM functions" % column)[0][0]
            for more in ([], ["--lines"], ["--per-thread"], ["--lines", "--per-thread"]):
                self.assertEqual(sum(self.sums("--by", by, *more).values()), expected, (by, more))

    def test_a_stack_without_end_is_cut(self):
        deep = make_database(
            os.path.join(self.folder, "deep.db"),
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) "
            "INSERT INTO functions SELECT i, 1, 'x', 'm', 'f', 'f' || i, i, 'function', 1, 1, 0, 1, 5, 5, 5, 5, 0, 0, 0, 0, 0, 0 FROM n;"
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) "
            "INSERT INTO contexts SELECT i, CASE i WHEN 1000 THEN 1 ELSE i - 1 END, 1, i, 1, 0, 5, 5, 5, 5 FROM n;")
        for more in ([], ["--lines"]):
            lines = self.analyze("--format", "folded", *more, database=deep).decode().splitlines()
            self.assertTrue(all(line.count(";") <= 1000 for line in lines))
        lines = self.analyze("--format", "folded", database=deep).decode().splitlines()
        self.assertTrue(any(line.endswith("[deeper frames] 20010") for line in lines), lines[-1][-200:])
        self.assertEqual(sum(int(line.rsplit(" ", 1)[1]) for line in lines),
                         self.query("SELECT sum(self_ns) FROM functions")[0][0] + 5 * 5001)

    def test_threads_are_split_below_their_names(self):
        roots = {stack.split(";")[0] for stack in self.sums("--per-thread")}
        self.assertEqual(len(roots), 3)
        self.assertIn("MainThread [4242]", roots)

    def test_lines_name_the_place_of_the_call(self):
        sums = self.sums("--lines")
        self.assertIn("<module> (app.py:60);main (app.py:54);pause (app.py:45)", sums)
        self.assertTrue(any(";main (app.py:51,52);fact (app.py:10)" in stack for stack in sums))


class Terminal(FormatTest):
    def terminal(self, columns, *arguments):
        """What it prints on a terminal that wide."""
        child, fd = pty.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
            os.execve(support.PYANALYZE, [support.PYANALYZE, self.profile, "--no-pager", *arguments],
                      support.environment())
        output = b""
        while True:
            try:
                data = os.read(fd, 1 << 16)
            except OSError:
                break
            if not data:
                break
            output += data
        os.close(fd)
        os.waitpid(child, 0)
        return output.decode().replace("\r\n", "\n")

    @staticmethod
    def width(line):
        return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
                   for c in line)

    def check_terminal(self, *arguments):
        for columns in (40, 80, 120, 200):
            text = self.terminal(columns, *arguments)
            self.assertIn("\033[", text)
            text = re.sub(r"\033\[[0-9;]*m", "", text)
            self.assertLessEqual(max(map(self.width, text.split("\n"))), columns)
            for character in text:
                self.assertFalse(unicodedata.category(character) in ("Cc", "Cf") and character != "\n", ascii(character))


class Rankings(Terminal):
    """`lines` and `functions` are what SQL says of the database."""

    LINES = "SELECT file, line, function, hits, self_ns, self_cpu_ns FROM lines WHERE hits > 0 OR self_ns > 0 "
    FUNCTIONS = "SELECT file, first_line, qualname, calls, self_ns, self_cpu_ns, cumulative_ns FROM functions " \
                "WHERE kind <> 'outside' "

    def rows(self, *arguments):
        """[(numbers, rest of the row)] of the tables, and the rows below them."""
        text = self.analyze(*arguments, "--unit", "ns").decode()
        tables = re.findall(r"^The hottest .*\n.*\n-.*\n((?:.*\|.*\n)*)(and .*\n)?", text, re.M)
        return [([(*map(int, row.split("|")[1:-1 - cut]), row.split("|", len(row.split("|")) - 1 - cut)[-1])
                  for row in table.splitlines()
                  for cut in [int("--format lines" in " ".join(arguments))]], rest) for table, rest in tables]

    def test_lines_by_every_key(self):
        for key, order in (("cpu", "self_cpu_ns DESC, self_ns DESC"), ("wall", "self_ns DESC, self_cpu_ns DESC"),
                           ("hits", "hits DESC, self_ns DESC"), ("waiting", "self_ns - self_cpu_ns DESC, self_ns DESC")):
            expected = self.query(self.LINES + "ORDER BY %s, file, line" % order)
            (rows, rest), = self.rows("--format", "lines", "--sort", key, "--top", "30")
            self.assertEqual([row[:3] for row in rows], [(ns, ns - cpu, hits) for _, _, _, hits, ns, cpu in expected[:30]])
            for row, (file, line, function, *_) in zip(rows, expected):
                self.assertRegex(row[3], r"%d %s" % (line, re.escape(function)))
            left = expected[30:]
            self.assertTrue(rest.startswith("and %d more lines with %d ns (" % (len(left), sum(row[4] for row in left))))

    def test_functions_by_every_key(self):
        for key, order in (("cpu", "self_cpu_ns DESC, self_ns DESC"), ("wall", "self_ns DESC, self_cpu_ns DESC"),
                           ("cumulative", "cumulative_ns DESC, self_ns DESC"), ("calls", "calls DESC, self_ns DESC"),
                           ("hits", "hits DESC, self_ns DESC"), ("waiting", "self_ns - self_cpu_ns DESC, self_ns DESC")):
            expected = self.query(self.FUNCTIONS + "ORDER BY %s, file, first_line" % order)
            (rows, rest), = self.rows("--format", "functions", "--sort", key, "--min-percent", "0")
            self.assertEqual([row[:4] for row in rows],
                             [(ns, ns - cpu, total, calls) for _, _, _, calls, ns, cpu, total in expected])
            for row, (file, line, function, *_) in zip(rows, expected):
                self.assertTrue(row[4].endswith(":%d %s" % (line, function)), row)
            self.assertEqual(rest, "")

    def test_the_twenty_hottest_unless_something_else_is_asked(self):
        for name, sql in (("lines", self.LINES), ("functions", self.FUNCTIONS)):
            count = len(self.query(sql))
            for arguments, expected in (([], min(count, 20)), (["--top", "4"], 4), (["--min-percent", "0"], count),
                                        (["--top", "7", "--min-percent", "0"], 7)):
                (rows, rest), = self.rows("--format", name, *arguments)
                self.assertEqual((len(rows), bool(rest)), (expected, expected < count), (name, arguments))
            least = .03 * self.query("SELECT sum(self_ns) FROM functions")[0][0]
            (rows, _), = self.rows("--format", name, "--min-percent", "3", "--sort", "wall")
            self.assertEqual(len(rows), len([row for row in self.query(sql) if row[4] >= least]))

    def test_each_thread(self):
        for name, table, count in (("lines", "line_stats", "hits"), ("functions", "function_stats", "calls")):
            tables = self.rows("--format", name, "--per-thread", "--top", "1000")
            self.assertEqual(len(tables), 3)
            found = sorted((sum(row[0] for row in rows), sum(row[-2] for row in rows)) for rows, _ in tables)
            self.assertEqual(found, sorted(self.query("SELECT sum(self_ns), sum(%s) FROM %s GROUP BY thread_id"
                                                      % (count, table))))
        text = self.analyze("--format", "lines", "--per-thread", "--unit", "ns").decode()
        for thread, ns in self.query("SELECT native_id, self_ns FROM threads JOIN accounts USING (thread_id)"):
            self.assertRegex(text, r"(?m) \[%d\] of process \d+: 100 %% is %d ns$" % (thread, ns))

    def test_only_the_files_asked_for(self):
        (rows, _), = self.rows("--format", "functions", "--file", "*/orders/*", "--min-percent", "0")
        self.assertEqual(sorted(row[0] for row in rows), sorted(ns for _, ns in self.query(
            "SELECT qualname, self_ns FROM functions WHERE file LIKE '%/orders/%'")))

    def test_terminals(self):
        for name in "lines", "functions":
            self.check_terminal("--format", name)
            self.check_terminal("--format", name, "--per-thread")


class Summary(Terminal):
    """One screen, whatever was recorded, and what SQL says of the database."""

    def parts(self, *arguments, **options):
        """{title: [(percents, name)]}"""
        lines = self.analyze("--format", "summary", *arguments, **options).decode().splitlines()
        found, titles = {}, []
        for line in lines[3:]:
            halves = line[:39], line[41:]
            if line.endswith("--"):
                titles = [re.sub("-+$", "", half).split(maxsplit=1) for half in halves]
                titles = [(head, rest) if not rest.startswith("wait ") else (head + " wait", rest[4:])
                          for head, rest in titles]
                titles = [" ".join((head, rest.strip())) for head, rest in titles]
                found.update((title, []) for title in titles)
                continue
            for title, half in zip(titles, halves):
                percents = re.findall(r"\d+\.\d(?=%)", half[:15] if " wait " in " " + title + " " and "work" in title
                                      else half[:7])
                if percents:
                    found[title].append((*map(float, percents), half.split("%")[-1].strip()))
        return found

    def test_one_screen_of_80_columns_and_24_rows(self):
        databases = [self.profile, make_database(
            os.path.join(self.folder, "crowd.db"),
            "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 60) INSERT INTO threads "
            "SELECT i, 1, i, i, 'thread with a long name ' || i, 0, 0, 9, 1 FROM n;"
            "INSERT INTO accounts SELECT thread_id, 9, 9, 9, 0, 0 FROM threads WHERE thread_id >= 10;"
            "UPDATE runs SET command = command || hex(zeroblob(200))")]
        for database in databases:
            for arguments in ([], ["--top", "1"], ["--file", "nothing"]):
                lines = self.analyze("--format", "summary", *arguments, database=database).decode().splitlines()
                self.assertLess(len(lines), 24)
                self.assertLessEqual(max(map(self.width, lines)), 80)
        self.assertEqual(self.width(lines[0]), 80)
        self.check_terminal("--format", "summary")

    def test_it_is_the_same_on_a_terminal(self):
        plain = self.analyze("--format", "summary").decode()
        for columns in 80, 200:
            self.assertEqual(re.sub(r"\033\[[0-9;]*m", "", self.terminal(columns, "--format", "summary")), plain)

    def test_lists_are_what_sql_says(self):
        total, cpu = self.query("SELECT sum(self_ns), sum(self_cpu_ns) FROM functions")[0]
        parts = self.parts()
        for title, columns, rest, most in (
                ("work Lines", "self_cpu_ns", "lines WHERE self_cpu_ns > 0", 5),
                ("wait Lines", "self_ns - self_cpu_ns", "lines WHERE self_ns > self_cpu_ns", 5),
                ("own Functions by own time", "self_ns", "functions WHERE kind <> 'outside'", 4),
                ("total Functions with all they call", "cumulative_ns", "functions WHERE kind <> 'outside'", 4),
                ("work wait Files", "sum(self_cpu_ns), sum(self_ns - self_cpu_ns)", "lines GROUP BY file_id", 3),
                ("work wait Threads", "self_cpu_ns, self_ns - self_cpu_ns", "accounts", 3)):
            sql = "SELECT %s FROM %s ORDER BY %s DESC LIMIT %d" % (
                columns, rest, columns.replace(",", " +") if "Files" in title else "1", most)
            self.assertEqual([row[:-1] for row in parts[title]],
                             [tuple(float("%.1f" % (round(1e4 * ns / total) / 100 + 1e-9)) for ns in row)
                              for row in self.query(sql)], title)
        self.assertEqual(parts["work Lines"][0][-1].split(":")[0], "app.py")
        self.assertEqual(sorted(row[-1] for row in self.parts()["work wait Packages"]),
                         ["(the program)", "json (stdlib)", "orders"])
        text = self.analyze("--format", "summary").decode()
        self.assertIn(" of all threads:%5.1f%% at work,%5.1f%% waiting" % (100 * cpu / total, 100 - 100 * cpu / total), text)
        self.assertIn("Warning: the recording is not complete", text)

    def test_few(self):
        parts = self.parts("--top", "1", "--min-percent", "2")
        self.assertEqual({len(rows) for rows in parts.values()}, {1})
        parts = self.parts("--file", "*/orders/*")
        for title in "work Lines", "own Functions by own time", "work wait Files":
            self.assertTrue(parts[title])
            self.assertTrue(all(re.match("orders/report.py|\u2026.*listcomp", row[-1]) for row in parts[title]), parts[title])


class Branch:
    """The call tree again, from folded stacks."""

    def __init__(self, text):
        self.text, self.own, self.children = text, 0, {}

    def total(self):
        return self.own + sum(child.total() for child in self.children.values())

    def rows(self, least, prefix=""):
        """(weight, text) of all that is below it and weighs enough, as the format draws it."""
        found = [(child.total(), child.text, child) for child in self.children.values()]
        if found and self.own:
            found.append((self.own, "", None))
        found = sorted((row for row in found if row[0] >= least and row[0]), key=lambda row: (-row[0], row[1].encode()))
        if [row[2] for row in found] == [None]:
            return
        for i, (weight, text, child) in enumerate(found):
            last = i == len(found) - 1
            drawn = prefix + "\u2514 \u251c "[0 if last else 2:][:2] if self.text else ""
            yield weight, drawn + (text or "[self]")
            if child:
                yield from child.rows(least, (prefix + ("  " if last else "\u2502 ")) if self.text else "")


class Tree(Terminal):
    """Each row is what the folded stacks say."""

    def expected(self, patterns, percent, *arguments):
        root = Branch("")
        for line in self.analyze("--format", "folded", *arguments).decode().splitlines():
            path, weight = line.rsplit(" ", 1)
            at, own = root, True
            for text in path.split(";"):
                # A frame without a file is a thread's, or time outside; what a file is called decides the rest.
                file = re.search(r" \((.*):[\d,\u2026]+\)$", text)
                was_own, own = own, file is None or any(
                    fnmatch.fnmatchcase(os.path.basename(file.group(1)), pattern) for pattern in patterns)
                if at is root or own or was_own:
                    at = at.children.setdefault(text, Branch(text))
                    at.is_own = own
                own = at.is_own
            at.own += int(weight)
        return list(root.rows(root.total() * percent / 100))

    def found(self, patterns, percent, *arguments):
        words = [word for pattern in patterns for word in ("--file", pattern)]
        text = self.analyze("--format", "tree", "--unit", "ns", "--min-percent", str(percent), *words, *arguments).decode()
        rows = [line.split("|", 2) for line in text.split("\n------", 1)[1].splitlines()[1:] if line.count("|") >= 2]
        return [(int(weight), re.sub(r" \[\+\d+\]$", "", drawn)) for _, weight, drawn in rows]

    def test_it_says_what_folded_stacks_say(self):
        for patterns in ["*"], ["app.py"], ["report.py", "app.py"], ["importing.py"]:
            for percent in 0, 1, 7.5:
                for arguments in ([], ["--by", "cpu"], ["--by", "hits"], ["--per-thread"], ["--lines"]):
                    with self.subTest(patterns=patterns, percent=percent, arguments=arguments):
                        expected = self.expected(patterns, percent, *arguments)
                        self.assertGreater(len(expected), 0)
                        self.assertEqual(self.found(patterns, percent, *arguments), expected)

    def test_libraries_are_folded(self):
        """summary() of a library calls three functions of libraries, of which one calls the program."""
        library = make_database(os.path.join(self.folder, "library.db"), "UPDATE files SET origin = 'site' WHERE name LIKE 'orders%'")
        text = self.analyze("--format", "tree", "--unit", "ns", database=library).decode()
        below = text.split("summary (orders/report.py:12) [+2]\n")[1].splitlines()
        self.assertRegex(below[0], r"55981\|. . \u251c Basket\.total \(app\.py:25\)$")
        self.assertRegex(below[3], r" 23407\|. . \u2514 \[self\]$")
        self.assertEqual(below[-2], "[+N]: with N frames of libraries below it (--file '*' shows them)")
        text = self.analyze("--format", "tree", "--file", "*", database=library).decode()
        self.assertNotIn("[+", text)
        self.assertIn("render (json/render.py:41)", self.analyze("--format", "tree", "--min-percent", "0").decode())

    def test_a_run_of_libraries_alone_is_shown(self):
        alone = make_database(os.path.join(self.folder, "alone.db"), "UPDATE files SET origin = 'stdlib'")
        self.assertEqual(self.analyze("--format", "tree", database=alone), self.analyze("--format", "tree", "--file", "*"))

    def test_a_deep_branch_keeps_its_place(self):
        deep = make_database(
            os.path.join(self.folder, "deep.db"),
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) "
            "INSERT INTO functions SELECT i, 1, '/home/ann/shop/app.py', 'm', 'f', 'f' || i, i, 'function', 1, 1, 0, 1, 1, 1, 1, 1, "
            "0, 0, 0, 0, 0, 0 FROM n;"
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) "
            "INSERT INTO contexts SELECT i, CASE WHEN i > 1000 THEN i - 1 ELSE 1 END, 1, i, 1, 0, 5000, 1, 5000, 1 FROM n;")
        lines = self.analyze("--format", "tree", "--min-percent", "0", database=deep).decode().splitlines()
        rows = [line for line in lines if "f1100 (" in line]
        self.assertEqual(len(rows), 1)
        self.assertRegex(rows[0], r"\|\u2026 (\u2502 ){23}\u2514 f1100 \(app\.py:1100\)$")
        self.assertLessEqual(max(map(self.width, (line for line in lines if " (app.py:1" in line))), 100)

    def test_a_terminals_width_is_kept_and_nothing_moves_it(self):
        self.check_terminal("--format", "tree")
        self.check_terminal("--format", "tree", "--per-thread", "--lines")


class Annotate(Terminal):
    def test_columns_stay_straight(self):
        text = self.analyze("--min-percent", "0").decode()
        tables = re.findall(r"^ *Line #\|.*\n-.*\n((?:.*\|.*\n)+)", text, re.M)
        self.assertEqual(len(tables), 6)
        bars = {tuple(i for i, c in enumerate(line) if c == "|")[:7]
                for table in tables for line in table.splitlines()}
        self.assertEqual(len(bars), 1)

    def test_a_terminals_width_is_kept_and_nothing_moves_it(self):
        self.check_terminal()

    def test_small_times_per_hit(self):
        """At 80 columns, too, a line of a few hundred nanoseconds takes some time."""
        text = re.sub(r"\033\[[0-9;]*m", "", self.terminal(80, "--format", "annotate", "--unit", "ms", "--file", "app.py"))
        cells = re.findall(r"^ *(\d+)\| *\d+\| *[\d.]+\| *([\d.]+)\|", text, re.M)
        self.assertEqual(max(len(cell.partition(".")[2]) for _, cell in cells), 5)
        figures = dict(self.query("SELECT line, 1.0 * self_ns / hits FROM lines WHERE hits > 0 AND file LIKE '%/app.py'"))
        for line, cell in cells:
            digits = len(cell.partition(".")[2])
            self.assertAlmostEqual(float(cell) * 1e6, figures[int(line)], delta=0.51 * 10 ** (6 - digits))
            self.assertGreater(float(cell), 0)

    def test_lines_and_their_calls(self):
        text = self.analyze().decode()
        self.assertRegex(text, r"(?m)^ *10\| +9\| +18\.073\| +2\.008\| +1\.85%\| +41\.288\| +\|    return n \* fact")
        self.assertRegex(text, r"(?m)^\(call\)\| +9\| +34\.379\| .*\|# app\.py:7 fact$")

    def test_lines_end_as_python_ends_them(self):
        source = b"\xef\xbb\xbfdef load():\r    x = '\x0c\xe2\x80\xa8'\r\n    # end"
        odd = make_database(os.path.join(self.folder, "odd.db"),
                            "UPDATE files SET source = x'%s' WHERE file_id = 3" % source.hex())
        text = self.analyze("--file", "importing.py", database=odd).decode()
        self.assertEqual(re.findall(r"^ +\d\|.*\|(.*)$", text.partition("File: ")[2], re.M),
                         ["def load():", "    x = '\\x0c\\u2028'", "    # end"])

    def test_other_encodings_and_missing_texts(self):
        source = "# coding: latin-1\n    return 'gr\xfc\xdfe'\n# \xfc\n".encode("latin-1")
        old = make_database(os.path.join(self.folder, "old.db"),
                            "UPDATE files SET source = x'%s' WHERE file_id = 3" % source.hex(),
                            "UPDATE lines SET text = '    return ''gr\xfc\xdfe''' WHERE file_id = 3 AND line = 2",
                            "UPDATE files SET source = NULL WHERE file_id = 2",
                            "UPDATE lines SET text = NULL WHERE file_id = 2")
        text = self.analyze("--file", "importing.py", "--file", "*/report.py", database=old).decode()
        self.assertIn("|    return 'gr\xfc\xdfe'\n", text)
        self.assertIn("|# \\xfc\n", text)
        self.assertIn("The source was not recorded", text)
        self.assertRegex(text, r"(?m)^ *13\| +4\| +12\.617\|.*\|$")

    def test_what_went_wrong_is_said(self):
        text = self.analyze().decode()
        for expected in ("3 events are lost", "1 page at offset 12288 is damaged",
                         "Not recorded (paused): 1 gap of 5.000 us", "Open when the recording ended:", "signal 9",
                         "app.py:43 pause"):
            self.assertIn(expected, text)

    def test_every_unit_tells_the_same(self):
        for unit, number in (("s", "0.000975"), ("ms", "0.975"), ("us", "975.331"), ("ns", "975331")):
            self.assertIn("100 %% is %s %s" % (number, unit), self.analyze("--unit", unit).decode())

    def test_a_reader_that_leaves_is_no_error(self):
        with subprocess.Popen([support.PYANALYZE, self.profile, "--min-percent", "0"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            process.stdout.read(10)
            process.stdout.close()
            self.assertNotIn(b"cannot write", process.stderr.read())
            self.assertEqual(process.wait(), 0)


class Svg(FormatTest):
    """The file by itself: well-formed, self-contained, nothing hostile gets out of its place."""

    def test_it_is_well_formed_and_refers_to_nothing(self):
        for options in ([], ["--lines"], ["--per-thread"], ["--by", "hits"]):
            data = self.write("app.svg", *options)
            path = os.path.join(self.folder, "app.svg")
            result = support.run(["xmllint", "--noout", "--nonet", path])
            self.assertEqual((result.status, result.err), (0, b""))
            self.assertEqual(set(re.findall(rb"https?://[^\s\"'<]+", data)),
                             {b"http://www.w3.org/2000/svg", b"http://www.w3.org/1999/xhtml"})
            for forbidden in (rb"@import", rb"url\(", rb"\bsrc=", rb"href", rb"eval\("):
                self.assertIsNone(re.search(forbidden, data), forbidden)

    def test_hostile_names_add_no_elements(self):
        tags = collections.Counter(e.tag for e in xml.etree.ElementTree.fromstring(self.write("app.svg")).iter())
        self.assertEqual(tags[SVG + "script"], 1)
        allowed = {"svg", "title", "style", "rect", "g", "text", "script"}
        self.assertEqual(set(tags), {SVG + name for name in allowed})

    def test_widths_add_up(self):
        root = xml.etree.ElementTree.fromstring(self.write("app.svg"))
        frames = [tuple(map(int, g.get("data-v").split())) for g in root.iter(SVG + "g") if g.get("data-v")]
        total = self.query("SELECT sum(self_ns) FROM functions")[0][0]
        self.assertEqual(frames[0][:3], (0, 0, total))
        self.assertEqual(sum(f[3] for f in frames), total)

    def test_pruning_is_said(self):
        many = make_database(
            os.path.join(self.folder, "many.db"),
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) "
            "INSERT INTO functions SELECT i, 1, 'x', 'm', 'f', 'f' || i, i, 'function', 1, 1, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0 FROM n;"
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) "
            "INSERT INTO contexts SELECT i, 1, 1, i, 1, 0, 1000 + i % 7, 1, 1000 + i % 7, 1 FROM n;")
        data = self.write("many.svg", database=many)
        self.assertLess(len(data), 4000000)
        self.assertRegex(data.decode(), r"\d+ frames below 0\.\d px of 1200 are hidden")

    def test_an_empty_profile_is_drawn_too(self):
        empty = os.path.join(self.folder, "empty.db")
        database = sqlite3.connect(empty)
        database.executescript(read(os.path.join(support.ROOT, "formats", "profile.sql")).decode())
        database.close()
        for name in ("annotate", "callgrind", "folded", "flamegraph", "functions", "lines", "pstats", "stats", "summary",
                     "tree", "zip"):
            self.analyze("--format", name, database=empty)
            self.analyze("--format", name, "-o", os.path.join(self.folder, "empty." + name), "--per-thread",
                         database=empty)
        self.write("empty.svg", database=empty)
        self.assertEqual(support.run(["xmllint", "--noout", os.path.join(self.folder, "empty.svg")]).status, 0)


@unittest.skipUnless(browser.CHROMIUM, "no Chromium is installed: the flame graph is not tried in a browser")
class InBrowser(FormatTest):
    """The flame graph in a real browser, with real mouse and keys."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.page = browser.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.page.close()
        super().tearDownClass()

    def setUp(self):
        self.write("app.svg")
        self.path = os.path.join(self.folder, "app.svg")
        self.page.prefer("light")
        self.page.resize(1200, 800)
        self.page.problems.clear()
        self.page.open(self.path)

    def tearDown(self):
        self.assertEqual(self.page.problems, [])

    def frame(self, label, what):
        """A fact about the first frame of that label: an expression in `g`."""
        return self.page.value(
            "(() => { const g = [...document.querySelectorAll('g.f')]"
            ".find(f => f.querySelector('title').textContent.startsWith(%r)); return %s; })()" % (label, what))

    def middle(self, label):
        box = self.frame(label, "(b => [b.x + b.width / 2, b.y + b.height / 2])"
                                "(g.querySelector('rect').getBoundingClientRect())")
        return box

    def width(self, label):
        return self.frame(label, "g.hasAttribute('display') ? 0 : "
                                 "Number(g.querySelector('rect').getAttribute('width'))")

    def text(self, name):
        return self.page.value("document.getElementById(%r).textContent" % name)

    def test_it_loads_itself_only(self):
        self.assertEqual(self.page.requests, ["file://" + self.path])

    def test_a_click_zooms_and_escape_returns(self):
        before = self.width("summary (")
        self.page.click(*self.middle("summary ("))
        self.assertAlmostEqual(self.width("summary ("), 1180, delta=1)
        self.assertAlmostEqual(self.width("main ("), 1180, delta=1)  # what it is in stays above it
        self.assertEqual(self.width("fact ("), 0)
        self.assertIn("summary (orders/report.py:12)", self.text("details"))
        self.page.key("Escape")
        self.assertAlmostEqual(self.width("summary ("), before, delta=0.1)

    def test_reset_and_a_second_click_return_too(self):
        whole = self.width("main (")
        self.page.click(*self.middle("main ("))
        self.assertGreater(self.width("main ("), whole)
        self.page.click(*self.middle("main ("))
        self.assertAlmostEqual(self.width("main ("), whole, delta=0.1)
        self.page.click(*self.middle("main ("))
        self.page.click(*self.page.value("(b => [b.x + b.width / 2, b.y + b.height / 2])(document.querySelector("
                                         "'[data-key=reset]').getBoundingClientRect())"))
        self.assertAlmostEqual(self.width("main ("), whole, delta=0.1)

    def test_the_back_button_goes_back(self):
        whole = self.width("main (")
        self.page.click(*self.middle("main ("))
        self.page.value("history.back()")
        self.page.wait("!location.hash.includes('z=')")
        self.assertAlmostEqual(self.width("main ("), whole, delta=0.1)

    def test_search_counts_nested_matches_once(self):
        total = self.query("SELECT sum(self_ns) FROM functions")[0][0]
        basket = self.query("SELECT sum(cumulative_ns) FROM functions WHERE qualname IN "
                            "('Basket.total', 'Basket.__init__', 'Basket')")[0][0]
        self.page.key("/")
        self.page.type("basket")
        self.assertEqual(self.text("matched"), "matched %.2f %% in 6 frames" % (100 * basket / total))
        self.page.key("Escape")
        self.assertEqual(self.text("matched"), "")

    def test_controls_say_what_they_do(self):
        self.assertIn("Search", self.page.value("document.querySelector('input').placeholder"))
        labels = self.page.value("[...document.querySelectorAll('[role=button]')]"
                                 ".map(b => b.getAttribute('aria-label'))")
        self.assertEqual(len(labels), 3)
        self.assertTrue(all(labels))

    def test_search_by_control_f_and_a_bad_expression(self):
        self.page.key("f", browser.CONTROL)
        self.page.type("pause[")
        self.assertEqual(self.text("matched"), "not a regular expression")
        self.page.type("(]")
        self.assertIn("matched", self.text("matched"))

    def test_the_keyboard_walks_the_frames(self):
        self.page.key("ArrowDown")
        self.page.key("ArrowDown")
        self.assertIn("<module> (app.py:1)", self.text("details"))
        self.page.key("ArrowRight")
        self.assertIn("pause (app.py:44)", self.text("details"))
        self.page.key("ArrowLeft")
        self.page.key("Enter")
        self.assertAlmostEqual(self.width("<module> (app"), 1180, delta=1)
        self.page.key("ArrowUp")
        self.assertIn("all", self.text("details"))

    def test_a_link_opens_the_same_view(self):
        self.page.click(*self.middle("summary ("))
        self.page.key("/")
        self.page.type("total")
        self.page.key("Enter")
        self.page.key("i")
        self.page.key("t")
        fragment = self.page.value("location.hash")
        top = self.frame("summary (", "Number(g.querySelector('rect').getAttribute('y'))")
        self.page.open(self.path, fragment)
        self.assertAlmostEqual(self.width("summary ("), 1180, delta=1)
        self.assertEqual(self.page.value("document.querySelector('input').value"), "total")
        self.assertIn("matched", self.text("matched"))
        self.assertEqual(self.frame("summary (", "Number(g.querySelector('rect').getAttribute('y'))"), top)
        self.assertTrue(self.page.value("document.documentElement.classList.contains('dark')"))

    def test_a_strange_link_is_survived(self):
        for fragment in ("#z=99999&s=%E0%A4%A&v=x&t=y", "#z=-1", "#=&&&", "#z=1e9"):
            self.page.open(self.path, fragment)
            self.assertGreater(self.width("main ("), 100)

    def test_dark_follows_the_system_until_told_otherwise(self):
        paper = "getComputedStyle(document.getElementById('paper')).fill"
        light = self.page.value(paper)
        self.page.prefer("dark")
        dark = self.page.value(paper)
        self.assertNotEqual(light, dark)
        self.page.key("t")
        self.assertEqual(self.page.value(paper), light)
        self.page.prefer("light")
        self.page.key("t")
        self.assertEqual(self.page.value(paper), dark)

    def test_it_is_as_wide_as_the_window(self):
        self.page.resize(700, 500)
        self.page.wait("Math.abs(document.querySelector('g.f rect').getAttribute('width') - 680) < 20")

    def test_hovering_describes(self):
        self.page.hover(*self.middle("fact ("))
        self.assertRegex(self.text("details"), r"fact \(app\.py:7\) · 31\.511 us, 3\.23 % of all, 8 calls")

    def test_it_is_a_picture_without_scripts(self):
        plain = browser.Browser()
        try:
            plain.disable_scripts()
            plain.open(self.path)
            document = str(plain.call("DOM.getDocument", depth=-1))
            self.assertNotIn("foreignObject", document)
            self.assertIn("'nodeValue': 'pause (app.py:44)'", document)
            self.assertEqual(plain.problems, [])
        finally:
            plain.close()


if __name__ == "__main__":
    unittest.main()
