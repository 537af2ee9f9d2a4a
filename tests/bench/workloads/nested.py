"""Loops in loops: multiplication of matrices, and a sieve."""
import sys


def multiply(a, b, size):
    result = [[0] * size for _ in range(size)]
    for i in range(size):
        row = a[i]
        for j in range(size):
            total = 0
            for k in range(size):
                total += row[k] * b[k][j]
            result[i][j] = total
    return result


def sieve(limit):
    marks = bytearray(limit)
    count = 0
    for i in range(2, limit):
        if not marks[i]:
            count += 1
            for j in range(i * i, limit, i):
                marks[j] = 1
    return count


def main(scale):
    size = 60
    matrix = [[i ^ j for j in range(size)] for i in range(size)]
    for _ in range(int(10 * scale) or 1):
        multiply(matrix, matrix, size)
        sieve(60000)


if __name__ == "__main__":
    main(float(sys.argv[1]))
