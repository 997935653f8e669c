"""A floor as arrays and bitmasks: what the planner computes with, checked once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from maitred.errors import InvalidInput
from maitred.model.floor import Floor, Mobility, Table


class Layout:
    """The floor by table index. Index i is bit i of every mask, and an index is the table's rank in a tie."""

    def __init__(self, floor: Floor) -> None:
        """Raises InvalidInput for a table id twice, an edge to itself or to nowhere, sizes or scarcities too small."""
        tables = floor.tables
        self.tables = tables
        self.index_of = {table.id: index for index, table in enumerate(tables)}
        self.all = (1 << len(tables)) - 1
        _check_tables(tables)

        self.capacity = [table.capacity for table in tables]
        self.min_party = [table.min_party_size for table in tables]
        self.scarcity = _scarcity(floor)
        self.usable = self.mask_where(index for index, table in enumerate(tables) if table.usable)
        self.movable = self.mask_where(
            index for index, table in enumerate(tables) if table.usable and table.mobility is Mobility.MOVABLE
        )
        self.zones: dict[int, int] = dict.fromkeys(sorted({*floor.zones, *(table.zone_id for table in tables)}), 0)
        for index, table in enumerate(tables):
            self.zones[table.zone_id] |= 1 << index
        self.touching = self._touching(floor.adjacency)

    def _touching(self, adjacency: Iterable[tuple[int, int]]) -> list[int]:
        """For each table the tables it may join and stands next to; edges across zones play no part."""
        touching = [0] * len(self.tables)
        for edge in sorted(adjacency):
            first, second = edge
            for table_id in edge:
                if table_id not in self.index_of:
                    raise InvalidInput("floor", "adjacency", f"edge {first}-{second} names an unknown table {table_id}")
            if first == second:
                raise InvalidInput("floor", "adjacency", f"table {first} can't be adjacent to itself")
            a, b = self.index_of[first], self.index_of[second]
            if self.tables[a].zone_id == self.tables[b].zone_id and self.movable >> a & self.movable >> b & 1:
                touching[a] |= 1 << b
                touching[b] |= 1 << a
        return touching

    @staticmethod
    def mask_where(indices: Iterable[int]) -> int:
        """The mask with these bits."""
        mask = 0
        for index in indices:
            mask |= 1 << index
        return mask

    def connected(self, mask: int) -> bool:
        """Whether the tables of the mask hang together through tables of the mask."""
        reached = mask & -mask
        border = reached
        while border:
            index = (border & -border).bit_length() - 1
            border &= border - 1
            new = self.touching[index] & mask & ~reached
            reached |= new
            border |= new
        return reached == mask

    def centres(self, mask: int, members: Iterable[int]) -> int:
        """How many members touch all others.

        If any does, the radius of the set is 1; if none does and the set is connected, it is 2, because no connected
        graph of at most five nodes has a larger one.
        """
        touching = self.touching
        return [(touching[index] | 1 << index) & mask for index in members].count(mask)


def indices_of(mask: int) -> tuple[int, ...]:
    """The bits of the mask, ascending."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return tuple(found)


def _check_tables(tables: tuple[Table, ...]) -> None:
    for table_id, times in Counter(table.id for table in tables).items():
        if times > 1:
            raise InvalidInput("floor", "tables", f"table id {table_id} is used {times} times")
    for table in tables:
        item = f"table {table.number}"
        if table.capacity < 1:
            raise InvalidInput(item, "capacity", "must be 1 or more seats")
        if table.min_party_size < 1:
            raise InvalidInput(item, "min_party_size", "must be 1 or more")
        if table.max_party_size is not None and table.max_party_size < table.min_party_size:
            raise InvalidInput(item, "max_party_size", "must not be below min_party_size")


def _scarcity(floor: Floor) -> list[float]:
    for key, value in floor.scarcity.items():
        if not math.isfinite(value) or value < 0:
            raise InvalidInput("floor", "scarcity", f"of {key} must be a finite number of 0 or more")
    of_capacity = Counter(table.capacity for table in floor.tables if table.usable)
    return [
        floor.scarcity.get(
            (table.capacity, table.category, table.seating_type), 1 / max(1, of_capacity[table.capacity])
        )
        for table in floor.tables
    ]
