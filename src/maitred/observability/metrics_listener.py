"""A small HTTP listener for `/metrics` and `/healthz`, bounded in size, time and connections.

Not a web server: one GET a connection, no body, no keep-alive. It shares the loop of what it watches, so it must not be
able to hold anything up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

MOST_BYTES = 8_192
MOST_CONNECTIONS = 16
DEADLINE_S = 5.0

_TEXT = "text/plain; charset=utf-8"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_PHRASES = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def listening(address: str, page: Callable[[], Awaitable[bytes]]) -> AsyncIterator[tuple[str, int] | None]:
    """Answers at `host:port` until it is left; gives the address it listens on, port 0 resolved.

    An address that can't be had, for example because another worker has it, is logged and gives None: work goes on
    without being watched.
    """
    host, _, port = address.rpartition(":")
    listener = _Listener(page)
    try:
        server = await asyncio.start_server(listener.serve, host.strip("[]"), int(port), limit=MOST_BYTES)
    except OSError as error:
        _log.error("metrics.not_listening", address=address, error=type(error).__name__)
        yield None
        return
    try:
        bound = server.sockets[0].getsockname()
        yield bound[0], bound[1]
    finally:
        server.close()
        await listener.close()


class _Listener:
    def __init__(self, page: Callable[[], Awaitable[bytes]]) -> None:
        self._page = page
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._serving) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._serving.add(task)
        try:
            async with asyncio.timeout(DEADLINE_S):
                status, kind, body = await self._answer(reader)
                writer.write(_response(status, kind, body))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError):
            pass
        finally:
            self._serving.discard(task)
            writer.transport.abort()  # nothing, once it is closed

    async def close(self) -> None:
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(set(self._serving), timeout=1.0)

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return 400, _TEXT, b"bad request\n"
        parts = head.split(b"\r\n", 1)[0].split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            return 400, _TEXT, b"bad request\n"
        method, target = parts[0], parts[1].split(b"?", 1)[0]
        if target not in (b"/metrics", b"/healthz"):
            return 404, _TEXT, b"not found\n"
        if method != b"GET":
            return 405, _TEXT, b"only GET\n"
        if target == b"/healthz":
            return 200, _TEXT, b"ok\n"
        try:
            return 200, _PROMETHEUS, await self._page()
        except Exception as error:  # noqa: BLE001 - a figure that can't be had must not end the listener
            _log.warning("metrics.page_failed", error=type(error).__name__)
            return 503, _TEXT, b"no figures\n"


def _response(status: int, kind: str, body: bytes) -> bytes:
    allow = "Allow: GET\r\n" if status == 405 else ""
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
