"""The planner and the brute force must agree about every small floor: on feasibility, order, terms and reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, permutations

import pytest
from hypothesis import HealthCheck, assume, event, given, seed, settings

from maitred.model.floor import Floor, Mobility, Table, TableStatus
from maitred.model.reason import ReasonCode
from maitred.model.scoring import AdjacencyMode, Relaxation, ScoringPolicy, Weights
from maitred.planner.answer import Answer, Plan, Ranked, Refused, Request, Upcoming
from maitred.planner.planner import Planner
from tests.planner.brute_force import Decision, Found, decide, on_a_rounding_edge, reading_order
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

NEAR = 1e-6
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


def plans_of(answer: Answer) -> Sequence[Plan]:
    return answer.plans if isinstance(answer, Ranked) else ()


def reason_of(answer: Answer) -> ReasonCode | None:
    return answer.reason if isinstance(answer, Refused) else None


def relaxed_by(answer: Answer) -> frozenset[Relaxation]:
    return answer.relaxed if isinstance(answer, Ranked) else frozenset()


def same_ranking(plans: Sequence[Plan], found: Sequence[Found]) -> bool:
    """Whether both have the same sets in the same places, with the same totals."""
    return [frozenset(plan.table_ids) for plan in plans] == [frozenset(each.ids) for each in found] and all(
        abs(plan.score.total - each.total) <= NEAR for plan, each in zip(plans, found, strict=True)
    )


# The rules, on any small floor


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
def test_without_a_catalogue_feasibility_and_best_score_are_the_same(question: Question) -> None:
    decision = decided(question)
    answer = answered_without_catalogue(question)
    best = [plan.score.total for plan in plans_of(answer)[:1]]
    assert best == pytest.approx([float(found.total) for found in decision.plans[:1]], abs=NEAR)
    assert reason_of(answer) == decision.reason
    assert relaxed_by(answer) == decision.relaxed


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
        sample = settings(max_examples=250, database=None, deadline=None, suppress_health_check=list(HealthCheck))
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


# Worked by hand


def demo_floor() -> Floor:
    """The demo's sixteen tables: in each of two zones, twos and fours, all of a zone touching all."""
    twos = {"D1-T01", "D1-T02", "D1-T03", "D2-T07", "D2-T08"}
    numbers = [f"D{zone}-T{place:02}" for zone in (1, 2) for place in range(1, 9)]
    tables = tuple(
        Table(
            id=index,
            number=number,
            zone_id=int(number[1]),
            capacity=2 if number in twos else 4,
            min_party_size=1 if number in twos else 2,
            max_party_size=2 if number in twos else 4,
        )
        for index, number in enumerate(numbers)
    )
    edges = frozenset((one.id, other.id) for one, other in combinations(tables, 2) if one.zone_id == other.zone_id)
    return Floor(version=1, tables=tables, adjacency=edges, zones={1: "Dining 1", 2: "Dining 2", 3: "Terrace"})


def row_of_twos(edges: int) -> Floor:
    """Four tables for two; the first `edges` neighbours in the row touch."""
    tables = tuple(Table(id=index, number=f"T{index}", zone_id=1, capacity=2) for index in range(1, 5))
    return Floor(version=1, tables=tables, adjacency=frozenset((at, at + 1) for at in range(1, edges + 1)))


DEFAULTS = ScoringPolicy()
FOUR_TABLES = ScoringPolicy(max_tables=4)
NEVER_ADJACENT = ScoringPolicy(adjacency_from_party=None)
ONE_FOUR_ONE_SIX = Floor(
    version=1, tables=(Table(id=1, number="A", zone_id=1, capacity=4), Table(id=2, number="B", zone_id=1, capacity=6))
)

BY_HAND = [
    # The five twos tie: no seat over, scarcity 1/5 * 22 = 4.4. The lowest number is first.
    (demo_floor(), DEFAULTS, Request(party=2), ("D1-T01",), 4.4),
    # With all twos taken a four: 2 seats over * 5 = 10, scarcity 1/11 * 22 = 2.
    (demo_floor(), DEFAULTS, Request(party=2, occupied=0b1100_0000_0000_0111), ("D1-T04",), 12.0),
    # A two and a four: combination (1 * 3 + 1 step * 1) * (1 + (1/5 + 1/11) / 2) = 4 * 126/110 = 4.581818;
    # fragmentation (6 - 4) * 2 = 4; scarcity 16/55 * 22 = 6.4.
    (demo_floor(), DEFAULTS, Request(party=6), ("D1-T01", "D1-T04"), 14.981818),
    # Two fours on a Friday night: 1 seat over * 5 * 1.35 = 6.75; combination 4 * (1 + 2/11 / 2) = 48/11 = 4.363636;
    # fragmentation 4 * 2 = 8; scarcity 2/11 * 22 = 4.
    (demo_floor(), DEFAULTS, Request(party=7, demand_multiplier=1.35), ("D1-T04", "D1-T05"), 23.113636),
    # Three fours: combination (2 * 3 + 1) * (1 + 3/11 / 3) = 84/11 = 7.636364; fragmentation 8 * 2 = 16; scarcity 6.
    (demo_floor(), DEFAULTS, Request(party=12), ("D1-T04", "D1-T05", "D1-T06"), 29.636364),
    # Four in a row: the radius is 2 (from the second), not 3 (from the first). Combination (3 * 3 + 2) * (1 + 1/4)
    # = 13.75; fragmentation 6 * 2 = 12; scarcity 4/4 * 22 = 22.
    (row_of_twos(3), FOUR_TABLES, Request(party=8), ("T1", "T2", "T3", "T4"), 47.75),
    # Two that need not touch and don't: cost 2, the number of tables. Combination (3 + 2) * (1 + 1/4) = 6.25;
    # fragmentation 2 * 2 = 4; scarcity 2/4 * 22 = 11.
    (row_of_twos(0), NEVER_ADJACENT, Request(party=4), ("T1", "T2"), 21.25),
    # Two that need not touch but do (1 and 2 are taken, 3 and 4 touch): combination (3 + 1) * 1.25 = 5.
    (row_of_twos(3), NEVER_ADJACENT, Request(party=4, occupied=0b0011), ("T3", "T4"), 20.0),
    # A would be 0 + 22, but is all that a waiting four can get: + 500. B: 2 over * 5 = 10, scarcity 22.
    (ONE_FOUR_ONE_SIX, DEFAULTS, Request(party=4, upcoming=(Upcoming(4, 0b10),)), ("B",), 32.0),
    # The same with A alone left for both: there is nothing better than the penalty.
    (ONE_FOUR_ONE_SIX, DEFAULTS, Request(party=4, occupied=0b10, upcoming=(Upcoming(4, 0b10),)), ("A",), 522.0),
]


@pytest.mark.parametrize(("floor", "policy", "request_", "numbers", "total"), BY_HAND)
def test_the_brute_force_gets_what_was_worked_out_by_hand(
    floor: Floor, policy: ScoringPolicy, request_: Request, numbers: tuple[str, ...], total: float
) -> None:
    best = decide(floor, policy, request_).plans[0]
    assert tuple(table.number for table in best.tables) == numbers
    assert float(best.total) == total


@pytest.mark.parametrize(("floor", "policy", "request_", "numbers", "total"), BY_HAND)
def test_the_planner_gets_what_was_worked_out_by_hand(
    floor: Floor, policy: ScoringPolicy, request_: Request, numbers: tuple[str, ...], total: float
) -> None:
    best = plans_of(Planner(floor, policy).answer(request_))[0]
    assert best.numbers == numbers
    assert best.score.total == pytest.approx(total, abs=NEAR)


# 54 seats, 26 and 28 in the zones, none yet on the terrace; no three tables hold more than 12.
@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request(party=2, zone_id=3), ReasonCode.NO_TABLES),
        (Request(party=55), ReasonCode.GLOBAL_CAPACITY),
        (Request(party=27, zone_id=1), ReasonCode.GLOBAL_CAPACITY),
        (Request(party=29), ReasonCode.INSUFFICIENT_CAPACITY),
        (Request(party=13), ReasonCode.MAX_TABLES),
        (Request(party=5, max_tables=1), ReasonCode.MAX_TABLES),
        (Request(party=12, occupied=(1 << 16) - 1), ReasonCode.NO_CAPACITY),
    ],
)
def test_reasons_worked_out_by_hand(request_: Request, reason: ReasonCode) -> None:
    assert decide(demo_floor(), DEFAULTS, request_).reason is reason
    assert reason_of(Planner(demo_floor(), DEFAULTS).answer(request_)) is reason


def test_tables_that_fit_but_may_not_be_joined_are_no_suitable_tables() -> None:
    fixed = tuple(
        Table(id=index, number=f"T{index}", zone_id=1, capacity=2, mobility=Mobility.FIXED) for index in (1, 2)
    )
    floor = Floor(version=1, tables=fixed, adjacency=frozenset({(1, 2)}))
    assert decide(floor, DEFAULTS, Request(party=4)).reason is ReasonCode.NO_SUITABLE_TABLES
    assert reason_of(Planner(floor, DEFAULTS).answer(Request(party=4))) is ReasonCode.NO_SUITABLE_TABLES


def test_numbers_are_compared_as_people_read_them() -> None:
    numbers = ["T10", "t2", "T1", "a10", "A9", "12", "3", "D1-T10", "D1-T9"]
    tables = [Table(id=index, number=number, zone_id=1, capacity=2) for index, number in enumerate(numbers)]
    read = [table.number for table in sorted(tables, key=reading_order)]
    assert read == ["3", "12", "A9", "a10", "D1-T9", "D1-T10", "T1", "t2", "T10"]
    assert [table.number for table in Floor(version=1, tables=tuple(tables)).tables] == read


NO_WEIGHTS = Weights(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("enumeration_limit", [None, 0])
@pytest.mark.parametrize("edges", ["all", "row", "none"])
def test_ties_are_broken_in_the_order_of_the_rules(edges: str, enumeration_limit: int | None) -> None:
    """Without weights every set ties, and the whole ranking is made of tie breaks."""
    capacities = (1, 4, 1, 6, 2, 3, 4)
    tables = tuple(
        Table(id=index, number=f"T{index}", zone_id=1, capacity=capacity) for index, capacity in enumerate(capacities)
    )
    pairs = [(one, other) for one, other in combinations(range(7), 2) if edges == "all" or other == one + 1]
    floor = Floor(version=1, tables=tables, adjacency=frozenset(pairs) if edges != "none" else frozenset())
    policy = ScoringPolicy(weights=NO_WEIGHTS, max_overage=3, max_tables=4, adjacency_from_party=None)
    planner = (
        Planner(floor, policy)
        if enumeration_limit is None
        else Planner(floor, policy, enumeration_limit=enumeration_limit)
    )
    for party in range(1, 18):
        request = Request(party=party, limit=100)
        assert same_ranking(plans_of(planner.answer(request)), decide(floor, policy, request).plans[:100])


def test_a_plan_dropped_for_those_who_wait_makes_room_for_a_relaxed_one() -> None:
    """A alone fits exactly, but a waiting four can have nothing else; B has 2 seats more than allowed."""
    policy = ScoringPolicy(max_overage=0, allowed=frozenset({Relaxation.OVERAGE}), lookahead_limit=0)
    request = Request(party=4, upcoming=(Upcoming(4, 0b10),))
    decision = decide(ONE_FOUR_ONE_SIX, policy, request)
    assert [table.number for table in decision.plans[0].tables] == ["B"]
    answer = Planner(ONE_FOUR_ONE_SIX, policy).answer(request)
    assert relaxed_by(answer) == decision.relaxed == {Relaxation.OVERAGE}
    assert same_ranking(plans_of(answer), decision.plans)


def test_when_all_plans_are_dropped_for_those_who_wait_the_reason_is_no_capacity() -> None:
    policy = ScoringPolicy(max_overage=0, lookahead_limit=0)
    request = Request(party=4, upcoming=(Upcoming(4, 0b10),))
    assert decide(ONE_FOUR_ONE_SIX, policy, request).reason is ReasonCode.NO_CAPACITY
    assert reason_of(Planner(ONE_FOUR_ONE_SIX, policy).answer(request)) is ReasonCode.NO_CAPACITY


def test_when_only_a_relaxed_set_would_fit_an_empty_room_the_reason_is_no_capacity() -> None:
    """The table for four would be given to two if it were free: that is no lack of suitable tables."""
    table = Table(id=1, number="A", zone_id=1, capacity=4, min_party_size=3)
    floor = Floor(version=1, tables=(table,))
    taken = Request(party=2, occupied=1)
    strict = ScoringPolicy()
    relaxed = ScoringPolicy(allowed=frozenset({Relaxation.MIN_PARTY}))
    for policy, reason in ((strict, ReasonCode.NO_SUITABLE_TABLES), (relaxed, ReasonCode.NO_CAPACITY)):
        assert decide(floor, policy, taken).reason is reason
        assert reason_of(Planner(floor, policy).answer(taken)) is reason


# What the original's search got wrong


@pytest.mark.parametrize("max_tables", [2, 3, 5])
def test_a_set_to_which_nothing_can_be_added_is_still_an_answer(max_tables: int) -> None:
    """The original gave a branch up when no neighbour was left to add, even when it held enough seats by then."""
    tables = tuple(Table(id=index, number=f"T{index}", zone_id=1, capacity=4) for index in range(1, 6))
    # 1-2 touch only each other; 3 touches only 4 and 5, which are taken.
    floor = Floor(version=1, tables=tables, adjacency=frozenset({(1, 2), (3, 4), (3, 5)}))
    policy = ScoringPolicy(max_tables=max_tables)
    pair = Planner(floor, policy).answer(Request(party=8, occupied=0b11000))
    assert [plan.numbers for plan in plans_of(pair)] == [("T1", "T2")]
    alone = Planner(floor, policy).answer(Request(party=4, occupied=0b11011))
    assert [plan.numbers for plan in plans_of(alone)] == [("T3",)]


@pytest.mark.parametrize("capacities", list(permutations((2, 3, 5, 7))))
@pytest.mark.parametrize("mode", list(AdjacencyMode))
def test_no_set_is_skipped_whatever_the_order_of_capacities_and_numbers(
    capacities: tuple[int, ...], mode: AdjacencyMode
) -> None:
    """The original sorted its seeds by capacity and walked on by index in another order."""
    tables = tuple(
        Table(id=index, number=f"T{index}", zone_id=1, capacity=capacity) for index, capacity in enumerate(capacities)
    )
    floor = Floor(version=1, tables=tables, adjacency=frozenset({(0, 1), (1, 2), (2, 3), (0, 2)}))
    policy = ScoringPolicy(max_tables=4, max_overage=6, adjacency_mode=mode)
    planner = Planner(floor, policy)
    for party in range(1, 18):
        request = Request(party=party, limit=50)
        assert same_ranking(plans_of(planner.answer(request)), decide(floor, policy, request).plans)


def hall(free_at_the_end: int) -> tuple[Floor, int]:
    """Ninety tables in a grid of ten columns, of one seat each but for three of six at the end; and a mask that
    leaves only the last ones free."""
    capacities = [1] * 87 + [6] * 3
    tables = tuple(
        Table(id=index, number=f"T{index}", zone_id=1, capacity=capacity) for index, capacity in enumerate(capacities)
    )
    edges = {(at, at + 1) for at in range(89) if at % 10 != 9} | {(at, at + 10) for at in range(80)}
    return Floor(version=1, tables=tables, adjacency=frozenset(edges)), (1 << (90 - free_at_the_end)) - 1


@pytest.mark.parametrize("require_adjacency", [True, False])
@pytest.mark.parametrize("max_tables", [3, 5])
@pytest.mark.parametrize("free_at_the_end", [3, 12, 90])
def test_a_large_floor_hides_nothing(require_adjacency: bool, max_tables: int, free_at_the_end: int) -> None:
    """The original's search ended silently at a budget, and what it had not reached it called impossible."""
    floor, taken = hall(free_at_the_end)
    policy = ScoringPolicy(max_tables=max_tables, max_overage=0)
    planner = Planner(floor, policy)
    # 18 seats take the three sixes: anything else of five tables holds at most 6 + 6 + 3.
    found = planner.answer(Request(party=18, occupied=taken, require_adjacency=require_adjacency))
    assert [plan.numbers for plan in plans_of(found)] == [("T87", "T88", "T89")]
    assert found.effort.exact
    # Three sixes are one seat too many, and two of them with three singles hold only 15.
    none = planner.answer(Request(party=17, occupied=taken, require_adjacency=require_adjacency))
    assert reason_of(none) is ReasonCode.NO_SUITABLE_TABLES
    assert none.effort.exact


def test_a_table_out_of_service_or_inactive_is_not_there() -> None:
    tables = (
        Table(id=1, number="T1", zone_id=1, capacity=4, status=TableStatus.OUT_OF_SERVICE),
        Table(id=2, number="T2", zone_id=1, capacity=4, active=False),
    )
    floor = Floor(version=1, tables=tables)
    assert decide(floor, DEFAULTS, Request(party=4)).reason is ReasonCode.NO_TABLES
    assert reason_of(Planner(floor, DEFAULTS).answer(Request(party=4))) is ReasonCode.NO_TABLES
