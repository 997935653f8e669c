"""Whether to try again, when and how. Pure: a run, its last outcome and the time in, a decision out.

Two versions of the rules, chosen by setting. Version 1 is plain: pauses count from an attempt's start, the last one
repeats, nothing is tried again shortly before the booking's start. Version 2, the original's retry policy 2, learns
from failures: a hard reason ends the retries, and what the inline attempt found out decides how the run begins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from maitred.model.reason import ReasonCategory, ReasonCode
from maitred.observability.events import RunResult

MOST_ATTEMPTS = 11
INLINE_IS_RECENT = timedelta(minutes=5)

PolicyVersion = Literal[1, 2]


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often and how late. `delays_s` are pauses in seconds from an attempt's start; `cutoff_min` in minutes."""

    max_retries: int = 3
    delays_s: tuple[float, ...] = (5.0, 15.0, 45.0)
    cutoff_min: int = 10
    version: PolicyVersion = 2

    @property
    def max_attempts(self) -> int:
        """At most 11, whatever is set."""
        return min(self.max_retries + 1, MOST_ATTEMPTS)

    def of_version(self, version: PolicyVersion) -> RetryRules:
        """The same figures under the version that a run began with."""
        return replace(self, version=version)

    def delay_after(self, attempt_index: int) -> timedelta:
        """The pause that follows the attempt with this index, counted from its start."""
        return timedelta(seconds=self.delays_s[min(attempt_index, len(self.delays_s) - 1)])


SINGLE_ATTEMPT = RetryRules(max_retries=0)


@dataclass(frozen=True, slots=True)
class RunState:
    """What of a run a decision depends on. `attempt_index` is that of the attempt whose outcome is judged.

    `max_attempts` is the run's own, set when it began; an attempt that was skipped counts against it. `starts_at` is
    the booking's start, None when no quote has learnt it yet (then only the number of attempts counts).
    """

    max_attempts: int
    attempt_index: int
    attempt_began: datetime
    starts_at: datetime | None


@dataclass(frozen=True, slots=True)
class InlineOutcome:
    """How the inline attempt before the run ended."""

    reason: ReasonCode
    at: datetime


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a run begins: at which attempt, how many there may be, and a looser strategy or None for the caller's own.

    `first_attempt` 1 means that attempt 0 is skipped, for `skip_reason`.
    """

    first_attempt: int
    max_attempts: int
    due_at: datetime
    skip_reason: ReasonCode | None = None
    require_adjacency: bool | None = None
    max_tables: int | None = None
    adjusted: bool = False


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Another attempt, due at this instant."""

    due_at: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """The run ends, with this result; `hard_reason` when a hard reason cut the retries short."""

    result: RunResult
    hard_reason: ReasonCode | None = None


def begin(rules: RetryRules, inline: InlineOutcome | None, now: datetime) -> Beginning:
    """How a run begins, given what the inline attempt before it, if there was one, found out."""
    plain = Beginning(first_attempt=0, max_attempts=rules.max_attempts, due_at=now)
    if rules.version == 1 or inline is None:
        return plain
    if inline.reason is ReasonCode.TIMEOUT:
        return Beginning(
            first_attempt=0,
            max_attempts=min(rules.max_attempts, 3),
            due_at=now,
            require_adjacency=False,
            max_tables=4,
            adjusted=True,
        )
    if inline.reason.category is not ReasonCategory.HARD:
        return plain
    few = min(rules.max_attempts, 2)
    if now - inline.at >= INLINE_IS_RECENT or few == 1:
        return Beginning(first_attempt=0, max_attempts=few, due_at=now)
    return Beginning(
        first_attempt=1, max_attempts=few, due_at=inline.at + rules.delay_after(0), skip_reason=inline.reason
    )


def decide(rules: RetryRules, run: RunState, reason: ReasonCode, now: datetime) -> TryAgain | Stop:
    """What follows an attempt that gave no tables for this reason."""
    if reason in _OVER:
        return Stop("exhausted", hard_reason=reason)
    if rules.version == 2 and reason.category is ReasonCategory.HARD:
        return Stop("exhausted", hard_reason=reason)
    if run.attempt_index + 1 >= min(run.max_attempts, MOST_ATTEMPTS):
        return Stop("exhausted")
    due_at = max(run.attempt_began + rules.delay_after(run.attempt_index), now)
    if too_late(rules, due_at, run.starts_at):
        return Stop("cutoff")
    return TryAgain(due_at)


def too_late(rules: RetryRules, due_at: datetime, starts_at: datetime | None) -> bool:
    """Whether an attempt at this instant falls within the cutoff before the start. Never asked of the first one."""
    return starts_at is not None and due_at >= starts_at - timedelta(minutes=rules.cutoff_min)


# no retry can change these, under whatever version of the rules
_OVER = frozenset({ReasonCode.NOT_PENDING, ReasonCode.SUPERSEDED, ReasonCode.START_PASSED})
