"""Objects with methods, operators, properties and a base class."""
import sys


class Shape:
    def __init__(self, name):
        self.name = name

    def describe(self):
        return self.area() > 10


class Vector(Shape):
    def __init__(self, x, y):
        super().__init__("vector")
        self.x = x
        self.y = y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def area(self):
        return self.x * self.y

    @property
    def length(self):
        return (self.x * self.x + self.y * self.y) ** 0.5


def main(scale):
    total = Vector(0, 0)
    step = Vector(1, 2)
    for i in range(int(450000 * scale)):
        total = total + step
        if i % 3 == 0 and total.describe():
            total = Vector(total.length % 7, 1)


if __name__ == "__main__":
    main(float(sys.argv[1]))
