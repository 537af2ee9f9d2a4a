"""%pyrec and %%pyrec, where an interpreter has IPython."""
import os
import shutil
import tempfile
import unittest

import support

SESSION = r'''
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("colors", "NoColor")
def cell(text):
    print("-- " + text.splitlines()[0])
    result = shell.run_cell(text, silent=False)
    return result
cell("%load_ext pyrec")
cell("import time\ndef cube(n):\n    return n ** 3\ndef slow():\n    time.sleep(0.05)")
cell("%%pyrec\ntotal = 0\nfor n in range(7):\n    total += cube(n)\ntotal")
cell("%pyrec -f functions [cube(n) for n in range(11)]")
print(cell("%pyrec -q -r cube(5)").result.query("SELECT calls FROM functions WHERE name = 'cube'"))
cell("%%pyrec -q -o out.svg -t kept.bin\ncube(3)")
cell("%%pyrec\nslow()\n1/0")
cell("%pyrec -f nonsense cube(1)")
cell("%pyrec?")
'''


class Magics(unittest.TestCase):
    def test_statements_and_cells(self):
        pythons = [python for python in support.PYTHONS if support.has_module(python, "IPython")]
        if not pythons:
            self.skipTest("no interpreter with IPython")
        for python in pythons:
            folder = tempfile.mkdtemp(prefix="pyrec-ipython-")
            self.addCleanup(shutil.rmtree, folder)
            env = support.environment(PYTHONPATH=os.path.join(support.BUILD, "python"), HOME=folder,
                                      IPYTHONDIR=folder, NO_COLOR="1")
            result = support.run([python, "-c", SESSION], cwd=folder, env=env)
            self.assertEqual(result.status, 0, result)
            self.assertRegex(result.err, br"\AUsageError: --format: 'nonsense' fits no format; [^\n]*\n\Z")
            parts = result.out.decode().split("-- ")
            self.assertIn("Out[1]: 441", parts[3], parts)
            self.assertRegex(parts[3], r"\n +2\| +8\|.*for n in range\(7\):\n +3\| +7\|.*total \+= cube\(n\)\n")
            self.assertRegex(parts[3], r"\(call\)\| +7\|.*cube")
            self.assertRegex(parts[4], r"cube")
            self.assertIn("Out[1]: [0, 1, 8, 27", parts[4])
            self.assertIn("[Row(calls=1)]", parts[5])
            self.assertTrue(os.path.exists(os.path.join(folder, "out.svg")))
            self.assertTrue(os.path.exists(os.path.join(folder, "kept.bin")))
            self.assertIn("ZeroDivisionError", parts[7])
            # The cell is shown however little of the time is its own.
            self.assertRegex(parts[7], r"\n +1\| +1\|.*slow\(\)\n")
            self.assertIn("Record a statement or a cell", parts[9])


if __name__ == "__main__":
    unittest.main()
