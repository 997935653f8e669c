"""Bookings of a venue, page by page, in order of start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

from maitred.model.booking import BookingStatus
from maitred.storage.database import Database

_PAGE: LiteralString = """
SELECT b.id, b.reference, b.party_size, b.starts_at, b.status, b.locked, b.by_hand, b.guest_name, b.guest_phone,
       b.guest_email, b.notes, b.created_at,
       ARRAY(SELECT t.number FROM allocations a JOIN tables t ON t.id = a.table_id
              WHERE a.booking_id = b.id AND a.hold_id IS NULL ORDER BY t.number) AS tables
  FROM bookings b JOIN restaurants r ON r.id = b.restaurant_id
 WHERE b.restaurant_id = %(restaurant_id)s
   AND (%(day)s::date IS NULL OR (b.starts_at >= (%(day)s::date)::timestamp AT TIME ZONE r.timezone
                                  AND b.starts_at < (%(day)s::date + 1)::timestamp AT TIME ZONE r.timezone))
   AND (%(statuses)s::text[] IS NULL OR b.status = ANY (%(statuses)s::text[]))
   AND (%(after)s::timestamptz IS NULL OR (b.starts_at, b.id) > (%(after)s::timestamptz, %(after_id)s::uuid))
 ORDER BY b.starts_at, b.id
 LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class ListedBooking:
    """A booking; `tables` are the numbers of its seats. What belongs to the guest stays out of the value's repr."""

    id: UUID
    reference: str
    party: int
    starts_at: datetime
    status: BookingStatus
    locked: bool
    by_hand: bool
    tables: tuple[str, ...]
    created_at: datetime
    name: str | None = field(repr=False)
    phone: str | None = field(repr=False)
    email: str | None = field(repr=False)
    notes: str | None = field(repr=False)


async def page_of_bookings(
    database: Database,
    restaurant_id: UUID,
    *,
    limit: int,
    day: date | None = None,
    statuses: Sequence[BookingStatus] | None = None,
    after: tuple[datetime, UUID] | None = None,
) -> list[ListedBooking]:
    """At most `limit` bookings, from the one behind `after` (start and id) on; one round trip.

    `day` is the local date of the start, also for a booking after midnight of the evening before.
    """
    rows = await database.fetch(
        _PAGE,
        {
            "restaurant_id": restaurant_id,
            "day": day,
            "statuses": None if statuses is None else [each.value for each in statuses],
            "after": None if after is None else after[0],
            "after_id": None if after is None else after[1],
            "limit": limit,
        },
    )
    return [
        ListedBooking(
            id=row["id"],
            reference=row["reference"],
            party=row["party_size"],
            starts_at=row["starts_at"],
            status=BookingStatus(row["status"]),
            locked=row["locked"],
            by_hand=row["by_hand"],
            tables=tuple(row["tables"]),
            created_at=row["created_at"],
            name=row["guest_name"],
            phone=row["guest_phone"],
            email=row["guest_email"],
            notes=row["notes"],
        )
        for row in rows
    ]
