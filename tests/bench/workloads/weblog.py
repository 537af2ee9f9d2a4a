"""The realistic sample (samples/weblog): its own command line, its output thrown away."""
import os
import runpy
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = os.path.join(HERE, "..", "..", "..", "samples", "weblog")


def main(scale):
    sys.argv = [SAMPLE, "--lines", str(int(10000 * scale) or 100)]
    sys.stdout = open(os.devnull, "w", encoding="utf-8")
    runpy.run_path(SAMPLE, run_name="__main__")


if __name__ == "__main__":
    main(float(sys.argv[1]))
