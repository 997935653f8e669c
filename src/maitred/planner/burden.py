"""What one question adds to the score of its tables: prices, wishes, the state of the room. Never less than nothing.

The catalogue's order is static. A burden only adds, so a walk in that order may end where the next static score,
with the least that any free set must bear, is behind the worst of the plans wanted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from maitred.model.scoring import Term
from maitred.planner.candidate import Candidate
from maitred.planner.catalogue import Members
from maitred.planner.layout import indices_of


class TableTerm(NamedTuple):
    """A term by table index, 0 or more. A set bears the sum of its tables, or only the `highest` of them."""

    term: Term
    by_table: Sequence[float]
    highest: bool = False


class Burden:
    """The terms of one question, laid on sets of tables."""

    __slots__ = ("_added", "_highest", "_terms")

    def __init__(self, terms: Sequence[TableTerm]) -> None:
        self._terms = tuple(terms)
        summed = [each.by_table for each in terms if not each.highest]
        self._added: Sequence[float] | None = None
        if summed:
            self._added = summed[0] if len(summed) == 1 else [math.fsum(each) for each in zip(*summed, strict=True)]
        self._highest = [each.by_table for each in terms if each.highest]

    def least(self, free: int) -> float:
        """What any set of these tables bears at least."""
        indices = indices_of(free)
        if not indices:
            return 0.0
        vectors = self._highest if self._added is None else [self._added, *self._highest]
        return sum(min([vector[index] for index in indices]) for vector in vectors)

    def roughly(self, members: Members) -> float:
        """What a set bears, without care for the last digits."""
        borne = 0.0
        added = self._added
        if added is not None:
            for index in members:
                borne += added[index]
        for vector in self._highest:
            borne += max([vector[index] for index in members])
        return borne

    def on(self, candidate: Candidate) -> Candidate:
        """The set with what it bears in its score."""
        terms = self.terms(candidate.members)
        return candidate.bearing(terms) if terms else candidate

    def terms(self, members: Members) -> tuple[tuple[Term, float], ...]:
        """What a set bears, by term; terms of nothing are left out."""
        found = []
        for term, by_table, highest in self._terms:
            borne = [by_table[index] for index in members]
            value = max(borne) if highest else math.fsum(borne)
            if value:
                found.append((term, value))
        return tuple(found)
