#!/usr/bin/env bash
# Creates the corpus of a target again: fuzz/minimise.sh TARGET [FILES]
#
# The corpus is the smallest known set of inputs that reaches all known code which the seeds do not reach. If this set
# has more than FILES inputs (by default 100), the script keeps FILES of them, of all sizes.
set -euo pipefail

cd "$(dirname "$0")/.."
target=$1 most=${2:-100}
binary=fuzz/target/x86_64-unknown-linux-gnu/release/$target
fuzz/seeds.py >/dev/null
mkdir -p "fuzz/seeds/$target" "fuzz/corpus/$target" "fuzz/grown/$target"
merged=$(mktemp -d)
trap 'rm -rf "$merged"' EXIT
# libFuzzer merges into a copy of the seeds. It adds only inputs that reach more code than the seeds.
mkdir "$merged/seeds"
cp -r "fuzz/seeds/$target/." "$merged/seeds"
ls "$merged/seeds" | sort >"$merged/names"
"$binary" -set_cover_merge=1 -max_len=512 "$merged/seeds" "fuzz/corpus/$target" "fuzz/grown/$target" 2>"$merged/log"
rm -rf "fuzz/corpus/$target"
mkdir -p "fuzz/corpus/$target"
(cd "$merged/seeds" && ls -Sr | grep -vxFf ../names) >"$merged/new" || true
awk -v all="$(wc -l <"$merged/new")" -v most="$most" '
    all <= most || int(NR * most / all) > int((NR - 1) * most / all)' "$merged/new" |
    while read -r name; do
        cp "$merged/seeds/$name" "fuzz/corpus/$target/"
    done
printf '%s: %s files, %s bytes\n' "$target" "$(ls "fuzz/corpus/$target" | wc -l)" \
    "$(cat "fuzz/corpus/$target"/* 2>/dev/null | wc -c)"
