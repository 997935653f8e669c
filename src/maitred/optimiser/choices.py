"""What each party can have once everything that can't move is taken into account."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from maitred.optimiser.problem import Option, Party, Problem

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Choice:
    """Tables that a party can have. `moves`: the party has others now."""

    tables: tuple[int, ...]
    waste: int
    relaxed: bool
    moves: bool


class Busy:
    """When tables are taken by what can't move. `conflict`: two that can't both have what they are to keep."""

    def __init__(self, problem: Problem) -> None:
        taken = [(each.table, each.start, each.end, each.key) for each in problem.taken]
        taken += [
            (table, party.start, party.end, party.key)
            for party in problem.parties
            if party.locked and party.seat is not None
            for table in party.seat
        ]
        by_table: defaultdict[int, list[tuple[int, int, str]]] = defaultdict(list)
        for table, start, end, key in taken:
            by_table[table].append((start, end, key))
        self._spans: dict[int, list[Span]] = {}
        self.conflict: tuple[str, str] | None = None
        for table, spans in sorted(by_table.items()):
            spans.sort()
            self._spans[table] = [(start, end) for start, end, _ in spans]
            for (_, end, key), (start, _, other) in pairwise(spans):
                if start < end and self.conflict is None:
                    self.conflict = (key, other)

    def spans(self, table: int) -> Sequence[Span]:
        """When the table is taken, in order of time."""
        return self._spans.get(table, ())

    def free(self, table: int, start: int, end: int) -> bool:
        """Whether the table can be had for all of [start, end)."""
        spans = self._spans.get(table)
        if not spans:
            return True
        place = bisect_left(spans, (end,))
        return place == 0 or spans[place - 1][1] <= start


def choices_of(problem: Problem, busy: Busy) -> dict[str, tuple[Choice, ...]]:
    """For each party that isn't locked, what it can have; parties that differ in nothing share one tuple."""
    shared: dict[tuple[int, int, int, tuple[int, ...] | None, int], tuple[Choice, ...]] = {}
    found = {}
    for party in problem.parties:
        if party.locked:
            continue
        key = (id(party.options), party.start, party.end, party.seat, party.covers)
        if key not in shared:
            shared[key] = tuple(_choices(problem, party, busy))
        found[party.key] = shared[key]
    return found


def _choices(problem: Problem, party: Party, busy: Busy) -> Iterator[Choice]:
    options: Iterable[Option] = party.options
    if party.seat is not None and all(option.tables != party.seat for option in options):
        waste = party.seat_waste
        if waste is None:
            waste = max(0, sum(problem.capacity[table] for table in party.seat) - party.covers)
        options = (Option(party.seat, waste), *options)
    for option in options:
        if all(busy.free(table, party.start, party.end) for table in option.tables):
            moves = party.seat is not None and option.tables != party.seat
            yield Choice(option.tables, option.waste, option.relaxed, moves)


def cliques(spans: Sequence[Span]) -> Iterator[list[int]]:
    """The largest groups of spans that all share a moment, by place: whatever limits one moment limits each of these,
    and nothing else needs a limit. There are at most as many as there are starts."""
    changes = sorted(
        [(end, 0, place) for place, (_, end) in enumerate(spans)]
        + [(start, 1, place) for place, (start, _) in enumerate(spans)]
    )
    now: dict[int, None] = {}
    grown = False
    for _, begins, place in changes:
        if begins:
            now[place] = None
            grown = True
            continue
        if grown:
            yield list(now)
            grown = False
        del now[place]
