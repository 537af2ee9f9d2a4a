"""Runs the tests and counts them: the unit programs of build/unit, then the unittest modules of tests/e2e.

    python3 tests/run.py --build DIR [--pythons "python3.9 python3.13"] [--only TEXT] unit|e2e|torture...

`torture` runs those modules of tests/e2e that have much more to try than there is time for every day, with all of it,
and prints the figures of it.

Whole-program tests run by class, as many at a time as there are processors. What failed is told at once with all that
is known of it. A class of tests in which something failed runs once more at the end, alone: much of what is tested
here is a matter of time, and the machines are shared. What passes then is counted as passed, and named as unsteady;
what fails again has failed, and is told in a line each; `torture` gives no second chance. The last line is
`N passed, N failed`; the exit status is 0 only if nothing failed and something ran.
"""
import argparse
import collections
import concurrent.futures
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TORTURE = ("test_kill", "test_ends", "test_processes", "test_limits", "test_extremes", "test_guest", "test_libraries",
           "test_recorder", "test_races", "test_sample", "test_sanitized", "test_stdlib")
AGAIN = 8   # more classes than this do not fail by chance
Outcome = collections.namedtuple("Outcome", "passed failed skipped reports seconds name", defaults=(0, ""))


def arguments():
    parser = argparse.ArgumentParser(description="Run the tests.")
    parser.add_argument("--build", default=os.path.join(os.path.dirname(HERE), "build"))
    parser.add_argument("--pythons", default=sys.executable)
    parser.add_argument("--only", default="", help="run only what has this in its name")
    parser.add_argument("--jobs", type=int, default=max(2, os.cpu_count() or 1))
    parser.add_argument("--slowest", type=int, default=0, metavar="N", help="name the N slowest classes")
    parser.add_argument("what", nargs="+", choices=("unit", "e2e", "torture"))
    return parser.parse_args()


def run_unit_program(path):
    """A cmocka program: its own closing lines are counted; dying without them is a failure."""
    result = subprocess.run([path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                            timeout=1800, check=False)
    output = result.stdout.decode("utf-8", "replace")
    passed, failed, skipped = (
        sum(map(int, re.findall(r"\[  %s +\] (\d+) test\(s\)" % word, output)))
        for word in ("PASSED", "FAILED", "SKIPPED"))
    if result.returncode != 0 and failed == 0:
        failed = 1
    if passed + failed + skipped == 0:
        failed = 1
    reports = []
    if failed:
        reports = ["%s: exit status %d\n%s" % (os.path.basename(path), result.returncode, output[-6000:])]
    return Outcome(passed, failed, [], reports)


def unit_programs(build):
    folder = os.path.join(build, "unit")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    sources = {os.path.splitext(name)[0] for name in os.listdir(os.path.join(HERE, "unit"))}
    return [os.path.join(folder, name) for name in names if name in sources]


def tests_by_class(suite):
    """{(module, class): [test ids]} of all tests in a suite."""
    found = collections.OrderedDict()
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            for key, tests in tests_by_class(item).items():
                found.setdefault(key, []).extend(tests)
        else:
            found.setdefault((type(item).__module__, type(item).__qualname__), []).append(item.id())
    return found


def without_terminals():
    """In a sandbox that has no pseudo-terminals, tests that ask for one are skipped."""
    def refuse():
        raise unittest.SkipTest("there are no pseudo-terminals here")

    try:
        for descriptor in os.openpty():
            os.close(descriptor)
    except OSError:
        os.openpty = refuse


def run_class(names):
    """Runs the tests of one class in this process."""
    started = time.monotonic()
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        result = unittest.TextTestRunner(stream=nowhere, verbosity=0).run(suite)
    bad = result.failures + result.errors
    bad += [(test, "unexpected success") for test in result.unexpectedSuccesses]
    reports = ["%s\n%s" % (test.id(), text) for test, text in bad]
    failed = len({getattr(test, "test_case", test).id() for test, _ in bad})
    skipped = ["%s: %s" % (test.id(), reason) for test, reason in result.skipped]
    ran = result.testsRun - len(result.skipped)
    passed = max(0, ran - failed) if result.testsRun else 0
    return Outcome(passed, failed, skipped, reports, time.monotonic() - started, names[0].rpartition(".")[0])


def e2e_classes(only):
    folder = os.path.join(HERE, "e2e")
    loader = unittest.defaultTestLoader
    suite = loader.discover(folder, top_level_dir=folder)
    if loader.errors:
        print("\n".join(loader.errors))
    classes = tests_by_class(suite)
    return [tests for key, tests in classes.items() if only in ".".join(key)], len(loader.errors)


def torture_classes(only):
    """Their modules find out how much to do when they are loaded."""
    os.environ["PYREC_LONG"] = "1"
    os.environ["PYREC_FIGURES"] = tempfile.mktemp(prefix="pyrec-figures-")
    classes, broken = e2e_classes(only)
    return [tests for tests in classes if tests[0].partition(".")[0] in TORTURE], broken


def print_figures():
    """What the tests have counted: numbers of the same name are added up, or the largest counts."""
    figures = {}
    if os.path.exists(os.environ["PYREC_FIGURES"]):
        with open(os.environ["PYREC_FIGURES"], encoding="utf-8") as file:
            for line in file:
                how, name, value = line.rstrip("\n").split("\t")
                figures[name] = (max if how == "largest" else int.__add__)(figures.get(name, 0), int(value))
        os.remove(os.environ["PYREC_FIGURES"])
    for name, value in sorted(figures.items()):
        print("%15s  %s" % (format(value, ","), name))


def add(total, outcome):
    return Outcome(total.passed + outcome.passed, total.failed + outcome.failed, total.skipped + outcome.skipped,
                   total.reports + outcome.reports)


def in_a_line(report):
    """Which test it was, its innermost frame, and what was raised there."""
    name, _, text = report.partition("\n")
    where = re.sub('^[^"]*/|[~^]{2,}', "", text.rpartition('  File "')[2])
    return "%s: %s" % (name[:200], " ".join(where.split())[:400])


def failures(reports):
    """A line for each test that failed; of one that failed for several interpreters, the first."""
    def test_of(report):
        return report.partition(" ")[0].partition("\n")[0]

    counts = collections.Counter(map(test_of, reports))
    for report in reports:
        count = counts.pop(test_of(report), 0)
        if count:
            yield in_a_line(report) + (" (%d times)" % count if count > 1 else "")


def run_again(outcomes, classes):
    """The outcomes of all classes, after those that failed ran once more, one at a time in a process of its own."""
    failed = [index for index, outcome in enumerate(outcomes) if outcome.failed]
    for index in failed if len(failed) <= AGAIN else []:
        print("once more, alone:", outcomes[index].name, flush=True)
        with concurrent.futures.ProcessPoolExecutor(1, initializer=without_terminals) as alone:
            again = alone.submit(run_class, classes[index]).result()
        for report in again.reports:
            print(report, flush=True)
        if not again.failed:
            for line in failures(outcomes[index].reports):
                print("unsteady:", line)
        outcomes[index] = again
    return outcomes


def describe_pythons(pythons):
    query = "import sys; print('.'.join(map(str, sys.version_info[:3])), sys.executable)"
    for python in pythons:
        text = subprocess.run([python, "-c", query], stdout=subprocess.PIPE, check=True).stdout.decode()
        print("CPython", text.strip())
    print(flush=True)


def resolve(pythons):
    """The interpreters themselves: a shim on PATH is not one."""
    query = [shutil.which(python) or python for python in pythons.split()]
    return [
        subprocess.run([python, "-c", "import sys; print(sys.executable)"], stdout=subprocess.PIPE, check=True)
        .stdout.decode().strip() for python in query]


def main():
    options = arguments()
    pythons = resolve(options.pythons)
    os.environ["PYREC_BUILD"] = os.path.abspath(options.build)
    os.environ["PYREC_PYTHONS"] = " ".join(pythons)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(HERE, "e2e"))
    importlib.import_module("support")      # it sees to the signals, for the unit programs too
    total = Outcome(0, 0, [], [])
    with concurrent.futures.ProcessPoolExecutor(options.jobs, initializer=without_terminals) as pool:
        if "unit" in options.what:
            programs = [path for path in unit_programs(options.build) if options.only in path]
            for outcome in pool.map(run_unit_program, programs):
                for report in outcome.reports:
                    print(report, flush=True)
                total = add(total, outcome)
        long = "torture" in options.what
        if long or "e2e" in options.what:
            describe_pythons(pythons)
            classes, broken = (torture_classes if long else e2e_classes)(options.only)
            total = add(total, Outcome(0, broken, [], []))
            outcomes = []
            for outcome in pool.map(run_class, classes):
                for report in outcome.reports:
                    print(report, flush=True)
                outcomes.append(outcome)
            slowest = sorted(((outcome.seconds, outcome.name) for outcome in outcomes), reverse=True)
            for seconds, name in slowest[:options.slowest]:
                print("%6.1f s  %s" % (seconds, name))
            for outcome in outcomes if long else run_again(outcomes, classes):
                total = add(total, outcome)
    if long:
        print_figures()
    reasons = collections.Counter(line.rpartition(": ")[2] for line in total.skipped)
    for reason, count in sorted(reasons.items()) if not total.failed else []:
        print("skipped %d: %s" % (count, reason))
    for line in failures(total.reports):
        print("failed:", line)
    print("%d passed, %d failed" % (total.passed, total.failed))
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
