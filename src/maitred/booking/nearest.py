"""The nearest times before and after a booking's own at which there are tables for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from maitred.booking.prices import PriceBook
from maitred.booking.question import Strategy, question_at_any_time
from maitred.booking.snapshot import Snapshot
from maitred.booking.venues import PlannedVenue
from maitred.model.policy import Window
from maitred.model.reason import ReasonCode
from maitred.planner.answer import Plan, Ranked

STEP = timedelta(minutes=15)
# A snapshot knows everything from three hours before the booking's start to sixteen after it.
_KNOWN_BEFORE = timedelta(hours=3)
_KNOWN_AFTER = timedelta(hours=16)
_AS_LATE_AS = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class PossibleTime:
    """A start, in UTC, and the best plan for it."""

    starts_at: datetime
    plan: Plan


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest possible times, each list from the nearest on."""

    before: tuple[PossibleTime, ...] = ()
    after: tuple[PossibleTime, ...] = ()


def nearest_times(
    snapshot: Snapshot,
    planned: PlannedVenue,
    strategy: Strategy,
    now: datetime,
    prices: PriceBook | None = None,
    *,
    most: int = 2,
) -> Nearest:
    """Up to `most` quarter hours of the same service day on each side, none before `now`, the business's clock.

    Looks as far as the snapshot reaches: up to three hours before the booking's start and four after it.
    """
    own = planned.venue.policy.window(snapshot.starts_at, snapshot.party)
    day = own.service_day if isinstance(own, Window) else None
    start = snapshot.starts_at
    quarter = start - timedelta(minutes=start.minute % 15, seconds=start.second, microseconds=start.microsecond)

    def possible(at: datetime) -> PossibleTime | None:
        question = question_at_any_time(
            replace(snapshot, starts_at=at), planned.venue.policy, planned.venue.floor, strategy, now, prices
        )
        if isinstance(question, ReasonCode) or (day is not None and question.window.service_day != day):
            return None
        blocked = question.window.blocked
        if blocked.start < start - _KNOWN_BEFORE or blocked.end > start + _KNOWN_AFTER:
            return None
        answer = planned.planner.answer(question.request)
        return PossibleTime(at, answer.best) if isinstance(answer, Ranked) else None

    def first(times: Iterator[datetime]) -> tuple[PossibleTime, ...]:
        found: list[PossibleTime] = []
        for at in times:
            if len(found) == most:
                break
            if at > now and (here := possible(at)) is not None:
                found.append(here)
        return tuple(found)

    earlier = (at for at in _steps(quarter, -STEP, start - _KNOWN_BEFORE) if at < start)
    later = _steps(quarter + STEP, STEP, start + _AS_LATE_AS)
    return Nearest(first(earlier), first(later))


def _steps(begin: datetime, step: timedelta, end: datetime) -> Iterator[datetime]:
    at = begin
    while (at >= end) if step < timedelta(0) else (at <= end):
        yield at
        at += step
