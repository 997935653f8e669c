"""The planner and the brute force must agree about every small floor: on feasibility, order, terms and reasons."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, event, given, seed, settings

from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation, Term
from maitred.planner.answer import Answer, Plan
from maitred.planner.planner import Planner
from tests.planner.brute_force import Decision, Found, decide, on_a_rounding_edge
from tests.planner.comparison import NEAR, plans_of, reason_of, relaxed_by, same_ranking
from tests.planner.strategies import (
    Question,
    evenings,
    mixed_questions,
    questions,
    questions_about_long_sets,
    questions_that_relax,
    questions_while_others_wait,
)

# The longer Hypothesis looks, the longer it may take.
pytestmark = pytest.mark.timeout(180 + settings().max_examples // 5)

EXTRA = tuple(term.value for term in Term)

REASONS = (
    ReasonCode.NO_TABLES,
    ReasonCode.GLOBAL_CAPACITY,
    ReasonCode.INSUFFICIENT_CAPACITY,
    ReasonCode.MAX_TABLES,
    ReasonCode.NO_SUITABLE_TABLES,
    ReasonCode.NO_CAPACITY,
)


def answered(question: Question) -> Answer:
    return Planner(question.floor, question.policy).answer(question.request)


def answered_without_catalogue(question: Question) -> Answer:
    return Planner(question.floor, question.policy, enumeration_limit=0).answer(question.request)


def decided(question: Question) -> Decision:
    decision = decide(question.floor, question.policy, question.request)
    event(str(decision.reason or f"seated at {len(decision.plans[0].tables)}"))
    return decision


@given(questions())
def test_a_set_is_found_exactly_when_the_brute_force_finds_one(question: Question) -> None:
    assert bool(plans_of(answered(question))) == bool(decided(question).plans)


@given(questions())
def test_the_best_score_is_the_brute_forces(question: Question) -> None:
    best = [plan.score.total for plan in plans_of(answered(question))[:1]]
    assert best == pytest.approx([float(found.total) for found in decided(question).plans[:1]], abs=NEAR)


@given(questions())
def test_the_best_set_is_the_brute_forces_ties_included(question: Question) -> None:
    decision = decided(question)
    assume(not on_a_rounding_edge(decision.plans))
    best = [frozenset(plan.table_ids) for plan in plans_of(answered(question))[:1]]
    assert best == [frozenset(found.ids) for found in decision.plans[:1]]


@given(questions())
def test_the_ranking_is_the_head_of_the_brute_forces(question: Question) -> None:
    decision = decided(question)
    assume(not on_a_rounding_edge(decision.plans))
    wanted = decision.plans[: question.request.limit]
    assert same_ranking(plans_of(answered(question)), wanted)


@given(questions())
def test_each_plan_is_described_by_the_brute_forces_figures(question: Question) -> None:
    by_set = {frozenset(found.ids): found for found in decided(question).plans}
    for plan in plans_of(answered(question)):
        found = by_set[frozenset(plan.table_ids)]
        assert terms(plan) == pytest.approx(terms_found(found), abs=NEAR)
        assert (plan.capacity, plan.overage, plan.adjacency_cost) == (
            found.capacity,
            found.overage,
            found.adjacency_cost,
        )
        assert plan.numbers == tuple(table.number for table in found.tables)
        assert plan.zone_id == found.tables[0].zone_id
        assert plan.mask == sum(1 << index for index, at in enumerate(question.floor.tables) if at.id in found.ids)


def terms(plan: Plan) -> dict[str, float]:
    score = plan.score
    return {
        "slack": score.slack,
        "combination": score.combination,
        "fragmentation": score.fragmentation,
        "zone_balance": score.zone_balance,
        "scarcity": score.scarcity,
        "future_conflict": score.future_conflict,
        "total": score.total,
        **dict.fromkeys(EXTRA, 0.0),
        **{term.value: value for term, value in score.extra},
    }


def terms_found(found: Found) -> dict[str, float]:
    return {
        "slack": float(found.slack),
        "combination": float(found.combination),
        "fragmentation": float(found.fragmentation),
        "zone_balance": float(found.zone_balance),
        "scarcity": float(found.scarcity),
        "future_conflict": float(found.future_conflict),
        "total": float(found.total),
        **{term: float(value) for term, value in found.extra.items()},
    }


@given(questions())
def test_a_refusal_gives_the_brute_forces_reason(question: Question) -> None:
    assert reason_of(answered(question)) == decided(question).reason


@given(questions_that_relax())
def test_what_gave_way_is_what_the_brute_force_had_to_give(question: Question) -> None:
    assert relaxed_by(answered(question)) == decided(question).relaxed


@given(questions())
def test_an_answer_about_a_small_floor_is_exact(question: Question) -> None:
    assert answered(question).effort.exact


@given(questions())
def test_without_a_catalogue_the_whole_answer_is_the_same(question: Question) -> None:
    decision = decided(question)
    answer = answered_without_catalogue(question)
    best = [plan.score.total for plan in plans_of(answer)[:1]]
    assert best == pytest.approx([float(found.total) for found in decision.plans[:1]], abs=NEAR)
    assert reason_of(answer) == decision.reason
    assert relaxed_by(answer) == decision.relaxed
    if answer.effort.exact and not on_a_rounding_edge(decision.plans):
        assert same_ranking(plans_of(answer), decision.plans[: question.request.limit])


@given(evenings())
def test_what_was_asked_before_changes_no_answer(evening: list[Question]) -> None:
    planner = Planner(evening[0].floor, evening[0].policy)
    for question in evening:
        decision = decided(question)
        answer = planner.answer(question.request)
        assert reason_of(answer) == decision.reason
        assert relaxed_by(answer) == decision.relaxed
        if not on_a_rounding_edge(decision.plans):
            assert same_ranking(plans_of(answer), decision.plans[: question.request.limit])


# The questions themselves


def test_the_drawn_questions_meet_every_reason_relaxation_and_number_of_tables() -> None:
    seen: Counter[object] = Counter()

    def count(question: Question) -> None:
        decision = decide(question.floor, question.policy, question.request)
        answer = answered(question)
        seen[reason_of(answer)] += 1
        seen[relaxed_by(answer), bool(plans_of(answer))] += 1
        seen["taken table of the zone"] += any(
            found.tables[0].zone_id == table.zone_id and question.request.occupied >> index & 1
            for found in decision.plans[:1]
            for index, table in enumerate(question.floor.tables)
        )
        seen["penalty"] += any(found.future_conflict for found in decision.plans)
        seen["tie of sets"] += len(decision.plans) > 1 and decision.plans[0].total == decision.plans[1].total
        for found in decision.plans[:1]:
            seen["tables", len(found.tables)] += 1
            seen["cost", found.adjacency_cost] += 1

    kinds = (mixed_questions(), questions_that_relax(), questions_while_others_wait(), questions_about_long_sets())
    for strategy in kinds:
        # the seed alone decides: CI's profile would draw by the text of this test and never look at it
        sample = settings(
            max_examples=400,
            database=None,
            deadline=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
        )
        seed(20251106)(sample(given(strategy)(count)))()

    print(seen)
    adjacency, min_party, overage = (
        frozenset({each}) for each in (Relaxation.ADJACENCY, Relaxation.MIN_PARTY, Relaxation.OVERAGE)
    )
    at_least: dict[object, int] = {
        None: 300,
        (frozenset(), True): 200,
        (adjacency, True): 20,
        (min_party, True): 20,
        (adjacency | min_party, True): 2,
        (overage, True): 5,
        "taken table of the zone": 50,
        "penalty": 30,
        "tie of sets": 100,
        **{("tables", number): least for number, least in ((1, 100), (2, 100), (3, 30), (4, 10), (5, 3))},
        **{("cost", steps): least for steps, least in ((1, 100), (2, 20), (3, 5))},
    }
    at_least.update(dict.fromkeys(REASONS, 10))
    assert {what: seen[what] for what, least in at_least.items() if seen[what] < least} == {}
