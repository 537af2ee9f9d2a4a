"""Two threads of equal length: one computes, one only waits. A profile must not confuse them."""
import threading
import time


def compute(seconds):
    until = time.monotonic() + seconds
    total = 0
    while time.monotonic() < until:
        total += sum(range(2000))
    return total


def sleep(seconds):
    time.sleep(seconds)


def main():
    threads = [
        threading.Thread(target=compute, args=(0.2,), name="computing"),
        threading.Thread(target=sleep, args=(0.2,), name="waiting"),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")


main()
