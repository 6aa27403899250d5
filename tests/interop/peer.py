"""A peer for hybi, with Python's websockets: see interop.py, which starts it."""

import asyncio
import struct
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions import permessage_deflate


def records(file):
    """The messages in a file: (is text, number of fragments, data)."""
    with open(file, "rb") as f:
        data = f.read()
    at = 0
    while at < len(data):
        text, pieces, size = struct.unpack_from("<BBI", data, at)
        at += 6 + size
        yield bool(text), pieces, data[at - size:at]


def cut(data, pieces):
    """Wherever the cuts fall: within a code point too."""
    for left in range(pieces, 1, -1):
        size = len(data) // left
        yield data[:size]
        data = data[size:]
    yield data


def settings(factory, text):
    """The extensions for what `text` asks, in the words of the header."""
    if not text:
        return []
    params = (param.strip().partition("=") for param in text.split(";")[1:])
    return [factory(**{name: int(value) if value else True for name, _, value in params})]


async def send(ws, sends):
    for text, pieces, data in sends:
        await ws.send(cut(data, pieces) if pieces > 1 else data, text=text)


async def receive(ws, awaits):
    for number, (text, _, data) in enumerate(awaits):
        message = await ws.recv()
        if (data.decode() if text else data) != message:
            raise RuntimeError("message %d is not what was sent: %s of %d" % (
                number, type(message).__name__, len(message)))


async def talk(ws, sends, awaits, client):
    print("agreed", ws.response.headers.get("Sec-WebSocket-Extensions", ""), flush=True)
    await asyncio.gather(send(ws, sends), receive(ws, awaits))
    if client:
        await ws.close()
    try:
        raise RuntimeError("one message too many: %r" % await ws.recv())
    except ConnectionClosed:
        pass
    if ws.close_code != 1000:
        raise RuntimeError("not the end that it should be: %r" % ws.close_code)
    print("done")


async def main(role, url, sends, awaits, deflate, seconds):
    # Compression by default is off: only what is asked for.
    options = dict(compression=None, max_size=None)
    sends, awaits = records(sends), records(awaits)
    async with asyncio.timeout(int(seconds)):
        if role == "client":
            options["extensions"] = settings(permessage_deflate.ClientPerMessageDeflateFactory, deflate)
            async with connect(url, proxy=None, **options) as ws:
                await talk(ws, sends, awaits, True)
            return
        options["extensions"] = settings(permessage_deflate.ServerPerMessageDeflateFactory, deflate)
        done = asyncio.get_running_loop().create_future()

        async def handler(ws):
            try:
                done.set_result(await talk(ws, sends, awaits, False))
            except Exception as e:
                done.set_exception(e)

        async with serve(handler, "127.0.0.1", 0, **options) as server:
            print("port", server.sockets[0].getsockname()[1], flush=True)
            await done


asyncio.run(main(*sys.argv[1:]))
