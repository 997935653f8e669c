"""The bookings of one service day, as an operations run takes them up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import LiteralString
from uuid import UUID

from maitred.auto_assign.runs import MailVariant
from maitred.errors import NotFound
from maitred.model.booking import BookingStatus
from maitred.model.policy import VenuePolicy, Window
from maitred.storage.database import Database, Row
from maitred.venue.read import SELECT_VENUE, Venue, venue_of

_BY_SLUG: LiteralString = SELECT_VENUE + " WHERE r.slug = %(slug)s"

# Which of these belong to the service day is the policy's to say: a service may cross midnight.
_BOOKINGS: LiteralString = """
SELECT b.id, b.reference, b.party_size, b.starts_at, b.status,
       coalesce((SELECT r.mail_variant FROM runs r WHERE r.booking_id = b.id ORDER BY r.created_at DESC LIMIT 1),
                'standard') AS mail_variant,
       (SELECT coalesce(json_agg(t.number ORDER BY a.table_id), '[]')
          FROM allocations a JOIN tables t ON t.id = a.table_id
         WHERE a.booking_id = b.id AND a.hold_id IS NULL) AS tables,
       (SELECT min(z.name) FROM allocations a JOIN tables t ON t.id = a.table_id JOIN zones z ON z.id = t.zone_id
         WHERE a.booking_id = b.id AND a.hold_id IS NULL) AS zone
  FROM bookings b
 WHERE b.restaurant_id = %(restaurant_id)s
   AND b.starts_at >= %(since)s AND b.starts_at < %(until)s
   AND b.status IN ('pending', 'confirmed', 'checked_in')
 ORDER BY b.starts_at, b.reference, b.id
"""

_STATUSES: LiteralString = "SELECT id, status FROM bookings WHERE id = ANY (%(ids)s)"

# no zone's clocks are changed by more than this
_MARGIN = timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class BookingOfDay:
    """A booking that is pending or seated. `tables` are numbers; empty, and `zone` None, for one without seats.

    `mail_variant` is what its latest durable run would send: a booking that was moved gets the modified confirmation.
    """

    id: UUID
    reference: str
    party_size: int
    starts_at: datetime
    status: BookingStatus
    mail_variant: MailVariant
    tables: tuple[str, ...]
    zone: str | None


async def find_venue(database: Database, slug: str) -> Venue:
    """The restaurant with this slug. Raises NotFound."""
    rows = await database.fetch(_BY_SLUG, {"slug": slug})
    if not rows:
        raise NotFound("restaurant", slug)
    return venue_of(rows[0])


async def bookings_of_day(database: Database, venue: Venue, day: date) -> list[BookingOfDay]:
    """The bookings of this service day that are pending or seated, in order of start.

    The day is a local date of the venue. A booking after midnight in a service that began the evening before belongs
    to that evening; one outside every service belongs to its own date.
    """
    midnight = datetime.combine(day, time(), venue.policy.zone)
    rows = await database.fetch(
        _BOOKINGS,
        {
            "restaurant_id": venue.restaurant_id,
            "since": midnight - _MARGIN,
            "until": midnight + timedelta(days=2) + _MARGIN,
        },
    )
    found = map(_booking, rows)
    return [each for each in found if service_day(venue.policy, each.starts_at, each.party_size) == day]


def service_day(policy: VenuePolicy, starts_at: datetime, party_size: int) -> date:
    """The local date on which the booking's service began; of a booking that fits no service, its own local date."""
    window = policy.window(starts_at, party_size)
    return window.service_day if isinstance(window, Window) else starts_at.astimezone(policy.zone).date()


async def statuses_of(database: Database, booking_ids: list[UUID]) -> dict[UUID, BookingStatus]:
    """The status of each of these bookings that still exists."""
    rows = await database.fetch(_STATUSES, {"ids": booking_ids})
    return {row["id"]: BookingStatus(row["status"]) for row in rows}


def _booking(row: Row) -> BookingOfDay:
    return BookingOfDay(
        id=row["id"],
        reference=row["reference"],
        party_size=row["party_size"],
        starts_at=row["starts_at"],
        status=BookingStatus(row["status"]),
        mail_variant=row["mail_variant"],
        tables=tuple(row["tables"]),
        zone=row["zone"],
    )
