#!/usr/bin/env python3
"""Creates the seeds of the fuzz targets from the test vectors and from captured traffic: fuzz/seeds.py

The seeds are written to fuzz/seeds/TARGET/. Each has the form of the target's `Case`: first some bytes that choose the
settings of the run, then the input.
"""

import json
import pathlib
import random
import shutil
import struct

HERE = pathlib.Path(__file__).parent
LONGEST = 4096
# The choice byte for which `deflate_params` in src/lib.rs returns parameters without any restriction.
AGREED = 0x80
seeds = HERE / "seeds"


def cases(name):
    for folder in (HERE / "../tests/vectors", HERE / "captured"):
        path = folder / f"{name}.jsonl"
        if path.exists():
            yield from map(json.loads, path.read_text().splitlines())


def joined(value, one):
    """Returns the bytes of a string, or of a list of strings and repetitions. `one` converts a string."""
    if isinstance(value, str):
        return one(value)
    if isinstance(value, dict):
        part, times = value["repeat"]
        return joined(part, one) * times
    return b"".join(joined(part, one) for part in value)


def put(target, name, *parts):
    seed = b"".join(bytes([part]) if isinstance(part, int) else part for part in parts)
    if len(seed) <= LONGEST:
        folder = seeds / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(seed)


def cuts(number):
    return struct.pack("<H", number)


def deflate_choice(config):
    """Returns the choice byte for these parameters, the reverse of `deflate_params` in src/lib.rs."""
    def window(name):
        return {8: 3, 10: 2, 12: 1}.get(config.get(name, 15), 0)

    return (
        AGREED
        | int(config.get("server_no_context_takeover", False))
        | int(config.get("client_no_context_takeover", False)) << 1
        | window("server_max_window_bits") << 2
        | window("client_max_window_bits") << 4
    )


def frames():
    for case in cases("frames"):
        data, name = joined(case["input_hex"], bytes.fromhex), case["id"]
        client = int(case["role"] == "client")
        config = case.get("config", {})
        deflate = deflate_choice(config["deflate"]) if "deflate" in config else 0
        put("frame_decode", name, client | (8 if deflate else 0), cuts(1), data)
        for memory in range(4):
            put("connection_bytes", f"{name}-{memory}", client | memory << 2, deflate, 0, cuts(memory), data)
            if name.startswith(("frag", "lim")):
                choices = (client | memory << 2, deflate, 0x18, cuts(memory))
                put("connection_bytes", f"{name}-{memory}-limits", *choices, data)
        put("connection_bytes", f"{name}-slice-inbox", client | 2 << 2 | 1 << 4, deflate, 0, cuts(1), data)
        put("split_equivalence", name, client, deflate, 0, cuts(0), cuts(7), data)
        if not deflate:
            put("differential", name, client, data)
        for event in case.get("expect", {}).get("events", []):
            if "text" in event:
                text = joined(event["text"], str.encode)
                put("utf8", name, cuts(5), b"\x37\xfa\x21\x3d", text)
        if name.startswith("utf8-bad") and not client and len(data) < 100:
            key, payload = data[2:6], data[6:]
            text = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
            put("utf8", name, cuts(1), key, text)


def handshakes():
    latin = lambda text: text.encode("latin-1")
    for case in cases("handshake_server"):
        put("handshake_server", case["id"], 8, cuts(2), joined(case["input"], latin))
        put("differential", "handshake-" + case["id"], 2, joined(case["input"], latin))
        # The same request with a key whose last digit has unused bits that are not zero.
        data = joined(case["input"], latin).replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25jZR==")
        put("differential", "handshake-bits-" + case["id"], 2, data)
    for case in cases("handshake_client"):
        config = case.get("config", {})
        offers = int("subprotocols" in config) | (2 if "offer" in config else 0)
        put("handshake_client", case["id"], offers, cuts(2), joined(case["input"], latin))
    texts = ["ws://example.com:81/a?b", "/chat?x=1", "https://example.com", "chat,superchat", "x-a; b=c", "X-A"]
    texts += ["b c", "Switching", "chat", "permessage-deflate", "text/plain"]
    for choice in (0x00, 0x7F, 0xBF, 0xFF):
        for host in ("example.com:81", texts[0]):
            data = b"\xff".join(text.encode() for text in [host] + texts[1:])
            put("handshake_calls", f"{choice:02x}-{len(host)}", choice, struct.pack("<H", 404), data)


def deflate():
    for case in cases("deflate"):
        name = case["id"]
        if case["kind"] == "inflate":
            config = case.get("config", {})
            choice = int(not config.get("no_context_takeover", False)) | (config.get("max_window_bits", 15) - 8) << 1
            messages = [joined(message["payload_hex"], bytes.fromhex) for message in case["messages"]]
            if max(map(len, messages)) > LONGEST:
                continue
            parts = b"".join(struct.pack("<H", len(message)) + message for message in messages)
            put("inflate", name, choice, cuts(3), struct.pack("<H", 100), parts)
        else:
            offer = (case["offer"] or "").encode("latin-1")
            response = (case.get("response") or "").encode("latin-1")
            put("extension_header", name, 0, 0xFF, offer, b"\n" if response else b"", response)
    for level in range(8):
        data = b"".join(struct.pack("<H", 600) + f"{{\"level\": {level}}}, ".encode() * 50 for _ in range(2))
        put("inflate", f"data-{level}", 0x80 | level << 4 | 0x0F, cuts(9), struct.pack("<H", 7), data)


def scripts():
    """Writes random scripts. The random seed is fixed, so they are the same in each run."""
    random.seed(6455)
    for number in range(100):
        choices = random.randbytes(4)
        for target in ("connection_calls", "pair", "differential"):
            put(target, f"random-{number}", choices, random.randbytes(random.choice((20, 100, 400))))
    for case in cases("frames"):
        data = joined(case["input_hex"], bytes.fromhex)
        deflate = deflate_choice(case["config"]["deflate"]) if "deflate" in case.get("config", {}) else 0
        calls = b"".join(bytes([0, len(piece)]) + piece + b"\x0d" for piece in chunks(data, 200))
        client = int(case["role"] == "client")
        put("connection_calls", case["id"], client, deflate, 0, calls)


def calls():
    """Writes a script for each pair of calls, with writes in between."""
    payload = b"\x03abc"
    # The first calls receive frames, one of them a Close.
    some = [bytes([1, first]) + (b"\x02\x03\xe8" if first == 6 else payload) for first in range(12)]
    some += [bytes([call]) + payload for call in (3, 4, 9, 10)]  # text, binary, Ping, Pong
    some += [bytes([call, 1]) + payload for call in (5, 6, 7)]  # owned, prepared, a fragment
    some += [b"\x0b\x01\x00\x01x", b"\x0b\x00\x00\x00"]  # Close with a code and without
    # A deadline, the end of the stream, a half-close, and a write of one byte.
    some += [b"\x0e\x00", b"\x10", b"\x11", b"\x0c\x01\x00\x07"]
    for choice in (0x78, 0x79):
        for one, first in enumerate(some):
            for two, second in enumerate(some):
                calls = (first, 13, second, 13, 14, 0, 13)
                put("connection_calls", f"calls-{choice:x}-{one}-{two}", choice, 0, 0, *calls)


def chunks(data, size):
    return (data[at : at + size] for at in range(0, len(data), size))


shutil.rmtree(seeds, ignore_errors=True)
frames()
handshakes()
deflate()
scripts()
calls()
for folder in sorted(seeds.iterdir()):
    files = list(folder.iterdir())
    print(f"{folder.name}: {len(files)} seeds, {sum(file.stat().st_size for file in files)} bytes")
