"""Threads begun by _thread.start_new_thread: the threading module never hears of them."""
import _thread


def count(number, done, box):
    total = 0
    for i in range(number):
        total += i
    box[number] = total
    done.release()


def main():
    box = {}
    locks = []
    for number in (10, 20, 30):
        lock = _thread.allocate_lock()
        lock.acquire()
        locks.append(lock)
        _thread.start_new_thread(count, (number, lock, box))
    for lock in locks:
        lock.acquire()
    print(sorted(box.items()))


main()
