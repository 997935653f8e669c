"""A wire to the database that can be cut, dammed or made one-way: what goes wrong between a program and its server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Wire:
    """Forwards a local port to the server of a URL. Changes of `mode` also hold for connections already made."""

    def __init__(self, url: str) -> None:
        self._target = {key: value for key, value in conninfo_to_dict(url).items() if key != "hostaddr"}
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self.mode = "open"  # or: refusing, hanging (nothing passes), deaf (no answer comes back)
        self.accepted = 0
        self.sent = asyncio.Event()
        """Set when something came from the program while the wire was deaf or hanging."""

    @property
    def url(self) -> str:
        """The way to the same database through this wire."""
        return make_conninfo(
            "",
            **{**self._target, "host": "127.0.0.1", "port": self._port, "sslmode": "disable", "gssencmode": "disable"},
        )

    def cut(self) -> None:
        """Breaks every connection there is."""
        for writer in self._writers:
            writer.transport.abort()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Wire]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        with suppress(ConnectionError):
            if self.mode != "refusing":
                far_reader, far_writer = await self._reach()
                self._writers.add(far_writer)
                there = asyncio.create_task(self._pass_on(reader, far_writer, answers=False))
                back = asyncio.create_task(self._pass_on(far_reader, writer, answers=True))
                await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
                for task in (there, back):
                    task.cancel()
                    with suppress(asyncio.CancelledError, ConnectionError):
                        await task
                far_writer.transport.abort()
        writer.transport.abort()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = str(self._target.get("host") or "127.0.0.1"), int(self._target.get("port") or 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await reader.read(65_536):
            if self.mode != "open" and not answers:
                self.sent.set()
            if self.mode == "hanging" or (answers and self.mode == "deaf"):
                continue
            writer.write(data)
            await writer.drain()
