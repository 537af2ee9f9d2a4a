"""Recursion of three kinds: from one line, from two lines, and mutual."""


def factorial(n):
    if n < 2:
        return 1
    return n * factorial(n - 1)


def fibonacci(n):
    if n < 2:
        return n
    left = fibonacci(n - 1)
    right = fibonacci(n - 2)
    return left + right


def is_even(n):
    return True if n == 0 else is_odd(n - 1)


def is_odd(n):
    return False if n == 0 else is_even(n - 1)


def main():
    print(factorial(20))
    print(fibonacci(15))
    print(is_even(30), is_even(31))


main()
