"""What a profiler is: an owner of windows in a recording, and the questions about them.

Nothing of a question is recorded, whoever else is being profiled at that moment. Opening and closing calls nothing
written in Python outside of this package, for the same reason.
"""
import itertools
import json
import os
import threading
import weakref
from fcntl import F_DUPFD_CLOEXEC, fcntl

import pyrec
from pyrec import Error, _query

_numbers = itertools.count(1)
_lock = threading.RLock()
_open = {}                  # id -> weak reference to an owner that has a window open
_traces = {}                # (device, inode) -> Trace, while anybody needs it
_has_c_calls = False        # of the recording that was begun here
_filename = None            # by which its files are named
_path = None                # of its trace; None: in memory


class Trace:
    """A recording, readable for as long as somebody has windows in it."""

    def __init__(self, path):
        plain = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.fd = fcntl(plain, F_DUPFD_CLOEXEC, 100)   # out of the program's way
        finally:
            os.close(plain)

    @property
    def path(self):
        return "/proc/%d/fd/%d" % (os.getpid(), self.fd)

    def __del__(self, close=os.close):   # also when the program is torn down
        close(self.fd)


def _current_trace():
    path = pyrec.trace_path()
    status = os.stat(path)
    key = status.st_dev, status.st_ino
    trace = _traces.get(key)
    trace = trace() if trace is not None else None
    if trace is None:
        trace = Trace(path)
        _traces[key] = weakref.ref(trace, lambda _: _traces.pop(key, None))
    return trace


def keep_in(path):
    """Recordings that begin from now on are in this file."""
    global _path
    _path = path


def _record(c_calls, filename=None):
    """A recording goes on, of C functions too if that can still be chosen, with files named by `filename`."""
    global _has_c_calls, _filename
    recorder = pyrec._need()
    state = recorder.state()
    other = (c_calls and not _has_c_calls) or (filename is not None and filename != _filename)
    if state is not None and other and state[1] and not _open:
        try:
            recorder.stop(False)   # nobody is in it, and what was in it stays readable
            state = None
        except Error:
            pass                   # it is not ours
    if state is None:
        if filename is not None:
            recorder.set_filename_hook(pyrec._filename_of_frame(filename))
        recorder.start(pyrec._command(_path, {"c_calls": c_calls}), _path is None, True, 0)
        _has_c_calls, _filename = c_calls, filename
    elif filename is not None and filename != _filename:
        raise Error("files are named when a recording begins, and one goes on already")


class Owner:
    """The windows of one profiler. Use from any thread."""

    def __init__(self, kind, c_calls=False, filename=None):
        self.name = "%s-%d-%d" % (kind, os.getpid(), next(_numbers))
        self.c_calls = c_calls
        self.filename = filename
        self.traces = []
        self.window = None
        self.all_threads = False
        self._answers = {}

    def __del__(self):
        if self.window is not None and _open is not None and id(self) in _open:
            self.close()

    def is_open(self):
        return self.window is not None

    def open(self, all_threads=False):
        with _lock:
            recorder = pyrec._need()
            _record(self.c_calls, self.filename)
            trace = _current_trace()
            if trace not in self.traces:
                self.traces.append(trace)
            self._answers = {}
            self.all_threads = all_threads
            _open[id(self)] = weakref.ref(self)
            self.window = recorder.window_open(self.name, all_threads)

    def close(self):
        with _lock:
            window, self.window = self.window, None
            if window is not None:
                try:
                    pyrec._need().window_close(window)
                except Error:
                    pass   # the recording was ended, and its windows with it
                _open.pop(id(self), None)
                self._answers = {}

    def clear(self):
        """Forgets what there was."""
        with _lock:
            was_open, all_threads = self.is_open(), self.all_threads
            self.close()
            self.name = "%s-%d" % (self.name.rsplit("-", 1)[0], next(_numbers))
            self.traces = []
            self._answers = {}
            if was_open:
                self.open(all_threads)

    def ask(self, *arguments):
        """What pyanalyze prints about the windows, as bytes. Kept if they are closed."""
        answer = self._answers.get(arguments)
        if answer is None:
            with pyrec.paused():
                answer = self._run(arguments)
            if not self.is_open():
                self._answers[arguments] = answer
        return answer

    def _run(self, arguments):
        words = [trace.path for trace in self.traces]
        words += ["--window", self.name, "--process", str(os.getpid()), *arguments]
        return _query.read(pyrec._analyzer(), words, Error)

    def rows(self, *queries):
        """For each query its rows, as lists of lists."""
        if not self.traces:
            return [[] for _ in queries]
        words = [word for query in queries for word in ("--sql", query)]
        tables = json.loads(self.ask("--json", *words).decode("utf-8", "surrogatepass"))
        if len(queries) == 1:
            tables = [tables]
        return [[list(row.values()) for row in table] for table in tables]


def note(text):
    """Puts a text into a recording, as the owner of a window without length. Returns the recording's trace."""
    with _lock:
        recorder = pyrec._need()
        _record(False)
        trace = _current_trace()
        recorder.window_close(recorder.window_open(text, True))
        return trace


def _after_fork():
    """Who is profiled goes on in the child, as part of the child."""
    global _lock
    _lock = threading.RLock()   # another thread may have held it
    for reference in list(_open.values()):
        owner = reference()
        if owner is None or owner.window is None:
            continue
        owner.window = None
        try:
            owner.open(owner.all_threads)
        except Error:
            pass   # children are not recorded


os.register_at_fork(after_in_child=_after_fork)
