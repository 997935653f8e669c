"""One interface on a real port, and three voices that talk to it: raw HTTP, the async client, the sync client."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio

from maitred.client import AsyncClient, Client, Patience, ProblemError
from maitred.http.role import Role
from tests.house import House
from tests.http.conftest import Api, api  # noqa: F401  # fixtures are found by their name in this module


@dataclass
class Refused(Exception):
    """A refusal, whoever was asked through."""

    status: int
    code: str
    field: str | None


class Voice(Protocol):
    """What all three can say; answers as the interface's JSON, with the ETag as `etag`."""

    async def book(self, **said: Any) -> dict[str, Any]: ...

    async def see(self, booking_id: str, **said: Any) -> dict[str, Any]: ...

    async def change(self, booking_id: str, **said: Any) -> dict[str, Any]: ...

    async def cancel(self, booking_id: str, **said: Any) -> dict[str, Any]: ...

    async def calendar(self, booking_id: str) -> str: ...

    async def availability(self, restaurant_id: UUID, day: date, party: int) -> dict[str, Any]: ...


class Raw:
    """httpx and nothing else."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def book(self, **said: Any) -> dict[str, Any]:
        return await self._ask("POST", "/v1/bookings", said)

    async def see(self, booking_id: str, **said: Any) -> dict[str, Any]:
        return await self._ask("GET", f"/v1/bookings/{booking_id}", said)

    async def change(self, booking_id: str, **said: Any) -> dict[str, Any]:
        return await self._ask("PATCH", f"/v1/bookings/{booking_id}", said)

    async def cancel(self, booking_id: str, **said: Any) -> dict[str, Any]:
        return await self._ask("DELETE", f"/v1/bookings/{booking_id}", said)

    async def calendar(self, booking_id: str) -> str:
        return _checked(await self._http.get(f"/v1/bookings/{booking_id}/calendar.ics")).text

    async def availability(self, restaurant_id: UUID, day: date, party: int) -> dict[str, Any]:
        query: dict[str, str | int] = {"restaurant_id": str(restaurant_id), "date": day.isoformat(), "party": party}
        answer: dict[str, Any] = _checked(await self._http.get("/v1/availability", params=query)).json()
        return answer

    async def _ask(self, method: str, path: str, said: dict[str, Any]) -> dict[str, Any]:
        headers = {}
        for name, header in (("idempotency_key", "Idempotency-Key"), ("if_match", "If-Match")):
            if name in said:
                headers[header] = said.pop(name)
        if method != "GET":
            headers.setdefault("Idempotency-Key", uuid4().hex)
        if "token" in said:
            headers["Authorization"] = f"Bearer {said.pop('token')}"
        body = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in said.items()}
        body = {key: str(value) if isinstance(value, UUID) else value for key, value in body.items()}
        response = _checked(await self._http.request(method, path, json=body or None, headers=headers))
        return {**response.json(), "etag": response.headers["ETag"]}


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    problem = response.json()
    raise Refused(response.status_code, problem["code"], problem.get("field"))


class Clients:
    """Either of the clients, whose answers are made JSON again."""

    def __init__(self, call: Callable[..., Awaitable[Any]]) -> None:
        self._call = call

    async def book(self, **said: Any) -> dict[str, Any]:
        return _json(await self._say("book", **said))

    async def see(self, booking_id: str, **said: Any) -> dict[str, Any]:
        return _json(await self._say("see", UUID(booking_id), **said))

    async def change(self, booking_id: str, **said: Any) -> dict[str, Any]:
        return _json(await self._say("change", UUID(booking_id), **said))

    async def cancel(self, booking_id: str, **said: Any) -> dict[str, Any]:
        return _json(await self._say("cancel", UUID(booking_id), **said))

    async def calendar(self, booking_id: str) -> str:
        return str(await self._say("calendar", UUID(booking_id)))

    async def availability(self, restaurant_id: UUID, day: date, party: int) -> dict[str, Any]:
        return _json(await self._say("availability", restaurant_id, day, party))

    async def _say(self, name: str, /, *given: Any, **said: Any) -> Any:
        try:
            return await self._call(name, *given, **said)
        except ProblemError as problem:
            raise Refused(problem.status, problem.code, problem.field) from problem


def _json(answer: Any) -> dict[str, Any]:
    document: dict[str, Any] = answer.model_dump(mode="json")
    return document


@pytest_asyncio.fixture
async def house(api: Api) -> House:  # noqa: F811 - the fixture imported above
    """A venue with tables for 2, 2, 4, 4 and 6."""
    return await api.house()


@pytest_asyncio.fixture(params=["raw", "async", "sync"])
async def voice(
    request: pytest.FixtureRequest,
    api: Api,  # noqa: F811
    house: House,
) -> AsyncIterator[Voice]:
    """One after the other."""
    address = await api.serve()
    key = await api.key(Role.STAFF, house.restaurant_id)
    if request.param == "raw":
        async with httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
            yield Raw(http)
    elif request.param == "async":
        async with AsyncClient(address, key, patience=Patience(tries=1)) as asking:
            yield Clients(lambda name, /, *given, **said: getattr(asking, name)(*given, **said))
    else:
        with Client(address, key, patience=Patience(tries=1)) as blocking:
            yield Clients(
                lambda name, /, *given, **said: asyncio.to_thread(
                    functools.partial(getattr(blocking, name), *given, **said)
                )
            )
