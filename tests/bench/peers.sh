#!/bin/bash
# Installs the profilers that bench.py and sampling.py set beside ours: those of Debian for its own Python (as root), current releases
# from PyPI into a private virtual environment for each other interpreter.
#
#   peers.sh FOLDER PYTHON...        makes FOLDER/venv-VERSION for each
set -u

folder=$1
shift
version='import sys; print("%d.%d.%d" % sys.version_info[:3])'
debian=(python3-pprofile python3-line-profiler python3-coverage python3-yappi)
current=(pprofile line_profiler coverage yappi viztracer pyinstrument py-spy)

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${debian[@]}" >/dev/null ||
        echo "peers: not all of ${debian[*]} could be installed" >&2
else
    echo "peers: as root, apt-get install ${debian[*]}" >&2
fi

status=0
for python in "$@"; do
    venv=$folder/venv-$("$python" -c "$version")
    if [ ! -x "$venv/bin/python" ] && ! "$python" -m venv "$venv"; then
        status=1
        continue
    fi
    for package in "${current[@]}"; do
        "$venv/bin/python" -m pip install -q --disable-pip-version-check --prefer-binary "$package" </dev/null ||
            echo "peers: no $package for $python" >&2
    done
    "$venv/bin/python" -m pip list --disable-pip-version-check
done
exit $status
