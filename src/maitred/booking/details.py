"""One booking as its guest and the staff see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from maitred.errors import NotFound
from maitred.model.booking import BookingStatus
from maitred.model.preferences import Preferences
from maitred.model.reason import ReasonCode
from maitred.storage.database import Database
from maitred.venue.scoring import preferences_from_json

_DETAILS: LiteralString = """
SELECT b.id, b.restaurant_id, b.reference, b.party_size, b.starts_at, b.status, b.revision,
       b.guest_name, b.guest_email, b.guest_phone, b.notes, b.preferences, b.confirmed_at, r.name AS venue, r.timezone,
       r.contact_email,
       s.numbers, s.zone, s.kept_until, run.id AS run_id, run.due_at, run.ended_at,
       coalesce(b.auto_assign_last_result ->> 'reason', run.last_reason) AS reason
  FROM bookings b
  JOIN restaurants r ON r.id = b.restaurant_id
  LEFT JOIN LATERAL (
       SELECT array_agg(t.number ORDER BY t.number COLLATE "C") AS numbers, min(z.name) AS zone,
              max(upper(a.period)) AS kept_until
         FROM allocations a JOIN tables t ON t.id = a.table_id JOIN zones z ON z.id = t.zone_id
        WHERE a.booking_id = b.id AND a.hold_id IS NULL AND b.status <> 'pending') s ON true
  LEFT JOIN LATERAL (
       SELECT u.id, u.due_at, u.ended_at, u.last_reason FROM runs u
        WHERE u.booking_id = b.id AND b.status = 'pending' ORDER BY u.created_at DESC LIMIT 1) run ON true
 WHERE b.id = %(booking_id)s
"""


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a pending booking has no tables, and the run that goes on; no run: the venue decides by hand."""

    reason: ReasonCode | None
    run_id: UUID | None
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class BookingDetails:
    """The booking now. `tables` are the numbers of its seats, `kept_until` the end of the time they are its.

    `wait` is there while it is pending. What belongs to the guest stays out of the value's repr.
    """

    id: UUID
    restaurant_id: UUID
    venue: str
    timezone: str
    reference: str
    party: int
    starts_at: datetime
    status: BookingStatus
    revision: int
    tables: tuple[str, ...]
    zone: str | None
    kept_until: datetime | None
    wait: Wait | None
    confirmed_at: datetime | None = None
    venue_email: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    notes: str | None = field(default=None, repr=False)
    preferences: Preferences = field(default_factory=Preferences, repr=False)


async def booking_details(database: Database, booking_id: UUID) -> BookingDetails:
    """Reads it; one round trip. Raises NotFound."""
    rows = await database.fetch(_DETAILS, {"booking_id": booking_id})
    if not rows:
        raise NotFound("booking", str(booking_id))
    row = rows[0]
    status = BookingStatus(row["status"])
    live = row["run_id"] is not None and row["ended_at"] is None
    wait = None
    if status is BookingStatus.PENDING:
        wait = Wait(
            reason=_reason(row["reason"]),
            run_id=row["run_id"] if live else None,
            next_attempt_at=row["due_at"] if live else None,
        )
    return BookingDetails(
        id=row["id"],
        restaurant_id=row["restaurant_id"],
        venue=row["venue"],
        timezone=row["timezone"],
        reference=row["reference"],
        party=row["party_size"],
        starts_at=row["starts_at"],
        status=status,
        revision=row["revision"],
        tables=tuple(row["numbers"] or ()),
        zone=row["zone"],
        kept_until=row["kept_until"],
        wait=wait,
        confirmed_at=row["confirmed_at"],
        venue_email=row["contact_email"],
        name=row["guest_name"],
        email=row["guest_email"],
        phone=row["guest_phone"],
        notes=row["notes"],
        preferences=preferences_from_json(f"booking {row['reference']}", row["preferences"]),
    )


def _reason(code: str | None) -> ReasonCode | None:
    return None if code is None else ReasonCode(code)
