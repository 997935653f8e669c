"""Reading what is known of one booking: itself, its events, its history, and who may have stood in its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from maitred.errors import NotFound
from maitred.model.booking import BookingStatus
from maitred.model.period import Period
from maitred.storage.database import Database, Row, Statement

# A booking has some ten events an attempt; what is beyond this many is not a story any more.
MOST_EVENTS = 2_000

_BEGIN = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", {})
_COMMIT = Statement("COMMIT", {})

_BOOKING: LiteralString = """
SELECT b.id, b.reference, b.party_size, b.starts_at, b.status, r.id AS restaurant_id, r.slug, r.timezone,
       ARRAY(SELECT t.number FROM allocations a JOIN tables t ON t.id = a.table_id
              WHERE a.booking_id = b.id AND a.hold_id IS NULL ORDER BY t.number) AS tables
  FROM bookings b JOIN restaurants r ON r.id = b.restaurant_id
 WHERE b.id = %(booking_id)s
"""
_EVENTS: LiteralString = """
SELECT id, created_at, event_type, context
  FROM observability_events
 WHERE booking_id = %(booking_id)s
 ORDER BY created_at, seq NULLS LAST, id
 LIMIT %(most)s
"""
_CHANGES: LiteralString = """
SELECT h.at, h.from_status, h.to_status, h.cause,
       ARRAY(SELECT t.number FROM tables t WHERE t.id = ANY (h.table_ids) ORDER BY t.number) AS tables
  FROM booking_history h
 WHERE h.booking_id = %(booking_id)s
 ORDER BY h.at, h.id
"""
# Seats that others were given near this booking's time. Rows of `allocations` go when a booking is over or moved;
# these stay.
_SEATS: LiteralString = """
SELECT c.table_ids, lower(c.period) AS starts, upper(c.period) AS ends, c.confirmed_at, b.id AS booking_id, b.reference,
       (SELECT min(h.at) FROM booking_history h
         WHERE h.booking_id = b.id AND h.at >= c.confirmed_at
           AND h.to_status IN ('completed', 'cancelled', 'no_show', 'pending')) AS over_at
  FROM confirmations c
  JOIN bookings b ON b.id = c.booking_id
  JOIN bookings mine ON mine.id = %(booking_id)s AND mine.restaurant_id = b.restaurant_id AND mine.id <> b.id
 WHERE c.period && tstzrange(mine.starts_at - interval '1 day', mine.starts_at + interval '1 day')
 ORDER BY c.confirmed_at
"""
# Tables changed while seated, of the booking itself and of those that made way for it.
_MOVED: LiteralString = """
SELECT e.created_at AS at, b.id = mine.id AS own, b.reference, n.reference AS moved_for,
       ARRAY(SELECT t.number FROM tables t
              WHERE t.id IN (SELECT v::bigint FROM jsonb_array_elements_text(e.context->'from_tables') AS each(v))
              ORDER BY t.number) AS before,
       ARRAY(SELECT t.number FROM tables t
              WHERE t.id IN (SELECT v::bigint FROM jsonb_array_elements_text(e.context->'to_tables') AS each(v))
              ORDER BY t.number) AS after
  FROM bookings mine
  JOIN bookings b ON b.restaurant_id = mine.restaurant_id
                 AND b.starts_at BETWEEN mine.starts_at - interval '1 day' AND mine.starts_at + interval '1 day'
  JOIN observability_events e ON e.booking_id = b.id AND e.event_type = 'booking.tables_moved'
                             AND (b.id = mine.id OR e.context->>'moved_for' = mine.id::text)
  LEFT JOIN bookings n ON n.id = (e.context->>'moved_for')::uuid
 WHERE mine.id = %(booking_id)s
 ORDER BY e.created_at, b.reference
"""


@dataclass(frozen=True, slots=True)
class BookingNow:
    """The booking as it is now; `tables` are the numbers of its seats."""

    id: UUID
    restaurant_id: UUID
    slug: str
    reference: str
    party: int
    starts_at: datetime
    timezone: str
    status: BookingStatus
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """One of its events."""

    id: UUID
    at: datetime
    event_type: str
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One row of the booking's history; `tables` are numbers."""

    at: datetime
    before: str | None
    after: str
    cause: str
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TablesMoved:
    """Other tables (numbers) for a seated booking. `own`: the booking itself; else one that made way for it.

    `moved_for` is the reference of who got room by it, None where the whole service was optimised.
    """

    at: datetime
    own: bool
    reference: str
    moved_for: str | None
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seat:
    """Tables (ids) that another booking was given, until that booking was over or moved (None: it wasn't)."""

    booking_id: UUID
    reference: str
    table_ids: frozenset[int]
    period: Period
    given_at: datetime
    over_at: datetime | None


@dataclass(frozen=True, slots=True)
class History:
    """All of it, at one moment."""

    booking: BookingNow
    events: Sequence[KeptEvent]
    changes: Sequence[StatusChange]
    seats: Sequence[Seat]
    moved: Sequence[TablesMoved] = ()

    def taken_by(self, table_ids: frozenset[int], period: Period, at: datetime) -> dict[int, list[Seat]]:
        """Who is known to have had these tables for any of the period at that moment, by table id."""
        latest = {seat.booking_id: seat for seat in self.seats if seat.given_at <= at}
        found: dict[int, list[Seat]] = {}
        for seat in sorted(latest.values(), key=lambda seat: seat.period.start):
            if (seat.over_at is None or seat.over_at > at) and seat.period.overlaps(period):
                for table_id in seat.table_ids & table_ids:
                    found.setdefault(table_id, []).append(seat)
        return found


async def read_history(db: Database, booking_id: UUID) -> History:
    """Reads it from one snapshot, in one round trip. Raises NotFound."""
    params = {"booking_id": booking_id, "most": MOST_EVENTS}
    asked = [Statement(sql, params) for sql in (_BOOKING, _EVENTS, _CHANGES, _SEATS, _MOVED)]
    _, bookings, events, changes, seats, moved, _ = await db.transact([_BEGIN, *asked, _COMMIT])
    if not bookings:
        raise NotFound("booking", str(booking_id))
    return History(
        booking=_booking(bookings[0]),
        events=[KeptEvent(row["id"], row["created_at"], row["event_type"], row["context"] or {}) for row in events],
        changes=[
            StatusChange(row["at"], row["from_status"], row["to_status"], row["cause"], tuple(row["tables"]))
            for row in changes
        ],
        seats=[
            Seat(
                booking_id=row["booking_id"],
                reference=row["reference"],
                table_ids=frozenset(row["table_ids"]),
                period=Period(row["starts"], row["ends"]),
                given_at=row["confirmed_at"],
                over_at=row["over_at"],
            )
            for row in seats
        ],
        moved=[
            TablesMoved(
                at=row["at"],
                own=row["own"],
                reference=row["reference"],
                moved_for=row["moved_for"],
                before=tuple(row["before"]),
                after=tuple(row["after"]),
            )
            for row in moved
        ],
    )


def _booking(row: Row) -> BookingNow:
    return BookingNow(
        id=row["id"],
        restaurant_id=row["restaurant_id"],
        slug=row["slug"],
        reference=row["reference"],
        party=row["party_size"],
        starts_at=row["starts_at"],
        timezone=row["timezone"],
        status=BookingStatus(row["status"]),
        tables=tuple(row["tables"]),
    )
