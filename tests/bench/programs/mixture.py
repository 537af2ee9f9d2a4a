"""Much of everything, for a trace of any size: python mixture.py ROUNDS [THREADS]; a round is about 100,000 events."""
import sys
import threading


def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)


def loop(rounds):
    total = 0
    for i in range(rounds):
        total += i
        if total > 1000000:
            total -= 1000000
    return total


class Vector:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    @property
    def length(self):
        return (self.x * self.x + self.y * self.y) ** 0.5


def numbers(limit):
    n = 0
    while n < limit:
        yield n
        n += 1


def refuse(n):
    if n % 2:
        raise ValueError(n)


def exceptions(rounds):
    for i in range(rounds):
        try:
            refuse(i)
        except ValueError:
            pass


def objects(rounds):
    total = Vector(0, 0)
    for _ in range(rounds):
        total = total + Vector(1, 2)
        total.length


def strings(rounds):
    words = []
    for i in range(rounds):
        text = "item %d of many" % i
        words.append("-".join(text.split(" ")))
        if len(words) > 100:
            words.clear()


def work(rounds):
    for _ in range(rounds):
        fib(17)
        loop(8000)
        objects(1100)
        strings(3000)
        exceptions(500)
        sum(numbers(2000))


def main(rounds, count):
    threads = [threading.Thread(target=work, args=(rounds // count,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[2] != "1":
        main(int(sys.argv[1]), int(sys.argv[2]))
    else:
        work(int(sys.argv[1]))
