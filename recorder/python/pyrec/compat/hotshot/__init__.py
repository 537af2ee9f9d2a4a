"""hotshot's interface (Python 2), recorded by pyrec.

    prof = hotshot.Profile("stones.prof")
    prof.runcall(pystones)
    prof.close()
    stats = hotshot.stats.load("stones.prof")
    stats.strip_dirs().sort_stats("time", "calls").print_stats(20)

The log is a trace of pyrec: `hotshot.stats.load` and `hotshot.log.LogReader` read it, and pyanalyze does. Lines are
in it in any case; `lineevents` and `linetimings` say what a LogReader shows.
"""
import os
import sys

import pyrec

from .. import _windows

__all__ = ["Profile", "ProfilerError"]


class ProfilerError(pyrec.Error):
    """The profile is closed already, or cannot be written."""


class Profile:
    """A profile of the threads that call start(), written to the file `logfn` by close()."""

    def __init__(self, logfn, lineevents=0, linetimings=1):
        self.lineevents = 1 if lineevents else 0
        self.linetimings = 1 if linetimings and lineevents else 0
        self._logfn = os.path.abspath(logfn)
        self._owner = _windows.Owner("hotshot")
        self._owner.name += ":%d%d:%s" % (self.lineevents, self.linetimings, os.path.basename(logfn))
        self._file = open(self._logfn, "wb")

    def _need_open(self):
        if self._file is None:
            raise ProfilerError("the profile is closed: %s" % self._logfn)

    def start(self):
        """Begin, or go on, profiling."""
        self._need_open()
        if not self._owner.is_open():
            self._owner.open()

    def stop(self):
        """Stop profiling."""
        self._need_open()
        self._owner.close()

    def addinfo(self, key, value):
        """Put a key and a value into the log; LogReader.addinfo() gets them."""
        self._need_open()
        trace = _windows.note("%s\t%s\t%s" % (self._owner.name, key, value))
        if trace not in self._owner.traces:
            self._owner.traces.append(trace)

    def fileno(self):
        """The descriptor of the log."""
        self._need_open()
        return self._file.fileno()

    def close(self):
        """Stop, and write the log."""
        if self._file is None:
            return
        self._owner.close()
        if not self._owner.traces:   # never started: a log without events
            self.addinfo("empty", "1")
        with self._file as out:
            self._file = None
            if len(self._owner.traces) > 1:
                raise ProfilerError("%s: the recording was ended and begun again between start() and close()"
                                    % self._logfn)
            _copy(self._owner.traces[0].fd, out.fileno())

    def run(self, cmd):
        """Profile a statement in the namespace of __main__. Returns the profile."""
        namespace = sys.modules["__main__"].__dict__
        return self.runctx(cmd, namespace, namespace)

    def runctx(self, cmd, globals, locals):
        """Profile a statement in these namespaces. Returns the profile."""
        self.start()
        try:
            exec(cmd, globals, locals)
        finally:
            self.stop()
        return self

    def runcall(self, func, *args, **kw):
        """Profile a call. Returns what it returns."""
        self.start()
        try:
            return func(*args, **kw)
        finally:
            self.stop()


def _copy(source, target):
    at = 0
    while True:
        part = os.pread(source, 1 << 20, at)
        if not part:
            return
        at += len(part)
        while part:
            part = part[os.write(target, part):]
