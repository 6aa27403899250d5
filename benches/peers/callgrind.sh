#!/bin/sh
# Instructions for one message, as the difference of two runs: lines of CELL CONTENDER INSTRUCTIONS.
#
# CELLS and ONLY (names with a comma between) say which. valgrind has no AVX-512: who looks for vectors at run
# time falls back to AVX2. Of hybi alone ../instructions counts more, beside the run before.
set -eu
cd "$(dirname "$0")"
bench=${CARGO_TARGET_DIR:-target}/release/bench
cells=${CELLS:-server-recv-binary/16B,server-recv-binary/125B,server-recv-text-ascii/16B,\
client-recv-binary/16B,server-send-binary/16B,client-send-binary/16B,handshake-server/499B}
only=${ONLY:-(floor),hybi,hybi-owned,tungstenite,fastwebsockets,tokio-websockets,soketto,yawc,sockudo-ws,\
sockudo-ws/proto,web-socket,websocket-sans-io,embedded-websocket,wtx}

count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" one "$1" "$2" "$3" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

IFS=,
for cell in $cells; do
    case $cell in
    handshake*) few=200 many=1200 ;;
    *) few=10000 many=60000 ;;
    esac
    for contender in $only; do
        first=$(count "$cell" "$contender" $few)
        second=$(count "$cell" "$contender" $many)
        each=$(((${second:-0} - ${first:-0}) / (many - few)))
        # Next to nothing: it cannot do that.
        if [ "$each" -gt 20 ]; then echo "$cell $contender $each"; fi
    done
done
