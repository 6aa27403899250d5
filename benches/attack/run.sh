#!/bin/sh
# Measures the effect of floods on honest connections: ./run.sh [OPTIONS OF src/bin/attack.rs]
set -eu
cd "$(dirname "$0")"
cargo build --release --bins
exec taskset -c 0 "${CARGO_TARGET_DIR:-target}/release/attack" "$@"
