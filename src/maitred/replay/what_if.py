"""What another policy would have decided, planning by planning, on the rooms as they were.

Each quote is decided by itself: had an earlier booking got other tables, later rooms would have been others. So this
tells what a policy does to single decisions; what it does to a day takes a run over the day.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from maitred.errors import InvalidInput
from maitred.model.floor import Floor
from maitred.model.policy import VenuePolicy
from maitred.replay.decide import Decided, as_recorded, changes, decide
from maitred.replay.quotes import pages_of_quotes
from maitred.replay.record import Outcome
from maitred.replay.replay import (
    MOST_SHOWN,
    NO_VERSION,
    NOT_PLANNED,
    ROOM_UNKNOWN,
    UNREADABLE,
    Planning,
    Stopwatch,
    plannings_of,
)
from maitred.replay.venues import KeptVenues
from maitred.storage.database import Database


class Verdict(StrEnum):
    """What the other policy does to one quote."""

    SAME = "same"
    OTHER_TABLES = "other_tables"
    NOW_FOUND = "now_found"
    NO_LONGER = "no_longer_found"
    OTHER_REASON = "other_reason"


@dataclass(frozen=True, slots=True)
class Otherwise:
    """A quote that the other policy decides otherwise; both decisions are today's code's."""

    planning: Planning
    floor: Floor
    own: Decided
    other: Decided
    verdict: Verdict


@dataclass(slots=True)
class WhatIf:
    """What a policy would have changed. Only the last planning of a quote counts, the one that decided it.

    `scores` are pairs of the best plans' totals, by the own and by the other policy, where both found tables: each on
    its own policy's scale. `found_by_own` and `found_by_other` are bookings for which any quote found tables.
    `other_windows` counts quotes whose tables would be wanted for another time than the room was recorded for,
    `other_lookahead` those for which the policy would look another time ahead than bookings were recorded for.
    `drifted` are quotes that today's code decides otherwise than was recorded, under their own policy too. Times are
    seconds of planning, for the questions that both planners were asked.
    """

    quotes: int = 0
    decided: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    otherwise: list[Otherwise] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    scores: list[tuple[float, float]] = field(default_factory=list)
    bookings: set[UUID] = field(default_factory=set)
    found_by_own: set[UUID] = field(default_factory=set)
    found_by_other: set[UUID] = field(default_factory=set)
    other_windows: int = 0
    other_lookahead: int = 0
    drifted: int = 0
    own_s: list[float] = field(default_factory=list)
    other_s: list[float] = field(default_factory=list)


async def what_if(
    db: Database,
    policy: VenuePolicy,
    *,
    since: datetime,
    until: datetime,
    restaurant_id: UUID | None = None,
    booking_id: UUID | None = None,
) -> WhatIf:
    """Decides the recorded quotes of [since, until) under this policy, in each venue's time zone. Changes nothing."""
    found, venues = WhatIf(), KeptVenues(policy)
    async for page in pages_of_quotes(db, since=since, until=until, restaurant_id=restaurant_id, booking_id=booking_id):
        last = {planning.quote.event_id: planning for planning in plannings_of(page, found.left_out)}
        found.quotes += len(page)
        await venues.fetch(db, {planning.key for planning in last.values()})
        await asyncio.to_thread(_decide_all, found, venues, list(last.values()))
    return found


def _decide_all(found: WhatIf, venues: KeptVenues, plannings: Sequence[Planning]) -> None:
    for planning in plannings:
        own, other = venues.own(planning.key), venues.other(planning.key)
        if own is None or other is None:
            found.left_out[NO_VERSION] += 1
            continue
        # they take turns in going first: the second finds the machine warm
        sides = (own, other) if found.decided % 2 else (other, own)
        watches = {rules: Stopwatch(rules.planner) for rules in sides}
        try:
            decided = {rules: decide(planning.recorded, rules, watches[rules].answer) for rules in sides}
        except InvalidInput:
            found.left_out[UNREADABLE] += 1
            continue
        by_own, by_other = decided[own], decided[other]
        if by_own is None or by_other is None:
            found.left_out[NOT_PLANNED] += 1
        elif by_own.outcome is None or by_other.outcome is None:
            found.left_out[ROOM_UNKNOWN] += 1
        else:
            own_s, other_s = watches[own].spent_s, watches[other].spent_s
            if own_s is not None and other_s is not None:
                found.own_s.append(own_s)
                found.other_s.append(other_s)
            found.other_lookahead += own.policy.scoring.lookahead_minutes != other.policy.scoring.lookahead_minutes
            verdict = _verdict(by_own.outcome, by_other.outcome)
            _count(found, Otherwise(planning, own.floor, by_own, by_other, verdict), by_own.outcome, by_other.outcome)


def _verdict(own: Outcome, other: Outcome) -> Verdict:
    if own.best is None or other.best is None:
        if own.best is other.best:
            return Verdict.SAME if own.reason == other.reason else Verdict.OTHER_REASON
        return Verdict.NOW_FOUND if own.best is None else Verdict.NO_LONGER
    return Verdict.SAME if own.best.table_ids == other.best.table_ids else Verdict.OTHER_TABLES


def _count(found: WhatIf, each: Otherwise, own: Outcome, other: Outcome) -> None:
    recorded = each.planning.recorded
    found.decided += 1
    found.verdicts[each.verdict] += 1
    found.drifted += bool(changes(as_recorded(recorded), each.own))
    found.other_windows += recorded.blocked is not None and each.other.blocked not in (None, recorded.blocked)
    if own.best is not None and other.best is not None:
        found.scores.append((own.best.total, other.best.total))
    if (booking_id := each.planning.quote.booking_id) is not None:
        found.bookings.add(booking_id)
        if own.best is not None:
            found.found_by_own.add(booking_id)
        if other.best is not None:
            found.found_by_other.add(booking_id)
    if each.verdict is not Verdict.SAME and len(found.otherwise) < MOST_SHOWN:
        found.otherwise.append(each)
