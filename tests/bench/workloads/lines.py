"""Lines and nothing else: a loop of cheap statements."""
import sys


def main(scale):
    total = 0
    for i in range(int(3600000 * scale)):
        total += i
        if total > 1000000:
            total -= 1000000
    return total


if __name__ == "__main__":
    main(float(sys.argv[1]))
