"""Confirming a hold: the booking's status, its history, its tables and its events change together or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg

from maitred.booking.desk import Desk
from maitred.booking.hold import LOCK_BOOKING
from maitred.errors import (
    BookingNotPending,
    HoldExpired,
    HoldForeign,
    HoldNotFound,
    IdempotencyConflict,
    MaitredError,
    NotFound,
    PolicyDrift,
)
from maitred.model.period import Period
from maitred.storage.database import Row, Statement

_TRIES = 3

_LOCK_WAIT: LiteralString = "SELECT set_config('lock_timeout', %(lock_timeout_ms)s, true)"

_HOLD: LiteralString = """
SELECT h.booking_id, h.expires_at <= clock_timestamp() AS expired, h.policy_version, h.floor_version,
       (SELECT array_agg(a.table_id ORDER BY a.table_id) FROM allocations a WHERE a.hold_id = h.id) AS table_ids
  FROM holds h
 WHERE h.id = %(hold_id)s
   FOR UPDATE
"""

_EARLIER: LiteralString = """
SELECT id, hold_id, table_ids, lower(period) AS starts, upper(period) AS ends, confirmed_at
  FROM confirmations
 WHERE booking_id = %(booking_id)s AND idempotency_key = %(key)s
"""

# What the booking had before it was moved goes when it gets something new, and not before. The hold is still there only
# in the call that confirms: a repeated one must not take the seats for old ones.
_GIVE_UP_SEATS: LiteralString = """
DELETE FROM allocations
 WHERE booking_id = %(booking_id)s AND hold_id IS NULL
   AND EXISTS (SELECT FROM confirmations WHERE id = %(confirmation_id)s)
   AND EXISTS (SELECT FROM holds WHERE id = %(hold_id)s)
"""

# Everything that must hold for the confirmation stands in this one WHERE; all that follows asks only whether its row
# is there.
_CONFIRM: LiteralString = """
INSERT INTO confirmations (id, booking_id, idempotency_key, hold_id, table_ids, period)
SELECT %(confirmation_id)s, b.id, %(key)s, h.id, array_agg(a.table_id ORDER BY a.table_id), a.period
  FROM holds h
  JOIN bookings b ON b.id = h.booking_id
  JOIN restaurants r ON r.id = h.restaurant_id
  JOIN allocations a ON a.hold_id = h.id
 WHERE h.id = %(hold_id)s
   AND b.id = %(booking_id)s
   AND b.status = 'pending'
   AND h.expires_at > clock_timestamp()
   AND h.policy_version = r.policy_version
   AND h.floor_version = r.floor_version
 GROUP BY b.id, h.id, a.period
ON CONFLICT (booking_id, idempotency_key) DO NOTHING
RETURNING table_ids, lower(period) AS starts, upper(period) AS ends, confirmed_at
"""

_SEAT: LiteralString = """
UPDATE allocations SET hold_id = NULL
 WHERE hold_id = %(hold_id)s AND EXISTS (SELECT FROM confirmations WHERE id = %(confirmation_id)s)
"""

# Asked again after a lost answer, this must not confirm a booking that was cancelled or moved since: as above, the hold
# is there only in the call that confirms.
_MOVE_STATUS: LiteralString = """
WITH moved AS (
    UPDATE bookings b SET status = 'confirmed', confirmed_at = c.confirmed_at
      FROM confirmations c
     WHERE c.id = %(confirmation_id)s AND b.id = c.booking_id
       AND EXISTS (SELECT FROM holds WHERE id = %(hold_id)s)
    RETURNING b.id, c.table_ids
)
INSERT INTO booking_history (booking_id, from_status, to_status, cause, table_ids)
SELECT id, 'pending', 'confirmed', %(cause)s, table_ids FROM moved
"""

_END_HOLD: LiteralString = """
DELETE FROM holds WHERE id = %(hold_id)s AND EXISTS (SELECT FROM confirmations WHERE id = %(confirmation_id)s)
"""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A booking's confirmed tables. `repeated` means that an earlier call with the same key had done it already."""

    id: UUID
    booking_id: UUID
    table_ids: tuple[int, ...]
    period: Period
    confirmed_at: datetime
    repeated: bool


async def confirm_hold(
    desk: Desk,
    hold_id: UUID,
    *,
    booking_id: UUID,
    idempotency_key: str,
    cause: str,
    confirmation_id: UUID | None = None,
    also: Sequence[Statement] = (),
) -> Confirmation:
    """Turns a hold into the booking's seats, in one transaction and one round trip.

    `cause` goes into the booking's history. `also` are statements that belong to the same transaction; they run after a
    refusal too, so each must ask whether `confirmation_id` exists. The same key for the same tables gives the first
    result again. Raises IdempotencyConflict (the key was used for other tables), BookingNotPending, HoldNotFound,
    HoldForeign, HoldExpired, PolicyDrift, NotFound; then nothing was changed.
    """
    new_id = confirmation_id or uuid4()
    statements = confirm_statements(
        desk,
        hold_id,
        booking_id=booking_id,
        idempotency_key=idempotency_key,
        cause=cause,
        confirmation_id=new_id,
        also=also,
    )
    for tries_left in reversed(range(_TRIES)):
        try:
            _, booking, hold, earlier, confirmed, *_ = await desk.database.transact(statements)
            break
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
            if not tries_left:
                raise
    if confirmed:
        return _confirmation(new_id, booking_id, confirmed[0], repeated=False)
    return _repeated_or_refused(booking_id, hold_id, idempotency_key, booking, hold, earlier)


def confirm_statements(
    desk: Desk,
    hold_id: UUID,
    *,
    booking_id: UUID,
    idempotency_key: str,
    cause: str,
    confirmation_id: UUID,
    also: Sequence[Statement],
) -> list[Statement]:
    """The statements of `confirm_hold`; they confirm exactly when there is a confirmation of that id afterwards."""
    params = {
        "hold_id": hold_id,
        "booking_id": booking_id,
        "key": idempotency_key,
        "confirmation_id": confirmation_id,
        "cause": cause,
        "lock_timeout_ms": str(desk.lock_timeout_ms),
    }
    steps = (_LOCK_WAIT, LOCK_BOOKING, _HOLD, _EARLIER, _CONFIRM, _GIVE_UP_SEATS, _SEAT, _MOVE_STATUS, _END_HOLD)
    return [*(Statement(sql, params) for sql in steps), *also]


def _repeated_or_refused(
    booking_id: UUID, hold_id: UUID, key: str, booking: list[Row], hold: list[Row], earlier: list[Row]
) -> Confirmation:
    """The first result of this key, or the error that says why the hold can't be confirmed. Pure."""
    if not booking:
        raise NotFound("booking", str(booking_id))
    held = hold[0] if hold and hold[0]["booking_id"] == booking_id else None
    if earlier:
        first = earlier[0]
        if first["hold_id"] == hold_id or (held is not None and held["table_ids"] == first["table_ids"]):
            return _confirmation(first["id"], booking_id, first, repeated=True)
        if held is not None:
            raise IdempotencyConflict(booking_id, key)
    raise _refusal(booking_id, hold_id, booking[0], hold)


def _refusal(booking_id: UUID, hold_id: UUID, booking: Row, hold: list[Row]) -> MaitredError:
    if hold and hold[0]["booking_id"] != booking_id:
        return HoldForeign(booking_id, hold_id)
    if booking["status"] != "pending":
        return BookingNotPending(booking_id, booking["status"])
    if not hold:
        return HoldNotFound(booking_id, hold_id)
    if hold[0]["expired"]:
        return HoldExpired(booking_id, hold_id)
    held_under = f"policy {hold[0]['policy_version']}, floor {hold[0]['floor_version']}"
    current = f"policy {booking['policy_version']}, floor {booking['floor_version']}"
    if held_under != current:
        return PolicyDrift(booking_id, hold_id, held_under, current)
    return HoldExpired(booking_id, hold_id)  # it ran out between our two looks


def _confirmation(confirmation_id: UUID, booking_id: UUID, row: Row, *, repeated: bool) -> Confirmation:
    return Confirmation(
        id=confirmation_id,
        booking_id=booking_id,
        table_ids=tuple(row["table_ids"]),
        period=Period(row["starts"], row["ends"]),
        confirmed_at=row["confirmed_at"],
        repeated=repeated,
    )
