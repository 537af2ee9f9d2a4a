"""What the products are linked and compiled like: nothing of ours is visible to the programs we live in, and what an
attacker needs after a mistake of ours is not there."""
import glob
import os
import shutil
import unittest

import support

LIBRARY = os.path.join(support.BUILD, "lib", "pyrec")
PRELOAD = os.path.join(LIBRARY, "preload.so")
EVENTS = os.path.join(support.BUILD, "pyrec_events.so")
EXTENSIONS = sorted(glob.glob(os.path.join(LIBRARY, "*", "pyrec.so")))
PROGRAMS = [support.PYREC, support.PYANALYZE]

# What is looked up by name: by the interpreter, by preload.so, by SQLite. preload.so takes the place of these of libc.
EXPORTED = {
    "pyrec.so": {"PyInit__recorder", "pyrec_inside_start"},
    "pyrec_events.so": {"sqlite3_pyrecevents_init"},
    "preload.so": {
        "_Exit", "_exit", "quick_exit", "execl", "execle", "execlp", "execv", "execve", "execveat", "execvp", "execvpe",
        "fexecve", "popen", "posix_spawn", "posix_spawnp", "system", "wait", "wait3", "wait4", "waitid", "waitpid"},
}
SANITIZED = "sanitize" in support.BUILD


def readelf(option, path):
    result = support.run(["readelf", "-W", option, path])
    assert result.status == 0, result
    return result.out.decode()


def exported(path):
    """Defined symbols that others can see."""
    names = set()
    for line in readelf("--dyn-syms", path).splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[4] in ("GLOBAL", "WEAK") and fields[5] == "DEFAULT" and fields[6] != "UND":
            names.add(fields[7].partition("@")[0])
    return names


@unittest.skipUnless(shutil.which("readelf"), "no readelf is installed")
@unittest.skipIf(SANITIZED, "a build for tests")
class Hardening(unittest.TestCase):
    def test_symbols(self):
        self.assertTrue(EXTENSIONS)
        for path in EXTENSIONS + [PRELOAD, EVENTS]:
            with self.subTest(path):
                self.assertEqual(exported(path), EXPORTED[os.path.basename(path)])
        for path in PROGRAMS:
            with self.subTest(path):
                self.assertEqual({name for name in exported(path) if not name.startswith("_")} - {"stdout", "stderr", "stdin",
                                                                                                 "environ"}, set())

    def test_memory_is_not_what_an_attacker_wants(self):
        """Position independent, tables of pointers read-only once bound, no executable stack, nothing writable and executable."""
        for path in EXTENSIONS + [PRELOAD, EVENTS] + PROGRAMS:
            with self.subTest(path):
                self.assertRegex(readelf("-h", path), r"Type: +DYN")
                segments = readelf("-l", path)
                self.assertIn("GNU_RELRO", segments)
                self.assertRegex(segments, r"GNU_STACK .* RW +0x")
                self.assertNotRegex(segments, r"(?m)^ +LOAD .* RWE")
                dynamic = readelf("-d", path)
                self.assertRegex(dynamic, r"BIND_NOW|FLAGS_1.*NOW")
                self.assertNotRegex(dynamic, r"TEXTREL|RPATH|RUNPATH")
        for path in PROGRAMS:
            self.assertRegex(readelf("-d", path), r"FLAGS_1.*PIE")

    def test_checks_are_compiled_in(self):
        """Canaries and checked functions of libc where there is something to check."""
        for path in EXTENSIONS + [PRELOAD, EVENTS] + PROGRAMS:
            with self.subTest(path):
                symbols = readelf("--dyn-syms", path)
                self.assertIn("__stack_chk_fail", symbols)
                self.assertRegex(symbols, r"__\w+_chk\b")

    def test_jumps_are_marked(self):
        """Places for indirect jumps are marked in our programs (x86-64). The linker says so of the whole only if libc's
        own start files have marks too, so they are counted."""
        for path in PROGRAMS + [EVENTS]:
            with self.subTest(path):
                if "X86-64" not in readelf("-h", path):
                    self.skipTest("another machine")
                with open(path, "rb") as file:
                    self.assertGreater(file.read().count(b"\xf3\x0f\x1e\xfa"), 50)
