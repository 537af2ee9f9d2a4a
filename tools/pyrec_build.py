"""What pip calls to install pyrec (PEP 517 and 660): makes a wheel of what `make` builds.

A wheel has three parts: the package, for the folder of packages; the commands, for bin/; and what `make install` puts
below lib/pyrec and share, for the root of the environment. So an environment looks like any other PREFIX. BUILD and the
other variables of the Makefile can be set in the environment.
"""
import base64
import contextlib
import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE = os.path.join("recorder", "python")
NOT_SOURCE = {".git", "build", "__pycache__"}


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def version():
    return re.search(r"^VERSION := (\S+)$", read("Makefile"), re.MULTILINE).group(1)


def tag():
    """For this interpreter and platform only."""
    python = "cp%d%d" % sys.version_info[:2]
    platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
    return "%s-%s%s-%s" % (python, python, "d" if hasattr(sys, "gettotalrefcount") else "", platform)


def metadata():
    project = read("pyproject.toml")
    field = {name: value for name, value in re.findall(r'^([\w-]+) = "(.*)"$', project, re.MULTILINE)}
    classifiers = ["Classifier: " + text for text in re.findall(r'^    "(.* :: .*)",$', project, re.MULTILINE)]
    return "\n".join([
        "Metadata-Version: 2.1", "Name: pyrec", "Version: " + version(), "Summary: " + field["description"],
        "Requires-Python: " + field["requires-python"]] + classifiers + ["Description-Content-Type: text/markdown", "",
        read("README.md")])


def make(*arguments):
    command = ["make", "--no-print-directory", "-j%d" % (os.cpu_count() or 1), "DEPS=no", "PYTHON=" + sys.executable,
               "PYTHONS=" + sys.executable]
    try:
        subprocess.run(command + list(arguments), cwd=ROOT, check=True, stdout=sys.stderr)
    except FileNotFoundError:
        sys.exit("pyrec is built by make, which is not there")
    except subprocess.CalledProcessError:
        sys.exit("pyrec could not be built; `make deps` installs what building needs")


class Wheel:
    """A wheel being written, with its list of contents."""

    def __init__(self, folder):
        self.name = "pyrec-%s-%s.whl" % (version(), tag())
        self.stem = "pyrec-" + version()
        self.file = zipfile.ZipFile(os.path.join(folder, self.name), "w", zipfile.ZIP_DEFLATED)
        self.record = []

    def add(self, name, data, mode=0o644):
        info = zipfile.ZipInfo(name)
        info.external_attr = (0o100000 | mode) << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        self.file.writestr(info, data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self.record.append("%s,sha256=%s,%d" % (name, digest, len(data)))

    def add_file(self, name, path):
        with open(path, "rb") as file:
            self.add(name, file.read(), 0o755 if os.access(path, os.X_OK) else 0o644)

    def add_tree(self, name, folder):
        for path in walk(folder):
            self.add_file(name + "/" + os.path.relpath(path, folder), path)

    def close(self):
        info = self.stem + ".dist-info/"
        self.add(info + "METADATA", metadata().encode())
        self.add(info + "WHEEL", ("Wheel-Version: 1.0\nGenerator: pyrec_build\nRoot-Is-Purelib: false\nTag: %s\n"
                                  % tag()).encode())
        self.record.append(info + "RECORD,,")
        self.file.writestr(info + "RECORD", "\n".join(self.record) + "\n")
        self.file.close()
        return self.name


def walk(folder):
    """The files below a folder, in order."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - NOT_SOURCE)
        for name in sorted(names):
            if not name.endswith(".pyc"):
                yield os.path.join(here, name)


@contextlib.contextmanager
def installed():
    """A folder with what `make install` installs."""
    make("all")
    with tempfile.TemporaryDirectory() as folder:
        make("-o", "all", "install", "PREFIX=", "DESTDIR=" + folder)
        yield folder


def write_wheel(folder, package):
    """`package`: adds the package itself."""
    wheel = Wheel(folder)
    with installed() as prefix:
        package(wheel)
        for name in sorted(os.listdir(os.path.join(prefix, "bin"))):
            wheel.add_file("%s.data/scripts/%s" % (wheel.stem, name), os.path.join(prefix, "bin", name))
        for path in walk(prefix):
            name = os.path.relpath(path, prefix)
            if not name.startswith(("bin/", "lib/pyrec/python/")):
                wheel.add_file("%s.data/data/%s" % (wheel.stem, name), path)
    return wheel.close()


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return write_wheel(wheel_directory, lambda wheel: wheel.add_tree("pyrec", os.path.join(ROOT, PACKAGE, "pyrec")))


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """The package stays where it is, and finds the build beside it."""
    path = os.path.join(ROOT, PACKAGE) + "\n"
    return write_wheel(wheel_directory, lambda wheel: wheel.add("__editable__.pyrec.pth", path.encode()))


def build_sdist(sdist_directory, config_settings=None):
    stem = "pyrec-" + version()
    with tarfile.open(os.path.join(sdist_directory, stem + ".tar.gz"), "w:gz") as tar:
        for path in walk(ROOT):
            tar.add(path, os.path.join(stem, os.path.relpath(path, ROOT)))
        with tempfile.NamedTemporaryFile() as file:
            file.write(metadata().encode())
            file.flush()
            tar.add(file.name, stem + "/PKG-INFO")
    return stem + ".tar.gz"
