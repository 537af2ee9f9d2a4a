#!/bin/bash
# make lint: everything that can be said about the sources without running them.
#
#   tests/lint/lint.sh MAKE BUILD
# shellcheck disable=SC2317 # functions are called through step()
set -u
cd "$(dirname "$0")/../.." || exit 1
make=$1
build=$2
failed=0

# step TITLE COMMAND...: shows the output of a command that fails.
step()
{
    local title=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok      $title"
    else
        printf '%s\n' "$output" | grep -vE '^[0-9]+ warnings? (generated|treated as errors)' | tail -60
        echo "FAILED  $title"
        failed=1
    fi
}

first_of()
{
    local command
    for command in "$@"; do
        command -v "$command" && return
    done
    echo "$1"
}

warnings_are_errors()
{
    "$make" --no-print-directory CC="$1" WERROR=1 BUILD="$build/lint-$2" PYTHONS="$(tools/pythons.sh | tr "\n" " ")" \
        all unit-programs fuzz-programs
}

tidy()
{
    local include flags=(-std=gnu11 -D_GNU_SOURCE -I. "-I$build/lint-gcc" '-DPYREC_VERSION="0"' '-DPYREC_MULTIARCH="m"'
        '-DPYREC_SOABI="s"')
    read -ra include < <(python3 -c 'import sysconfig
for d in {sysconfig.get_path("include"), sysconfig.get_path("platinclude")}:
    print("-isystem" + d, "-isystem" + d + "/internal", end=" ")')
    # The unit tests are cmocka's macros for the most part: they are compiled with warnings, not examined.
    find recorder analyzer formats -name '*.c' -print0 |
        xargs -0 -P "$(nproc)" -I{} "$clang_tidy" --quiet {} -- "${flags[@]}" "${include[@]}"
}

clang=$(first_of clang clang-14)
clang_tidy=$(first_of clang-tidy clang-tidy-14)

step 'gcc, warnings as errors' warnings_are_errors gcc gcc
step 'clang, warnings as errors' warnings_are_errors "$clang" clang
step 'clang-tidy' tidy
step 'cppcheck' cppcheck --quiet --std=c11 --inline-suppr --error-exitcode=1 -j "$(nproc)" -I . \
    --enable=warning,performance,portability --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective \
    --suppress=shiftTooManyBitsSigned --suppress=allocaCalled:recorder/preload_exec.c \
    -DPYREC_VERSION='"0"' -DPYREC_MULTIARCH='"m"' -DPYREC_SOABI='"s"' recorder analyzer formats
step 'include law' tests/lint/includes.sh
step 'shellcheck' shellcheck tools/*.sh tests/lint/*.sh tests/fuzz/*.sh .ci/run
step 'python syntax' python3 -m compileall -q -f -j "$(nproc)" samples tests recorder/python
exit "$failed"
