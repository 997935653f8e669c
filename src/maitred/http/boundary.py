"""The outermost layer: each request gets an id, each answer the same headers, each error an answer; one log line each.

A pure ASGI middleware. The log line has the route and not the address, because addresses have ids in them, and nothing
of query, headers or body.
"""

from __future__ import annotations

import asyncio
import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maitred.http.admission import caller_of
from maitred.http.problem import answer_to
from maitred.observability import tracing
from maitred.storage.database import count_round_trips

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
_SECRET = re.compile(r"m[kb]_[A-Za-z0-9_-]{8}")
_SEND_S = 30.0

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_log = structlog.get_logger("maitred.http")


class Boundary:
    """Stands around everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        outgoing = _Outgoing(send, request_id)
        began = time.perf_counter()
        traceparent = Headers(scope=scope).get("traceparent")
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id),
            tracing.span("http_request", traceparent=traceparent),
            count_round_trips() as trips,
        ):
            try:
                await self._app(scope, receive, outgoing)
            except Exception as error:  # noqa: BLE001 - whatever it is, it ends here: as a problem document
                answer = answer_to(error, request_id)
                if outgoing.status is None:
                    await answer(scope, receive, outgoing)
            finally:
                _log.info(
                    "http.request",
                    method=scope["method"],
                    route=_route(scope),
                    status=outgoing.status,
                    ms=round((time.perf_counter() - began) * 1000, 1),
                    round_trips=trips.count,
                    caller=str(caller_of(scope) or ""),
                )


class _Outgoing:
    """Adds the headers, remembers the status, and doesn't wait for ever for somebody who doesn't read."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        async with asyncio.timeout(_SEND_S):
            await self._send(message)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    # one that looks like a secret would be written into the log
    return given if _REQUEST_ID.fullmatch(given) and not _SECRET.search(given) else uuid4().hex


def _route(scope: Scope) -> str:
    route = scope.get("route")
    path = getattr(route, "path", None)
    return path if isinstance(path, str) else "unmatched"
