"""Floors small enough to work out on paper: what the rules say, what the brute force and the planner make of it.

The last part is what the original's search got wrong: it missed tables that were free on up to 3% of its quotes.
"""

from __future__ import annotations

from itertools import combinations, permutations

import pytest

from maitred.model.floor import Floor, Mobility, Table, TableStatus
from maitred.model.reason import ReasonCode
from maitred.model.scoring import AdjacencyMode, Relaxation, ScoringPolicy, Weights
from maitred.planner.answer import Request, Upcoming
from maitred.planner.planner import Planner
from tests.planner.brute_force import decide, reading_order
from tests.planner.comparison import NEAR, plans_of, reason_of, relaxed_by, same_ranking


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


def test_a_table_out_of_service_or_inactive_is_not_there() -> None:
    tables = (
        Table(id=1, number="T1", zone_id=1, capacity=4, status=TableStatus.OUT_OF_SERVICE),
        Table(id=2, number="T2", zone_id=1, capacity=4, active=False),
    )
    floor = Floor(version=1, tables=tables)
    assert decide(floor, DEFAULTS, Request(party=4)).reason is ReasonCode.NO_TABLES
    assert reason_of(Planner(floor, DEFAULTS).answer(Request(party=4))) is ReasonCode.NO_TABLES


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


def floor_of(*tables: Table, touching: tuple[tuple[int, int], ...] = ()) -> Floor:
    return Floor(version=1, tables=tables, adjacency=frozenset(touching))


TWO_APART = (Table(id=1, number="T1", zone_id=1, capacity=2), Table(id=2, number="T2", zone_id=1, capacity=2))
TWO_APART_FOR_MANY = (
    Table(id=1, number="T1", zone_id=1, capacity=2, min_party_size=5),
    Table(id=2, number="T2", zone_id=1, capacity=2, min_party_size=5),
)
FOUR_FOR_MANY = Table(id=3, number="T3", zone_id=1, capacity=4, min_party_size=5)
NINE = Table(id=4, number="T4", zone_id=1, capacity=9)


@pytest.mark.parametrize(
    ("tables", "require_adjacency", "gave_way"),
    [
        ((*TWO_APART, FOUR_FOR_MANY, NINE), None, {Relaxation.ADJACENCY}),
        ((*TWO_APART, FOUR_FOR_MANY, NINE), True, {Relaxation.MIN_PARTY}),
        ((*TWO_APART_FOR_MANY, FOUR_FOR_MANY, NINE), None, {Relaxation.MIN_PARTY}),
        ((*TWO_APART_FOR_MANY, NINE), None, {Relaxation.ADJACENCY, Relaxation.MIN_PARTY}),
        ((*TWO_APART_FOR_MANY, NINE), True, {Relaxation.OVERAGE}),
        ((*TWO_APART, NINE), False, set()),
    ],
)
def test_what_may_give_way_does_so_in_the_ladders_order(
    tables: tuple[Table, ...], require_adjacency: bool | None, gave_way: set[Relaxation]
) -> None:
    policy = ScoringPolicy(allowed=frozenset(Relaxation))
    request = Request(party=4, require_adjacency=require_adjacency)
    decision = decide(floor_of(*tables), policy, request)
    answer = Planner(floor_of(*tables), policy).answer(request)
    assert relaxed_by(answer) == decision.relaxed == gave_way
    assert same_ranking(plans_of(answer), decision.plans)


FOURS = tuple(Table(id=index, number=f"T{index}", zone_id=1, capacity=4) for index in (1, 2, 3))
IN_ANOTHER_ZONE = Table(id=4, number="T4", zone_id=2, capacity=4)


@pytest.mark.parametrize(
    ("floor", "request_", "best", "penalty"),
    [
        # The eight who wait need T1 and T2 joined; that this party may have one table only is not their concern.
        (floor_of(*FOURS, touching=((1, 2),)), Request(4, 0, 1, upcoming=(Upcoming(8, 0b100),)), "T3", 0),
        (floor_of(*FOURS, touching=((1, 2),)), Request(4, 0b100, 1, upcoming=(Upcoming(8, 0b100),)), "T1", 500),
        # The eight could never have T1 and T2: they don't touch. That this party's needn't changes nothing for them.
        (floor_of(*FOURS[:2]), Request(4, require_adjacency=False, upcoming=(Upcoming(8, 0),)), "T1", 0),
        # The four can still have the other zone's table, or the one to be avoided.
        (floor_of(FOURS[0], IN_ANOTHER_ZONE), Request(4, zone_id=1, upcoming=(Upcoming(4, 0),)), "T1", 0),
        (floor_of(*FOURS[:2]), Request(4, avoid=frozenset({2}), upcoming=(Upcoming(4, 0),)), "T1", 0),
    ],
)
def test_who_waits_is_judged_by_the_policys_own_rules(
    floor: Floor, request_: Request, best: str, penalty: float
) -> None:
    expected = decide(floor, DEFAULTS, request_).plans
    assert [table.number for table in expected[0].tables] == [best]
    assert expected[0].future_conflict == penalty
    assert same_ranking(plans_of(Planner(floor, DEFAULTS).answer(request_)), expected)


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
    floor = floor_of(Table(id=1, number="A", zone_id=1, capacity=4, min_party_size=3))
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
    floor = Floor(version=1, tables=tables, adjacency=frozenset({(0, 1), (1, 2), (2, 3)}))
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
