"""Lines whose shares of the time are known, because the program measures each of them: known.py STEPS [SEED].

Long calls of C that keep the interpreter's lock, one that gives it back, loops without a call, code that is compiled each
time, short functions, lines of one function, and lines that keep step with the clock. In a random order, of random lengths; where all are done the
times are printed as JSON: what every line took on the wall and of the thread's processor time, and how often it ran.
`brief` has two functions with the same body of which one is called three times as often: their ratio is known by that alone.
"""
import json
import random
import re
import sys
import time
import zlib

clock, cpu_clock = time.perf_counter, time.thread_time
PATTERN, TEXT = re.compile("(a+)+$"), "a" * 17 + "b"       # exponential: it tries 2^17 ways
chance = random.Random(1)
NUMBERS = [chance.random() for _ in range(100000)]
BYTES = bytes(chance.choices(b"etaoin shrdlu", k=1 << 18))
TEMPLATE = "def inner(n):\n return sum(range(n * 15000))\ninner(n)\n"
lines = {}


def note(function, row, wall, cpu):
    """`row` lines below its `def` the function spent so much."""
    entry = lines.setdefault("%s:%d" % (function.__name__, function.__code__.co_firstlineno + row), [0.0, 0.0, 0])
    entry[0] += wall
    entry[1] += cpu
    entry[2] += 1


def sort(n):
    return sorted(NUMBERS[:n * 3000])


def compress(n):
    return zlib.compress(BYTES[:n * 8000])


def match(n):
    return PATTERN.match(TEXT[n % 2:])


def numbers(n):
    return sum(range(n * 40000))


def loop(n):
    for i in range(n * 80000): i + i


def made(n):
    exec(compile(TEMPLATE, "<made>", "exec"), {"n": n})


def mixed(n):
    a, x = clock(), cpu_clock()
    for i in range(n * 5000): i * i
    b, y = clock(), cpu_clock()
    sum(range(n * 80000))
    c, z = clock(), cpu_clock()
    sorted(NUMBERS[:n * 1000])
    d, t = clock(), cpu_clock()
    for row, wall, cpu in ((2, b - a, y - x), (4, c - b, z - y), (6, d - c, t - z)):
        note(mixed, row, wall, cpu)


def first(until):
    while clock() < until: pass


def rest(until):
    while clock() < until: pass


def in_step(n):
    """Three tenths of every millisecond in one line, seven in another."""
    for _ in range(1 + n // 3):
        start = clock() // 0.001 * 0.001 + 0.001
        for function, until in ((first, start + 0.0003), (rest, start + 0.001)):
            a, x = clock(), cpu_clock()
            function(until)
            note(function, 1, clock() - a, cpu_clock() - x)


def often(n):
    sum(range(60))


def seldom(n):
    sum(range(60))


def brief(n):
    for i in range(n * 800):
        often(i)
        often(i)
        seldom(i)
        often(i)


PLAIN = (sort, compress, match, numbers, loop, made)          # one hot line, the first
OTHERS = (mixed, in_step, brief)


def step(function, n):
    a, x = clock(), cpu_clock()
    function(n)
    if function in PLAIN:
        note(function, 1, clock() - a, cpu_clock() - x)


def work(steps, seed):
    chance = random.Random(seed)
    for _ in range(steps):
        step(chance.choice(PLAIN + OTHERS), chance.randint(1, 12))


if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    print(json.dumps({"lines": lines, "process_cpu": time.process_time()}))
