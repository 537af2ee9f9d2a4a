"""Work that never changes, 20 frames deep, in pieces that are timed each: busy.py PIECES LOOPS [pauses|alone].

Prints a line a piece: processor time of this thread, and time on the wall. With `pauses`, recorded by pyrec, it is recorded
in turns only: pieces 1, 2, 5, 6, 9 ... are, 0, 3, 4, 7, 8 ... are not.
"""
import sys
import time

PIECES, LOOPS = int(sys.argv[1]), int(sys.argv[2])
PAUSES = sys.argv[3:] == ["pauses"]

if PAUSES:
    import pyrec


def add(n):
    for i in range(n):
        i + i


def piece(loops):
    for _ in range(loops):
        add(100)


def timed(loops):
    cpu, wall = time.thread_time(), time.perf_counter()
    piece(loops)
    return time.thread_time() - cpu, time.perf_counter() - wall


def down(depth):
    if depth:
        return down(depth - 1)
    times, paused = [], False
    for number in range(PIECES):
        if PAUSES and paused != (number % 4 in (0, 3)):
            (pyrec.resume if paused else pyrec.pause)()
            paused = not paused
        times.append(timed(LOOPS))
    if paused:
        pyrec.resume()
    return times


for cpu, wall in down(17):
    print(cpu, wall)
