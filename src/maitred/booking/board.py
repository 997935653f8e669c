"""The board: one service day of a venue as one document, with its version.

Everything on it comes from rows, holds that have expired but were not swept yet among them, so the same version is the
same document. A board's parts are lists of rows with an `id`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import LiteralString
from uuid import UUID

from maitred.errors import NotFound
from maitred.model.policy import VenuePolicy, Window
from maitred.storage.database import Database, Row, Statement
from maitred.venue.read import SELECT_VENUE, venue_of

MOST_BOOKINGS = 5_000
_MOST_READ = 2 * MOST_BOOKINGS + 1  # the days around it are read too, as the zone and the services aren't known yet

# no zone's clocks are changed by more than this
_MARGIN = timedelta(hours=3)

_VENUE: LiteralString = SELECT_VENUE + " WHERE r.id = %(restaurant_id)s"
_VERSION: LiteralString = """
SELECT day_version(r.id, %(day)s) AS version FROM restaurants r WHERE r.id = %(restaurant_id)s
"""

_DAY: LiteralString = """
WITH booked AS (
    SELECT b.* FROM bookings b
     WHERE b.restaurant_id = %(restaurant_id)s AND b.starts_at >= %(since)s AND b.starts_at < %(until)s
     ORDER BY b.starts_at, b.reference, b.id LIMIT %(most)s
)
SELECT b.id, b.reference, b.party_size, b.starts_at, b.status, b.locked, b.by_hand, b.guest_name, b.guest_phone,
       b.notes, s.table_ids, s.starts AS seats_from, s.ends AS seats_until,
       h.id AS hold_id, h.expires_at, t.table_ids AS held_ids, t.starts AS held_from,
       t.ends AS held_until, u.id AS run_id, u.trigger, u.due_at, u.last_reason
  FROM booked b
  LEFT JOIN LATERAL (SELECT array_agg(a.table_id ORDER BY a.table_id) AS table_ids, min(lower(a.period)) AS starts,
                            max(upper(a.period)) AS ends
                       FROM allocations a WHERE a.booking_id = b.id AND a.hold_id IS NULL) s ON true
  LEFT JOIN holds h ON h.booking_id = b.id
  LEFT JOIN LATERAL (SELECT array_agg(a.table_id ORDER BY a.table_id) AS table_ids, min(lower(a.period)) AS starts,
                            max(upper(a.period)) AS ends
                       FROM allocations a WHERE a.hold_id = h.id) t ON true
  LEFT JOIN runs u ON u.booking_id = b.id AND u.ended_at IS NULL
 ORDER BY b.starts_at, b.reference, b.id
"""


@dataclass(frozen=True, slots=True)
class BoardTable:
    """A table of the floor; `status` is what staff say of it."""

    id: int
    number: str
    zone: str
    capacity: int
    status: str
    active: bool


@dataclass(frozen=True, slots=True)
class BoardBooking:
    """A booking of the day. `tables` are ids, with the time they are its; empty for one without seats.

    Name, phone and notes are the guest's: they go to staff and nowhere else.
    """

    id: UUID
    reference: str
    party: int
    starts_at: datetime
    status: str
    locked: bool
    by_hand: bool
    tables: tuple[int, ...]
    from_: datetime | None
    until: datetime | None
    name: str | None
    phone: str | None
    notes: str | None


@dataclass(frozen=True, slots=True)
class BoardHold:
    """Tables (ids) kept for a booking until `expires_at`; past that it is in nobody's way, swept or not."""

    id: UUID
    booking_id: UUID
    tables: tuple[int, ...]
    from_: datetime
    until: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class BoardRun:
    """A run that goes on for a booking of the day, and when its next attempt is due."""

    id: UUID
    booking_id: UUID
    trigger: str
    due_at: datetime
    last_reason: str | None


@dataclass(frozen=True, slots=True)
class Board:
    """The day. `waiting` are the bookings (ids) that are pending without seats. `complete` False: there are more
    bookings than a board shows. Instants are in UTC; `timezone` is the venue's.
    """

    restaurant_id: UUID
    slug: str
    name: str
    timezone: str
    day: date
    version: int
    complete: bool
    tables: tuple[BoardTable, ...]
    bookings: tuple[BoardBooking, ...]
    holds: tuple[BoardHold, ...]
    runs: tuple[BoardRun, ...]
    waiting: tuple[UUID, ...]


async def read_version(database: Database, restaurant_id: UUID, day: date) -> int:
    """The version that the day's board has now; one round trip. Raises NotFound."""
    rows = await database.fetch(_VERSION, {"restaurant_id": restaurant_id, "day": day})
    if not rows:
        raise NotFound("restaurant", str(restaurant_id))
    version: int = rows[0]["version"]
    return version


async def read_board(database: Database, restaurant_id: UUID, day: date) -> Board:
    """The board and its version, in one round trip. Raises NotFound."""
    params = {
        "restaurant_id": restaurant_id,
        "day": day,
        # read wide and sorted out by the policy: the venue's zone and services are in the same answer
        "since": datetime.combine(day, time(), UTC) - timedelta(hours=14) - _MARGIN,
        "until": datetime.combine(day, time(), UTC) + timedelta(days=2, hours=12) + _MARGIN,
        "most": _MOST_READ,
    }
    # the version first: a change that comes between the two reads is on the board before it counts, and told again
    versions, venues, rows = await database.transact([Statement(sql, params) for sql in (_VERSION, _VENUE, _DAY)])
    if not venues:
        raise NotFound("restaurant", str(restaurant_id))
    return _board(venues[0], versions[0]["version"], day, rows, complete=len(rows) < _MOST_READ)


def _board(venue_row: Row, version: int, day: date, rows: Sequence[Row], *, complete: bool) -> Board:
    venue = venue_of(venue_row)
    policy, floor = venue.policy, venue.floor
    own = [row for row in rows if service_day(policy, row["starts_at"], row["party_size"]) == day]
    complete = complete and len(own) <= MOST_BOOKINGS
    own = own[:MOST_BOOKINGS]
    return Board(
        restaurant_id=venue.restaurant_id,
        slug=venue.slug,
        name=venue.name,
        timezone=policy.timezone,
        day=day,
        version=version,
        complete=complete,
        tables=tuple(
            BoardTable(
                id=table.id,
                number=table.number,
                zone=floor.zones.get(table.zone_id, ""),
                capacity=table.capacity,
                status=table.status.value,
                active=table.active,
            )
            for table in floor.tables
        ),
        bookings=tuple(_booking(row) for row in own),
        holds=tuple(
            BoardHold(
                id=row["hold_id"],
                booking_id=row["id"],
                tables=tuple(row["held_ids"]),
                from_=row["held_from"],
                until=row["held_until"],
                expires_at=row["expires_at"],
            )
            for row in own
            if row["hold_id"] is not None and row["held_ids"] is not None
        ),
        runs=tuple(
            BoardRun(
                id=row["run_id"],
                booking_id=row["id"],
                trigger=row["trigger"],
                due_at=row["due_at"],
                last_reason=row["last_reason"],
            )
            for row in own
            if row["run_id"] is not None
        ),
        waiting=tuple(row["id"] for row in own if row["status"] == "pending" and row["table_ids"] is None),
    )


def service_day(policy: VenuePolicy, starts_at: datetime, party: int) -> date:
    """The local date on which the booking's service began; of a booking that fits no service, its own local date."""
    window = policy.window(starts_at, party)
    return window.service_day if isinstance(window, Window) else starts_at.astimezone(policy.zone).date()


def _booking(row: Row) -> BoardBooking:
    return BoardBooking(
        id=row["id"],
        reference=row["reference"],
        party=row["party_size"],
        starts_at=row["starts_at"],
        status=row["status"],
        locked=row["locked"],
        by_hand=row["by_hand"],
        tables=tuple(row["table_ids"] or ()),
        from_=row["seats_from"],
        until=row["seats_until"],
        name=row["guest_name"],
        phone=row["guest_phone"],
        notes=row["notes"],
    )
