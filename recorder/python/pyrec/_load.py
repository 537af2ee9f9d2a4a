"""Where the parts of this installation are: the commands, and the recorder built for this interpreter.

The recorder knows pyrec's own package by this file: a folder `pyrec` with a `_load.py` in it is never recorded.
"""
import os
import sys
import sysconfig
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

NAME = "pyrec._recorder"
VERSIONS = (3, 9), (3, 14)  # the oldest and the newest that there is a recorder for


class Installation:
    """Where things are. `root` holds lib/pyrec, and the commands in itself or in bin/."""

    def __init__(self, root):
        self.root = root
        self.library = os.path.join(root, "lib", "pyrec")

    def command(self, name):
        """The path of a command, or None."""
        for path in (self.root + "/bin/" + name, self.root + "/" + name):
            if os.access(path, os.X_OK):  # no os.path here: a query is not recorded
                return path
        return None


def find_installation():
    """The nearest folder above this package that has a lib/pyrec: a prefix, a virtual environment, a build."""
    folder = os.path.dirname(os.path.abspath(__file__))
    while True:
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
        for root in (folder, os.path.join(folder, "build")):
            if os.path.exists(os.path.join(root, "lib", "pyrec", "preload.so")):
                return Installation(root)


def loaded_recorder():
    """The recorder that `pyrec run` has loaded into this process, or None: there may be only one."""
    end = "/%s/pyrec.so" % sysconfig.get_config_var("SOABI")
    with open("/proc/self/maps", "rb") as file:
        for line in file.read().split(b"\n"):
            path = os.fsdecode(line[line.find(b"/"):]) if b"/" in line else ""
            if path.endswith(end):
                return path
    return None


def check_interpreter():
    """ImportError if no recorder can be built for it."""
    version = sys.version.split()[0]
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise ImportError("%s is a free-threaded build of CPython %s, which pyrec does not record" % (
            sys.executable, version))
    if not VERSIONS[0] <= sys.version_info[:2] <= VERSIONS[1]:
        raise ImportError("%s is CPython %s; pyrec records %d.%d to %d.%d" % (
            (sys.executable, version) + VERSIONS[0] + VERSIONS[1]))


def load(installation):
    """The extension module. ImportError, with the command that builds it, if there is none."""
    check_interpreter()
    soabi = str(sysconfig.get_config_var("SOABI"))
    path = loaded_recorder()
    if path is None and installation is not None:
        path = os.path.join(installation.library, soabi, "pyrec.so")
    if path is None:
        raise ImportError("pyrec is not installed completely: no lib/pyrec above %s" % os.path.dirname(__file__))
    if not os.path.exists(path):
        raise ImportError("no recorder for CPython %s (%s); build it: make PYTHON=%s" % (
            sys.version.split()[0], path, sys.executable or "python3"))
    loader = ExtensionFileLoader(NAME, path)
    return module_from_spec(spec_from_file_location(NAME, path, loader=loader))
