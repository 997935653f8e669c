"""Comparing two windows, releases, settings or triggers: is B better than A, worse, or is that not known yet?

Both sides are read in one snapshot. Bookings are resampled, never attempts; inline is compared with jobs only over
bookings that both worked on, because a job only gets what inline could not do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np

from maitred.errors import InvalidInput
from maitred.observability.baseline import Share
from maitred.observability.baseline_course import (
    Calls,
    Coded,
    Confirmations,
    Course,
    Flags,
    Ints,
    Runs,
    course_of,
)
from maitred.observability.baseline_distribution import Distribution, Ordered, describe
from maitred.observability.baseline_figures import share
from maitred.observability.baseline_scan import BEGIN, COMMIT, PATIENCE, Scan, scan
from maitred.observability.compare_measures import ALL, TIMES, Difference, Observed, Unknown, differences
from maitred.observability.compare_rule import Judgement, judge
from maitred.observability.compare_selector import Selector
from maitred.observability.completeness import Completeness, completeness
from maitred.storage.database import Database


@dataclass(frozen=True, slots=True)
class Side:
    """What was compared. `bookings` are those that were worked on."""

    selector: Selector
    bookings: int
    planner_ms: Distribution
    seated: Share
    completeness: Completeness


@dataclass(frozen=True, slots=True)
class Comparison:
    """B against A.

    `paired`: only bookings that both worked on count, each with its first call on each side; without the `left_out`,
    whose inline call timed out.
    """

    a: Side
    b: Side
    paired: bool
    left_out: int
    measures: tuple[Difference | Unknown, ...]
    judgement: Judgement


async def compare(db: Database, a: Selector, b: Selector, *, restaurant_id: UUID | None = None) -> Comparison:
    """Reads both sides in one snapshot and compares them.

    Planner calls that name no booking are left out. Raises InvalidInput for twice the same side and for a window with
    too many events, and what `Database` raises.
    """
    if _what(a) == _what(b):
        raise InvalidInput("compare", "B", "is the same as A")
    windows = list(dict.fromkeys(((a.since, a.until), (b.since, b.until))))
    scans, complete = await asyncio.gather(
        _scans(db, windows, restaurant_id), _completeness(db, windows, restaurant_id)
    )
    return await asyncio.to_thread(_compare, a, b, (scans[0], scans[-1]), (complete[0], complete[-1]))


async def _scans(db: Database, windows: Sequence[tuple[datetime, datetime]], restaurant_id: UUID | None) -> list[Scan]:
    async with db.session() as session:
        await session.send([BEGIN, PATIENCE])
        scans = [await scan(session, since=since, until=until, restaurant_id=restaurant_id) for since, until in windows]
        await session.send([COMMIT])
    return scans


async def _completeness(
    db: Database, windows: Sequence[tuple[datetime, datetime]], restaurant_id: UUID | None
) -> list[Completeness]:
    return [await completeness(db, since=since, until=until, restaurant_id=restaurant_id) for since, until in windows]


def _what(selector: Selector) -> tuple[object, ...]:
    return (
        selector.since,
        selector.until,
        selector.triggers,
        selector.strategies,
        selector.release,
        selector.venue,
    )


def _compare(
    a: Selector, b: Selector, scans: tuple[Scan, Scan], complete: tuple[Completeness, Completeness]
) -> Comparison:
    first = course_of(scans[0])
    second = first if scans[1] is scans[0] else course_of(scans[1])
    hashes = np.unique(np.concatenate((first.hashes, second.hashes)))
    places = calls_of(first, a), calls_of(second, b)
    paired, left_out = (a.is_inline and b.is_job) or (a.is_job and b.is_inline), 0
    if paired:
        places = _first_of_each(first, places[0]), _first_of_each(second, places[1])
    sides = observed(first, a, places[0], hashes), observed(second, b, places[1], hashes)
    if paired:
        sides, left_out = _pairs(sides, 0 if a.is_inline else 1)
    # What inline seated never becomes a job's: seated and calls of a pair say what was chosen, not who is better.
    found = differences(*sides, TIMES if paired else ALL)
    return Comparison(
        a=_side(a, sides[0], complete[0]),
        b=_side(b, sides[1], complete[1]),
        paired=paired,
        left_out=left_out,
        measures=found,
        judgement=judge(found),
    )


def _pairs(sides: tuple[Observed, Observed], inline: int) -> tuple[tuple[Observed, Observed], int]:
    """Both sides with only the bookings that both worked on, and how many of those were left out.

    A job got them for one of two reasons: there were no tables, which has nothing to do with how long the inline call
    took, or the call timed out, which has everything to do with it. The second are left out: an inline call that was
    chosen for being slow says nothing on how slow inline calls are.
    """
    both = sides[0].worked & sides[1].worked
    times = sides[inline].times
    timed_out = np.zeros_like(both)
    timed_out[times.bookings[times.at_least]] = True
    kept = both & ~timed_out
    return (sides[0].only(kept), sides[1].only(kept)), int(np.count_nonzero(both & timed_out))


def calls_of(course: Course, selector: Selector) -> Ints:
    """The places of the selector's planner calls, in order of time."""
    return np.flatnonzero(_chosen(course.calls, selector) & course.calls.planned & course.calls.of_booking)


def _first_of_each(course: Course, places: Ints) -> Ints:
    # Bookings with many attempts would weigh more on the job's side than on inline's, and those are the hard ones.
    return places[np.unique(course.calls.booking[places], return_index=True)[1]]


def observed(course: Course, selector: Selector, places: Ints, hashes: Ints) -> Observed:
    """The selector's part of a window, with these calls; the places of bookings in `hashes` are their codes."""
    place = np.searchsorted(hashes, course.hashes)
    calls, runs, confirmations = course.calls, course.runs, course.confirmations
    times = Ordered(places, calls.duration_ms[places], place[calls.booking[places]], calls.at_least[places])
    ended = _chosen(runs, selector) & runs.of_booking
    confirmed = _chosen(confirmations, selector) & confirmations.of_booking
    worked, seated = np.zeros(len(hashes), dtype=np.bool_), np.zeros(len(hashes), dtype=np.bool_)
    seated[place[confirmations.booking[confirmed]]] = True
    seated[place[runs.booking[ended & runs.result.among(("succeeded",))]]] = True
    worked[place[calls.booking[places]]] = True
    worked[place[runs.booking[ended]]] = True
    return Observed(times.sample, worked | seated, seated)


def _chosen(of: Calls | Runs | Confirmations, selector: Selector) -> Flags:
    chosen = np.ones(len(of.at), dtype=np.bool_)
    wanted: list[tuple[Coded, frozenset[str] | None]] = [
        (of.trigger, selector.triggers),
        (of.strategy, selector.strategies),
        (of.release, None if selector.release is None else frozenset({selector.release})),
        (of.venue, None if selector.venue is None else frozenset({selector.venue})),
    ]
    for coded, words in wanted:
        if words is not None:
            chosen &= coded.among(tuple(words))
    return chosen


def _side(selector: Selector, side: Observed, complete: Completeness) -> Side:
    return Side(
        selector=selector,
        bookings=side.bookings,
        planner_ms=describe(side.times),
        seated=share(int(np.count_nonzero(side.seated)), side.bookings),
        completeness=complete,
    )
