"""The baseline: what the events of a window say about speed, attempts and results.

One scan reads them (`baseline_scan`), all in one snapshot; the figures are computed here, off the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from maitred.observability.baseline_distribution import NOTHING, Distribution, Percentile
from maitred.observability.baseline_scan import BEGIN, COMMIT, PATIENCE, HourCount, scan
from maitred.observability.completeness import Completeness, completeness
from maitred.storage.database import Database

__all__ = [
    "NOTHING",
    "Attempts",
    "Baseline",
    "Bin",
    "Cut",
    "Distribution",
    "EventRate",
    "HourCount",
    "Moment",
    "Percentile",
    "PlannerTimes",
    "ResultLine",
    "Share",
    "baseline",
    "family_of",
]

DIMENSIONS = ("source", "trigger", "strategy", "venue", "day")


@dataclass(frozen=True, slots=True)
class PlannerTimes:
    """Milliseconds of planner calls (one call: read, plan, hold), overall and by what `auto_assign.quote` says.

    Neither cache hits, which are no planner's work, nor previews, which hold nothing.
    """

    overall: Distribution = NOTHING
    by_source: Mapping[str, Distribution] = field(default_factory=dict)
    by_trigger: Mapping[str, Distribution] = field(default_factory=dict)
    by_success: Mapping[str, Distribution] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often it took. `retry_delay_ms` is the time from one quote to the next of the same booking and run.

    `runs_by_attempts` are pairs of a number of attempts and of how many runs took so many.
    """

    per_run: Distribution = NOTHING
    per_booking: Distribution = NOTHING
    retries: int = 0
    runs_retried: int = 0
    retry_delay_ms: Distribution = NOTHING
    runs_by_attempts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ResultLine:
    """The runs that ended with one result. `skip_reasons` counts the different ones."""

    result: str
    runs: int
    attempts_used: Distribution
    total_duration_ms: Distribution
    skipped_first: int
    skip_reasons: int


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many bookings, with the 95% interval of the share (Wilson's)."""

    part: int = 0
    of: int = 0
    lower: float | None = None
    upper: float | None = None

    @property
    def value(self) -> float | None:
        """None of nothing."""
        return self.part / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Cut:
    """What belongs to one source, trigger, strategy, venue or day.

    `found` counts the planner calls that found tables. `confirmed_ms` is the time from the quote to the confirmation
    where the inline flow confirmed, and from the run's begin where a job did. `results` counts runs. `events` are all
    events, per hour of the window or of the part of it that is the day's; None where an event doesn't tell whether it
    belongs.
    """

    planner_ms: Distribution = NOTHING
    found: int = 0
    cache_hits: int = 0
    lost_races: int = 0
    confirmed_ms: Distribution = NOTHING
    attempts_per_run: Distribution = NOTHING
    retry_delay_ms: Distribution = NOTHING
    results: Mapping[str, int] = field(default_factory=dict)
    events: int | None = None
    events_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """The planner times of the hour or day that begins at `start`."""

    start: datetime
    planner_ms: Distribution


@dataclass(frozen=True, slots=True)
class Bin:
    """Planner calls that took from `low` to under `high` milliseconds; `timed_out` of them took that or longer."""

    low: float
    high: float
    calls: int
    timed_out: int


@dataclass(frozen=True, slots=True)
class EventRate:
    """Events of one family (the part of the type before the dot) or of all (`family` None).

    `per_hour` is over the whole window; `busiest_hour` is the most in one hour of the clock.
    """

    family: str | None
    events: int
    per_hour: float
    busiest_hour: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the events of [since, until) say; of one restaurant, or of all when `restaurant_id` is None.

    `seated` is the share of the bookings that were worked on. `failures` are pairs of a reason code, or NO_REASON, and
    the number of planner calls that failed for it. `cuts` has the same figures by each of `DIMENSIONS`. `over_time` is
    by hours for a window of up to three days, else by days. `completeness` None: nobody looked.
    """

    since: datetime
    until: datetime
    restaurant_id: UUID | None = None
    planner: PlannerTimes = field(default_factory=PlannerTimes)
    previews: Distribution = NOTHING
    cache_hits: int = 0
    lost_races: int = 0
    seated: Share = Share()
    calls_per_booking: Distribution = NOTHING
    attempts: Attempts = field(default_factory=Attempts)
    results: tuple[ResultLine, ...] = ()
    failures: tuple[tuple[str, int], ...] = ()
    cuts: Mapping[str, Mapping[str, Cut]] = field(default_factory=dict)
    over_time: tuple[Moment, ...] = ()
    histogram: tuple[Bin, ...] = ()
    hours: tuple[HourCount, ...] = ()
    completeness: Completeness | None = None

    @property
    def events(self) -> int:
        """All events of the window."""
        return sum(each.events for each in self.hours)

    @property
    def events_by_type(self) -> Mapping[str, int]:
        """How many of each type, in the order of their names."""
        counted: Counter[str] = Counter()
        for each in self.hours:
            counted[each.event_type] += each.events
        return dict(sorted(counted.items()))

    @property
    def rates(self) -> tuple[EventRate, ...]:
        """All events first, then each family, in the order of their names."""
        families = sorted({family_of(each.event_type) for each in self.hours})
        return (self._rate(None), *(self._rate(family) for family in families))

    @property
    def window_h(self) -> float:
        """The length of the window in hours."""
        return (self.until - self.since).total_seconds() / 3600

    def _rate(self, family: str | None) -> EventRate:
        by_hour: Counter[datetime] = Counter()
        for each in self.hours:
            if family is None or family_of(each.event_type) == family:
                by_hour[each.hour] += each.events
        total = by_hour.total()
        return EventRate(family, total, total / self.window_h, max(by_hour.values(), default=0))


async def baseline(db: Database, *, since: datetime, until: datetime, restaurant_id: UUID | None = None) -> Baseline:
    """Reads the baseline of the window [since, until); five round trips, and two more for its completeness.

    All figures come from one snapshot; completeness is looked up at the same time and has its own. Raises ValueError
    for instants without a zone or a window without length, InvalidInput for a window with too many events, and what
    `Database` raises.
    """
    if since.tzinfo is None or until.tzinfo is None or since >= until:
        raise ValueError("a baseline needs a window of instants with a zone, the end after the start")
    read, complete = await asyncio.gather(
        _figures(db, since, until, restaurant_id),
        completeness(db, since=since, until=until, restaurant_id=restaurant_id),
    )
    return Baseline(**read, completeness=complete)


async def _figures(db: Database, since: datetime, until: datetime, restaurant_id: UUID | None) -> dict[str, Any]:
    from maitred.observability.baseline_figures import figures

    async with db.session() as session:
        await session.send([BEGIN, PATIENCE])
        scanned = await scan(session, since=since, until=until, restaurant_id=restaurant_id)
        await session.send([COMMIT])
    return await asyncio.to_thread(figures, scanned, since, until, restaurant_id)


def family_of(event_type: str) -> str:
    """The part of an event's type before the dot."""
    return event_type.partition(".")[0]
