"""Record every line, call and return of this program, or of parts of it, and ask questions about them.

The same recorder as `pyrec run`, for use inside a program. What is recorded goes to a trace, a compact file that
pyanalyze turns into annotated source, callgrind, flame graphs or an SQLite database.

    import pyrec

    with pyrec.record("trace.bin"):             # a block
        work()

    @pyrec.record("trace.bin")                  # all calls of a function, together
    def work(): ...

    pyrec.start("trace.bin", exclude_syspath=True)
    ...
    pyrec.mark("phase 2")                       # shows up in the table `marks` and among the events
    ...
    pyrec.stop()

    for row in pyrec.query("trace.bin", "SELECT file, line, hits, self_ns FROM lines ORDER BY self_ns DESC LIMIT 5"):
        print(row.file, row.line, row.hits, row.self_ns)

What is recorded
    Every thread of the process, those that run already too, from the next event on: frames that are open are known
    with their lines (*inherited*; they take time and count no call). Forked children append to the same trace.
    Children that are started by exec (subprocess, multiprocessing's spawn) are recorded under `pyrec run` only.
    The frames of this package are not recorded, what it calls from Python is.

What it costs
    Nothing while nothing is recorded: before start(), in a pause, and after stop() no tracer and no monitoring tool
    is installed. From CPython 3.12 on the tool id 3 or 4 of sys.monitoring is used, before that the C-level trace
    function; the program's own tracers keep working beside it.

Joining
    A process has one recording at a time. What is begun while one goes on joins it: nothing new begins, its path and
    its options do not count, and the recording ends with the outermost stop(). The same holds under `pyrec run`: the
    run's recording is joined and goes on after stop(). A `record` that joins puts marks where it begins and ends.
    The profilers of pyrec.compat (the interfaces of pprofile, cProfile, line_profiler and hotshot) join it as well.

Options (start and record; those of the command `pyrec run`, pyrec(1))
    include, exclude   a pattern or several: only these files, or not these. Globs on the absolute path; one without
                       `/` on the base name; `re:` before a regular expression. The last match wins, in the order
                       written; include alone excludes the rest
    exclude_syspath    True: not the standard library and site-packages
    threads            False: only the calling thread
    children           False: not forked children
    source             False: no source text in the trace
    c_calls            True: calls of built-in and extension functions too
    sample             a period, as "1ms", "100us", "1kHz": samples of all threads' stacks instead of every line
    max_depth          the innermost frames of a sample that are kept: 10000 unless given
    echo               True: each event on standard error, too
    max_size           stop recording at this size: bytes, or text as "500M", "2G"
    min_free           stop recording when the disk has less left: "5%" unless given
    force              True: replace an existing file even if it is no trace
    filename           a function that names the file of code that names it wrongly: called as filename(frame), or as
                       filename(co_filename, f_globals) if it takes two arguments, when a code object first runs; what
                       it returns, a str, is recorded instead of co_filename

Errors are pyrec.Error, with one sentence. Times are integer nanoseconds since the recording began (`*_ns`).

A complete example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "trace.bin")
    >>> def cube(n):
    ...     return n ** 3
    >>> with record(path, include="*"):
    ...     numbers = [cube(n) for n in range(10)]
    >>> query(path, "SELECT calls, hits FROM functions WHERE name = ?", ["cube"])
    [Row(calls=10, hits=10)]
    >>> sum(1 for event in events(path, "event = 'call' AND function = 'cube'"))
    10
"""
import functools
import os
import sys

from . import _load, _query
from ._query import Row

__version__ = "0.1.0"
__all__ = ["Error", "Row", "events", "is_recording", "mark", "pause", "paused", "query", "record", "resume", "start",
           "stop", "trace_path"]

_installation = _load.find_installation()
try:
    _recorder = _load.load(_installation)
    _missing = None
    Error = _recorder.Error
except ImportError as reason:
    _recorder = None
    _missing = str(reason)

    class Error(Exception):
        """What pyrec cannot do, and why, in one sentence."""


_SWITCHES = {"exclude_syspath": "exclude-syspath", "c_calls": "c-calls", "force": "force", "echo": "echo"}
_NO_SWITCHES = {"threads": "no-threads", "children": "no-children", "source": "no-source"}
_VALUES = {"max_size": "max-size", "min_free": "min-free", "sample": "sample", "max_depth": "max-depth"}
_LISTS = {"include": "include", "exclude": "exclude"}


def _need():
    """The recorder, or an error that says why there is none."""
    if _recorder is None:
        raise Error(_missing)
    if _recorder.version != __version__:
        raise Error("this is pyrec %s, and the process is recorded by pyrec %s" % (__version__, _recorder.version))
    return _recorder


def _option(name, value):
    """An option as words of a command line."""
    if name in _SWITCHES:
        return ["--" + _SWITCHES[name]] if value else []
    if name in _NO_SWITCHES:
        return [] if value else ["--" + _NO_SWITCHES[name]]
    if name in _VALUES:
        return [] if value is None else ["--%s=%s" % (_VALUES[name], value)]
    if name in _LISTS:
        values = [value] if isinstance(value, (str, bytes, os.PathLike)) else value or []
        return [part for item in values for part in ("--" + _LISTS[name], item)]
    raise TypeError("pyrec has no option %r" % name)


def _command(path, options):
    """The command line that the recorder reads its options from."""
    words = ["pyrec", "run", "--quiet", "--python", sys.executable or "python3"]
    if path is not None:
        words += ["--out", path]
    for name, value in options.items():
        words += _option(name, value)
    argv = getattr(sys, "argv", None) or [""]
    words += ["--", argv[0] or "-", *argv[1:]]
    return tuple([os.fsencode(word) for word in words])


def _begin(path, options, keeper=0):
    """start(), for `keeper` if it is not 0. True: a recording has begun, or goes on for its keeper."""
    recorder = _need()
    options = dict(options)
    filename = options.pop("filename", None)
    command = _command(path, options)
    if filename is None or recorder.state() is not None:
        return recorder.start(command, path is None, False, keeper)
    recorder.set_filename_hook(_filename_of_frame(filename))
    try:
        return recorder.start(command, path is None, False, keeper)
    except BaseException:
        recorder.set_filename_hook(None)
        raise


def _filename_of_frame(function):
    """The option filename as a function of a frame, whichever of its two forms it has."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    count = code.co_argcount - hasattr(function, "__self__") if code is not None else 1
    if count < 2:
        return function
    return lambda frame: function(frame.f_code.co_filename, frame.f_globals)


def start(path="trace.bin", **options):
    """Begin recording into the file `path`, with the options listed above. Returns the path of the trace.

    `%p` in the path is the process id, `%n` the first free number. A trace that is there already is kept as
    `path.old`; another file is not replaced without force=True. With path=None the trace is in memory: it can be read
    as trace_path(), also after stop(), while the process lives and until the next one.

    While a recording goes on nothing begins, and the recording is joined; see above. Raises Error if recording is
    not possible: no recorder was built for this interpreter, the trace cannot be written, an option has a bad value,
    both tool ids of sys.monitoring are taken, or this is a subinterpreter.
    """
    _begin(path, options)
    return _recorder.trace_path()


def stop():
    """End what the matching start() began; the outermost stop() ends the recording and completes the trace.

    Raises Error if nothing was started, or only `pyrec run` records.
    """
    _need().stop(False)


def pause():
    """Record nothing, in no thread, until resume(). The gap is in the table `gaps`, and its time in nobody's sums.

    Pauses nest: it takes as many resume(). Any thread may call either. Raises Error if nothing is being recorded.
    """
    _need().pause()


def resume():
    """End one pause(). Frames that were entered meanwhile are inherited. Raises Error if there was no pause."""
    _need().resume()


def mark(text):
    """Put `text` into the trace, at this moment of this thread. False if it is not recorded now, or by samples only.

    The table `marks` has its time, thread, file and line.
    """
    return _recorder is not None and _recorder.mark(text)


def is_recording():
    """Is this process being recorded now, by whomever?"""
    state = _recorder.state() if _recorder is not None else None
    return state is not None and state[2]


def trace_path():
    """The path of the trace that is being recorded, else of the last one in memory, else None."""
    return _recorder.trace_path() if _recorder is not None else None


class paused:
    """A block that is not recorded: `with pyrec.paused(): ...`. Does nothing if nothing is being recorded."""

    def __enter__(self):
        self._did = _recorder is not None and _recorder.state() is not None
        if self._did:
            pause()
        return self

    def __exit__(self, *exception):
        if self._did and _recorder.state() is not None:
            resume()


class record:
    """Record a block, or all calls of a function; the arguments are those of start().

    As a context manager it is start() and stop(). As a decorator, of functions, generators and coroutines, it collects
    all calls in one trace: the recording waits while none is running, and ends when the program ends, stops it with
    stop(), or begins another. The trace can be read at any time. `path` is the trace's path once it has begun.
    """

    _keepers = 0

    def __init__(self, path="trace.bin", **options):
        record._keepers += 1
        self._keeper = record._keepers  # whose recording it is that waits; 0 is nobody
        self._wanted = path
        self._options = options
        self._joined = []
        self.path = None

    def _enter(self, name, keeper):
        begun = _begin(self._wanted, self._options, keeper)
        self.path = _recorder.trace_path()
        self._joined.append(not begun and keeper == 0)
        if self._joined[-1]:
            mark("begin " + name)

    def _leave(self, name, keep):
        if self._joined.pop():
            mark("end " + name)
        if _recorder.state() is not None:
            _recorder.stop(keep)

    def __enter__(self):
        self._enter("record", 0)
        return self

    def __exit__(self, *exception):
        self._leave("record", False)

    def __call__(self, function):
        code = getattr(function, "__code__", None)
        flags = code.co_flags if code is not None else 0
        wrapper = _WRAPPERS.get(flags & (_GENERATOR | _COROUTINE | _ASYNC_GENERATOR), _wrap)(self, function)
        return functools.update_wrapper(wrapper, function)


_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


def _wrap(recording, function):
    name = getattr(function, "__qualname__", "function")

    def call(*args, **kwargs):
        recording._enter(name, recording._keeper)
        try:
            return function(*args, **kwargs)
        finally:
            recording._leave(name, True)
    return call


def _wrap_generator(recording, function):
    name = function.__qualname__

    def call(*args, **kwargs):
        recording._enter(name, recording._keeper)
        try:
            return (yield from function(*args, **kwargs))
        finally:
            recording._leave(name, True)
    return call


def _wrap_coroutine(recording, function):
    name = function.__qualname__

    async def call(*args, **kwargs):
        recording._enter(name, recording._keeper)
        try:
            return await function(*args, **kwargs)
        finally:
            recording._leave(name, True)
    return call


def _wrap_async_generator(recording, function):
    name = function.__qualname__

    async def call(*args, **kwargs):
        recording._enter(name, recording._keeper)
        try:
            async for item in function(*args, **kwargs):
                yield item
        finally:
            recording._leave(name, True)
    return call


_WRAPPERS = {_GENERATOR: _wrap_generator, _COROUTINE: _wrap_coroutine, _ASYNC_GENERATOR: _wrap_async_generator}


def _analyzer():
    """The path of pyanalyze."""
    path = _installation.command("pyanalyze") if _installation is not None else None
    if path is None:
        raise Error("pyanalyze is not there: no installation of pyrec above %s" % os.path.dirname(__file__))
    return path


def _question(trace, sql, params):
    if trace is None:
        trace = trace_path() or "trace.bin"
    return [os.fspath(trace), "--sql", _query.bind(sql, params)]


def query(trace, sql, params=()):
    """The rows of an SQL query on a trace, or on a database that pyanalyze has made of one, as a list of Row.

    `trace` is a path; None means trace_path(). `params` are values for the `?` in the query, or a mapping for its
    `:names`. The tables are described by `pyanalyze --schema`; times are nanoseconds. A trace can be asked while it is
    being recorded. Blobs come as hexadecimal text. Raises Error with what pyanalyze has to say about the trace or the
    query.
    """
    return list(_query.rows(_analyzer(), _question(trace, sql, params), Error))


def events(trace, where=None, params=()):
    """Iterate over the events of a trace, thread by thread and in order, in constant memory.

    Each is a Row with time_ns, self_ns (the time to the thread's next event), event ("line", "call", "return",
    "yield", "resume", "unwind", "raise", "c_call", "c_return", "switch", "mark", "gap"), file, function, line, depth,
    detail and the ids of process, thread, file and function. `where` is an SQL condition on them. Of a sampled trace
    it is "sample" or "gap", and self_ns the time before it that a sample stands for, or how long a gap is.
    """
    sql = "SELECT * FROM events" + (" WHERE " + where if where else "")
    return _query.rows(_analyzer(), _question(trace, sql, params), Error)


def load_ipython_extension(shell):
    """`%load_ext pyrec`: the magics %pyrec and %%pyrec."""
    from .ipython import PyrecMagics
    shell.register_magics(PyrecMagics)
