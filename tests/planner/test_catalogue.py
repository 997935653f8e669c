"""The catalogue lists every set that it should, once, and says where it stopped."""

from __future__ import annotations

import math
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from maitred.model.floor import Floor, Mobility, Table, TableStatus
from maitred.planner.catalogue import Catalogue
from maitred.planner.layout import Layout

ANY = 10**9


@st.composite
def floors(draw: st.DrawFn) -> Floor:
    count = draw(st.integers(1, 9))
    tables = tuple(
        Table(
            index,
            f"T{index}",
            zone_id=draw(st.integers(1, 2)),
            capacity=draw(st.integers(1, 4)),
            min_party_size=draw(st.integers(1, 2)),
            mobility=draw(st.sampled_from((Mobility.MOVABLE, Mobility.MOVABLE, Mobility.FIXED))),
            status=draw(st.sampled_from((TableStatus.AVAILABLE, TableStatus.AVAILABLE, TableStatus.OUT_OF_SERVICE))),
        )
        for index in range(count)
    )
    edges = draw(st.sets(st.sampled_from(list(combinations(range(count), 2)) or [(0, 0)])))
    return Floor(1, tables, frozenset(edge for edge in edges if edge[0] != edge[1]))


def catalogue_of(floor: Floor, *, sets_limit: int = ANY, enumeration_limit: int = ANY) -> Catalogue:
    return Catalogue(Layout(floor), sets_limit=sets_limit, enumeration_limit=enumeration_limit, most_tables=5)


def distances(floor: Floor, ids: tuple[int, ...], start: int) -> dict[int, float]:
    """Steps from one member to each, through members only, by relaxing every edge often enough."""
    steps = dict.fromkeys(ids, math.inf)
    steps[start] = 0
    for _ in ids:
        for a, b in floor.adjacency:
            if a in steps and b in steps:
                steps[a] = min(steps[a], steps[b] + 1)
                steps[b] = min(steps[b], steps[a] + 1)
    return steps


def joinable_sets(floor: Floor, max_tables: int) -> dict[tuple[int, ...], float]:
    """All same-zone sets of movable usable tables with two or more members, and their radius."""
    movable = [table for table in floor.tables if table.usable and table.mobility is Mobility.MOVABLE]
    return {
        ids: min(max(distances(floor, ids, start).values()) for start in ids)
        for size in range(2, max_tables + 1)
        for tables in combinations(movable, size)
        if len({table.zone_id for table in tables}) == 1
        for ids in [tuple(table.id for table in tables)]
    }


def ids_of(floor: Floor, members: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(floor.tables[index].id for index in members)


@given(floors(), st.integers(1, 5))
def test_every_connected_set_is_listed_once_and_no_other(floor: Floor, max_tables: int) -> None:
    catalogue = catalogue_of(floor)
    listed = [ids_of(floor, members) for batch in catalogue.connected(max_tables) for members in batch.members]
    singles = [(table.id,) for table in floor.tables if table.usable]
    connected = [ids for ids, radius in joinable_sets(floor, max_tables).items() if radius < math.inf]
    assert sorted(listed) == sorted(singles + connected)
    assert catalogue.size(max_tables) == len(listed)


@given(floors(), st.integers(2, 5))
def test_every_loose_set_is_listed_once_and_no_other(floor: Floor, max_tables: int) -> None:
    listed = [ids_of(floor, members) for batch in catalogue_of(floor).loose(max_tables) for members in batch.members]
    loose = [ids for ids, radius in joinable_sets(floor, max_tables).items() if radius == math.inf]
    assert sorted(listed) == sorted(loose)


@given(floors())
def test_a_profile_says_what_its_sets_are(floor: Floor) -> None:
    radius = joinable_sets(floor, 5)
    for batch in catalogue_of(floor).connected(5):
        assert list(batch.members) == sorted(batch.members)
        for members, mask in zip(batch.members, batch.masks, strict=True):
            tables = [floor.tables[index] for index in members]
            ids = ids_of(floor, members)
            assert mask == sum(1 << index for index in members)
            assert batch.profile.size == len(tables)
            assert batch.profile.capacity == sum(table.capacity for table in tables)
            assert batch.profile.largest == max(table.capacity for table in tables)
            assert batch.profile.needs_party == max(table.min_party_size for table in tables)
            assert batch.profile.adjacency_cost == radius.get(ids, 0)
            edges = [edge for edge in combinations(sorted(ids), 2) if edge in floor.adjacency]
            assert batch.profile.pairwise == (len(edges) == math.comb(len(ids), 2))


@given(floors(), st.integers(1, 5), st.integers(1, 5))
def test_what_was_listed_before_doesnt_matter(floor: Floor, first: int, then: int) -> None:
    catalogue = catalogue_of(floor)
    catalogue.reach(first)
    assert list(catalogue.connected(then)) == list(catalogue_of(floor).connected(then))


@given(floors(), st.integers(9, 60))
def test_a_zone_is_listed_in_whole_levels_within_the_limit(floor: Floor, sets_limit: int) -> None:
    catalogue = catalogue_of(floor, sets_limit=sets_limit)
    whole = catalogue_of(floor)
    assert {members for batch in catalogue.connected(5) for members in batch.members} == {
        members
        for batch in whole.connected(5)
        for members in batch.members
        if len(members) <= catalogue.listed_up_to[floor.tables[members[0]].zone_id]
    }
    assert catalogue.size(5) <= sets_limit


def test_a_large_zone_where_all_touch_all_is_not_listed_beyond_single_tables() -> None:
    tables = tuple(Table(index, f"T{index}", zone_id=1, capacity=2) for index in range(50))
    floor = Floor(1, tables, frozenset(combinations(range(50), 2)))
    catalogue = catalogue_of(floor, enumeration_limit=5_000)
    catalogue.reach(5)
    assert catalogue.size(5) == 50
    assert catalogue.listed_up_to == {1: 1}
