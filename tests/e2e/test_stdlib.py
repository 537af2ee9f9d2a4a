"""The standard library's own test files: each single test has the same result recorded as run plainly.

A file is run by CPython's regrtest, twice, and the outcomes of its tests are compared. What differs is listed here by
name, with the reason; nothing else may. `make check` takes some quick files, `make torture` all.
"""
import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

import support

QUICK = ("test_generators", "test_exceptions", "test_sys_settrace", "test_sys_setprofile", "test_fork1", "test_dataclasses",
         "test_contextlib", "test_frame", "test_atexit", "test_code", "test_coroutines", "test_asyncgen", "test_yield_from",
         "test_with", "test_raise", "test_trace", "test_bdb", "test_thread", "test_threadsignals")

FILES = QUICK + (
    "test_threading", "test_threading_local", "test_pickle", "test_subprocess", "test_multiprocessing_fork",
    "test_multiprocessing_main_handling", "test_concurrent_futures", "test_warnings", "test_signal", "test_sys",
    "test_inspect", "test_traceback", "test_gc", "test_weakref", "test_unittest", "test_pdb", "test_cprofile",
    "test_profile", "test_import", "test_importlib", "test_runpy", "test_site", "test_faulthandler", "test_descr",
    "test_scope", "test_except_star", "test_exception_group", "test_exception_variations", "test_monitoring", "test_audit",
    "test_cmd_line", "test_cmd_line_script", "test_doctest", "test_dis", "test_compile", "test_builtin", "test_functools",
    "test_itertools", "test_dict", "test_set", "test_list", "test_fstring", "test_patma", "test_posix", "test_os",
    "test_popen", "test_pty", "test_wait3", "test_wait4", "test_sched", "test_queue", "test_select", "test_selectors",
    "test_socketserver", "test_tempfile", "test_zipimport", "test_json", "test_re", "test_ast", "test_typing", "test_enum",
    "test_capi", "test_resource", "test_copy", "test_super", "test_metaclass", "test_decorators", "test_dynamic",
    "test_opcodes", "test_peepholer", "test_tracemalloc", "test_eintr", "test_asyncio", "test_call", "test_unpack",
    "test_isinstance", "test_richcmp", "test_logging", "test_context", "test_timeit", "test_interpreters", "test_annotationlib",
    "test_tstring", "test_remote_pdb", "test_external_inspection")

# Single tests whose result may differ, on these versions, and why.
EVERY = ((3, 9), (3, 99))
TO_311 = ((3, 9), (3, 11))
FROM_312 = ((3, 12), (3, 99))
EXCEPTIONS = (
    (r"test_subprocess\..*\.test_pass_fds_redirected", EVERY, "lists all descriptors of a child, which has the trace's"),
    (r"test_frame\..*\.test_sneaky_frame_object", TO_311, "a traced frame has its frame object before the test makes one"),
    (r"test_dis\..*(specialize|quicken|super_instructions|show_caches)", EVERY, "traced code is not specialized"),
    (r"test_monitoring\.", FROM_312, "asserts that no tool has events"),
    (r"test_doctest\..*(pdb|debug)|test_(remote_)?pdb\.", ((3, 13), (3, 14)),
     "opcode events of sys.settrace, by which pdb stops, are lost while any other tool has LINE events"),
)
# Left out altogether, with or without us.
IGNORED = (
    ("TestPendingCalls", "CPython 3.11 hangs if a pending call comes during another under any tracer"),
)


def outcomes(path):
    """{test: outcome} of a junit file."""
    found = {}
    if os.path.exists(path):
        for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
            kinds = {child.tag for child in case} - {"system-out", "system-err"}
            if case.get("name"):
                found[re.sub(r"0x[0-9a-f]+", "0x", case.get("name"))] = "+".join(sorted(kinds)) or case.get("status")
    return found


def is_exception(python, test):
    version = support.version(python)[:2]
    return any(first <= version <= last and re.search(pattern, test) for pattern, (first, last), _ in EXCEPTIONS)


@functools.lru_cache(maxsize=None)
def has_tests(python):
    """Whether the interpreter's test package is there: distributors leave it out."""
    return support.has_module(python, "test.test_generators")


class StandardLibrary(unittest.TestCase):
    def run_file(self, folder, name, command, limit):
        """Exit status and outcomes; None: it takes longer than `limit` seconds."""
        report = os.path.join(folder, "report.xml")
        work = tempfile.mkdtemp(dir=folder)
        ignored = [word for pattern, _ in IGNORED for word in ("-i", pattern)]
        # A session of its own, because some tests signal their group; SIGINT as on a terminal, not as in the background.
        process = subprocess.Popen(
            command + ["-m", "test", *ignored, "--junit-xml", report, name], cwd=work, env=support.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None, {}
        found = outcomes(report)
        if os.path.exists(report):
            os.remove(report)
        return status, found

    def compare(self, python, name):
        folder = tempfile.mkdtemp(prefix="pyrec-stdlib-")
        try:
            self.compare_in(folder, python, name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def compare_in(self, folder, python, name):
        trace = os.path.join(folder, "trace.bin")
        unexpected = {}
        for attempt in range(2):
            plain_status, plain = self.run_file(folder, name, [python], 600 if support.LONG else 120)
            if plain_status is None or not plain:
                return
            status, recorded = self.run_file(folder, name, [support.PYREC, "run", "-q", "--force", "-o", trace, "--python", python],
                                             support.HANGS)
            different = {test: (plain.get(test), recorded.get(test)) for test in plain.keys() | recorded.keys()
                         if plain.get(test) != recorded.get(test)}
            found = {test: pair for test, pair in different.items() if not is_exception(python, test)}
            # Some of them have time limits of their own, which a busy machine misses now and then, plainly too: what
            # recording changes is another result each time.
            unexpected = {test: pair for test, pair in found.items() if attempt == 0 or test in unexpected}
            if not unexpected:
                break
        self.assertEqual(unexpected, {})
        if not different:
            self.assertEqual(plain_status, status)
        books = support.run([support.PYANALYZE, trace, "--sql", "SELECT count(*) FROM accounts WHERE difference_ns != 0"])
        self.assertEqual((books.status, books.out.split()[-1]), (0, b"0"), books)
        support.figure("tests of the standard library with the same result recorded", len(plain) - len(different))
        support.figure("tests of the standard library with another result, listed with the reason", len(different))

    def check(self, names):
        pythons = [python for python in support.PYTHONS if has_tests(python)]
        if not pythons:
            self.skipTest("the standard library's tests are not installed")
        for python in pythons:
            for name in names if support.LONG else names[pythons.index(python)::len(pythons)]:
                if support.has_module(python, "importlib.util as u; assert u.find_spec('test.%s')" % name):
                    with self.subTest(python=python, file=name):
                        self.compare(python, name)


# One class a file, so that they can run side by side.
for file in FILES if support.LONG else ("some",):
    globals()["File_" + file] = type("File_" + file, (StandardLibrary,), {
        "__module__": __name__,
        "test_same_results": lambda self, names=QUICK if file == "some" else (file,): self.check(names)})
del StandardLibrary


if __name__ == "__main__":
    unittest.main()
