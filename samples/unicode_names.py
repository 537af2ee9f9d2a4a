"""Names that are not ASCII: of functions, classes, modules and files, one of which is not even UTF-8."""
import importlib.util
import os
import sys
import tempfile

TEXT = "# -*- coding: latin-1 -*-\ndef gr\xfc\xdfe():\n    return 'Gr\xfc\xdfe'\n"


def größe(länge):
    return länge * 2


class Straße:
    def наименование(self):
        return "улица"


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    print(größe(21), len(Straße().наименование()))
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as folder:
        for i, name in enumerate((b"caf\xc3\xa9.py", b"caf\xe9.py", b"a b;c\n.py")):
            path = os.path.join(os.fsencode(folder), name)
            with open(path, "wb") as file:
                file.write(TEXT.encode("latin-1"))
            module = load(os.fsdecode(path), "módulo%d" % i)
            print(len(module.grüße()))
    exec(compile("def 変数():\n    return 1\nprint(変数())", "<\udcff\u2028\u202e>", "exec"))


main()
