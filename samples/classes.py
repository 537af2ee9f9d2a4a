"""Class bodies, inheritance, properties, descriptors, metaclasses, decorators, dunder methods."""
import functools
from dataclasses import dataclass


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        calls.append(function.__name__)
        return function(*args, **kwargs)
    return wrapper


calls = []


class Registry(type):
    known = []

    def __new__(mcs, name, bases, namespace):
        cls = super().__new__(mcs, name, bases, namespace)
        mcs.known.append(name)
        return cls


class Shape(metaclass=Registry):
    sides = 0

    def __init__(self, size):
        self.size = size

    @property
    def area(self):
        return 0

    def __lt__(self, other):
        return self.area < other.area

    def __repr__(self):
        return "%s(%d)" % (type(self).__name__, self.size)


class Square(Shape):
    sides = 4

    @property
    def area(self):
        return self.size ** 2

    @logged
    def grow(self, by):
        self.size += by


class Triangle(Shape):
    sides = 3

    @property
    def area(self):
        return self.size ** 2 // 2

    @classmethod
    @logged
    def flat(cls):
        return cls(0)


class Positive:
    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, instance, owner):
        return getattr(instance, self.name)

    def __set__(self, instance, value):
        if value <= 0:
            raise ValueError(value)
        setattr(instance, self.name, value)


class Account:
    balance = Positive()

    def __init__(self, balance):
        self.balance = balance


@dataclass(order=True)
class Point:
    x: int
    y: int = 0

    @staticmethod
    def origin():
        return Point(0)


def main():
    shapes = [Square(3), Triangle(5), Triangle.flat(), Square(1)]
    shapes[0].grow(2)
    print(sorted(shapes), calls, Registry.known)
    account = Account(10)
    try:
        account.balance = -1
    except ValueError as error:
        print("refused", error, account.balance)
    print(sorted([Point(2, 1), Point(1, 9), Point.origin()]))

    class Local:
        for i in range(3):
            exec("field_%d = %d" % (i, i))

    print(Local.field_2)


main()
