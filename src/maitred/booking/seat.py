"""Seating a booking at once: what a hold and its confirmation do, in one transaction and one round trip.

The work is the database's (`seat_booking` of migration 0005), in the order of locks that everybody keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from maitred.booking.hold import days_from_zero
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


@dataclass(frozen=True, slots=True)
class SeatOrder:
    """What is written with the seats: the confirmation and why, the booking's last result, the messages.

    The same `key` for the same booking confirms once and gives the first confirmation again.
    """

    confirmation_id: UUID
    key: str
    cause: str
    last_result: Mapping[str, Any]
    variant: Variant
    messages_suppressed: bool


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
    return Statement(
        _SEAT,
        {
            "booking_id": snapshot.booking_id,
            "restaurant_id": snapshot.restaurant_id,
            "day": days_from_zero(service_day),
            "wait_ms": lock_timeout_ms,
            "party": snapshot.party,
            "starts_at": snapshot.starts_at,
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
        },
    )


def seated_at(rows: list[Row]) -> datetime | None:
    """Since when the booking has its tables, by the rows of `seat_statement`; None when somebody was faster."""
    at: datetime | None = rows[0]["at"]
    return at
