"""Strings: formatting, splitting, joining, counting."""
import sys


def clean(word):
    word = word.strip(",.")
    return word.lower()


def main(scale):
    counts = {}
    words = []
    for i in range(int(130000 * scale)):
        text = "Item %d of Many, many items." % (i % 1000)
        parts = text.split(" ")
        for part in parts:
            key = clean(part)
            counts[key] = counts.get(key, 0) + 1
        words.append("-".join(parts).upper())
        if len(words) > 100:
            words.clear()


if __name__ == "__main__":
    main(float(sys.argv[1]))
