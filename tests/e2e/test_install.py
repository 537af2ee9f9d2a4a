"""make install puts a working pyrec and pyanalyze below PREFIX, and uninstall takes everything away."""
import os
import shutil
import sys
import tempfile
import unittest

import support


def plain_environment():
    """Without what a make above hands down."""
    env = support.environment()
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "DEBUG", "SANITIZE", "PRELOADED"):
        env.pop(name, None)
    return env


class Install(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pyrec-e2e-")
        self.addCleanup(shutil.rmtree, self.folder)

    def make(self, *arguments):
        result = support.run(
            ["make", "-o", "all", *arguments, "BUILD=" + support.BUILD, "DESTDIR=" + self.folder, "PREFIX=/opt/pyrec",
             "PYTHONS=" + " ".join(support.PYTHONS)], cwd=support.ROOT, env=plain_environment())
        self.assertEqual(result.status, 0, result)
        return result

    def files(self):
        return sorted(
            os.path.relpath(os.path.join(folder, name), self.folder)
            for folder, _, names in os.walk(self.folder) for name in names)

    def test_install_and_uninstall(self):
        self.make("install")
        installed = self.files()
        for name in ("bin/pyrec", "bin/pyanalyze", "lib/pyrec/preload.so", "lib/pyrec/pyrec_events.so",
                     "share/man/man1/pyrec.1", "share/man/man1/pyanalyze.1"):
            self.assertIn("opt/pyrec/" + name, installed)
        program = os.path.join(self.folder, "opt/pyrec/bin")
        trace = os.path.join(self.folder, "trace.bin")
        sample = os.path.join(support.SAMPLES, "recursion.py")
        for python in support.PYTHONS:
            recorded = support.run(
                [os.path.join(program, "pyrec"), "run", "--force", "-o", trace, "--python", python, sample])
            self.assertEqual((recorded.status, recorded.err), (0, b""), recorded)
            hits = support.run(
                [os.path.join(program, "pyanalyze"), trace, "--sql",
                 "SELECT calls FROM functions WHERE name = 'fibonacci'"])
            self.assertEqual(hits.out.split()[-1:], [b"1973"], hits)
            package = os.path.join(self.folder, "opt/pyrec/lib/pyrec/python")
            inside = support.run(
                [python, "-c", "import pyrec\nwith pyrec.record(None): pass\n"
                 "print(pyrec.query(None, 'SELECT count(*) AS n FROM processes')[0].n)"],
                env=support.environment(PYTHONPATH=package))
            self.assertEqual((inside.out, inside.err), (b"1\n", b""), inside)
        for name in ("trace.bin", "trace.bin.old"):
            if os.path.exists(os.path.join(self.folder, name)):
                os.remove(os.path.join(self.folder, name))
        self.make("uninstall")
        self.assertEqual(self.files(), [])


class Help(unittest.TestCase):
    def test_what_it_cannot_be_built_for(self):
        for change, reason in (("sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1", "is free-threaded"),
                               ("sys.version_info = (3, 15, 0)", "is CPython 3.15.0"),
                               ("sys.version_info = (3, 8, 18)", "is CPython 3.8.18")):
            with self.subTest(reason), tempfile.TemporaryDirectory() as folder:
                python = os.path.join(folder, "python")
                with open(python, "w", encoding="utf-8") as file:
                    file.write("#!%s\nimport sys, sysconfig\n%s\nexec(sys.argv[2])\n" % (sys.executable, change))
                os.chmod(python, 0o755)
                result = support.run(["make", "-C", support.ROOT, "BUILD=" + folder, "DEPS=no", "PYTHON=" + python, "recorder"],
                                     env=plain_environment())
                self.assertEqual(result.status, 2, result)
                lines = [line for line in result.err.decode().splitlines() if "***" in line]
                self.assertEqual(len(lines), 1, result)
                self.assertIn("*** %s %s: pyrec records CPython 3.9 to 3.14 with the GIL" % (python, reason), lines[0])
                self.assertEqual(os.listdir(folder), ["python"])

    def test_what_it_cannot_be_imported_by(self):
        env = support.environment(PYTHONPATH=os.path.join(support.ROOT, "recorder", "python"))
        for change, reason in (("sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1",
                                "is a free-threaded build of CPython %s, which pyrec does not record"),
                               ("sys.version_info = (3, 15, 0)", "is CPython %s; pyrec records 3.9 to 3.14")):
            for python in support.PYTHONS:
                with self.subTest(support.version_name(python), reason=reason):
                    result = support.run([python, "-c", "import sys, sysconfig\n%s\nimport pyrec\npyrec.start('/nowhere')" % change], env=env)
                    self.assertEqual(result.status, 1, result)
                    version = ".".join(map(str, support.version(python)))
                    last = result.err.decode().splitlines()[-1]
                    self.assertTrue(last.startswith("pyrec.Error: ") and last.endswith(reason % version), result)

    def test_help_lists_the_targets(self):
        env = support.environment()
        result = support.run(["make", "help"], cwd=support.ROOT, env=env)
        for target in (b"demo", b"check", b"deps", b"install", b"lint", b"sanitize"):
            self.assertIn(b"\n  " + target, b"\n" + result.out)
