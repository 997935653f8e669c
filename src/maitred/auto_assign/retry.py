"""Whether to try again, and when. Pure: the run, its last outcome and the time in, a decision out.

Rules: the original's retry arithmetic. Pauses count from an attempt's start, the last one repeats, a hard reason ends
the retries, and nothing is tried again shortly before the booking's start.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from maitred.model.reason import ReasonCategory, ReasonCode

MOST_ATTEMPTS = 11

RunResult = Literal["succeeded", "cutoff", "already_confirmed", "exhausted", "error"]


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often and how late. `delays_s` are pauses in seconds from an attempt's start; `cutoff_min` in minutes."""

    max_retries: int = 3
    delays_s: tuple[float, ...] = (5.0, 15.0, 45.0)
    cutoff_min: int = 10
    stop_on_hard: bool = True

    @property
    def max_attempts(self) -> int:
        """At most 11, whatever is set."""
        return min(self.max_retries + 1, MOST_ATTEMPTS)

    def delay_after(self, attempt_index: int) -> timedelta:
        """The pause that follows the attempt with this index, counted from its start."""
        return timedelta(seconds=self.delays_s[min(attempt_index, len(self.delays_s) - 1)])


SINGLE_ATTEMPT = RetryRules(max_retries=0)


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Another attempt, due at this instant."""

    due_at: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """The run ends, with this result; `hard_reason` when a hard reason cut the retries short."""

    result: RunResult
    hard_reason: ReasonCode | None = None


def decide(
    rules: RetryRules, *, attempts_used: int, attempt_began: datetime, starts_at: datetime, reason: ReasonCode
) -> TryAgain | Stop:
    """What follows an attempt that gave no tables. `attempts_used` counts it."""
    if reason.category is ReasonCategory.HARD and rules.stop_on_hard:
        return Stop("exhausted", hard_reason=reason)
    if attempts_used >= rules.max_attempts:
        return Stop("exhausted")
    due_at = attempt_began + rules.delay_after(attempts_used - 1)
    if due_at >= starts_at - timedelta(minutes=rules.cutoff_min):
        return Stop("cutoff")
    return TryAgain(due_at)
