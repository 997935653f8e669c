"""Booking a table: the booking is created, and the inline attempt made, in the order in which guests came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from maitred.auto_assign.changes import move_booking
from maitred.auto_assign.inline import InlineResult, InlineRules, auto_assign_inline, hand_over_behind
from maitred.booking.change import Move
from maitred.booking.create import Created, NewBooking, check_ahead, create_booking
from maitred.booking.desk import Desk

# How much of the attempt's time may go by in the queue before one goes on without waiting for one's turn.
_QUEUE_SHARE = 0.6
_LEAST_MS = 100


@dataclass(frozen=True, slots=True)
class Booked:
    """The booking as it was asked for and created, and what came of its inline attempt."""

    asked: NewBooking
    created: Created
    result: InlineResult


async def book(
    desk: Desk,
    new: NewBooking,
    *,
    rules: InlineRules,
    booking_id: UUID | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Booked:
    """Creates the booking and tries to seat it at once; two round trips when that works.

    `rules` are those of a venue that has no time-out of its own. With the same `booking_id` once more there is still
    one booking, with its tables if it has got them. Cancelled in the middle, the booking is there with a run, or it is
    not there. Raises what `create_booking` and `auto_assign_inline` raise.
    """
    check_ahead(new.starts_at, now())
    new_id = booking_id or uuid4()
    began = time.perf_counter()
    wait_s = rules.timeout_ms * _QUEUE_SHARE / 1000
    day = _day(desk, new.restaurant_id, new.starts_at)
    async with desk.gates.turn(new.restaurant_id, day, wait_s=wait_s) as passage:
        try:
            created = await create_booking(desk.database, new, now=now(), booking_id=new_id, flushed_later=True)
        except asyncio.CancelledError:
            hand_over_behind(desk, new_id, rules=rules)
            raise
        own = created.snapshot.inline_timeout_ms or rules.timeout_ms
        left_ms = max(_LEAST_MS, own - round((time.perf_counter() - began) * 1000))
        result = await auto_assign_inline(
            desk,
            created.id,
            rules=replace(rules, timeout_ms=left_ms),
            now=now,
            looked=created.snapshot,
            passage=passage,
        )
    return Booked(new, created, result)


async def move_and_seat(
    desk: Desk,
    booking_id: UUID,
    move: Move,
    *,
    restaurant_id: UUID,
    rules: InlineRules,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> InlineResult | None:
    """Moves the booking and tries to seat it anew at once; None when it was there already.

    Raises what `move_booking` and `auto_assign_inline` raise. Cancelled in the middle, the run that the move began
    goes on.
    """
    check_ahead(move.starts_at, now())
    if await move_booking(desk, booking_id, move, rules=rules.retry, now=now) is None:
        return None
    return await seat_anew(desk, booking_id, move.starts_at, restaurant_id=restaurant_id, rules=rules, now=now)


async def seat_anew(
    desk: Desk,
    booking_id: UUID,
    starts_at: datetime,
    *,
    restaurant_id: UUID,
    rules: InlineRules,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> InlineResult:
    """Tries at once to seat a booking of which something changed; its start is `starts_at`.

    Raises what `auto_assign_inline` raises.
    """
    wait_s = rules.timeout_ms * _QUEUE_SHARE / 1000
    day = _day(desk, restaurant_id, starts_at)
    async with desk.gates.turn(restaurant_id, day, wait_s=wait_s) as passage:
        return await auto_assign_inline(
            desk, booking_id, trigger="inline_modification", rules=rules, now=now, passage=passage
        )


def _day(desk: Desk, restaurant_id: UUID, starts_at: datetime) -> date:
    planned = desk.venues.latest(restaurant_id)
    zone = UTC if planned is None else planned.venue.policy.zone
    return starts_at.astimezone(zone).date()
