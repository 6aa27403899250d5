#!/usr/bin/env python3
"""Measures echo servers over loopback. The servers run on core 0, and the load generator on core 1 loads them in turn.

    loop.py [--tls] [--quick] [--only A,B] [--cells PART,PART] [--rounds N] [--secs S] [--idle N] [--json F] [--md F]
"""
import argparse
import contextlib
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
OTHER = os.path.join(HERE, "other")
RELEASE = os.path.join(HERE, os.environ.get("CARGO_TARGET_DIR", "target"), "release")
NAMES = [
    "floor", "tokio", "hybi", "hybi-owned", "hybi+release", "hybi-tokio", "tokio-tungstenite", "tokio-tungstenite+batch",
    "tokio-tungstenite/8K", "tokio-tungstenite/8K+batch", "tokio-websockets", "tokio-websockets+batch",
    "fastwebsockets", "yawc", "yawc+batch", "soketto", "sockudo-ws", "sockudo-ws+batch", "web-socket", "wtx",
]
TLS_NAMES = ["tls/" + name for name in [
    "hybi-tokio", "tokio-tungstenite", "tokio-tungstenite+batch", "tokio-websockets", "tokio-websockets+batch",
]]
# Name of the cell, connections, messages in flight on each connection, bytes of a message.
CELLS = [
    ("16B x1 ping-pong", 1, 1, 16),
    ("64B x64 depth 1", 64, 1, 64),
    ("16B x32 depth 64", 32, 64, 16),
    ("1KiB x32 depth 16", 32, 16, 1024),
    ("64KiB x8 depth 4", 8, 4, 65536),
    ("1MiB x2 depth 1", 2, 1, 1 << 20),
]


def is_library(name):
    """Returns whether a server uses a library other than hybi, and so can be the best library of a cell."""
    return name not in ("floor", "tokio") and not name.removeprefix("tls/").startswith("hybi")


class Server:
    """A server process that runs inside a `with` block."""

    # These ports are below the range from which the system chooses ports of clients.
    ports = itertools.cycle(range(20000, 32000))

    def __init__(self, command):
        self.command = command

    def __enter__(self):
        self.port = next(Server.ports)
        command = ["taskset", "-c", "0", *self.command, str(self.port)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        if not self.process.stdout.readline():
            self.__exit__()
            raise RuntimeError(f"the server does not start: {command}")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def name(self):
        """Returns port and process id in the form that the load generator expects."""
        return f"{self.port}:{self.process.pid}"


def load(*args):
    """Runs the load generator, and returns its measurements for each server."""
    command = ["taskset", "-c", "1", os.path.join(RELEASE, "load"), *map(str, args)]
    pipe = subprocess.PIPE
    done = subprocess.run(command, stdout=pipe, stderr=pipe, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-3:])
    return [json.loads(line) for line in done.stdout.splitlines()]


def attempt(what, attempted):
    """Returns the result of `attempted`. If it fails, prints the error and returns None."""
    try:
        return attempted()
    except (RuntimeError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        print("!!", what, error, file=sys.stderr)
        return None


def measure_idle(command, connections):
    with Server(command) as server:
        return load("idle", connections, server.name())[0]


def measure_cell(commands, cell, what, rounds):
    """Measures all servers in each round, and returns the measurements of each server.

    The generator loads the servers of a round in turn, so that other processes slow all of them down equally. Each
    round starts new processes, because a process can be up to a tenth slower for its whole lifetime, depending on its
    addresses in memory.
    """

    def measure(names):
        with contextlib.ExitStack() as stack:
            running = [stack.enter_context(Server(commands[name])).name() for name in names]
            return dict(zip(names, load(*what, *running)))

    # Servers that do not support the cell are left out, so that the others can be measured.
    able = [name for name in commands if attempt(f"{name} {cell}", lambda: measure([name]))]
    found = []
    for _ in range(rounds):
        measured = attempt(cell, lambda: measure(random.sample(able, len(able))))
        if measured:
            found.append(measured)
    return {name: [measured[name] for measured in found] for name in able}


def servers(only, tls):
    found = {name: [os.path.join(RELEASE, "echo"), name] for name in (TLS_NAMES if tls else NAMES)}
    if tls:
        return {name: command for name, command in found.items() if not only or name in only.split(",")}
    if os.path.exists(os.path.join(OTHER, "node_modules")):
        found["node-ws"] = ["node", os.path.join(OTHER, "node_echo.mjs")]
    for name, program in (("boost-beast", "beast_echo"), ("libwebsockets", "lws_echo")):
        if os.path.exists(os.path.join(OTHER, program)):
            found[name] = [os.path.join(OTHER, program)]
    return {name: command for name, command in found.items() if not only or name in only.split(",")}


def table(title, head, rows):
    lines = [f"### {title}", "", "| |" + "|".join(head) + "|", "|---" * (len(head) + 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def compared(title, cells, results, value, better):
    """Returns a table of values, each with its ratio to the value of the best library."""
    values = {}
    for name, rounds in results.items():
        values[name] = {cell: value(rounds[cell]) for cell in cells if rounds.get(cell)}
    best = {}
    for cell in cells:
        known = [of[cell] for name, of in values.items() if cell in of and is_library(name)]
        best[cell] = better(known) if known else None

    def show(cell, of):
        if cell not in of:
            return "–"
        ratio = f" **{of[cell] / best[cell]:.2f}×**" if best[cell] else ""
        return f"{of[cell]:,.0f}{ratio}"

    return table(title, cells, [[name] + [show(cell, of) for cell in cells] for name, of in values.items()])


def cpu(runs):
    """Returns the median CPU time per message over the rounds."""
    return statistics.median(run["server_cpu_ns_per_msg"] for run in runs)


def ratio_to(runs, others):
    """Returns the ratio of the CPU times of two servers. This is the median of the ratios of all rounds."""
    return statistics.median(
        run["server_cpu_ns_per_msg"] / other["server_cpu_ns_per_msg"] for run, other in zip(runs, others)
    )


def judged(results, memory, targets):
    """Compares the adapter for tokio with the best library and with its targets."""
    tls = "tls/hybi-tokio" in results
    own, rows = results.get("tls/hybi-tokio" if tls else "hybi-tokio", {}), []
    for cell, must in targets["loopback TLS CPU" if tls else "loopback CPU"].items():
        known = [name for name, of in results.items() if cell in of and is_library(name)]
        if cell in own and known:
            ratio, best = max((ratio_to(own[cell], results[name][cell]), name) for name in known)
            ours, its = (f"{cpu(of[cell]):,.0f}" for of in (own, results[best]))
            met = "yes" if ratio <= must else "**no**"
            rows.append([cell, ours, best, its, f"{ratio:.3f}", f"{must:.2f}", met])
    head = ["hybi-tokio ns", "best library", "its ns", "ratio", "must", "met"]
    tables = [table(f"CPU time of the server per message{' over TLS' if tls else ''}", head, rows)]
    if "hybi-tokio" in memory and "tokio" in memory:
        echoed = {name: of["bytes_per_conn_after_one_echo"] / 1024 for name, of in memory.items()}
        whole, bare = echoed["hybi-tokio"], echoed["tokio"]
        musts, rows = targets["idle KiB"], []
        for what, size, must in (
            ("all", whole, musts["all"]), ("tokio's task and socket", bare, None),
            ("the rest, which is hybi's", whole - bare, musts["ours"]),
        ):
            met = "" if must is None else "yes" if size <= must else "**no**"
            rows.append([what, f"{size:.2f}", "" if must is None else f"{must}", met])
        title = "Memory of a connection that idles after one echo"
        tables.append(table(title, ["KiB", "must", "met"], rows))
    return tables


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--cells", default="")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--secs", type=float)
    parser.add_argument("--idle", type=int)
    parser.add_argument("--json")
    parser.add_argument("--md")
    args = parser.parse_args()
    rounds = args.rounds or (3 if args.quick else 20)
    secs = args.secs or 0.2
    idle = 0 if args.tls else args.idle if args.idle is not None else (500 if args.quick else 9000)
    commands = servers(args.only, args.tls)
    wanted = [cell for cell in CELLS if any(part in cell[0] for part in args.cells.split(","))]

    results, memory, start = {name: {} for name in commands}, {}, time.time()
    # Only the memory of the server `tokio` is measured.
    loaded = {name: command for name, command in commands.items() if name != "tokio"}
    for cell, connections, depth, size in wanted:
        for name, measured in measure_cell(loaded, cell, (*["tls"] * args.tls, connections, depth, size, secs), rounds).items():
            if measured:
                results[name][cell] = measured
        print(f"{time.time() - start:4.0f}s {cell}", file=sys.stderr)
    for name, command in commands.items() if idle else ():
        measured = attempt(f"{name} idle", lambda: measure_idle(command, idle))
        if measured:
            memory[name] = measured

    with open(os.path.join(HERE, "targets.json"), encoding="utf-8") as file:
        targets = json.load(file)
    cells = [cell[0] for cell in wanted]
    out = judged(results, memory, targets) + [
        compared(
            "Messages/s (best round; ratio to the best library)",
            cells, results, lambda runs: max(run["msgs_per_s"] for run in runs), max,
        ),
        compared(
            "Server CPU ns/message (median of rounds; ratio to the best library)", cells, results, cpu, min,
        ),
    ]
    alone = [cell for cell, connections, depth, _ in wanted if connections == depth == 1]
    if alone:
        rows = []
        for name, of in results.items():
            if alone[0] in of:
                best = min(of[alone[0]], key=lambda run: run["rtt_p50_ns"])
                rows.append([name] + [f"{best[key] / 1e3:.1f}" for key in ("rtt_p50_ns", "rtt_p99_ns")])
        out.append(table("Ping-pong round trip (best round)", ["p50 µs", "p99 µs"], rows))
    if memory:
        keys = [("bytes_per_conn_fresh", 10), ("bytes_per_conn_after_one_echo", 10), ("rss_base", 20)]
        rows = []
        for name, of in memory.items():
            rows.append([name] + [f"{of[key] / (1 << bits):.1f}" for key, bits in keys])
        title = f"Memory per connection ({idle} connections, growth of RSS)"
        head = ["KiB after the handshake", "KiB after one echo of 16 B", "MiB of the process before"]
        out.append(table(title, head, rows))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"cells": results, "memory": memory}, file, indent=1)
    if args.md:
        with open(args.md, "w", encoding="utf-8") as file:
            file.write("\n".join(out))
    else:
        print("\n".join(out))


if __name__ == "__main__":
    main()
