"""Reading what hotshot.Profile wrote, event by event."""
import os

import pyrec

__all__ = ["LogReader", "ENTER", "EXIT", "LINE"]

ENTER, EXIT, LINE = 0, 1, 2

_WHAT = {"call": ENTER, "resume": ENTER, "return": EXIT, "yield": EXIT, "unwind": EXIT, "line": LINE}
_EVENTS = """SELECT e.time_ns, e.event, e.file, e.line, f.name FROM events e LEFT JOIN functions f USING (function_id)
WHERE e.thread_id = %d AND e.time_ns >= %d AND e.time_ns < %d
AND e.event IN ('call', 'resume', 'return', 'yield', 'unwind'%s)"""


def find_owner(path):
    """Whose windows a log is about: (owner, lineevents, linetimings)."""
    name = os.path.basename(path)
    found = pyrec.query(path, "SELECT owner FROM windows WHERE owner LIKE 'hotshot-%' GROUP BY 1 ORDER BY max(number)")
    owners = [owner.split("\t")[0] for owner, in found]
    own = [owner for owner in owners if owner.split(":", 2)[2] == name]   # the last one of a name is written last
    if not own and len(set(owners)) != 1:
        raise pyrec.Error("%s: %s" % (path, "several profiles are in it, none of this name" if owners
                                      else "no profile of hotshot is in it"))
    owner = (own or owners)[-1]
    flags = owner.split(":", 2)[1]
    return owner, flags[0] == "1", flags[1] == "1"


class LogReader:
    """An iterator over (what, (file, line, function), microseconds since the event before)."""

    def __init__(self, logfn):
        self._path = os.path.abspath(logfn)
        owner, self._lines, self._timings = find_owner(self._path)
        self._windows = pyrec.query(
            self._path, "SELECT start_ns, ifnull(end_ns, 1 << 62), thread_id FROM windows WHERE owner = ? "
            "AND thread_id IS NOT NULL ORDER BY number", [owner])
        self._info = {}
        for (note,) in pyrec.query(self._path, "SELECT owner FROM windows WHERE substr(owner, 1, ?) = ? "
                                   "ORDER BY number", [len(owner) + 1, owner + "\t"]):
            _, key, value = note.split("\t", 2)
            self._info.setdefault(key, []).append(value)
        self._files = dict(pyrec.query(self._path, "SELECT file_id, path FROM files"))
        self.cwd = pyrec.query(self._path, "SELECT cwd FROM runs")[0][0]
        self._events = self._read()

    def close(self):
        self._events.close()

    def addinfo(self, key, value):
        """Add to what the log says of itself."""
        self._info.setdefault(key, []).append(value)

    def get_filename(self, fileno):
        """The name of the file of that number, or KeyError."""
        return self._files[fileno]

    def get_filenames(self):
        """All file names."""
        return list(self._files.values())

    def get_fileno(self, filename):
        """The number of a file, or KeyError."""
        for number, name in self._files.items():
            if name == filename:
                return number
        raise KeyError(filename)

    def get_funcname(self, fileno, lineno):
        """The name of the function that begins on that line, or None."""
        rows = pyrec.query(self._path, "SELECT name FROM functions WHERE file_id = ? AND first_line = ?",
                           [fileno, lineno])
        return rows[0][0] if rows else None

    def _read(self):
        for start, end, thread in self._windows:
            before = start
            query = _EVENTS % (thread, start, end, ", 'line'" if self._lines else "")
            for time_ns, event, file, line, name in pyrec._query.rows(
                    pyrec._analyzer(), [self._path, "--sql", query], pyrec.Error):
                delta = 0 if event == "line" and not self._timings else (time_ns - before) // 1000
                before = time_ns
                yield _WHAT[event], (file, line, name), delta

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._events)

    next = __next__
