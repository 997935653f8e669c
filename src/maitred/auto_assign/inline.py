"""The inline flow: one attempt while the guest waits, under a time-out; if it gives no tables, a durable run goes on.

The time-out and a cancellation from outside both cancel what is under way, at the server too. Neither tells what was
already done: a hold may have been taken, even the confirmation may have been committed. So after both the booking is
looked at under its lock, and only what is still pending is let go and handed to a run, in one transaction. If the
process dies before that, the hold expires and the reconciler finds a booking without a run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
import structlog

from maitred.auto_assign.begin import run_statements
from maitred.auto_assign.last_result import keep_last_result, last_result
from maitred.auto_assign.retry import InlineOutcome, RetryRules
from maitred.auto_assign.runs import InlineAttempt, MailVariant
from maitred.booking.desk import Desk
from maitred.booking.gate import Passage
from maitred.booking.hold import LOCK_BOOKING
from maitred.booking.newcomer import Newcomer
from maitred.booking.question import Strategy
from maitred.booking.quote import Quote, quote_tables_for_booking
from maitred.booking.seat import KeptWithSeats, SeatOrder
from maitred.booking.snapshot import Snapshot
from maitred.errors import DatabaseUnavailable, NotFound, PacingExceeded
from maitred.model.booking import BookingStatus
from maitred.model.reason import ReasonCode
from maitred.observability import events, inline_events
from maitred.observability.tracing import spanned
from maitred.storage.database import Statement

_CLEAN_UP_S = 5.0

_DROP_HOLD: LiteralString = """
DELETE FROM holds h USING bookings b
 WHERE h.booking_id = %(booking_id)s AND b.id = h.booking_id AND b.status = 'pending'
"""
_NEXT: LiteralString = "SELECT id, due_at FROM runs WHERE booking_id = %(booking_id)s AND ended_at IS NULL"
_SEATS: LiteralString = """
SELECT t.number FROM allocations a
  JOIN tables t ON t.id = a.table_id
  JOIN bookings b ON b.id = a.booking_id AND b.status <> 'pending'
 WHERE a.booking_id = %(booking_id)s AND a.hold_id IS NULL ORDER BY t.number
"""

Answering = Callable[[Quote], KeptWithSeats | None]
"""The answer that tells of the tables that were planned, to be kept in the transaction that takes them."""

_log = structlog.get_logger(__name__)
_cleaning: set[asyncio.Task[None]] = set()


@dataclass(frozen=True, slots=True)
class InlineRules:
    """`timeout_ms` bounds the attempt; a venue's own `inline_timeout_ms` is for the caller to pass."""

    timeout_ms: int = 4_000
    ttl_s: int = 120
    retry: RetryRules = field(default_factory=RetryRules)
    messages_suppressed: bool = False


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """The run that goes on, and when its next attempt is due."""

    run_id: UUID
    due_at: datetime


@dataclass(frozen=True, slots=True)
class InlineResult:
    """What to tell the guest. Not confirmed means that a run goes on, unless the booking is over.

    `tables` are numbers, empty without a confirmation. `reason` is None when confirmed. `quote` is the planner's call
    that seated the booking, or the last one if none did. `answered`: what `answering` gave last is kept with the seats.
    """

    booking_id: UUID
    attempt_id: UUID
    confirmed: bool
    tables: tuple[str, ...]
    reason: ReasonCode | None
    duration_ms: float
    quote: Quote | None = None
    next_attempt: NextAttempt | None = None
    answered: bool = False


@spanned("inline_attempt")
async def auto_assign_inline(
    desk: Desk,
    booking_id: UUID,
    *,
    trigger: events.InlineTrigger = "inline_creation",
    rules: InlineRules | None = None,
    strategy: Strategy | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    looked: Snapshot | None = None,
    passage: Passage | None = None,
    creates: Newcomer | None = None,
    answering: Answering | None = None,
) -> InlineResult:
    """Makes the inline attempt. A cancellation passes at once; what it left is cleared up behind it.

    `looked` is a snapshot of the booking read just now; it saves the first round trip. `passage` is the caller's turn
    at a gate, which ends with the attempt. `creates` is a booking that isn't there yet: it comes to be with its seats
    or with its run, and `answering` is asked for the answer to keep with the seats.

    Raises NotFound for an unknown booking, PacingExceeded for one to be created, and DatabaseUnavailable when even the
    hand-over to a run can't be written: then nothing was confirmed that the caller knows of, and the reconciler will
    find the booking.
    """
    flow = _Inline(
        desk,
        booking_id,
        trigger,
        rules or InlineRules(),
        strategy or Strategy(),
        now,
        looked,
        passage,
        creates,
        answering,
    )
    try:
        return await flow.attempt_or_hand_over()
    except asyncio.CancelledError:
        flow.say(
            inline_events.operation_aborted(**flow.named, duration_ms=flow.elapsed_ms, timeout_ms=flow.rules.timeout_ms)
        )
        flow.clear_up_behind(ReasonCode.ABORT)
        raise
    except NotFound:
        flow.say(events.failed_lookup(booking_id=booking_id, trigger=trigger))
        _log.error("auto_assign.failed_lookup", booking_id=str(booking_id), trigger=trigger)
        raise


@dataclass(slots=True)
class _Inline:
    desk: Desk
    booking_id: UUID
    trigger: events.InlineTrigger
    rules: InlineRules
    strategy: Strategy
    now: Callable[[], datetime]
    looked: Snapshot | None
    passage: Passage | None
    creates: Newcomer | None = None
    answering: Answering | None = None
    attempt_id: UUID = field(default_factory=uuid4)
    began: float = field(default_factory=time.perf_counter)
    quote: Quote | None = None
    quote_ms: float = 0.0
    confirmation_id: UUID = field(default_factory=uuid4)
    reason: ReasonCode = ReasonCode.UNKNOWN
    answer: KeptWithSeats | None = None

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.began) * 1000

    @property
    def named(self) -> dict[str, Any]:
        return {
            "restaurant_id": None if self.quote is None else self.quote.restaurant_id,
            "booking_id": self.booking_id,
            "attempt_id": self.attempt_id,
        }

    @property
    def mail_variant(self) -> MailVariant:
        return "modified" if self.trigger == "inline_modification" else "standard"

    def say(self, event: events.Event) -> None:
        self.desk.events.record_observability_event(event)

    async def attempt_or_hand_over(self) -> InlineResult:
        """The attempt under its time-out, and what follows when it gave no tables."""
        try:
            async with asyncio.timeout(self.rules.timeout_ms / 1000):
                confirmed = await self.attempt()
        except TimeoutError:
            self.say(inline_events.timeout(**self.named, timeout_ms=self.rules.timeout_ms, elapsed_ms=self.elapsed_ms))
            return await self.hand_over(ReasonCode.TIMEOUT)
        finally:
            if self.passage is not None:
                self.passage.leave()
        return confirmed or await self.hand_over(self.reason)

    async def attempt(self) -> InlineResult | None:
        """Quotes and confirms; None, with `reason` set, when that gave no tables."""
        try:
            quote = await quote_tables_for_booking(
                self.desk,
                self.booking_id,
                now=self.now,
                ttl_s=self.rules.ttl_s,
                trigger=self.trigger,
                strategy=self.strategy,
                attempt_id=self.attempt_id,
                ordering=self._order,
                looked=self.looked,
                looking=self.creates,
            )
        except (NotFound, PacingExceeded):
            raise
        except (DatabaseUnavailable, psycopg.Error):
            self.say(inline_events.quote_error(**self.named, duration_ms=self.elapsed_ms))
            self.reason = ReasonCode.RPC_ERROR
            return None
        except Exception as error:  # noqa: BLE001 - whatever is broken, the booking must not be lost over it
            _log.error("inline.quote_failed", booking_id=str(self.booking_id), error=type(error).__name__)
            self.say(inline_events.quote_error(**self.named, duration_ms=self.elapsed_ms))
            return None
        self.quote, self.quote_ms = quote, self.elapsed_ms - quote.take_ms
        told = {**self.named, "duration_ms": self.quote_ms, "alternates": len(quote.alternates)}
        self.say(inline_events.quote_result(**told, has_hold=quote.hold is not None, reason=quote.reason))
        if quote.hold is None:
            self.say(inline_events.no_hold(**told, reason=quote.reason))
            self.reason = quote.reason or ReasonCode.UNKNOWN
            return None
        self.say(inline_events.confirm_succeeded(**self.named, hold_id=quote.hold.id, duration_ms=quote.take_ms))
        self.say(
            inline_events.succeeded(
                **self.named,
                hold_id=quote.hold.id,
                quote_duration_ms=self.quote_ms,
                confirm_duration_ms=quote.take_ms,
            )
        )
        numbers = () if quote.plan is None else quote.plan.numbers
        return replace(self._result(numbers, None), answered=self.answer is not None)

    def _order(self, planned: Quote) -> SeatOrder:
        self.quote = planned
        self.answer = None if self.answering is None else self.answering(planned)
        return SeatOrder(
            confirmation_id=self.confirmation_id,
            key=f"inline:{self.attempt_id}",
            cause="inline_auto_assign",
            last_result=self._last_result(None),
            variant=self.mail_variant,
            messages_suppressed=self.rules.messages_suppressed,
            creates=self.creates,
            answer=self.answer,
        )

    async def hand_over(self, reason: ReasonCode) -> InlineResult:
        """Looks at the booking again under its lock. What is still pending is let go and handed to a run; what was
        confirmed after all, here or by somebody else, is told as confirmed. Who isn't there yet comes to be now."""
        first = [] if self.creates is None else [self.creates.creating()]
        told = await self.desk.database.transact([*first, *self._hand_over_statements(reason)])
        booking, *_, live, seats = told[len(first) :]
        if not booking:
            raise NotFound("booking", str(self.booking_id))
        status = BookingStatus(booking[0]["status"])
        if status in (BookingStatus.CONFIRMED, BookingStatus.CHECKED_IN):
            return self._result(tuple(row["number"] for row in seats), None)
        if status is not BookingStatus.PENDING:
            return self._result((), ReasonCode.NOT_PENDING)
        return self._result((), reason, NextAttempt(live[0]["id"], live[0]["due_at"]) if live else None)

    def clear_up_behind(self, reason: ReasonCode) -> None:
        """Does the same without anybody waiting for it; a cancelled caller must not be held up."""
        task = asyncio.create_task(self._clear_up(reason), name="maitred-inline-clear-up")
        _cleaning.add(task)
        task.add_done_callback(_cleaning.discard)

    async def _clear_up(self, reason: ReasonCode) -> None:
        try:
            async with asyncio.timeout(_CLEAN_UP_S):
                await self.hand_over(reason)
        except (NotFound, PacingExceeded, DatabaseUnavailable, psycopg.Error, TimeoutError) as error:
            _log.warning("inline.clear_up_failed", booking_id=str(self.booking_id), error=type(error).__name__)

    def _hand_over_statements(self, reason: ReasonCode) -> list[Statement]:
        who = {"booking_id": self.booking_id}
        job_trigger: events.Trigger = "modification" if self.trigger == "inline_modification" else "creation"
        return [
            Statement(LOCK_BOOKING, who),
            Statement(_DROP_HOLD, who),
            keep_last_result(self.booking_id, self._last_result(reason)),
            *run_statements(
                self.booking_id,
                trigger=job_trigger,
                rules=self.rules.retry,
                now=self.now(),
                strategy=self.strategy,
                mail_variant=self.mail_variant,
                inline=InlineAttempt(self.attempt_id, self.trigger, InlineOutcome(reason, self.now())),
            ),
            Statement(_NEXT, who),
            Statement(_SEATS, who),
        ]

    def _last_result(self, reason: ReasonCode | None) -> dict[str, Any]:
        return last_result(
            source="inline",
            reason=reason,
            strategy=self.strategy,
            trigger=self.trigger,
            alternates=None if self.quote is None else len(self.quote.alternates),
            duration_ms=self.elapsed_ms,
            attempt_id=str(self.attempt_id),
            email_variant=self.mail_variant if reason is None else None,
        )

    def _result(
        self, tables: tuple[str, ...], reason: ReasonCode | None, next_attempt: NextAttempt | None = None
    ) -> InlineResult:
        return InlineResult(
            booking_id=self.booking_id,
            attempt_id=self.attempt_id,
            confirmed=reason is None,
            tables=tables,
            reason=reason,
            duration_ms=self.elapsed_ms,
            quote=self.quote,
            next_attempt=next_attempt,
        )


def hand_over_behind(desk: Desk, booking_id: UUID, *, rules: InlineRules) -> None:
    """Hands a booking over to a run, if it is there and pending, without anybody waiting for it: for a caller who was
    cancelled before he could make the attempt."""
    flow = _Inline(desk, booking_id, "inline_creation", rules, Strategy(), lambda: datetime.now(UTC), None, None)
    flow.clear_up_behind(ReasonCode.ABORT)


async def inline_clear_ups() -> None:
    """Waits for the clearing up under way, for a shutdown to call; each is bounded by itself."""
    if _cleaning:
        await asyncio.wait(set(_cleaning))
