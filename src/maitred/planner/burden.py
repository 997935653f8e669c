"""What one question adds to the score of its tables: prices, wishes, the state of the room. Never less than nothing.

The catalogue's order is static. A burden only adds, so a walk in that order may end where the next static score,
with the least that any free set must bear, is behind the worst of the plans wanted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import compress
from operator import add
from typing import NamedTuple

from maitred.model.scoring import Term
from maitred.planner.candidate import Candidate
from maitred.planner.catalogue import Members

_BITS = bytes.maketrans(b"01", b"\x00\x01")


class TableTerm(NamedTuple):
    """A term by table index, 0 or more. A set bears the sum of its tables, or only the `highest` of them."""

    term: Term
    by_table: Sequence[float]
    highest: bool = False


class Burden:
    """The terms of one question, laid on sets of tables."""

    __slots__ = ("_terms", "added", "highest")

    def __init__(self, terms: Sequence[TableTerm]) -> None:
        """`added` is what a set bears for each of its tables, `highest` are vectors of which it bears the most."""
        self._terms = tuple(terms)
        self.highest = [each.by_table for each in terms if each.highest]
        summed = [each.by_table for each in terms if not each.highest]
        self.added = reduce(_plus, summed) if summed else None

    def least(self, free: int) -> float:
        """What any set of these tables bears at least."""
        if not free:
            return 0.0
        picked = bin(free)[:1:-1].encode().translate(_BITS)
        vectors = self.highest if self.added is None else [self.added, *self.highest]
        return sum(min(compress(vector, picked)) for vector in vectors)

    def on(self, candidate: Candidate) -> Candidate:
        """The set with what it bears in its score."""
        terms = self.terms(candidate.members)
        return candidate.bearing(terms) if terms else candidate

    def terms(self, members: Members) -> tuple[tuple[Term, float], ...]:
        """What a set bears, by term; terms of nothing are left out."""
        found: dict[Term, float] = {}
        for term, by_table, highest in self._terms:
            borne = [by_table[index] for index in members]
            value = max(borne) if highest else math.fsum(borne)
            if value:
                found[term] = found.get(term, 0.0) + value
        return tuple(found.items())


def _plus(one: Sequence[float], other: Sequence[float]) -> Sequence[float]:
    return list(map(add, one, other))
