"""profile's interface, recorded by pyrec; see pyrec.compat.cProfile.

There is nothing to calibrate: what pyrec costs is little, and it is not subtracted.
"""
from . import cProfile as _cProfile
from .cProfile import main, run, runctx  # noqa: F401

__all__ = ["run", "runctx", "Profile"]


class Profile(_cProfile.Profile):
    """profile.Profile(timer, bias): only None and None or 0 have a meaning. run(), runctx() and runcall() enable it."""

    bias = 0

    def __init__(self, timer=None, bias=None):
        super().__init__(timer)
        if bias:
            raise NotImplementedError("pyrec subtracts nothing: bias must be None or 0")

    def calibrate(self, m, verbose=0):
        """What profiling costs a call, for `bias`: nothing that could be subtracted."""
        return 0.0

    def set_cmd(self, cmd):
        """profile has a pretended frame of this name; here is none."""


if __name__ == "__main__":
    main()
