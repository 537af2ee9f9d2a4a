"""`python -m pyrec run|analyze …`: the commands pyrec and pyanalyze of this installation, for this interpreter."""
import os
import sys

from . import _load


def main(arguments):
    installation = _load.find_installation()
    path = installation.command("pyrec") if installation is not None else None
    if path is None:
        sys.exit("pyrec: the command pyrec is not there: no installation above %s" % os.path.dirname(__file__))
    words = list(arguments)
    if not words[:1] == ["analyze"]:
        words[:1 if words[:1] == ["run"] else 0] = ["run", "--python", sys.executable]
    if "--python" in words[:2] and words[3:4] in (["--help"], ["-h"], ["--version"], ["-V"]):
        words = words[3:]
    sys.stdout.flush()
    os.execv(path, ["pyrec", *words])


if __name__ == "__main__":
    main(sys.argv[1:])
