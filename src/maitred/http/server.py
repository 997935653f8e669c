"""Serving: uvicorn with bounds that it doesn't have by itself, and an end that comes.

uvicorn waits for ever for the rest of a request's head; here such a connection is told 408 and closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from maitred.settings import Settings

MOST_CONNECTIONS = 2_000
_KEEP_ALIVE_S = 15
_LATE_BODY = (
    b'{"type":"urn:maitred:problem:request_timeout","title":"Request Timeout","status":408,'
    b'"detail":"the head of the request did not come in time","code":"request_timeout"}'
)
_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_LATE_BODY), _LATE_BODY)
)


def protocol(header_timeout_s: float) -> type[asyncio.Protocol]:
    """The HTTP protocol, for connections that have so many seconds for each request's head."""

    class Bounded(HttpToolsProtocol):
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_head()

        def on_message_begin(self) -> None:
            self._wait_for_head()
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._head_is_here()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_is_here()
            super().connection_lost(exc)

        def _wait_for_head(self) -> None:
            self._head_is_here()
            self._late = self.loop.call_later(header_timeout_s, self._too_late)

        def _head_is_here(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _too_late(self) -> None:
            if self.transport.is_closing():
                return
            # in the middle of an answer to an earlier request nothing of ours may come between
            cycle: RequestResponseCycle | None = self.cycle  # None until the first request; uvicorn doesn't say so
            if cycle is None or cycle.response_complete:
                self.transport.write(_LATE)
            self.transport.close()

    return Bounded


class Server(uvicorn.Server):
    """uvicorn's server, stopped by whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the command, which also has a worker to stop."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound, so that an address that can't be had is told before anything starts.

    Raises OSError when the address is taken or isn't ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, settings: Settings, bound: socket.socket, *, grace_s: float
) -> AsyncIterator[Callable[[], bool]]:
    """Answers on the socket until it is left; then what is under way has `grace_s` seconds.

    Gives a question: whether it still serves.
    """
    config = uvicorn.Config(
        app,
        http=protocol(settings.http_header_timeout_s),
        loop="none",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(grace_s)),
        h11_max_incomplete_event_size=16_384,
    )
    # its tracebacks would show what was in a request; the boundary has said what there is to say
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]), name="maitred-http")
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn tells it in no other way
            await asyncio.sleep(0.01)
        if task.done():
            task.result()
            raise RuntimeError("the server ended before it began")
        yield lambda: not task.done()
    finally:
        server.should_exit = True
        done, _ = await asyncio.wait({task}, timeout=grace_s + 5)
        if not done:
            task.cancel()
            await asyncio.wait({task}, timeout=2)
        with contextlib.suppress(asyncio.CancelledError, OSError):
            bound.close()
