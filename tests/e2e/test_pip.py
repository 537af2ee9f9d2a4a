"""`pip install .` in a virtual environment, with nothing but what is on this machine."""
import os
import shutil
import tempfile
import unittest

import support

PROGRAM = '''
import sys, pyrec
def leaf():
    return sys.prefix
with pyrec.record("inside.bin"):
    leaf()
print(pyrec.query("inside.bin", "SELECT calls FROM functions WHERE name = 'leaf'")[0].calls)
'''


class Pip(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """What is tested elsewhere meanwhile must not be built again under the others' feet."""
        folder = tempfile.TemporaryDirectory(prefix="pyrec-pip-build-")
        cls.addClassCleanup(folder.cleanup)
        cls.build = {"BUILD": folder.name}

    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="pyrec-pip-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = os.path.join(self.folder, "environment")

    def path(self, name):
        return os.path.join(self.environment, "bin", name)

    def run_well(self, *command):
        env = support.environment(PIP_NO_INDEX="1", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_CACHE_DIR="1",
                                  HOME=self.folder)
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DEBUG", "SANITIZE", "VIRTUAL_ENV"):
            env.pop(name, None)
        env.update(self.build)
        result = support.run(list(command), cwd=self.folder, env=env)
        self.assertEqual(result.status, 0, result)
        return result

    def install(self, python, *options):
        """Into a new environment; skips the interpreter if it cannot make one."""
        result = support.run([python, "-m", "venv", self.environment])
        if result.status != 0 and b"ensurepip" in result.out + result.err:
            self.skipTest("no ensurepip: python3-venv is missing")
        self.assertEqual(result.status, 0, result)
        self.run_well(self.path("python"), "-m", "pip", "install", *options, support.ROOT)

    def check(self):
        """Both commands are there, record with the environment's interpreter, and the package works in it."""
        program = os.path.join(self.folder, "program.py")
        with open(program, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        self.assertEqual(self.run_well(self.path("python"), program).out, b"1\n")
        out = self.run_well(self.path("pyrec"), "-o", "run.bin", "-c", "import sys; print(sys.prefix)").out
        self.assertEqual(out.decode().strip(), self.environment)
        shown = self.run_well(self.path("pyanalyze"), "run.bin", "--sql", "SELECT python FROM runs").out
        self.assertIn(support.run([self.path("python"), "-c", "import sys; print(sys.version.split()[0])"]).out.strip(),
                      shown)
        out = self.run_well(self.path("python"), "-m", "pyrec", "run", "--force", "-o", "run.bin", "-c",
                            "import sys; print(sys.prefix)").out
        self.assertEqual(out.decode().strip(), self.environment)
        out = self.run_well(self.path("python"), "-m", "pyrec", "analyze", "run.bin", "--sql", "SELECT 1").out
        self.assertEqual(out, b"1\n1\n")

    def test_install_and_uninstall(self):
        self.install(support.PYTHONS[0])
        self.check()
        self.run_well(self.path("python"), "-m", "pip", "uninstall", "--yes", "pyrec")
        self.assertFalse(os.path.exists(self.path("pyrec")))
        self.assertFalse(os.path.exists(os.path.join(self.environment, "lib", "pyrec", "preload.so")))

    def test_editable_from_sources(self):
        self.install(support.PYTHONS[-1], "--editable")
        where = self.run_well(self.path("python"), "-c", "import pyrec; print(pyrec.__file__)").out.decode()
        self.assertEqual(os.path.dirname(where.strip()), os.path.join(support.ROOT, "recorder", "python", "pyrec"))
        out = self.run_well(self.path("pyrec"), "-o", "%n.bin", "-c", "import sys; print(sys.prefix)").out
        self.assertEqual(out.decode().strip(), self.environment)


if __name__ == "__main__":
    unittest.main()
