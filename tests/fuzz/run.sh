#!/bin/bash
# Fuzzes each target for its share of the time, one after the other.
#
#   tests/fuzz/run.sh PROGRAMS SECONDS [TARGET...]
#
# PROGRAMS: the folder of targets linked with libFuzzer. What they learn stays in PROGRAMS/../corpus, an input
# that breaks one is kept in tests/corpus/TARGET, and PROGRAMS/../statistics counts executions and seconds over
# all runs. The exit status is 1 if anything broke.
set -u

programs=$1
seconds=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
corpus=$here/../corpus
work=$(dirname "$programs")
broken=0

if [ $# -eq 0 ]; then
    for source in "$here"/fuzz_*.c; do
        source=${source##*/fuzz_}
        set -- "$@" "${source%.c}"
    done
fi
share=$((seconds / $# > 0 ? seconds / $# : 1))

# Only the largest traces and databases need more than this; a page of nothing teaches nothing.
declare -A longest=([trace]=65536 [database]=65536 [profile]=16384 [replay]=16384 [rows]=32768)
declare -A dictionary=([sql]=sql)
# Seeds that are made of traces: databases follow the schema of the day.
declare -A kinds=([replay]=packed [profile]=packed [rows]=rows [database]=database)

for target in "$@"; do
    mkdir -p "$work/corpus/$target" "$corpus/$target"
    for trace in "$corpus"/*.bin "$corpus"/trace/*; do
        [ -z "${kinds[$target]:-}" ] || "$programs/../fuzz-seeds" "${kinds[$target]}" "$trace" \
            "$work/corpus/$target/$(basename "$trace")" 2>/dev/null
    done
    log=$work/$target.log
    started=$SECONDS
    # No memory and no second is endless; leaks are found at the end of every input.
    ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:max_allocation_size_mb=1024 \
        "$programs/$target" -max_total_time="$share" -print_final_stats=1 -timeout=20 -rss_limit_mb=2048 \
        -max_len="${longest[$target]:-4096}" -dict="$here/${dictionary[$target]:-trace}.dict" \
        -artifact_prefix="$(realpath "$corpus/$target")/" \
        "$work/corpus/$target" "$corpus/$target" >"$log" 2>&1
    status=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    spent=$((SECONDS - started))
    echo "$target ${executions:-0} $spent" >>"$work/statistics"
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    printf '%-10s %10d executions, %5d s, %6s edges%s\n' "$target" "${executions:-0}" "$spent" "${edges:-?}" \
        "$([ $status -eq 0 ] || echo ", BROKEN: see $log")"
    [ $status -eq 0 ] || broken=1
done
awk '{ executions += $2; seconds += $3 } END {
    printf "all runs: %d executions, %.1f hours\n", executions, seconds / 3600 }' "$work/statistics"
exit $broken
