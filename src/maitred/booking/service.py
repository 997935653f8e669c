"""Service: a party comes, doesn't come, leaves. What a booking had is free in the same breath when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from maitred.booking.desk import Desk
from maitred.booking.hold import LOCK_BOOKING
from maitred.booking.staff_change import EVENT_OF_CHANGED, event_params
from maitred.booking.transitions import Transition, verdict
from maitred.errors import NotFound, TransitionRefused
from maitred.model.booking import BookingStatus
from maitred.observability.staff_events import StaffAction
from maitred.storage.database import Statement

_ACTIONS: dict[Transition, StaffAction] = {
    Transition.CHECK_IN: "checked_in",
    Transition.NO_SHOW: "no_show",
    Transition.COMPLETE: "completed",
}

# The tables are noted before they go: a trigger frees those of a booking that is over.
_CHANGE: LiteralString = (
    """
WITH seats AS (
    SELECT array_agg(table_id ORDER BY table_id) AS table_ids FROM allocations
     WHERE booking_id = %(booking_id)s AND hold_id IS NULL
), changed AS (
    UPDATE bookings SET status = %(after)s
     WHERE id = %(booking_id)s AND status = %(before)s AND (%(before_start)s OR starts_at <= %(now)s)
    RETURNING id, restaurant_id
), noted AS (
    INSERT INTO booking_history (booking_id, from_status, to_status, cause, table_ids, key_id)
    SELECT changed.id, %(before)s, %(after)s, %(cause)s, seats.table_ids, %(key_id)s FROM changed, seats
)
"""  # noqa: S608 - constants joined, nothing from outside
    + EVENT_OF_CHANGED
    + "RETURNING booking_id"
)


@dataclass(frozen=True, slots=True)
class Served:
    """What the step came to. `changed` False: it had been taken before."""

    booking_id: UUID
    status: BookingStatus
    changed: bool


async def take_step(
    desk: Desk, booking_id: UUID, transition: Transition, *, key_id: UUID | None, now: datetime
) -> Served:
    """Takes the step, in one round trip; a step that was taken before changes nothing.

    `now` is the business's clock, `key_id` who did it. Raises NotFound, and TransitionRefused with both statuses.
    """
    booking, changed = await desk.database.transact(_statements(booking_id, transition, key_id, now))
    if not booking:
        raise NotFound("booking", str(booking_id))
    status = BookingStatus(booking[0]["status"])
    if changed:
        return Served(booking_id, transition.after, changed=True)
    said = verdict(transition, status, booking[0]["starts_at"], now)
    if said == "done":
        return Served(booking_id, status, changed=False)
    why = "its start is yet to come" if said == "too_early" else None
    raise TransitionRefused(booking_id, status.value, transition.after.value, why)


def _statements(booking_id: UUID, transition: Transition, key_id: UUID | None, now: datetime) -> list[Statement]:
    params = {
        "booking_id": booking_id,
        "before": transition.before.value,
        "after": transition.after.value,
        "cause": transition.value,
        "before_start": transition is not Transition.NO_SHOW,
        "now": now,
        "key_id": key_id,
        **event_params(_ACTIONS[transition], booking_id, key_id),
    }
    return [Statement(LOCK_BOOKING, params), Statement(_CHANGE, params)]
