"""`%load_ext pyrec`: the magics %pyrec and %%pyrec of IPython and Jupyter."""
import ast
import sys

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class

import pyrec
from . import _query


class Recorded:
    """What %pyrec -r returns: a trace to ask more. `path` is where it is."""

    def __init__(self, path):
        self.path = path

    def query(self, sql, params=()):
        """pyrec.query() on this trace."""
        return pyrec.query(self.path, sql, params)

    def events(self, where=None, params=()):
        """pyrec.events() on this trace."""
        return pyrec.events(self.path, where, params)

    def report(self, *arguments):
        """Print what pyanalyze makes of this trace, given more arguments of its: "--format", "lines"."""
        print(report(self.path, arguments), end="")

    def __repr__(self):
        return "<pyrec trace %s>" % self.path


def report(path, arguments):
    """The text that pyanalyze prints."""
    try:
        return _query.run(pyrec._analyzer(), [path, "--no-pager", *arguments], pyrec.Error)
    except pyrec.Error as error:
        raise UsageError(str(error)) from None


def compiled(shell, text):
    """The statements of a cell, the expression at its end if there is one, and the name they have as a file."""
    text = shell.transform_cell(text)
    name = shell.compile.cache(text, shell.execution_count)
    tree = shell.compile.ast_parse(text, filename=name)
    last = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    return (shell.compile(tree, name, "exec"), last and shell.compile(last, name, "eval"), name)


@magics_class
class PyrecMagics(Magics):
    """Recording statements and cells."""

    @line_cell_magic
    def pyrec(self, line, cell=None):
        """Record a statement or a cell, and show where its time went.

        %pyrec [options] statement
        %%pyrec [options]
        statements…

        Shown are the hottest lines of a statement, and for a cell its own source with hits and times. The cell's last
        expression is displayed as always.

        -f FORMAT  what to show instead: lines, summary, annotate, stats, … (pyanalyze --help lists them)
        -n N       only the N hottest
        -o FILE    write it to FILE instead; its name can choose the format: x.svg, callgrind.out.x, x.zip, …
        -t FILE    keep the trace; without, it stays in memory until the next recording
        -e         leave out the standard library and installed packages while recording
        -c         record calls of built-in functions, too
        -r         return the trace, with .query(sql), .events(), .report("--format", …) and .path
        -q         show nothing
        """
        options, rest = self.parse_options(line, "f:n:o:t:ecrq", posix=False)
        if cell is not None and rest.strip():
            raise UsageError("%%%%pyrec takes options and no statement: %s" % rest.strip())
        body, last, name = compiled(self.shell, rest if cell is None else cell)
        recording = pyrec.record(options.get("t"), exclude_syspath="e" in options, c_calls="c" in options)
        value = None
        try:
            with recording:
                exec(body, self.shell.user_ns)
                value = eval(last, self.shell.user_ns) if last else None
        finally:
            if recording.path is not None:
                self.show(options, recording.path, name if cell is not None else None)
        return Recorded(recording.path) if "r" in options else value

    @staticmethod
    def show(options, path, name):
        arguments = []
        if "o" in options:
            arguments += ["-o", options["o"], "--force"]
        if "f" in options:
            arguments += ["--format", options["f"]]
        elif "o" not in options:
            arguments += (["--format", "lines", "--top", "20"] if name is None
                          else ["--file", name, "--min-percent", "0"])
        if "n" in options:
            arguments += ["--top", options["n"]]
        if "q" not in options or "o" in options:
            sys.stdout.flush()
            print(report(path, arguments), end="")
