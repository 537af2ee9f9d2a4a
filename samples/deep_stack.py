"""A stack of five thousand frames, and a recursion that runs into the limit."""
import sys
import threading


def descend(depth):
    if depth == 0:
        return 0
    return 1 + descend(depth - 1)


def endless(depths):
    depths.append(len(depths))
    return endless(depths)


def main():
    sys.setrecursionlimit(6000)
    print(descend(5000))
    sys.setrecursionlimit(1000)
    depths = []
    try:
        endless(depths)
    except RecursionError:
        print("limit reached", len(depths) > 900)
    print(descend(100))


threading.stack_size(256 * 1024 * 1024)
thread = threading.Thread(target=main)
thread.start()
thread.join()
