"""The listed sets for one kind of question, in the order of their score, and how the free ones are found."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import compress, groupby, pairwise
from operator import itemgetter, or_

from maitred.planner.answer import Plan, Score
from maitred.planner.burden import Burden
from maitred.planner.candidate import Candidate, bearing, make_plan, plan_of
from maitred.planner.catalogue import Batch, Members
from maitred.planner.layout import Layout
from maitred.planner.score import Standing, unrounded
from maitred.planner.sums import Picked, Sums

# The first ranks are looked at one by one, which finds the best plans of a room that isn't full at once; the rest
# is searched by bitsets, whose cost hardly depends on how many sets are taken. See ADR 4 for the figures.
WALKED = 64
PLANS_KEPT = 512

_ONES = bytes.maketrans(b"01", b"\x00\x01")

Scored = tuple[Standing, Score, Batch]


class Ordering:
    """Candidate sets in static order. A set is known by its rank, 0 for the best."""

    def __init__(self, layout: Layout, scored: Iterable[Scored]) -> None:
        self._layout = layout
        self.masks: list[int] = []
        self.members: list[Members] = []
        self._starts: list[int] = []
        self._runs: list[tuple[Standing, Score]] = []
        for _, tied in groupby(sorted(scored, key=itemgetter(0)), key=itemgetter(0)):
            self._append(list(tied))
        self._walked = self.masks[:WALKED]
        self._holding: list[int] | None = None
        self._sums: Sums | None = None
        self._beyond = ((1 << len(self.masks)) - 1) >> WALKED << WALKED
        self._plans: dict[int, Plan] = {}

    def __len__(self) -> int:
        return len(self.masks)

    def _lengths(self) -> Iterator[int]:
        return (end - start for start, end in pairwise([*self._starts, len(self.masks)]))

    def _append(self, tied: list[Scored]) -> None:
        """Sets whose standing is equal go by their members, whatever their profile."""
        if len(tied) == 1:
            standing, score, batch = tied[0]
            self._starts.append(len(self.masks))
            self._runs.append((standing, score))
            self.masks.extend(batch.masks)
            self.members.extend(batch.members)
            return
        entries = sorted(
            (members, mask, which)
            for which, (_, _, batch) in enumerate(tied)
            for members, mask in zip(batch.members, batch.masks, strict=True)
        )
        previous = -1
        for members, mask, which in entries:
            if which != previous:
                standing, score, batch = tied[which]
                self._starts.append(len(self.masks))
                self._runs.append((standing, score))
                previous = which
            self.masks.append(mask)
            self.members.append(members)

    def free(self, occupied: int, limit: int) -> list[int]:
        """The ranks of the best `limit` sets without an occupied table."""
        found: list[int] = []
        for rank, mask in enumerate(self._walked):
            if not mask & occupied:
                found.append(rank)
                if len(found) == limit:
                    return found
        if not self._beyond:
            return found
        rest = self._free_beyond(occupied)
        missing = limit - len(found)
        while rest and missing:
            low = rest & -rest
            found.append(low.bit_length() - 1)
            rest ^= low
            missing -= 1
        return found

    def stream(self, occupied: int) -> Iterator[Candidate]:
        """All sets without an occupied table, best first."""
        return map(self.candidate, self._free_ranks(occupied))

    def burdened(self, occupied: int, limit: int, burden: Burden) -> list[Candidate]:
        """The best `limit` sets without an occupied table, each with what it bears of the burden."""
        ranks, ordered = self._picked(occupied, limit, burden)
        best = [burden.on(self.candidate(rank)) for rank in ranks]
        if not ordered:
            best.sort()
        return best[:limit]

    def burdened_plans(self, occupied: int, limit: int, burden: Burden) -> tuple[Plan, ...]:
        """The plans of the same sets."""
        ranks, ordered = self._picked(occupied, limit, burden)
        if not ordered:
            best = sorted([burden.on(self.candidate(rank)) for rank in ranks])[:limit]
            return tuple([plan_of(self._layout, each) for each in best])
        members = self.members
        return tuple([bearing(self.plan(rank), burden.terms(members[rank])) for rank in ranks])

    def _picked(self, occupied: int, limit: int, burden: Burden) -> Picked:
        if not self.masks:
            return Picked([], ordered=True)
        sums = self._sums
        if sums is None:
            sums = self._sums = self._build_sums()
        return sums.best(occupied, limit, burden)

    def _build_sums(self) -> Sums:
        exact: list[float] = []
        standings: list[Standing] = []
        for (standing, score), length in zip(self._runs, self._lengths(), strict=True):
            exact += [unrounded(score)] * length
            standings += [standing] * length
        totals = [standing.total for standing in standings]
        return Sums(totals, exact, standings, self.members, len(self._layout.tables))

    def _free_ranks(self, occupied: int) -> Iterator[int]:
        for rank, mask in enumerate(self._walked):
            if not mask & occupied:
                yield rank
        rest = self._free_beyond(occupied) if self._beyond else 0
        while rest:
            low = rest & -rest
            yield low.bit_length() - 1
            rest ^= low

    def first_free(self, occupied: int) -> int:
        """The mask of the best set without an occupied table; 0 when there is none."""
        for mask in self._walked:
            if not mask & occupied:
                return mask
        rest = self._free_beyond(occupied) if self._beyond else 0
        return self.masks[(rest & -rest).bit_length() - 1] if rest else 0

    def _free_beyond(self, occupied: int) -> int:
        """The free ranks past the walked ones, as a bitset."""
        holding = self._holding
        if holding is None:
            holding = self._holding = self._build_holding()
        if not occupied:
            return self._beyond
        taken = bin(occupied)[:1:-1].encode().translate(_ONES)
        return self._beyond & ~reduce(or_, compress(holding, taken), 0)

    def _build_holding(self) -> list[int]:
        """For each table the bitset of the ranks, past the walked ones, whose set holds it."""
        length = (len(self.masks) + 7) // 8
        bits = [bytearray(length) for _ in self._layout.tables]
        for rank in range(WALKED, len(self.members)):
            byte, bit = rank >> 3, 1 << (rank & 7)
            for index in self.members[rank]:
                bits[index][byte] |= bit
        return [int.from_bytes(each, "little") for each in bits]

    def candidate(self, rank: int) -> Candidate:
        """The set of a rank."""
        standing, score = self._runs[bisect_right(self._starts, rank) - 1]
        return Candidate(standing, self.members[rank], self.masks[rank], score, rank)

    def plan(self, rank: int) -> Plan:
        """The plan of a rank with its static score."""
        plan = self._plans.get(rank)
        if plan is None:
            standing, score = self._runs[bisect_right(self._starts, rank) - 1]
            plan = make_plan(self._layout, self.members[rank], self.masks[rank], standing, score)
            if len(self._plans) >= PLANS_KEPT:
                self._plans.clear()
            self._plans[rank] = plan
        return plan
