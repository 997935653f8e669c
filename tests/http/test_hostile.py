"""What nobody should send: a clear 4xx, and the next request is served."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from maitred.http.role import Role
from tests.http.conftest import Api, open_api
from tests.http.writes import Gate, routes

ECHO = "/v1/test/echo"


@pytest_asyncio.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    settings = {"http_body_timeout_s": 0.5, "http_header_timeout_s": 0.5, "http_max_body": 10_000}
    async with open_api(database_url, **settings) as opened:
        opened.app.include_router(routes(Gate()))
        yield opened


async def served(client: httpx.AsyncClient) -> bool:
    return (await client.post(ECHO, json={"a": 1})).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b'{"a": NaN}', 400, "malformed_json"),
        (b'{"a": -Infinity}', 400, "malformed_json"),
        (b'{"a": 1e999}', 422, "invalid_input"),
        (b'{"a": ' + b"9" * 1000 + b"}", 422, "invalid_input"),
        (b'{"a": ' + b"9" * 5000 + b"}", 422, "invalid_input"),
        (b'{"a": "\\u0000"}', 400, "malformed_text"),
        (b'{"a\\u0000": 1}', 400, "malformed_text"),
        (b'{"a": "\\ud800"}', 400, "malformed_text"),
        (b'{"a": "\xff\xfe"}', 400, "malformed_json"),
        (b'{"a": "\xed\xa0\x80"}', 400, "malformed_json"),
        (b'{"a": ' + b"[" * 33 + b"]" * 33 + b"}", 400, "nested_too_deep"),
        (b'{"a": ' + b"[" * 4900 + b"]" * 4900 + b"}", 400, "nested_too_deep"),
        (b'{"a":' * 1900, 400, None),
        (b"[" * 9_999, 400, None),
        (b'{"a": "' + b"x" * 10_000 + b'"}', 413, "too_large"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_and_the_next_one_served(
    api: Api, body: bytes, status: int, code: str | None
) -> None:
    client = await api.client(Role.STAFF)
    answer = await client.post(ECHO, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert code in (None, answer.json()["code"])
    assert await served(client)


async def test_what_is_as_deep_as_it_may_be_is_taken(api: Api) -> None:
    client = await api.client(Role.STAFF)
    deep: object = "x"
    for _ in range(31):
        deep = [deep]
    assert (await client.post(ECHO, json={"a": deep})).status_code == 200


@pytest.mark.parametrize("target", ["/v1/x%00y", "/v1/x?a=%00", "/v1/x?a=" + "a" * 5000])
async def test_an_address_that_is_wrong_is_refused(api: Api, target: str) -> None:
    client = await api.client(Role.STAFF, base_url=await api.serve())
    assert (await client.get(target)).status_code in (400, 414)
    assert await served(client)


async def test_ten_megabytes_are_refused_before_they_are_read(api: Api) -> None:
    client = await api.client(Role.STAFF, base_url=await api.serve())

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"x" * 65_536

    headers = {"Content-Type": "application/json"}
    for content in (chunks(), b"x" * 10_485_760):
        answer = await client.post(ECHO, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert answer.headers["connection"] == "close"
    assert await served(client)


async def test_who_sends_too_much_is_told_before_it_has_been_read(api: Api) -> None:
    key = await api.key(Role.STAFF)
    head = f"POST {ECHO} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 99999999\r\n\r\n{{"
    assert (await raw(await api.serve(), head.encode())).startswith(b"HTTP/1.1 413")


async def raw(address: str, *pieces: bytes, wait_s: float = 5.0) -> bytes:
    """Sends these on a connection of its own and reads until the server closes it, or has said something."""
    where = urlsplit(address)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(wait_s):
            return await reader.read(65_536)
    finally:
        writer.close()


async def test_who_never_ends_the_head_is_told_and_let_go(api: Api) -> None:
    address = await api.serve()
    said = await raw(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert said.startswith(b"HTTP/1.1 408")
    head, _, body = said.partition(b"\r\n\r\n")
    assert json.loads(body)["code"] == "request_timeout"
    assert f"Content-Length: {len(body)}".encode() in head
    assert (await raw(address)).startswith(b"HTTP/1.1 408")  # who says nothing at all, too
    assert await served(await api.client(Role.STAFF, base_url=address))


async def test_who_never_ends_the_body_is_told_and_let_go(api: Api) -> None:
    address = await api.serve()
    key = await api.key(Role.STAFF)
    head = f"POST {ECHO} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 100\r\n\r\n{{"
    said = await raw(address, head.encode())
    assert said.startswith(b"HTTP/1.1 408")
    assert await served(await api.client(Role.STAFF, base_url=address))


async def test_who_hangs_up_in_the_middle_of_a_body_leaves_nothing(api: Api) -> None:
    address = await api.serve()
    key = await api.key(Role.STAFF)
    where = urlsplit(address)
    for _ in range(5):
        with socket.create_connection((where.hostname, where.port or 0)) as connection:
            connection.sendall(
                f"POST {ECHO} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nIdempotency-Key: k\r\n"
                "Content-Length: 100\r\n\r\n{".encode()
            )
    client = await api.client(Role.STAFF, base_url=address)
    assert await served(client)
    rows = await api.application.database.fetch("SELECT count(*) AS n FROM idempotency_records")
    assert rows[0]["n"] == 0


async def test_what_is_no_http_is_refused(api: Api) -> None:
    address = await api.serve()
    assert (await raw(address, b"\x16\x03\x01 hello\r\n\r\n")).startswith(b"HTTP/1.1 400")
    assert await served(await api.client(Role.STAFF, base_url=address))
