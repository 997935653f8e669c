"""One candidate on its way to becoming a plan."""

from __future__ import annotations

from typing import NamedTuple

from maitred.model.scoring import Term
from maitred.planner.answer import Plan, Score
from maitred.planner.catalogue import Members
from maitred.planner.layout import Layout
from maitred.planner.score import Standing, with_conflict, with_terms

UNLISTED = -1


class Candidate(NamedTuple):
    """A free set with its place. It sorts by standing and then by members, which is the order of all ties.

    `rank` is its place in the ordering it is listed in; UNLISTED for a set drawn by recipe, or when a term that the
    ordering doesn't know has moved it.
    """

    standing: Standing
    members: Members
    mask: int
    score: Score
    rank: int

    def burdened(self, conflict: float) -> Candidate:
        """The same set with a look-ahead term."""
        return self._scored(with_conflict(self.score, conflict))

    def bearing(self, terms: tuple[tuple[Term, float], ...]) -> Candidate:
        """The same set with these terms more."""
        return self._scored(with_terms(self.score, terms))

    def _scored(self, score: Score) -> Candidate:
        standing = Standing(score.total, *self.standing[1:])
        return Candidate(standing, self.members, self.mask, score, UNLISTED)


def make_plan(layout: Layout, members: Members, mask: int, standing: Standing, score: Score) -> Plan:
    """A plan of these tables, which are given in index order."""
    tables = [layout.tables[index] for index in members]
    return Plan(
        table_ids=tuple([table.id for table in tables]),
        numbers=tuple([table.number for table in tables]),
        zone_id=tables[0].zone_id,
        capacity=standing.capacity,
        overage=standing.overage,
        adjacency_cost=standing.adjacency_cost,
        mask=mask,
        score=score,
    )


def plan_of(layout: Layout, candidate: Candidate) -> Plan:
    """The plan of a candidate as it stands."""
    return make_plan(layout, candidate.members, candidate.mask, candidate.standing, candidate.score)


def bearing(plan: Plan, terms: tuple[tuple[Term, float], ...]) -> Plan:
    """The same plan with these terms more."""
    if not terms:
        return plan
    return Plan(
        plan.table_ids,
        plan.numbers,
        plan.zone_id,
        plan.capacity,
        plan.overage,
        plan.adjacency_cost,
        plan.mask,
        with_terms(plan.score, terms),
    )
