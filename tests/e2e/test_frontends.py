"""`pyrec pprofile` and `pyrec cprofile`: what they print beside what pprofile and cProfile print.

pprofile counts more than lines: each entry of a frame (a call, a resume of a generator) is a hit of the line where it
enters. Ours are line events alone; the difference must be those entries, one by one.
"""
import collections
import marshal
import os
import pstats
import re
import shutil
import tempfile
import unittest
import zipfile

import support
from support import PYTHONS

HEADER = """\
Line #|      Hits|         Time| Time per hit|      %|Source code
------+----------+-------------+-------------+-------+-----------"""
FLOAT = r"\s*(?:\d[\d.]*(?:e-\d+)?)"
LINE = re.compile(r"(.{6})\|(.{10,})\|(%s)\|(%s)\|\s*(\d+\.\d\d)%%\|(.*)$" % (FLOAT, FLOAT))

# lines: number -> (hits, text); calls: (line, text) -> count
File = collections.namedtuple("File", "name lines calls rows")


def parse(text):
    """(command line, {file name: File}) of pprofile's text; every line must be as its format has it."""
    lines = text[text.index("Command line: "):].splitlines()   # behind what the program printed
    assert re.fullmatch(r"Total duration: [\d.e+-]+s", lines[1]), lines[1]
    total = float(lines[1].split()[-1][:-1])
    files, at = {}, 2
    while at < len(lines):
        name = lines[at].removeprefix("File: ")
        assert name != lines[at], lines[at]
        duration = re.fullmatch(r"File duration: ([\d.e+-]+)s \((\d+\.\d\d)%\)", lines[at + 1])
        assert duration, lines[at + 1]
        assert lines[at + 2:at + 4] == HEADER.split("\n"), lines[at + 2:at + 4]
        at += 4
        file = files.setdefault(name, File(name, {}, collections.Counter(), []))
        number = 0
        while at < len(lines) and not lines[at].startswith("File: "):
            cells = LINE.fullmatch(lines[at])
            assert cells, lines[at]
            first, hits, time, per_hit, percent, source = cells.groups()
            hits, time, per_hit = int(hits), float(time), float(per_hit)
            assert abs(float(percent) - time * 100 / total) < 0.02, lines[at]
            assert abs(per_hit - (time / hits if hits else 0)) <= 1e-4 * per_hit, lines[at]
            if first == "(call)":
                file.calls[number, source] += hits
            else:
                number = int(first)
                assert number == len(file.lines) + 1, lines[at]
                file.lines[number] = (hits, source)
            file.rows.append((number, time))
            at += 1
    return lines[0][len("Command line: "):], files


class FrontendTest:
    python = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-e2e-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.temporary = os.path.join(self.folder, "tmp")
        os.mkdir(self.temporary)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def read(self, name, mode="r"):
        with open(os.path.join(self.folder, name), mode) as file:
            return file.read()

    def run_ours(self, *arguments, status=0, **options):
        """What it left: nothing in the folder for temporary files."""
        env = support.environment(PYREC_PYTHON=self.python, TMPDIR=self.temporary)
        result = support.run([support.PYREC, *arguments], cwd=self.folder, env=env, **options)
        self.assertEqual(result.status, status, result)
        self.assertEqual(os.listdir(self.temporary), [])
        self.assertFalse(os.path.exists(os.path.join(self.folder, "trace.bin")))
        return result

    def run_theirs(self, module, *arguments, status=0):
        env = support.environment()
        env["PYTHONPATH"] = support.pprofile_path() or ""
        if self.folder in arguments:
            env["PYTHONPATH"] = ""
        result = support.run([self.python, "-m", module, *arguments], cwd=self.folder, env=env)
        self.assertEqual(result.status, status, result)
        return result


class PprofileTests(FrontendTest):
    PROGRAM = """\
import sys
def fact(n):
    return 1 if n < 2 else n * fact(n - 1)
def gen(n):
    for i in range(n):
        yield i
class A:
    @staticmethod
    def m(): return [x for x in gen(3)]
print(fact(4), A.m(), sum(gen(3)), (lambda: 3)(), sys.argv[1:])
if 'fail' in sys.argv: raise KeyError(5)
sys.exit(3)
"""

    def entries(self, *program):
        """{file: {line: times a frame of it was entered there}}; from 3.11 on modules enter on line 0."""
        recording = support.Recording(self.python, [os.path.join(self.folder, program[0]), *program[1:]])
        self.addCleanup(recording.close)
        out = collections.defaultdict(collections.Counter)
        for file, line, count in recording.sql(
                "SELECT e.file, e.line, count(*) FROM events e JOIN functions f USING (function_id) "
                "WHERE e.event IN ('call', 'resume') AND (f.kind <> 'module' OR %d) GROUP BY 1, 2"
                % (support.version(self.python) < (3, 11))):
            out[file][line] += count
        return out

    def compare(self, program, shown, status=0):
        """Both on the same program: the file `shown`, line by line and call by call."""
        if support.version(self.python) >= (3, 12):
            self.skipTest("pprofile counts by another hook from 3.12 on")
        if not support.pprofile_path():
            self.skipTest("pprofile is not installed")
        command, files = parse(self.run_ours("pprofile", "--threads", "1", *program, status=status).out.decode())
        their_command, their_files = parse(self.run_theirs("pprofile", *program, status=status).out.decode())
        self.assertEqual(command.split(), their_command.split())
        ours, theirs = files[shown], their_files[shown]
        entries = self.entries(*program)
        entered = entries[os.path.join(self.folder, shown)] or entries[shown]
        self.assertEqual({number: (hits + entered[number], text) for number, (hits, text) in ours.lines.items()},
                         theirs.lines)
        self.assertEqual(self.names(ours.calls), self.names(theirs.calls))
        return files, their_files

    @staticmethod
    def names(calls):
        """The import system and the runner aside, which pprofile sees from another side."""
        return {key: count for key, count in calls.items() if "importlib" not in key[1]}

    def test_output_as_of_pprofile(self):
        self.write("app.py", self.PROGRAM)
        self.compare(["app.py", "a", "b c"], "app.py", status=3)

    def test_samples(self):
        for name in ("recursion", "generators", "comprehensions"):
            with self.subTest(name):
                path = os.path.join(support.SAMPLES, name + ".py")
                self.compare([path], path)

    def test_a_program_not_written_here(self):
        """The standard library's own tools, in a file of another name so that it is nobody's module."""
        import tabnanny
        source = self.read(tabnanny.__file__)
        self.write("tool/checked.py", source)
        program = ["tool/checked.py", "-v", os.path.join(self.folder, "tool/checked.py")]
        files, theirs = self.compare(program, "tool/checked.py")
        tokenize = [name for name in files if name.endswith("/tokenize.py")]
        self.assertEqual(len(tokenize), 1)
        ours, theirs = files[tokenize[0]].calls, theirs[tokenize[0]].calls   # pprofile had imported it before
        loop = {key: count for key, count in theirs.items() if "/tokenize.py:" in key[1]}
        self.assertGreater(sum(files["tool/checked.py"].calls.values()), 1000)
        self.assertEqual({key: ours[key] for key in loop}, loop)

    def test_of_module(self):
        self.write("pack/__init__.py", "")
        path = self.write("pack/__main__.py", self.PROGRAM)
        command, files = parse(self.run_ours("pprofile", "-m", "pack", "--", "-x", status=3).out.decode())
        self.assertEqual(command, "pack -x")
        self.assertEqual(files[path].lines[3], (7 - 3, "    return 1 if n < 2 else n * fact(n - 1)"))

    def test_uncaught_exception(self):
        self.write("app.py", self.PROGRAM)
        result = self.run_ours("pprofile", "app.py", "fail", status=1)
        self.assertIn(b"KeyError: 5", result.err)
        self.assertNotIn(b"pyrec: ", result.err)
        self.assertIn("app.py", parse(result.out.decode())[1])

    def test_formats_by_name_and_by_option(self):
        self.write("app.py", self.PROGRAM)
        first = b"# callgrind format\n"
        self.run_ours("pprofile", "--out", "cachegrind.out.app", "app.py", status=3)
        self.assertTrue(self.read("cachegrind.out.app", "rb").startswith(first))
        self.run_ours("pprofile", "-f", "callgrind", "-o", "report", "--zipfile=src.zip", "app.py", status=3)
        self.assertTrue(self.read("report", "rb").startswith(first))
        with zipfile.ZipFile(os.path.join(self.folder, "src.zip")) as archive:
            self.assertEqual(archive.read("app.py").decode(), self.PROGRAM)
        self.assertIn("fl=", self.read("report"))
        self.run_ours("pprofile", "-o", "both.zip", "app.py", status=3)
        with zipfile.ZipFile(os.path.join(self.folder, "both.zip")) as archive:
            self.assertTrue(archive.read("cachegrind.out.pprofile").startswith(first))
            self.assertEqual(archive.read("app.py").decode(), self.PROGRAM)
        self.run_ours("pprofile", "--format=text", "-o", "x.zip", "app.py", status=3)
        self.assertIn("app.py", parse(self.read("x.zip"))[1])
        result = self.run_ours("pprofile", "-f", "callgrindzip", "app.py", status=2)
        self.assertIn(b"--out", result.err)

    def test_outputs_are_replaced(self):
        self.write("app.py", self.PROGRAM)
        self.write("report", "something else")
        self.run_ours("pprofile", "-o", "report", "app.py", status=3)
        self.assertIn("app.py", parse(self.read("report"))[1])

    def shown(self, *options):
        self.write("app.py", "import helper, json\nhelper.work()\njson.dumps(1)\n")
        self.write("helper.py", "def work():\n    return 1\n")
        _, files = parse(self.run_ours("pprofile", *options, "app.py").out.decode())
        return {os.path.basename(name) for name in files if name != "<string>"}

    def test_filters(self):
        self.assertLessEqual({"app.py", "helper.py", "decoder.py"}, self.shown())
        self.assertEqual(self.shown("--exclude-syspath"), {"app.py", "helper.py"})
        self.assertEqual(self.shown("--include", "app"), {"app.py"})
        self.assertEqual(self.shown("--include", "app", "--include", r"helper\.py$"), {"app.py", "helper.py"})
        self.assertNotIn("helper.py", self.shown("--exclude", "^%s/help" % self.folder))
        self.assertEqual(self.shown("--exclude", ".", "--include", r"(?:app|helper).py"), {"app.py", "helper.py"})
        self.assertLess({"app.py", "helper.py"}, self.shown("--exclude-syspath", "--include", r"json/\w+\.py"))

    def test_threads(self):
        self.write("app.py", "import threading\ndef work(): return 1\nt = threading.Thread(target=work)\nt.start()\n"
                             "t.join()\n")
        for threads, hits in (("0", 1), ("1", 2), ("7", 2)):
            _, files = parse(self.run_ours("pprofile", "-t", threads, "app.py").out.decode())
            self.assertEqual(files["app.py"].lines[2][0], hits)

    def test_statistic(self):
        self.write("app.py", "import time\ndef wait():\n    time.sleep(0.5)\nwait()\n")
        for options in (("-s", "0.001"), ("--statistic=.002", "-t", "0"), ("-s.001", "--exclude-syspath")):
            _, files = parse(self.run_ours("pprofile", *options, "app.py").out.decode())
            hits = {number: hits for number, (hits, _) in files["app.py"].lines.items() if hits}
            self.assertEqual(max(hits, key=hits.get), 3)
            self.assertGreater(hits[3], 10)
            below = hits[3] + hits.get(2, 0)    # it may be seen on its way into the function, too
            self.assertEqual(files["app.py"].calls[4, "# app.py:2 wait"], below)
        _, files = parse(self.run_ours("pprofile", "-s", "0", "app.py").out.decode())
        self.assertEqual(files["app.py"].lines[3][0], 1)

    def test_verbose(self):
        self.write("app.py", "def f():\n    return 5\nf()\nprint('over')\n")
        result = self.run_ours("pprofile", "-v", "app.py")
        self.assertIn("app.py", parse(result.out.decode())[1])
        self.assertTrue(result.out.startswith(b"over\nCommand line: "))
        self.assertRegex(result.err.decode(), r"app.py:2 .*return 5")

    def test_usage(self):
        for arguments, named in (((), b"too few arguments"), (("--bad", "x"), b"--bad"),
                                 (("--exclude", "(", "x"), b"--exclude"), (("--exclude", "(?=a)", "x"), b"--exclude"),
                                 (("-f", "html", "x.py"), b"html"), (("-t", "many", "x.py"), b"many"),
                                 (("-s", "-1", "x.py"), b"-1"), (("-o",), b"-o")):
            result = self.run_ours("pprofile", *arguments, status=2)
            self.assertIn(named, result.err)
            self.assertEqual(result.out, b"")

    def test_help(self):
        out = self.run_ours("pprofile", "--help").out.decode()
        for word in ("--out", "--format", "--zipfile", "--threads", "--statistic", "-m MODULE", "--verbose",
                     "--exclude-syspath", "--exclude REGEX", "--include REGEX"):
            self.assertIn(word, out)


class CprofileTests(FrontendTest):
    PROGRAM = """\
import sys
def fact(n):
    return 1 if n < 2 else n * fact(n - 1)
def gen(n):
    for i in range(n):
        yield len([i])
class A:
    def m(self): return sorted(gen(3), key=lambda x: -x)
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)
out = [fact(4), A().m(), sum(gen(3)), even(5), max(map(fact, [3, 2]))]
"""

    @staticmethod
    def rows(text):
        """{function: ncalls} of the table, and its order."""
        lines = text.split("percall filename:lineno(function)\n")[1].splitlines()
        found = [line.split(None, 5) for line in lines if line.strip()]
        return {row[5]: row[0] for row in found}, found

    def own(self, rows):
        return {name: calls for name, calls in rows.items() if "app.py" in name or name.startswith(("{", "<b"))}

    def test_table_as_of_cprofile(self):
        path = self.write("app.py", self.PROGRAM)
        ours, found = self.rows(self.run_ours("cprofile", path).out.decode())
        theirs, _ = self.rows(self.run_theirs("cProfile", path).out.decode())
        frame = "{built-in method builtins.exec}", "{method 'disable' of '_lsprof.Profiler' objects}"
        theirs = {name.replace("app.py", path) if name.startswith("app.py") else name: calls
                  for name, calls in theirs.items() if name not in frame}
        ours = {name: calls for name, calls in ours.items() if path in name or name in theirs}
        self.assertEqual({name: calls for name, calls in ours.items() if name in theirs}, theirs)
        times = [float(row[3]) for row in found]
        self.assertEqual(times, sorted(times, reverse=True))   # by cumulative time

    def test_sort(self):
        self.write("app.py", self.PROGRAM)
        for key in ("ncalls", "tottime", "name", "-1"):
            with self.subTest(key):
                out = self.run_ours("cprofile", "-s", key, "app.py").out.decode()
                ours, found = self.rows(out)
                self.assertIn("Ordered by: ", out)
                if key == "ncalls":
                    calls = [int(row[0].split("/")[0]) for row in found]
                    self.assertEqual(calls, sorted(calls, reverse=True))
        result = self.run_ours("cprofile", "-s", "nonsense", "app.py", status=125)      # the program went well, and no report
        self.assertEqual([line.split(b":")[1] for line in result.err.splitlines()], [b" --sort", b" the report was not made"])

    def test_file_for_pstats(self):
        path = self.write("app.py", self.PROGRAM)
        self.run_ours("cprofile", "-o", "app.prof", path)
        self.run_theirs("cProfile", "-o", "their.prof", path)
        stats = pstats.Stats(os.path.join(self.folder, "app.prof")).stats
        theirs = pstats.Stats(os.path.join(self.folder, "their.prof")).stats
        calls = {key: value[:2] for key, value in stats.items() if key[0] == path}
        self.assertEqual(calls, {key: value[:2] for key, value in theirs.items() if key[0] == path})
        for key, value in theirs.items():
            if key[0] == path and key[2] != "<module>":
                callers = {caller: edge[:2] for caller, edge in value[4].items()}
                self.assertEqual({caller: edge[:2] for caller, edge in stats[key][4].items()}, callers, key)
        self.assertIsInstance(marshal.loads(self.read("app.prof", "rb")), dict)

    def test_of_module_and_arguments(self):
        self.write("pack/__init__.py", "")
        self.write("pack/__main__.py", "import sys\nprint(sys.argv[1:])\n")
        out = self.run_ours("cprofile", "-m", "pack", "-s", "-o", "x").out.decode()
        self.assertTrue(out.startswith("['-s', '-o', 'x']\n"), out[:100])
        self.assertIn("__main__.py:1(<module>)", out)

    def test_status_of_the_program(self):
        self.write("app.py", "raise SystemExit(7)")
        self.assertIn(b"function calls", self.run_ours("cprofile", "app.py", status=7).out)
        self.write("app.py", "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)")
        self.assertIn(b"function calls", self.run_ours("cprofile", "app.py", status=-15).out)

    def test_usage(self):
        self.assertIn(b"too few", self.run_ours("cprofile", status=2).err)
        self.assertIn(b"--outfile", self.run_ours("cprofile", "--help").out)


def make_classes():
    """One class a base and interpreter; they are found by name, too."""
    for python in PYTHONS:
        for base in (PprofileTests, CprofileTests):
            name = "%s_%s" % (base.__name__, support.version_name(python))
            yield name, type(name, (base, unittest.TestCase), {"python": python, "__module__": __name__})


globals().update(make_classes())


if __name__ == "__main__":
    unittest.main()
