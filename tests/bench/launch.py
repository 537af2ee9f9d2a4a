"""Runs a script under the empty hook: python launch.py FLOOR.so SCRIPT [ARGUMENT]..."""
import importlib.machinery
import importlib.util
import os
import sys


def load(path):
    loader = importlib.machinery.ExtensionFileLoader("floor", path)
    return importlib.util.module_from_spec(importlib.util.spec_from_loader("floor", loader))


def launch(hook, path):
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    sys.path[0] = os.path.dirname(path)
    scope = {"__name__": "__main__", "__file__": path, "__builtins__": __builtins__}
    hook.start()
    exec(code, scope)


if __name__ == "__main__":
    floor = load(sys.argv[1])
    del sys.argv[:2]
    launch(floor, sys.argv[0])
