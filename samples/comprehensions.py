"""Comprehensions, generator expressions and their nesting; inlined into their function since CPython 3.12."""


def double(n):
    return 2 * n


def matrix(rows, columns):
    return [
        [
            row * column
            for column in range(columns)
        ]
        for row in range(rows)
    ]


def main():
    print([double(n) for n in range(10)])
    print({n: double(n) for n in range(3)})
    print(sorted({n % 3 for n in range(10)}))
    print(sum(double(n) for n in range(10) if n % 2))
    print(matrix(3, 4))
    print([(a, b) for a in range(3) for b in range(a)])
    print(list(map(lambda n: n + 1, filter(None, range(4)))))


main()
