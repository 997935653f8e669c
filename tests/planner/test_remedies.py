"""What would admit a refused party, against planners whose policy or question has just that remedy."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings

from maitred.model.floor import Floor, Table
from maitred.model.joined import MOST_TABLES
from maitred.model.scoring import Relaxation, ScoringPolicy
from maitred.planner.answer import Ranked, Refused, Request
from maitred.planner.planner import Planner
from maitred.planner.remedies import Remedy, admissions
from tests.planner.brute_force import ranked_plans
from tests.planner.strategies import Question, questions

RELAXED = {
    Remedy.ADJACENCY: Relaxation.ADJACENCY,
    Remedy.MIN_PARTY: Relaxation.MIN_PARTY,
    Remedy.OVERAGE: Relaxation.OVERAGE,
}


def admitted_by_hand(question: Question, remedy: Remedy) -> float | None:
    """The least score with this one remedy, by the brute force of ADR 2; None: it doesn't help."""
    request = replace(question.request, upcoming=(), limit=1)
    if request.max_tables is None:
        request = replace(request, max_tables=question.policy.max_tables)
    relaxed: frozenset[Relaxation] = frozenset()
    match remedy:
        case Remedy.MORE_TABLES:
            request = replace(request, max_tables=min(MOST_TABLES, (request.max_tables or 0) + 1))
        case Remedy.OTHER_ZONE:
            request = replace(request, zone_id=None)
        case Remedy.AVOIDED_TABLES:
            request = replace(request, avoid=frozenset())
        case _:
            relaxed = frozenset({RELAXED[remedy]})
    plans = ranked_plans(question.floor, question.policy, request, relaxed)
    return float(plans[0].total) if plans else None


@settings(max_examples=200, deadline=None)
@given(questions())
def test_each_remedy_that_is_named_helps_and_none_that_helps_is_left_out(question: Question) -> None:
    bare = replace(question.request, prices=(), upcoming=())
    question = replace(question, policy=replace(question.policy, allowed=frozenset()), request=bare)
    planner = Planner(question.floor, question.policy)
    if not isinstance(planner.answer(bare), Refused):
        return
    found = admissions(planner, bare)
    singles = {each.remedies[0]: each.plan.score.total for each in found if len(each.remedies) == 1}
    for remedy in Remedy:
        expected = admitted_by_hand(question, remedy)
        assert (remedy in singles) == (expected is not None)
        if expected is not None:
            assert abs(singles[remedy] - expected) < 1e-5
    totals = [each.plan.score.total for each in found]
    assert totals == sorted(totals)
    for each in found:
        assert not each.plan.mask & bare.occupied
        assert each.plan.capacity >= bare.party


def test_where_one_remedy_is_not_enough_two_are_named() -> None:
    """Four tables for two that don't touch, three at most: eight guests need a fourth, and no adjacency."""
    tables = tuple(Table(index + 1, f"T{index + 1}", 1, 2) for index in range(4))
    floor = Floor(1, tables, frozenset(), {1: "One"})
    planner = Planner(floor, ScoringPolicy())
    assert not isinstance(planner.answer(Request(8)), Ranked)
    [found] = admissions(planner, Request(8))
    assert found.remedies == (Remedy.MORE_TABLES, Remedy.ADJACENCY)
    assert found.plan.numbers == ("T1", "T2", "T3", "T4")
