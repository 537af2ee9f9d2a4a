"""Five small programs of different character; each prints how long its work took, in seconds.

    python3 tests/bench/programs.py fib|loop|nested|objects|strings [SCALE]
"""
import sys
import time


def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)


def run_fib(scale):
    for _ in range(scale):
        fib(18)


def run_loop(scale):
    total = 0
    for i in range(45000 * scale):
        total += i
        if total > 1000000:
            total -= 1000000
    return total


def inner(n):
    return n + 1


def middle(n):
    n = inner(n)
    return inner(n)


def outer(n):
    n = middle(n)
    return middle(n)


def run_nested(scale):
    for i in range(3000 * scale):
        outer(i)


class Vector:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    @property
    def length(self):
        return (self.x * self.x + self.y * self.y) ** 0.5


def run_objects(scale):
    total = Vector(0, 0)
    step = Vector(1, 2)
    for _ in range(5000 * scale):
        total = total + step
        total.length


def run_strings(scale):
    words = []
    for i in range(6000 * scale):
        text = "item %d of many, many items" % i
        parts = text.split(" ")
        words.append("-".join(parts).upper())
        if len(words) > 100:
            words.clear()


def main():
    work = globals()["run_" + sys.argv[1]]
    scale = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    started = time.perf_counter()
    work(scale)
    sys.stdout.write("%.6f\n" % (time.perf_counter() - started))


main()
