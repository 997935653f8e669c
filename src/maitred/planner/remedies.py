"""What would have to give way for a party that was refused: each way with its best plan, the cheapest first. Pure.

A remedy is for people to choose; the venue's policy need not allow it. Every single one is tried, and pairs only where
no single one helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from maitred.model.joined import MOST_TABLES
from maitred.planner.answer import Plan, Request
from maitred.planner.planner import Planner
from maitred.planner.rules import Rules, request_rules


class Remedy(StrEnum):
    """What gives way. Stable, safe to store."""

    MORE_TABLES = "more_tables"
    OTHER_ZONE = "other_zone"
    AVOIDED_TABLES = "avoided_tables"
    ADJACENCY = "adjacency"
    MIN_PARTY = "min_party"
    OVERAGE = "overage"

    @property
    def text(self) -> str:
        """For people."""
        return _TEXT[self]


_TEXT = {
    Remedy.MORE_TABLES: "one table more than allowed",
    Remedy.OTHER_ZONE: "another zone",
    Remedy.AVOIDED_TABLES: "tables that were to be avoided",
    Remedy.ADJACENCY: "tables that don't stand together",
    Remedy.MIN_PARTY: "a table meant for larger parties",
    Remedy.OVERAGE: "more seats to spare than allowed",
}


@dataclass(frozen=True, slots=True)
class Admission:
    """With these remedies the party could have this plan. Its score is by the usual weights."""

    remedies: tuple[Remedy, ...]
    plan: Plan


@dataclass(frozen=True, slots=True)
class _Asked:
    """The rules and the tables that are ruled out by the question itself."""

    rules: Rules
    barred: int


def admissions(planner: Planner, request: Request) -> tuple[Admission, ...]:
    """All single remedies that would admit the party now, cheapest first; if none does, all pairs.

    The zone and the tables to avoid are the question's, the rest the policy's; waiting bookings play no part.
    Raises InvalidInput as `Planner.answer` does.
    """
    asked = _Asked(request_rules(planner.policy, request), planner.barred(request))
    steps = dict(_steps(planner, request, asked))
    for together in (1, 2):
        found = [
            Admission(remedies, plan)
            for remedies in combinations(steps, together)
            if (plan := _best(planner, request, asked, [steps[each] for each in remedies])) is not None
        ]
        if found:
            order = list(Remedy)
            return tuple(
                sorted(found, key=lambda each: (each.plan.score.total, [order.index(one) for one in each.remedies]))
            )
    return ()


_Step = Callable[[_Asked], _Asked]


def _steps(planner: Planner, request: Request, asked: _Asked) -> Iterator[tuple[Remedy, _Step]]:
    """Those that change anything, in the order of ties."""
    rules = asked.rules
    if rules.max_tables < MOST_TABLES:
        yield Remedy.MORE_TABLES, _ruled(max_tables=rules.max_tables + 1)
    if request.zone_id is not None:
        zone = planner.layout.zones[request.zone_id]
        yield Remedy.OTHER_ZONE, lambda at: _Asked(at.rules, at.barred & zone)
    if request.avoid:
        avoided = planner.mask_of(request.avoid)
        if request.zone_id is not None:
            avoided &= planner.layout.zones[request.zone_id]
        yield Remedy.AVOIDED_TABLES, lambda at: _Asked(at.rules, at.barred & ~avoided)
    if rules.adjacency_required:
        yield Remedy.ADJACENCY, _ruled(adjacency_required=False)
    if not rules.undercut:
        yield Remedy.MIN_PARTY, _ruled(undercut=True)
    if rules.max_overage is not None:
        yield Remedy.OVERAGE, _ruled(max_overage=None)


def _ruled(**changes: object) -> _Step:
    return lambda at: _Asked(at.rules._replace(**changes), at.barred)  # type: ignore[arg-type]  # fields named above


def _best(planner: Planner, request: Request, asked: _Asked, steps: list[_Step]) -> Plan | None:
    for step in steps:
        asked = step(asked)
    plans = planner.seating(asked.rules).best(request.occupied | asked.barred, 1, planner.draws())
    return plans[0] if plans else None
