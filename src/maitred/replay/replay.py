"""Replaying: every recorded planning of a window or a booking is decided again by today's code, and compared."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from maitred.errors import InvalidInput
from maitred.model.floor import Floor
from maitred.planner.answer import Answer, Request
from maitred.planner.planner import Planner
from maitred.replay.decide import Change, Decided, as_recorded, changes, decide
from maitred.replay.quotes import KeptQuote, pages_of_quotes
from maitred.replay.record import Recorded, read_record
from maitred.replay.venues import KeptVenues
from maitred.replay.versions import VersionKey
from maitred.storage.database import Database

# So many differences are kept to be shown; all are counted.
MOST_SHOWN = 1_000

NO_RECORD = "no_record"
CACHE_HIT = "cache_hit"
UNREADABLE = "unreadable"
NO_VERSION = "no_version"
NOT_PLANNED = "not_planned"
ROOM_UNKNOWN = "room_unknown"


@dataclass(frozen=True, slots=True)
class Planning:
    """One planning of a quote, and the venue version it was made by. `index` counts within the quote, from 0."""

    key: VersionKey
    quote: KeptQuote
    index: int
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class Difference:
    """A planning on which today's code decides otherwise."""

    planning: Planning
    floor: Floor
    then: Decided
    now: Decided
    changes: frozenset[Change]


@dataclass(slots=True)
class Replayed:
    """What a replay found. `left_out` counts what there was nothing to decide again for, by reason.

    `quotes` were read; `decided` plannings were decided again, `identical` of them with the same outcome in all that is
    kept of one. `planning_s` has the seconds that the planner took for each question it was asked; `releases` counts
    quotes by the release that made them.
    """

    quotes: int = 0
    decided: int = 0
    identical: int = 0
    differences: list[Difference] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    releases: Counter[str] = field(default_factory=Counter)
    planning_s: list[float] = field(default_factory=list)

    @property
    def different(self) -> int:
        """How many plannings today's code decides otherwise, shown or not."""
        return self.decided - self.identical


async def replay(
    db: Database,
    *,
    since: datetime,
    until: datetime,
    restaurant_id: UUID | None = None,
    booking_id: UUID | None = None,
) -> Replayed:
    """Decides the recorded quotes of [since, until) again. Changes nothing."""
    replayed, venues = Replayed(), KeptVenues()
    async for page in pages_of_quotes(db, since=since, until=until, restaurant_id=restaurant_id, booking_id=booking_id):
        plannings = list(plannings_of(page, replayed.left_out))
        replayed.quotes += len(page)
        replayed.releases.update(quote.release or "unknown" for quote in page)
        await venues.fetch(db, {planning.key for planning in plannings})
        await asyncio.to_thread(_decide_all, replayed, venues, plannings)
    return replayed


def plannings_of(page: Sequence[KeptQuote], left_out: Counter[str]) -> Iterator[Planning]:
    """All plannings of the quotes, in order. Quotes that have none are counted in `left_out`."""
    for quote in page:
        if quote.record is None or quote.restaurant_id is None:
            left_out[CACHE_HIT if quote.cache_hit else NO_RECORD] += 1
            continue
        try:
            plannings = read_record(quote.record)
        except InvalidInput:
            left_out[UNREADABLE] += 1
            continue
        for index, recorded in enumerate(plannings):
            key = VersionKey(quote.restaurant_id, recorded.policy_version, recorded.floor_version)
            yield Planning(key, quote, index, recorded)


class Stopwatch:
    """A planner whose one answer is timed; `spent_s` None: it wasn't asked."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self.spent_s: float | None = None

    def answer(self, request: Request) -> Answer:
        """The planner's answer."""
        began = time.perf_counter()
        answer = self._planner.answer(request)
        self.spent_s = time.perf_counter() - began
        return answer


def _decide_all(replayed: Replayed, venues: KeptVenues, plannings: Sequence[Planning]) -> None:
    for planning in plannings:
        rules = venues.own(planning.key)
        if rules is None:
            replayed.left_out[NO_VERSION] += 1
            continue
        watch = Stopwatch(rules.planner)
        try:
            now = decide(planning.recorded, rules, watch.answer)
        except InvalidInput:
            replayed.left_out[UNREADABLE] += 1
            continue
        if now is None:
            replayed.left_out[NOT_PLANNED] += 1
            continue
        replayed.decided += 1
        if watch.spent_s is not None:
            replayed.planning_s.append(watch.spent_s)
        then = as_recorded(planning.recorded)
        changed = changes(then, now)
        if not changed:
            replayed.identical += 1
        elif len(replayed.differences) < MOST_SHOWN:
            replayed.differences.append(Difference(planning, rules.floor, then, now, changed))
