"""One run: attempts to seat one booking until it is confirmed, hopeless or out of time.

Every run that starts leaves exactly one `auto_assign.summary`. What states a change rides the transaction that makes it
true; the summary's id follows from the run's, so that writing it a second time changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, LiteralString
from uuid import UUID, uuid4, uuid5

import psycopg
from psycopg.types.json import Jsonb

from maitred.auto_assign.retry import RetryRules, RunResult, Stop, TryAgain, decide
from maitred.booking.confirm import confirm_hold
from maitred.booking.desk import Desk
from maitred.booking.hold import Hold, release_hold
from maitred.booking.question import Strategy
from maitred.booking.quote import Quote, quote_tables_for_booking
from maitred.errors import (
    BookingNotPending,
    DatabaseUnavailable,
    HoldExpired,
    HoldForeign,
    HoldNotFound,
    NotFound,
    PolicyDrift,
)
from maitred.model.booking import BookingStatus
from maitred.model.reason import ReasonCode
from maitred.observability import events
from maitred.observability.recorder import state_event_if_confirmed, state_event_statement
from maitred.storage.database import Statement, count_round_trips

_LAST_RESULT: LiteralString = """
UPDATE bookings SET auto_assign_last_result = %(result)s WHERE id = %(booking_id)s
"""
_LAST_RESULT_IF_CONFIRMED: LiteralString = """
UPDATE bookings SET auto_assign_last_result = %(result)s
 WHERE id = %(booking_id)s AND EXISTS (SELECT FROM confirmations WHERE id = %(confirmation_id)s)
"""

_HOLD_LOST = (HoldExpired, HoldNotFound, HoldForeign, PolicyDrift)
_SEATED = frozenset({BookingStatus.CONFIRMED, BookingStatus.CHECKED_IN})


@dataclass(frozen=True, slots=True)
class BookingOutcome:
    """How a run ended. `result` is the summary's, or "skipped" for a booking that was over before the run began.

    `tables` are numbers. `quote_to_confirm_ms` counts from the run's start to the confirmation, None without one.
    `planner_ms` is the last planner call (read, plan, hold) and `plan_ms` the choosing in it. `round_trips` are the
    waits for the database of the whole run.
    """

    booking_id: UUID
    reference: str
    party_size: int
    result: RunResult | Literal["skipped"]
    reason: ReasonCode | None
    tables: tuple[str, ...]
    zone: str | None
    attempts: int
    quote_to_confirm_ms: float | None
    planner_ms: float | None
    plan_ms: float | None
    round_trips: int


@dataclass(slots=True)
class _Run:
    desk: Desk
    booking_id: UUID
    trigger: events.Trigger
    rules: RetryRules
    strategy: Strategy
    ttl_s: int
    now: Callable[[], datetime]
    id: UUID = field(default_factory=uuid4)
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.perf_counter)
    attempts: int = 0
    announced: bool = False
    ended: bool = False
    quote: Quote | None = None
    hard_reason: ReasonCode | None = None

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.began) * 1000

    @property
    def attempt_index(self) -> int:
        """The index of the attempt under way, or of the last one."""
        return max(self.attempts - 1, 0)

    @property
    def _named(self) -> dict[str, Any]:
        restaurant_id = None if self.quote is None else self.quote.restaurant_id
        return {"restaurant_id": restaurant_id, "booking_id": self.booking_id}

    async def attempt(self) -> Quote:
        """Quotes once. Announces the run with its first attempt, since only then the booking's status is known."""
        self.attempts += 1
        self.quote = await quote_tables_for_booking(
            self.desk,
            self.booking_id,
            now=self.now,
            ttl_s=self.ttl_s,
            trigger=self.trigger,
            attempt_index=self.attempt_index,
            strategy=self.strategy,
        )
        if not self.announced and (self.quote.status is BookingStatus.PENDING or self.quote.status in _SEATED):
            self.announced = True
            self._record(
                events.started(**self._named, status=self.quote.status, trigger=self.trigger, at=self.began_at)
            )
        return self.quote

    async def confirm(self, hold: Hold) -> None:
        """Confirms, with the run's end in the same transaction. A lost connection leaves it open whether that happened;
        asking again with the same key settles it."""
        confirmation_id = uuid4()
        succeeded = events.succeeded(
            **self._named, trigger=self.trigger, attempt_index=self.attempt_index, duration_ms=self.elapsed_ms
        )
        also = [
            state_event_if_confirmed(succeeded, confirmation_id),
            state_event_if_confirmed(self.summary("succeeded"), confirmation_id),
            Statement(
                _LAST_RESULT_IF_CONFIRMED,
                {
                    "result": Jsonb(self._last_result(None)),
                    "booking_id": self.booking_id,
                    "confirmation_id": confirmation_id,
                },
            ),
        ]

        async def once() -> None:
            await confirm_hold(
                self.desk,
                hold.id,
                booking_id=self.booking_id,
                idempotency_key=f"{self.id}:{self.attempt_index}",
                cause="auto_assign",
                confirmation_id=confirmation_id,
                also=also,
            )

        try:
            await once()
        except DatabaseUnavailable:
            await once()
        self.ended = True

    async def end(self, result: RunResult, reason: ReasonCode | None) -> None:
        """Ends the run without tables, in one transaction."""
        statements = [state_event_statement(self.summary(result))]
        if result != "already_confirmed":
            failed = events.failed(
                **self._named, trigger=self.trigger, attempts=self.attempts, hard_stop_reason=self.hard_reason
            )
            last = {"result": Jsonb(self._last_result(reason)), "booking_id": self.booking_id}
            statements += [state_event_statement(failed), Statement(_LAST_RESULT, last)]
        await self.desk.database.transact(statements)
        self.ended = True

    def end_unwritten(self) -> None:
        """Ends a run that an error or a cancellation broke off: the summary goes the way of the measurements.

        Nothing is awaited here, so a cancellation passes at once.
        """
        if not self.ended:
            self.ended = True
            self._record(self.summary("error"))

    def summary(self, result: RunResult) -> events.Event:
        made = events.summary(
            **self._named,
            trigger=self.trigger,
            result=result,
            attempts_used=self.attempts,
            max_attempts=self.rules.max_attempts,
            total_duration_ms=self.elapsed_ms,
            hard_stop_reason=self.hard_reason,
        )
        return replace(made, id=uuid5(self.id, "summary"))

    def no_hold(self, reason: ReasonCode | None) -> None:
        alternates = None if self.quote is None else len(self.quote.alternates)
        self._record(
            events.attempt(
                **self._named,
                trigger=self.trigger,
                attempt_index=self.attempt_index,
                reason=reason,
                alternates=alternates,
            )
        )

    def raised(self, error: BaseException, reason: ReasonCode | None) -> None:
        self._record(
            events.attempt_error(
                **self._named, trigger=self.trigger, attempt_index=self.attempt_index, error=error, reason=reason
            )
        )

    def stopped(self, stop: Stop) -> None:
        if stop.hard_reason is not None:
            self.hard_reason = stop.hard_reason
            self._record(
                events.hard_stop(
                    **self._named,
                    trigger=self.trigger,
                    attempt_index=self.attempt_index,
                    reason=stop.hard_reason,
                )
            )
        if stop.result == "cutoff":
            self._record(
                events.cutoff_skipped(**self._named, attempt_index=self.attempts, cutoff_minutes=self.rules.cutoff_min)
            )

    def already_confirmed(self) -> None:
        self._record(
            events.exited_already_confirmed(**self._named, trigger=self.trigger, attempt_index=self.attempt_index)
        )

    def _record(self, event: events.Event) -> None:
        self.desk.events.record_observability_event(event)

    def _last_result(self, reason: ReasonCode | None) -> dict[str, Any]:
        quote = self.quote
        return {
            "source": "job",
            "lastAttemptAt": datetime.now(UTC).isoformat(),
            "success": reason is None,
            "reason": None if reason is None else reason.value,
            "strategy": {
                "requireAdjacency": self.strategy.require_adjacency,
                "maxTables": self.strategy.max_tables,
            },
            "trigger": self.trigger,
            "alternates": None if quote is None else len(quote.alternates),
            "durationMs": round(self.elapsed_ms, 3),
            "attemptId": f"{self.id}:{self.attempt_index}",
            "emailSent": False,
            "emailVariant": None,
        }


async def auto_assign_and_confirm_if_possible(
    desk: Desk,
    booking_id: UUID,
    *,
    now: Callable[[], datetime],
    trigger: events.Trigger,
    rules: RetryRules | None = None,
    strategy: Strategy | None = None,
    ttl_s: int = 180,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> BookingOutcome:
    """Seats a pending booking if it can be done: quotes, confirms, and tries again as `rules` say.

    `now` is the business's clock, asked anew for each decision. Raises NotFound for an unknown booking (then
    there is no summary), and whatever made the last attempt fail, DatabaseUnavailable for one.
    """
    run = _Run(desk, booking_id, trigger, rules or RetryRules(), strategy or Strategy(), ttl_s, now)
    with count_round_trips() as trips:
        try:
            return replace(await _until_ended(run, sleep), round_trips=trips.count)
        except NotFound:
            run.ended = True
            raise
        finally:
            run.end_unwritten()


async def _until_ended(run: _Run, sleep: Callable[[float], Awaitable[None]]) -> BookingOutcome:
    while True:
        began_at = run.now()
        failure: Exception | None = None
        reason: ReasonCode
        try:
            quote = await run.attempt()
            if not run.announced:
                run.ended = True  # it was over before the run began: no run, no summary
                return _outcome(run, "skipped", quote.reason)
            if quote.hold is not None:
                await run.confirm(quote.hold)
                return _outcome(run, "succeeded", None)
            if quote.status in _SEATED:
                return await _already_confirmed(run)
            reason = quote.reason or ReasonCode.UNKNOWN
            run.no_hold(reason)
        except _HOLD_LOST as error:
            await _let_go(run)
            reason = ReasonCode.HOLD_LOST
            run.raised(error, reason)
        except BookingNotPending as error:
            await _let_go(run)
            if BookingStatus(error.status) in _SEATED:
                return await _already_confirmed(run)
            reason = ReasonCode.NOT_PENDING
            run.raised(error, reason)
        except (DatabaseUnavailable, psycopg.Error) as error:
            failure, reason = error, ReasonCode.RPC_ERROR
            run.raised(error, reason)

        next_step = _next(run, began_at, reason)
        if isinstance(next_step, Stop):
            run.stopped(next_step)
            if failure is not None:
                raise failure
            await run.end(next_step.result, reason)
            return _outcome(run, next_step.result, reason)
        await sleep(max(0.0, (next_step.due_at - run.now()).total_seconds()))


async def _already_confirmed(run: _Run) -> BookingOutcome:
    run.already_confirmed()
    await run.end("already_confirmed", None)
    return _outcome(run, "already_confirmed", None)


async def _let_go(run: _Run) -> None:
    """Releases a hold that can't be confirmed any more, for others to use at once."""
    hold = None if run.quote is None else run.quote.hold
    if hold is None:
        return
    try:
        await release_hold(run.desk.database, hold.id, booking_id=run.booking_id)
    except (HoldNotFound, HoldForeign):
        return  # expired and swept, replaced, or gone with the booking


def _next(run: _Run, began_at: datetime, reason: ReasonCode) -> TryAgain | Stop:
    # a run whose every quote failed has not learnt when the booking starts: then only the number of attempts counts
    starts_at = datetime.max.replace(tzinfo=UTC) if run.quote is None else run.quote.starts_at
    return decide(run.rules, attempts_used=run.attempts, attempt_began=began_at, starts_at=starts_at, reason=reason)


def _outcome(run: _Run, result: RunResult | Literal["skipped"], reason: ReasonCode | None) -> BookingOutcome:
    quote = run.quote
    confirmed = result == "succeeded"
    return BookingOutcome(
        booking_id=run.booking_id,
        reference="" if quote is None else quote.reference,
        party_size=0 if quote is None else quote.party,
        result=result,
        reason=reason,
        tables=quote.plan.numbers if confirmed and quote is not None and quote.plan is not None else (),
        zone=quote.zone if confirmed and quote is not None else None,
        attempts=run.attempts,
        quote_to_confirm_ms=run.elapsed_ms if confirmed else None,
        planner_ms=None if quote is None else quote.planner_ms,
        plan_ms=None if quote is None else quote.plan_ms,
        round_trips=0,
    )
