"""A program not written here: `python -m json.tool` on a file made for it."""
import json
import os
import runpy
import sys
import tempfile


def main(scale):
    data = [{"id": i, "name": "item %d" % i, "tags": ["a", "b", {"deep": [i, i / 3, None, True]}]}
            for i in range(int(6000 * scale) or 1)]
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "in.json")
        with open(source, "w", encoding="utf-8") as file:
            json.dump(data, file)
        sys.argv = ["json.tool", "--sort-keys", source, os.path.join(folder, "out.json")]
        runpy.run_module("json.tool", run_name="__main__")


if __name__ == "__main__":
    main(float(sys.argv[1]))
