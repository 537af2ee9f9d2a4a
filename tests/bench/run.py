"""Running programs and saying what they cost: CPU time of the whole process, all threads and children."""
import collections
import contextlib
import math
import os
import resource
import statistics
import subprocess
import sys
import time

Cost = collections.namedtuple("Cost", "cpu wall output")
Figure = collections.namedtuple("Figure", "low middle")  # minimum and median


class Failed(Exception):
    pass


def run(command, env=None, keep=False):
    """Runs it to its end. Its output only with `keep`; on a failure it is the message."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    result = subprocess.run(command, stdout=subprocess.PIPE if keep else subprocess.DEVNULL, stderr=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, env=env, check=False)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    error = result.stderr.decode("utf-8", "replace")
    if result.returncode != 0:
        raise Failed("%s: exit status %d\n%s" % (" ".join(command), result.returncode, error[-2000:]))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, wall, result.stdout.decode("utf-8", "replace") + error if keep else "")


@contextlib.contextmanager
def on_processors(processors):
    """Everything started meanwhile runs on these only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def query(python, expression):
    """What `expression` is in that interpreter, as text; sys and sysconfig are there."""
    code = "import sys, sysconfig; print(%s)" % expression
    return subprocess.run([python, "-c", code], stdout=subprocess.PIPE, check=True).stdout.decode().strip()


def version(python):
    return query(python, "'%d.%d.%d' % sys.version_info[:3]")


def figure(values):
    return Figure(min(values), statistics.median(values))


def geometric_mean(values):
    values = [value for value in values if value is not None]
    if not values or min(values) <= 0:
        return None
    return math.exp(sum(map(math.log, values)) / len(values))


def interleave(rounds, jobs):
    """{key: [cost]}: every job once, then again, so that a slow minute hits all. jobs: {key: (callable, most rounds)}.
    A job that fails is left out, and said to have failed."""
    costs = {key: [] for key in jobs}
    for turn in range(rounds):
        for key, (job, most) in jobs.items():
            if turn >= most or key not in costs:
                continue
            note("round %d of %d: %s" % (turn + 1, rounds, " ".join(map(str, key))))
            try:
                costs[key].append(job())
            except Failed as failure:
                del costs[key]
                print(failure, file=sys.stderr)
    note("")
    return costs


def note(text):
    """What is going on, on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
        sys.stderr.flush()
