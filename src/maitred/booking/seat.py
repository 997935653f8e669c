"""Seating a booking at once: what a hold and its confirmation do, in one transaction and one round trip.

The work is the database's (`seat_booking` and `seat_newcomer` of migration 0005), in the order of locks that everybody
keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from maitred.booking.hold import days_from_zero
from maitred.booking.newcomer import Newcomer
from maitred.booking.snapshot import Snapshot
from maitred.messages.outbox import Variant
from maitred.model.period import Period
from maitred.storage.database import NO_SCOPE, Row, Statement

_SEAT: LiteralString = """
SELECT seated.outcome, seated.at FROM take_on(%(role)s, %(venues)s, %(every)s) AS scope (taken_on)
 CROSS JOIN LATERAL seat_booking(
    CASE WHEN scope.taken_on THEN %(booking_id)s::uuid END,
    %(restaurant_id)s, %(day)s, %(wait_ms)s, %(party)s, %(starts_at)s, %(policy)s, %(floor)s,
    %(table_ids)s, %(start)s, %(end)s, %(confirmation_id)s, %(hold_id)s, %(key)s, %(cause)s, %(result)s, %(variant)s,
    %(suppressed)s) AS seated
"""
_SEAT_NEWCOMER: LiteralString = """
SELECT seated.outcome, seated.at FROM take_on(%(role)s, %(venues)s, %(every)s) AS scope (taken_on)
 CROSS JOIN LATERAL seat_newcomer(
    CASE WHEN scope.taken_on THEN %(booking_id)s::uuid END,
    %(restaurant_id)s, %(reference)s, %(party)s, %(starts_at)s, %(token_hash)s, %(source)s, %(name)s, %(email)s,
    %(phone)s, %(notes)s, %(day)s, %(wait_ms)s, %(policy)s, %(floor)s, %(table_ids)s, %(start)s, %(end)s,
    %(confirmation_id)s, %(hold_id)s, %(key)s, %(cause)s, %(result)s, %(variant)s, %(suppressed)s,
    %(record_caller)s, %(record_key)s, %(record_holder)s, %(answer_status)s, %(answer_headers)s, %(answer_body)s,
    %(wishes)s, %(vip)s) AS seated
"""


@dataclass(frozen=True, slots=True)
class KeptWithSeats:
    """The answer to an idempotent request, to be kept in its record if the seats are taken, and only then."""

    caller: UUID
    key: str
    holder: UUID
    status: int
    headers: Sequence[str]
    body: bytes


_NO_RECORD: Mapping[str, Any] = {
    "record_caller": None,
    "record_key": None,
    "record_holder": None,
    "answer_status": None,
    "answer_headers": None,
    "answer_body": None,
}


@dataclass(frozen=True, slots=True)
class SeatOrder:
    """What is written with the seats: the confirmation and why, the booking's last result, the messages.

    The same `key` for the same booking confirms once and gives the first confirmation again. `creates`: the booking is
    not there yet; then `answer` may be kept with it.
    """

    confirmation_id: UUID
    key: str
    cause: str
    last_result: Mapping[str, Any]
    variant: Variant
    messages_suppressed: bool
    creates: Newcomer | None = None
    answer: KeptWithSeats | None = None

    def answered(self) -> Mapping[str, Any]:
        """The answer as parameters."""
        if self.answer is None:
            return _NO_RECORD
        return {
            "record_caller": self.answer.caller,
            "record_key": self.answer.key,
            "record_holder": self.answer.holder,
            "answer_status": self.answer.status,
            "answer_headers": list(self.answer.headers),
            "answer_body": self.answer.body,
        }


def seat_statement(
    snapshot: Snapshot,
    order: SeatOrder,
    *,
    table_ids: tuple[int, ...],
    period: Period,
    service_day: date,
    hold_id: UUID,
    lock_timeout_ms: int,
) -> Statement:
    """Seats the booking if all is as the snapshot says and the tables are free; `seated_at` reads what came of it.

    What the booking had goes. `hold_id` is only a name here: events and the confirmation refer to it.
    """
    seats = {
        "day": days_from_zero(service_day),
        "wait_ms": lock_timeout_ms,
        "policy": snapshot.policy_version,
        "floor": snapshot.floor_version,
        "table_ids": sorted(table_ids),
        "start": period.start,
        "end": period.end,
        "confirmation_id": order.confirmation_id,
        "hold_id": hold_id,
        "key": order.key,
        "cause": order.cause,
        "result": Jsonb(dict(order.last_result)),
        "variant": order.variant,
        "suppressed": order.messages_suppressed,
        **NO_SCOPE,
    }
    if order.creates is not None:
        return Statement(_SEAT_NEWCOMER, {**seats, **order.creates.written(), **order.answered()})
    booking = {
        "booking_id": snapshot.booking_id,
        "restaurant_id": snapshot.restaurant_id,
        "party": snapshot.party,
        "starts_at": snapshot.starts_at,
    }
    return Statement(_SEAT, {**seats, **booking})


def seated_at(rows: list[Row]) -> datetime | None:
    """Since when the booking has its tables, by the rows of `seat_statement`; None when somebody was faster."""
    at: datetime | None = rows[0]["at"]
    return at
