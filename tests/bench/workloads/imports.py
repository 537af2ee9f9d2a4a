"""Importing many modules: large packages of the standard library, again and again."""
import importlib
import sys

NAMES = ("asyncio", "argparse", "concurrent.futures", "csv", "ctypes", "dataclasses", "decimal", "difflib", "doctest",
         "email.message", "email.parser", "fractions", "http.client", "http.server", "inspect", "json", "logging.config",
         "multiprocessing.pool", "optparse", "pathlib", "pdb", "pickle", "platform", "pydoc", "random", "shutil",
         "smtplib", "sqlite3", "statistics", "subprocess", "tarfile", "tempfile", "unittest.mock", "urllib.request",
         "uuid", "xml.dom.minidom", "xml.etree.ElementTree", "xmlrpc.client", "zipfile")


def main(scale):
    before = set(sys.modules)
    for _ in range(int(3 * scale) or 1):
        for name in NAMES:
            importlib.import_module(name)
        for name in set(sys.modules) - before:
            module = sys.modules[name]
            if getattr(module, "__file__", None) and module.__file__.endswith(".py"):
                del sys.modules[name]


if __name__ == "__main__":
    main(float(sys.argv[1]))
