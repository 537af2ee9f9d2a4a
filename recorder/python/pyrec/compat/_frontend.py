"""The command lines of other profilers, as programs of their own."""
import os
import sys

import pyrec


def become(name, arguments):
    """This process is `pyrec NAME ...` from now on, with this interpreter."""
    command = pyrec._installation.command("pyrec") if pyrec._installation is not None else None
    if command is None:
        raise pyrec.Error("the command pyrec is not there: no installation of it above %s"
                          % os.path.dirname(pyrec.__file__))
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ.setdefault("PYREC_PYTHON", sys.executable)
    os.execv(command, ["pyrec", name, *arguments])
