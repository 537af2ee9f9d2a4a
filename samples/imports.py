"""Imports: modules of the standard library, again, lazily, from a package made here, one that fails."""
import argparse
import csv
import json
import os
import sys
import tempfile


def lazily():
    import decimal
    return decimal.Decimal("0.1") + decimal.Decimal("0.2")


def package(folder):
    os.mkdir(os.path.join(folder, "shop"))
    texts = {
        "__init__.py": "from . import stock\nfrom .price import total\n",
        "stock.py": "ITEMS = {'apple': 3, 'pear': 4}\n",
        "price.py": "from .stock import ITEMS\n\ndef total():\n    return sum(ITEMS.values())\n",
        "broken.py": "value = 1\nraise ImportError('broken on purpose')\n",
    }
    for name, text in texts.items():
        with open(os.path.join(folder, "shop", name), "w") as file:
            file.write(text)


def main():
    print(lazily(), json.dumps({"a": 1}), csv.QUOTE_ALL, argparse.SUPPRESS)
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as folder:
        package(folder)
        sys.path.insert(0, folder)
        import shop
        print(shop.total())
        for _ in range(2):
            try:
                import shop.broken
            except ImportError as error:
                print(error)
        sys.path.remove(folder)


main()
