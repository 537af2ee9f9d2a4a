"""pyrec.compat: the interfaces of other profilers, beside the profilers themselves.

Each program runs twice, with their module and with ours; what it prints is compared.
"""
import json
import os
import shutil
import tempfile
import unittest

import support
from support import PYTHONS

PACKAGE = os.path.join(support.BUILD, "python")
DEBIAN = "/usr/lib/python3/dist-packages"


class Case:
    python = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-e2e-")
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def read(self, name, mode="r"):
        with open(os.path.join(self.folder, name), mode) as file:
            return file.read()

    def run_program(self, text, *arguments, path=PACKAGE, command=(), status=0, err=b"", name="program.py", **more):
        """What it prints; nothing else may be left behind, on standard error or in /tmp."""
        program = self.write(name, text)
        result = support.run([*command, self.python, program, *arguments], cwd=self.folder,
                             env=support.environment(PYTHONPATH=path, **more))
        self.assertEqual((result.status, result.err), (status, err), result)
        return result.out.decode()

    def both(self, text, module, their_path="", **options):
        """The JSON that a program prints with their module and with ours."""
        ours = self.run_program("from pyrec.compat import %s as module\n" % module + text, **options)
        theirs = self.run_program("import %s as module\n" % module + text, path=their_path, **options)
        return json.loads(ours), json.loads(theirs)

    def signatures(self, module, names, skip=()):
        """{"Class.method": parameters} of public things of a module, theirs if it is there."""
        text = """
import inspect, json, %s as module
out = {}
def note(name, thing):
    if not callable(thing):
        return
    try:
        parameters = inspect.signature(thing).parameters.values()
        out[name] = [[p.name, repr(p.default) if p.default is not p.empty else None, p.kind.name] for p in parameters]
    except (ValueError, TypeError):
        out[name] = None
for name in %r:
    thing = getattr(module, name)
    note(name, thing)
    if isinstance(thing, type):
        for part in dir(thing):
            if not part.startswith("_") or part in ("__call__", "__enter__", "__exit__"):
                note(name + "." + part, getattr(thing, part))
print(json.dumps(out))
""" % (module, names)
        return json.loads(self.run_program(text, path=PACKAGE + ":" + DEBIAN))


FUNCTIONS = '''
import json, sys, threading

def fact(n):
    if n < 2:
        return 1
    return n * fact(n - 1)

def count(n):
    total = 0
    for i in range(n):
        total += fact(i)
    return total

def hits(prof):
    """{line: hits} of this file's functions, entries of frames aside: their lines have none of their own."""
    out = {}
    for name, timings in prof.file_dict.items():
        for timing in timings:
            for line, code, hits, duration in timing.iterHits():
                if name == __file__ and code.co_name in ("fact", "count") and line != code.co_firstlineno:
                    out[line] = out.get(line, 0) + hits
    return out

def calls(prof):
    out = []
    for timings in prof.file_dict.values():
        for timing in timings:
            for line, code, hits, duration, file, callee in timing.iterCalls():
                if timing.filename == __file__ == file:
                    out.append([line, code.co_name, hits, callee.co_name, callee.co_firstlineno])
    return sorted(out)
'''


class PprofileTests(Case):
    def compare(self, text):
        if not os.path.isdir(os.path.join(DEBIAN, "pprofile")):
            self.skipTest("pprofile is not installed")
        ours, theirs = self.both(FUNCTIONS + text, "pprofile", their_path=DEBIAN)
        self.assertEqual(ours, theirs)
        return ours

    def test_hits_and_calls(self):
        for begin, end in (("with prof():", "pass"), ("with prof:", "pass"),
                           ("if prof.enable() or 1:", "prof.disable()")):
            with self.subTest(begin):
                out = self.compare("prof = module.Profile()\n%s\n    count(5)\n    fact(3)\n%s\n"
                                   "print(json.dumps([hits(prof), calls(prof)]))" % (begin, end))
                self.assertGreater(sum(out[0].values()), 40)

    def test_ways_to_run(self):
        self.compare("prof = module.Profile()\nresult = prof.runcall(count, 3)\n"
                     "same = module.Profile().runctx('fact(4)', {'fact': fact}, {})\n"
                     "own = [call for call in calls(prof) if call[1] == 'count']\n"
                     "print(json.dumps([result, hits(prof), own, type(same).__name__, hits(same)]))")

    def test_goes_on(self):
        self.compare("prof = module.Profile()\n"
                     "for n in range(4):\n    prof.enable()\n    fact(n)\n    prof.disable()\n    fact(9)\n"
                     "print(json.dumps([hits(prof), calls(prof)]))")

    def test_disabled_elsewhere(self):
        """pprofile itself loses its stack when it is disabled below where it was enabled; ours does not."""
        out = json.loads(self.run_program(FUNCTIONS + """
from pyrec.compat import pprofile
prof = pprofile.Profile()
def begin():
    prof.enable()
    fact(2)
def end():
    fact(3)
    prof.disable()
begin()
count(2)
thread = threading.Thread(target=end)   # its own fact() is in another thread
thread.start()
thread.join()
fact(5)
print(json.dumps([hits(prof), calls(prof)]))
"""))
        hits, calls = out
        self.assertEqual(hits["5"], 2 + 2)   # fact(2): two calls; count(2): fact(0), fact(1)
        self.assertIn([38, "begin", 1, "fact", 4], calls)

    def test_threads(self):
        text = FUNCTIONS + """
from pyrec.compat import pprofile
out = []
for kind in (pprofile.Profile, pprofile.ThreadProfile):
    prof = kind()
    with prof():
        thread = threading.Thread(target=fact, args=(6,))
        thread.start()
        thread.join()
        fact(2)
    out.append(hits(prof)[5])
print(json.dumps(out))
"""
        self.assertEqual(json.loads(self.run_program(text)), [2, 8])

    def test_overlapping_profiles_are_independent(self):
        text = FUNCTIONS + """
from pyrec.compat import pprofile
profs = [pprofile.Profile() for _ in range(3)]
for i, prof in enumerate(profs):
    prof.enable()
    fact(1)
for prof in profs:
    prof.disable()
    fact(1)
print(json.dumps([hits(prof)[5] for prof in profs]))
"""
        self.assertEqual(json.loads(self.run_program(text)), [3, 3, 3])

    def test_annotate_equals_the_format(self):
        """print_stats() and `pyanalyze --format pprofile` are one report."""
        out = self.run_program(FUNCTIONS + """
import pyrec
from pyrec.compat import pprofile
prof = pprofile.Profile()
pyrec.start("trace.bin")
with prof():
    count(6)
pyrec.stop()
prof.annotate(sys.stdout, commandline=sys.argv[0])
""")
        owner = support.run([support.PYANALYZE, "trace.bin", "--sql", "SELECT owner FROM windows"],
                            cwd=self.folder).out.decode().split()[1]
        result = support.run([support.PYANALYZE, "trace.bin", "--window", owner, "--format", "pprofile"],
                             cwd=self.folder)
        self.assertEqual(result.err, b"")
        self.assertEqual(out, result.out.decode())

    def test_duplicate_calls_warn(self):
        text = """
import warnings
from pyrec.compat import pprofile
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    prof = pprofile.Profile()
    prof.disable()
    prof.enable()
    prof.enable()
    prof.disable()
    print([str(warning.message) for warning in caught])
"""
        self.assertEqual(self.run_program(text), "['Duplicate \"disable\" call', 'Duplicate \"enable\" call']\n")

    def test_outputs(self):
        out = self.run_program(FUNCTIONS + """
import io, zipfile
from pyrec.compat import pprofile
prof = pprofile.Profile()
print(prof.getFilenameSet(), prof.total_time)
prof.print_stats()
with prof():
    count(6)
assert prof.total_time > 0
assert prof.getFilenameSet() == prof.getFileNameSet() == {__file__}, prof.getFilenameSet()
(name, lines), = prof.iterSource()
assert (name, "".join(lines)) == (__file__, open(__file__).read())
for names in (__file__, [__file__], {__file__}, None):
    out = io.StringIO()
    prof.annotate(out, names, commandline="a b")
    assert out.getvalue().startswith("Command line: a b\\nTotal duration: "), out.getvalue()
    assert out.getvalue().count("\\nFile: ") == 1
out = io.StringIO()
prof.callgrind(out, relative_path=True, commandline="a b")
head = out.getvalue().split("\\n")[:7]
assert head == ["# callgrind format", "version: 1", "creator: pprofile", "event: usphit :microseconds/hit",
                "events: hits microseconds usphit", "cmd: a b", "fl=" + __file__[1:]], head
assert "\\ncfn=fact:4\\ncalls=6 4\\n12 6 " in out.getvalue(), out.getvalue()
data = io.BytesIO()
assert prof.getCallgrindZip(data) == "application/zip"
with zipfile.ZipFile(data) as archive:
    assert sorted(archive.namelist()) == sorted(["cachegrind.out.pprofile", __file__[1:]])
    assert archive.read(__file__[1:]).decode() == open(__file__).read()
out = io.StringIO()
assert prof.getCallgrindMIME(out).startswith("multipart/mixed"), prof
assert __file__[1:] in out.getvalue()
prof.dump_stats("cachegrind.out.x")
prof.dump_stats("text")
print(open("cachegrind.out.x").read()[:18], open("text").read()[:15])
""")
        self.assertEqual(out, "set() 0.0\nTotal duration: 0s\n# callgrind format Total duration:\n")

    def test_run_functions(self):
        self.write("app.py", "import sys\ndef f(): return 1\nprint(sys.argv, __name__, f())\nsys.exit(3)\n")
        out = self.run_program("""
import sys
from pyrec.compat import pprofile
pprofile.run("x = 1 + 1", filename="a.txt")
print(x, "<string>" in open("a.txt").read())
space = {}
pprofile.runctx("y = 2", space, space, "b.txt", threads=False)
print(space["y"])
pprofile.runpath("app.py", ["app.py", "1"], filename="c.txt")
pprofile.runfile(open("app.py", "rb"), ["q"], "named.py", filename="d.txt")
pprofile.runmodule("app", ["app", "2"], filename="e.txt")
for name in "cde":
    print([line for line in open(name + ".txt").read().split("\\n") if line.startswith("File: ")][0].rsplit("/")[-1])
print(sys.argv[1:], __name__)
""")
        self.assertEqual(out.split("\n")[:5], ["2 True", "2", "['app.py', '1'] __main__ 1", "['q'] __main__ 1",
                                               "['%s', '2'] __main__ 1" % os.path.join(self.folder, "app.py")])
        self.assertEqual(out.split("\n")[-2], "[] __main__")

    def test_statistical(self):
        out = self.run_program("""
import sys, time, threading
from pyrec.compat import pprofile
def wait():
    time.sleep(0.3)
prof = pprofile.StatisticalProfile()
with prof(period=0.001, single=True):
    wait()
lines = {line: hits for line, code, hits, time in prof.file_dict[__file__][0].iterHits()}
print(max(lines, key=lines.get), lines[5] > 10, prof.total_time > 0.2)
calls = prof.file_dict[__file__][0].getCallListByLine()
# it may be seen on its way into the function, too
print(calls[8][0][0].co_name, calls[8][0][4].co_name, calls[8][0][1] == lines[5] + lines.get(4, 0))
with pprofile.StatisticalThread(single=False) as thread:
    wait()
thread.join()
print(thread.clean_exit, thread.profiler.getFilenameSet() >= {__file__})
prof.annotate(sys.stdout, __file__)
""")
        self.assertTrue(out.startswith("5 True True\n<module> wait True\nTrue True\nTotal duration: "), out)

    def test_verbose(self):
        """The same events in the same words as pprofile's, times aside and from the first call on."""
        if not os.path.isdir(os.path.join(DEBIAN, "pprofile")):
            self.skipTest("pprofile is not installed")
        text = """
import io, json, re, sys
def f(n):
    return n and f(n - 1)
err, sys.stderr = sys.stderr, io.StringIO()
prof = module.Profile(verbose=True)
prof.enable()
f(2)
prof.disable()
out, sys.stderr = sys.stderr.getvalue(), err
lines = [re.sub(r"^ *[0-9.]+( *)", lambda m: "", line) for line in out.splitlines() if " f+" in line]
indents = [len(re.match(r" *[0-9.]+( *)", line).group(1)) for line in out.splitlines() if " f+" in line]
print(json.dumps([lines, [indent - indents[0] for indent in indents][1:]]))
"""
        ours, theirs = self.both(text, "pprofile", their_path=DEBIAN)
        self.assertEqual(ours[0], theirs[0])
        self.assertGreaterEqual(len(ours[0]), 9)   # more of them are lines from 3.12 on

    def test_overridden_names(self):
        out = self.run_program("""
import pyrec
from pyrec.compat import pprofile
class Named(pprofile.Profile):
    def _getFilename(self, frame):
        return "by frame: " + frame.f_code.co_name
class NamedByTwo(pprofile.ThreadProfile):
    @staticmethod
    def _getFilename(filename, f_globals):
        return "by two: " + f_globals["__name__"]
def f():
    return 1
plain = pprofile.Profile()
plain.runcall(f)
for kind in (Named, NamedByTwo):
    prof = kind()
    prof.runcall(f)
    print(sorted(prof.getFilenameSet()))
print(plain.getFilenameSet() == {__file__})
plain.enable()
try:
    Named().enable()
except pyrec.Error as error:
    print(error)
plain.disable()
""")
        self.assertEqual(out.splitlines(), [
            "['by frame: f']", "['by two: __main__']", "True",
            "files are named when a recording begins, and one goes on already"])

    def test_missing_analyzer(self):
        out = self.run_program("""
import pyrec
from pyrec.compat import pprofile
prof = pprofile.Profile()
with prof():
    pass
pyrec._installation.command = lambda name: None
try:
    prof.print_stats()
except pyrec.Error as error:
    print(error)
""")
        self.assertIn("pyanalyze is not there", out)

    def test_overridden_source(self):
        out = self.run_program("""
import sys
from pyrec.compat import pprofile
class Mine(pprofile.Profile):
    @staticmethod
    def _getline(filename, lineno, global_dict):
        return "line %d\\n" % lineno if lineno < 4 else ""
prof = Mine()
prof.run("x = 1")
prof.annotate(sys.stdout, "<string>")
""")
        self.assertIn("|line 1\n", out)
        self.assertIn("|line 3\n", out)

    def test_fork(self):
        out = self.run_program(FUNCTIONS + """
import os
from pyrec.compat import pprofile
prof = pprofile.Profile()
prof.enable()
fact(2)
pid = os.fork()
if pid == 0:
    fact(5)
    prof.disable()
    print("child", hits(prof)[5], flush=True)
    os._exit(0)
os.waitpid(pid, 0)
fact(3)
prof.disable()
print("parent", hits(prof)[5])
""")
        self.assertEqual(out, "child 5\nparent 5\n")

    def test_under_pyrec_run(self):
        out = self.run_program(FUNCTIONS + """
from pyrec.compat import pprofile
prof = pprofile.Profile()
fact(7)
with prof():
    fact(3)
print(hits(prof)[5])
""", command=(support.PYREC, "run", "-q", "--python"))
        self.assertEqual(out, "3\n")
        result = support.run([support.PYANALYZE, "trace.bin", "--sql",
                              "SELECT sum(s.hits) FROM line_stats s JOIN functions USING (function_id) "
                              "WHERE name = 'fact' AND line = 5"], cwd=self.folder)
        self.assertEqual((result.err, result.out.split()[1:]), (b"", [b"10"]))

    def test_recording_ends_first(self):
        """What was recorded stays, and the profiler can go on in another recording."""
        out = self.run_program(FUNCTIONS + """
import pyrec
from pyrec.compat import pprofile
prof, never = pprofile.Profile(), pprofile.Profile()
with pyrec.record("trace.bin"):
    prof.enable()
    never.enable()
    fact(2)
fact(5)
prof.disable()
print(hits(prof)[5])
with prof:
    fact(3)
print(hits(prof)[5])
""")
        self.assertEqual(out, "2\n5\n")

    def test_in_a_sampled_run(self):
        out = self.run_program("""
import pyrec
from pyrec.compat import pprofile
prof = pprofile.Profile()
try:
    with prof():
        pass
    prof.print_stats()
except pyrec.Error as error:
    print("sampled" in str(error), error)
""", command=(support.PYREC, "run", "-q", "--sample", "1ms", "--python"))
        self.assertTrue(out.startswith("True "), out)

    def test_names_and_signatures(self):
        if not os.path.isdir(os.path.join(DEBIAN, "pprofile")):
            self.skipTest("pprofile is not installed")
        names = ["Profile", "ThreadProfile", "StatisticProfile", "StatisticalProfile", "StatisticThread",
                 "StatisticalThread", "ProfileBase", "ProfileRunnerBase", "run", "runctx", "runfile", "runpath", "main",
                 "FileTiming", "EncodeOrReplaceWriter"]
        theirs, ours = self.signatures("pprofile", names), self.signatures("pyrec.compat.pprofile", names)
        self.assertEqual(set(theirs) - set(ours), set())
        self.assertEqual({name: ours[name] for name in theirs if not name.startswith("Statisti") or "." not in name},
                         {name: theirs[name] for name in theirs if not name.startswith("Statisti") or "." not in name})

    def test_callers_of_run_are_no_result(self):
        out = self.run_program(FUNCTIONS + """
from pyrec.compat import pprofile
for profile in (pprofile.Profile(), pprofile.ThreadProfile()):
    profile.run("x = 1")
    print(profile.getFilenameSet())
profile.runcall(fact, 3)
print([line for line, *_ in profile.file_dict[__file__][0].iterHits()])
profile = pprofile.Profile()
with profile: fact(3)
print([call for call in calls(profile) if call[1] == "<module>"][0][1:])
""")
        self.assertEqual(out.split("\n")[:2], ["{'<string>'}"] * 2)
        self.assertNotIn("<module>", out.split("\n")[2])
        self.assertEqual(out.split("\n")[3], "['<module>', 1, 'fact', 4]")

    def test_ipython(self):
        if not support.has_module(self.python, "IPython"):
            self.skipTest("IPython is not installed")
        cell = "%%pprofile\nx = 1\ny = sum(range(3))\n"
        code = "shell = get_ipython()\nshell.run_line_magic('load_ext', 'pyrec.compat.pprofile')\n" \
               "shell.run_line_magic('pprofile', 'x = sum(range(10))')\nshell.run_cell(%r)\n" % cell
        result = support.run([self.python, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code],
                             cwd=self.folder, env=support.environment(PYTHONPATH=PACKAGE, HOME=self.folder,
                                                                      IPYTHONDIR=self.folder))
        text = result.out.decode()
        self.assertEqual((result.status, text.count("Total duration: ")), (0, 2), result)
        self.assertIn("File: <string>\n", text)
        self.assertIn("File: <stdin>\n", text)
        self.assertRegex(text, r"\|x = 1\n")

    def test_command_line(self):
        self.write("app.py", "print('hello')\n")
        result = support.run([self.python, "-m", "pyrec.compat.pprofile", "--exclude-syspath", "app.py"],
                             cwd=self.folder, env=support.environment(PYTHONPATH=PACKAGE))
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertTrue(result.out.startswith(b"hello\nCommand line: app.py\nTotal duration: "), result)


CALLS = '''
import json, pstats, sys
def fact(n):
    return 1 if n < 2 else n * fact(n - 1)
def gen(n):
    for i in range(n):
        yield len([i])
class A:
    def m(self): return sorted(gen(3), key=lambda x: -x)
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)
def fails():
    raise KeyError
def all_of_it():
    try:
        fails()
    except KeyError:
        pass
    return [fact(4), A().m(), sum(gen(3)), even(5), max(map(fact, [3, 2]))]

def counts(stats):
    """Counts of functions and callers, without the profiler's own."""
    out = []
    for key, value in stats.items():
        if key[2] in ("__exit__", "__enter__", "enable") or "disable" in key[2]:
            continue
        out.append([key[1:], value[:2], sorted([c[1:], e[:2] if type(e) is tuple else e] for c, e in value[4].items())])
    return sorted(out)
'''


class CprofileTests(Case):
    def compare(self, text, **options):
        ours, theirs = self.both(CALLS + text, "cProfile", **options)
        self.assertEqual(ours, theirs)
        return ours

    def test_counts_and_callers(self):
        out = self.compare("pr = module.Profile()\nresult = pr.runcall(all_of_it)\npr.create_stats()\n"
                           "print(json.dumps([result, counts(pr.stats)]))")
        self.assertIn([[4, "fact"], [3, 9], [[[0, "<built-in method builtins.max>"], [2, 2]], [[4, "fact"], [6, 3]],
                                             [[15, "all_of_it"], [1, 1]]]], out[1])

    def test_ways(self):
        self.compare("""
pr = module.Profile()
with pr:
    all_of_it()
pr.enable()
fact(3)
pr.disable()
out = [counts(pr.getstats() and pr.create_stats() or pr.stats)]
print(json.dumps([out, pr.runctx('fact(2)', globals(), {}) is pr]))
""")

    def test_without_builtins_and_subcalls(self):
        for options in ("builtins=False", "subcalls=False", "subcalls=False, builtins=False"):
            with self.subTest(options):
                self.compare("pr = module.Profile(%s)\npr.enable(%s)\nall_of_it()\npr.disable()\npr.create_stats()\n"
                             "print(json.dumps([row[:2] for row in counts(pr.stats) if row[0][1] != '<lambda>']))"
                             % (options, options))    # 3.14: enable() forgets the former

    def test_clear(self):
        self.compare("pr = module.Profile()\npr.runcall(fact, 5)\npr.clear()\npr.runcall(fact, 3)\npr.create_stats()\n"
                     "print(json.dumps(counts(pr.stats)))")

    def test_getstats(self):
        self.compare("""
pr = module.Profile()
pr.runcall(all_of_it)
out = []
for e in pr.getstats():
    name = e.code if isinstance(e.code, str) else [e.code.co_name, e.code.co_firstlineno]
    if "disable" not in str(name):
        out.append([str(name), e.callcount, e.reccallcount, type(e.totaltime).__name__, type(e.inlinetime).__name__,
            sorted([s.code if isinstance(s.code, str) else s.code.co_name, s.callcount, s.reccallcount]
                   for s in e.calls or () if "disable" not in str(s.code))])
print(json.dumps(sorted(out)))
""")

    def test_files_and_tables(self):
        self.compare("""
import io, contextlib
out = io.StringIO()
with contextlib.redirect_stdout(out):
    pr = module.Profile()
    pr.runcall(all_of_it)
    pr.print_stats("name")
    module.runctx("fact(3)", globals(), {}, None, "calls")
rows = [line.split(None, 5) for line in out.getvalue().split("\\n")]
table = [[row[0], row[5].split("/")[-1]] for row in rows if len(row) == 6 and "program.py" in row[5]]
pr.dump_stats("x.prof")
module.run("fact(2)", "y.prof")
read = [counts(pstats.Stats(name).stats) for name in ("x.prof", "y.prof")]
read[1] = [row for row in read[1] if row[0][1] == "fact"]
print(json.dumps([table, read[0], [row[:2] for row in read[1]], out.getvalue().count("Ordered by")]))
""")

    def test_uses_of_the_documentation(self):
        """What cProfile's and pstats' documentation show, each in its way, with our module."""
        out = self.run_program("""
import io, pstats
from pstats import SortKey
from pyrec.compat import cProfile
import re
cProfile.run('re.compile("foo|bar")')
cProfile.run('re.compile("foo|baz")', 'restats')
p = pstats.Stats('restats')
p.strip_dirs().sort_stats(-1).print_stats()
p.sort_stats(SortKey.NAME)
p.print_stats()
p.sort_stats(SortKey.CUMULATIVE).print_stats(10)
p.sort_stats(SortKey.TIME).print_stats(10)
p.sort_stats(SortKey.FILENAME).print_stats('__init__')
p.sort_stats(SortKey.TIME, SortKey.CUMULATIVE).print_stats(.5, 'init')
p.print_callers('init')   # which half is the slower one is chance
p.print_callees()
p.add('restats')
pr = cProfile.Profile()
pr.enable()
sorted([3, 1, 2])
pr.disable()
s = io.StringIO()
ps = pstats.Stats(pr, stream=s).sort_stats(SortKey.CUMULATIVE)
ps.print_stats()
print(s.getvalue())
with cProfile.Profile() as pr:
    len([1])
    pr.print_stats()
""")
        for words in ("{built-in method builtins.sorted}", "{built-in method builtins.len}",
                      "Ordered by: standard name", "Ordered by: function name", "Ordered by: internal time, cumulative time", "was called by...",
                      "called...", "List reduced from ", "re"):
            self.assertIn(words, out)
        self.assertEqual(out.count(" function calls"), 9)

    def test_other_threads(self):
        text = CALLS + """
import threading
from pyrec.compat import cProfile
out = []
for options in ({}, {"threads": True}):
    pr = cProfile.Profile(**options)
    with pr:
        thread = threading.Thread(target=fact, args=(6,))
        thread.start()
        thread.join()
        fact(2)
    pr.create_stats()
    out += [value[1] for key, value in pr.stats.items() if key[2] == "fact"]
print(out)
"""
        self.assertEqual(self.run_program(text), "[2, 8]\n")

    def test_what_cannot_be_done(self):
        out = self.run_program("""
import time
from pyrec.compat import cProfile, profile
for action in (lambda: cProfile.Profile(time.time), lambda: cProfile.Profile(timeunit=0.1),
               lambda: profile.Profile(time.time), lambda: profile.Profile(bias=0.5)):
    try:
        action()
    except NotImplementedError as error:
        print("timer" in str(error) or "bias" in str(error))
""")
        self.assertEqual(out, "True\n" * 4)

    def test_profile(self):
        ours, theirs = self.both(CALLS + """
pr = module.Profile()
pr.runcall(fact, 4)
pr.create_stats()
print(json.dumps([[key[1:], value[:2]] for key, value in pr.stats.items() if key[2] == "fact"]))
""", "profile")
        self.assertEqual(ours, theirs)
        text = "from pyrec.compat import profile\npr = profile.Profile()\nprint(pr.calibrate(10), pr.bias)\n" \
               "profile.run('1 + 1')\n"
        self.assertIn("function calls", self.run_program(text))

    def test_names_and_signatures(self):
        skip = {"Profile.snapshot_stats", "Profile"}
        for name, names in (("cProfile", ["run", "runctx", "Profile", "label", "main"]),
                            ("profile", ["run", "runctx", "Profile"])):
            theirs, ours = self.signatures(name, names), self.signatures("pyrec.compat." + name, names)
            own = "Profile.trace", "Profile.dispatch", "Profile.simulate", "Profile.get_time", "Profile.fake"
            theirs = {key: value for key, value in theirs.items() if not key.startswith(own)}
            self.assertEqual(set(theirs) - set(ours), set())
            for key in set(theirs) - skip:
                if theirs[key] is not None and key not in ("main", "Profile.calibrate"):
                    self.assertEqual([p[0] for p in ours[key]], [p[0] for p in theirs[key]], key)

    def test_both_kinds_at_once(self):
        """A profiler of lines has begun the recording; the one of calls wants C functions in it, too."""
        out = self.run_program(CALLS + """
from pyrec.compat import cProfile, pprofile
lines = pprofile.Profile()
with lines():
    fact(2)
pr = cProfile.Profile()
pr.runcall(all_of_it)
pr.create_stats()
print(sum(value[1] for key, value in pr.stats.items() if "builtins.len" in key[2]))
print(sum(hits for line, code, hits, time in lines.file_dict[__file__][0].iterHits() if code.co_name == "fact"))
""")
        self.assertEqual(out, "6\n2\n")

    def test_command_line(self):
        self.write("app.py", "print('hello')\n")
        result = support.run([self.python, "-m", "pyrec.compat.cProfile", "-s", "tottime", "app.py"],
                             cwd=self.folder, env=support.environment(PYTHONPATH=PACKAGE))
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertIn(b"Ordered by: internal time", result.out)


class HotshotTests(Case):
    PROGRAM = """
import sys
from pyrec.compat import hotshot
import pyrec.compat.hotshot.log, pyrec.compat.hotshot.stats
def fact(n):
    return 1 if n < 2 else n * fact(n - 1)
"""

    def test_document(self):
        """The example of hotshot's documentation, with another program in it."""
        out = self.run_program(self.PROGRAM + """
prof = hotshot.Profile("stones.prof")
print(prof.runcall(fact, 4))
prof.close()
stats = hotshot.stats.load("stones.prof")
stats.strip_dirs()
stats.sort_stats("time", "calls")
stats.print_stats(20)
""")
        self.assertTrue(out.startswith("24\n         4 function calls (1 primitive calls) in "), out)
        self.assertIn("Ordered by: internal time, call count", out)
        self.assertRegex(out, r"\n +4/1 .* program.py:5\(fact\)\n")

    def test_log(self):
        out = self.run_program(self.PROGRAM + """
for lineevents, linetimings in ((0, 1), (1, 1), (1, 0)):
    prof = hotshot.Profile("log", lineevents, linetimings)
    prof.addinfo("city", "Graz")
    prof.addinfo("city", "Linz")
    prof.start()
    fact(2)
    prof.stop()
    prof.close()
    reader = hotshot.log.LogReader("log")
    events = list(reader)
    assert all(type(delta) is int and delta >= 0 for what, place, delta in events)
    assert {place[0] for what, place, delta in events} == {__file__}
    if not linetimings:
        assert not any(delta for what, place, delta in events if what == hotshot.log.LINE)
    assert lineevents == any(place[2] == "<module>" for what, place, delta in events)
    print([(what, *place[1:]) for what, place, delta in events if place[2] == "fact"])
    number = reader.get_fileno(__file__)
    print(reader._info, reader.get_filename(number) == __file__, reader.get_funcname(number, 5),
          reader.get_filenames() == [__file__])
""")
        enter, line, leave = (0, 5, "fact"), (2, 6, "fact"), (1, 6, "fact")
        info = "{'city': ['Graz', 'Linz']} True fact True\n"
        with_lines = [enter, line, enter, line, leave, leave]
        self.assertEqual(out, "%r\n%s%r\n%s%r\n%s" % ([enter, enter, leave, leave], info, with_lines, info, with_lines,
                                                      info))

    def test_several_logs_and_errors(self):
        out = self.run_program(self.PROGRAM + """
import pyrec
a, b = hotshot.Profile("a.log"), hotshot.Profile("b.log")
a.runcall(fact, 3)
b.runcall(fact, 5)
print(a.fileno() != b.fileno())
a.close(), b.close(), a.close()
print([hotshot.stats.load(name).total_calls for name in ("a.log", "b.log")])
print(hotshot.stats.load("a.log", "b.log").total_calls)
for action in (a.start, lambda: hotshot.stats.load(__file__), lambda: hotshot.Profile("no/such/folder")):
    try:
        action()
    except (hotshot.ProfilerError, pyrec.Error, OSError) as error:
        print(type(error).__name__)
empty = hotshot.Profile("empty.log")
empty.close()
print(list(hotshot.log.LogReader("empty.log")))
""")
        self.assertEqual(out, "True\n[3, 5]\n8\nProfilerError\nError\nFileNotFoundError\n[]\n")


LINES = '''
import json, sys
def sub(n):
    total = 0
    for i in range(n):
        total += i
    return total
def work(n):
    a = sub(n)
    b = 0
    for k in range(n):
        b += sub(k)
    if a > 1e9:
        return 0
    return a + b
def generate(n):
    for i in range(n):
        yield sub(i)
class C:
    @staticmethod
    def s(n):
        return sub(n)
    @classmethod
    def c(cls, n):
        return sub(n)
    def m(self, n):
        return sub(n)
def rows(lp, loops=True):
    stats = lp.get_stats()
    source = open(__file__).read().split("\\n")
    return sorted([key[1:], [[line, hits] for line, hits, time in value if loops or "for " not in source[line - 1]]]
                  for key, value in stats.timings.items())
'''


class LineProfilerTests(Case):
    def compare(self, text):
        """With Debian's interpreter and its line_profiler, which is built for no other. Version 4.0.2 loses a hit of
        the line of a loop each time one ends: those lines are not compared."""
        if self.python != "/usr/bin/python3" or not support.has_module(self.python, "line_profiler"):
            self.skipTest("line_profiler is not installed")
        ours, theirs = self.both(LINES + text, "line_profiler", their_path=DEBIAN)
        self.assertEqual(ours, theirs)
        return ours

    def test_functions(self):
        self.compare("lp = module.LineProfiler(work, sub)\nlp.runcall(work, 7)\n"
                     "print(json.dumps(rows(lp, loops=False)))")

    def test_decorated(self):
        self.compare("lp = module.LineProfiler()\nf = lp(work)\nf(4)\nsub(3)\ng = lp(generate)\nlist(g(4))\nf(2)\n"
                     "print(json.dumps([rows(lp, loops=False), f.__name__]))")

    def test_by_count(self):
        self.compare("""
lp = module.LineProfiler(sub)
lp.enable_by_count()
lp.enable_by_count()
sub(2)
lp.disable_by_count()
sub(3)
lp.disable_by_count()
sub(4)
with lp:
    sub(5)
lp.runctx("sub(6)", globals(), {})
print(json.dumps(rows(lp, loops=False)))
""")

    def test_table(self):
        """The same words in the same columns; times aside."""
        self.compare("""
import io, re
lp = module.LineProfiler(work, sub, generate)
lp.runcall(work, 7)
out = io.StringIO()
lp.print_stats(out, output_unit=1e-6)
lp.print_stats(out, stripzeros=True, output_unit=1e-6)
text = re.sub(r"Total time: .*", "Total time:", out.getvalue())
text = re.sub(r"(?m)^(.{6} .{9}) .{12} .{8} .{8}  ", r"\\1 ", text)
text = re.sub(r"(?m)^(.{6} ).{9}(.*for .* in)", r"\\1\\2", text)
print(json.dumps(text))
""")

    def test_recursion_and_late_functions(self):
        """line_profiler 4 loses hits of recursive calls; ours does not."""
        out = self.run_program("from pyrec.compat.line_profiler import LineProfiler\n" + LINES + """
def fact(n):
    if n < 2:
        return 1
    return n * fact(n - 1)
lp = LineProfiler(fact)
with lp:
    fact(5)
    sub(1)
    lp.add_function(sub)
    sub(2)
print(json.dumps(rows(lp)))
everything = LineProfiler()
everything.runcall(fact, 2)
print(json.dumps(rows(everything)))
""")
        first, second = map(json.loads, out.splitlines())
        self.assertEqual(first, [[[4, "sub"], [[5, 1], [6, 3], [7, 2], [8, 1]]],
                                 [[35, "fact"], [[36, 5], [37, 1], [38, 4]]]])
        self.assertIn([[35, "fact"], [[36, 2], [37, 1], [38, 1]]], second)

    def test_classes_and_modules(self):
        self.write("some.py", LINES)
        out = self.run_program("""
import asyncio, json, some
from pyrec.compat.line_profiler import LineProfiler
lp = LineProfiler()
print(lp.add_module(some), len(lp.functions))
class D:
    s = lp(some.C.__dict__["s"])
    c = lp(some.C.__dict__["c"])
    @lp
    def m(self, n):
        return some.sub(n)
    @property
    def p(self):
        return 7
print(D.s(2), D.c(2), D().m(2))
@lp
async def task():
    await asyncio.sleep(0)
    return 5
print(asyncio.run(task()))
print({key[2]: sum(hits for line, hits, time in rows) for key, rows in lp.get_stats().timings.items() if rows})
""")
        self.assertEqual(out.split("\n")[0], "7 7")
        self.assertIn("1 1 1\n5\n", out)
        self.assertIn("'task': 2", out)

    def test_files(self):
        out = self.run_program("from pyrec.compat import line_profiler\n" + LINES + """
lp = line_profiler.LineProfiler(sub)
lp.runcall(sub, 3)
lp.dump_stats("x.lprof")
stats = line_profiler.load_stats("x.lprof")
print(stats == lp.get_stats(), stats.unit)
line_profiler.main(["-u", "1e-3", "-z", "x.lprof"])
""")
        self.assertTrue(out.startswith("True 1e-09\nTimer unit: 0.001 s\n\nTotal time: "), out)

    def test_global_decorator(self):
        text = "from pyrec.compat.line_profiler import profile\n@profile\ndef f(n):\n    return n\nf(1)\nf(2)\n"
        self.assertEqual(self.run_program(text), "")
        out = self.run_program(text, LINE_PROFILE="1")
        self.assertIn("seconds - ", out)
        self.assertRegex(self.read("profile_output.txt"), r"     4         2 .*     return n\n")


DECORATED = """
import sys, some
@profile
def f(n):
    total = some.sub(n)
    total += 1
    return total
class C:
    @profile
    def m(self):
        return f(2)
def plain():
    return 7
print(f(3), C().m(), plain(), __name__, sys.argv)
with profile:
    plain()
"""

RESULTS = """
import json, %s as module
stats = module.load_stats("program.py.lprof")
print(json.dumps(sorted([file, first, name.split(".")[-1], [[line, hits] for line, hits, time in rows]]
                        for (file, first, name), rows in stats.timings.items())))
"""


class KernprofTests(Case):
    def kernprof(self, *words, text=DECORATED, module="pyrec.compat.kernprof", path=PACKAGE, status=0, name="program.py"):
        """What it prints to both streams."""
        self.write("some.py", "def sub(n):\n    return n * 2\nclass D:\n    def g(self):\n        return sub(1)\n")
        self.write(name, text)
        result = support.run([self.python, "-m", module, *words], cwd=self.folder,
                             env=support.environment(PYTHONPATH=path))
        self.assertEqual(result.status, status, result)
        return result.out.decode(), result.err.decode()

    def results(self, module="pyrec.compat.line_profiler", path=PACKAGE):
        return json.loads(self.run_program(RESULTS % module, path=path, name="results.py"))

    def test_decorated(self):
        out, err = self.kernprof("-lv", "-u", "1e-3", "program.py", "a", "-l")
        self.assertEqual(err, "")
        self.assertTrue(out.startswith("7 5 7 __main__ ['program.py', 'a', '-l']\nWrote profile results to program.py.lprof\n"
                                       "Timer unit: 0.001 s\n\nTotal time: "), out)
        self.assertEqual(self.results(), [
            ["program.py", 3, "f", [[5, 2], [6, 2], [7, 2]]],
            ["program.py", 9, "m", [[11, 1]]]])

    def test_as_theirs(self):
        """With Debian's, the same words, the same results, and each reads the other's file."""
        if self.python != "/usr/bin/python3" or not support.has_module(self.python, "kernprof"):
            self.skipTest("kernprof is not installed")
        seen = []
        for module, path in (("pyrec.compat.kernprof", PACKAGE), ("kernprof", "")):
            out, err = self.kernprof("-l", "program.py", "x", module=module, path=path)
            seen.append((out.splitlines()[:2], err, self.results(), self.results("line_profiler", DEBIAN)))
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(seen[0][2], seen[0][3])

    def test_targets(self):
        for target in ("some", "some.py", "some,program", self.folder):
            self.kernprof("-l", "-p", target, "program.py")
            names = {row[2] for row in self.results()}
            self.assertEqual(names, {"f", "m", "sub"} | ({"plain"} if target in ("some,program", self.folder) else set()))
        self.kernprof("-l", "-p", "some.D", "program.py")
        self.assertEqual({row[2] for row in self.results()}, {"f", "m"})
        out, err = self.kernprof("-l", "-p", "nowhere", "program.py", status=1)
        self.assertEqual((out, err), ("", "kernprof: nowhere: no such file and no such module\n"))

    def test_ends(self):
        for end, status, error in (("sys.exit(3)", 3, ""), ("sys.exit()", 0, ""), ("sys.exit('so')", 1, "so\n"),
                                   ("raise ValueError(4)", 1, None)):
            out, err = self.kernprof("-l", "program.py", text=DECORATED + end, status=status)
            self.assertIn("Wrote profile results to program.py.lprof", out)
            if error is None:
                lines = err.splitlines()
                self.assertEqual((lines[0], len([line for line in lines if "File " in line]), lines[-1]),
                                 ("Traceback (most recent call last):", 1, "ValueError: 4"))
            else:
                self.assertEqual(err, error)
        child = "import os\nif os.fork():\n    os.wait()\nelse:\n    pass\n"
        out, err = self.kernprof("-l", "program.py", text=DECORATED + child)
        self.assertEqual((out.count("Wrote"), err), (1, ""))

    def test_forms(self):
        self.kernprof("-lm", "program", "b")
        self.assertEqual([row[2] for row in json.loads(self.run_program(RESULTS.replace("program.py.lprof", "program.lprof")
                                                                        % "pyrec.compat.line_profiler", name="r.py"))], ["f", "m"])
        out, err = self.kernprof("-q", "-lo", "x.lprof", "-c", "import sys; print(sys.argv)", "y")
        self.assertEqual((out, err), ("['-c', 'y']\n", ""))
        self.assertTrue(os.path.exists(os.path.join(self.folder, "x.lprof")))
        self.write("setup.py", "import builtins\nbuiltins.answer = 42\n")
        out, err = self.kernprof("--line-by-line", "yes", "-s", "setup.py", "--skip-zero", "program.py",
                                 text="print(answer)\n")
        self.assertTrue(out.startswith("42\nWrote profile results"), out)
        self.kernprof(status=2)
        self.kernprof("-l", status=2)
        self.kernprof("-l", "no.py", status=1)

    def test_command(self):
        """pyrec kernprof, without the package in the program's reach."""
        self.write("some.py", "def sub(n):\n    return n * 2\n")
        self.write("program.py", DECORATED + "print([path for path in sys.path if 'pyrec' in path.split('/')[-2:]])\n"
                   "print(sys.path[0])\nsys.exit(4)\n")
        pyrec = os.path.join(support.BUILD, "pyrec")
        result = support.run([pyrec, "kernprof", "-lv", "program.py", "z"], cwd=self.folder,
                             env=support.environment(PYREC_PYTHON=self.python))
        self.assertEqual((result.status, result.err), (4, b""), result)
        lines = result.out.decode().split("\n")
        self.assertEqual(lines[:3], ["7 5 7 __main__ ['program.py', 'z']", "[]", self.folder])
        self.assertRegex(result.out, rb"(?m)^     5         2 .*total = some.sub")
        shown = support.run([pyrec, "kernprof", "--inspect", "program.py.lprof"], cwd=self.folder,
                            env=support.environment(PYREC_PYTHON=self.python))
        self.assertEqual((shown.status, shown.err), (0, b""), shown)
        self.assertRegex(shown.out, rb"(?m)^     5         2 .*total = some.sub")
        result = support.run([pyrec, "kernprof", "--help"])
        self.assertTrue(result.out.startswith(b"usage: pyrec kernprof [OPTION]..."), result)

    def test_calls(self):
        """Without -l it is cProfile."""
        out, err = self.kernprof("-v", "program.py", text="def f():\n    return 1\nf()\nf()\n")
        self.assertRegex(out, r"(?m)^        2 .*program.py:1\(f\)$")
        self.assertIn("Wrote profile results to program.py.prof", out)
        out, err = self.kernprof("-bv", "program.py")
        self.assertRegex(out, r"(?m)^        2 .*program.py:3\(f\)$")
        self.assertIn("program.py:12(plain)", out)

    def test_while_it_runs(self):
        text = """
import os, time
@profile
def f():
    pass
f()
deadline = time.monotonic() + 60
while not os.path.exists("program.py.lprof") and time.monotonic() < deadline:
    time.sleep(0.05)
print(os.path.exists("program.py.lprof"))
"""
        out, err = self.kernprof("-l", "-i", "0.2", "program.py", text=text)
        self.assertTrue(out.startswith("True\n"), out)


def make_classes():
    """One class a base and interpreter; they are found by name, too."""
    for python in PYTHONS:
        for base in (PprofileTests, CprofileTests, HotshotTests, LineProfilerTests, KernprofTests):
            name = "%s_%s" % (base.__name__, support.version_name(python))
            yield name, type(name, (base, unittest.TestCase), {"python": python, "__module__": __name__})


globals().update(make_classes())


if __name__ == "__main__":
    unittest.main()
