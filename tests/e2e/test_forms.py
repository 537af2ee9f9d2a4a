"""Each form a program has and each mode of the interpreter: it behaves as without, byte for byte, and its profile is right.

Exactly recorded and sampled. Every interpreter takes its share of the forms, and of the modes; all take all in the long run.
"""
import json
import os
import re
import unittest
import zipapp

import support
import test_invisible

PROGRAM = '''"""Its words."""
import os, sys, threading, warnings
MARK = "\xe4\xf6\xfc"
def work(n):
    x = 0
    for i in range(n):
        x += i % 7
    return x
class Thing:
    def __del__(self):
        raise OSError("gone")
print(sys.argv[1:], __name__, __doc__, ascii(MARK), os.path.basename(globals().get("__file__", "no file")), __spec__ and __spec__.name)
sys.stdout.flush()
thread = threading.Thread(target=work, args=(10,))
thread.start()
thread.join()
Thing()
work(100000)
work(200000)
file = open(os.devnull)
del file
warnings.warn("of its own")
def fails(n):
    return 1 // n    # \xe4
fails(0)
'''
WORK_LINES = [3, 300013, 300010, 3]     # of work(), from its first executable line on

AGAIN = '''import os, sys
if len(sys.argv) == 1:
    os.execv(sys.executable, [sys.executable] + ["-I"] * sys.flags.isolated + [os.path.abspath(__file__), "again"])
'''

# Interpreter options as pyrec passes them on, those that it needs to be told of, and variables.
MODES = {
    "dev": (["-X", "dev"], {}), "importtime": (["-X", "importtime"], {}), "warnings": (["-W", "always"], {}),
    "errors": (["-W", "error"], {}), "isolated": (["-I"], {}), "no site": (["-S"], {}),
    "no environment": (["-E"], {"PYTHONPATH": "/nowhere"}), "optimized": (["-OO"], {}), "unbuffered": (["-u"], {}),
    "bytes": (["-bb"], {}), "isolated, no site": (["-IS"], {}), "tracemalloc": (["-X", "tracemalloc=5"], {}),
    "cache elsewhere": (["-X", "pycache_prefix=cache"], {"PYTHONDONTWRITEBYTECODE": ""}), "C": (["-X", "utf8=0"], {"LC_ALL": "C"}),
    "PYTHONMALLOC=debug": ([], {"PYTHONMALLOC": "debug"}), "PYTHONMALLOC=malloc": ([], {"PYTHONMALLOC": "malloc"}),
    "PYTHONDEVMODE": ([], {"PYTHONDEVMODE": "1"}), "PYTHONFAULTHANDLER": ([], {"PYTHONFAULTHANDLER": "1"}),
    "PYTHONTRACEMALLOC": ([], {"PYTHONTRACEMALLOC": "5"}), "PYTHONPROFILEIMPORTTIME": ([], {"PYTHONPROFILEIMPORTTIME": "1"}),
    "PYTHONSAFEPATH": ([], {"PYTHONSAFEPATH": "1"}), "PYTHONINSPECT": ([], {"PYTHONINSPECT": "1"}),
    "PYTHONOPTIMIZE": ([], {"PYTHONOPTIMIZE": "2"}), "PYTHONNODEBUGRANGES": ([], {"PYTHONNODEBUGRANGES": "1"}),
    "PYTHONHASHSEED": ([], {"PYTHONHASHSEED": "random"}), "PYTHONCOERCECLOCALE": ([], {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "warn"}),
}
TOLD = {"-S", "-IS"}

# What an import took.
TIMES = re.compile(rb" *\d+ \| +\d+ \|")


class Forms(test_invisible.Folder):
    def setUp(self):
        super().setUp()
        text = PROGRAM.encode()
        for name, data in {
                "script.py": text, "bom.py": b"\xef\xbb\xbf" + text, "crlf.py": text.replace(b"\n", b"\r\n"),
                "latin.py": b"# -*- coding: latin-1 -*-\n" + PROGRAM.encode("latin-1"),
                "cr.py": b"#!/usr/bin/env python\r# vim: set fileencoding=cp1252 :\r" + PROGRAM.encode("cp1252").replace(b"\n", b"\r"),
                "no_end": text.rstrip(b"\n"), "again.py": AGAIN.encode() + text, "folder/__main__.py": b"import helper\n" + text,
                "folder/helper.py": b"pass\n", "space/inner/module.py": text, "space/__main__.py": text, "pack/__init__.py": b"x = 1\n",
                "pack/__main__.py": b"from . import x\n" + text}.items():
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            with open(self.path(name), "wb") as file:
                file.write(data)
        os.symlink("script.py", self.path("link.py"))
        zipapp.create_archive(self.path("folder"), self.path("app.pyz"), "/usr/bin/env python3", compressed=True)

    def forms(self):
        return {
            "script": ["script.py", "a", "--b"], "mark of byte order": ["bom.py"], "latin-1": ["latin.py"], "CR LF": ["crlf.py"],
            "CR": ["cr.py"], "no last line end": ["./no_end"], "folder": ["folder", "x"], "archive": ["app.pyz", "-v"],
            "module": ["-m", "script", "q"], "in a namespace": ["-m", "space.inner.module"], "namespace": ["-m", "space"],
            "package": ["-m", "pack"], "code": ["-c", PROGRAM, "argument"], "standard input": ["-", "argument"],
            "/dev/stdin": ["/dev/stdin"], "link": ["link.py"], "detour": ["folder/../script.py"], "absolute": [self.path("script.py")],
            "becomes itself": ["again.py"]}

    def check(self, python, mode, form):
        options, variables = MODES.get(mode, ([], {}))
        more = {"env": dict(support.environment(), **variables),
                "input": PROGRAM.encode() if form in ("standard input", "/dev/stdin") else b""}
        program = self.forms()[form]
        plain = self.run_plainly(python, options + program, **more)
        passed = ["--python-args=" + " ".join(options)] if TOLD.intersection(options) else options
        for sample in ([], ["--sample", "200us"]):
            with self.subTest(support.version_name(python), mode=mode, form=form, sample=sample):
                recorded = self.run_recorded(python, ["--force", *sample, *passed, *program], **more)
                self.assertEqual((recorded.status, recorded.out), (plain.status, plain.out), recorded)
                self.assertEqual(*(TIMES.sub(b"", test_invisible.ADDRESS.sub(b"0x", result.err)) for result in (plain, recorded)))
                self.check_profile(form, b"of its own" in plain.err and b"ZeroDivisionError" in plain.err, sample)

    def check_profile(self, form, whole, sample):
        """`whole`: the program got to its end."""
        result = support.run([support.PYANALYZE, self.path("trace.bin"), "--json", "--sql",
                              "SELECT hits, samples, text FROM lines WHERE function = 'work' ORDER BY line", "--sql",
                              "SELECT DISTINCT ended FROM processes", "--sql", "SELECT difference_ns FROM accounts WHERE difference_ns", "--sql",
                              "SELECT sum(late) AS late FROM samplers"])
        # Where all processors are busy, samples come late, and in the end none may have come.
        warned = re.sub(rb"pyanalyze: warning: [^\n]*: no sample was taken: [^\n]*\n", b"", result.err) if sample else result.err
        self.assertEqual((result.status, warned), (0, b""))
        lines, ended, differences, samplers = json.loads(result.out)
        self.assertEqual((differences, {"ended": "exit 1"} in ended), ([], whole or {"ended": "exit 1"} in ended))
        if whole and sample:
            self.assertTrue(sum(line["samples"] for line in lines) or samplers[0]["late"])
        elif whole:
            self.assertEqual([line["hits"] for line in lines], WORK_LINES)
            if form not in ("standard input", "/dev/stdin"):      # a pipe, which only the program reads
                self.assertEqual(lines[2]["text"].strip(), "x += i % 7")

    def test_forms(self):
        for python in support.PYTHONS:
            for form in support.share(sorted(self.forms()), python):
                self.check(python, "", form)
            for form in support.share(["archive", "becomes itself", "package"], python):
                self.check(python, "isolated" if form != "package" else "dev", form)

    def test_modes(self):
        for python in support.PYTHONS:
            for mode in support.share(sorted(MODES), python):
                self.check(python, mode, "script")


if __name__ == "__main__":
    unittest.main()
