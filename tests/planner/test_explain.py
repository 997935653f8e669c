"""Whatever is said to stand in a table's way does, and a table without an obstacle is in a plan."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from maitred.model.floor import Floor, Mobility, Table, TableFeature, TableStatus
from maitred.model.preferences import Preference, Preferences
from maitred.model.scoring import KeepLarge, ScoringPolicy
from maitred.planner.answer import Ranked, Request, Upcoming
from maitred.planner.explain import ObstacleCode, TableObstacle, explain_tables
from maitred.planner.planner import Planner
from tests.planner import brute_force
from tests.planner.strategies import Question, questions
from tests.planner.venue_strategies import questions_about_joins

STATIC = {ObstacleCode.MAX_PARTY, ObstacleCode.FIXED, ObstacleCode.NO_SET}
BY_ITSELF: dict[ObstacleCode, Callable[[Question, Table], bool]] = {
    ObstacleCode.INACTIVE: lambda _, table: not table.active,
    ObstacleCode.OUT_OF_SERVICE: lambda _, table: table.status is TableStatus.OUT_OF_SERVICE,
    ObstacleCode.OTHER_ZONE: lambda question, table: table.zone_id != question.request.zone_id,
    ObstacleCode.AVOIDED: lambda question, table: table.id in question.request.avoid,
    ObstacleCode.MIN_PARTY: lambda question, table: table.min_party_size > question.request.party,
    ObstacleCode.TOO_LARGE: lambda question, table: (
        table.capacity > question.request.party + question.policy.max_overage
    ),
}


@given(questions() | questions_about_joins(), st.sampled_from(((10**6, 10**6), (0, 10**6), (0, 0))))
def test_every_obstacle_is_true_and_every_table_without_one_is_in_a_plan(
    question: Question, limits: tuple[int, int]
) -> None:
    floor, policy, request = question.floor, question.policy, question.request
    assume(request.zone_id is None or request.zone_id in floor.zones)
    planner = Planner(floor, policy, enumeration_limit=limits[0], sets_limit=limits[1])
    answer = planner.answer(request)
    relaxed = answer.relaxed if isinstance(answer, Ranked) else brute_force.UNRELAXED
    in_plans = {table_id for plan in brute_force.ranked_plans(floor, policy, request, relaxed) for table_id in plan.ids}
    in_an_empty_room = [
        {table.id for table in tables}
        for tables in brute_force.candidates(
            floor,
            brute_force.eligible(floor, request, policy),
            policy,
            party=request.party,
            max_tables=brute_force.tables_at_most(policy, request),
            adjacency=brute_force.adjacency_required(policy, request),
            relaxed=relaxed,
        )
    ]
    taken = brute_force.ids_of(floor, request.occupied)
    obstacles = explain_tables(planner, request, {})
    assert [each.number for each in obstacles] == [table.number for table in floor.tables]
    for table, obstacle in zip(floor.tables, obstacles, strict=True):
        assert obstacle.code is not ObstacleCode.UNCLEAR
        assert obstacle.blocked == (table.id not in in_plans), obstacle
        sets = [ids for ids in in_an_empty_room if table.id in ids]
        if obstacle.code in BY_ITSELF:
            assert BY_ITSELF[obstacle.code](question, table), obstacle
        if obstacle.code in STATIC or obstacle.code in BY_ITSELF:
            assert not sets, obstacle
        if obstacle.code is ObstacleCode.MAX_PARTY:
            assert table.max_party_size is not None
            assert table.max_party_size < request.party <= table.capacity
        if obstacle.code in (ObstacleCode.FIXED, ObstacleCode.NO_SET):
            assert table.capacity < request.party
            assert (table.mobility is Mobility.FIXED) == (obstacle.code is ObstacleCode.FIXED)
        if obstacle.code is ObstacleCode.TAKEN:
            assert table.id in taken
        if obstacle.code is ObstacleCode.KEPT:
            assert any(not ids & taken for ids in sets), obstacle
        in_the_way = set(obstacle.in_the_way)
        assert bool(in_the_way) == (obstacle.code is ObstacleCode.SETS_TAKEN)
        if in_the_way:
            assert sets
            assert table.id not in taken
            assert in_the_way <= taken
            assert all(ids & in_the_way for ids in sets), obstacle


def floor_of(*tables: Table, edges: frozenset[tuple[int, int]] = frozenset()) -> Floor:
    return Floor(1, tables, edges, {1: "Main", 2: "Terrace"})


def of_number(obstacles: tuple[TableObstacle, ...], number: str) -> TableObstacle:
    return next(each for each in obstacles if each.number == number)


def test_each_obstacle_says_what_it_is() -> None:
    floor = floor_of(
        Table(1, "T1", 1, 4),
        Table(2, "T2", 1, 4, active=False),
        Table(3, "T3", 1, 4, status=TableStatus.OUT_OF_SERVICE),
        Table(4, "T4", 2, 4),
        Table(5, "T5", 1, 4),
        Table(6, "T6", 1, 6, min_party_size=5),
        Table(7, "T7", 1, 9),
        Table(8, "T8", 1, 2, mobility=Mobility.FIXED),
        Table(9, "T9", 1, 2),
        Table(10, "T10", 1, 4, max_party_size=3),
        Table(11, "T11", 1, 4),
        Table(12, "T12", 1, 2),
        Table(13, "T13", 1, 2),
        edges=frozenset({(12, 13)}),
    )
    planner = Planner(floor, ScoringPolicy())
    request = Request(4, planner.mask_of([11, 13]), zone_id=1, avoid=frozenset({5}))
    obstacles = explain_tables(planner, request, {11: "B012 19:00-20:20", 13: "B040 18:30-19:45"})
    assert {each.number: (each.code.value, each.text) for each in obstacles} == {
        "T1": ("in_plan", "in a plan"),
        "T2": ("inactive", "not active"),
        "T3": ("out_of_service", "out of service"),
        "T4": ("other_zone", "in another zone than asked for"),
        "T5": ("avoided", "to be avoided"),
        "T6": ("min_party", "for parties of 5 or more"),
        "T7": ("too_large", "too large: 5 seats to spare, 4 are allowed"),
        "T8": ("fixed", "too small alone; fixed, so it joins no other"),
        "T9": ("no_set", "too small alone; no allowed set with it fits the party"),
        "T10": ("max_party", "alone for parties of 3 at most; no allowed set with it fits the party"),
        "T11": ("taken", "taken: B012 19:00-20:20"),
        "T12": ("sets_taken", "too small alone; every set with it needs a taken table: T13 (B040 18:30-19:45)"),
        "T13": ("taken", "taken: B040 18:30-19:45"),
    }
    assert of_number(obstacles, "T12").in_the_way == (13,)


def test_a_table_that_only_a_dropped_plan_has_is_kept_for_who_waits() -> None:
    planner = Planner(floor_of(Table(1, "T1", 1, 4), Table(2, "T2", 1, 4)), ScoringPolicy(lookahead_limit=0))
    request = Request(4, upcoming=(Upcoming(4, planner.mask_of([2])),))
    obstacles = explain_tables(planner, request, {})
    assert [each.code for each in obstacles] == [ObstacleCode.KEPT, ObstacleCode.IN_PLAN]


@pytest.mark.parametrize(("draws_limit", "code"), [(100, ObstacleCode.IN_PLAN), (1, ObstacleCode.UNCLEAR)])
def test_what_could_not_be_looked_through_is_called_unclear(draws_limit: int, code: ObstacleCode) -> None:
    tables = [Table(index, f"T{index}", 1, 2) for index in range(1, 7)]
    floor = floor_of(*tables, edges=frozenset({(1, 6), (5, 6)}))
    planner = Planner(floor, ScoringPolicy(), sets_limit=6, draws_limit=draws_limit)
    assert of_number(explain_tables(planner, Request(6), {}), "T6").code is code


def test_tables_that_are_not_for_this_party_say_whom_they_are_for() -> None:
    tables = (
        Table(id=1, number="T1", zone_id=1, capacity=2, features=frozenset({TableFeature.VIP})),
        Table(id=2, number="T2", zone_id=1, capacity=6),
        Table(id=3, number="T3", zone_id=1, capacity=2),
        Table(id=4, number="T4", zone_id=1, capacity=2, features=frozenset({TableFeature.STEP_FREE})),
    )
    policy = ScoringPolicy(vip_only=True, keep_large=(KeepLarge(seats=6, party=4, until_min=60, hard=True),))
    wishes = Preferences(step_free=True, must=frozenset({Preference.STEP_FREE}))
    request = Request(2, preferences=wishes, lead_min=61)
    planner = Planner(Floor(1, tables), policy)
    codes = [each.code for each in explain_tables(planner, request, {})]
    assert codes == [ObstacleCode.FOR_VIP, ObstacleCode.FOR_LARGER, ObstacleCode.NEED, ObstacleCode.IN_PLAN]
    soon = [each.code for each in explain_tables(planner, Request(2, lead_min=60), {})]
    assert soon == [ObstacleCode.FOR_VIP, *[ObstacleCode.IN_PLAN] * 3]
