"""What all listed sets bear of a question's burden, summed at once: a walk would look at each of them in turn.

Prices of tables differ from question to question, so no order kept from an earlier one is of use. Adding a few vectors
up takes the same time whatever they hold.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from maitred.planner.burden import Burden
from maitred.planner.catalogue import Members
from maitred.planner.score import Standing

# Totals are rounded to 6 decimals: sums that differ by less may be in either order.
ROUNDING = 2e-6

_AT_ONCE = 4_096
_MICRO = 1e6
# As long as sums stay below this, what a sum of floats loses is far below the distance to the next rounding edge.
_PLAIN = 1e6
_NEAR_EDGE = 0.499

Floats = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.intp]


class Picked(NamedTuple):
    """Ranks of sets among which the best are. `ordered`: they are the best, in order; else the order is still open."""

    ranks: list[int]
    ordered: bool


class Sums:
    """The listed sets of one ordering as vectors. Safe to share between threads.

    `totals` are the static totals by rank, `exact` the same before they were rounded.
    """

    def __init__(
        self,
        totals: Sequence[float],
        exact: Sequence[float],
        standings: Sequence[Standing],
        members: Sequence[Members],
        tables: int,
    ) -> None:
        self._tables = tables
        self._totals = totals
        self._exact = np.array(exact)
        widest = max(map(len, members), default=1)
        nothing = (tables,) * widest  # a place behind the last table: takes nobody anything
        padded = chain.from_iterable((*each, *nothing[len(each) :]) for each in members)
        by_set = np.fromiter(padded, dtype=np.intp, count=widest * len(members))
        self._places = np.ascontiguousarray(by_set.reshape(len(members), widest).T)
        in_order = sorted(range(len(members)), key=lambda rank: (standings[rank][1:], members[rank]))
        self._among_equals = np.empty(len(members), dtype=np.intp)
        self._among_equals[in_order] = np.arange(len(members))

    def best(self, occupied: int, limit: int, burden: Burden) -> Picked:
        """Sets without an occupied table, the best `limit` by static score and burden among them."""
        taken = self._bits(occupied)
        added = self._vector(burden.added)
        added[:-1][taken] = np.inf
        highest = [self._vector(each) for each in burden.highest]
        sums, ranks = self._part(0, added, highest)
        sums, ranks, worst = _lowest(sums, ranks, limit)
        least: float | None = None
        for start in range(_AT_ONCE, len(self._totals), _AT_ONCE):
            if least is None:
                least = burden.least(((1 << self._tables) - 1) & ~occupied)
            if self._totals[start] + least > worst:
                break  # nothing that follows can be better than the worst of those wanted
            more, places = self._part(start, added, highest)
            sums, ranks, worst = _lowest(np.concatenate((sums, more)), np.concatenate((ranks, places)), limit)
        return self._in_order(sums, ranks, limit)

    def _part(self, start: int, added: Floats, highest: Sequence[Floats]) -> tuple[Floats, Ranks]:
        """The sums of a stretch of ranks, infinite where a table is taken."""
        end = min(start + _AT_ONCE, len(self._totals))
        rows = [row[start:end] for row in self._places]
        sums = self._exact[start:end] + added[rows[0]]
        for row in rows[1:]:
            sums += added[row]
        for vector in highest:
            most = vector[rows[0]]
            for row in rows[1:]:
                np.maximum(most, vector[row], out=most)
            sums += most
        return sums, np.arange(start, end)

    def _in_order(self, sums: Floats, ranks: Ranks, limit: int) -> Picked:
        """Rounded as scores are; where that is too close to an edge to be told from sums, the order stays open."""
        scaled = sums * _MICRO
        whole = np.rint(scaled)
        if not len(ranks) or sums.max() > _PLAIN or np.abs(scaled - whole).max() > _NEAR_EDGE:
            return Picked(ranks.tolist(), ordered=False)
        return Picked(ranks[np.lexsort((self._among_equals[ranks], whole))[:limit]].tolist(), ordered=True)

    def _bits(self, mask: int) -> npt.NDArray[np.bool_]:
        packed = np.frombuffer(mask.to_bytes((self._tables + 7) // 8, "little"), dtype=np.uint8)
        return np.unpackbits(packed, count=self._tables, bitorder="little").view(np.bool_)

    def _vector(self, by_table: Sequence[float] | None) -> Floats:
        vector = np.zeros(self._tables + 1)
        if by_table is not None:
            vector[:-1] = by_table
        return vector


def _lowest(sums: Floats, ranks: Ranks, limit: int) -> tuple[Floats, Ranks, float]:
    """Those that may be among the lowest so many, and the most that these may come to."""
    worst = sys.float_info.max
    if len(sums) > limit:
        worst = min(worst, float(np.partition(sums, limit - 1)[limit - 1]) + ROUNDING)
    kept = np.flatnonzero(sums <= worst)
    return sums[kept], ranks[kept], worst if len(kept) >= limit else sys.float_info.max
