"""The search behind moves: put the newcomer somewhere, put those whose tables it takes somewhere else, and so on.

With at most k moves: whoever is still without tables is placed, the one with the fewest ways first; each of its sets
whose tables belong to no more than the moves that are left is tried. Every way with the fewest moves is a chain of this
kind: one who is moved without being in the way of any other could have stayed.
"""

from __future__ import annotations

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
        self._mask = [party.mask for party in parties]
        self._members = [indices_of(party.mask) for party in parties]
        self._free_to_move = sum(1 << index for index, party in enumerate(parties) if index and party.sets is not None)
        self._neighbours: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self._near_bits: dict[int, int] = {}
        self._settled = 0
        self._driven = 0
        self._placed: list[tuple[int, int]] = []
        self._best: Found | None = None
        self._short = False
        self._least_gain = min(
            (party.least for party in parties[1:] if party.sets is not None and len(party.choice)), default=0.0
        )
        self._free_without: dict[int, int] = {}
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
        self._settled |= 1 << chosen
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
            self._mask[chosen] = mask
            self._driven |= driven
            kept = [self._mask[each] for each in away]
            for each in away:
                self._mask[each] = 0
            self._placed.append((chosen, rank))
            self._place([*rest, *away], left - len(away), cost + sum(self.parties[each].least for each in away))
            self._placed.pop()
            for each, before in zip(away, kept, strict=True):
                self._mask[each] = before
            self._driven &= ~driven
            self._mask[chosen] = 0
            if self.cut:
                break
        self._settled &= ~(1 << chosen)

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
        party = self.parties[index]
        sets = party.choice
        masks = self._mask
        settled = self._settled
        hard = party.barred
        fixed, movable = self._around(index)
        for each in fixed:
            hard |= masks[each]
        if not left:
            soft_taken = 0
            for each in movable:
                if settled >> each & 1:
                    hard |= masks[each]
                else:
                    soft_taken |= masks[each]
            ranks = sets.free(hard | soft_taken, 1 if alone else len(sets))
            base = party.cost - party.before
            if soft_taken & ~hard:
                self._short = True
            return [_Way(rank, sets.masks[rank], sets.totals[rank] + base, 0) for rank in ranks]
        # with one move left, only those make room who then find tables at once
        may_go = self._free_to_move if left > 1 or not alone else self._find_tables_without(self._driven)
        taken = [0] * (left + 1)  # tables that more than so many parties have
        soft = []
        for each in movable:
            mask = masks[each]
            if not mask:
                continue
            if settled >> each & 1 or not may_go >> each & 1:
                if not settled >> each & 1:
                    self._short = True
                hard |= mask
                continue
            soft.append(each)
            for more in range(left, 0, -1):
                taken[more] |= taken[more - 1] & mask
            taken[0] |= mask
        if taken[left] & ~hard:
            self._short = True
        once = taken[0]
        owners: dict[int, int] = {}
        for each in soft:
            bit = 1 << each
            for table in self._members[each]:
                owners[table] = owners.get(table, 0) | bit
        base = party.cost - party.before
        ways = []
        totals, members = sets.totals, sets.members
        for rank in sets.free(hard | taken[left], len(sets)):
            mask = sets.masks[rank]
            driven = 0
            if mask & once:
                for table in members[rank]:
                    driven |= owners.get(table, 0)
                if driven.bit_count() > left:
                    self._short = True
                    continue
            ways.append(_Way(rank, mask, totals[rank] + base, driven))
            if alone and not driven:
                break
        return ways

    def _around(self, index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The others whose windows share a moment with this one's: the fixed, and those that may be moved."""
        found = self._neighbours.get(index)
        if found is None:
            party = self.parties[index]
            start, end = party.start, party.end
            near = [
                each
                for each, other in enumerate(self.parties)
                if each != index and other.start < end and start < other.end
            ]
            found = (
                tuple(each for each in near if self.parties[each].sets is None),
                tuple(each for each in near if self.parties[each].sets is not None),
            )
            self._neighbours[index] = found
        return found

    def _find_tables_without(self, away: int) -> int:
        """Those who find free tables once these are away, as bits: at least all who do so in this search's state.

        What the search has placed meanwhile only takes tables. Most need the place of one of those at most; only
        a set that touches the places of two asks for a closer look.
        """
        if not away:
            return self._go_free_without(0)
        those = indices_of(away)
        found = self._go_free_without(0)
        for each in those:
            found |= self._go_free_without(1 << each)
        found &= ~away
        for place, first in enumerate(those):
            for second in those[place + 1 :]:
                for index in indices_of(self._touch_both(first, second) & ~found & ~away):
                    if self._goes_free(index, away):
                        found |= 1 << index
        return found

    def _go_free_without(self, away: int) -> int:
        found = self._free_without.get(away)
        if found is None:
            found = 0
            near = self._near(away.bit_length() - 1) if away else -1
            for index in indices_of(self._free_to_move & ~away & near):
                if self._goes_free(index, away):
                    found |= 1 << index
            self._free_without[away] = found
        return found

    def _goes_free(self, index: int, away: int) -> bool:
        """Whether this party finds another free set, its own tables being partly wanted by somebody else."""
        party = self.parties[index]
        occupied = party.barred
        fixed, movable = self._around(index)
        for each in fixed:
            occupied |= self.parties[each].mask
        for each in movable:
            if not away >> each & 1:
                occupied |= self.parties[each].mask
        sets = party.choice
        if not party.mask & (party.mask - 1):
            return bool(sets.first_free(occupied | party.mask))
        return any(sets.masks[rank] != party.mask for rank in sets.free(occupied, 2))

    def _near(self, index: int) -> int:
        """Those who may be moved and share a moment with this party, as bits."""
        found = self._near_bits.get(index)
        if found is None:
            found = self._near_bits[index] = sum(1 << each for each in self._around(index)[1])
        return found

    def _touch_both(self, first: int, second: int) -> int:
        """Those who have a set with tables of both of these, as bits, of the ones at table with both."""
        pair = (first, second) if first < second else (second, first)
        found = self._both.get(pair)
        if found is None:
            found = 0
            near = self._near(first) & self._near(second)
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
