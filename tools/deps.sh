#!/bin/bash
# What the build and the tests need, and how to get it.
#
#   tools/deps.sh install|report [build|demo|check|torture|all]
#
# install: nothing missing, nothing happens; else apt-get, its command printed first. Without root, or with
# `report`, the missing packages are named in one line and the exit status is 1.
set -u

# needed by | probe: a command, or a path (of which one must exist) | Debian package
needs='
build   cc                              gcc
build   /usr/include/*/sys/types.h:/usr/include/sys/types.h   libc6-dev
build   python3                         python3
build   python-headers                  python3-dev
build   /usr/include/sqlite3.h          libsqlite3-dev
build   /usr/include/zip.h              libzip-dev
build   /usr/include/zlib.h             zlib1g-dev
check   /usr/include/cmocka.h           libcmocka-dev
check   sqlite3                         sqlite3
check   callgrind_annotate              valgrind
check   pprofile3:pprofile                   python3-pprofile
check   unzip                           unzip
check   mandoc                          mandoc
check   zsh                             zsh
check   /usr/lib/python3*/dist-packages/greenlet   python3-greenlet
check   /usr/lib/python3/dist-packages/IPython   python3-ipython
check   /usr/lib/python3/dist-packages/line_profiler   python3-line-profiler
check   /usr/lib/python3*/ensurepip   python3-venv
check   xmllint                         libxml2-utils
check   chromium:google-chrome          chromium
torture /usr/lib/python3*/test/test_generators.py   libpython3.11-testsuite
torture /usr/lib/python3*/dist-packages/gevent      python3-gevent
torture /usr/lib/python3*/dist-packages/flask       python3-flask
torture /usr/lib/python3*/dist-packages/numpy       python3-numpy
torture /usr/lib/python3*/dist-packages/pytest      python3-pytest
torture cython3                         cython3
torture kcachegrind                     kcachegrind
torture Xvfb                            xvfb
torture xdotool                         xdotool
torture dbus-run-session                dbus-daemon
torture lcov                    lcov
lint    clang:clang-14                  clang
lint    clang-tidy:clang-tidy-14        clang-tidy
lint    cppcheck                        cppcheck
lint    shellcheck                      shellcheck
'

python_headers()
{
    local include
    include=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null) &&
        [ -f "$include/Python.h" ]
}

present()
{
    local probe
    for probe in ${1//:/ }; do
        case $probe in
        python-headers) python_headers && return 0 ;;
        /*) compgen -G "$probe" >/dev/null && return 0 ;;
        *) command -v "$probe" >/dev/null && return 0 ;;
        esac
    done
    return 1
}

action=$1
case ${2:-all} in
build | demo) stages=' build ' ;;
check) stages=' build check ' ;;
torture) stages=' build check torture ' ;;
*) stages=' build check torture lint ' ;;
esac

packages=()
while read -r stage probe package; do
    [[ -n $stage && $stages == *" $stage "* ]] || continue
    present "$probe" || packages+=("$package")
done <<<"$needs"

[ ${#packages[@]} -gt 0 ] || exit 0
if [ "$action" != install ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: ${packages[*]} (as Debian calls them); install them, or run \`make deps\` as root" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -y --no-install-recommends "${packages[@]}")
echo "apt-get update && ${install[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update && "${install[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -5 "$log" >&2
    echo "could not install: ${packages[*]}" >&2
    exit 1
fi
