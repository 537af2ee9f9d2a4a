"""The standard library's own test files: each test has the same result recorded as run plainly.

    python3 tests/torture/stdlib.py --build DIR [--pythons "python3.9 python3.13"] [NAME...]

A file is run by CPython's regrtest, twice, and the outcomes of its single tests are compared. The trace must be
readable, whole, with closed books. What differs is listed here by name, with the reason.
"""
import argparse
import collections
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import support

# Test files that finish within seconds: `make check` runs them.
QUICK = ("test_generators", "test_exceptions", "test_sys_settrace", "test_sys_setprofile", "test_fork1", "test_dataclasses",
         "test_contextlib", "test_frame", "test_atexit", "test_code")

FILES = QUICK + (
    "test_coroutines", "test_asyncgen", "test_generator_stop", "test_yield_from", "test_threading", "test_thread",
    "test_threading_local", "test_threadsignals", "test_pickle", "test_subprocess", "test_multiprocessing_fork",
    "test_multiprocessing_spawn", "test_multiprocessing_forkserver", "test_multiprocessing_main_handling",
    "test_concurrent_futures", "test_warnings", "test_signal", "test_sys", "test_inspect", "test_traceback", "test_gc",
    "test_weakref", "test_contextvars", "test_unittest", "test_pdb", "test_bdb", "test_cprofile", "test_profile",
    "test_trace", "test_import", "test_importlib", "test_runpy", "test_site", "test_faulthandler", "test_descr",
    "test_scope", "test_with", "test_raise", "test_except_star", "test_exception_group", "test_exception_variations",
    "test_monitoring", "test_audit", "test_cmd_line", "test_cmd_line_script", "test_doctest", "test_dis", "test_compile",
    "test_eof", "test_builtin", "test_functools", "test_itertools", "test_dict", "test_set", "test_list", "test_fstring",
    "test_patma", "test_posix", "test_os", "test_popen", "test_pty", "test_wait3", "test_wait4", "test_sched", "test_queue",
    "test_select", "test_selectors", "test_socket", "test_socketserver", "test_tempfile", "test_zipimport",
    "test_zipfile", "test_json", "test_re", "test_ast", "test_typing", "test_enum", "test_capi", "test_resource",
    "test_finalization", "test_copy", "test_super", "test_metaclass", "test_decorators", "test_dynamic", "test_opcodes",
    "test_peepholer", "test_tracemalloc", "test_eintr", "test_gdb", "test_asyncio", "test__xxsubinterpreters",
    "test_interpreters", "test_crashers", "test_call", "test_unpack", "test_longexp", "test_recursion", "test_isinstance",
    "test_richcmp", "test_userdict", "test_logging", "test_context", "test_timeit", "test_code_module", "test_repl")

Run = collections.namedtuple("Run", "status tests output")


def outcomes(path):
    """{test: outcome} of a junit file."""
    if not os.path.exists(path):
        return {}
    found = {}
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case} - {"system-out", "system-err"}
        found[re.sub(r"0x[0-9a-f]+", "0x", case.get("name") or "(a file of tests)")] = "+".join(sorted(kinds)) or case.get("status")
    return found


def run(folder, name, command, timeout):
    work = os.path.join(folder, "work")
    shutil.rmtree(work, ignore_errors=True)
    os.mkdir(work)
    report = os.path.join(folder, "report.xml")
    if os.path.exists(report):
        os.remove(report)
    # A session of its own, because some tests signal their group; SIGINT as on a terminal, not as in the background.
    result = subprocess.run(command + ["-m", "test", "--junit-xml", report, name], cwd=work, env=support.environment(),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=timeout, start_new_session=True, check=False,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    return Run(result.returncode, outcomes(report), result.stdout.decode("utf-8", "replace"))


def differences(plain, recorded):
    for test in sorted(plain.tests.keys() | recorded.tests.keys()):
        before, after = plain.tests.get(test, "absent"), recorded.tests.get(test, "absent")
        if before != after:
            yield "%s: %s, recorded %s" % (test, before, after)
    if plain.status != recorded.status:
        yield "exit status: %d, recorded %d" % (plain.status, recorded.status)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pythons", default=sys.executable)
    parser.add_argument("--timeout", type=int, default=1200)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    for python in options.pythons.split():
        version = ".".join(map(str, support.version(python)))
        for name in options.names or FILES:
            if not support.has_module(python, "importlib, importlib.util as u; assert u.find_spec('test.%s')" % name):
                continue
            folder = tempfile.mkdtemp(prefix="pyrec-stdlib-")
            trace = os.path.join(folder, "trace.bin")
            try:
                plain = run(folder, name, [python], options.timeout)
                recorded = run(folder, name, [support.PYREC, "run", "-q", "-o", trace, "--python", python],
                               options.timeout)
                found = list(differences(plain, recorded))
                books = support.run([support.PYANALYZE, trace, "--json", "--sql",
                                     "SELECT complete, events, (SELECT count(*) FROM accounts WHERE difference_ns != 0) AS open,"
                                     " (SELECT count(*) FROM processes) AS processes FROM runs"], timeout=options.timeout)
                size = os.path.getsize(trace) / 1e6
            except subprocess.TimeoutExpired as error:
                found, books, size, plain = [repr(error)[:200]], None, 0, Run(0, {}, "")
            print(version, name, "%d tests" % len(plain.tests), "%.1f MB" % size,
                  books and (books.status, books.out, books.err[:300]), "DIFFERENT" if found else "same", flush=True)
            for line in found:
                print("    " + line, flush=True)
            if found and plain.tests:
                with open("/tmp/torture/%s-%s.out" % (version, name), "w") as out:
                    out.write(recorded.output)
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
