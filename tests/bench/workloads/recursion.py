"""Calls and little else: Fibonacci the slow way."""
import sys


def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)


def main(scale):
    for _ in range(int(500 * scale) or 1):
        fib(18)


if __name__ == "__main__":
    main(float(sys.argv[1]))
