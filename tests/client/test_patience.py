"""The clients repeat what got no answer, with the same key, and know when to stop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from maitred.client import AsyncClient, Client, NoAnswer, Patience, ProblemError

QUICK = Patience(tries=3, first_pause_s=0.001, longest_pause_s=0.01)
BUSY = {"type": "urn:maitred:problem:busy", "title": "Busy", "status": 503, "detail": "busy", "code": "busy"}


def answer(request: httpx.Request) -> httpx.Response:
    """A booking that was made."""
    fields: dict[str, Any] = dict.fromkeys(["kept_until", "zone", "name", "email", "phone", "notes", "waiting"])
    fields |= {"id": str(uuid4()), "restaurant_id": str(uuid4()), "reference": "R1", "status": "confirmed"}
    fields |= {"party": 2, "starts_at": "2030-06-05T19:30:00+02:00", "tables": ["T1"], "revision": 1}
    return httpx.Response(201, json={**fields, "token": "a-secret", "a_field_of_a_newer_server": 1})


class Server:
    """Says one thing after another and keeps what it heard."""

    def __init__(self, *said: Callable[[httpx.Request], httpx.Response]) -> None:
        self.said = list(said)
        self.heard: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.heard.append(request)
        return self.said[min(len(self.heard), len(self.said)) - 1](request)


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no answer", request=request)


def busy(retry_after: str | None = None, status: int = 503) -> Callable[[httpx.Request], httpx.Response]:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return lambda _request: httpx.Response(status, json={**BUSY, "status": status}, headers=headers)


def book(client: Client) -> Any:
    return client.book(restaurant_id=uuid4(), party=2, starts_at=datetime(2030, 6, 5, 19, 30, tzinfo=UTC))


def client_of(server: Server) -> Client:
    return Client("http://maitred", "key", patience=QUICK, transport=httpx.MockTransport(server))


@pytest.mark.parametrize("trouble", [lost, busy(), busy("0"), busy("0", 429), busy("0", 409)])
def test_a_write_is_repeated_with_its_key(trouble: Callable[[httpx.Request], httpx.Response]) -> None:
    server = Server(trouble, trouble, answer)
    with client_of(server) as client:
        assert book(client).tables == ("T1",)
    keys = {request.headers["Idempotency-Key"] for request in server.heard}
    assert (len(server.heard), len(keys)) == (3, 1)
    assert len({request.content for request in server.heard}) == 1


async def test_so_does_the_async_client() -> None:
    server = Server(lost, busy(), answer)
    async with AsyncClient("http://maitred", patience=QUICK, transport=httpx.MockTransport(server)) as client:
        made = await client.book(restaurant_id=uuid4(), party=2, starts_at=datetime(2030, 6, 5, 19, 30, tzinfo=UTC))
    assert made.status == "confirmed"
    assert len({request.headers["Idempotency-Key"] for request in server.heard}) == 1


def test_it_ends_after_its_tries_and_says_under_which_key_to_go_on() -> None:
    server = Server(lost)
    with client_of(server) as client, pytest.raises(NoAnswer) as failure:
        book(client)
    assert len(server.heard) == 3
    assert failure.value.idempotency_key == server.heard[0].headers["Idempotency-Key"]


def test_a_server_that_is_busy_for_longer_is_not_waited_for() -> None:
    server = Server(busy("3600", 429))
    with client_of(server) as client, pytest.raises(ProblemError) as failure:
        book(client)
    assert (len(server.heard), failure.value.status, failure.value.retry_after_s) == (1, 429, 3600)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 422, 500])
def test_a_refusal_is_not_repeated(status: int) -> None:
    server = Server(lambda _request: httpx.Response(status, text="no document"))
    with client_of(server) as client, pytest.raises(ProblemError) as failure:
        book(client)
    assert (len(server.heard), failure.value.status, failure.value.code) == (1, status, "unknown")


def test_an_answer_of_another_shape_is_no_answer() -> None:
    server = Server(lambda _request: httpx.Response(201, json={"id": "nonsense"}))
    with client_of(server) as client, pytest.raises(NoAnswer):
        book(client)


def test_a_start_without_zone_is_refused_before_it_is_sent() -> None:
    server = Server(answer)
    with client_of(server) as client, pytest.raises(ValueError, match="time zone"):
        client.book(restaurant_id=uuid4(), party=2, starts_at=datetime(2030, 6, 5, 19, 30))  # noqa: DTZ001 - the point
    assert server.heard == []


def test_a_token_is_in_no_text_of_a_booking() -> None:
    with client_of(Server(answer)) as client:
        made = book(client)
    assert made.token.startswith("a-sec")
    assert "a-secret" not in f"{made} {made!r}"
