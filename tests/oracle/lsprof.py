"""Runs a program under cProfile's core alone and writes down what it counted, or runs it just so.

    python3 lsprof.py OUT SCRIPT [ARGS...]      OUT "-": without cProfile

Both ways do the same around the program, import nothing that is not there anyhow but _lsprof, and leave without the
interpreter's ending, so that a recorder that sees this file as well can be compared. OUT is a marshalled list of
(function, primitive calls, calls, {caller: (calls, primitive calls)}, code objects), functions as in pstats.
"""
import sys
import marshal
import posix


def label(code):
    return ("~", 0, code) if isinstance(code, str) else (code.co_filename, code.co_firstlineno, code.co_name)


def add(table, key, values):
    table[key] = tuple(map(sum, zip(table[key], values))) if key in table else values


def rows(entries):
    """As cProfile.Profile.snapshot_stats() makes them, but functions that look alike are added up."""
    functions, callers, codes = {}, {}, {}
    for entry in entries:
        add(codes, label(entry.code), (1,))
        add(functions, label(entry.code), (entry.callcount - entry.reccallcount, entry.callcount))
        for call in entry.calls or ():
            add(callers.setdefault(label(call.code), {}), label(entry.code),
                (call.callcount, call.callcount - call.reccallcount))
    return [(key, *sums, callers.get(key, {}), *codes[key]) for key, sums in functions.items()]


def read(path):
    file, parts = posix.open(path, posix.O_RDONLY), []
    while not parts or parts[-1]:
        parts.append(posix.read(file, 1 << 20))
    return b"".join(parts)


out, script = sys.argv[1:3]
sys.argv[:] = sys.argv[2:]
sys.path[0] = script.rpartition("/")[0]
if not script.endswith(".py"):
    sys.path[0], script = script, script + "/__main__.py"
program = compile(read(script), script, "exec", dont_inherit=True)
module = type(sys)("__main__")
module.__file__ = script
module.__builtins__ = __builtins__
sys.modules["__main__"] = module
if out == "-":
    import _lsprof
    status = 0
    try:
        exec(program, module.__dict__)
    except SystemExit as leaving:
        status = leaving.code or 0
else:
    import _lsprof
    profiler = _lsprof.Profiler()
    status = 0
    profiler.enable()
    try:
        exec(program, module.__dict__)
    except SystemExit as leaving:
        status = leaving.code or 0
    profiler.disable()
    file = posix.open(out, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC)
    posix.write(file, marshal.dumps(rows(profiler.getstats())))
for stream in sys.stdout, sys.stderr:
    if not stream.closed:
        stream.flush()
posix._exit(status)
