"""A durable run's attempt, as a worker makes it: claim, quote and confirm, write down what came of it.

Nothing here sleeps or keeps anything between two attempts: the run's row and the queue do. Whatever is cut off, by an
error or by kill -9, leaves the run as it was claimed, and the attempt is made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from maitred.auto_assign import runs
from maitred.auto_assign.attempt import (
    BROKE_DOWN,
    SEATED,
    AlreadyConfirmed,
    Confirmed,
    NoTables,
    Raised,
    make_attempt,
)
from maitred.auto_assign.last_result import keep_last_result, keep_last_result_if_confirmed, last_result
from maitred.auto_assign.queue import defer_attempt
from maitred.auto_assign.retry import RetryRules, RunState, Stop, TryAgain, decide, too_late
from maitred.auto_assign.runs import ClaimedRun
from maitred.booking.desk import Desk
from maitred.booking.quote import Quote
from maitred.messages.outbox import confirmation_messages, needs_attention_messages
from maitred.model.booking import BookingStatus
from maitred.model.period import Period
from maitred.model.reason import ReasonCategory, ReasonCode
from maitred.observability import events
from maitred.observability.recorder import state_event_if_confirmed
from maitred.observability.tracing import spanned
from maitred.storage.database import Statement

# How often one job asks anew because a table came free while it asked. Others free tables, so this has to end.
_MOST_ASKED_ANEW = 5


# Somebody cancelled or moved the booking: there is nothing for the venue to look into.
_NO_NEWS = frozenset({ReasonCode.NOT_PENDING, ReasonCode.SUPERSEDED})


@dataclass(frozen=True, slots=True)
class JobRules:
    """What a worker needs to know besides the run: the retry rules, a hold's life, whether messages are suppressed."""

    retry: RetryRules = field(default_factory=RetryRules)
    ttl_s: int = 180
    messages_suppressed: bool = False


@dataclass(frozen=True, slots=True)
class _No:
    """Why there are no tables, and which look at the rows that was drawn from (None: none, it holds anyway)."""

    reason: ReasonCode
    release_seq: int | None = None
    window: Period | None = None
    alternates: int | None = None
    fresh: bool = False
    raised: bool = False
    too_late: bool = False


@spanned("queued_attempt")
async def make_queued_attempt(
    desk: Desk,
    run_id: UUID,
    attempt_index: int,
    *,
    rules: JobRules,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> events.RunResult | None:
    """Makes one attempt of a run; returns how the run ended, None when it goes on or this attempt is stale.

    Raises what the database raised when the outcome could not be written down; the run then still expects this attempt.
    """
    made = False
    for _ in range(_MOST_ASKED_ANEW):
        began_at = now()
        *_, rows = await desk.database.transact(runs.claim(run_id, attempt_index))
        run = runs.claimed(rows)
        if run is None:
            return None
        attempt = _Attempt(desk, run, rules, began_at, now, made)
        answer = await attempt.ask()
        made = attempt.made
        if isinstance(answer, Confirmed):
            return "succeeded"
        if isinstance(answer, AlreadyConfirmed):
            return await attempt.exit_confirmed()
        step = attempt.decide(answer)
        if await attempt.write_down(answer, step):
            return step.result if isinstance(step, Stop) else None
        # Nothing was written: a table came free since the rows were read, the booking is not pending any more, or
        # somebody else ended the run. Look again.
    await desk.database.transact([runs.due_at_once(run_id, attempt_index), defer_attempt(run_id, attempt_index)])
    return None


@dataclass(slots=True)
class _Attempt:
    desk: Desk
    run: ClaimedRun
    rules: JobRules
    began_at: datetime
    now: Callable[[], datetime]
    made: bool
    began: float = field(default_factory=time.perf_counter)

    @property
    def _named(self) -> dict[str, Any]:
        return {"restaurant_id": self.run.restaurant_id, "booking_id": self.run.booking_id}

    @property
    def _indexed(self) -> dict[str, Any]:
        return {**self._named, "trigger": self.run.trigger, "attempt_index": self.run.attempt_index}

    @property
    def _attempts(self) -> int:
        """How many attempts the run has made by now. One that was found to be needless or too late is none."""
        return self.run.attempts_used if self.made else self.run.attempts_before

    @property
    def _age_ms(self) -> float:
        return self.run.age_ms + (time.perf_counter() - self.began) * 1000

    async def ask(self) -> Confirmed | AlreadyConfirmed | _No:
        """The attempt itself, or why it needn't be made."""
        run = self.run
        if run.status in SEATED:
            return AlreadyConfirmed(None)
        if run.status is not BookingStatus.PENDING:
            return _No(ReasonCode.NOT_PENDING)
        if run.attempts_used > 1 and too_late(self.rules.retry, self.began_at, run.starts_at):
            return _No(run.last_reason or ReasonCode.UNKNOWN, too_late=True)
        if run.attempts_used == 1:
            self._say_how_it_began()
        self.made = True
        if run.cached_reason is not None:
            self._say_cached(run.cached_reason)
            return _No(run.cached_reason, run.release_seq)
        outcome = await make_attempt(
            self.desk,
            run.booking_id,
            now=self.now,
            ttl_s=self.rules.ttl_s,
            trigger=run.trigger,
            attempt_index=run.attempt_index,
            strategy=run.strategy,
            idempotency_key=f"{run.id}:{run.attempt_index}",
            also=self._success,
        )
        match outcome:
            case Confirmed() | AlreadyConfirmed():
                return outcome
            case NoTables(quote=quote, reason=reason):
                self._record(events.attempt(**self._indexed, reason=reason, alternates=len(quote.alternates)))
                window = None if quote.window is None else quote.window.blocked
                return _No(reason, quote.release_seq, window, len(quote.alternates), fresh=True)
            case Raised(error=error, reason=reason):
                self._record(events.attempt_error(**self._indexed, error=error, reason=reason))
                return _No(reason, raised=True)

    def decide(self, answer: _No) -> TryAgain | Stop:
        """What follows; a run whose last attempt raised ends in error."""
        if answer.too_late:
            return Stop("cutoff")
        run = self.run
        state = RunState(
            max_attempts=run.max_attempts,
            attempt_index=run.attempt_index,
            attempt_began=self.began_at,
            starts_at=run.starts_at,
        )
        step = decide(self.rules.retry.of_version(run.policy), state, answer.reason, self.now())
        if isinstance(step, Stop) and answer.raised and answer.reason in BROKE_DOWN:
            return Stop("error")
        return step

    async def write_down(self, answer: _No, step: TryAgain | Stop) -> bool:
        """Writes the outcome, the next job and everything that goes with it, all or nothing; False when outdated."""
        statements = self._ending(answer, step) if isinstance(step, Stop) else self._waiting(answer, step)
        statements.append(keep_last_result(self.run.booking_id, self._last_result(answer.reason, answer.alternates)))
        if answer.fresh and answer.reason.category is ReasonCategory.HARD and answer.release_seq is not None:
            statements.append(runs.remember_failure(self.run, answer.reason, answer.release_seq))
        results = await self.desk.database.transact(statements)
        written = bool(results[2])
        if written and isinstance(step, Stop):
            self._say_stopped(step)
        return written

    async def exit_confirmed(self) -> events.RunResult:
        """Somebody else confirmed the booking: the run ends, whatever it had found out."""
        result: events.RunResult = "already_confirmed"
        summary = self._summary(result, None)
        await self.desk.database.transact(
            [
                *runs.end_run(self.run, result, None, None, None, of_pending=False),
                runs.event_if_ended(self.run.id, summary, result),
            ]
        )
        self._record(events.exited_already_confirmed(**self._indexed))
        return result

    def _waiting(self, answer: _No, step: TryAgain) -> list[Statement]:
        return [
            *runs.wait_for_next(self.run, answer.reason, step.due_at, answer.window, answer.release_seq),
            defer_attempt(self.run.id, self.run.attempt_index + 1),
        ]

    def _ending(self, answer: _No, step: Stop) -> list[Statement]:
        run = self.run
        told = (
            ()
            if answer.reason in _NO_NEWS
            else needs_attention_messages(
                restaurant_id=run.restaurant_id,
                booking_id=run.booking_id,
                reason=answer.reason,
                run_id=run.id,
                suppressed=self.rules.messages_suppressed,
            )
        )
        failed = events.failed(
            **self._named, trigger=run.trigger, attempts=self._attempts, hard_stop_reason=step.hard_reason
        )
        return [
            *runs.end_run(
                run,
                step.result,
                answer.reason,
                step.hard_reason,
                answer.release_seq,
                of_pending=answer.reason is not ReasonCode.NOT_PENDING,
            ),
            runs.event_if_ended(run.id, failed, step.result, step.hard_reason),
            runs.event_if_ended(run.id, self._summary(step.result, step.hard_reason), step.result, step.hard_reason),
            *told,
        ]

    def _success(self, quote: Quote, confirmation_id: UUID) -> list[Statement]:
        """What belongs into the transaction that confirms."""
        run = self.run
        succeeded = events.succeeded(**self._indexed, duration_ms=self._age_ms)
        result = self._last_result(None, len(quote.alternates))
        return [
            runs.end_run_if_confirmed(run.id, confirmation_id),
            runs.event_if_ended(run.id, self._summary("succeeded", None), "succeeded"),
            state_event_if_confirmed(succeeded, confirmation_id),
            keep_last_result_if_confirmed(run.booking_id, result, confirmation_id),
            *confirmation_messages(
                restaurant_id=run.restaurant_id,
                booking_id=run.booking_id,
                confirmation_id=confirmation_id,
                variant=run.mail_variant,
                suppressed=self.rules.messages_suppressed,
            ),
        ]

    def _summary(self, result: events.RunResult, hard_reason: ReasonCode | None) -> events.Event:
        run = self.run
        return events.summary(
            **self._named,
            trigger=run.trigger,
            result=result,
            attempts_used=self._attempts,
            max_attempts=run.max_attempts,
            total_duration_ms=self._age_ms,
            skipped_initial_attempt=run.skipped_initial,
            inline_skip_reason=run.inline_skip_reason,
            hard_stop_reason=hard_reason,
            inline_attempt_id=run.inline_attempt_id,
            inline_reason=run.inline_reason,
            inline_trigger=run.inline_trigger,
        )

    def _last_result(self, reason: ReasonCode | None, alternates: int | None) -> dict[str, Any]:
        return last_result(
            source="job",
            reason=reason,
            strategy=self.run.strategy,
            trigger=self.run.trigger,
            alternates=alternates,
            duration_ms=(time.perf_counter() - self.began) * 1000,
            attempt_id=f"{self.run.id}:{self.run.attempt_index}",
            email_variant=self.run.mail_variant if reason is None else None,
        )

    def _say_how_it_began(self) -> None:
        run = self.run
        if run.inline_skip_reason is not None and run.inline_attempt_id is not None:
            self._record(
                events.inline_skip_attempt(
                    **self._named,
                    trigger=run.trigger,
                    inline_attempt_id=run.inline_attempt_id,
                    reason=run.inline_skip_reason,
                    previous_max_attempts=self.rules.retry.max_attempts,
                    next_max_attempts=run.max_attempts,
                )
            )
        if run.policy == 2 and run.inline_reason is ReasonCode.TIMEOUT:
            self._record(
                events.inline_timeout_adjustment(
                    **self._named,
                    attempt_index=run.attempt_index,
                    require_adjacency=run.strategy.require_adjacency,
                    max_tables=run.strategy.max_tables,
                    max_attempts=run.max_attempts,
                )
            )

    def _say_cached(self, reason: ReasonCode) -> None:
        strategy = self.run.strategy
        self._record(
            events.quote(
                **self._indexed,
                duration_ms=0.0,
                success=False,
                reason=reason,
                require_adjacency=strategy.require_adjacency,
                max_tables=strategy.max_tables,
                cache_hit=True,
            )
        )
        self._record(events.planner_cache_hit(**self._indexed, reason=reason))
        self._record(events.attempt(**self._indexed, reason=reason, cache_hit=True))

    def _say_stopped(self, step: Stop) -> None:
        if step.hard_reason is not None:
            self._record(events.hard_stop(**self._indexed, reason=step.hard_reason))
        if step.result == "cutoff":
            self._record(
                events.cutoff_skipped(
                    **self._named,
                    attempt_index=self.run.attempt_index,
                    cutoff_minutes=self.rules.retry.cutoff_min,
                    inline_reason=self.run.inline_reason,
                )
            )

    def _record(self, event: events.Event) -> None:
        self.desk.events.record_observability_event(event)
