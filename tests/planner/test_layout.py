"""A floor that contradicts itself makes no planner, and the error names the item and the field."""

from __future__ import annotations

import math

import pytest

from maitred.errors import InvalidInput
from maitred.model.floor import Floor, SeatingType, Table, TableCategory
from maitred.model.scoring import ScoringPolicy
from maitred.planner.planner import Planner

TYPE = (2, TableCategory.DINING, SeatingType.STANDARD)


def table(table_id: int, number: str = "T1", **changes: int) -> Table:
    return Table(**{"id": table_id, "number": number, "zone_id": 1, "capacity": 2, **changes})  # type: ignore[arg-type] # the number is the only value that isn't an int


@pytest.mark.parametrize(
    ("floor", "item", "field", "named"),
    [
        (Floor(1, (table(1), table(1, "T2"))), "floor", "tables", "1"),
        (Floor(1, (table(7),), frozenset({(7, 7)})), "floor", "adjacency", "7"),
        (Floor(1, (table(7),), frozenset({(7, 9)})), "floor", "adjacency", "9"),
        (Floor(1, (table(1), table(2, "T2", capacity=0))), "table T2", "capacity", "1 or more"),
        (Floor(1, (table(1, min_party_size=0),)), "table T1", "min_party_size", "1 or more"),
        (Floor(1, (table(1, min_party_size=3, max_party_size=2),)), "table T1", "max_party_size", "min_party_size"),
        (Floor(1, (table(1),), scarcity={TYPE: math.nan}), "floor", "scarcity", "finite"),
        (Floor(1, (table(1),), scarcity={TYPE: -0.5}), "floor", "scarcity", "finite"),
    ],
)
def test_a_floor_that_contradicts_itself_is_refused(floor: Floor, item: str, field: str, named: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        Planner(floor, ScoringPolicy())
    assert (raised.value.item, raised.value.field) == (item, field)
    assert named in raised.value.problem


def test_an_edge_counts_in_either_order_and_not_across_zones() -> None:
    tables = (table(1), table(2, "T2"), table(3, "T3", zone_id=2))
    layout = Planner(Floor(1, tables, frozenset({(2, 1), (2, 3)})), ScoringPolicy()).layout
    assert layout.touching == [0b010, 0b001, 0]


def test_a_floor_without_tables_makes_a_planner() -> None:
    assert Planner(Floor(1, ()), ScoringPolicy()).layout.all == 0
