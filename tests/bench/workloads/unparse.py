"""A program not written here: the standard library's ast.unparse and tokenize on the library's own source."""
import ast
import io
import sys
import tokenize


def main(scale):
    with open(ast.__file__, encoding="utf-8") as file:
        source = file.read()
    for _ in range(int(4 * scale) or 1):
        ast.unparse(ast.parse(source))
        for _token in tokenize.generate_tokens(io.StringIO(source).readline):
            pass


if __name__ == "__main__":
    main(float(sys.argv[1]))
