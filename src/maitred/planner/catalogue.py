"""Every set of tables that can be pushed together, enumerated once per floor and grouped by profile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from maitred.planner.layout import Layout, indices_of
from maitred.planner.score import Profile

Members = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """The sets of one profile, in the order that decides ties; `masks[i]` is the mask of `members[i]`."""

    profile: Profile
    members: Sequence[Members]
    masks: Sequence[int]


class Catalogue:
    """The same-zone sets of a floor, by number of tables.

    Sets grow level by level: every connected set of k+1 tables is a connected set of k and a neighbour. A zone is
    listed in whole levels only, up to a number of tables (`listed_up_to`): a zone whose next level would take the
    catalogue above `sets_limit` stays at the level it has, and one where all tables touch each other, with more than
    `enumeration_limit` sets, at single tables. What isn't listed is left to recipes, but for the sets of which the
    venue says something of its own: those are listed wherever they are.
    """

    def __init__(self, layout: Layout, *, sets_limit: int, enumeration_limit: int, most_tables: int) -> None:
        self._layout = layout
        self._sets_limit = sets_limit
        self._enumeration_limit = enumeration_limit
        self._movable = {zone: tables & layout.movable for zone, tables in layout.zones.items()}
        self._most_tables = most_tables
        self.listed_up_to = dict.fromkeys(layout.zones, most_tables)
        for zone, tables in self._movable.items():
            sets = number_of_sets(tables.bit_count(), most_tables)
            if sets > enumeration_limit and self._touch_each_other(tables):
                self.listed_up_to[zone] = 1
        self._levels: list[list[Batch]] = []
        self._loose_levels: dict[int, list[Batch]] = {}
        self._counts: list[int] = []
        self._frontier: dict[int, list[tuple[int, int]]] = {}
        self._first_level()

    def connected(self, max_tables: int) -> Iterator[Batch]:
        """The batches of connected sets with 1 to `max_tables` tables."""
        self.reach(max_tables)
        for level in self._levels[:max_tables]:
            yield from level

    def reach(self, max_tables: int) -> None:
        """List the connected sets up to this number of tables, if that has not been done yet."""
        while len(self._levels) < max_tables:
            self._next_level()

    def loose(self, max_tables: int) -> Iterator[Batch]:
        """The batches of sets that aren't connected: all where `lists_loose` says so, else those the venue names."""
        if not self.lists_loose(max_tables):
            yield from self._named(lambda mask, size: 1 < size <= max_tables and not self._layout.connected(mask))
            return
        for size in range(2, max_tables + 1):
            if size not in self._loose_levels:
                self._loose_levels[size] = self._loose_level(size)
            yield from self._loose_levels[size]

    def lists_loose(self, max_tables: int) -> bool:
        """Whether the floor is small enough to list all its sets, connected or not."""
        sets = sum(number_of_sets(tables.bit_count(), max_tables) for tables in self._movable.values())
        return sets <= self._enumeration_limit

    def size(self, max_tables: int) -> int:
        """How many connected sets are listed, up to this number of tables."""
        return sum(self._counts[:max_tables])

    def _touch_each_other(self, tables: int) -> bool:
        return all(self._layout.touching[index] | 1 << index == tables for index in indices_of(tables))

    def _first_level(self) -> None:
        layout = self._layout
        singles = indices_of(layout.usable)
        self._add_level((1 << index, (index,)) for index in singles)
        for zone, tables in self._movable.items():
            if self.listed_up_to[zone] > 1:
                self._frontier[zone] = [(1 << index, layout.touching[index]) for index in indices_of(tables)]

    def _next_level(self) -> None:
        size = len(self._levels) + 1
        room = self._sets_limit - sum(self._counts)
        grown: list[tuple[int, Members]] = []
        for zone, frontier in self._frontier.items():
            sets = self._grow(frontier, room - len(grown))
            if sets is None:
                self.listed_up_to[zone] = size - 1
                self._frontier[zone] = []
                continue
            self._frontier[zone] = list(sets.items()) if size < self._most_tables else []
            grown.extend((mask, indices_of(mask)) for mask in sets)
        self._add_level(grown)
        named = list(self._named(lambda mask, tables: tables == size and self._names_unlisted(mask, size)))
        self._levels[-1].extend(named)
        self._counts[-1] += sum(len(batch.masks) for batch in named)

    def _names_unlisted(self, mask: int, size: int) -> bool:
        zone = self._layout.tables[mask.bit_length() - 1].zone_id
        return self.listed_up_to[zone] < size and self._layout.connected(mask)

    def _named(self, wanted: Callable[[int, int], bool]) -> Iterator[Batch]:
        """The sets of which the venue says something, as far as their tables may be joined at all."""
        movable = self._layout.movable
        masks = [mask for mask in self._layout.said if mask & movable == mask and wanted(mask, mask.bit_count())]
        connected = self._layout.connected
        yield from self._batched((mask, indices_of(mask), connected(mask)) for mask in masks)

    def _grow(self, frontier: Iterable[tuple[int, int]], room: int) -> dict[int, int] | None:
        """Each set of the frontier with each of its neighbours: mask and the tables that touch it. None: no room."""
        touching = self._layout.touching
        grown: dict[int, int] = {}
        for mask, reach in frontier:
            border = reach & ~mask
            while border:
                low = border & -border
                border ^= low
                larger = mask | low
                if larger not in grown:
                    grown[larger] = reach | touching[low.bit_length() - 1]
            if len(grown) > room:
                return None
        return grown

    def _add_level(self, sets: Iterable[tuple[int, Members]]) -> None:
        batches = self._batched((mask, members, True) for mask, members in sets)
        self._levels.append(batches)
        self._counts.append(sum(len(batch.masks) for batch in batches))

    def _loose_level(self, size: int) -> list[Batch]:
        layout = self._layout
        sets = (
            (layout.mask_where(members), members)
            for tables in self._movable.values()
            for members in combinations(indices_of(tables), size)
        )
        return self._batched((mask, members, False) for mask, members in sets if not layout.connected(mask))

    def _batched(self, sets: Iterable[tuple[int, Members, bool]]) -> list[Batch]:
        said = self._layout.said
        if said:
            sets = (each for each in sets if each[0] not in said or not said[each[0]].forbidden)
        return _batched((self._profile(mask, members, connected), members, mask) for mask, members, connected in sets)

    def _profile(self, mask: int, members: Members, connected: bool) -> Profile:
        layout = self._layout
        size = len(members)
        if size == 1:
            table = layout.tables[members[0]]
            return Profile(
                capacity=table.capacity,
                size=1,
                largest=table.capacity,
                adjacency_cost=0,
                needs_party=table.min_party_size,
                most_party=table.max_party_size,
                scarcity=layout.scarcity[members[0]],
                pairwise=True,
            )
        seats = [layout.capacity[index] for index in members]
        centres = layout.centres(mask, members)
        capacity, most = sum(seats), None
        if connected and layout.loses_seats:
            capacity -= layout.loss(members)
        needs = max([layout.min_party[index] for index in members])
        said = layout.said.get(mask)
        if said is not None:
            capacity = capacity if said.capacity is None else said.capacity
            needs = needs if said.min_party is None else said.min_party
            most = said.max_party
        return Profile(
            capacity,
            size,
            max(seats),
            (1 if centres else 2) if connected else size,
            needs,
            most,
            math.fsum([layout.scarcity[index] for index in members]),
            centres == size,
            layout.steps_behind(said),
        )


def number_of_sets(tables: int, max_tables: int) -> int:
    """How many sets of 1 to `max_tables` can be made of so many tables."""
    return sum(math.comb(tables, size) for size in range(1, max_tables + 1))


def _batched(sets: Iterable[tuple[Profile, Members, int]]) -> list[Batch]:
    by_profile: dict[Profile, list[tuple[Members, int]]] = {}
    for profile, members, mask in sets:
        by_profile.setdefault(profile, []).append((members, mask))
    batches = []
    for profile, listed in by_profile.items():
        listed.sort()
        batches.append(Batch(profile, [members for members, _ in listed], [mask for _, mask in listed]))
    return batches
