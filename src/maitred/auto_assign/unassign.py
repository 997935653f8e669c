"""Taking a booking's tables away by hand: it is pending again, its tables are free, and a run may go on from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import LiteralString
from uuid import UUID

import psycopg

from maitred.auto_assign.begin import run_statements
from maitred.auto_assign.changes import LOOK, superseding
from maitred.auto_assign.retry import RetryRules
from maitred.booking.change import AS_SEEN, CHANGED
from maitred.booking.desk import Desk
from maitred.booking.hold import LOCK_BOOKING, NOT_HELD
from maitred.booking.staff_change import EVENT_OF_CHANGED, event_params
from maitred.errors import BookingLocked, NotFound, TransitionRefused
from maitred.storage.database import Statement

_TRIES = 5

# A booking that was moved and still keeps its old seats is pending already; it loses them too.
_UNASSIGN: LiteralString = (
    """
WITH seats AS (
    SELECT array_agg(table_id ORDER BY table_id) AS table_ids FROM allocations
     WHERE booking_id = %(booking_id)s AND hold_id IS NULL
), before AS (
    SELECT id, status FROM bookings
     WHERE id = %(booking_id)s AND revision = %(revision)s AND NOT locked
       AND (status = 'confirmed' OR (status = 'pending' AND (SELECT table_ids FROM seats) IS NOT NULL))
), changed AS (
    UPDATE bookings b
       SET status = 'pending', confirmed_at = NULL, by_hand = %(by_hand)s, revision = revision + 1
      FROM before WHERE b.id = before.id
    RETURNING b.id, b.restaurant_id, before.status
), noted AS (
    INSERT INTO booking_history (booking_id, from_status, to_status, cause, table_ids, key_id)
    SELECT changed.id, changed.status, 'pending', 'unassigned', seats.table_ids, %(key_id)s FROM changed, seats
)
"""  # noqa: S608 - constants joined, nothing from outside
    + EVENT_OF_CHANGED
    + "RETURNING booking_id"
)
_FREE_HOLDS: LiteralString = """
DELETE FROM holds h USING bookings b
 WHERE h.booking_id = %(booking_id)s AND b.id = h.booking_id AND b.revision = %(revision)s + 1
"""
_FREE_SEATS: LiteralString = """
DELETE FROM allocations a USING bookings b
 WHERE a.booking_id = %(booking_id)s AND b.id = a.booking_id AND b.revision = %(revision)s + 1
"""
_LOCKED: LiteralString = "SELECT locked FROM bookings WHERE id = %(booking_id)s"
_LIVE: LiteralString = "SELECT id FROM runs WHERE booking_id = %(booking_id)s AND ended_at IS NULL"


@dataclass(frozen=True, slots=True)
class Unassigned:
    """The booking is pending; `run_id` is the run that goes on from there, None if there is none."""

    booking_id: UUID
    run_id: UUID | None


async def unassign_booking(
    desk: Desk,
    booking_id: UUID,
    *,
    begin_run: bool,
    key_id: UUID | None,
    rules: RetryRules | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Unassigned:
    """Takes the tables of a confirmed booking away, which is free at once for others; two round trips.

    With `begin_run` a run with trigger `manual` looks for other tables. Without, the booking stays in staff's hands: no
    run takes it up by itself, and one under way ends as superseded. Raises NotFound, BookingLocked, and
    TransitionRefused for a booking that has no tables to be taken, or whose party is at them.
    """
    for _ in range(_TRIES):
        looked, locked = await desk.database.transact(
            [Statement(LOOK, {"booking_id": booking_id}), Statement(_LOCKED, {"booking_id": booking_id})]
        )
        if not looked or not locked:
            raise NotFound("booking", str(booking_id))
        seen = looked[0]
        if locked[0]["locked"]:
            raise BookingLocked(booking_id)
        if seen["status"] not in ("confirmed", "pending"):
            raise TransitionRefused(booking_id, seen["status"], "pending")
        params = {
            "booking_id": booking_id,
            "revision": seen["revision"],
            "by_hand": not begin_run,
            "key_id": key_id,
            **event_params("unassigned", booking_id, key_id),
        }
        going_on: list[Statement] = (
            run_statements(booking_id, trigger="manual", rules=rules or RetryRules(), now=now())
            if begin_run
            else superseding(seen)
        )
        change = (LOCK_BOOKING, AS_SEEN, _UNASSIGN, CHANGED, _FREE_HOLDS, _FREE_SEATS)
        try:
            *_, live = await desk.database.transact(
                [*(Statement(sql, params) for sql in change), *going_on, Statement(_LIVE, params)]
            )
        except psycopg.DatabaseError as error:
            if error.sqlstate != NOT_HELD:
                raise
            if seen["status"] == "pending":
                raise TransitionRefused(booking_id, "pending", "pending", "it has no tables") from None
            continue  # somebody changed it since we looked: look again
        return Unassigned(booking_id, live[0]["id"] if live and begin_run else None)
    raise TransitionRefused(booking_id, seen["status"], "pending", "it is being changed by others")
