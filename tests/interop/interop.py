#!/usr/bin/env python3
"""Tests hybi against other implementations, as a server and as a client.

    cargo build --release --manifest-path tests/interop/Cargo.toml --target-dir target/interop
    tests/interop/interop.py target/interop/release/interop

In each combination, a client and a server send each other 1000 messages. Each side has its own messages, and the
other side compares them byte by byte. The script also checks the negotiated compression. The number of bytes on the
wire shows that the compression was used.

The exit status is 0 if everything passed, 1 if the last printed combination failed, and 2 if nothing could be run.

The script needs Linux, Python 3.11 or later with venv, and Node 18 or later with npm. The first run needs their
package indexes. All connections use 127.0.0.1.

The program of hybi is peer.rs. The other programs are peer.py and peer.mjs. Each is called as

    server|client URL SENDS AWAITS DEFLATE SECONDS

SENDS and AWAITS are files of messages. DEFLATE is the requested compression in the syntax of
Sec-WebSocket-Extensions, or empty. SECONDS limits the run time. A program prints its port and the negotiated
compression, and exits with 0 if everything passed.
"""

import argparse
import json
import pathlib
import random
import signal
import struct
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "autobahn"))
from autobahn import Child, Error, environment, quietly, tail  # noqa: E402

# The versions of the other implementations.
WEBSOCKETS = "websockets==17.4"
WS = "ws@8.23.0"

COUNT = 1000
LARGEST = 100 << 10
LIMIT = 60  # maximum seconds for one combination, which usually takes about one

# --- negotiation -----------------------------------------------------------

ON = "permessage-deflate"
OFFER = ON + "; client_max_window_bits"
NO_TAKEOVER = ON + "; server_no_context_takeover; client_no_context_takeover"
WINDOWS = ON + "; server_max_window_bits=10; client_max_window_bits=10"

# The request of the client, the settings of the server, and the expected result.
MODES = {
    "takeover": (OFFER, ON, ON),
    "no takeover, asked by the client": (NO_TAKEOVER + "; client_max_window_bits", ON, NO_TAKEOVER),
    "no takeover, asked by the server": (OFFER, NO_TAKEOVER, NO_TAKEOVER),
    "10 bits, asked by the client": (WINDOWS, ON, WINDOWS),
    "10 bits, asked by the server": (OFFER, WINDOWS, WINDOWS),
    # Each direction has different parameters, so that a program which confuses the directions fails.
    "server no takeover, client 10 bits": (
        ON + "; server_no_context_takeover; client_max_window_bits", ON + "; client_max_window_bits=10",
        ON + "; server_no_context_takeover; client_max_window_bits=10"),
}
# In this mode the peer offers or accepts compression, but hybi does not use it.
PLAIN = "plain"


def parsed(header):
    """Returns an extension and its sorted parameters, because their order does not matter."""
    name, *params = (part.strip().replace('"', "") for part in header.split(";"))
    return name, sorted(params)


# --- messages --------------------------------------------------------------

WORDS = ("time user event value status error true message price volume grüezi naïve größer Привет мир "
         "日本語 文字列 한국어 שלום 🦀 🎉 e\u0301 \u0000 \ufeff \U0010ffff").split(" ")


def prose(rng, size):
    """Returns at least `size` bytes of text: JSON with many repetitions."""
    text = b""
    while len(text) < size:
        text += json.dumps({
            "id": rng.randrange(10**6), "type": rng.choice(WORDS), "at": round(rng.random(), 6),
            "tags": rng.choices(WORDS, k=rng.randrange(6)), "ok": rng.random() < 0.5,
        }, ensure_ascii=False).encode() + b"\n"
    return text


def table(rng, size):
    """Returns `size` bytes that are not text but can be compressed."""
    start = rng.randrange(1 << 20)
    return b"".join(struct.pack("<IHd", start + n, n % 7, n / 8) for n in range(size // 14 + 1))[:size]


def dice(rng):
    """Returns a random message as (is text, data)."""
    size = int(2 ** rng.uniform(8, 16))
    either = rng.random() < 0.5
    choices = {
        45: lambda: (True, prose(rng, rng.randrange(500))),
        10: lambda: (True, prose(rng, size)),
        12: lambda: (True, "".join(rng.choices(WORDS, k=rng.randrange(200))).encode()),
        11: lambda: (False, table(rng, size)),
        5: lambda: (False, rng.randbytes(size // 2)),
        4: lambda: (either, b"x" * rng.choice([63, 64, 125, 126, 127, 65535, 65536])),
        6: lambda: (either, b""),
        7: lambda: (either, b"a" if either else rng.randbytes(1)),
    }
    return rng.choices(list(choices.values()), list(choices))[0]()


def messages(seed):
    """Returns the messages of one side as (is text, number of fragments, data)."""
    rng = random.Random(seed)
    largest = {COUNT // 4: (True, prose(rng, LARGEST)[:LARGEST - 4].decode(errors="ignore").encode()),
               COUNT // 2: (False, table(rng, LARGEST)), COUNT * 3 // 4: (False, rng.randbytes(LARGEST))}
    for number in range(COUNT):
        text, data = largest.get(number) or dice(rng)
        yield text, rng.choices([1, 2, 3, 7], [90, 4, 4, 2])[0], data


def write(file, sent):
    """Writes messages to a file for the programs. Returns their total length."""
    records = [struct.pack("<BBI", text, pieces, len(data)) + data for text, pieces, data in sent]
    file.write_bytes(b"".join(records))
    return sum(map(len, records)) - 6 * len(records)


# --- peers -----------------------------------------------------------------

def peers(cache):
    """Installs the other implementations, and returns their commands."""
    def python(env):
        quietly([sys.executable, "-m", "venv", env])
        quietly([env / "bin/python", "-m", "pip", "install", "--no-deps", "--disable-pip-version-check",
                 WEBSOCKETS])

    def node(env):
        env.mkdir()
        quietly(["npm", "install", "--prefix", env, "--no-save", "--no-package-lock", "--ignore-scripts",
                 "--no-audit", "--no-fund", WS])

    return {
        "websockets": [environment(cache, ["python", WEBSOCKETS], python) / "bin/python", HERE / "peer.py"],
        "ws": ["node", HERE / "peer.mjs", environment(cache, ["node", WS], node)],
    }


class Failed(Exception):
    """A conversation failed."""


def said(child):
    """Returns the output of a program so far, as a map from the first word of a line to the rest of the line."""
    lines = child.output().splitlines(keepends=True)
    return dict(line[:-1].partition(" ")[::2] for line in lines if line.endswith("\n"))


def await_port(server, deadline):
    while (port := said(server).get("port")) is None:
        if server.exited() or time.monotonic() > deadline:
            raise Failed("the server does not listen")
        time.sleep(0.02)
    return port


def talk(commands, asks, files, logs):
    """Runs a server and a client until both have ended, and returns both."""
    deadline = time.monotonic() + LIMIT
    running = {}

    def start(role, url):
        other = "client" if role == "server" else "server"
        arguments = [role, url, files[role], files[other], asks[role], LIMIT]
        running[role] = Child(role, [str(a) for a in commands[role] + arguments], logs / (role + ".log"))
        return running[role]

    try:
        server = start("server", "-")
        client = start("client", "ws://127.0.0.1:%s/" % await_port(server, deadline))
        client.wait(deadline, server)
        # When one program has ended, the other program must end soon.
        deadline = min(deadline, time.monotonic() + 10)
        for child in (client, server):
            if not child.wait(deadline):
                raise Failed("the %s does not end" % child.name)
            if child.stop() != 0:
                raise Failed("the %s failed" % child.name)
        return running
    except Failed as e:
        for child in running.values():
            status = child.stop(grace=1)
            e.add_note("--- the %s, status %s\n%s" % (child.name, status, tail(child.output())))
        raise
    finally:
        for child in running.values():
            child.stop()


# --- checks ----------------------------------------------------------------

def check(condition, what):
    if not condition:
        raise Failed(what)


def judge(role, running, asked, expected, sizes):
    """Checks the output of both programs. Returns the bytes that each role has sent, as counted by hybi."""
    hybi, peer = running[role], running["client" if role == "server" else "server"]
    by_hybi, by_peer = said(hybi), said(peer)
    check("done" in by_peer, "the %s did not print that it is done" % peer.name)
    if role == "server":
        offered = by_hybi.get("offered", "nothing")
        check(parsed(offered) == parsed(asked), "the client offered " + offered)
    else:
        check(by_hybi.get("agreed") == by_peer.get("agreed"), "client and server report different results of the negotiation")
    agreed = by_peer.get("agreed", "nothing")
    check(parsed(agreed) == parsed(expected), "the negotiated compression is %r" % agreed)
    own, other = int(by_hybi["sent"]), int(by_hybi["received"])
    wire = {role: own, peer.name: other}
    for sender, size in sizes.items():
        # All messages except the random bytes shrink to less than a quarter, so less than half of the bytes remain.
        right = wire[sender] < 0.5 * size if expected else wire[sender] > size
        check(right, "the %s sent messages of %d bytes in %d bytes on the wire" % (sender, size, wire[sender]))
    return wire


def compare(wires):
    """Checks that the negotiated parameters were used. Without takeover or with a small window, more bytes are sent."""
    for sender in ("server", "client"):
        least = wires["takeover"][sender]
        for mode, wire in wires.items():
            check(mode == "takeover" or wire[sender] > 1.05 * least,
                  "%s: the %s sent %d bytes, but %d without restrictions" % (mode, sender, wire[sender], least))


def try_all(options):
    implementations = peers(options.cache.expanduser().resolve())
    options.report.mkdir(parents=True, exist_ok=True)
    files = {role: options.report / (role + ".messages") for role in ("server", "client")}
    sizes = {role: write(file, messages(role)) for role, file in files.items()}
    for name, command in implementations.items():
        for role, other in (("server", "client"), ("client", "server")):
            wires = {}
            for mode, (offer, wish, expected) in {PLAIN: (OFFER, ON, ""), **MODES}.items():
                asks = {"client": offer, "server": wish}
                if mode == PLAIN:
                    asks[role] = ""
                started = time.monotonic()
                print("hybi as %s, %s as %s, %s: " % (role, name, other, mode), end="", flush=True)
                running = talk({role: [options.hybi], other: command}, asks, files, options.report)
                wires[mode] = judge(role, running, asks["client"], expected, sizes)
                print("%d messages each way, %s, %.1f s" % (COUNT, ", ".join(
                    "%d KiB as %d" % (sizes[by] >> 10, wires[mode][by] >> 10) for by in ("server", "client")),
                    time.monotonic() - started), flush=True)
            compare(wires)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hybi", type=pathlib.Path, help="the program that is built from peer.rs")
    below = HERE / "../../target/interop"
    parser.add_argument("--cache", type=pathlib.Path, metavar="DIR", default=below / "peers",
                        help="where the other implementations are installed (default: %(default)s)")
    parser.add_argument("--report", type=pathlib.Path, metavar="DIR", default=below / "report",
                        help="where messages and logs go (default: %(default)s)")
    options = parser.parse_args()
    try:
        try_all(options)
    except Failed as e:
        print("FAILED: %s" % e, *getattr(e, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    except Error as e:
        print("error: %s" % e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
