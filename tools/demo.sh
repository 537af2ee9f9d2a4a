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

query="SELECT hits, self_ns / 1000 AS self_us, line, text FROM lines ORDER BY self_ns DESC LIMIT 7"
say "$build/pyanalyze $demo/profile.db --sql '$query'"
"$build/pyanalyze" "$demo/profile.db" --sql "$query" | cut -c1-100

echo
echo "In $demo: $(cd "$demo" && du -h trace.bin flamegraph.svg profile.db | awk '{printf "%s%s (%s)", sep, $2, $1; sep = ", "}')"
echo "Next:"
echo "  $build/pyanalyze $demo/trace.bin                  # the annotated source, hottest first"
echo "  xdg-open $demo/flamegraph.svg                     # the flame graph, in a browser"
echo "  $build/pyrec run your_program.py                  # the same for a program of yours"
