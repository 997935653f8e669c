"""What the service promises, in one place: histograms have a bound at each, alerts and dashboard are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Objective:
    """At least `share` of what `counted` counts is done within `limit_s` seconds.

    `histogram` is the metric that measures it, `counted` the counter of all that should have been in time: what failed
    without a duration is in it too. `excluding` leaves out by label what says nothing about us. Below `least`
    too little happens in an alert's window to say anything.
    """

    name: str
    title: str
    histogram: str
    counted: str
    limit_s: float
    share: float
    least: int
    excluding: str = ""

    @property
    def allowed(self) -> float:
        """The share that may miss the limit: the error budget."""
        return round(1 - self.share, 9)


PLANNER_CALL: Final = Objective(
    name="planner_call",
    title="Planner call (read, plan, hold)",
    histogram="maitred_planner_call_seconds",
    counted="maitred_planner_call_seconds_count",
    limit_s=0.25,
    share=0.99,
    least=60,
)
INLINE_ATTEMPT: Final = Objective(
    name="inline_attempt",
    title="Inline attempt, while the guest waits",
    histogram="maitred_inline_attempt_seconds",
    counted="maitred_inline_attempts_total",
    limit_s=1.0,
    share=0.99,
    least=60,
    excluding='result!="aborted"',
)
QUOTE_TO_CONFIRMED: Final = Objective(
    name="quote_to_confirmed",
    title="Quote to confirmed, of bookings that got their tables",
    histogram="maitred_quote_to_confirmed_seconds",
    counted="maitred_quote_to_confirmed_seconds_count",
    limit_s=60.0,
    share=0.95,
    least=60,
)

OBJECTIVES: Final = (PLANNER_CALL, INLINE_ATTEMPT, QUOTE_TO_CONFIRMED)

_FINE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_COARSE = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)


def bounds(objective: Objective) -> tuple[float, ...]:
    """The upper bounds of the objective's histogram in seconds, its limit among them."""
    usual = _FINE if objective.limit_s <= _FINE[-1] else _COARSE
    return tuple(sorted({*usual, objective.limit_s}))
