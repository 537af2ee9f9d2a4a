"""Generators in chains, and one that delegates to itself."""
import sys


def numbers(limit):
    n = 0
    while n < limit:
        yield n
        n += 1


def odd(source):
    for n in source:
        if n & 1:
            yield n


def tree(depth):
    if depth:
        yield from tree(depth - 1)
        yield depth
        yield from tree(depth - 1)


def main(scale):
    total = 0
    for _ in range(int(140 * scale) or 1):
        for n in odd(numbers(20000)):
            total += n
        total += sum(tree(8))


if __name__ == "__main__":
    main(float(sys.argv[1]))
