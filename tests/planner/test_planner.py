"""What holds for every answer, and the ways in which sets are found without being listed."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maitred.errors import InvalidInput
from maitred.model.floor import Floor, Mobility, Table
from maitred.model.reason import ReasonCode
from maitred.model.scoring import AdjacencyMode, Relaxation, ScoringPolicy, Weights
from maitred.planner.answer import Answer, Plan, Ranked, Refused, Request, Upcoming
from maitred.planner.planner import Planner
from tests.planner.strategies import Question, questions

fewer = settings(max_examples=settings().max_examples // 3)  # rules that the brute force covers from another side


def known(question: Question) -> Question:
    """Only questions about a zone that the floor has."""
    assume(question.request.zone_id is None or question.request.zone_id in question.floor.zones)
    return question


def row(count: int, capacity: int = 2, zone_id: int = 1) -> tuple[Table, ...]:
    return tuple(Table(index, f"T{index}", zone_id, capacity) for index in range(1, count + 1))


def path(count: int) -> frozenset[tuple[int, int]]:
    return frozenset((index, index + 1) for index in range(1, count))


def clique(count: int) -> frozenset[tuple[int, int]]:
    return frozenset(combinations(range(1, count + 1), 2))


def ranked(answer: Answer) -> Ranked:
    assert isinstance(answer, Ranked), answer
    return answer


def ids(answer: Answer) -> list[tuple[int, ...]]:
    return [plan.table_ids for plan in ranked(answer).plans]


def tie_key(planner: Planner, plan: Plan) -> tuple[object, ...]:
    tables = [planner.floor.tables[planner.layout.index_of[table_id]] for table_id in plan.table_ids]
    largest = max(table.capacity for table in tables)
    members = tuple(planner.layout.index_of[table_id] for table_id in plan.table_ids)
    size = len(tables)
    return plan.score.total, plan.overage, size, plan.capacity, plan.capacity - largest, plan.adjacency_cost, members


# What holds for every answer


@given(questions().map(known))
def test_plans_are_sorted_distinct_and_free_and_their_terms_sum_to_the_total(question: Question) -> None:
    planner = Planner(question.floor, question.policy)
    answer = planner.answer(question.request)
    if isinstance(answer, Refused):
        return
    assert 1 <= len(answer.plans) <= question.request.limit
    assert answer.best is answer.plans[0]
    keys = [tie_key(planner, plan) for plan in answer.plans]
    assert keys == sorted(keys)
    assert len({plan.mask for plan in answer.plans}) == len(answer.plans)
    for plan in answer.plans:
        assert not plan.mask & question.request.occupied
        assert planner.mask_of(plan.table_ids) == plan.mask
        assert planner.ids_of(plan.mask) == plan.table_ids
        assert plan.overage == plan.capacity - question.request.party >= 0
        assert plan.score.total == round(math.fsum(plan.score.terms().values()), 6)


@fewer
@given(questions().map(known), st.randoms(use_true_random=False))
def test_the_order_in_which_the_floor_is_given_changes_nothing(question: Question, random: Random) -> None:
    shuffled = list(question.floor.tables)
    random.shuffle(shuffled)
    edges = frozenset((b, a) for a, b in question.floor.adjacency)
    other = replace(question.floor, tables=tuple(shuffled), adjacency=edges)
    answer = Planner(question.floor, question.policy).answer(question.request)
    assert Planner(other, question.policy).answer(question.request) == answer


@fewer
@given(questions().map(known), st.lists(st.integers(1, 12), max_size=6))
def test_the_same_question_has_the_same_answer_whatever_was_asked_between(
    question: Question, parties: list[int]
) -> None:
    planner = Planner(question.floor, question.policy, kept_candidates=20)
    first = planner.answer(question.request)
    for party in parties:
        planner.answer(replace(question.request, party=party))
    assert planner.answer(question.request) == first


@fewer
@given(questions().map(known), st.integers(1, 5))
def test_fewer_plans_are_the_head_of_more(question: Question, limit: int) -> None:
    planner = Planner(question.floor, question.policy)
    more = planner.answer(replace(question.request, limit=20))
    fewer = planner.answer(replace(question.request, limit=limit))
    if isinstance(more, Ranked):
        assert ranked(fewer).plans == more.plans[:limit]
    else:
        assert fewer == more


@fewer
@given(questions().map(known))
def test_tables_to_avoid_and_another_zone_are_like_taken_ones_but_for_the_reason(question: Question) -> None:
    planner = Planner(question.floor, question.policy)
    request = replace(question.request, upcoming=())
    zone_id = request.zone_id
    outside = [table.id for table in question.floor.tables if zone_id is not None and table.zone_id != zone_id]
    taken = request.occupied | planner.mask_of(request.avoid) | planner.mask_of(outside)
    narrowed = planner.answer(request)
    crowded = planner.answer(replace(request, zone_id=None, avoid=frozenset(), occupied=taken))
    if isinstance(narrowed, Ranked):
        assert narrowed == crowded
    else:
        assert isinstance(crowded, Refused)


# Sets that are not listed


@given(questions().map(known), st.sampled_from((0, 20)), st.sampled_from((0, 20, 10**6)))
def test_sets_drawn_by_kind_give_the_ranking_that_listing_gives(
    question: Question, enumeration_limit: int, sets_limit: int
) -> None:
    listing = Planner(question.floor, question.policy, enumeration_limit=10**6, sets_limit=10**6)
    drawing = Planner(
        question.floor, question.policy, enumeration_limit=enumeration_limit, sets_limit=sets_limit, draws_limit=10**6
    )
    expected = listing.answer(question.request)
    answer = drawing.answer(question.request)
    assert expected.effort.exact
    assert answer.effort.exact
    if isinstance(expected, Ranked):
        assert ranked(answer).plans == expected.plans
        assert ranked(answer).relaxed == expected.relaxed
    else:
        assert isinstance(answer, Refused)
        assert answer.reason == expected.reason


@pytest.mark.parametrize("mode", list(AdjacencyMode))
def test_a_zone_where_all_touch_all_is_answered_exactly(mode: AdjacencyMode) -> None:
    planner = Planner(Floor(1, row(50), clique(50)), ScoringPolicy(max_tables=5, adjacency_mode=mode))
    answer = ranked(planner.answer(Request(10, occupied=planner.mask_of([2]), limit=2)))
    assert [plan.table_ids for plan in answer.plans] == [(1, 3, 4, 5, 6), (1, 3, 4, 5, 7)]
    assert answer.best.adjacency_cost == 1
    assert answer.effort.exact
    assert planner.answer(Request(11)) == Refused(ReasonCode.MAX_TABLES, planner.answer(Request(11)).effort)


def test_a_zone_where_all_but_two_touch_is_answered_exactly_without_listing_its_sets() -> None:
    floor = Floor(1, row(50), clique(50) - {(1, 2)})
    answers = {
        mode: ranked(
            Planner(floor, ScoringPolicy(max_tables=5, adjacency_mode=mode), sets_limit=2_000).answer(Request(10))
        )
        for mode in AdjacencyMode
    }
    assert all(answer.effort.exact for answer in answers.values())
    assert answers[AdjacencyMode.CONNECTED].best.table_ids == (1, 2, 3, 4, 5)
    assert answers[AdjacencyMode.NEIGHBORS].best.table_ids == (1, 2, 3, 4, 5)
    assert answers[AdjacencyMode.PAIRWISE].best.table_ids == (1, 3, 4, 5, 6)


def test_tables_that_touch_stay_preferred_when_they_need_not() -> None:
    planner = Planner(
        Floor(1, row(60), path(60)), ScoringPolicy(max_tables=4, adjacency_from_party=None), enumeration_limit=0
    )
    odd = planner.mask_of(range(1, 61, 2))
    touching = ranked(planner.answer(Request(8, limit=1)))
    assert (touching.best.table_ids, touching.best.adjacency_cost) == ((1, 2, 3, 4), 2)
    scattered = ranked(planner.answer(Request(8, occupied=odd, limit=2)))
    assert [plan.table_ids for plan in scattered.plans] == [(2, 4, 6, 8), (2, 4, 6, 10)]
    assert scattered.best.adjacency_cost == 4
    assert scattered.effort.exact


def test_a_search_cut_short_never_passes_for_a_proof() -> None:
    # Three twos in a row seat six; only single tables are listed, and the second draw is one too many.
    floor = Floor(1, row(6), frozenset({(1, 6), (5, 6)}))
    policy = ScoringPolicy(max_tables=3)
    whole = Planner(floor, policy, sets_limit=6)
    assert ids(whole.answer(Request(6))) == [(1, 5, 6)]
    assert whole.answer(Request(6)).effort.exact
    cut = Planner(floor, policy, sets_limit=6, draws_limit=2)
    answer = cut.answer(Request(6))
    assert isinstance(answer, Refused)
    assert not answer.effort.exact
    assert cut.answer(Request(2, limit=1)).effort.exact  # nothing had to be drawn


def test_recipes_beyond_their_limit_are_owned_up_to() -> None:
    tables = tuple(Table(index, f"T{index}", 1, index) for index in range(1, 9))
    planner = Planner(Floor(1, tables), ScoringPolicy(), enumeration_limit=0, recipes_limit=2)
    assert planner.answer(Request(12)).effort.exact
    assert not planner.answer(Request(12, require_adjacency=False)).effort.exact


def test_a_zone_without_unlisted_sets_is_answered_exactly_beside_one_that_has_them() -> None:
    crowded = row(40)
    quiet = tuple(Table(index, f"Q{index}", 2, 2) for index in (101, 102))
    floor = Floor(1, crowded + quiet, clique(40) | {(101, 102)})
    planner = Planner(floor, ScoringPolicy(), enumeration_limit=10, draws_limit=0)
    assert not planner.answer(Request(4)).effort.exact
    quiet_only = planner.answer(Request(4, zone_id=2))
    assert ids(quiet_only) == [(101, 102)]
    assert quiet_only.effort.exact


# Look-ahead and relaxations


def test_a_plan_pays_for_each_waiting_booking_it_leaves_without_tables() -> None:
    tables = (Table(1, "T1", 1, 4), Table(2, "T2", 1, 4), Table(3, "T3", 1, 6))
    planner = Planner(Floor(1, tables), ScoringPolicy(weights=Weights(scarcity=0)))
    waiting = Upcoming(party=4, occupied=planner.mask_of([2, 3]))
    hopeless = Upcoming(party=9, occupied=0)
    answer = ranked(planner.answer(Request(4, upcoming=(waiting, waiting, hopeless))))
    assert [(plan.table_ids, plan.score.future_conflict) for plan in answer.plans] == [
        ((2,), 0.0),
        ((3,), 0.0),
        ((1,), 1000.0),
    ]
    assert answer.plans[2].score.total == 1000.0


def test_when_the_lookahead_drops_everything_the_room_counts_as_taken() -> None:
    policy = ScoringPolicy(lookahead_limit=499.0)
    planner = Planner(Floor(1, row(1, 4)), policy)
    answer = planner.answer(Request(4, upcoming=(Upcoming(4, 0),)))
    assert isinstance(answer, Refused)
    assert answer.reason is ReasonCode.NO_CAPACITY


def test_the_ladder_takes_the_first_step_that_gives_a_plan() -> None:
    tables = (Table(1, "T1", 1, 2), Table(2, "T2", 1, 2), Table(3, "T3", 1, 4, min_party_size=4), Table(4, "T4", 1, 9))
    planner = Planner(Floor(1, tables), ScoringPolicy(allowed=frozenset(Relaxation)))
    party = Request(3)
    steps = [
        ([], {Relaxation.ADJACENCY}, (1, 2)),
        ([1], {Relaxation.MIN_PARTY}, (3,)),
        ([1, 3], {Relaxation.OVERAGE}, (4,)),
    ]
    for taken, relaxed, best in steps:
        answer = ranked(planner.answer(replace(party, occupied=planner.mask_of(taken))))
        assert (answer.relaxed, answer.best.table_ids) == (frozenset(relaxed), best)
    asked = ranked(planner.answer(replace(party, require_adjacency=True)))
    assert (asked.relaxed, asked.best.table_ids) == (frozenset({Relaxation.MIN_PARTY}), (3,))


def test_a_fixed_table_joins_no_other() -> None:
    tables = (*row(1), Table(2, "T2", 1, 2, mobility=Mobility.FIXED))
    answer = Planner(Floor(1, tables, path(2)), ScoringPolicy()).answer(Request(4))
    assert isinstance(answer, Refused)
    assert answer.reason is ReasonCode.NO_SUITABLE_TABLES


# Bounds and questions without sense


def test_the_rankings_kept_are_bounded() -> None:
    planner = Planner(Floor(1, row(30), path(30)), ScoringPolicy(), kept_candidates=300)
    for party in range(1, 9):
        for percent in range(80, 140):
            planner.answer(Request(party, demand_multiplier=percent / 100))
            assert planner.kept_candidates <= 300


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"party": 0}, "party"),
        ({"limit": 0}, "limit"),
        ({"max_tables": 0}, "max_tables"),
        ({"max_tables": 6}, "max_tables"),
        ({"demand_multiplier": -0.1}, "demand_multiplier"),
        ({"demand_multiplier": math.inf}, "demand_multiplier"),
        ({"demand_multiplier": math.nan}, "demand_multiplier"),
        ({"zone_id": 9}, "zone_id"),
        ({"avoid": frozenset({9})}, "avoid"),
        ({"occupied": 1 << 3}, "occupied"),
        ({"occupied": -1}, "occupied"),
        ({"upcoming": (Upcoming(0, 0),)}, "upcoming.party"),
        ({"upcoming": (Upcoming(1, 1 << 3),)}, "upcoming.occupied"),
    ],
)
def test_a_question_without_sense_names_its_field(changes: dict[str, object], field: str) -> None:
    planner = Planner(Floor(1, row(3)), ScoringPolicy())
    with pytest.raises(InvalidInput) as raised:
        planner.answer(replace(Request(2), **changes))  # type: ignore[arg-type] # one field of any type
    assert raised.value.field == field


def test_a_mask_of_an_unknown_table_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no table with id 9"):
        Planner(Floor(1, row(3)), ScoringPolicy()).mask_of([1, 9])
