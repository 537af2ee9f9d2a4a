"""A pool of processes, by fork and by spawn; functions and classes of __main__ are pickled."""
import multiprocessing


class Job:
    def __init__(self, number):
        self.number = number


def solve(job):
    total = 0
    for i in range(job.number):
        total += i
    return total


def main():
    jobs = [Job(number) for number in range(20)]
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        pool = context.Pool(2)
        print(method, sum(pool.map(solve, jobs, chunksize=5)))
        pool.close()
        pool.join()


if __name__ == "__main__":
    main()
