"""The asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import httpx

from maitred.client import calls
from maitred.client.answers import Availability, Booking, CreatedBooking
from maitred.client.calls import Call
from maitred.client.failures import NoAnswer
from maitred.client.patience import Patience

T = TypeVar("T")


class AsyncClient:
    """Talks to the interface at `base_url` with an API key. Close it, or use it in `async with`.

    `timeout_s` bounds each step of each try; `transport` is httpx's, for tests. Calls raise ProblemError or NoAnswer.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        timeout_s: float = 15.0,
        patience: Patience | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"Accept": "application/json, application/problem+json, text/calendar"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._patience = patience or Patience()
        self._http = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=timeout_s, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def book(
        self,
        *,
        restaurant_id: UUID,
        party: int,
        starts_at: datetime,
        name: str | None = None,
        email: str | None = None,
        phone: str | None = None,
        notes: str | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedBooking:
        """Creates a booking and has tables looked for at once: confirmed with its tables, or pending and why."""
        return await self.send(
            calls.book(
                restaurant_id,
                party,
                starts_at,
                name=name,
                email=email,
                phone=phone,
                notes=notes,
                idempotency_key=idempotency_key,
            )
        )

    async def see(self, booking_id: UUID, *, token: str | None = None) -> Booking:
        """The booking; with `token` as its guest sees it, else by the client's key."""
        return await self.send(calls.see(booking_id, token))

    async def change(
        self,
        booking_id: UUID,
        *,
        party: int = calls.LEFT_OUT,
        starts_at: datetime = calls.LEFT_OUT,
        notes: str | None = calls.LEFT_OUT,
        if_match: str | None = None,
        token: str | None = None,
        idempotency_key: str | None = None,
    ) -> Booking:
        """Changes what is given. `notes` None takes them away; `if_match` is the ETag it must still have."""
        return await self.send(
            calls.change(
                booking_id,
                party=party,
                starts_at=starts_at,
                notes=notes,
                if_match=if_match,
                token=token,
                idempotency_key=idempotency_key,
            )
        )

    async def cancel(
        self, booking_id: UUID, *, token: str | None = None, idempotency_key: str | None = None
    ) -> Booking:
        """Cancels it; its tables are free at once."""
        return await self.send(calls.cancel(booking_id, token, idempotency_key))

    async def calendar(self, booking_id: UUID, *, token: str | None = None) -> str:
        """Its entry for calendars (iCalendar)."""
        return await self.send(calls.calendar(booking_id, token))

    async def availability(self, restaurant_id: UUID, day: date, party: int) -> Availability:
        """All starts of that local day, and whether a party of this size would get tables now."""
        return await self.send(calls.availability(restaurant_id, day, party))

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Any other route, for staff and operators: JSON in, JSON out, with the same care for repetitions."""
        return await self.send(calls.anything(method, path, body, query or {}, idempotency_key))

    async def send(self, call: Call[T]) -> T:
        """Sends a call, again if need be, and reads its answer."""
        tried = 0
        while True:
            tried += 1
            response = None
            try:
                response = await self._http.request(
                    call.method, call.path, json=call.body, params=call.query, headers=call.all_headers()
                )
            except httpx.TransportError as error:
                pause = self._patience.pause_after(None, tried)
                if pause is None:
                    raise NoAnswer(
                        f"{call.method} {call.path}: {type(error).__name__}", call.idempotency_key
                    ) from error
            else:
                pause = self._patience.pause_after(response, tried)
                if pause is None:
                    return call.answer(response)
            await asyncio.sleep(pause)
