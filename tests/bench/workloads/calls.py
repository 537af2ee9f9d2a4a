"""Small functions that call small functions."""
import sys


def inner(n):
    return n + 1


def middle(n):
    n = inner(n)
    return inner(n)


def outer(n):
    n = middle(n)
    return middle(n)


def main(scale):
    for i in range(int(900000 * scale)):
        outer(i)


if __name__ == "__main__":
    main(float(sys.argv[1]))
