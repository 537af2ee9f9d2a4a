#!/bin/bash
# make demo: records a sample, shows the hottest lines, leaves trace, picture and database in BUILD/demo/.
#
#   tools/demo.sh BUILD
set -eu
build=$1
demo=$build/demo
rm -rf "$demo"
mkdir -p "$demo"

say()
{
    echo
    echo "\$ $*"
}

say "$build/pyrec run -o $demo/trace.bin samples/weblog"
"$build/pyrec" run -q -o "$demo/trace.bin" samples/weblog >"$demo/output.txt"
head -4 "$demo/output.txt"
echo '...'

"$build/pyanalyze" "$demo/trace.bin" --db "$demo/profile.db" --format "flamegraph=$demo/flamegraph.svg" 2>/dev/null

say "$build/pyanalyze $demo/trace.bin"
# The report's head: what was recorded, and the hottest lines. The files follow.
"$build/pyanalyze" "$demo/profile.db" 2>/dev/null | sed '/^File: /,$d' | cut -c1-110
echo '... and the annotated source of each file'

echo
echo "In $demo: $(cd "$demo" && du -h trace.bin flamegraph.svg profile.db | awk '{printf "%s%s (%s)", sep, $2, $1; sep = ", "}')"
echo "Next:"
printf '  %-44s  %s\n' \
    "$build/pyanalyze $demo/trace.bin" '# the annotated source, hottest first' \
    "xdg-open $demo/flamegraph.svg" '# the flame graph, in a browser' \
    "$build/pyrec run your_program.py" '# record a program of yours'
