"""What a trace has of code objects: their executable lines, against what the interpreter itself says of them; and of
those that are the same, one."""
import collections
import json
import os
import shutil
import tempfile
import unittest

import support

import decode

# Prints {"file": [[name, first line, [lines]], ...]} of all that it runs, and of what is nested in it.
PROGRAM = r'''
import ast, dis, importlib, json, random, sys

MODULES = [name for name in ("argparse", "configparser", "difflib", "optparse", "pprint", "tarfile", "typing")
           if name not in sys.modules]
found, seen = {}, {}


def prologue(code):
    """Behind how many bytes the first line event can happen."""
    if sys.version_info < (3, 11):
        return 0
    return 2 * code.co_code[::2].index(dis.opmap["RESUME"]) + 2


def lines_of(code):
    if sys.version_info < (3, 10):
        lines = [line for _, line in dis.findlinestarts(code)]
    else:
        lines = [line for _, end, line in code.co_lines() if line and end > prologue(code)]
    return sorted({line for line in lines if line > 0})


def note(file, code):
    """What an interpreter takes for equal is one object, wherever it is nested."""
    if id(code) in seen:
        return
    seen[id(code)] = code
    found.setdefault(file, []).append([code.co_name, code.co_firstlineno, lines_of(code)])
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            note(file, constant)


def body(random, depth):
    """Statements on lines of which nobody could have written a file."""
    far = random.choice((9, 60, 200, 5000, 70000, 300000))
    statements = []
    for _ in range(random.randint(1, 25)):
        kind = random.randint(0, 9 if depth < 3 else 8)
        if kind == 9:
            function = ast.parse("def f%d(): pass" % random.randint(0, 99)).body[0]
            function.body = body(random, depth + 1)
            statements.append((function, random.randint(1, far)))
        else:
            text = ("x = 1", "y = [z for z in (1, 2)]", "if x: x = 2", "x = (1,\n x)")[kind % 4] if depth or kind else "x = 3"
            statements.append((ast.parse(text).body[0], random.randint(1, far)))
    for statement, line in statements:
        for node in ast.walk(statement):
            if node is statement or not isinstance(statement, ast.FunctionDef):
                if hasattr(node, "lineno"):
                    node.lineno = node.end_lineno = line
                    node.col_offset, node.end_col_offset = sorted(random.randint(0, 300) for _ in "ab")
    return [statement for statement, _ in statements]


for seed in range(60):
    tree = ast.parse("x = 0")
    tree.body += body(random.Random(seed), 0)
    name = "<case %d>" % seed
    code = compile(tree, name, "exec")
    note(name, code)
    exec(code, {})

for name in MODULES:
    path = importlib.import_module(name).__file__
    with open(path, "rb") as file:
        note(path, compile(file.read(), path, "exec"))

code = compile("x = 1\n%sy = 2\n%sdef f():\n x = 1\n%s return x\n" % ("\n" * 65533, "\n" * 9, "\n" * 65600), "<far>", "exec")
note("<far>", code)
exec(code, {})
print(json.dumps(found))
'''


# The same text compiled anew each time, the same module imported anew; and what differs in one thing only.
AGAIN = r'''
import importlib, sys
TEXT = "def inner(n):\n return n\nx = inner(%s)\n"
for i in range(20):
    exec(compile(TEXT % 1, "<one>", "exec"), {"__name__": "one"})
for i in range(3):
    exec(compile("\n" + TEXT % 1, "<one>", "exec"), {"__name__": "one"})     # a line further on
    exec(compile(TEXT % 1, "<two>", "exec"), {"__name__": "one"})            # another file
    exec(compile(TEXT % 1, "<one>", "exec"), {"__name__": "another"})        # another module
sys.path.insert(0, sys.argv[1])
import again
for change in ("def f():\n    return 1\nf()\n", "def f():\n    return 1\nf()\n", "x = 1\ndef f():\n    return 1\nf()\n"):
    del sys.modules["again"]
    with open(again.__file__, "w") as file:
        file.write(change)
    import again
'''


class Lines(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-lines-")
        self.addCleanup(shutil.rmtree, self.folder)

    def recorded(self, python):
        """(what the program says, {file: what the trace says})"""
        program, trace = os.path.join(self.folder, "app.py"), os.path.join(self.folder, "trace.bin")
        with open(program, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        result = support.run([support.PYREC, "run", "--force", "--python", python, "-o", trace, program])
        self.assertEqual(result.status, 0, result)
        facts = decode.read(trace).processes[1]
        found = collections.defaultdict(list)
        for code in facts.codes.values():
            found[facts.files[code.file].path].append([code.name, code.first_line, code.lines])
        return json.loads(result.out), found

    def test_against_the_interpreter(self):
        for python in support.PYTHONS:
            said, found = self.recorded(python)
            self.assertGreater(len(said), 60)
            for file, codes in said.items():
                with self.subTest(python=python, file=file):
                    self.assertEqual(sorted(found[file]), sorted(codes))


class Again(unittest.TestCase):
    def test_numbers(self):
        """What differs in anything that the trace tells has its own fact; hits and calls are whole."""
        for python in support.PYTHONS:
            with self.subTest(python=python), tempfile.TemporaryDirectory(prefix="pyrec-again-") as folder:
                with open(os.path.join(folder, "again.py"), "w", encoding="utf-8") as file:
                    file.write("def f():\n    return 1\nf()\n")
                recording = support.Recording(python, ["-c", AGAIN, folder])
                self.addCleanup(recording.close)
                self.assertEqual(recording.recorded.status, 0, recording.recorded)
                trace = decode.read(recording.trace)
                found = collections.Counter()
                for code in trace.processes[1].codes.values():
                    found[os.path.basename(trace.file(1, code.file).path), code.name] += 1
                # <one>: the text, a line further on, of another module
                self.assertEqual((found["<one>", "<module>"], found["<one>", "inner"]), (3, 3))
                self.assertEqual((found["<two>", "<module>"], found["<two>", "inner"]), (1, 1))
                self.assertLessEqual(found["again.py", "f"], 4)
                self.assertEqual(recording.value("SELECT sum(calls) FROM functions WHERE name = 'inner'"),
                                 20 + 3 * 3)
                self.assertEqual(recording.value("SELECT sum(calls) FROM functions WHERE name = 'f'"), 4)
                self.assertEqual(recording.value("SELECT sum(hits) FROM lines WHERE file LIKE '%again.py' AND text LIKE '%return 1'"),
                                 4)
                self.assertEqual(recording.query("SELECT difference_ns FROM accounts"), [(0,)])


if __name__ == "__main__":
    unittest.main()
