"""A whole-number programme by columns and rows, as both solvers take it; and what a solver says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Terms = Sequence[tuple[int, int]]
"""Pairs of a column and its factor."""


@dataclass(slots=True)
class Linear:
    """Columns are whole numbers from 0 to `upper`. A row is (terms, least, most); None: no such bound."""

    upper: list[int] = field(default_factory=list)
    rows: list[tuple[Terms, int | None, int | None]] = field(default_factory=list)

    def column(self, upper: int = 1) -> int:
        """A new column; returns its number."""
        self.upper.append(upper)
        return len(self.upper) - 1

    def row(self, terms: Terms, *, least: int | None = None, most: int | None = None) -> None:
        """A new row."""
        self.rows.append((terms, least, most))


@dataclass(frozen=True, slots=True)
class Aim:
    """What a solve is to bring up or down."""

    terms: Terms
    maximise: bool


@dataclass(frozen=True, slots=True)
class Solved:
    """`values` by column; None when nothing was found, then `infeasible` tells whether there is nothing.

    `bound` is what no other values can beat; None when the solver has none.
    """

    values: Sequence[int] | None
    bound: float | None
    infeasible: bool = False

    def value_of(self, terms: Terms) -> int:
        """The value of an aim's terms. Raises ValueError when nothing was found."""
        if self.values is None:
            raise ValueError("nothing was found")
        return sum(factor * self.values[column] for column, factor in terms)
