"""Two threads of equal length: one computes, one only waits. A profile must not confuse them."""
import threading
import time


def compute(until):
    turns = 0
    while time.monotonic() < until:
        turns += 1
    return turns


def sleep(until):
    time.sleep(max(0, until - time.monotonic()))


def main():
    until = time.monotonic() + 0.1
    threads = [
        threading.Thread(target=compute, args=(until,), name="computing"),
        threading.Thread(target=sleep, args=(until,), name="waiting"),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")


main()
