"""Assigning many bookings, in the order given, by one worker or several."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from maitred.auto_assign.retry import SINGLE_ATTEMPT, RetryRules
from maitred.auto_assign.run import BookingOutcome, auto_assign_and_confirm_if_possible
from maitred.booking.desk import Desk
from maitred.observability.events import Trigger

_Item = TypeVar("_Item")


async def assign_in_order(
    desk: Desk,
    booking_ids: Sequence[UUID],
    *,
    now: Callable[[], datetime],
    trigger: Trigger,
    workers: int = 1,
    rules: RetryRules = SINGLE_ATTEMPT,
    ttl_s: int = 180,
    on_outcome: Callable[[BookingOutcome], None] | None = None,
) -> list[BookingOutcome]:
    """Runs each booking, taken up in the order given; returns the outcomes in that order.

    With several workers a booking may overtake another. The first error of a run (the database went away) stops all
    workers and is raised; what was confirmed before stays confirmed.
    """
    outcomes: dict[UUID, BookingOutcome] = {}

    async def assign(booking_id: UUID) -> None:
        outcome = await auto_assign_and_confirm_if_possible(
            desk, booking_id, now=now, trigger=trigger, rules=rules, ttl_s=ttl_s
        )
        outcomes[booking_id] = outcome
        if on_outcome is not None:
            on_outcome(outcome)

    await each_in_order(booking_ids, assign, workers=workers)
    return [outcomes[booking_id] for booking_id in booking_ids]


async def each_in_order(items: Sequence[_Item], work: Callable[[_Item], Awaitable[None]], *, workers: int) -> None:
    """Does the work for each item, taken up in the order given, by so many workers at a time.

    The first error stops all workers, in the middle of what they do, and is raised.
    """
    if workers < 1:
        raise ValueError("workers must be 1 or more")
    waiting = iter(items)

    async def take_turns() -> None:
        for item in waiting:
            await work(item)

    tasks = [asyncio.create_task(take_turns()) for _ in range(min(workers, max(len(items), 1)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
