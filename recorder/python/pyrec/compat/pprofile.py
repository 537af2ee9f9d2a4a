"""pprofile's interface (version 2.1), recorded by pyrec.

    prof = pprofile.Profile()
    with prof():
        ...                     # code to profile
    prof.print_stats()

`Profile` is of the thread that enables it, `ThreadProfile` of all threads, those that run already too. `hits` are line
events; pprofile's own have one more for each entry of a frame. Times are wall-clock seconds; `total_time` is the time
between enable() and disable(). With verbose=True the events are printed by disable(), not while they happen.
"""
import collections
import io
import linecache
import os
import runpy
import shlex
import sys
import threading
import time
import tokenize
import types
import warnings
import zipfile
from email.encoders import encode_quopri
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from pyrec import _filename_of_frame

from ._windows import Owner

__version__ = "2.1.0"
__all__ = ("ProfileBase", "ProfileRunnerBase", "Profile", "ThreadProfile", "StatisticProfile", "StatisticThread", "run",
           "runctx", "runfile", "runpath")

# What stands for a code object in results.
Code = collections.namedtuple("Code", "co_filename co_firstlineno co_name co_qualname")

_FILES = "SELECT file_id, path FROM files"
_FUNCTIONS = "SELECT function_id, file_id, first_line, name, qualname, kind FROM functions"
_LINES = ("SELECT function_id, line, SUM(hits), SUM(self_ns) FROM line_stats GROUP BY function_id, line "
          "HAVING SUM(hits) > 0 OR SUM(self_ns) > 0")
_CALLS = ("SELECT caller_function_id, caller_line, callee_function_id, calls + resumes, cumulative_ns, self_ns "
          "FROM edges WHERE caller_function_id IS NOT NULL ORDER BY rowid")
_TOTAL = ("SELECT SUM(ifnull(end_ns, (SELECT MAX(end_ns) FROM threads)) - start_ns) FROM windows")
_SOURCE = "SELECT hex(source) FROM files WHERE file_id = %d AND source IS NOT NULL"

_LAST_START = "SELECT MAX(start_ns) FROM windows"
_EVENTS = ("SELECT e.time_ns, e.depth, e.event, e.file, e.line, f.name, f.first_line FROM events e "
           "LEFT JOIN functions f USING (function_id) WHERE e.time_ns >= %d AND e.event IN "
           "('call', 'resume', 'line', 'return', 'yield', 'unwind') ORDER BY e.time_ns, e.seq")
_TRACE_NAMES = {"resume": "call", "yield": "return", "unwind": "return"}   # as sys.settrace calls them

_HEADER = "Line #|      Hits|         Time| Time per hit|      %|Source code"
_RULE = "------+----------+-------------+-------------+-------+-----------"


class FileTiming:
    """What is known of one file: hits and time of its lines, by code, and calls from them."""

    __slots__ = ("line_dict", "call_dict", "filename", "global_dict", "profiler", "_source")

    def __init__(self, filename, global_dict, profiler):
        self.filename, self.global_dict, self.profiler = filename, global_dict, profiler
        self.line_dict = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
        self.call_dict = {}
        self._source = None

    def hit(self, code, line, duration):
        entry = self.line_dict[line][code]
        entry[0] += 1
        entry[1] += duration

    def call(self, code, line, callee_file_timing, callee, duration, frame):
        entry = self.call_dict.setdefault((code, line, callee), [callee_file_timing, 0, 0])
        entry[1] += 1
        entry[2] += duration

    def getHitStatsFor(self, line):
        entries = self.line_dict.get(line, {}).values()
        return sum(hits for hits, _ in entries), sum(duration for _, duration in entries)

    def getLastLine(self):
        return max([0, *self.line_dict, *(line for _, line, _ in self.call_dict)])

    def iterHits(self):
        for line, codes in self.line_dict.items():
            for code, (hits, duration) in codes.items():
                yield line, code, hits, duration

    def iterCalls(self):
        for (code, line, callee), (timing, hits, duration) in self.call_dict.items():
            yield line, code, hits, duration, timing.filename, callee

    def getCallListByLine(self):
        out = collections.defaultdict(list)
        for line, *call in self.iterCalls():
            out[line].append(tuple(call))
        return out

    def getTotalTime(self):
        return sum(duration for _, _, _, duration in self.iterHits())

    def getTotalHitCount(self):
        return sum(hits for _, _, hits, _ in self.iterHits())

    def getSortKey(self):
        return [self.getTotalTime(), self.getTotalHitCount()]


_FileTiming = FileTiming


class EncodeOrReplaceWriter:
    """Writes text; what the stream cannot encode becomes `?`."""

    def __init__(self, out):
        self._out = out
        self._encoding = getattr(out, "encoding", None) or "ascii"

    def write(self, data):
        try:
            self._out.write(data)
        except UnicodeEncodeError:
            self._out.write(data.encode(self._encoding, "replace").decode(self._encoding))


def _isCallgrindName(filepath):
    return os.path.basename(filepath).startswith("cachegrind.out.")


def _relpath(name):
    """As a name inside an archive or below a folder: relative, and never above it."""
    parts = os.path.normpath(os.path.splitdrive(name)[1]).lstrip(os.sep).split(os.sep)
    return os.sep.join(part for part in parts if part != os.pardir)


def _decode(source):
    """The lines of a source text as it was recorded."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        text = source.decode(encoding)
    except (SyntaxError, UnicodeDecodeError):
        text = source.decode("utf-8", "replace")
    return io.StringIO(text, newline=None).readlines()


class ProfileBase:
    """What profiles have to tell."""

    FileTiming = FileTiming

    def __init__(self):
        self._names = {}   # those that _getFilename gave, by path
        named = type(self)._getFilename is not ProfileBase._getFilename
        self._owner = Owner("pprofile", filename=self._name_file if named else None)
        self._loaded = None
        self._callers = set()

    # ---- what can be overridden

    @staticmethod
    def _getFilename(frame):
        return frame.f_code.co_filename

    @staticmethod
    def _getline(filename, lineno, global_dict):
        return linecache.getline(filename, lineno, global_dict)

    def _name_file(self, frame):
        """The recorder takes a relative name for that of a file: it is undone in the results."""
        name = _filename_of_frame(self._getFilename)(frame)
        self._names[os.getcwd() + "/" + name] = name
        return name

    # ---- reading

    def _load(self):
        """(total time, {name: FileTiming}), read when it is asked for first."""
        if self._loaded is None or self._owner.is_open():
            self._loaded = self._read()
        return self._loaded

    def _read(self):
        files, functions, lines, calls, total = self._owner.rows(_FILES, _FUNCTIONS, _LINES, _CALLS, _TOTAL)
        timings, ids, codes = {}, {}, {}
        files = [(number, self._names.get(path, path)) for number, path in files]
        for number, path in files:
            name, count = path, 0
            while name in timings:   # two texts of one name
                name, count = "%s_%d" % (path, count), count + 1
            timings[name] = ids[number] = self.FileTiming(path, None, self)
            timings[name]._source = number
        paths = dict(files)
        seen = {function for function, _, hits, _ in lines if hits}
        c_functions = {function for function, *_, kind in functions if kind == "c"}
        places = {}
        for function, file, line, name, qualname, kind in functions:
            caller = (None if self._names else paths[file], line, name) in self._callers and function not in seen
            if kind not in ("c", "outside") and not caller:
                codes[function], places[function] = Code(paths[file], line, name, qualname), ids[file]
        for function, line, hits, self_ns in lines:
            if function in codes:
                entry = places[function].line_dict[line][codes[function]]
                entry[0] += hits
                entry[1] += self_ns / 1e9
        for caller, line, callee, hits, time_ns, self_ns in calls:
            if caller not in codes or not (callee in codes or callee in c_functions):
                continue
            if callee in c_functions:   # as Python has it, the time of C functions is that of the line
                places[caller].line_dict[line][codes[caller]][1] += self_ns / 1e9
            elif hits:
                places[caller].call_dict[codes[caller], line, codes[callee]] = [places[callee], hits, time_ns / 1e9]
        timings = {name: timing for name, timing in timings.items() if timing.line_dict or timing.call_dict}
        return (total[0][0] or 0 if total else 0) / 1e9, timings

    @property
    def total_time(self):
        """Seconds between enable() and disable(), all times together."""
        return self._load()[0]

    @property
    def merged_file_dict(self):
        return self._load()[1]

    @property
    def file_dict(self):
        return {name: [timing] for name, timing in self._load()[1].items()}

    def _mergeFileTiming(self, rebuild=False):
        return self._load()[1]

    def getFilenameSet(self):
        """The names of the files that were profiled."""
        return set(self._mergeFileTiming())

    getFileNameSet = getFilenameSet

    def _getFileNameList(self, filename, may_sort=True):
        if isinstance(filename, str):
            return [filename]
        names = self.getFilenameSet() if filename is None else filename
        if may_sort and not isinstance(names, (list, tuple)):
            timings = self._mergeFileTiming()
            names = sorted(names, key=lambda name: (timings[name].getSortKey(), name), reverse=True)
        return names

    def _lines_of(self, timing):
        """The source, line by line, as it was recorded; else what linecache knows."""
        if type(self)._getline is not ProfileBase._getline:
            number = 1
            while True:
                line = self._getline(timing.filename, number, timing.global_dict)
                if not line:
                    return
                yield line
                number += 1
        found = self._owner.rows(_SOURCE % timing._source)[0] if isinstance(timing._source, int) else []
        yield from _decode(bytes.fromhex(found[0][0])) if found else linecache.getlines(timing.filename)

    def _iterRawFile(self, name):
        return self._lines_of(self._mergeFileTiming()[name])

    def iterSource(self):
        """(name, iterator over its lines) of each file."""
        for name in self.getFilenameSet():
            yield name, self._iterRawFile(name)

    # ---- writing

    def annotate(self, out, filename=None, commandline=None, relative_path=False):
        """Write annotated source to `out`, of all files or of `filename` (a name or several)."""
        total = self.total_time

        def percent(duration):
            return duration * 100 / total

        def row(first, hits, duration, text):
            print("%s|%10d|%13g|%13g|%6.2f%%|%s" % (
                first, hits, duration, duration / hits if hits else 0, percent(duration), text), file=out)

        if commandline is not None:
            print("Command line:", commandline, file=out)
        print("Total duration: %gs" % total, file=out)
        if not total:
            return
        for name in self._getFileNameList(filename):
            timing = self._mergeFileTiming()[name]
            duration, calls, last = timing.getTotalTime(), timing.getCallListByLine(), timing.getLastLine()
            print("File: %s" % name, file=out)
            print("File duration: %gs (%.2f%%)" % (duration, percent(duration)), file=out)
            print(_HEADER, file=out)
            print(_RULE, file=out)
            lines = list(self._lines_of(timing))
            for number in range(1, max(len(lines), last) + 1):
                text = lines[number - 1].rstrip() if number <= len(lines) else ""
                row("%6d" % number, *timing.getHitStatsFor(number), text)
                for _, hits, time_called, file, code in calls.get(number, ()):
                    row("(call)", hits, time_called, "# %s:%s %s" % (file, code.co_firstlineno, code.co_name))

    def callgrind(self, out, filename=None, commandline=None, relative_path=False):
        """Write it in callgrind's format: hits, microseconds and microseconds a hit of each line and call."""
        def path_of(name):
            return _relpath(name) if relative_path else name

        def micro(duration):
            return int(round(duration * 1e6))

        names, counts = {}, collections.Counter()

        def name_of(code):
            if code not in names:
                key = code.co_filename, "%s:%d" % (code.co_name, code.co_firstlineno)
                names[code] = key[1] + ("_%d" % counts[key] if counts[key] else "")
                counts[key] += 1
            return names[code]

        print("# callgrind format\nversion: 1\ncreator: pprofile\nevent: usphit :microseconds/hit", file=out)
        print("events: hits microseconds usphit", file=out)
        if commandline is not None:
            print("cmd:", commandline, file=out)
        timings = self._mergeFileTiming()
        for name in self._getFileNameList(filename, may_sort=False):
            print("fl=%s" % path_of(name), file=out)
            functions = collections.defaultdict(lambda: collections.defaultdict(lambda: ([0, 0], [])))
            for line, code, hits, duration in timings[name].iterHits():
                own = functions[name_of(code)][line][0]
                own[0] += hits
                own[1] += micro(duration)
            for line, code, hits, duration, file, callee in timings[name].iterCalls():
                functions[name_of(code)][line][1].append((file, callee, hits, micro(duration)))
            for function, lines in functions.items():
                print("fn=%s" % function, file=out)
                for line, ((hits, ticks), calls) in sorted(lines.items()):
                    if hits or ticks:
                        print(line, hits, ticks, ticks // (hits or 1), file=out)
                    for file, callee, count, time_called in calls:
                        print("cfl=%s\ncfn=%s\ncalls=%d %d" % (
                            path_of(file), name_of(callee), count, callee.co_firstlineno), file=out)
                        print(line, count, time_called, time_called // count, file=out)

    def _iterOutFiles(self, filename=None, commandline=None):
        out = io.StringIO()
        self.callgrind(out, filename=filename, commandline=commandline, relative_path=True)
        yield "cachegrind.out.pprofile", out.getvalue(), "application/x-kcachegrind"
        for name in self._getFileNameList(filename, may_sort=False):
            text = "".join(self._iterRawFile(name))
            if text:
                yield _relpath(name), text.encode("utf-8", "surrogateescape"), "text/x-python"

    def getCallgrindMIME(self, out, filename=None, commandline=None, relative_path=True):
        """Write callgrind and the sources as one MIME message; returns its type."""
        message = MIMEMultipart()
        for path, data, mimetype in self._iterOutFiles(filename, commandline):
            kind, subtype = mimetype.split("/")
            if kind == "text":
                part = MIMEText(data.decode("utf-8", "replace"), subtype, "utf-8")
            else:
                part = MIMEApplication(data, subtype, encode_quopri)
            part.add_header("Content-Disposition", "attachment", filename=path)
            message.attach(part)
        out.write(message.as_string())
        return message["content-type"]

    def getCallgrindZip(self, out=None, filename=None, commandline=None, relative_path=True):
        """Write callgrind and the sources as a zip; returns its type."""
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data, _ in self._iterOutFiles(filename, commandline):
                archive.writestr(path, data)
        return "application/zip"

    def dump_stats(self, filename):
        """Write to a file: callgrind if its name begins with cachegrind.out., else annotated source."""
        with open(filename, "w", errors="replace", encoding="utf-8") as out:
            (self.callgrind if _isCallgrindName(filename) else self.annotate)(out)

    def print_stats(self):
        """Annotated source on standard output."""
        self.annotate(EncodeOrReplaceWriter(sys.stdout))


class ProfileRunnerBase:
    """Ways to run something while profiling."""

    def _note_caller(self):
        """Who calls a run method is on the stack meanwhile and does nothing: that is no result."""
        frame = sys._getframe(2)
        while frame is not None and frame.f_globals.get("__name__") == __name__:
            frame = frame.f_back
        if frame is not None and isinstance(self, ProfileBase):
            code = frame.f_code
            for path in (None, os.path.abspath(code.co_filename)):
                self._callers.add((path, code.co_firstlineno, code.co_name))

    def __call__(self):
        return self

    def __enter__(self):
        raise NotImplementedError

    def __exit__(self, exc_type, exc_val, exc_tb):
        raise NotImplementedError

    def run(self, cmd):
        """Profile a statement in the namespace of __main__."""
        namespace = sys.modules["__main__"].__dict__
        return self.runctx(cmd, namespace, namespace)

    def runctx(self, cmd, globals, locals):
        """Profile a statement in these namespaces. Returns the profile."""
        self._note_caller()
        with self():
            exec(cmd, globals, locals)
        return self

    def runcall(self, func, *args, **kw):
        """Profile a call. Returns what it returns."""
        self._note_caller()
        with self():
            return func(*args, **kw)

    def runfile(self, fd, argv, fd_name="<unknown>", compile_flags=0, dont_inherit=1, globals={}):
        """Profile the program that an open file has, as __main__, with this argv."""
        with fd:
            code = compile(fd.read(), fd_name, "exec", flags=compile_flags, dont_inherit=dont_inherit)
        main = types.ModuleType("__main__")
        main.__dict__.update(globals)
        main.__dict__.update(__builtins__=__builtins__, __file__=fd_name, __package__=None)
        argv_before, main_before = list(sys.argv), sys.modules.get("__main__")
        sys.modules["__main__"] = main
        sys.argv[:] = argv
        try:
            return self.runctx(code, main.__dict__, None)
        finally:
            sys.argv[:] = argv_before
            sys.modules["__main__"] = main_before

    def runpath(self, path, argv):
        """Profile a program file."""
        before = list(sys.path)
        sys.path.insert(0, os.path.dirname(path))
        try:
            return self.runfile(open(path, "rb"), argv, fd_name=path)
        finally:
            sys.path[:] = before

    def runmodule(self, module, argv):
        """Profile a module as `python -m` runs it."""
        self._note_caller()
        argv_before, first = list(sys.argv), sys.path[0]
        sys.path[0] = os.getcwd()
        sys.argv[:] = argv
        try:
            with self():
                runpy.run_module(module, run_name="__main__", alter_sys=True)
        finally:
            sys.argv[:] = argv_before
            sys.path[0] = first
        return self


class Profile(ProfileBase, ProfileRunnerBase):
    """Profiles the thread that enables it, line by line."""

    _all_threads = False

    def __init__(self, verbose=False):
        super().__init__()
        self._verbose = verbose

    @property
    def enabled_start(self):
        """Is it enabled? (pprofile has the moment here.)"""
        return self._owner.window

    def _enable(self):
        """For subclasses: called before profiling begins."""

    def _disable(self):
        """For subclasses: called after profiling has ended."""

    def _begin(self):
        self._loaded = None
        self._owner.open(self._all_threads)

    def enable(self):
        """Begin, or go on, profiling."""
        if self._owner.is_open():
            warnings.warn('Duplicate "enable" call', stacklevel=2)
        else:
            self._enable()
            self._begin()

    def disable(self):
        """Stop profiling. May be called elsewhere than enable(), in another thread too."""
        if self._owner.is_open():
            self._owner.close()
            if self._verbose:
                self._print_events()
            self._disable()
        else:
            warnings.warn('Duplicate "disable" call', stacklevel=2)

    def _print_events(self):
        """What happened since enable(), on standard error."""
        (start,), = self._owner.rows(_LAST_START)[0]
        for time_ns, depth, event, file, line, name, first in self._owner.rows(_EVENTS % start)[0]:
            event = _TRACE_NAMES.get(event, event)
            print("%10.6f%s%s %s:%s %s+%s" % ((time_ns - start) / 1e9, " " * depth, event, file, line, name, line - first),
                  file=sys.stderr)

    def __enter__(self):
        self.enable()
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self.disable()


class ThreadProfile(Profile):
    """Profiles all threads."""

    _all_threads = True

    def __init__(self, **kw):
        super().__init__(**kw)


class StatisticProfile(ProfileBase, ProfileRunnerBase):
    """Counts where stacks are that it is shown: StatisticThread does so now and then. No times."""

    def __init__(self):
        super().__init__()
        self._seconds = 0
        self._timings = {}

    def _load(self):
        return self._seconds, self._timings

    @property
    def total_time(self):
        return self._seconds

    @total_time.setter
    def total_time(self, seconds):
        self._seconds = seconds

    def _getFileTiming(self, frame):
        name = self._getFilename(frame)
        timing = self._timings.get(name)
        if timing is None:
            timing = self._timings.setdefault(name, self.FileTiming(name, frame.f_globals, self))
        return timing

    def sample(self, frame):
        """Count the line of the frame, and each call below it on the stack."""
        timing, code = self._getFileTiming(frame), frame.f_code
        timing.hit(code, frame.f_lineno, 0)
        while frame.f_back is not None:
            caller = frame.f_back
            caller_timing = self._getFileTiming(caller)
            caller_timing.call(caller.f_code, caller.f_lineno, timing, code, 0, frame)
            frame, timing, code = caller, caller_timing, caller.f_code

    def __call__(self, period=.001, single=True, group=None, name=None):
        return StatisticThread(profiler=self, period=period, single=single, group=group, name=name)


class StatisticThread(threading.Thread, ProfileRunnerBase):
    """Shows a StatisticProfile the stacks of the creating thread, or (single=False) of all, every `period` seconds."""

    def __init__(self, profiler=None, period=.001, single=True, group=None, name=None):
        super().__init__(group=group, name=name, daemon=True)
        self._profiler = StatisticProfile() if profiler is None else profiler
        self._profiler.total_time = 0
        self._period = period
        self._only = threading.get_ident() if single else None
        self._over = threading.Event()
        self._began = None
        self.clean_exit = False

    def __call__(self):
        return self

    @property
    def profiler(self):
        return self._profiler

    def start(self):
        self.clean_exit = False
        self._over.clear()
        self._began = time.time()
        super().start()

    def stop(self):
        """Ask the thread to end; join() waits for it."""
        if self.is_alive() and self._began is not None:
            self._over.set()
            self._profiler.total_time += time.time() - self._began
            self._began = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self.stop()
        self.join()

    def run(self):
        own = threading.get_ident()
        while not self._over.is_set():
            for thread, frame in sys._current_frames().items():
                if thread == self._only or (self._only is None and thread != own):
                    self._profiler.sample(frame)
            frame = None
            self._over.wait(self._period)
        self.clean_exit = True

    # What runs something: threading.Thread has a run() of its own.
    runctx, runcall = ProfileRunnerBase.runctx, ProfileRunnerBase.runcall


def _deprecated(name):
    def forward(self, *args, **kw):
        warnings.warn("deprecated", DeprecationWarning, stacklevel=2)
        return getattr(self.profiler, name)(*args, **kw)
    forward.__name__ = name
    return forward


for _name in ("callgrind", "annotate", "dump_stats", "print_stats", "iterSource"):
    setattr(StatisticThread, _name, _deprecated(_name))
del _name

StatisticalProfile = StatisticProfile
StatisticalThread = StatisticThread


def _run(method, filename, threads, verbose, *args):
    profile = (ThreadProfile if threads else Profile)(verbose=verbose)
    try:
        getattr(profile, method)(*args)
    except SystemExit:
        pass
    finally:
        if filename is None:
            profile.print_stats()
        else:
            profile.dump_stats(filename)


def run(cmd, filename=None, threads=True, verbose=False):
    """Profile a statement in __main__ and report."""
    _run("run", filename, threads, verbose, cmd)


def runctx(cmd, globals, locals, filename=None, threads=True, verbose=False):
    """Profile a statement in these namespaces and report."""
    _run("runctx", filename, threads, verbose, cmd, globals, locals)


def runfile(fd, argv, fd_name="<unknown>", compile_flags=0, dont_inherit=1, filename=None, threads=True,
            verbose=False):
    """Profile the program in an open file and report."""
    _run("runfile", filename, threads, verbose, fd, argv, fd_name, compile_flags, dont_inherit)


def runpath(path, argv, filename=None, threads=True, verbose=False):
    """Profile a program file and report."""
    _run("runpath", filename, threads, verbose, path, argv)


def runmodule(module, argv, filename=None, threads=True, verbose=False):
    """Profile a module and report."""
    _run("runmodule", filename, threads, verbose, module, argv)


def main(argv=None, stdin=None):
    """pprofile's command line: `pyrec pprofile` takes over this process. With `stdin`, the cell of %%pprofile."""
    from ._frontend import become
    argv = sys.argv if argv is None else argv
    if stdin is None:
        become("pprofile", argv[1:])
    text = stdin.read()
    linecache.cache["<stdin>"] = len(text), None, text.splitlines(True), "<stdin>"
    code = compile(text, "<stdin>", "exec")
    _run("runctx", None, True, False, code, *[sys.modules["__main__"].__dict__] * 2)


def pprofile(line, cell=None):
    """%pprofile and %%pprofile of IPython."""
    if cell is None:
        return run(line)
    return main(["%%pprofile", *shlex.split(line)], io.StringIO(cell))


def load_ipython_extension(shell):
    """`%load_ext pyrec.compat.pprofile`"""
    shell.register_magic_function(pprofile, "line_cell")


if __name__ == "__main__":
    main()
