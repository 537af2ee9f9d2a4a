"""A stack of five thousand frames, and a recursion that runs into the limit."""
import sys
import threading


def descend(depth):
    if depth == 0:
        return 0
    return 1 + descend(depth - 1)


def endless(depth):
    return endless(depth + 1)


def main():
    sys.setrecursionlimit(6000)
    print(descend(5000))
    sys.setrecursionlimit(1000)
    try:
        endless(0)
    except RecursionError:
        print("limit reached")
    print(descend(100))


threading.stack_size(256 * 1024 * 1024)
thread = threading.Thread(target=main)
thread.start()
thread.join()
