"""Changing a booking that exists: cancelling it, moving it in time or size. What it had is freed in the same breath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from maitred.booking.hold import LOCK_BOOKING
from maitred.errors import VersionConflict
from maitred.model.booking import BookingStatus
from maitred.model.preferences import Preferences
from maitred.storage.database import Database, Row, Statement
from maitred.venue.scoring import preferences_to_json

# A trigger frees the tables and the hold of a booking that is over; the freed tables wake whoever waits for them.
_CANCEL: LiteralString = """
WITH before AS (
    SELECT id, status FROM bookings
     WHERE id = %(booking_id)s AND status IN ('pending', 'confirmed')
), changed AS (
    UPDATE bookings b SET status = 'cancelled', revision = revision + 1 FROM before
     WHERE b.id = before.id RETURNING b.id, before.status
)
INSERT INTO booking_history (booking_id, from_status, to_status, cause)
SELECT id, status, 'cancelled', %(cause)s FROM changed
RETURNING booking_id
"""

_MOVE: LiteralString = """
WITH before AS (
    SELECT id, status FROM bookings
     WHERE id = %(booking_id)s AND revision = %(revision)s AND status IN ('pending', 'confirmed')
       AND (starts_at, party_size) <> (%(starts_at)s::timestamptz, %(party_size)s::int)
), changed AS (
    UPDATE bookings b
       SET starts_at = %(starts_at)s, party_size = %(party_size)s, status = 'pending', confirmed_at = NULL,
           revision = revision + 1
      FROM before WHERE b.id = before.id RETURNING b.id, before.status
)
INSERT INTO booking_history (booking_id, from_status, to_status, cause)
SELECT id, status, 'pending', %(cause)s FROM changed
RETURNING booking_id
"""

# A hold made for the old time or size is worth nothing now, whatever the venue's policy on seats.
_DROP_OLD_HOLD: LiteralString = """
DELETE FROM holds h USING bookings b
 WHERE h.booking_id = %(booking_id)s AND b.id = h.booking_id AND b.revision = %(revision)s + 1
"""

_FREE_OLD_SEATS: LiteralString = """
DELETE FROM allocations a USING bookings b, restaurants r
 WHERE a.booking_id = %(booking_id)s
   AND b.id = a.booking_id
   AND b.revision = %(revision)s + 1
   AND r.id = b.restaurant_id
   AND NOT r.keep_tables_until_moved
"""


# `expected` null: whatever was changed since. What was seen tells an unchanged booking from one of another revision.
_NOTES: LiteralString = """
WITH seen AS (
    SELECT id, revision FROM bookings WHERE id = %(booking_id)s FOR UPDATE
), changed AS (
    UPDATE bookings b SET notes = %(notes)s, revision = b.revision + 1
      FROM seen
     WHERE b.id = seen.id AND seen.revision = coalesce(%(expected)s::int, seen.revision)
       AND b.status IN ('pending', 'confirmed') AND b.notes IS DISTINCT FROM %(notes)s
    RETURNING b.revision
)
SELECT seen.revision AS seen, coalesce((SELECT revision FROM changed), seen.revision) AS revision FROM seen
"""


_WISHES: LiteralString = """
WITH seen AS (
    SELECT id, revision FROM bookings WHERE id = %(booking_id)s FOR UPDATE
), changed AS (
    UPDATE bookings b
       SET preferences = coalesce(%(preferences)s::jsonb, b.preferences), vip = coalesce(%(vip)s::boolean, b.vip),
           revision = b.revision + 1
      FROM seen
     WHERE b.id = seen.id AND seen.revision = coalesce(%(expected)s::int, seen.revision)
       AND b.status IN ('pending', 'confirmed')
       AND (b.preferences, b.vip)
           <> (coalesce(%(preferences)s::jsonb, b.preferences), coalesce(%(vip)s::boolean, b.vip))
    RETURNING b.status
)
SELECT seen.revision AS seen, (SELECT status FROM changed) AS status FROM seen
"""


# Under the booking's lock, before and after its change. Without the first, what frees tables and begins runs would take
# somebody else's change for this one.
AS_SEEN: LiteralString = """
SELECT must_hold(EXISTS (SELECT FROM bookings WHERE id = %(booking_id)s AND revision = %(revision)s),
                 'the booking was changed meanwhile')
"""
CHANGED: LiteralString = """
SELECT must_hold(EXISTS (SELECT FROM bookings WHERE id = %(booking_id)s AND revision = %(revision)s + 1),
                 'the booking could not be changed')
"""


@dataclass(frozen=True, slots=True)
class Move:
    """A booking's new start, an instant with a zone, and size in covers."""

    starts_at: datetime
    party: int


def cancel_statements(booking_id: UUID, cause: str) -> list[Statement]:
    """Cancels a pending or confirmed booking; the second statement has a row if it did."""
    params = {"booking_id": booking_id, "cause": cause}
    return [Statement(LOCK_BOOKING, params), Statement(_CANCEL, params)]


def move_statements(booking_id: UUID, revision: int, move: Move, cause: str) -> list[Statement]:
    """Moves a pending or confirmed booking and makes it pending.

    Its hold goes; its seats go too unless the venue keeps them until the new ones are confirmed. `revision` is the
    booking's before the move; for one that was changed meanwhile, or is neither, the transaction undoes itself with
    the SQLSTATE `hold.NOT_HELD`.
    """
    params = {
        "booking_id": booking_id,
        "revision": revision,
        "starts_at": move.starts_at,
        "party_size": move.party,
        "cause": cause,
    }
    return [Statement(sql, params) for sql in (LOCK_BOOKING, AS_SEEN, _MOVE, CHANGED, _DROP_OLD_HOLD, _FREE_OLD_SEATS)]


async def write_notes(
    database: Database, booking_id: UUID, notes: str | None, *, expected: int | None = None
) -> int | None:
    """Other notes for a booking that is pending or confirmed; of any other they stay. Gives its revision after it.

    Raises VersionConflict when the booking's revision isn't `expected`.
    """
    rows = await database.fetch(_NOTES, {"booking_id": booking_id, "notes": notes, "expected": expected})
    _must_be_as_seen(rows, expected)
    revision: int | None = rows[0]["revision"] if rows else None
    return revision


async def write_wishes(
    database: Database,
    booking_id: UUID,
    preferences: Preferences | None = None,
    vip: bool | None = None,
    *,
    expected: int | None = None,
) -> bool:
    """Other preferences, or another mark, for a booking that is pending or confirmed; None leaves them as they are.

    They are for the next choice of tables: a booking that has some keeps them. Tells whether the booking waits for
    tables and what it wishes is another now. Raises VersionConflict when the booking's revision isn't `expected`.
    """
    wishes = None if preferences is None else Jsonb(preferences_to_json(preferences))
    params = {"booking_id": booking_id, "preferences": wishes, "vip": vip, "expected": expected}
    rows = await database.fetch(_WISHES, params)
    _must_be_as_seen(rows, expected)
    return bool(rows) and rows[0]["status"] == BookingStatus.PENDING


def _must_be_as_seen(rows: Sequence[Row], expected: int | None) -> None:
    if rows and expected is not None and rows[0]["seen"] != expected:
        raise VersionConflict("booking", str(rows[0]["seen"]))
