"""A peer for hybi that uses Python's websockets. interop.py starts it and describes its arguments."""

import asyncio
import struct
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions import permessage_deflate


def records(file):
    """Returns the messages in a file as (is text, number of fragments, data)."""
    with open(file, "rb") as f:
        data = f.read()
    at = 0
    while at < len(data):
        text, pieces, size = struct.unpack_from("<BBI", data, at)
        at += 6 + size
        yield bool(text), pieces, data[at - size:at]


def cut(data, pieces):
    """Cuts a message into fragments of equal size, also within a code point."""
    for left in range(pieces, 1, -1):
        size = len(data) // left
        yield data[:size]
        data = data[size:]
    yield data


def settings(factory, text):
    """Returns the extensions for `text`, which has the syntax of Sec-WebSocket-Extensions."""
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
            raise RuntimeError("message %d differs from the sent one: got %s of length %d" % (
                number, type(message).__name__, len(message)))


async def talk(ws, sends, awaits, client):
    print("agreed", ws.response.headers.get("Sec-WebSocket-Extensions", ""), flush=True)
    await asyncio.gather(send(ws, sends), receive(ws, awaits))
    if client:
        await ws.close()
    try:
        raise RuntimeError("got one message too many: %r" % await ws.recv())
    except ConnectionClosed:
        pass
    if ws.close_code != 1000:
        raise RuntimeError("the connection must end with 1000, but ended with %r" % ws.close_code)
    print("done")


async def main(role, url, sends, awaits, deflate, seconds):
    # Turn the default compression off. The extensions below are the only ones.
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
