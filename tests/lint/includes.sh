#!/bin/bash
# The include law: recorder -> formats/trace; analyzer -> formats; formats -> no other folder of ours; a format does not
# include trace headers, except the trace folder itself; project headers are written from the root of the tree.
set -eu
cd "$(dirname "$0")/../.."

broken=$(
    grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' --include='*.[ch]' recorder analyzer formats |
        awk -F: '
            {
                folder = $1; sub("/[^/]*$", "", folder)
                top = folder; sub("/.*", "", top)
                target = $3; sub(/^[^"]*"/, "", target); sub(/".*/, "", target)
                why = ""
                if (target ~ /^generated\//)
                    next
                if (target !~ "/")
                    why = "is not written from the root of the tree"
                else if (folder == "formats/trace" && target !~ "^formats/trace/")
                    why = "formats/trace knows only itself"
                else if (top == "formats" && target !~ "^formats/")
                    why = "formats knows neither recorder nor analyzer"
                else if (top == "recorder" && target !~ "^recorder/" && target !~ "^formats/trace/")
                    why = "the recorder knows only formats/trace"
                else if (top == "analyzer" && target !~ "^analyzer/" && target !~ "^formats/")
                    why = "the analyzer knows only formats"
                else if (folder == "recorder/backend" && target ~ "^formats/")
                    why = "a backend knows no trace format"
                if (why != "")
                    printf "%s:%s: \"%s\": %s\n", $1, $2, target, why
            }'
)
# Outside recorder/pycompat.h nobody asks for the version of CPython.
versions=$(grep -rn PY_VERSION_HEX --include='*.[ch]' recorder analyzer formats |
    grep -v '^recorder/pycompat\.h:' || true)
# formats/trace needs libc and nothing else.
foreign=$(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<(Python|sqlite3|zip|zlib)' --include='*.[ch]' \
    formats/trace || true)

if [ -n "$broken$versions$foreign" ]; then
    printf '%s\n' "$broken" "$versions" "$foreign" | grep .
    exit 1
fi
