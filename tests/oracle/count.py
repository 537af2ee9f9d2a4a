"""Runs a program under a recorder that is not ours and writes down what it counted.

    python3 tests/oracle/count.py TOOL OUT SCRIPT [ARGS...]

TOOL: settrace (every line event of sys.settrace), trace (the standard library's trace module), pprofile,
monitoring (every LINE event of sys.monitoring), cprofile. Each process writes a JSON list to OUT.PID: for lines
[file, line, hits], for cprofile [file, first line, name, primitive calls, calls].
"""
import _thread
import json
import os
import sys
import threading
import types


class LineCounter:
    """Hits by (file, line); each thread counts for itself, because += is not atomic."""

    def __init__(self):
        self.tables = {}

    def clear(self):
        self.tables.clear()

    def hit(self, file, line):
        table = self.tables.setdefault(_thread.get_ident(), {})
        table[file, line] = table.get((file, line), 0) + 1

    def result(self):
        total = {}
        for table in list(self.tables.values()):
            for key, hits in list(table.items()):
                total[key] = total.get(key, 0) + hits
        return [[file, line, hits] for (file, line), hits in sorted(total.items())]


class Settrace(LineCounter):
    def start(self):
        begin = _thread.start_new_thread

        def traced_thread(function, args, kwargs={}):
            def run(*args, **kwargs):
                sys.settrace(self.trace)
                function(*args, **kwargs)
            return begin(run, args, kwargs)

        _thread.start_new_thread = traced_thread
        threading.settrace(self.trace)
        sys.settrace(self.trace)

    def trace(self, frame, event, arg):
        if event == "line":
            self.hit(frame.f_code.co_filename, frame.f_lineno)
        return self.trace

    def stop(self):
        sys.settrace(None)


class Trace:
    def __init__(self):
        import trace
        self.tracer = trace.Trace(count=1, trace=0)

    def clear(self):
        self.tracer.counts.clear()

    def start(self):
        sys.settrace(self.tracer.globaltrace)

    def stop(self):
        sys.settrace(None)

    def result(self):
        return [[file, line, hits] for (file, line), hits in sorted(self.tracer.counts.items())]


class Pprofile:
    def __init__(self):
        import pprofile
        self.profile = pprofile.ThreadProfile()

    def clear(self):
        raise SystemExit("pprofile does not follow forks")

    def start(self):
        self.profile.enable()

    def stop(self):
        self.profile.disable()

    def result(self):
        rows = []
        for file, timing in self.profile._mergeFileTiming().items():
            for line, codes in timing.line_dict.items():
                rows.append([file, line, sum(hits for hits, _ in codes.values())])
        return [row for row in rows if row[1] is not None]


class Monitoring(LineCounter):
    TOOL = 1

    def start(self):
        monitoring = sys.monitoring
        events = monitoring.events
        monitoring.use_tool_id(self.TOOL, "count")
        monitoring.register_callback(
            self.TOOL, events.LINE, lambda code, line: self.hit(code.co_filename, line))
        monitoring.register_callback(self.TOOL, events.PY_START, lambda code, offset: None)
        monitoring.set_events(self.TOOL, events.LINE | events.PY_START)

    def stop(self):
        sys.monitoring.set_events(self.TOOL, 0)


class Cprofile:
    def __init__(self):
        import cProfile
        self.profile = cProfile.Profile(builtins=False)

    def clear(self):
        self.profile.clear()

    def start(self):
        self.profile.enable()

    def stop(self):
        self.profile.disable()

    def result(self):
        rows = []
        for entry in self.profile.getstats():
            if not isinstance(entry.code, str):
                code = entry.code
                calls = entry.callcount
                rows.append([code.co_filename, code.co_firstlineno, code.co_name,
                             calls - entry.reccallcount, calls])
        return rows


TOOLS = {"settrace": Settrace, "trace": Trace, "pprofile": Pprofile, "monitoring": Monitoring,
         "cprofile": Cprofile}


def main():
    tool = TOOLS[sys.argv[1]]()
    out = os.path.abspath(sys.argv[2])
    script = os.path.abspath(sys.argv[3])
    sys.argv[:] = sys.argv[3:]
    leave = os._exit

    def write():
        tool.stop()
        with open("%s.%d" % (out, os.getpid()), "w", encoding="utf-8", errors="surrogatepass") as file:
            json.dump(tool.result(), file)

    def write_and_leave(status):
        write()
        leave(status)

    os._exit = write_and_leave
    os.register_at_fork(after_in_child=tool.clear)

    if os.path.isdir(script):
        sys.path[0] = script
        script = os.path.join(script, "__main__.py")
    else:
        sys.path[0] = os.path.dirname(script)
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec", dont_inherit=True)
    module = types.ModuleType("__main__")
    module.__file__ = script
    module.__builtins__ = __builtins__
    sys.modules["__main__"] = module
    tool.start()
    try:
        exec(code, module.__dict__)
    finally:
        write()


main()
