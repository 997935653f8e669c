"""The score of a set, term by term, and the order it gives. ADR 2 is the definition."""

from __future__ import annotations

import math
from typing import NamedTuple

from maitred.model.scoring import Term, Weights
from maitred.planner.answer import Score

MOST_AMPLIFICATION = 3.0


class Profile(NamedTuple):
    """What rules and score see of a set: sets with the same profile differ in nothing but their tables.

    `capacity` is what the set holds used together. `needs_party` is the largest minimum party among the members and
    `most_party` the largest party a table takes alone, unless the venue says otherwise of the set; None where there is
    no such limit. `behind` counts the ranks between a joined set and the best liked one. `adjacency_cost` is the
    radius, or the number of tables of a set that isn't connected.
    """

    capacity: int
    size: int
    largest: int
    adjacency_cost: int
    needs_party: int
    most_party: int | None
    scarcity: float
    pairwise: bool
    behind: int = 0


class Standing(NamedTuple):
    """The place of a set among others, lower first. The table indices, which decide last, are kept beside it."""

    total: float
    overage: int
    size: int
    capacity: int
    fragmentation: int
    adjacency_cost: int


def score_of(profile: Profile, weights: Weights, party: int, demand_multiplier: float) -> tuple[Standing, Score]:
    """The static score: everything but the look-ahead."""
    overage = profile.capacity - party
    fragmentation = max(
        0, profile.capacity - profile.largest
    )  # below only where a set holds less than its largest table
    slack = overage * weights.overage * demand_multiplier
    combination = 0.0
    if profile.size > 1:
        base = (profile.size - 1) * weights.table_count + profile.adjacency_cost * weights.adjacency_cost
        combination = base * min(MOST_AMPLIFICATION, 1 + profile.scarcity / profile.size)
    fragments = fragmentation * weights.fragmentation
    scarcity = profile.scarcity * weights.scarcity
    order = profile.behind * weights.set_order
    total = total_of(slack, combination, fragments, scarcity, order)
    standing = Standing(total, overage, profile.size, profile.capacity, fragmentation, profile.adjacency_cost)
    return standing, Score(
        slack, combination, fragments, 0.0, scarcity, 0.0, total, ((Term.SET_ORDER, order),) if order else ()
    )


def total_of(*terms: float) -> float:
    """The terms' sum, whatever their order, rounded so that equal is equal."""
    return round(math.fsum(terms), 6)


def unrounded(score: Score) -> float:
    """The total of a static score as it was before it was rounded."""
    extra = [value for _, value in score.extra]
    return math.fsum((score.slack, score.combination, score.fragmentation, score.scarcity, *extra))


def with_conflict(score: Score, penalty: float) -> Score:
    """The same score with a look-ahead term."""
    return _with(score, penalty, score.extra)


def with_terms(score: Score, terms: tuple[tuple[Term, float], ...]) -> Score:
    """The same score with these terms behind those it has."""
    return _with(score, score.future_conflict, score.extra + terms)


def _with(score: Score, conflict: float, extra: tuple[tuple[Term, float], ...]) -> Score:
    slack, combination, fragmentation, scarcity = score.slack, score.combination, score.fragmentation, score.scarcity
    total = total_of(slack, combination, fragmentation, scarcity, conflict, *[value for _, value in extra])
    return Score(slack, combination, fragmentation, score.zone_balance, scarcity, conflict, total, extra)
