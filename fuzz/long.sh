#!/usr/bin/env bash
# Runs all fuzz targets in turn, and stops at the first failure: fuzz/long.sh HOURS [SECONDS]
#
# A turn of a target takes SECONDS, by default 300. As many targets run at a time as there are processors. With 0 HOURS
# each target runs once. The script needs a nightly Rust and cargo-fuzz. Inputs that reach new code are kept in
# fuzz/grown for later runs. An input that makes a target fail is stored in fuzz/artifacts.
set -euo pipefail

[ $# -ge 1 ] || { sed -n 's/^# \(Runs .*\)/\1/p' "$0"; exit 2; }
hours=$1 turn=${2:-300}
cd "$(dirname "$0")/.."
cargo +nightly fuzz build
fuzz/seeds.py >/dev/null
mapfile -t targets < <(cargo +nightly fuzz list)
place=fuzz/target/x86_64-unknown-linux-gnu/release logs=fuzz/target/logs
mkdir -p "$logs"
rm -f "$logs"/*
: >"$logs/turns"

set -m # each turn is a process group, so that all its processes can be killed together
run_target() {
    local target=$1 status=0 folder dictionary=fuzz/dictionaries/$1.dict options folders=()
    for folder in grown corpus seeds; do
        mkdir -p "fuzz/$folder/$target"
        folders+=("fuzz/$folder/$target")
    done
    mkdir -p "fuzz/artifacts/$target"
    options=(-max_total_time="$turn" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1)
    options+=(-artifact_prefix="fuzz/artifacts/$target/")
    [ ! -e "$dictionary" ] || options+=(-dict="$dictionary")
    local TIMEFORMAT='%U %S'
    { time "$place/$target" "${options[@]}" "${folders[@]}" >"$logs/$target" 2>&1 || status=$?; } 2>"$logs/time-$target"
    echo "$target $(cat "$logs/time-$target") $(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target")" \
        >>"$logs/turns"
    return "$status"
}

running=0
await() {
    wait -n || found
    running=$((running - 1))
}
found() {
    trap - INT TERM
    local group
    for group in $(jobs -p); do
        kill -- "-$group" 2>/dev/null || true
    done
    wait
    report
    grep -lE 'ERROR: |SUMMARY: ' "$logs"/* | xargs -r tail -n 60
    echo 'stopped'
    exit 1
}
trap found INT TERM

report() {
    printf '%-20s %9s %13s\n' target 'CPU s' executions
    sort "$logs/turns" | awk '
        { cpu[$1] += $2 + $3; all += $2 + $3; runs[$1] += $4 }
        END {
            for (target in cpu) printf "%-20s %9.0f %13d\n", target, cpu[target], runs[target] | "sort"
            close("sort")
            printf "%-20s %9.0f\n", "all", all
        }'
}

end=$((SECONDS + hours * 3600))
while :; do
    for target in "${targets[@]}"; do
        [ "$running" -lt "$(nproc)" ] || await
        run_target "$target" &
        running=$((running + 1))
    done
    [ "$SECONDS" -lt "$end" ] || break
done
while [ "$running" -gt 0 ]; do
    await
done
report
