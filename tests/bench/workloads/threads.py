"""Eight threads that work all the time."""
import sys
import threading


def step(n, table):
    table[n % 64] = n
    return n * 3 % 1021


def work(rounds):
    table = [0] * 64
    n = 1
    for _ in range(rounds):
        n = step(n, table)
        if n > 500:
            n -= 500


def main(scale):
    workers = [threading.Thread(target=work, args=(int(240000 * scale),)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main(float(sys.argv[1]))
