"""Operations runs: all pending bookings of one restaurant and service day, taken up by a person's order.

Ultra-fast is one round of single attempts. The loop goes round again with looser and looser strategies. Both make runs
as the inline flow and the job do, with the same events; what other runs do to the same bookings meanwhile is only one
more reason why a booking needs no tables any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

import psycopg

from maitred.auto_assign.attempt import SEATED
from maitred.auto_assign.day import each_in_order
from maitred.auto_assign.dry_run import DryRun
from maitred.auto_assign.retry import SINGLE_ATTEMPT
from maitred.auto_assign.run import auto_assign_and_confirm_if_possible
from maitred.auto_assign.service_day import BookingOfDay, bookings_of_day, find_venue, statuses_of
from maitred.auto_assign.strategies import SETTLED, ladder
from maitred.booking.desk import Desk
from maitred.booking.question import Strategy
from maitred.booking.quote import Quote
from maitred.errors import DatabaseUnavailable, NotFound
from maitred.messages.outbox import confirmation_messages
from maitred.model.booking import BookingStatus
from maitred.model.reason import ReasonCode
from maitred.observability.events import RunResult, Trigger
from maitred.storage.database import Statement
from maitred.venue.read import Venue

_LAST_LOOK_S = 3.0

LineResult: TypeAlias = RunResult | Literal["skipped", "planned", "refused", "interrupted", "not_tried"]
"""A run's result; or, of a dry run, whether there is a plan; or what a run that was broken off left open.

`skipped`: cancelled or otherwise over before its turn. `interrupted`: it was under way, and nobody knows whether it was
confirmed. `not_tried`: its turn had not come.
"""


@dataclass(frozen=True, slots=True)
class Orders:
    """What is wanted. `strategy` holds the caller's explicit choices; None in it leaves it to policy and ladder.

    `rounds` None: as many as the ladder has steps (the loop), or one (ultra-fast). `concurrency` is how many bookings
    are worked on at a time; a dry run takes them one by one. `ttl_s` is a hold's life in seconds.
    """

    restaurant_slug: str
    day: date
    until_assigned: bool = False
    rounds: int | None = None
    strategy: Strategy = field(default_factory=Strategy)
    concurrency: int = 15
    include_confirmed: bool = False
    dry_run: bool = False
    ttl_s: int = 180
    messages_suppressed: bool = False

    @property
    def trigger(self) -> Trigger:
        """What the events say."""
        return "loop" if self.until_assigned else "ultra_fast"


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one booking in one round.

    The figures are those of `BookingOutcome`, None where there was nothing to measure. `tables` are numbers.
    `status` is the booking's at the run's end, None where that wasn't read.
    """

    booking: BookingOfDay
    result: LineResult
    reason: ReasonCode | None = None
    tables: tuple[str, ...] = ()
    zone: str | None = None
    planner_ms: float | None = None
    plan_ms: float | None = None
    quote_to_confirm_ms: float | None = None
    round_trips: int | None = None
    status: BookingStatus | None = None

    @property
    def wants_tables(self) -> bool:
        """Whether the booking is left without tables, as far as is known."""
        if self.status is not None:
            return self.status is BookingStatus.PENDING and self.result != "planned"
        return self.result in ("cutoff", "exhausted", "error", "refused", "interrupted", "not_tried")


@dataclass(slots=True)
class Round:
    """One round with one strategy; `bookings` is how many it began with, `lines` what has ended of it, in that order.

    `seconds` is None while it goes on.
    """

    number: int
    strategy: Strategy
    bookings: int
    lines: list[Line] = field(default_factory=list)
    seconds: float | None = None


class Watcher(Protocol):
    """Looks on while a run goes on."""

    def round_begins(self, begun: Round, /) -> None:
        """A round is about to begin."""

    def line_ends(self, line: Line, /) -> None:
        """A booking of that round is done."""


_Ask: TypeAlias = Callable[[BookingOfDay, Strategy], Awaitable[Line]]


class OperationsRun:
    """One operations run. What it has done by now can be read at any time, also after it was broken off."""

    def __init__(self, desk: Desk, orders: Orders, *, now: Callable[[], datetime], watcher: Watcher) -> None:
        self.orders = orders
        self.venue: Venue | None = None
        self.rounds: list[Round] = []
        self.began_at = datetime.now(UTC)
        self.seconds = 0.0
        self._desk = desk
        self._now = now
        self._watcher = watcher
        self._lines: dict[UUID, Line] = {}

    @property
    def lines(self) -> list[Line]:
        """The last line of each booking, in order of start."""
        return sorted(self._lines.values(), key=lambda line: (line.booking.starts_at, line.booking.reference))

    async def go(self) -> None:
        """Does it. Raises NotFound for an unknown restaurant and DatabaseUnavailable when the server goes away.

        What was confirmed by then stays confirmed, and `lines` tell of every booking what is known of it.
        """
        began = time.perf_counter()
        try:
            self.venue = await find_venue(self._desk.database, self.orders.restaurant_slug)
            if self.orders.dry_run:
                async with DryRun.begin(self._desk, self._now) as dry_run:
                    await self._all_rounds(self.venue, partial(_plan, dry_run), workers=1)
            else:
                await self._all_rounds(self.venue, self._assign, workers=self.orders.concurrency)
                await self._look_again()
        except DatabaseUnavailable:
            # it may be back by now, and then it can be told what had become of the bookings under way
            with suppress(DatabaseUnavailable, psycopg.Error, TimeoutError):
                async with asyncio.timeout(_LAST_LOOK_S):
                    await self._look_again()
            raise
        finally:
            self.seconds = time.perf_counter() - began

    async def _all_rounds(self, venue: Venue, ask: _Ask, *, workers: int) -> None:
        steps: tuple[Strategy, ...] = (self.orders.strategy,)
        if self.orders.until_assigned:
            steps = ladder(venue.policy.scoring, self.orders.strategy)
        for number in range(1, (self.orders.rounds or len(steps)) + 1):
            # read anew for every round: other runs go on meanwhile, and guests cancel
            bookings = await bookings_of_day(self._desk.database, venue, self.orders.day)
            if number == 1:
                self._begin_with(bookings)
            asked = [each for each in bookings if self._to_ask(each)]
            if not asked:
                return
            begun = Round(number, steps[min(number, len(steps)) - 1], len(asked))
            await self._one_round(begun, asked, ask, workers)

    def _begin_with(self, bookings: Sequence[BookingOfDay]) -> None:
        """Those that come later have runs of their own, and are not this one's to loosen the rules for."""
        for booking in bookings:
            if booking.status is BookingStatus.PENDING:
                self._lines[booking.id] = Line(booking, "not_tried")
            elif self.orders.include_confirmed:
                self._lines[booking.id] = Line(
                    booking, "already_confirmed", tables=booking.tables, zone=booking.zone, status=booking.status
                )

    def _to_ask(self, booking: BookingOfDay) -> bool:
        line = self._lines.get(booking.id)
        if line is None or booking.status is not BookingStatus.PENDING or line.result == "planned":
            return False
        moved = (line.booking.starts_at, line.booking.party_size) != (booking.starts_at, booking.party_size)
        return moved or line.reason not in SETTLED

    async def _one_round(self, begun: Round, bookings: Sequence[BookingOfDay], ask: _Ask, workers: int) -> None:
        began = time.perf_counter()
        self.rounds.append(begun)
        self._watcher.round_begins(begun)

        async def one(booking: BookingOfDay) -> None:
            self._lines[booking.id] = Line(booking, "interrupted")
            line = await ask(booking, begun.strategy)
            self._lines[booking.id] = line
            begun.lines.append(line)
            self._watcher.line_ends(line)

        try:
            await each_in_order(bookings, one, workers=workers)
        finally:
            begun.seconds = time.perf_counter() - began

    async def _assign(self, booking: BookingOfDay, strategy: Strategy) -> Line:
        orders = self.orders

        def messages(quote: Quote, confirmation_id: UUID) -> list[Statement]:
            return confirmation_messages(
                restaurant_id=quote.restaurant_id,
                booking_id=booking.id,
                confirmation_id=confirmation_id,
                variant=booking.mail_variant,
                suppressed=orders.messages_suppressed,
            )

        try:
            outcome = await auto_assign_and_confirm_if_possible(
                self._desk,
                booking.id,
                now=self._now,
                trigger=orders.trigger,
                rules=SINGLE_ATTEMPT,
                strategy=strategy,
                ttl_s=orders.ttl_s,
                also=messages,
            )
        except NotFound:
            return Line(booking, "skipped", ReasonCode.NOT_PENDING)
        except psycopg.Error:
            # this booking's own: a statement that was refused or took too long. A server that is away ends the run.
            return Line(booking, "error", ReasonCode.RPC_ERROR)
        return Line(
            booking,
            outcome.result,
            outcome.reason,
            tables=outcome.tables,
            zone=outcome.zone,
            planner_ms=outcome.planner_ms,
            plan_ms=outcome.plan_ms,
            quote_to_confirm_ms=outcome.quote_to_confirm_ms,
            round_trips=outcome.round_trips,
        )

    async def _look_again(self) -> None:
        """A hold may have been lost to another run that confirmed the booking: the last word is the booking's own."""
        statuses = await statuses_of(self._desk.database, list(self._lines))
        for booking_id, line in self._lines.items():
            self._lines[booking_id] = replace(line, status=statuses.get(booking_id))


async def _plan(dry_run: DryRun, booking: BookingOfDay, strategy: Strategy) -> Line:
    try:
        planned = await dry_run.plan(booking.id, strategy)
    except NotFound:
        return Line(booking, "skipped", ReasonCode.NOT_PENDING)
    result: LineResult = "planned" if planned.plan is not None else "refused"
    if planned.status in SEATED:
        result = "already_confirmed"
    return Line(
        booking,
        result,
        None if result == "already_confirmed" else planned.reason,
        tables=() if planned.plan is None else planned.plan.numbers,
        zone=planned.zone,
        planner_ms=planned.planner_ms,
        plan_ms=planned.plan_ms,
    )
