#!/bin/bash
# The CPythons that a recorder can be built for on this machine, one path each: 3.9 to 3.14, with headers, one of each
# version; the system's first, then those of pyenv and on PATH.
set -u

query='import os, sys, sysconfig as s
v = sys.version_info
include = s.get_path("include")
good = (sys.implementation.name == "cpython" and (3, 9) <= v[:2] <= (3, 14)
        and not s.get_config_var("Py_GIL_DISABLED") and os.path.exists(include + "/Python.h"))
print(".".join(map(str, v[:3])) if good else "")'

candidates()
{
    type -ap "${PYTHON:-python3}"
    for minor in 9 10 11 12 13 14; do
        type -ap "python3.$minor"
    done
    if command -v pyenv >/dev/null; then
        for version in $(pyenv versions --bare 2>/dev/null); do
            echo "$(pyenv root)/versions/$version/bin/python3"
        done
    else
        compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/*/bin/python3"
    fi
}

seen=' '
while read -r python; do
    [[ -x $python && $python != */shims/* ]] || continue
    version=$("$python" -c "$query" 2>/dev/null) || continue
    if [ -n "$version" ] && [[ $seen != *" $version "* ]]; then
        seen+="$version "
        echo "$python"
    fi
done < <(candidates)
