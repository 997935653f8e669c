"""The listed sets of one seating as the search for moves looks at them."""

from __future__ import annotations

from functools import cached_property
from threading import Lock
from weakref import WeakKeyDictionary

from maitred.planner.answer import Plan
from maitred.planner.layout import Layout
from maitred.planner.seating import Seating


class Sets:
    """A set is known by its rank, 0 for the best static score. `listed` False: there are more sets than these."""

    def __init__(self, layout: Layout, seating: Seating) -> None:
        ordering = seating.listed
        self.listed = not seating.recipes
        self.masks = ordering.masks
        self.members = ordering.members
        self.free = ordering.free
        self.first_free = ordering.first_free
        self._layout = layout
        self._ordering = ordering
        self.totals = [ordering.candidate(rank).standing.total for rank in range(len(ordering))]

    def __len__(self) -> int:
        return len(self.masks)

    @cached_property
    def rank_of(self) -> dict[int, int]:
        """The rank of each set, by its mask."""
        return {mask: rank for rank, mask in enumerate(self.masks)}

    @cached_property
    def shapes(self) -> frozenset[tuple[int, ...]]:
        """The capacities of the tables of each set, as far as they differ."""
        capacity = self._layout.capacity
        return frozenset(tuple(sorted([capacity[index] for index in members])) for members in self.members)

    @cached_property
    def ranks_with(self) -> list[int]:
        """For each table of the floor the ranks whose set holds it, as bits."""
        found = [bytearray((len(self.members) + 7) // 8) for _ in self._layout.tables]
        for rank, members in enumerate(self.members):
            byte, bit = rank >> 3, 1 << (rank & 7)
            for index in members:
                found[index][byte] |= bit
        return [int.from_bytes(each, "little") for each in found]

    def plan(self, rank: int) -> Plan:
        """The plan of one of the sets."""
        return self._ordering.plan(rank)


_kept: WeakKeyDictionary[Seating, Sets] = WeakKeyDictionary()
_lock = Lock()


def sets_of(layout: Layout, seating: Seating) -> Sets:
    """The sets of a seating; made once and kept as long as the seating is."""
    with _lock:
        found = _kept.get(seating)
        if found is None:
            found = _kept[seating] = Sets(layout, seating)
        return found
