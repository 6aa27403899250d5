#!/bin/sh
# hybi beside its peers: ./run.sh quick | loopback [ARGUMENTS OF loop.py] | full
#
# quick: the codec cells and a table of ratios, under a minute once it is built.
# loopback: the adapter for tokio beside other servers, a few minutes; what it is to reach, and whether it does.
# full: everything, about half an hour; results/RESULTS.md, results/peers.svg and what they are made of.
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-target}
mkdir -p results

# Before 2.39 glibc copies with `rep movsb` on CPUs where that is ten times slower for some addresses than for
# others (its bug 30994): who is hit in a run is chance. This is what newer ones do.
never=1000000000
export GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=$never:glibc.cpu.x86_rep_stosb_threshold=$never

bench() {
    taskset -c 1 "$1/release/bench" run "$2" --json "$3" 2>results/bench.log || {
        # A contender that fails its check is left out of the cell.
        grep '^!!' results/bench.log >&2 || { tail -n 20 results/bench.log >&2 && exit 1; }
    }
}

case ${1:-} in
quick)
    cargo build --release --bin bench
    bench "$target" --quick results/quick.json
    python3 results.py results/quick.json --print --md results/quick.md --svg results/quick.svg
    ;;
loopback)
    shift
    cargo build --release --bin echo --bin load
    python3 loop.py --json results/loopback.json --md results/loopback.md "$@"
    cat results/loopback.md
    ;;
full)
    cargo build --release --bins
    bench "$target" --full results/codec.json
    CARGO_TARGET_DIR=target-native RUSTFLAGS='-C target-cpu=native' cargo build --release --bin bench
    bench target-native --full results/codec-native.json
    : >results/instructions.txt
    if command -v valgrind >/dev/null; then ./callgrind.sh >results/instructions.txt; fi
    python3 results.py results/codec.json --print --instructions results/instructions.txt \
        --md results/RESULTS.md --svg results/peers.svg
    python3 results.py results/codec-native.json --md results/native.md

    # Servers in other languages, those for which there is what they need.
    (
        cd other
        if command -v npm >/dev/null; then npm install --no-audit --no-fund --silent || true; fi
        g++ -O3 -march=native -std=c++17 -DNDEBUG beast_echo.cpp -o beast_echo -lpthread 2>/dev/null || true
        gcc -O3 lws_echo.c -o lws_echo -lwebsockets 2>/dev/null || true
    )
    python3 loop.py --json results/loop.json --md results/loop.md
    if [ -d other/node_modules ]; then node other/node_deflate.mjs >results/deflate-node.txt; fi
    ls -l results
    ;;
*)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
