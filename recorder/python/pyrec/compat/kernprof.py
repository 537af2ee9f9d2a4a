"""kernprof's command line, recorded by pyrec.

    pyrec kernprof -l -v script.py      or      python -m pyrec.compat.kernprof -l -v script.py

The program finds `profile` among its builtins: a decorator, a context manager, with enable() and disable(). The file
written is one for `python -m line_profiler` (with -l) or pstats (without). The exit status is the program's.
"""
import argparse
import builtins
import contextlib
import importlib.util
import os
import runpy
import shutil
import sys
import tempfile
import threading
import traceback
import types

from . import _windows, cProfile, line_profiler
from ._by_count import ByCount

# Values of options that are flags.
_YES = {"y": True, "yes": True, "t": True, "true": True, "on": True, "1": True,
        "n": False, "no": False, "f": False, "false": False, "off": False, "0": False}


class CallProfiler(ByCount, cProfile.Profile):
    """cProfile's, which can decorate."""


class Targets:
    """What -p names: files, folders, modules and what is in them."""

    def __init__(self, words, script):
        self._places = [place for word in words for name in word.split(",") if name for place in [_find(name, script)]]

    def __bool__(self):
        return bool(self._places)

    def has(self, file, qualname):
        """Does this function belong to one of them?"""
        return any((file == path or file.startswith(path + os.sep)) and
                   (inner is None or qualname == inner or qualname.startswith(inner + "."))
                   for path, inner in self._places)


def _find(name, script):
    """(file or folder, name in it or None) of what is called so."""
    if os.path.exists(name) or os.sep in name:
        return os.path.abspath(name), None
    if script is not None and name == os.path.splitext(os.path.basename(script))[0]:
        return os.path.abspath(script), None
    words = name.split(".")
    for size in range(len(words), 0, -1):
        with contextlib.suppress(ImportError, AttributeError, ValueError):
            spec = importlib.util.find_spec(".".join(words[:size]))
            if spec is not None and spec.has_location:
                only_itself = words[size:] == ["__init__"]
                folders = spec.submodule_search_locations
                if folders and size == len(words):
                    return os.path.abspath(list(folders)[0]), None
                return os.path.abspath(spec.origin), None if only_itself else ".".join(words[size:]) or None
    sys.exit("kernprof: %s: no such file and no such module" % name)


class LineProfiler(line_profiler.LineProfiler):
    """line_profiler's, which knows what -p named."""

    def __init__(self, targets):
        super().__init__()
        self._targets = targets

    def _is_wanted(self, file, qualname, kind):
        return (kind in ("function", "generator") and not file.startswith("<") and
                self._targets.has(os.path.abspath(file), qualname))


# ---- the command line

def _flag(parser, *names, help):
    """An option that may have a value: yes or no."""
    def read(text):
        if text.lower() not in _YES:
            raise argparse.ArgumentTypeError("neither yes nor no: %r" % text)
        return _YES[text.lower()]
    short = [name for name in names if len(name) == 2]
    long = [name for name in names if len(name) > 2]
    target = long[0][2:].replace("-", "_")
    parser.add_argument(*long, nargs="?", const=True, default=False, type=read, metavar="yes|no", dest=target, help=help)
    for name in short:
        parser.add_argument(name, action="store_true", dest=target, help=argparse.SUPPRESS)


def _positive(text):
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _parser():
    parser = argparse.ArgumentParser(
        prog="kernprof", usage="pyrec kernprof [OPTION]... SCRIPT|-m MODULE|-c CODE [ARGUMENT]...",
        description="Profile a program by lines (-l) or by calls.", add_help=True, allow_abbrev=False)
    parser.add_argument("-V", "--version", action="version", version=line_profiler.__version__)
    _flag(parser, "-l", "--line-by-line", help="-l: profile lines; without, calls as cProfile does")
    _flag(parser, "-b", "--builtin", help="-b: put `profile` into the builtins; implied by -l")
    parser.add_argument("-s", "--setup", metavar="FILE", help="run this first, unprofiled")
    parser.add_argument("-p", "--prof-mod", metavar="NAME", action="append", default=[],
                        help="profile all functions of these files and modules: a,b; repeatable")
    _flag(parser, "--preimports", help="taken and not needed: nothing has to be imported for -p")
    parser.add_argument("--no-preimports", action="store_false", dest="preimports", help=argparse.SUPPRESS)
    _flag(parser, "--prof-imports", help="taken and not needed, likewise")
    parser.add_argument("-o", "--outfile", metavar="FILE", help="write the results there (SCRIPT.lprof, SCRIPT.prof)")
    parser.add_argument("-v", "--verbose", "--view", action="count", default=0, help="print the results, too")
    parser.add_argument("-q", "--quiet", action="count", default=0, help="do not say where the results are")
    _flag(parser, "-r", "--rich", help="-r: taken; there are no colours")
    parser.add_argument("-u", "--unit", type=_positive, default=1e-6, help="unit of times printed, in seconds (1e-06)")
    _flag(parser, "-z", "--skip-zero", help="-z: not functions that were not called")
    _flag(parser, "--summarize", help="print a summary, too")
    parser.add_argument("--inspect", metavar="FILE", help="alone: print the results in FILE, as line_profiler's viewer")
    parser.add_argument("-i", "--output-interval", metavar="N", nargs="?", const=1, default=0, type=float,
                        help="write the results every N seconds (1)")
    return parser


_FLAGS = "--line-by-line", "--builtin", "--preimports", "--prof-imports", "--rich", "--skip-zero", "--summarize"


def _is_number(word):
    with contextlib.suppress(ValueError):
        float(word)
        return True
    return False


def _program_in(word):
    """Where in a word of short options -m or -c stands; 0: nowhere. Then: does the next word belong to it?"""
    for at, letter in enumerate(word[1:], 1):
        if letter in "mc":
            return at, False
        if letter in "spoui":
            return 0, at + 1 == len(word) and letter
    return 0, False


def _split(arguments):
    """kernprof's own words; "script", "module" or "code"; its name; its arguments."""
    i = 0
    while i < len(arguments):
        word, following = arguments[i], (arguments[i + 1:] or [""])[0]
        if not word.startswith("-") or word in ("-", "--"):
            at = i + (word == "--")
            return (arguments[:i], "script", arguments[at], arguments[at + 1:]) if at < len(arguments) else _NOTHING
        at, wants = (0, False) if word.startswith("--") else _program_in(word)
        if at > 0:
            own = arguments[:i] + ([word[:at]] if at > 1 else [])
            rest = ([word[at + 1:]] if word[at + 1:] else []) + arguments[i + 1:]
            return (own, "module" if word[at] == "m" else "code", rest[0], rest[1:]) if rest else _NOTHING
        if wants == "i" or word == "--output-interval":
            wants = _is_number(following)
        elif word in _FLAGS:
            wants = following.lower() in _YES
        i += 2 if wants or word in ("--setup", "--prof-mod", "--outfile", "--unit") else 1
    return arguments, None, None, []


_NOTHING = [], None, None, []


def _find_script(name):
    """As a shell does: what is no file here is looked for on PATH."""
    folders = [""] + ([] if os.sep in name else os.environ.get("PATH", os.defpath).split(os.pathsep))
    for folder in folders:
        if os.path.isfile(os.path.join(folder, name)):
            return os.path.join(folder, name)
    sys.exit("kernprof: %s: no such file" % name)


# ---- the program

def _run_code(source, file):
    """Source as the program: in a module __main__ of its own."""
    module = types.ModuleType("__main__")
    module.__dict__.update(__builtins__=builtins, __file__=file)
    if file is None:
        del module.__dict__["__file__"]
    sys.modules["__main__"] = module
    exec(compile(source, file or "<string>", "exec"), module.__dict__)


def _run(form, name, arguments):
    sys.argv = [name if form == "script" else "-" + form[0], *arguments]
    if form == "module":
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    elif form == "code":
        _run_code(name, None)
    else:
        with open(name, "rb") as file:
            source = file.read()
        _run_code(source, name)


def _status_of(run):
    """Runs. Its exit status: 0, or what an exit, an interrupt or an error of the program makes of it."""
    try:
        run()
    except SystemExit as end:
        return end.code
    except BaseException as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in (__file__, runpy.__file__, "<frozen runpy>"):
            trace = trace.tb_next
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        traceback.print_exception(type(error), error, trace)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


# ---- the results

def _write_every(seconds, write):
    """Until the function returned is called."""
    over = threading.Event()

    def loop():
        while not over.wait(seconds):
            write()
    thread = threading.Thread(target=loop, name="kernprof", daemon=True)
    thread.start()

    def end():
        over.set()
        thread.join()
    return end


def _report(profiler, options, out, shown):
    profiler.dump_stats(out)
    if not options.quiet:
        print("Wrote profile results to %s" % shown)
    if options.verbose and options.line_by_line:
        profiler.print_stats(output_unit=options.unit, stripzeros=options.skip_zero, summarize=options.summarize)
    elif options.verbose:
        profiler.print_stats()
    elif not options.quiet:
        viewer = "pyrec kernprof --inspect" if options.line_by_line else "python -m pstats"
        print("Inspect results with:\n%s %s" % (viewer, shown))


def _profile(profiler, options, form, name, arguments, everything, out):
    """Runs setup and program. The program's exit status."""
    if options.setup is not None:
        _run("script", options.setup, [])
    end = _write_every(options.output_interval, lambda: profiler.dump_stats(out)) if options.output_interval else None
    if everything:
        profiler.enable_by_count()
    status = _status_of(lambda: _run(form, name, arguments))
    profiler.disable()
    if end is not None:
        end()
    return status


def main(args=None):
    """kernprof's. Returns the program's exit status."""
    if args is None and sys.argv[1:2] == ["--inspect"]:
        return line_profiler.main(["-mt", *sys.argv[2:]])
    words, form, name, arguments = _split(sys.argv[1:] if args is None else args)
    options = _parser().parse_args(words)
    if form is None:
        _parser().error("too few arguments: SCRIPT, -m MODULE or -c CODE")
    if form == "script":
        name = _find_script(name)
        sys.path[0] = os.path.dirname(os.path.abspath(name))
    base = {"script": os.path.basename(name), "module": name, "code": "code"}[form]
    shown = options.outfile or "%s.%s" % (base, "lprof" if options.line_by_line else "prof")
    out = os.path.abspath(shown)
    targets = Targets(options.prof_mod, name if form == "script" else None)
    profiler = LineProfiler(targets) if options.line_by_line else CallProfiler()
    if options.line_by_line or options.builtin:
        builtins.profile = profiler
    everything = bool(targets) if options.line_by_line else not options.builtin
    folder, process = tempfile.mkdtemp(prefix="pyrec-"), os.getpid()
    try:
        _windows.keep_in(os.path.join(folder, "trace.bin"))
        status = _profile(profiler, options, form, name, arguments, everything, out)
        if os.getpid() == process:   # not a child that came back from the program
            _report(profiler, options, out, shown)
    finally:
        if os.getpid() == process:
            shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
