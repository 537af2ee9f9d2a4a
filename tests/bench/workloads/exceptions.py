"""Exceptions raised, passed on, caught, and cleaned up behind."""
import sys


class Refused(Exception):
    pass


def check(n):
    if n % 2:
        raise Refused(n)
    return n


def guarded(n):
    try:
        return check(n)
    finally:
        n += 1


def main(scale):
    refused = 0
    for i in range(int(620000 * scale)):
        try:
            guarded(i)
        except Refused:
            refused += 1


if __name__ == "__main__":
    main(float(sys.argv[1]))
