#!/usr/bin/env python3
"""Writes profile.sql's rows for a small program: the fixture that the formats are tested with.

    python3 make_profile.py > fixture.sql

The program below really runs, under sys.settrace with a clock that advances by made-up steps, and every table is
summed here in the plainest way: at each step, add its time to everything that is on the stack. The result depends on
the Python version (fixture.sql was made by 3.11), which is why it is kept.
"""
import functools  # noqa: F401  (imported here so that the program below need not)
import hashlib
import sys
import types

CWD = "/home/ann/shop"
HOSTILE = "/home/ann/shop/x;y\nfn=(1) z\n12 99999 \x1b[31m<&\">\u202e.py"

APP = '''\
"""A shop that adds up its orders."""
from importing import load

report = load()


def fact(n):
    if n < 2:
        return 1
    return n * fact(n - 1)


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


class Basket:
    def __init__(self, items):
        self.items = items

    def total(self):
        total = 0\t\t# tabs
        for price in self.prices():
            total += price
        return total

    def prices(self):
        for item in self.items:
            yield item * 2


def greet(name="世界"):
    text = "こんにちは、" + name + "! \u0301 \U0001F980"
    if not name:
        raise ValueError(
            "nobody to greet")
    return text


def pause(seconds):
    wait(seconds)


def main():
    basket = Basket([1, 2, 3])
    print_total = basket.total()
    fact(5)
    fact(3); even(4)
    greet()
    pause(0.5)
    report.summary([basket, basket])
    evil(1)
    return print_total


main()
'''

REPORT = '''\
import functools


def cold():
    a = 1
    b = 2
    c = 3
    d = 4
    return a + b + c + d


def summary(baskets):
    rows = [(b.total(), len(b.items)) for b in baskets]
    return functools.render(rows)
'''

IMPORTLIB = "def _find_and_load(name):\n    return execute(name)\n\n\ndef load():\n    return _find_and_load('report')\n"
IMPORTING = "def load():\n    return frozen_load()\n"
ENCODER = "\n" * 40 + "def render(rows):\n    out = []\n    for row in rows:\n        out.append(str(row))\n" \
          "    return ', '.join(out)\n" + "\n# nothing more\n" * 20
EVIL = "def evil(n):\n    return ']]>' * n\n"

# path, name, origin, source, is the source recorded
FILES = [
    (CWD + "/app.py", "app.py", "program", APP, True),
    (CWD + "/orders/report.py", "orders/report.py", "program", REPORT, True),
    (CWD + "/importing.py", "importing.py", "program", IMPORTING, True),
    ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>", "frozen", IMPORTLIB, False),
    ("/usr/lib/python3.11/json/render.py", "json/render.py", "stdlib", ENCODER, True),
    (HOSTILE, HOSTILE[len(CWD) + 1:], "program", EVIL, True),
]
MODULES = {"app.py": "__main__", "orders/report.py": "orders.report", "importing.py": "importing",
           "json/render.py": "json.render", "<frozen importlib._bootstrap>": "importlib._bootstrap"}


class Sums(dict):
    def add(self, key, **values):
        row = self.setdefault(key, {})
        for name, value in values.items():
            row[name] = row.get(name, 0) + value


class Profile:
    def __init__(self):
        self.now = 0
        self.files, self.codes, self.function_list = {}, {}, []
        self.functions, self.line_stats, self.file_lines, self.edge_stats = Sums(), Sums(), Sums(), Sums()
        self.function_stats, self.function_edges = Sums(), Sums()
        self.contexts, self.context_lines, self.context_edges = Sums(), Sums(), Sums()
        self.context_ids, self.context_rows = {}, []
        self.threads, self.executable = [], set()

    def function(self, code):
        if code not in self.codes:
            self.codes[code] = len(self.codes) + 1
            path = code.co_filename
            file_id = [f[0] for f in FILES].index(path) + 1
            self.function_list.append((self.codes[code], file_id, path, code))
            for _, _, line in code.co_lines():
                if line:
                    self.executable.add((file_id, line))
        return self.codes[code]

    def file_of(self, function):
        return self.function_list[function - 1][1]


class Thread:
    """One thread's stack; `frames` are dicts: function, line, edge, pair, outer, context, context_edge."""

    def __init__(self, profile, name, start):
        self.p = profile
        self.frames, self.events = [], 0
        self.id = len(profile.threads) + 1
        self.start = profile.now = start
        self.self_ns = self.self_cpu_ns = 0
        profile.threads.append([self, name])
        self.root = self.context(None, None)

    def context(self, parent, function):
        node = parent
        while node is not None:
            row = self.p.context_rows[node - 1]
            if row[3] == function and function is not None:
                return node
            node = row[1]
        key = (self.id, parent, function)
        if key not in self.p.context_ids:
            self.p.context_ids[key] = len(self.p.context_rows) + 1
            self.p.context_rows.append((self.p.context_ids[key], parent, self.id, function))
        return self.p.context_ids[key]

    def advance(self, ns, cpu):
        p = self.p
        p.now += ns
        self.self_ns += ns
        self.self_cpu_ns += cpu
        top = self.frames[-1] if self.frames else None
        self_time = dict(self_ns=ns, self_cpu_ns=cpu)
        time = dict(cumulative_ns=ns, cumulative_cpu_ns=cpu)
        outer = dict(outer_cumulative_ns=ns, outer_cumulative_cpu_ns=cpu)
        if top is None:
            p.contexts.add(self.root, **self_time)
            p.functions.add(0, **self_time, **time)
        else:
            p.functions.add(top["function"], **self_time)
            p.line_stats.add((self.id, top["function"], top["line"]), **self_time)
            p.file_lines.add((p.file_of(top["function"]), top["line"]), **self_time)
            p.edge_stats.add(top["edge"], **self_time)
            p.function_stats.add((self.id, top["function"]), **self_time)
            p.function_edges.add(top["pair"], **self_time)
            p.contexts.add(top["context"], **self_time)
            p.context_lines.add((top["context"], top["line"]), **self_time)
        p.contexts.add(self.root, **time)
        for f in {f["function"] for f in self.frames}:
            p.functions.add(f, **time)
            p.function_stats.add((self.id, f), **time)
        for pair in {f["pair"] for f in self.frames}:
            p.function_edges.add(pair, **time)
        for key in {(self.id, f["function"], f["line"]) for f in self.frames}:
            p.line_stats.add(key, **time)
        for key in {(p.file_of(f["function"]), f["line"]) for f in self.frames}:
            p.file_lines.add(key, **time)
        for edge in {f["edge"] for f in self.frames}:
            p.edge_stats.add(edge, **time)
        for f in self.frames:
            if f["outer"]:
                p.edge_stats.add(f["edge"], **outer)
        for context in {f["context"] for f in self.frames}:
            p.contexts.add(context, **time)
        for edge in {f["context_edge"] for f in self.frames}:
            p.context_edges.add(edge, **time)

    def enter(self, code, line, resume):
        p, function = self.p, self.p.function(code)
        below = self.frames[-1] if self.frames else dict(function=None, line=None, context=self.root)
        edge = (self.id, below["function"], below["line"], function)
        pair = (self.id, below["function"], function)
        outer = all(f["function"] != function for f in self.frames)
        inner = all(f["edge"] != edge for f in self.frames)
        context = self.context(below["context"], function)
        again = any(f["context"] == context for f in self.frames)
        context_edge = (context, below["context"], below["line"])
        fresh = not resume
        p.functions.add(function, calls=int(fresh), primitive_calls=int(fresh and outer), resumes=int(resume))
        p.function_stats.add((self.id, function), calls=int(fresh), primitive_calls=int(fresh and outer),
                             resumes=int(resume), primitive_resumes=int(resume and outer))
        first = all(f["pair"] != pair for f in self.frames)
        p.function_edges.add(pair, calls=int(fresh), primitive_calls=int(fresh and first), resumes=int(resume),
                             primitive_resumes=int(resume and first))
        p.edge_stats.add(edge, calls=int(fresh), primitive_calls=int(fresh and inner), resumes=int(resume))
        p.contexts.add(context, calls=int(fresh), recursive_calls=int(fresh and again))
        p.context_edges.add(context_edge, calls=int(fresh))
        self.frames.append(dict(function=function, line=line, edge=edge, pair=pair, outer=outer, context=context,
                                context_edge=context_edge))

    def hit(self, line):
        p, top = self.p, self.frames[-1]
        top["line"] = line
        p.functions.add(top["function"], hits=1)
        p.function_stats.add((self.id, top["function"]), hits=1)
        p.line_stats.add((self.id, top["function"], line), hits=1)
        p.file_lines.add((p.file_of(top["function"]), line), hits=1)
        p.context_lines.add((top["context"], line), hits=1)
        for edge in {f["edge"] for f in self.frames}:
            p.edge_stats.add(edge, cumulative_hits=1)
        for f in self.frames:
            if f["outer"]:
                p.edge_stats.add(f["edge"], outer_cumulative_hits=1)

    def trace(self, frame, event, _):
        if frame.f_code.co_filename not in [f[0] for f in FILES]:
            return None
        self.events += 1
        step = 150 + (frame.f_lineno * 977 + self.events * 311) % 1700
        self.advance(step, step)
        if event == "call":
            started = frame.f_lasti > 5
            self.enter(frame.f_code, frame.f_lineno, started)
        elif event == "line":
            self.hit(frame.f_lineno)
        elif event == "return":
            self.frames.pop()
        return self.trace

    def run(self, function, *arguments):
        sys.settrace(self.trace)
        try:
            return function(*arguments)
        finally:
            sys.settrace(None)
            self.advance(700, 700)


def wait_in(profile):
    def wait(seconds):
        thread = profile.current
        thread.advance(int(seconds * 1000000), 2000)
    return wait


def build():
    profile = Profile()
    code = {f[0]: compile(f[3], f[0], "exec") for f in FILES}

    def module(path, **names):
        space = dict(names, __name__="m")
        exec(code[path], space)
        return types.SimpleNamespace(**space)

    main = profile.current = Thread(profile, "MainThread", 0)
    sys.setprofile(None)
    render = module(FILES[4][0])
    sys.modules["functools_of_fixture"] = render
    report_source = code[FILES[1][0]]
    report = {"__name__": "report"}

    def execute(_name):
        exec(report_source, report)
        report["functools"] = render
        return types.SimpleNamespace(**report)

    frozen = module(FILES[3][0], execute=execute)
    importing = module(FILES[2][0], frozen_load=frozen.load)
    evil = module(HOSTILE)
    sys.modules["importing"] = importing
    space = {"__name__": "__main__", "wait": wait_in(profile), "evil": evil.evil}
    main.run(exec, code[FILES[0][0]], space)
    worker = profile.current = Thread(profile, "Thread-1 (pause)", 120000)
    worker.run(space["pause"], 0.25)
    odd = profile.current = Thread(profile, "odd \x1b[1m; 500", 130000)
    odd.run(space["fact"], 4)
    return profile


def sql(value):
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return "x'%s'" % value.hex()
    if any(ord(c) < 32 or ord(c) > 126 for c in value):
        return "CAST(x'%s' AS TEXT)" % value.encode().hex()
    return "'%s'" % value.replace("'", "''")


def insert(table, rows):
    for row in rows:
        if table in ("functions", "lines", "line_stats", "edges"):
            row = tuple(row) + 6 * (0,)     # what only samples tell
        print("INSERT INTO %s VALUES (%s);" % (table, ", ".join(map(sql, row))))


TIMES = ("self_ns", "self_cpu_ns", "cumulative_ns", "cumulative_cpu_ns")
EDGE = ("calls", "primitive_calls", "resumes") + TIMES + (
    "outer_cumulative_ns", "outer_cumulative_cpu_ns", "cumulative_hits", "outer_cumulative_hits")


def figures(row, names):
    return tuple(row.get(name, 0) for name in names)


def write(p):
    total = sum(t.self_ns for t, _ in p.threads)
    cpu = sum(t.self_cpu_ns for t, _ in p.threads)
    hits = sum(row.get("hits", 0) for row in p.functions.values())
    end = max(t.start + t.self_ns for t, _ in p.threads)
    print("-- Written by make_profile.py; the tables are those of formats/profile.sql.\nBEGIN;")
    insert("meta", [("pyanalyze_version", "0.1.0"), ("total_self_ns", str(total)),
                    ("total_self_cpu_ns", str(cpu)), ("total_hits", str(hits)), ("selection", "")])
    insert("runs", [(1, "00112233445566778899aabbccddeeff", "trace.bin", "anvil",
                     "python3 app.py --name 'two words' 'tab\there'", "3.11.2", 1700000000123456789, end, "tsc", "exact", 0, 3,
                     sum(t.events for t, _ in p.threads), 16384, 6, CWD, "Linux 6.1 x86_64", "0.1.0")])
    insert("warnings", [(1, "1 page at offset 12288 is damaged"), (1, "odd \x1b[2J text")])
    insert("processes", [(1, 1, 1, 4242, None, "first", "python3 app.py", "3.11.2", 0, end, "signal 9"),
                         (2, 1, 2, 4243, 1, "fork", "python3 app.py", "3.11.2", 130000, end, "exit 0")])
    insert("threads", [(t.id, 2 if t.id == 3 else 1, t.id, 4241 + t.id, name, int(t.id != 2), t.start,
                        t.start + t.self_ns, t.events) for t, name in p.threads])
    for number, (path, name, origin, text, recorded) in enumerate(FILES, 1):
        body = text.encode()
        insert("files", [(number, path, hashlib.sha256(body).hexdigest() if recorded else "", name, origin,
                          len(text.splitlines()) if recorded else 0, 1 if number == 2 else None,
                          body if recorded else None, None)])
    insert("files", [(len(FILES) + 1, "<outside>", "", "<outside>", "generated", 0, None, None, None)])
    outside = len(p.function_list) + 1
    names = ("calls", "primitive_calls", "resumes", "hits") + TIMES
    owner = {}
    for function, file_id, path, code in p.function_list:
        name = FILES[file_id - 1][1]
        kind = "module" if code.co_name == "<module>" else "generator" if code.co_flags & 0x20 else \
            "class" if code.co_name == "Basket" else "function"
        insert("functions", [(function, file_id, path, MODULES.get(name, name[:-3]), code.co_name, code.co_qualname,
                              code.co_firstlineno, kind) + figures(p.functions[function], names)])
    insert("functions", [(outside, len(FILES) + 1, "<outside>", "", "<outside>", "<outside>", 0, "outside") +
                         figures(p.functions[0], names)])
    for (_, function, line), row in p.line_stats.items():
        key = (p.file_of(function), line)
        if row.get("hits", 0) >= owner.get(key, (-1, 0))[0]:
            owner[key] = (row.get("hits", 0), function)
    for file_id, line in sorted(p.executable | set(p.file_lines)):
        path, _, _, text, recorded = FILES[file_id - 1]
        function = owner.get((file_id, line), (0, None))[1]
        if function is None:
            inside = [f for f in p.function_list if f[1] == file_id and f[3].co_firstlineno <= line]
            function = max(inside, key=lambda f: f[3].co_firstlineno)[0]
        insert("lines", [(file_id, path, line, p.function_list[function - 1][3].co_qualname) +
                         figures(p.file_lines.get((file_id, line), {}), ("hits",) + TIMES) +
                         (int((file_id, line) in p.executable),
                          text.split("\n")[line - 1] if recorded else None)])
    for key, row in sorted(p.line_stats.items()):
        insert("line_stats", [key + figures(row, ("hits",) + TIMES)])
    edges = Sums()
    for (thread, *key), row in p.edge_stats.items():
        insert("edge_stats", [(thread, *key) + figures(row, EDGE)])
        edges.add(tuple(key), **row)
    for (caller, line, callee), row in edges.items():
        def described(function):
            return (p.function_list[function - 1][2], p.function_list[function - 1][3].co_qualname)
        insert("edges", [(caller, *(described(caller) if caller else (None, None)), line, callee, *described(callee),
                          p.function_list[callee - 1][3].co_firstlineno) + figures(row, EDGE)])
    for row in p.context_rows:
        insert("contexts", [row + figures(p.contexts.get(row[0], {}), ("calls", "recursive_calls") + TIMES)])
    entries = ("calls", "primitive_calls", "resumes", "primitive_resumes")
    for key, row in sorted(p.function_stats.items()):
        insert("function_stats", [key + figures(row, entries + ("hits",) + TIMES)])
    for key, row in sorted(p.function_edges.items(), key=lambda item: [x or 0 for x in item[0]]):
        insert("function_edges", [key + figures(row, entries + TIMES)])
    for key, row in sorted(p.context_lines.items()):
        insert("context_lines", [key + figures(row, ("hits",) + TIMES[:2])])
    for (context, caller, line), row in p.context_edges.items():
        insert("context_edges", [(context, caller, line) + figures(row, ("calls",) + TIMES[2:])])
    for t, _ in p.threads:
        gap = 5000 if t.id == 1 else 0
        insert("accounts", [(t.id, t.self_ns + gap, t.self_ns, t.self_cpu_ns, gap, 0)])
    insert("gaps", [(1, 1, 1000, 6000, "paused"), (1, None, end, end, "lost")])
    main_module = next(f[0] for f in p.function_list if f[3].co_name == "<module>" and f[1] == 1)
    pause = next(f[0] for f in p.function_list if f[3].co_name == "pause")
    insert("open_frames", [(1, 1, 0, main_module, 59, 1000), (1, 1, 1, pause, 43, 200000),
                           (1, 2, 0, pause, 43, 121000)])
    print("COMMIT;")


write(build())
