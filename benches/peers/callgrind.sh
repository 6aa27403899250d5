#!/bin/sh
# Counts the instructions for one message, as the difference of two runs. Prints lines of CELL CONTENDER INSTRUCTIONS.
#
# The variables CELLS and ONLY choose cells and contenders, separated by commas. valgrind has no AVX-512, so libraries
# that choose vector instructions at run time use AVX2. ../instructions counts more cells for hybi alone, and compares
# them with the previous run.
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
        # A contender that does not support the cell executes nearly no instructions, and is left out.
        if [ "$each" -gt 20 ]; then echo "$cell $contender $each"; fi
    done
done
