"""The program ends by os._exit in the middle of a call: no finally, no atexit, nothing after it runs."""
import os
import sys


def leave(depth):
    if depth == 0:
        print("leaving")
        sys.stdout.flush()
        os._exit(42)
    leave(depth - 1)


def main():
    try:
        leave(3)
    finally:
        print("never printed")


main()
