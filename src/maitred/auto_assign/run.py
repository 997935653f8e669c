"""One run: attempts to seat one booking until it is confirmed, hopeless or out of time.

Every run that starts leaves exactly one `auto_assign.summary`. What states a change rides the transaction that makes it
true; the summary's id follows from the run's, so that writing it a second time changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4, uuid5

import structlog

from maitred.auto_assign.attempt import (
    BROKE_DOWN,
    AlreadyConfirmed,
    Also,
    AttemptOutcome,
    Confirmed,
    NoTables,
    Raised,
    make_attempt,
)
from maitred.auto_assign.last_result import keep_last_result, keep_last_result_if_confirmed, last_result
from maitred.auto_assign.retry import RetryRules, RunState, Stop, TryAgain, decide
from maitred.booking.desk import Desk
from maitred.booking.question import Strategy
from maitred.booking.quote import Quote
from maitred.errors import NotFound
from maitred.model.reason import ReasonCode
from maitred.observability import events
from maitred.observability.recorder import state_event_if_confirmed, state_event_statement
from maitred.observability.tracing import spanned
from maitred.storage.database import Statement, count_round_trips


def _nothing_else(_quote: Quote, _confirmation_id: UUID) -> Sequence[Statement]:
    return ()


_log = structlog.get_logger(__name__)


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
    result: events.RunResult | Literal["skipped"]
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
    also: Also
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

    async def attempt(self) -> AttemptOutcome:
        """Makes an attempt. Announces the run with its first one, since only then the booking's status is known."""
        self.attempts += 1
        outcome = await make_attempt(
            self.desk,
            self.booking_id,
            now=self.now,
            ttl_s=self.ttl_s,
            trigger=self.trigger,
            attempt_index=self.attempt_index,
            strategy=self.strategy,
            idempotency_key=f"{self.id}:{self.attempt_index}",
            also=self._success,
        )
        self.quote = outcome.quote or self.quote
        if isinstance(outcome, Confirmed):
            self.ended = True
        if self.quote is not None and not self.announced and self.quote.status.blocks_tables:
            self.announced = True
            self._record(
                events.started(**self._named, status=self.quote.status, trigger=self.trigger, at=self.began_at)
            )
        return outcome

    def _success(self, quote: Quote, confirmation_id: UUID) -> list[Statement]:
        """The run's end, for the transaction that confirms."""
        self.quote = quote
        succeeded = events.succeeded(
            **self._named, trigger=self.trigger, attempt_index=self.attempt_index, duration_ms=self.elapsed_ms
        )
        return [
            state_event_if_confirmed(succeeded, confirmation_id),
            state_event_if_confirmed(self.summary("succeeded"), confirmation_id),
            keep_last_result_if_confirmed(self.booking_id, self._last_result(None), confirmation_id),
            *self.also(quote, confirmation_id),
        ]

    async def end(self, result: events.RunResult, reason: ReasonCode | None) -> None:
        """Ends the run without tables, in one transaction."""
        statements = [state_event_statement(self.summary(result))]
        if result != "already_confirmed":
            failed = events.failed(
                **self._named, trigger=self.trigger, attempts=self.attempts, hard_stop_reason=self.hard_reason
            )
            last = keep_last_result(self.booking_id, self._last_result(reason))
            statements += [state_event_statement(failed), last]
        await self.desk.database.transact(statements)
        self.ended = True

    def end_unwritten(self) -> None:
        """Ends a run that an error or a cancellation broke off: the summary goes the way of the measurements.

        Nothing is awaited here, so a cancellation passes at once.
        """
        if not self.ended:
            self.ended = True
            self._record(self.summary("error"))

    def summary(self, result: events.RunResult) -> events.Event:
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
        return last_result(
            source="job",
            reason=reason,
            strategy=self.strategy,
            trigger=self.trigger,
            alternates=None if self.quote is None else len(self.quote.alternates),
            duration_ms=self.elapsed_ms,
            attempt_id=f"{self.id}:{self.attempt_index}",
        )


@spanned("run")
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
    also: Also = _nothing_else,
) -> BookingOutcome:
    """Seats a pending booking if it can be done: quotes, confirms, and tries again as `rules` say.

    `now` is the business's clock, asked anew for each decision. `also` goes into the confirming transaction; without it
    nobody is told of the confirmation. Raises NotFound for an unknown booking (then there is no summary), and whatever
    made the last attempt fail, DatabaseUnavailable for one.
    """
    run = _Run(desk, booking_id, trigger, rules or RetryRules(), strategy or Strategy(), ttl_s, now, also)
    with count_round_trips() as trips:
        try:
            return replace(await _until_ended(run, sleep), round_trips=trips.count)
        except NotFound:
            run.ended = True
            desk.events.record_observability_event(events.failed_lookup(booking_id=booking_id, trigger=trigger))
            _log.error("auto_assign.failed_lookup", booking_id=str(booking_id), trigger=trigger)
            raise
        finally:
            run.end_unwritten()


async def _until_ended(run: _Run, sleep: Callable[[float], Awaitable[None]]) -> BookingOutcome:
    while True:
        began_at = run.now()
        outcome = await run.attempt()
        match outcome:
            case Confirmed():
                return _outcome(run, "succeeded", None)
            case AlreadyConfirmed():
                return await _already_confirmed(run)
            case NoTables() if not run.announced:
                run.ended = True  # it was over before the run began: no run, no summary
                return _outcome(run, "skipped", outcome.reason)
            case NoTables():
                run.no_hold(outcome.reason)
            case Raised():
                run.raised(outcome.error, outcome.reason)
        next_step = _next(run, began_at, outcome.reason)
        if isinstance(next_step, Stop):
            run.stopped(next_step)
            if isinstance(outcome, Raised) and outcome.reason in BROKE_DOWN:
                raise outcome.error
            await run.end(next_step.result, outcome.reason)
            return _outcome(run, next_step.result, outcome.reason)
        await sleep(max(0.0, (next_step.due_at - run.now()).total_seconds()))


async def _already_confirmed(run: _Run) -> BookingOutcome:
    run.already_confirmed()
    await run.end("already_confirmed", None)
    return _outcome(run, "already_confirmed", None)


def _next(run: _Run, began_at: datetime, reason: ReasonCode) -> TryAgain | Stop:
    state = RunState(
        max_attempts=run.rules.max_attempts,
        attempt_index=run.attempt_index,
        attempt_began=began_at,
        starts_at=None if run.quote is None else run.quote.starts_at,
    )
    return decide(run.rules, state, reason, run.now())


def _outcome(run: _Run, result: events.RunResult | Literal["skipped"], reason: ReasonCode | None) -> BookingOutcome:
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
