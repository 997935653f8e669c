"""What each call sends and how its answer is read; sending is the clients' business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import httpx

from maitred.client.answers import Answer, Availability, Booking, CreatedBooking
from maitred.client.failures import NoAnswer, ProblemError
from maitred.client.patience import retry_after_s

T = TypeVar("T")
A = TypeVar("A", bound=Answer)
_LEFT_OUT: Any = object()
LEFT_OUT: Any = _LEFT_OUT
"""What a change does not mention, and leaves as it is."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request. `idempotency_key` is there for writes."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None

    def all_headers(self) -> dict[str, str]:
        """The headers, the idempotency key among them."""
        key = {} if self.idempotency_key is None else {"Idempotency-Key": self.idempotency_key}
        return {**self.headers, **key}

    def answer(self, response: httpx.Response) -> T:
        """The answer read. Raises ProblemError for a refusal, NoAnswer for what can't be understood."""
        if response.is_success:
            try:
                return self.read(response)
            except ValueError as error:
                raise NoAnswer(
                    f"{self.method} {self.path}: an answer of another shape", self.idempotency_key
                ) from error
        try:
            document = response.json()
        except ValueError:
            document = {}
        raise ProblemError(
            response.status_code, document if isinstance(document, dict) else {}, retry_after_s(response)
        )


def book(
    restaurant_id: UUID,
    party: int,
    starts_at: datetime,
    *,
    name: str | None,
    email: str | None,
    phone: str | None,
    notes: str | None,
    idempotency_key: str | None,
) -> Call[CreatedBooking]:
    said = {"name": name, "email": email, "phone": phone, "notes": notes}
    body = {"restaurant_id": str(restaurant_id), "party": party, "starts_at": _instant(starts_at)}
    body |= {key: value for key, value in said.items() if value is not None}
    return Call("POST", "/v1/bookings", _with_etag(CreatedBooking), body, idempotency_key=_key(idempotency_key))


def see(booking_id: UUID, token: str | None) -> Call[Booking]:
    return Call("GET", _booking(booking_id), _with_etag(Booking), headers=_opened_by(token))


def change(
    booking_id: UUID,
    *,
    party: int,
    starts_at: datetime,
    notes: str | None,
    if_match: str | None,
    token: str | None,
    idempotency_key: str | None,
) -> Call[Booking]:
    said: dict[str, Any] = {"party": party, "starts_at": starts_at, "notes": notes}
    body = {key: value for key, value in said.items() if value is not _LEFT_OUT}
    if isinstance(body.get("starts_at"), datetime):
        body["starts_at"] = _instant(body["starts_at"])
    headers = _opened_by(token) | ({} if if_match is None else {"If-Match": if_match})
    return Call(
        "PATCH",
        _booking(booking_id),
        _with_etag(Booking),
        body,
        headers=headers,
        idempotency_key=_key(idempotency_key),
    )


def cancel(booking_id: UUID, token: str | None, idempotency_key: str | None) -> Call[Booking]:
    return Call(
        "DELETE",
        _booking(booking_id),
        _with_etag(Booking),
        headers=_opened_by(token),
        idempotency_key=_key(idempotency_key),
    )


def calendar(booking_id: UUID, token: str | None) -> Call[str]:
    return Call(
        "GET", f"{_booking(booking_id)}/calendar.ics", lambda response: response.text, headers=_opened_by(token)
    )


def availability(restaurant_id: UUID, day: date, party: int) -> Call[Availability]:
    query: dict[str, str | int] = {"restaurant_id": str(restaurant_id), "date": day.isoformat(), "party": party}
    return Call(
        "GET", "/v1/availability", lambda response: Availability.model_validate_json(response.content), query=query
    )


def anything(
    method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, str | int], idempotency_key: str | None
) -> Call[Any]:
    """Any route of the interface; its JSON as it is, None where there is no content."""
    key = _key(idempotency_key) if method.upper() in {"POST", "PUT", "PATCH", "DELETE"} else None
    return Call(
        method.upper(),
        path,
        lambda response: response.json() if response.content else None,
        body,
        query=query,
        idempotency_key=key,
    )


def _with_etag(kind: type[A]) -> Callable[[httpx.Response], A]:
    def read(response: httpx.Response) -> A:
        return kind.model_validate({**response.json(), "etag": response.headers.get("ETag")})

    return read


def _booking(booking_id: UUID) -> str:
    return f"/v1/bookings/{booking_id}"


def _opened_by(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _key(given: str | None) -> str:
    return given or str(uuid4())


def _instant(instant: datetime) -> str:
    if instant.tzinfo is None:
        raise ValueError("starts_at must have a time zone")
    return instant.isoformat()
