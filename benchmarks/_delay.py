"""A proxy that passes bytes on after a delay, each way half of it: a database that is far away."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections import deque


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Copies until the end, each piece so much later than it came; pieces travel at the same time."""
    loop = asyncio.get_running_loop()
    waiting: deque[tuple[float, bytes]] = deque()
    came = asyncio.Event()
    ended = False

    async def send() -> None:
        while waiting or not ended:
            if not waiting:
                came.clear()
                await came.wait()
                continue
            due, piece = waiting.popleft()
            await asyncio.sleep(max(0.0, due - loop.time()))
            writer.write(piece)
            await writer.drain()

    sending = asyncio.create_task(send())
    try:
        while piece := await reader.read(65_536):
            waiting.append((loop.time() + delay_s, piece))
            came.set()
    except OSError:
        pass
    ended = True
    came.set()
    with contextlib.suppress(OSError):
        await sending
    with contextlib.suppress(OSError):
        writer.close()


async def serve(host: str, port: int, delay_s: float) -> None:
    """Listens on a port of its own, which it prints, until it is ended."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if host.startswith("/"):
            there_reader, there_writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            there_reader, there_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(pass_on(reader, there_writer, delay_s / 2), pass_on(there_reader, writer, delay_s / 2))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("delay_s", type=float)
    given = parser.parse_args()
    asyncio.run(serve(given.host, given.port, given.delay_s))


if __name__ == "__main__":
    main()
