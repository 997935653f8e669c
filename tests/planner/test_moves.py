"""The fewest moves, against trying every subset of bookings with every set that each may have.

The other side takes its candidates and scores from the brute force of ADR 2 and shares nothing with the search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maitred.errors import InvalidInput
from maitred.model.floor import Floor, Mobility, Table
from maitred.model.joined import JoinedSet
from maitred.model.scoring import Relaxation, ScoringPolicy
from maitred.planner.answer import Request
from maitred.planner.moves import Moves, NoMoves, Seated, Wanted, find_moves
from maitred.planner.planner import Planner
from tests.planner.brute_force import candidates, score

MANY = 200_000
MOST_BOOKINGS = 6


@dataclass(frozen=True)
class Room:
    floor: Floor
    policy: ScoringPolicy
    wanted: Wanted
    seated: tuple[Seated, ...]


def together(one: Seated | Wanted, other: Seated | Wanted) -> bool:
    return one.start < other.end and other.start < one.end


@st.composite
def rooms(draw: st.DrawFn) -> Room:
    """Up to six tables and six bookings that sit, as a rule, wherever they fit first: often badly."""
    count = draw(st.integers(2, 6))
    tables = tuple(
        Table(
            id=index + 1,
            number=f"T{index + 1}",
            zone_id=draw(st.sampled_from((1, 1, 1, 2))),
            capacity=draw(st.sampled_from((2, 2, 4, 3, 6))),
            mobility=draw(st.sampled_from((*[Mobility.MOVABLE] * 5, Mobility.FIXED))),
        )
        for index in range(count)
    )
    edges = frozenset(
        pair for pair in combinations(range(1, count + 1), 2) if draw(st.sampled_from((True, True, False)))
    )
    floor = Floor(1, tables, edges, {1: "One", 2: "Two"})
    if draw(st.booleans()):
        floor = draw(joined_differently(floor))
    policy = ScoringPolicy(max_tables=draw(st.integers(1, 3)), max_overage=draw(st.sampled_from((4, 1, 2, 0))))
    seated: list[Seated] = []
    latest = draw(st.sampled_from((0, 2, 4, 7)))
    for _ in range(draw(st.sampled_from((MOST_BOOKINGS, 5, 4, 3, 2, 1)))):
        start = draw(st.integers(0, latest))
        end = start + draw(st.integers(1, 4))
        party = draw(st.sampled_from((2, 2, 1, 3, 4, 5, 6)))
        span = Wanted(Request(party), start, end)
        taken = 0
        for other in seated:
            if together(other, span):
                taken |= other.mask
        free = [mask for mask in sets_for(floor, policy, Request(party)) if not mask & taken]
        if not free:
            continue
        movable = draw(st.sampled_from((True, True, True, True, False)))
        seated.append(
            Seated(
                UUID(int=len(seated) + 1),
                draw(st.sampled_from(free)),
                start,
                end,
                Request(party) if movable else None,
                float(draw(st.sampled_from((10, 10, 3, 40)))),
            )
        )
    asked = [
        Wanted(Request(party), start, start + length)
        for party in (2, 3, 4, 5, 6)
        for start in range(latest + 1)
        for length in (1, 2, 3)
    ]
    hard = [each for each in asked if crowded_out(floor, policy, each, seated)]
    seldom = draw(st.integers(0, 7)) == 0
    wanted = draw(st.sampled_from(asked if seldom or not hard else hard))
    return Room(floor, policy, wanted, tuple(seated))


@st.composite
def joined_differently(draw: st.DrawFn, floor: Floor) -> Floor:
    """The floor with seats lost at joins, and sets that hold more than their tables, hold less, or are forbidden."""
    zone = {table.id: table.zone_id for table in floor.tables}
    lost = {edge: draw(st.integers(0, 2)) for edge in sorted(floor.adjacency)}
    said = [
        JoinedSet(ids, draw(st.none() | st.integers(1, 14)), forbidden=draw(st.integers(0, 3)) == 0)
        for size in (2, 3)
        for ids in combinations(sorted(zone), size)
        if len({zone[each] for each in ids}) == 1 and draw(st.integers(0, 3)) == 0
    ]
    return replace(floor, lost_seats=lost, joined=tuple(said))


def crowded_out(floor: Floor, policy: ScoringPolicy, wanted: Wanted, seated: list[Seated]) -> bool:
    """Whether every set that could take the newcomer is taken, some of them by bookings that may be moved."""
    sets = sets_for(floor, policy, wanted.request)
    there = [each for each in seated if together(each, wanted)]
    fixed = [each for each in there if each.request is None]
    return all(any(mask & each.mask for each in there) for mask in sets) and any(
        not any(mask & each.mask for each in fixed) for mask in sets
    )


def sets_for(floor: Floor, policy: ScoringPolicy, request: Request) -> dict[int, float]:
    """Every set that the rules allow, as a mask, with its score."""
    rank = {table.id: index for index, table in enumerate(floor.tables)}
    required = policy.adjacency_from_party is not None and request.party >= policy.adjacency_from_party
    found = {}
    for tables in candidates(
        floor, floor.tables, policy, party=request.party, max_tables=policy.max_tables, adjacency=required
    ):
        mask = sum(1 << rank[table.id] for table in tables)
        found[mask] = float(round(score(floor, policy, request, tables, Fraction(0)).total, 6))
    return found


@dataclass(frozen=True)
class Best:
    """The fewest moves, and the least cost among the ways with as many."""

    moves: int
    cost: float


def by_trying_everything(room: Room, most: int) -> Best | None:
    movable = [each for each in room.seated if each.request is not None]
    for moves in range(min(most, len(movable)) + 1):
        costs = [cost for chosen in combinations(movable, moves) for cost in ways(room, chosen)]
        if costs:
            return Best(moves, min(costs))
    return None


def ways(room: Room, chosen: tuple[Seated, ...]) -> Iterator[float]:
    """The cost of each way to seat the newcomer and these anew, while all others stay."""
    staying = [each for each in room.seated if each not in chosen]

    def place(waiting: tuple[Wanted | Seated, ...], there: list[Seated], cost: float) -> Iterator[float]:
        if not waiting:
            yield cost
            return
        one, *rest = waiting
        assert one.request is not None
        sets = sets_for(room.floor, room.policy, one.request)
        before = sets.get(one.mask, 0.0) if isinstance(one, Seated) else 0.0
        price = one.cost if isinstance(one, Seated) else 0.0
        for mask, total in sets.items():
            if isinstance(one, Seated) and mask == one.mask:
                continue
            if any(mask & other.mask and together(one, other) for other in there):
                continue
            sits = Seated(UUID(int=99), mask, one.start, one.end, None)
            yield from place(tuple(rest), [*there, sits], cost + total - before + price)

    yield from place((room.wanted, *chosen), staying, 0.0)


def check(room: Room, found: Moves) -> None:
    """Everybody has tables that the rules allow, nobody shares one, and only those that may were moved."""
    planner = Planner(room.floor, room.policy)
    seats = {each.id: each for each in room.seated}
    for move in found.moved:
        before = seats[move.id]
        assert before.request is not None
        assert before.mask == move.from_mask != move.plan.mask
        assert move.plan.mask in sets_for(room.floor, room.policy, before.request)
        assert planner.mask_of(move.plan.table_ids) == move.plan.mask
        seats[move.id] = replace(before, mask=move.plan.mask)
    assert found.plan.mask in sets_for(room.floor, room.policy, room.wanted.request)
    newcomer = Seated(UUID(int=0), found.plan.mask, room.wanted.start, room.wanted.end, None)
    for one, other in combinations([newcomer, *seats.values()], 2):
        assert not (one.mask & other.mask and together(one, other))


@settings(max_examples=150, deadline=None)
@given(rooms(), st.sampled_from((0, 1, 2, 3, MOST_BOOKINGS)))
def test_the_fewest_moves_and_the_cheapest_of_these(room: Room, most: int) -> None:
    found = find_moves(Planner(room.floor, room.policy), room.wanted, room.seated, most=most, nodes=MANY)
    best = by_trying_everything(room, most)
    if best is None:
        assert isinstance(found, NoMoves)
        assert found.proved_up_to is None or found.proved_up_to == most
        return
    assert isinstance(found, Moves)
    check(room, found)
    assert found.fewest
    assert found.cheapest
    assert len(found.moved) == best.moves
    assert found.cost == pytest.approx(best.cost, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(rooms())
def test_what_is_called_impossible_is_so_with_any_number_of_moves(room: Room) -> None:
    found = find_moves(Planner(room.floor, room.policy), room.wanted, room.seated, most=2, nodes=MANY)
    if isinstance(found, NoMoves) and found.proved_up_to is None:
        assert by_trying_everything(room, len(room.seated)) is None


@settings(max_examples=60, deadline=None)
@given(rooms(), st.integers(1, 12))
def test_a_search_cut_short_claims_no_more_than_it_proved(room: Room, nodes: int) -> None:
    found = find_moves(Planner(room.floor, room.policy), room.wanted, room.seated, most=MOST_BOOKINGS, nodes=nodes)
    best = by_trying_everything(room, MOST_BOOKINGS)
    if isinstance(found, NoMoves):
        if found.proved_up_to is None:
            assert best is None
        else:
            assert best is None or best.moves > found.proved_up_to
        return
    check(room, found)
    assert best is not None
    assert len(found.moved) == best.moves or not found.fewest
    if found.cheapest:
        assert found.cost == pytest.approx(best.cost, abs=1e-4)


def two_tops(count: int) -> Floor:
    return Floor(1, tuple(Table(index + 1, f"T{index + 1}", 1, 2) for index in range(count)), frozenset(), {1: "One"})


def test_a_chain_of_three_moves_is_found() -> None:
    """The newcomer fits T1 alone, and each booking's only other table is the next one's."""
    tables = tuple(Table(index + 1, f"T{index + 1}", 1, index + 2, index + 1) for index in range(4))
    floor = Floor(1, tables, frozenset(), {1: "One"})
    policy = ScoringPolicy(max_tables=1, max_overage=1)
    seated = tuple(Seated(UUID(int=index + 1), 1 << index, 0, 10, Request(index + 2)) for index in range(3))
    found = find_moves(Planner(floor, policy), Wanted(Request(1), 0, 10), seated, most=3)
    assert isinstance(found, Moves)
    assert [move.plan.numbers for move in found.moved] == [("T2",), ("T3",), ("T4",)]
    assert found.plan.numbers == ("T1",)
    assert isinstance(find_moves(Planner(floor, policy), Wanted(Request(1), 0, 10), seated, most=2), NoMoves)


def test_who_is_moved_has_his_new_table_for_all_his_time() -> None:
    """T2 is free while the newcomer dines, and taken later: the booking on T1 can't go there."""
    floor = two_tops(2)
    policy = ScoringPolicy(max_tables=1)
    there = (
        Seated(UUID(int=1), 0b01, 0, 10, Request(2)),
        Seated(UUID(int=2), 0b10, 5, 10, None),
    )
    wanted = Wanted(Request(2, avoid=frozenset({2})), 0, 4)
    found = find_moves(Planner(floor, policy), wanted, there, most=5)
    assert isinstance(found, NoMoves)
    assert found.proved_up_to is None


def test_the_newcomers_ladder_is_climbed_and_told() -> None:
    """Only without adjacency do the two free tables take the party; one booking has to make way."""
    tables = tuple(Table(index + 1, f"T{index + 1}", 1, 2) for index in range(3))
    floor = Floor(1, tables, frozenset(), {1: "One"})
    policy = ScoringPolicy(allowed=frozenset({Relaxation.ADJACENCY}))
    there = (Seated(UUID(int=1), 0b010, 0, 10, Request(2)),)
    wanted = Wanted(Request(4, avoid=frozenset({1})), 0, 10)
    found = find_moves(Planner(floor, policy), wanted, there, most=1)
    assert isinstance(found, Moves)
    assert found.relaxed == {Relaxation.ADJACENCY}
    assert found.plan.numbers == ("T2", "T3")
    assert [move.plan.numbers for move in found.moved] == [("T1",)]


@pytest.mark.parametrize(("most", "nodes", "field"), [(-1, 10, "most"), (1, 0, "nodes")])
def test_a_number_without_sense_is_named_and_refused(most: int, nodes: int, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        find_moves(Planner(two_tops(1), ScoringPolicy()), Wanted(Request(2), 0, 1), (), most=most, nodes=nodes)
