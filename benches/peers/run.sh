#!/bin/sh
# Compares hybi with other libraries: ./run.sh quick | loopback [ARGUMENTS OF loop.py] | full
#
# quick: measures the codec cells and prints a table of ratios; less than a minute after the build.
# loopback: compares the adapter for tokio with other servers and with its targets; a few minutes.
# full: measures everything, about half an hour; writes results/RESULTS.md, results/peers.svg and their data.
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-target}
mkdir -p results

# glibc before 2.39 copies with `rep movsb` on CPUs where it is ten times slower for some addresses (glibc bug 30994).
# Chance decides which contender gets such addresses. With these settings, glibc behaves as newer versions do.
never=1000000000
export GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=$never:glibc.cpu.x86_rep_stosb_threshold=$never

bench() {
    taskset -c 1 "$1/release/bench" run "$2" --json "$3" 2>results/bench.log || {
        # `bench` fails if a contender fails its check in a cell. The other results are still valid.
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

    # Servers in other languages, as far as their compilers and libraries are installed.
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
