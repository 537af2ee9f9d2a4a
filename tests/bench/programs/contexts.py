"""Calls along 10^5 different paths: python contexts.py ROUNDS. Five layers of ten functions each."""
import sys

LAYERS, WIDTH = 5, 10


def make(layer, place):
    calls = "".join("    l%d_%d(n)\n" % (layer + 1, i) for i in range(WIDTH)) if layer + 1 < LAYERS else "    n += 1\n"
    return "def l%d_%d(n):\n%s    return n\n" % (layer, place, calls)


def main(rounds):
    scope = {}
    source = "".join(make(layer, place) for layer in range(LAYERS) for place in range(WIDTH))
    exec(compile(source, "<layers>", "exec"), scope)
    for _ in range(rounds):
        for place in range(WIDTH):
            scope["l0_%d" % place](0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
