"""Certain tables for parties: all of the day as a programme with a column for each set that a party can have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maitred.optimiser.choices import Choice, Span, cliques
from maitred.optimiser.linear import Aim, Linear
from maitred.optimiser.problem import Problem

Seats = dict[str, Choice]


@dataclass(slots=True)
class Concrete:
    """The programme; `columns` has the party and the choice of each column."""

    columns: list[tuple[str, Choice]]
    model: Linear
    aims: dict[str, Aim] = field(default_factory=dict)

    def hint(self, seats: Mapping[str, Choice]) -> list[int]:
        """The values of the columns for these seats."""
        return [int(key in seats and seats[key].tables == choice.tables) for key, choice in self.columns]

    def seats(self, values: Sequence[int]) -> Seats:
        """The seats that these values of the columns mean."""
        return {key: choice for (key, choice), value in zip(self.columns, values, strict=True) if value}


def concrete(problem: Problem, choices: Mapping[str, Sequence[Choice]], *, all_seated: bool) -> Concrete:
    """The day with these choices for the parties named. `all_seated`: each of them must get something; otherwise only
    those that have seats already."""
    model = Linear()
    columns: list[tuple[str, Choice]] = []
    worth: list[tuple[int, int]] = []
    using: defaultdict[int, list[tuple[Span, int]]] = defaultdict(list)
    for key, mine in choices.items():
        party = problem.by_key[key]
        own = []
        for choice in mine:
            column = model.column()
            columns.append((key, choice))
            own.append((column, 1))
            worth.append((column, problem.worth(party)))
            for table in choice.tables:
                using[table].append(((party.start, party.end), column))
        if own:
            model.row(own, least=1 if all_seated or party.seat is not None else None, most=1)
    for _, uses in sorted(using.items()):
        for clique in cliques([span for span, _ in uses]):
            if len(clique) > 1:
                model.row([(uses[place][1], 1) for place in clique], most=1)
    aims = {"worth": Aim(worth, maximise=True)}
    for name, of in (("moves", _moves), ("relaxed", _relaxed), ("waste", _waste)):
        terms = [(column, of(choice)) for column, (_, choice) in enumerate(columns) if of(choice)]
        aims[name] = Aim(terms, maximise=False)
    return Concrete(columns, model, aims)


def _moves(choice: Choice) -> int:
    return int(choice.moves)


def _relaxed(choice: Choice) -> int:
    return int(choice.relaxed)


def _waste(choice: Choice) -> int:
    return choice.waste
