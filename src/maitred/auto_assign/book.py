"""Booking a table: the booking is created, and the inline attempt made, in the order in which guests came.

A booking of an id that nobody can have used comes to be in the transaction that seats it. One that is asked for once
more, or whose venue lets so many in at a time, is created first, and seated then.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import psycopg

from maitred.auto_assign.inline import Answering, InlineResult, InlineRules, auto_assign_inline, hand_over_behind
from maitred.booking.create import Created, NewBooking, check_ahead, create_booking
from maitred.booking.desk import Desk
from maitred.booking.gate import Passage
from maitred.booking.newcomer import Newcomer, newcomer
from maitred.booking.quote import Quote
from maitred.booking.seat import KeptWithSeats
from maitred.storage.database import Row

# How much of the attempt's time may go by in the queue before one goes on without waiting for one's turn.
_QUEUE_SHARE = 0.85
_LEAST_MS = 100
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Ahead:
    """What stood around a booking before its turn came, read at `at` (`time.perf_counter`); `rows` None: nobody looked.

    Whoever has one knows that no booking can have this id yet.
    """

    at: float = -math.inf
    rows: list[Row] | None = None


@dataclass(frozen=True, slots=True)
class Booked:
    """The booking as it was asked for and created, and what came of its inline attempt."""

    asked: NewBooking
    created: Created
    result: InlineResult


Answer = Callable[[Created, Quote], KeptWithSeats | None]
"""The answer that tells of the booking and the tables that were planned, to be kept when they are taken."""


async def book(
    desk: Desk,
    new: NewBooking,
    *,
    rules: InlineRules,
    booking_id: UUID | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ahead: Ahead | None = None,
    answer: Answer | None = None,
) -> Booked:
    """Creates the booking and tries to seat it at once; one round trip with what was seen `ahead`, two without.

    `rules` are those of a venue that has no time-out of its own. With the same `booking_id` once more there is still
    one booking, with its tables if it has got them. Cancelled in the middle, the booking is there with a run, or it is
    not there. Raises NotFound for an unknown venue, PacingExceeded, and what `auto_assign_inline` raises.
    """
    check_ahead(new.starts_at, now())
    booking = _Booking(desk, new, rules, booking_id or uuid4(), now, answer, time.perf_counter())
    wait_s = rules.timeout_ms * _QUEUE_SHARE / 1000
    async with desk.gates.turn(new.restaurant_id, day_of(desk, new), wait_s=wait_s) as passage:
        if (ahead is None and booking_id is not None) or new.vip or new.preferences.wished():
            return await booking.create_and_seat(passage)
        for tries_left in reversed(range(_TRIES)):
            try:
                return await booking.seat(ahead or Ahead(), passage)
            except psycopg.errors.UniqueViolation:  # somebody has this reference
                if not tries_left:
                    raise
    raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class _Booking:
    desk: Desk
    new: NewBooking
    rules: InlineRules
    id: UUID
    now: Callable[[], datetime]
    answer: Answer | None
    began: float

    async def seat(self, ahead: Ahead, passage: Passage) -> Booked:
        """Where nothing is there yet: it comes to be with its seats, or else with its run."""
        coming = newcomer(self.new, self.id)
        rows = ahead.rows
        if rows is None or ahead.at <= passage.others_until:
            rows = await self.desk.database.fetch_alone(*coming.statement())
        snapshot = coming.snapshot(rows)
        if rows[0]["paced"]:
            # whether it may come to be at all is asked before anything is planned
            return await self.create_and_seat(passage)
        created = Created(snapshot, coming.token)
        answer = self.answer
        answering = None if answer is None else (lambda planned: answer(created, planned))
        return await self._seat(created, passage, creates=coming, answering=answering)

    async def create_and_seat(self, passage: Passage) -> Booked:
        """Where it may be there already."""
        try:
            created = await create_booking(
                self.desk.database, self.new, now=self.now(), booking_id=self.id, flushed_later=True
            )
        except asyncio.CancelledError:
            hand_over_behind(self.desk, self.id, rules=self.rules)
            raise
        return await self._seat(created, passage)

    async def _seat(
        self,
        created: Created,
        passage: Passage,
        creates: Newcomer | None = None,
        answering: Answering | None = None,
    ) -> Booked:
        own = created.snapshot.inline_timeout_ms or self.rules.timeout_ms
        left_ms = max(_LEAST_MS, own - round((time.perf_counter() - self.began) * 1000))
        result = await auto_assign_inline(
            self.desk,
            created.id,
            rules=replace(self.rules, timeout_ms=left_ms),
            now=self.now,
            looked=created.snapshot,
            passage=passage,
            creates=creates,
            answering=answering,
        )
        return Booked(self.new, created, result)


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


def day_of(desk: Desk, new: NewBooking) -> date:
    """The day whose gate the booking has to pass."""
    return _day(desk, new.restaurant_id, new.starts_at)


def _day(desk: Desk, restaurant_id: UUID, starts_at: datetime) -> date:
    planned = desk.venues.latest(restaurant_id)
    zone = UTC if planned is None else planned.venue.policy.zone
    return starts_at.astimezone(zone).date()
