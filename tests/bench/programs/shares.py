"""Four functions whose lines take 1, 2, 3 and 4 parts of the time: known, because the work is the same but for its amount.

Prints the CPU time of the main thread. Frames: 20 below the module's.
"""
import sys
import time


def one(n):
    for i in range(n): i + i


def two(n):
    for i in range(n): i + i


def three(n):
    for i in range(n): i + i


def four(n):
    for i in range(n): i + i


def rounds(count):
    for i in range(count):
        one(5000)
        two(10000)
        three(15000)
        four(20000)


def down(depth, count):
    if depth:
        down(depth - 1, count)
    else:
        rounds(count)


down(20, int(sys.argv[1]))
print(time.thread_time())
