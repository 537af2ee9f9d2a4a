"""A program that says everything it can find out about itself, as JSON: a map of names to facts.

test_invisible.py runs it plainly and recorded and compares. Facts that differ from run to run (addresses,
process ids, inode numbers, counts of allocations) are left out or made alike.
"""
import sys

MODULES_AT_START = sorted(sys.modules)
PATH_AT_START = list(sys.path)
HOOKS_AT_START = (sys.gettrace(), sys.getprofile())

import _thread
import atexit
import builtins
import faulthandler
import gc
import json
import linecache
import locale
import os
import re
import resource
import signal
import threading
import traceback
import warnings


def plain(thing):
    return re.sub(r"0x[0-9a-fA-F]+", "0x", repr(thing))


def read(path):
    with open(path, "rb") as file:
        return file.read().decode("utf-8", "surrogateescape")


def status_lines():
    """What the kernel says of the process, without what changes by itself."""
    wanted = ("Umask", "State", "TracerPid", "Uid", "Gid", "Groups", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn",
              "SigCgt", "CapEff", "NoNewPrivs", "Seccomp", "CoreDumping")
    return [line for line in read("/proc/self/status").splitlines() if line.split(":")[0] in wanted]


def descriptors(low, high):
    found = []
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        if low <= int(name) < high:
            try:
                target = os.readlink("/proc/self/fd/" + name)
            except OSError:
                continue  # the folder's own
            found.append([int(name), re.sub(r":\[\d+\]", "", target), os.get_inheritable(int(name))])
    return found


def mapped_files():
    lines = (line.split(None, 5) for line in read("/proc/self/maps").splitlines())
    return sorted({fields[5] for fields in lines if len(fields) == 6 and fields[5].startswith("/")})


def handlers():
    return [[int(number), plain(signal.getsignal(number))] for number in sorted(signal.valid_signals())]


def main_module():
    main = sys.modules["__main__"]
    names = ("__name__", "__file__", "__spec__", "__loader__", "__cached__", "__package__", "__doc__", "__path__")
    return {name: plain(getattr(main, name, "(none)")) for name in names}


def monitoring():
    if not hasattr(sys, "monitoring"):
        return None
    return [[tool, sys.monitoring.get_tool(tool)] for tool in range(6)]


def monitoring_events():
    if not hasattr(sys, "monitoring"):
        return None
    return [[tool, sys.monitoring.get_events(tool)] for tool in range(6) if sys.monitoring.get_tool(tool)]


def limits():
    names = sorted(name for name in dir(resource) if name.startswith("RLIMIT_"))
    return [[name, resource.getrlimit(getattr(resource, name))] for name in names]


def raise_and_format():
    try:
        int("x")
    except ValueError:
        return traceback.format_exc()


def types():
    gc.collect()  # or classes that are dead already show by chance
    return sorted(plain(kind) for kind in object.__subclasses__())


def functions():
    """Built-in functions that a tracer might replace."""
    things = (sys.settrace, sys.setprofile, sys.gettrace, sys._getframe, sys.exit, os._exit, os.fork, os.execv,
              _thread.start_new_thread, builtins.__import__, builtins.exec, builtins.compile, threading.Thread.run)
    return [plain(thing) for thing in things]


def sample(first, second=2):
    return [item for item in (first, second)]


FACTS = {
    "argv": lambda: sys.argv,
    "orig_argv": lambda: getattr(sys, "orig_argv", None),
    "executable": lambda: [sys.executable, sys.prefix, sys.base_prefix, sys.exec_prefix],
    "flags": lambda: plain(sys.flags),
    "xoptions": lambda: sorted(sys._xoptions.items()),
    "warnoptions": lambda: sys.warnoptions,
    "path": lambda: PATH_AT_START,
    "modules": lambda: MODULES_AT_START,
    "meta_path": lambda: [plain(finder) for finder in sys.meta_path],
    "path_hooks": lambda: [plain(hook) for hook in sys.path_hooks],
    "path_importer_cache": lambda: sorted(sys.path_importer_cache),
    "sys_names": lambda: sorted(vars(sys)),
    "builtins_names": lambda: sorted(vars(builtins)),
    "globals_names": lambda: sorted(globals()),
    "main": main_module,
    "environ": lambda: list(os.environ.items()),
    "kernel_environ": lambda: [entry for entry in read("/proc/self/environ").split("\0") if entry],
    "kernel_environ_size": lambda: len(read("/proc/self/environ")),
    "cmdline": lambda: read("/proc/self/cmdline"),
    "comm": lambda: read("/proc/self/comm"),
    "exe": lambda: os.readlink("/proc/self/exe"),
    "cwd": lambda: os.getcwd(),
    "descriptors_below_100": lambda: descriptors(0, 100),
    "descriptors_from_100": lambda: descriptors(100, 1 << 30),
    "mapped_files": mapped_files,
    "kernel_status": status_lines,
    "limits": limits,
    "nice": lambda: os.nice(0),
    "affinity": lambda: sorted(os.sched_getaffinity(0)),
    "group_is_inherited": lambda: os.getpgrp() != os.getpid(),
    "parent": lambda: read("/proc/%d/comm" % os.getppid()),
    "signal_handlers": handlers,
    "signal_mask": lambda: sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "timers": lambda: [signal.getitimer(which) for which in range(3)],
    "wakeup_descriptor": lambda: signal.set_wakeup_fd(-1),
    "threads": lambda: [[thread.name, thread.daemon] for thread in threading.enumerate()],
    "thread_count": lambda: len(os.listdir("/proc/self/task")),
    "python_threads": lambda: len(sys._current_frames()),
    "trace_and_profile": lambda: [plain(HOOKS_AT_START), plain(sys.gettrace()), plain(sys.getprofile())],
    "threading_hooks": lambda: [plain(threading._trace_hook), plain(threading._profile_hook)],
    "monitoring": monitoring,
    "monitoring_events": monitoring_events,
    "gc": lambda: [gc.isenabled(), gc.get_threshold(), gc.get_debug(), plain(gc.callbacks), len(gc.garbage)],
    "atexit": atexit._ncallbacks,
    "types": types,
    "functions": functions,
    "hooks": lambda: [plain(hook) for hook in (sys.displayhook, sys.excepthook, sys.unraisablehook, sys.breakpointhook,
                                               threading.excepthook)],
    "async_hooks": lambda: [plain(sys.get_asyncgen_hooks()), sys.get_coroutine_origin_tracking_depth()],
    "limits_of_python": lambda: [sys.getrecursionlimit(), sys.getswitchinterval(), sys.dont_write_bytecode],
    "faulthandler": faulthandler.is_enabled,
    "streams": lambda: [plain(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "encodings": lambda: [sys.getfilesystemencoding(), locale.getlocale(), sys.stdout.encoding, sys.stdout.errors],
    "warnings": lambda: [plain(item) for item in warnings.filters],
    "stack": lambda: traceback.format_stack(),
    "depth": lambda: len(traceback.extract_stack()),
    "traceback": raise_and_format,
    "linecache": lambda: sorted(linecache.cache),
    "code_size": lambda: sample.__code__.__sizeof__(),
    "code_bytes": lambda: [sample.__code__.co_code.hex(), plain(sample.__code__.co_consts)],
    "function": lambda: [sys.getsizeof(sample), sys.getrefcount(sample), sorted(vars(sample)), plain(sample.__code__)],
    "getsizeof_frame": lambda: sys.getsizeof(sys._getframe()),
    "frame_trace": lambda: [plain(sys._getframe().f_trace), sys._getframe().f_trace_lines],
}


def report():
    for count in range(50):
        sample(count)
    return {name: fact() for name, fact in FACTS.items()}


if __name__ == "__main__":
    json.dump(report(), sys.stdout)
    sys.stdout.write("\n")
