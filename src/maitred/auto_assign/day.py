"""Assigning many bookings, in the order given, by one worker or several."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from maitred.auto_assign.retry import SINGLE_ATTEMPT, RetryRules
from maitred.auto_assign.run import BookingOutcome, auto_assign_and_confirm_if_possible
from maitred.booking.desk import Desk
from maitred.observability.events import Trigger


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
    if workers < 1:
        raise ValueError("workers must be 1 or more")
    outcomes: dict[UUID, BookingOutcome] = {}
    waiting = iter(booking_ids)

    async def work() -> None:
        for booking_id in waiting:
            outcome = await auto_assign_and_confirm_if_possible(
                desk, booking_id, now=now, trigger=trigger, rules=rules, ttl_s=ttl_s
            )
            outcomes[booking_id] = outcome
            if on_outcome is not None:
                on_outcome(outcome)

    tasks = [asyncio.create_task(work()) for _ in range(min(workers, max(len(booking_ids), 1)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [outcomes[booking_id] for booking_id in booking_ids]
