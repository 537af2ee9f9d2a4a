"""Questions to a trace, answered by the pyanalyze of this installation.

Nothing here is recorded, also while a recording goes on: the frames of this package never are, and what they call is
written in C.
"""
import os
import signal

try:
    from _json import make_scanner
except ImportError:  # another implementation of the standard library
    from json.scanner import make_scanner


class Row(tuple):
    """A row of a result: a tuple whose items also have the names of the columns.

    >>> row = Row([("file", "app.py"), ("hits", 3)])
    >>> row[1], row["hits"], row.hits, row.keys()
    (3, 3, 3, ('file', 'hits'))
    >>> row
    Row(file='app.py', hits=3)
    """

    def __new__(cls, pairs):
        self = tuple.__new__(cls, [value for _, value in pairs])
        self.__dict__["_names"] = tuple([name for name, _ in pairs])
        return self

    def keys(self):
        """The names of the columns, in order."""
        return self._names

    def __getitem__(self, key):
        if isinstance(key, str):
            try:
                return tuple.__getitem__(self, self._names.index(key))
            except ValueError:
                raise KeyError(key) from None
        return tuple.__getitem__(self, key)

    def __getattr__(self, name):
        names = self.__dict__.get("_names", ())
        if name in names:
            return tuple.__getitem__(self, names.index(name))
        raise AttributeError(name)

    def __repr__(self):
        return "Row(%s)" % ", ".join(["%s=%r" % pair for pair in zip(self._names, self)])

    def __reduce__(self):
        return Row, (list(zip(self._names, self)),)


class Scanner:
    """What the scanner of `_json` wants to know."""
    strict = True
    object_hook = None
    object_pairs_hook = Row
    parse_float = float
    parse_int = int
    parse_constant = float
    memo = {}


def literal(value):
    """A value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, (bytes, bytearray)):
        return "x'%s'" % bytes(value).hex()
    text = os.fspath(value)
    if isinstance(text, str) and "\0" not in text:
        return "'%s'" % text.replace("'", "''")
    raise TypeError("cannot be a parameter: %r" % (value,))


QUOTES = {"'": "'", '"': '"', "`": "`", "[": "]"}


def skip(sql, at):
    """The end of the string, quoted name or comment that begins at `at`; `at` if none does."""
    if sql[at] in QUOTES:
        end = sql.find(QUOTES[sql[at]], at + 1)
    elif sql.startswith("--", at):
        end = sql.find("\n", at)
    elif sql.startswith("/*", at):
        end = sql.find("*/", at + 2)
        end = end + 1 if end >= 0 else end
    else:
        return at
    return len(sql) if end < 0 else end + 1


def bind(sql, params):
    """The query with its parameters in place: `?` from a sequence, `:name` from a mapping."""
    out = []
    at = used = start = 0
    named = hasattr(params, "keys")
    while at < len(sql):
        end = skip(sql, at)
        if end > at:
            at = end
        elif sql[at] == "?" and not named:
            if used == len(params):
                raise ValueError("more ? in the query than parameters (%d)" % len(params))
            out += [sql[start:at], literal(params[used])]
            used += 1
            at = start = at + 1
        elif sql[at] == ":" and named and sql[at + 1:at + 2].isidentifier():
            end = at + 2
            while end < len(sql) and (sql[end].isalnum() or sql[end] == "_"):
                end += 1
            out += [sql[start:at], literal(params[sql[at + 1:end]])]
            at = start = end
        else:
            at += 1
    if not named and used < len(params):
        raise ValueError("%d parameters for %d ? in the query" % (len(params), used))
    return "".join(out) + sql[start:]


class Analyzer:
    """pyanalyze as a child process whose output is read as it comes."""

    def __init__(self, path, arguments, error):
        self.error = error
        self.messages = os.memfd_create("pyanalyze")
        self.output, output = os.pipe()
        try:
            self.pid = os.posix_spawn(
                path, [path, *arguments], getattr(os.environ, "_data", os.environ),
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                              (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, self.messages, 2)],
                setsigdef=[signal.SIGPIPE])
        except BaseException:
            os.close(self.output)
            os.close(self.messages)
            raise
        finally:
            os.close(output)

    def read(self):
        """Some more bytes; none: it has closed its output."""
        return os.read(self.output, 1 << 16)

    def close(self):
        """Ends the child. Its status, None if somebody else has waited for it, and what it said."""
        os.close(self.output)
        try:
            status = os.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            status = None
        size = os.fstat(self.messages).st_size
        said = os.pread(self.messages, size, 0).decode("utf-8", "replace")
        os.close(self.messages)
        return status, said

    def finish(self):
        """After all has been read: an error if it failed."""
        status, said = self.close()
        if status:
            raise self.error(sentence(said) or "pyanalyze ended with status %d" % status)


def sentence(said):
    """The error among what pyanalyze said, without its name."""
    lines = [line for line in said.split("\n") if line and ": warning: " not in line]
    return lines[-1].partition(": ")[2] if lines else ""


def read(path, arguments, error):
    """All that pyanalyze prints, as bytes."""
    child = Analyzer(path, arguments, error)
    parts = []
    try:
        while True:
            part = child.read()
            if not part:
                break
            parts.append(part)
    except BaseException:
        child.close()
        raise
    child.finish()
    return b"".join(parts)


def run(path, arguments, error):
    """All that pyanalyze prints, as text."""
    return read(path, arguments, error).decode("utf-8", "surrogatepass")


def rows(path, arguments, error):
    """The rows of one query, one by one. pyanalyze prints one a line."""
    scan = make_scanner(Scanner)
    child = Analyzer(path, [*arguments[:-2], "--json", *arguments[-2:]], error)
    rest = b""
    done = False
    try:
        while True:
            part = child.read()
            lines = (rest + part).split(b"\n")
            rest = lines.pop()
            for line in lines:
                if line.startswith(b"{"):
                    yield scan(line.decode("utf-8", "surrogatepass"), 0)[0]
            if not part:
                break
        done = True
    finally:
        if not done:
            child.close()
    child.finish()
