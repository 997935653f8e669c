"""Answers without a solver: those who have seats keep them, the others get the least wasteful free set in turn."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence

from maitred.optimiser.choices import Choice, Span
from maitred.optimiser.concrete import Seats
from maitred.optimiser.problem import Party, Problem

_DAY = 24 * 60 * 60 * 1_000_000


def first_answer(
    problem: Problem, choices: Mapping[str, Sequence[Choice]], begin_with: Mapping[str, Choice] | None = None
) -> Seats | None:
    """Seats for as many as come by; None when somebody who must be seated isn't. `begin_with` are given first."""
    plan = _Plan()
    for key, choice in (begin_with or {}).items():
        plan.try_choice(problem.by_key[key], choice)
    parties = [party for party in problem.parties if party.key in choices and party.key not in plan.seats]
    seated = [party for party in parties if party.seat is not None]
    for party in seated:
        for choice in choices[party.key]:
            if not choice.moves and plan.try_choice(party, choice):
                break
    for party in sorted(parties, key=lambda party: (party.seat is None, party.start, -party.covers, party.key)):
        if party.key not in plan.seats:
            plan.try_any(party, choices[party.key])
    if any(party.key not in plan.seats for party in seated):
        return None
    return plan.seats


def tight_answer(problem: Problem, within: Mapping[str, Sequence[Choice]]) -> Seats:
    """Seats for as many of these as come by, those with the fewest choices first, alike ones in order of their starts;
    each where it leaves the shortest idle time beside its neighbours."""
    plan = _Plan()
    order = sorted(
        (problem.by_key[key] for key in within),
        key=lambda party: (
            len(within[party.key]) > 1,
            _joined(within[party.key]),
            party.start,
            -party.covers,
            party.key,
        ),
    )
    for party in order:
        free = [choice for choice in within[party.key] if plan.free(party, choice)]
        if free:
            plan.try_choice(party, min(free, key=lambda choice: (plan.idle(party, choice), choice.waste)))
    return plan.seats


def put_back(problem: Problem, choices: Mapping[str, Sequence[Choice]], seats: Seats) -> Seats:
    """The same seats, but whoever moved for nothing is back where it sat, until nobody else can be put back."""
    plan = _Plan()
    for key, choice in seats.items():
        plan.try_choice(problem.by_key[key], choice)
    back = True
    while back:
        back = False
        for key, choice in list(plan.seats.items()):
            own = next((each for each in choices[key] if not each.moves), None) if choice.moves else None
            if own is None:
                continue
            plan.give_up(problem.by_key[key])
            if plan.try_choice(problem.by_key[key], own):
                back = True
            else:
                plan.try_choice(problem.by_key[key], choice)
    return plan.seats


def _joined(choices: Sequence[Choice]) -> int:
    return -max((len(choice.tables) for choice in choices), default=0)


class _Plan:
    def __init__(self) -> None:
        self.seats: Seats = {}
        self._spans: defaultdict[int, list[Span]] = defaultdict(list)

    def free(self, party: Party, choice: Choice) -> bool:
        return all(self._free(table, party) for table in choice.tables)

    def idle(self, party: Party, choice: Choice) -> int:
        """The time that the tables would be idle before and after, up to their next use; an unused side is a day."""
        total = 0
        for table in choice.tables:
            spans = self._spans[table]
            place = bisect_left(spans, (party.end,))
            total += party.start - spans[place - 1][1] if place else _DAY
            total += spans[place][0] - party.end if place < len(spans) else _DAY
        return total

    def try_any(self, party: Party, choices: Sequence[Choice]) -> None:
        for choice in sorted(
            choices, key=lambda choice: (choice.relaxed, choice.waste, len(choice.tables), choice.tables)
        ):
            if self.try_choice(party, choice):
                return

    def try_choice(self, party: Party, choice: Choice) -> bool:
        if not self.free(party, choice):
            return False
        for table in choice.tables:
            insort(self._spans[table], (party.start, party.end))
        self.seats[party.key] = choice
        return True

    def give_up(self, party: Party) -> None:
        for table in self.seats.pop(party.key).tables:
            self._spans[table].remove((party.start, party.end))

    def _free(self, table: int, party: Party) -> bool:
        spans = self._spans[table]
        place = bisect_left(spans, (party.end,))
        return place == 0 or spans[place - 1][1] <= party.start
