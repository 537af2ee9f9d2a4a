"""The logical lines of Python files as tokenize has them: a JSON list a file, the first line of each line's.

    python3 logical_lines.py FILE...

Null for a file that this version cannot read.
"""
import json
import sys
import tokenize

OUTSIDE = (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER)


def first_lines(path):
    with open(path, "rb") as file:
        data = file.read()
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    first = list(range(1, len(lines) + (lines[-1] != b"")))
    start = None
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if start is None and token.type not in OUTSIDE and token.type != tokenize.NEWLINE:
                start = token.start[0]
            if token.type == tokenize.NEWLINE:
                for line in range(start or token.start[0], token.start[0] + 1):
                    first[line - 1] = start or line
                start = None
    return first


for name in sys.argv[1:]:
    try:
        found = first_lines(name)
    except (SyntaxError, UnicodeDecodeError, tokenize.TokenError, IndexError):
        found = None
    print(json.dumps(found))
