"""Four threads share a queue of work; each line is executed a known number of times, whoever does it."""
import threading
from queue import Queue


def square(number):
    total = 0
    for _ in range(number):
        total += number
    return total


def worker(tasks, results):
    while True:
        number = tasks.get()
        if number is None:
            break
        results.append(square(number))


def main():
    tasks = Queue()
    results = []
    threads = [
        threading.Thread(target=worker, args=(tasks, results), name="worker-%d" % i)
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for number in range(100):
        tasks.put(number)
    for _ in threads:
        tasks.put(None)
    for thread in threads:
        thread.join()
    print("%d results, sum %d" % (len(results), sum(results)))


if __name__ == "__main__":
    main()
