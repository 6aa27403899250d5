"""A peer for hybi over TLS that uses Python's websockets. secure.py starts it and describes its arguments."""

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def talk(ws, count, client):
    async def send():
        for n in range(count):
            await ws.send("message %d" % n)

    async def receive():
        for n in range(count):
            message = await ws.recv()
            if message != "message %d" % n:
                raise RuntimeError("got %r instead of message %d" % (message, n))

    await asyncio.gather(send(), receive())
    if client:
        await ws.close()
    try:
        raise RuntimeError("got one message too many: %r" % await ws.recv())
    except ConnectionClosed:
        pass
    if ws.close_code != 1000:
        raise RuntimeError("the connection must end with 1000, but ended with %r" % ws.close_code)
    print("done", flush=True)


async def echo(ws):
    async for message in ws:
        await ws.send(message)


async def main(role, first, second, count, seconds, port="0"):
    count = int(count)
    async with asyncio.timeout(int(seconds)):
        if role == "client":
            context = ssl.create_default_context(cafile=second)
            async with connect(first, proxy=None, ssl=context, compression=None) as ws:
                await talk(ws, count, True)
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(first, second)
        done = asyncio.get_running_loop().create_future()

        async def handler(ws):
            if count == 0:
                return await echo(ws)
            try:
                done.set_result(await talk(ws, count, False))
            except Exception as e:
                done.set_exception(e)

        async with serve(handler, "127.0.0.1", int(port), ssl=context, compression=None) as server:
            print("port", server.sockets[0].getsockname()[1], flush=True)
            await done


asyncio.run(main(*sys.argv[1:]))
