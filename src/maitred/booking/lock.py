"""Locking a booking to its tables: neither an optimiser nor a move takes them away, nor staff before unlocking it.

A lock is for the tables of this time and size. Whatever ends those (the guest changes the booking, it is cancelled, the
party leaves) ends the lock with them; the database sees to that.
"""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from maitred.booking.desk import Desk
from maitred.booking.hold import LOCK_BOOKING
from maitred.booking.staff_change import EVENT_OF_CHANGED, event_params
from maitred.errors import NotFound, TransitionRefused
from maitred.storage.database import Statement

_CHANGE: LiteralString = (
    """
WITH changed AS (
    UPDATE bookings SET locked = %(locked)s
     WHERE id = %(booking_id)s AND locked <> %(locked)s AND status IN ('confirmed', 'checked_in')
    RETURNING id, restaurant_id, status
), noted AS (
    INSERT INTO booking_history (booking_id, from_status, to_status, cause, key_id)
    SELECT id, status, status, %(cause)s, %(key_id)s FROM changed
)
"""  # noqa: S608 - constants joined, nothing from outside
    + EVENT_OF_CHANGED
    + "RETURNING booking_id"
)


async def set_lock(desk: Desk, booking_id: UUID, *, locked: bool, key_id: UUID | None) -> bool:
    """Locks or unlocks the booking, in one round trip; whether that changed anything.

    Raises NotFound, and TransitionRefused when a booking without tables is to be locked.
    """
    params = {
        "booking_id": booking_id,
        "locked": locked,
        "cause": "locked" if locked else "unlocked",
        "key_id": key_id,
        **event_params("locked" if locked else "unlocked", booking_id, key_id),
    }
    booking, changed = await desk.database.transact([Statement(LOCK_BOOKING, params), Statement(_CHANGE, params)])
    if not booking:
        raise NotFound("booking", str(booking_id))
    status = booking[0]["status"]
    if locked and status not in ("confirmed", "checked_in"):
        raise TransitionRefused(booking_id, status, "locked", "it has no tables")
    return bool(changed)
