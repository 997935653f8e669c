"""The search behind moves: put the newcomer somewhere, put those whose tables it takes somewhere else, and so on.

With at most k moves: whoever is still without tables is placed, the one with the fewest ways first; each of its sets
whose tables belong to no more than the moves that are left is tried. Every way with the fewest moves is a chain of this
kind: one who is moved without being in the way of any other could have stayed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from maitred.planner.layout import indices_of
from maitred.planner.sets import Sets


@dataclass
class Party:
    """One booking in the search. `sets` None: it is fixed. `before` is the score of the place it has."""

    start: int
    end: int
    mask: int
    sets: Sets | None
    barred: int
    cost: float
    before: float

    @property
    def choice(self) -> Sets:
        """Its sets. Raises ValueError for one that is fixed."""
        if self.sets is None:
            raise ValueError("a fixed booking has no other sets")
        return self.sets

    @cached_property
    def least(self) -> float:
        """What placing it adds to the cost at the very least."""
        totals = self.choice.totals
        return (totals[0] if totals else 0.0) - self.before + self.cost


# Whether one table is taken by more than so many in one window is not counted.
_LEVELS = 3


class Found(NamedTuple):
    """A whole way: who is placed on which rank of its sets, and the cost of it all."""

    cost: float
    placed: tuple[tuple[int, int], ...]


class _Way(NamedTuple):
    """One set for one party, and whom it drives away, as bits."""

    rank: int
    mask: int
    added: float
    driven: int


class _View(NamedTuple):
    """What stands around one party before anybody moves: bits of parties near it in time, tables that it can't have,
    and the tables that more than 0, 1, 2 of those parties have one after the other."""

    near: int
    fixed: int
    more: tuple[int, int, int]


class Search:
    """The search for one question. Party 0 is the newcomer; parties are known by their place in the list.

    `nodes` counts the placings looked at, `cut` says that they were used up before the search was through.
    `proved_up_to` is the number of moves with which there is no way (-1: nothing is proved), `nobody_left` that there
    is none with any number. `unlisted`: somebody's sets are not all listed, so nothing is proved of them.
    """

    def __init__(self, parties: Sequence[Party], nodes: int) -> None:
        self.parties = parties
        self.nodes = 0
        self.cut = False
        self.nobody_left = False
        self.proved_up_to = -1
        self.unlisted = any(party.sets is not None and not party.sets.listed for party in parties)
        self._limit = nodes
        self._members = [indices_of(party.mask) for party in parties]
        self._free_to_move = sum(1 << index for index, party in enumerate(parties) if index and party.sets is not None)
        self._not_fixed = self._free_to_move | 1
        self._sits_at: dict[int, int] = {}
        for index in indices_of(self._free_to_move):
            for table in self._members[index]:
                self._sits_at[table] = self._sits_at.get(table, 0) | 1 << index
        self._sitting = [(1 << table, who) for table, who in self._sits_at.items()]
        self._views: dict[int, _View] = {}
        self._starts, self._begun = _in_order_of_time([party.start for party in parties])
        self._ends, self._over = _in_order_of_time([party.end for party in parties])
        self._driven = 0
        self._standing: list[tuple[int, int]] = []
        self._placed: list[tuple[int, int]] = []
        self._best: Found | None = None
        self._short = False
        self._least_gain = min(
            (party.least for party in parties[1:] if party.sets is not None and len(party.choice)), default=0.0
        )
        self._free_without: dict[int, tuple[int, int]] = {}
        self._both: dict[tuple[int, int], int] = {}
        bits: dict[int, tuple[Sets, int]] = {}
        for index in indices_of(self._free_to_move):
            sets = parties[index].choice
            bits[id(sets)] = sets, bits.get(id(sets), (sets, 0))[1] | 1 << index
        self._by_sets = list(bits.values())

    def fewest(self, most: int) -> Found | None:
        """The cheapest way with the fewest moves, at most `most`; None when none was found."""
        for moves in range(most + 1):
            self._short = False
            self._place([0], moves, self.parties[0].least)
            if self._best is not None:
                return self._best
            if self.cut:
                return None
            if not self.unlisted:
                self.proved_up_to = moves
                if not self._short or moves >= self._free_to_move.bit_count():
                    self.nobody_left = True
                    return None
        return None

    def _place(self, waiting: list[int], left: int, at_least: float) -> None:
        """Places all who wait, driving away at most `left`. `at_least` is what the way costs, as far as is known."""
        if not waiting:
            if self._best is None or at_least < self._best.cost:
                self._best = Found(at_least, tuple(self._placed))
            return
        if self._best is not None and at_least + left * min(0.0, self._least_gain) >= self._best.cost:
            return
        chosen, ways = self._narrowest(waiting, left)
        if not ways:
            return
        rest = [each for each in waiting if each != chosen]
        party = self.parties[chosen]
        single = not rest
        for rank, mask, added, driven in ways:
            if self.nodes >= self._limit:
                self.cut = True
                break
            self.nodes += 1
            cost = at_least - party.least + added
            if single and not driven:
                if self._best is None or cost < self._best.cost:
                    self._best = Found(cost, (*self._placed, (chosen, rank)))
                break  # what follows costs more, or moves somebody without need
            away = indices_of(driven)
            if (
                self._best is not None
                and cost
                + sum(self.parties[each].least for each in away)
                + (left - len(away)) * min(0.0, self._least_gain)
                >= self._best.cost
            ):
                continue
            self._driven |= driven
            self._standing.append((chosen, mask))
            self._placed.append((chosen, rank))
            self._place([*rest, *away], left - len(away), cost + sum(self.parties[each].least for each in away))
            self._placed.pop()
            self._standing.pop()
            self._driven &= ~driven
            if self.cut:
                break

    def _narrowest(self, waiting: list[int], left: int) -> tuple[int, list[_Way]]:
        """Who of those that wait has the fewest ways, and these."""
        best: tuple[int, list[_Way]] | None = None
        for each in waiting:
            ways = self._ways(each, left, alone=len(waiting) == 1)
            if best is None or len(ways) < len(best[1]):
                best = each, ways
            if not ways:
                break
        if best is None:
            raise ValueError("nobody waits")
        return best

    def _ways(self, index: int, left: int, *, alone: bool) -> list[_Way]:
        """The sets that this party can have now, in the order of their score."""
        party, view = self.parties[index], self._view(index)
        sets = party.choice
        hard = view.fixed
        for each, mask in self._standing:
            if view.near >> each & 1:
                hard |= mask
        driven_here = self._driven & view.near
        taken = view.more[0]
        crowded = view.more[left] if left < _LEVELS else 0
        for each in indices_of(driven_here):
            for table in self._members[each]:
                owners = (self._sits_at[table] & view.near & ~self._driven).bit_count()
                bit = 1 << table
                taken = taken | bit if owners else taken & ~bit
                crowded = crowded | bit if left < owners else crowded & ~bit
        base = party.cost - party.before
        if not left:
            if taken & ~hard:
                self._short = True
            ranks = sets.free(hard | taken, 1 if alone else len(sets))
            return [_Way(rank, sets.masks[rank], sets.totals[rank] + base, 0) for rank in ranks]
        if left == 1 and alone:
            # with one move left, only those make room who then find tables at once
            stay = view.near & ~self._driven
            stay &= ~self._find_tables_without(self._driven, stay)
            for bit, sitting in self._sitting:
                if sitting & stay:
                    crowded |= bit
        if crowded & ~hard:
            self._short = True
        ways = []
        for rank in sets.free(hard | crowded, len(sets)):
            mask = sets.masks[rank]
            driven = 0
            if mask & taken:
                for table in sets.members[rank]:
                    driven |= self._sits_at.get(table, 0)
                driven &= view.near & ~self._driven
                if driven.bit_count() > left:
                    self._short = True
                    continue
            ways.append(_Way(rank, mask, sets.totals[rank] + base, driven))
            if alone and not driven:
                break
        return ways

    def _view(self, index: int) -> _View:
        found = self._views.get(index)
        if found is None:
            found = self._views[index] = self._look(index)
        return found

    def _look(self, index: int) -> _View:
        party = self.parties[index]
        around = self._at_table_with(party) & ~(1 << index)
        near, fixed = around & self._not_fixed, party.barred
        for each in indices_of(around & ~self._not_fixed):
            fixed |= self.parties[each].mask
        once = twice = thrice = 0
        for bit, sitting in self._sitting:
            here = (sitting & near).bit_count()
            if here:
                once |= bit
                if here > 1:
                    twice |= bit
                    if here > _LEVELS - 1:
                        thrice |= bit
        return _View(near, fixed, (once, twice, thrice))

    def _at_table_with(self, party: Party) -> int:
        """Those whose windows share a moment with this party's, as bits."""
        begun = self._begun[bisect_left(self._starts, party.end)]
        return begun & ~self._over[bisect_right(self._ends, party.start)]

    def _find_tables_without(self, away: int, among: int) -> int:
        """Those of these who find free tables once some are away, as bits: at least all who do so in this search.

        What the search has placed meanwhile only takes tables. Most need the place of one of those at most; only
        a set that touches the places of two asks for a closer look.
        """
        those = indices_of(away)
        found = self._go_free_without(0, among)
        for each in those:
            found |= self._go_free_without(each, among & ~found)
        for place, first in enumerate(those):
            for second in those[place + 1 :]:
                for index in indices_of(self._touch_both(first, second) & among & ~found):
                    if self._goes_free(index, away):
                        found |= 1 << index
        return found

    def _go_free_without(self, away: int, among: int) -> int:
        """Those of these who find free tables once this party is away, as bits; 0: when nobody is."""
        known, found = self._free_without.get(away, (0, 0))
        if unknown := among & ~known:
            look_at = unknown & self._view(away).near & ~self._go_free_without(0, unknown) if away else unknown
            for index in indices_of(look_at):
                if self._goes_free(index, 1 << away if away else 0):
                    found |= 1 << index
            self._free_without[away] = known | unknown, found
        return found & among

    def _goes_free(self, index: int, away: int) -> bool:
        """Whether this party finds another free set once these are away, beyond what it finds anyway.

        Its own tables are free to it, but not its own place as it is: somebody else wants part of that.
        """
        party, view = self.parties[index], self._view(index)
        sets = party.choice
        occupied = view.fixed | view.more[0]
        several = party.mask & (party.mask - 1)
        if not several:
            occupied |= party.mask
        if not away:
            if not several:
                return bool(sets.first_free(occupied))
            return any(sets.masks[rank] != party.mask for rank in sets.free(occupied, 2))
        freed = 0
        for each in indices_of(away & view.near):
            for table in self._members[each]:
                if not self._sits_at[table] & view.near & ~away:
                    freed |= 1 << table
        freed &= ~view.fixed
        occupied &= ~freed
        ranks = 0
        for table in indices_of(freed):
            ranks |= sets.ranks_with[table]
        masks = sets.masks
        while ranks:
            low = ranks & -ranks
            ranks ^= low
            mask = masks[low.bit_length() - 1]
            if not mask & occupied and mask != party.mask:
                return True
        return False

    def _touch_both(self, first: int, second: int) -> int:
        """Those who have a set with tables of both of these, as bits, of the ones at table with both."""
        pair = (first, second) if first < second else (second, first)
        found = self._both.get(pair)
        if found is None:
            found = 0
            near = self._view(first).near & self._view(second).near
            if near:
                for sets, bits in self._by_sets:
                    if bits & near and self._ranks_of(sets, first) & self._ranks_of(sets, second):
                        found |= bits & near
            self._both[pair] = found
        return found

    def _ranks_of(self, sets: Sets, index: int) -> int:
        found = 0
        for table in self._members[index]:
            found |= sets.ranks_with[table]
        return found


def _in_order_of_time(moments: list[int]) -> tuple[list[int], list[int]]:
    """The moments in order, and for each number of them who the first so many are, as bits."""
    by_time = sorted(range(len(moments)), key=moments.__getitem__)
    first = [0]
    for each in by_time:
        first.append(first[-1] | 1 << each)
    return [moments[each] for each in by_time], first
