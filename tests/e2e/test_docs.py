"""The pages of docs/: every command in them runs, every example program, every page links to what is there."""
import glob
import os
import re
import shutil
import tempfile
import unittest

import support

DOCS = sorted(glob.glob(os.path.join(support.ROOT, "docs", "*.md")))
APP = """\
import json, sys, threading
def work(n):
    return [json.dumps(list(range(i))) for i in range(n)]
def fails():
    raise KeyError("x")
if __name__ == "__main__":
    sum(range(3000000))     # so long that a sampler has seen it, or it would warn
    try:
        fails()
    except KeyError:
        pass
    thread = threading.Thread(target=work, args=(9,))
    thread.start()
    work(int((sys.argv + ["5"])[1]))
    thread.join()
"""


def commands(text):
    """Every command of a page, in order: lines behind `$ `, and code in tables that begins with one of ours."""
    for line in text.split("\n"):
        if line.startswith("    $ "):
            yield line[6:]
        else:
            for code in re.findall(r"`([^`]+)`", line):
                if code.startswith(("pyrec run ", "pyrec pprofile ", "pyrec cprofile ", "pyrec kernprof ", "pyanalyze ")) and \
                        not code.startswith("pyanalyze --"):
                    yield code


class Pages(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-docs-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.env = support.environment(PYREC_PYTHON=support.PYTHONS[-1], PATH=support.BUILD + ":" + os.environ["PATH"],
                                       PYTHONPATH=os.path.join(support.BUILD, "python"))
        for name, text in (("app.py", APP), ("setup.py", ""), ("decorated.py", "@profile\ndef f():\n    return 1\nf()\n"), ("pack/__init__.py", ""), ("pack/__main__.py", APP)):
            path = os.path.join(self.folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        for trace in ("trace.bin", "trace2.bin"):
            self.shell("pyrec run --c-calls --out %s app.py" % trace)

    def shell(self, command):
        result = support.run(["bash", "-c", command], cwd=self.folder, env=self.env)
        self.assertEqual(result.status, 0, (command, result))
        self.assertNotIn(b"warning", result.err, command)
        return result

    def test_commands(self):
        for path in DOCS:
            with open(path, encoding="utf-8") as file:
                found = list(commands(file.read()))
            self.assertGreater(len(found), 5, path)
            for command in found:
                with self.subTest(page=os.path.basename(path), command=command):
                    self.shell(command)

    def test_programs(self):
        for path in DOCS:
            with open(path, encoding="utf-8") as file:
                blocks = re.findall(r"```python\n(.*?)```", file.read(), re.S)
            self.assertTrue(blocks, path)
            for python in support.PYTHONS:
                for block in blocks:
                    program = os.path.join(self.folder, "example.py")
                    with open(program, "w", encoding="utf-8") as file:
                        file.write(block)
                    result = support.run([python, program], cwd=self.folder, env=self.env)
                    self.assertEqual((result.status, result.err), (0, b""), (path, result))

    def test_lines_fit(self):
        """What is no table fits into 120 columns."""
        for path in DOCS:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    self.assertTrue(line.startswith("|") or len(line) <= 121, line)

    def test_linked(self):
        with open(os.path.join(support.ROOT, "README.md"), encoding="utf-8") as file:
            text = file.read()
        for path in DOCS:
            self.assertIn("(docs/%s)" % os.path.basename(path), text)


if __name__ == "__main__":
    unittest.main()
