"""os.fork: parent and children go on with the same stack; one child forks again."""
import os
import sys


def work(count):
    total = 0
    for i in range(count):
        total += i
    return total


def child(number):
    work(10 * number)
    if number == 2:
        grandchild = os.fork()
        if grandchild == 0:
            work(5)
            return 7
        _, status = os.waitpid(grandchild, 0)
        return status >> 8
    return number


def main():
    children = []
    for number in range(3):
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os._exit(child(number))
        children.append(pid)
    for pid in children:
        _, status = os.waitpid(pid, 0)
        print("child ended with", status >> 8)
    print(work(100))


main()
