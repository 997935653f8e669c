"""Taking a request in: how much of it, for how long, and what no handler should have to see.

Everything is refused by a clear 4xx before anything is done, and what is refused for its size isn't read to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from maitred.errors import RequestRefused

MOST_DEPTH = 32
MOST_DIGITS = 18
MOST_QUERY = 4_096

_LINGER_S = 2.0
_MOST_THROWN_AWAY = 33_554_432

_JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json", re.IGNORECASE)
_IMPORT = re.compile(r"/v1/venues/[^/]+/imports")


class HungUp(Exception):
    """The client went away before its request was complete."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The bounds. Sizes in bytes."""

    most_body: int
    most_import: int
    timeout_s: float

    async def body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body. Raises RequestRefused (413, 408, 400) and HungUp."""
        headers = Headers(scope=scope)
        most = self.most_import if takes_file(scope["path"]) else self.most_body
        told = headers.get("content-length", "0")
        if not (told.isascii() and told.isdigit() and len(told) <= MOST_DIGITS):
            raise RequestRefused(400, "Content-Length is no length", code="bad_request")
        if int(told) > most:
            raise _too_large(most)
        try:
            async with asyncio.timeout(self.timeout_s):
                return await _read(receive, most)
        except TimeoutError:
            raise RequestRefused(408, "the body did not come in time", code="request_timeout") from None


def takes_file(path: str) -> bool:
    """Whether it is where files are imported, which may be larger than other bodies."""
    return _IMPORT.fullmatch(path) is not None


async def _read(receive: Receive, most: int) -> bytes:
    read = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        read += message.get("body", b"")
        if len(read) > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return bytes(read)


def _too_large(most: int) -> RequestRefused:
    return RequestRefused(413, f"the body may have {most} bytes at most", code="too_large")


async def hang_up_after(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Gives the answer to a request whose body was not read, and closes the connection.

    A connection closed on bytes that nobody has read is reset, and the client may never see the answer. So it is given
    at once, and what still comes is thrown away, for a moment.
    """

    async def give(message: Message) -> None:
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await send(message)
            return
        await send({**message, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                await _throw_away(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    answer.headers["Connection"] = "close"
    await answer(scope, receive, give)


async def _throw_away(receive: Receive) -> None:
    thrown = 0
    while thrown < _MOST_THROWN_AWAY:
        message = await receive()
        thrown += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


def look_at_target(scope: Scope) -> None:
    """Raises RequestRefused for a path or query that PostgreSQL could not even be asked about."""
    query: bytes = scope.get("query_string", b"")
    if len(query) > MOST_QUERY:
        raise RequestRefused(414, f"the query may have {MOST_QUERY} bytes at most", code="uri_too_long")
    if "\x00" in scope["path"] or b"\x00" in unquote_to_bytes(query):
        raise RequestRefused(400, "the address has a NUL byte", code="bad_request")


def look_at_body(scope: Scope, body: bytes) -> object:
    """The body as JSON values, or None where it is something else. Raises RequestRefused.

    What is JSON to Python's reader and to nobody else (NaN), and what JSON allows and nobody means (ten thousand
    brackets, a number of a thousand digits), is refused.
    """
    if not body or not _JSON.match(Headers(scope=scope).get("content-type", "")):
        return None
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise RequestRefused(400, "the body is not UTF-8", code="malformed_json") from None
    try:
        found = json.loads(text, parse_constant=_no_number, parse_int=_short_int, parse_float=_finite)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise RequestRefused(400, "the body is not JSON", code="malformed_json") from None
    _look_at_value(found)
    return found


def _no_number(_word: str) -> NoReturn:
    raise RequestRefused(400, "NaN and Infinity are not JSON", code="malformed_json")


def _short_int(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise RequestRefused(422, f"a number may have {MOST_DIGITS} digits at most", code="invalid_input")
    return int(digits)


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise RequestRefused(422, "a number is out of range", code="invalid_input")
    return number


def _look_at_value(found: Any) -> None:
    level = [found]
    for _ in range(MOST_DEPTH + 1):
        below: list[Any] = []
        for each in level:
            if isinstance(each, str):
                _look_at_text(each)
            elif isinstance(each, dict):
                below += each.keys()
                below += each.values()
            elif isinstance(each, list):
                below += each
        if not below:
            return
        level = below
    raise _too_deep()


def _look_at_text(text: str) -> None:
    if "\x00" in text:
        raise RequestRefused(400, "a text has a NUL character", code="malformed_text")
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        raise RequestRefused(400, "a text has half of a surrogate pair", code="malformed_text")


def _too_deep() -> RequestRefused:
    return RequestRefused(400, f"the body may be nested {MOST_DEPTH} deep at most", code="nested_too_deep")
