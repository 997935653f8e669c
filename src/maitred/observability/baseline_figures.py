"""The figures of a baseline, computed from a scan. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from maitred.observability.baseline import (
    DIMENSIONS,
    Attempts,
    Bin,
    Cut,
    Moment,
    PlannerTimes,
    ResultLine,
    Share,
)
from maitred.observability.baseline_course import (
    Calls,
    Coded,
    Confirmations,
    Course,
    Flags,
    Floats,
    Ints,
    Runs,
    course_of,
    moment,
)
from maitred.observability.baseline_distribution import NOTHING, Distribution, Ordered, Sample, describe
from maitred.observability.baseline_scan import HourCount, Scan

_BY_HOURS_UP_TO = timedelta(days=3)
_HOUR_US = 3_600_000_000
_BINS_PER_DECADE = 10
_Z = 1.959963984540054  # 95% of a normal distribution lie within so many standard deviations


def figures(scan: Scan, since: datetime, until: datetime, restaurant_id: UUID | None) -> dict[str, Any]:
    """The arguments of a `Baseline`, its completeness excepted."""
    course = course_of(scan)
    calls, runs = course.calls, course.runs
    measures = _Measures(course)
    cuts = _cuts(course, measures, scan, since, until)
    return {
        "since": since,
        "until": until,
        "restaurant_id": restaurant_id,
        "planner": PlannerTimes(
            overall=describe(measures.planner_ms.sample),
            by_source=_planner_ms(cuts["source"]),
            by_trigger=_planner_ms(cuts["trigger"]),
            by_success=_by(measures.planner_ms, calls.success),
        ),
        "previews": describe(_times(calls, calls.preview & ~calls.cache_hit).sample),
        "cache_hits": int(np.count_nonzero(calls.cache_hit)),
        "lost_races": int(calls.lost_races[~calls.preview].sum()),
        "seated": seated_share(course, np.ones(course.bookings, dtype=np.bool_)),
        "calls_per_booking": _per_booking(calls.booking[calls.planned & calls.of_booking]),
        "attempts": _attempts(runs, measures),
        "results": _results(runs, measures),
        "failures": _failures(calls),
        "cuts": cuts,
        "over_time": _by_hours(calls, measures) if until - since <= _BY_HOURS_UP_TO else _by_days(cuts["day"]),
        "histogram": histogram(measures.planner_ms.sample.values, measures.planner_ms.sample.at_least),
        "hours": _hours(scan),
    }


class _Measures:
    """Each measure of the course, sorted once."""

    def __init__(self, course: Course) -> None:
        calls, runs, confirmations = course.calls, course.runs, course.confirmations
        self.planner_ms = _times(calls, calls.planned)
        self.retry_delay_ms = _retry_delays(calls)
        self.attempts = _all(runs.attempts, runs.booking)
        self.total_ms = _all(runs.total_ms, runs.booking)
        self.confirmed_ms = _all(confirmations.ms, confirmations.booking)


def _all(values: Floats, bookings: Ints) -> Ordered:
    return Ordered(np.arange(len(values)), values, bookings)


def _by(ordered: Ordered, coded: Coded) -> dict[str, Distribution]:
    return {name: describe(part) for name, part in ordered.split(coded.codes, coded.names).items()}


def seated_share(course: Course, chosen: Flags) -> Share:
    """Bookings with a confirmation, of those that were worked on; only the chosen ones. What it takes to have been
    worked on is a planner call that was no preview, a run or a confirmation."""
    worked, seated = worked_and_seated(course)
    return share(int(np.count_nonzero(seated & chosen)), int(np.count_nonzero(worked & chosen)))


def worked_and_seated(course: Course) -> tuple[Flags, Flags]:
    """For each booking's code, whether it was worked on and whether it was seated."""
    calls, runs, confirmations = course.calls, course.runs, course.confirmations
    worked = np.zeros(course.bookings, dtype=np.bool_)
    seated = np.zeros(course.bookings, dtype=np.bool_)
    worked[calls.booking[~calls.preview & calls.of_booking]] = True
    worked[runs.booking[runs.of_booking]] = True
    seated[confirmations.booking[confirmations.of_booking]] = True
    seated[runs.booking[runs.of_booking & runs.result.among(("succeeded",))]] = True
    return worked | seated, seated


def share(part: int, of: int) -> Share:
    """With Wilson's interval, which stays within 0 and 1 for few bookings too."""
    if not of:
        return Share()
    p, z2 = part / of, _Z**2
    middle = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * math.sqrt(p * (1 - p) / of + z2 / (4 * of**2))
    return Share(part, of, max(0.0, middle - half), min(1.0, middle + half))


def histogram(values: Floats, at_least: Flags) -> tuple[Bin, ...]:
    """Ten bins of equal ratio for each power of ten, from the first with a value to the last; none for values of 0."""
    positive = values > 0
    if not positive.any():
        return ()
    places = np.floor(np.log10(values[positive]) * _BINS_PER_DECADE).astype(np.int64)
    first = int(places.min())
    calls = np.bincount(places - first)
    timed_out = np.bincount(places[at_least[positive]] - first, minlength=len(calls))
    return tuple(
        Bin(_edge(first + place), _edge(first + place + 1), int(count), int(late))
        for place, (count, late) in enumerate(zip(calls, timed_out, strict=True))
    )


def _edge(place: int) -> float:
    return float(10 ** (place / _BINS_PER_DECADE))


def _times(calls: Calls, chosen: Flags) -> Ordered:
    places = np.flatnonzero(chosen)
    return Ordered(places, calls.duration_ms[places], calls.booking[places], calls.at_least[places])


def _per_booking(bookings: Ints) -> Distribution:
    different, counts = np.unique(bookings, return_counts=True)
    return describe(Sample.of(counts.astype(np.float64), different.astype(np.int64)))


def _sum_per_booking(values: Floats, bookings: Ints) -> Distribution:
    known = ~np.isnan(values)
    different, places = np.unique(bookings[known], return_inverse=True)
    sums: Floats = np.bincount(places, weights=values[known]).astype(np.float64)
    return describe(Sample.of(sums, different))


def _retry_delays(calls: Calls) -> Ordered:
    """Two quotes are neighbours in one run when the second has the next attempt's index: that needs neither a run's
    id, which the original's events don't have, nor one clock for quotes and for state changes."""
    several = np.bincount(calls.booking) > 1
    chosen = np.flatnonzero(calls.of_booking & ~calls.preview & several[calls.booking])
    group = calls.booking[chosen] * len(calls.trigger.names) + calls.trigger.codes[chosen]
    group = group * len(calls.source.names) + calls.source.codes[chosen]
    order = np.argsort(group, kind="stable")  # calls are in order of time already
    group, ordered = group[order], chosen[order]
    later, earlier = ordered[1:], ordered[:-1]
    step = calls.attempt_index[later] - calls.attempt_index[earlier]
    neighbours = (group[1:] == group[:-1]) & (step == 1)
    later, earlier = later[neighbours], earlier[neighbours]
    return Ordered(later, (calls.at[later] - calls.at[earlier]) / 1000, calls.booking[later])


def _attempts(runs: Runs, measures: _Measures) -> Attempts:
    used = measures.attempts.sample.values
    return Attempts(
        per_run=describe(measures.attempts.sample),
        per_booking=_sum_per_booking(runs.attempts[runs.of_booking], runs.booking[runs.of_booking]),
        retries=int(np.maximum(used - 1, 0).sum()),
        runs_retried=int(np.count_nonzero(used > 1)),
        retry_delay_ms=describe(measures.retry_delay_ms.sample),
        runs_by_attempts=tuple(sorted(Counter(used.astype(np.int64).tolist()).items())),
    )


def _results(runs: Runs, measures: _Measures) -> tuple[ResultLine, ...]:
    attempts, total = _by(measures.attempts, runs.result), _by(measures.total_ms, runs.result)
    lines = []
    for code, result in enumerate(runs.result.names):
        mine = runs.result.codes == code
        reasons = np.unique(runs.skip_reason.codes[mine])
        lines.append(
            ResultLine(
                result=result,
                runs=int(np.count_nonzero(mine)),
                attempts_used=attempts.get(result, NOTHING),
                total_duration_ms=total.get(result, NOTHING),
                skipped_first=int(np.count_nonzero(runs.skipped_first[mine])),
                skip_reasons=sum(runs.skip_reason.names[reason] != "" for reason in reasons.tolist()),
            )
        )
    return tuple(sorted(lines, key=lambda line: (-line.runs, line.result)))


def _failures(calls: Calls) -> tuple[tuple[str, int], ...]:
    counted = _counted(calls.reason, calls.planned & calls.success.among(("false",)))
    return tuple(sorted(counted.items(), key=lambda each: (-each[1], each[0])))


def _counted(coded: Coded, chosen: Flags | None = None, weights: Ints | None = None) -> dict[str, int]:
    codes = coded.codes if chosen is None else coded.codes[chosen]
    counts = np.bincount(codes, weights=weights, minlength=len(coded.names))
    return {name: int(count) for name, count in zip(coded.names, counts.tolist(), strict=True) if count}


def _cuts(
    course: Course, measures: _Measures, scan: Scan, since: datetime, until: datetime
) -> dict[str, dict[str, Cut]]:
    whole_h = (until - since) / timedelta(hours=1)
    by_source = _events_by(scan, lambda each: each.source)
    by_day = _events_by(scan, lambda each: f"{each.hour:%Y-%m-%d}")
    rates = {
        "source": {source: (events, events / whole_h) for source, events in by_source.items()},
        "day": {day: (events, events / _hours_of(day, since, until)) for day, events in by_day.items()},
    }
    return {name: _cut(course, measures, name, rates.get(name, {})) for name in DIMENSIONS}


def _hours_of(day: str, since: datetime, until: datetime) -> float:
    """The length of what the window has of the day."""
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return (min(start + timedelta(days=1), until) - max(start, since)) / timedelta(hours=1)


def _events_by(scan: Scan, read: Callable[[HourCount], str]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for each in scan.hours:
        counted[read(each)] += each.events
    return counted


def _cut(course: Course, measures: _Measures, dimension: str, rates: Mapping[str, tuple[int, float]]) -> dict[str, Cut]:
    calls, runs, confirmations = course.calls, course.runs, course.confirmations
    of_calls, of_runs = _dimension(calls, dimension), _dimension(runs, dimension)
    planner_ms, retry_delay_ms = _by(measures.planner_ms, of_calls), _by(measures.retry_delay_ms, of_calls)
    found = _counted(of_calls, calls.planned & calls.success.among(("true",)))
    cache_hits = _counted(of_calls, calls.cache_hit)
    worked = calls.planned
    lost_races = _counted(of_calls, worked, calls.lost_races[worked])
    confirmed_ms = _by(measures.confirmed_ms, _dimension(confirmations, dimension))
    attempts = _by(measures.attempts, of_runs)
    results: dict[str, dict[str, int]] = {}
    for code, result in enumerate(runs.result.names):
        for name, count in _counted(of_runs, runs.result.codes == code).items():
            results.setdefault(name, {})[result] = count
    names = {*planner_ms, *retry_delay_ms, *cache_hits, *confirmed_ms, *results, *rates}
    cuts = {
        name: Cut(
            planner_ms=planner_ms.get(name, NOTHING),
            found=found.get(name, 0),
            cache_hits=cache_hits.get(name, 0),
            lost_races=lost_races.get(name, 0),
            confirmed_ms=confirmed_ms.get(name, NOTHING),
            attempts_per_run=attempts.get(name, NOTHING),
            retry_delay_ms=retry_delay_ms.get(name, NOTHING),
            results=results.get(name, {}),
            events=rates[name][0] if name in rates else None,
            events_per_hour=rates[name][1] if name in rates else None,
        )
        for name in names
    }
    if dimension == "day":
        return dict(sorted(cuts.items()))
    return dict(sorted(cuts.items(), key=lambda each: (-each[1].planner_ms.n, each[0])))


def _dimension(of: Calls | Runs | Confirmations, dimension: str) -> Coded:
    coded: Coded = getattr(of, dimension)
    return coded


def _by_hours(calls: Calls, measures: _Measures) -> tuple[Moment, ...]:
    starts, codes = np.unique(calls.at // _HOUR_US, return_inverse=True)
    found = _by(measures.planner_ms, Coded(codes, tuple(str(start) for start in starts.tolist())))
    return tuple(Moment(moment(start * _HOUR_US), found[f"{start}"]) for start in sorted(map(int, found)))


def _by_days(days: Mapping[str, Cut]) -> tuple[Moment, ...]:
    return tuple(
        Moment(datetime.fromisoformat(day).replace(tzinfo=UTC), each) for day, each in _planner_ms(days).items()
    )


def _planner_ms(cuts: Mapping[str, Cut]) -> dict[str, Distribution]:
    return {name: cut.planner_ms for name, cut in cuts.items() if cut.planner_ms.n}


def _hours(scan: Scan) -> tuple[HourCount, ...]:
    counted: Counter[tuple[datetime, str]] = Counter()
    for each in scan.hours:
        counted[each.hour, each.event_type] += each.events
    return tuple(HourCount(hour, event_type, events) for (hour, event_type), events in sorted(counted.items()))
