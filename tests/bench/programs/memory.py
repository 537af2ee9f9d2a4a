"""Prints the most memory it had (VmHWM, KB): python memory.py BUSY IDLE, numbers of threads beside the main one."""
import sys
import threading


def step(n):
    return n * 3 % 1021


def work(rounds):
    n = 1
    for _ in range(rounds):
        n = step(n)


def wait(ready, done):
    ready.release()
    done.wait()


def main(busy, idle):
    ready, done = threading.Semaphore(0), threading.Event()
    threads = [threading.Thread(target=wait, args=(ready, done)) for _ in range(idle)]
    threads += [threading.Thread(target=work, args=(500000,)) for _ in range(busy)]
    for thread in threads:
        thread.start()
    for _ in range(idle):
        ready.acquire()
    work(500000)
    done.set()
    for thread in threads:
        thread.join()
    with open("/proc/self/status", encoding="ascii") as status:
        print([line.split()[1] for line in status if line.startswith("VmHWM")][0])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
