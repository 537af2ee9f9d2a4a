"""Threads in all the states that a sampler must tell apart: waiting.py busy|gil|join|idle SECONDS."""
import sys
import threading
import time

KIND, SECONDS = sys.argv[1], float(sys.argv[2])
END = time.monotonic() + SECONDS


def busy():
    while time.monotonic() < END:
        sum(range(1000))


def sleeping():
    time.sleep(SECONDS)


def in_c():
    while time.monotonic() < END:
        sum(range(20000000))        # one call of C that keeps the GIL for a good part of a second


THREADS = {"busy": [busy, busy], "mixed": [busy, sleeping], "gil": [], "join": [busy], "idle": [sleeping] * 200}[KIND]
threads = [threading.Thread(target=function, name=function.__name__) for function in THREADS]
for thread in threads:
    thread.start()
if KIND == "gil":
    in_c()
for thread in threads:
    thread.join()
