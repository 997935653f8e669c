"""A floor as arrays and bitmasks: what the planner computes with, checked once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from maitred.errors import InvalidInput
from maitred.model.floor import Floor, Mobility, Table
from maitred.model.joined import Edge, JoinedSet, check_joined_sets, check_lost_seats, joined_loss


class Layout:
    """The floor by table index. Index i is bit i of every mask, and an index is the table's rank in a tie."""

    def __init__(self, floor: Floor) -> None:
        """Raises InvalidInput for a table id twice, an edge to itself or to nowhere, sizes or scarcities too small."""
        tables = floor.tables
        self.floor = floor
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
        self._losses = self._lost(floor)
        self.loses_seats = any(self._losses.values())
        check_joined_sets(
            floor.joined,
            {table.id: table.number for table in tables},
            {table.id: table.zone_id for table in tables},
        )
        self.said = {self.mask_where(self.index_of[each] for each in said.tables): said for said in floor.joined}
        ranks = [said.rank for said in floor.joined if said.rank is not None]
        self._unranked = max(ranks, default=0)

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

    def _lost(self, floor: Floor) -> dict[Edge, int]:
        """For each edge between tables that may join, by index, the seats lost there."""
        tables = floor.tables
        check_lost_seats(
            floor.lost_seats,
            floor.adjacency,
            {table.id: table.number for table in tables},
            {table.id: table.capacity for table in tables},
        )
        by_index: dict[Edge, int] = {}
        for edge, seats in floor.lost_seats.items():
            first, second = sorted(self.index_of[table_id] for table_id in edge)
            by_index[first, second] = seats
        if by_index:
            for first, touching in enumerate(self.touching):
                for second in indices_of(touching >> first << first):
                    by_index.setdefault((first, second), 0)
        return by_index

    def loss(self, members: Sequence[int]) -> int:
        """The seats that a connected set loses at its joins."""
        if not self.loses_seats or len(members) < 2:
            return 0
        if len(members) == 2:
            return self._losses[members[0], members[1]]
        return joined_loss(members, self._losses) or 0

    def losses_in(self, zone: int) -> list[int]:
        """The seats lost at each edge of a zone, ascending; none where nothing is lost at all."""
        if not self.loses_seats:
            return []
        tables = self.zones[zone]
        return sorted(
            seats
            for (first, second), seats in self._losses.items()
            if tables >> first & 1 and self.touching[first] >> second & 1
        )

    def steps_behind(self, said: JoinedSet | None) -> int:
        """How many ranks a joined set stands behind the one that the venue likes best."""
        if said is None or said.rank is None:
            return self._unranked
        return said.rank - 1

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
