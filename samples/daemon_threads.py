"""Daemon threads that are still busy, waiting or generating when the interpreter ends."""
import threading
import time


def busy():
    while True:
        sum(range(100))


def waiting():
    threading.Event().wait()


def generating():
    def forever():
        while True:
            yield 1
    for _ in forever():
        time.sleep(0.001)


def main():
    for target in (busy, waiting, generating):
        threading.Thread(target=target, daemon=True).start()
    time.sleep(0.05)
    print("main is over")


main()
