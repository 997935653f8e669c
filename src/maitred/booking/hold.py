"""Holding tables for a booking: taking them and letting them go.

Locks are taken in one order by everybody: the venue's day, the booking, its hold, then the allocations. A hold ends by
the database's clock, and an expired one gives way in the very transaction that needs its tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

from maitred.booking.snapshot import Snapshot
from maitred.errors import HoldForeign, HoldNotFound
from maitred.model.period import EPOCH, Period
from maitred.storage.database import Database, Row, Statement

_DAY_ZERO = EPOCH.date()

LOCK_DAY: LiteralString = """
SELECT set_config('lock_timeout', %(lock_timeout_ms)s, true),
       pg_advisory_xact_lock(hashtext(%(restaurant_id)s), %(day)s)
"""

LOCK_BOOKING: LiteralString = """
SELECT b.status, b.party_size, b.starts_at, r.policy_version, r.floor_version
  FROM bookings b JOIN restaurants r ON r.id = b.restaurant_id
 WHERE b.id = %(booking_id)s
   FOR NO KEY UPDATE OF b
"""

# Expired holds on what is needed, and the booking's own earlier hold. Their allocations go with them.
CLEAR_WAY: LiteralString = """
DELETE FROM holds h
 WHERE h.booking_id = %(booking_id)s
    OR (h.expires_at <= clock_timestamp()
        AND EXISTS (SELECT FROM allocations a
                     WHERE a.hold_id = h.id
                       AND a.table_id = ANY(%(table_ids)s)
                       AND a.period && tstzrange(%(start)s, %(end)s)))
"""

# A statement of its own after the locks, hence a new snapshot: it sees whatever was committed while we waited.
TAKE_HOLD: LiteralString = """
INSERT INTO holds (id, restaurant_id, booking_id, expires_at, policy_version, floor_version, require_adjacency)
SELECT %(hold_id)s, b.restaurant_id, b.id, clock_timestamp() + make_interval(secs => %(ttl_s)s),
       r.policy_version, r.floor_version, %(require_adjacency)s
  FROM bookings b JOIN restaurants r ON r.id = b.restaurant_id
 WHERE b.id = %(booking_id)s
   AND b.status = 'pending'
   AND b.party_size = %(party_size)s
   AND b.starts_at = %(starts_at)s
   AND r.policy_version = %(policy_version)s
   AND r.floor_version = %(floor_version)s
   AND NOT EXISTS (SELECT FROM allocations a
                    WHERE a.table_id = ANY(%(table_ids)s)
                      AND a.period && tstzrange(%(start)s, %(end)s))
RETURNING expires_at
"""

TAKE_TABLES: LiteralString = """
INSERT INTO allocations (restaurant_id, table_id, booking_id, hold_id, period)
SELECT h.restaurant_id, t.id, h.booking_id, h.id, tstzrange(%(start)s, %(end)s)
  FROM holds h CROSS JOIN unnest(%(table_ids)s) AS t(id)
 WHERE h.id = %(hold_id)s
 ORDER BY t.id
"""

# For a booking that keeps its old tables until it has new ones: they go in the transaction that brings the new ones,
# and the two conditions undo all of it when it doesn't. They go after the locks on the booking and on the holds in the
# way: freeing tables locks the venue's release mark, and nobody who has that waits for a booking or a hold.
_GIVE_UP_SEATS: LiteralString = """
DELETE FROM allocations WHERE booking_id = %(booking_id)s AND hold_id IS NULL
"""
_MUST_BE_HELD: LiteralString = """
SELECT must_hold(EXISTS (SELECT FROM holds WHERE id = %(hold_id)s), 'the tables are not free')
"""
_MUST_BE_CONFIRMED: LiteralString = """
SELECT must_hold(EXISTS (SELECT FROM confirmations WHERE hold_id = %(hold_id)s), 'the hold was not confirmed')
"""
NOT_HELD = "MD001"
"""The SQLSTATE with which a transaction undoes itself when one of its conditions doesn't hold."""

RELEASE: LiteralString = """
DELETE FROM holds WHERE id = %(hold_id)s AND booking_id = %(booking_id)s RETURNING id
"""

OWNER: LiteralString = "SELECT booking_id FROM holds WHERE id = %(hold_id)s"


@dataclass(frozen=True, slots=True)
class Hold:
    """Tables kept for a booking until `expires_at` (the database's clock), for the window `period`."""

    id: UUID
    booking_id: UUID
    table_ids: tuple[int, ...]
    period: Period
    expires_at: datetime
    policy_version: int
    floor_version: int
    require_adjacency: bool


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """Which tables to hold, under which rules they were chosen, and for how long."""

    hold_id: UUID
    table_ids: tuple[int, ...]
    period: Period
    require_adjacency: bool
    ttl_s: int


def days_from_zero(service_day: date) -> int:
    """The day as the number that its lock goes by."""
    return (service_day - _DAY_ZERO).days


def lock_day(restaurant_id: UUID, service_day: date, lock_timeout_ms: int) -> Statement:
    """Takes the venue's day for this transaction. Everybody who takes tables of that day does so first."""
    return Statement(
        LOCK_DAY,
        {
            "restaurant_id": str(restaurant_id),
            "day": days_from_zero(service_day),
            "lock_timeout_ms": str(lock_timeout_ms),
        },
    )


def hold_statements(snapshot: Snapshot, request: HoldRequest) -> list[Statement]:
    """Takes the hold if all is as the snapshot says and the tables are free; `hold_expiry` reads what came of it."""
    params = {
        "hold_id": request.hold_id,
        "booking_id": snapshot.booking_id,
        "table_ids": list(request.table_ids),
        "start": request.period.start,
        "end": request.period.end,
        "ttl_s": request.ttl_s,
        "require_adjacency": request.require_adjacency,
        "party_size": snapshot.party,
        "starts_at": snapshot.starts_at,
        "policy_version": snapshot.policy_version,
        "floor_version": snapshot.floor_version,
    }
    return [Statement(sql, params) for sql in (LOCK_BOOKING, CLEAR_WAY, TAKE_HOLD, TAKE_TABLES)]


def exchange_statements(snapshot: Snapshot, request: HoldRequest, closing: Sequence[Statement]) -> list[Statement]:
    """Gives up the booking's old seats, holds the new tables and makes them seats by `closing`; all of it or nothing.

    The rows of all but the first statement are for `hold_expiry`. What doesn't work out raises an error with NOT_HELD.
    """
    who = {"booking_id": snapshot.booking_id, "hold_id": request.hold_id}
    lock_booking, clear_way, take_hold, take_tables = hold_statements(snapshot, request)
    return [
        lock_booking,
        clear_way,
        Statement(_GIVE_UP_SEATS, who),
        take_hold,
        take_tables,
        Statement(_MUST_BE_HELD, who),
        *closing,
        Statement(_MUST_BE_CONFIRMED, who),
    ]


def hold_expiry(rows: Sequence[list[Row]]) -> datetime | None:
    """When the hold ends that `hold_statements` took, by the rows of its statements; None: it was not to be had."""
    taken = rows[2]
    return taken[0]["expires_at"] if taken else None


async def release_hold(database: Database, hold_id: UUID, *, booking_id: UUID) -> None:
    """Lets the held tables go at once. Raises HoldForeign for another booking's hold, HoldNotFound for none."""
    params = {"hold_id": hold_id, "booking_id": booking_id}
    owner, released = await database.transact([Statement(OWNER, params), Statement(RELEASE, params)])
    if released:
        return
    if owner and owner[0]["booking_id"] != booking_id:
        raise HoldForeign(booking_id, hold_id)
    raise HoldNotFound(booking_id, hold_id)
