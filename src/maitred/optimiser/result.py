"""What came of an optimisation: who sits where, how good that is, and how good it could be at most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from maitred.errors import InvalidInput


class Status(StrEnum):
    """`optimal`: proved on every level. `feasible`: the search ended by itself without the whole proof. `deadline`:
    time ran out, and this is the best so far. `infeasible`: not everybody who must be seated can be."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Params:
    """How an optimisation is run. `deadline_s` is wall time in seconds, for all of it. With the same seed and number of
    workers a search that ends before its deadline gives the same answer again."""

    deadline_s: float = 10.0
    workers: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.deadline_s) and self.deadline_s > 0):
            raise InvalidInput("optimiser", "deadline", "must be more than 0 seconds")
        if self.workers < 1:
            raise InvalidInput("optimiser", "workers", "must be 1 or more")
        if self.seed < 0:
            raise InvalidInput("optimiser", "seed", "must be 0 or more")


@dataclass(frozen=True, slots=True)
class Level:
    """One of the aims, in their order. `bound` is what no answer with the same values on the levels before can beat."""

    name: str
    value: int
    bound: float

    @property
    def proved(self) -> bool:
        """Whether nothing better exists."""
        return abs(self.value - self.bound) < 1e-6

    @property
    def gap(self) -> float:
        """How far the value may be from the best, as a share of the bound."""
        return 0.0 if self.proved else abs(self.bound - self.value) / max(abs(self.bound), 1.0)


@dataclass(frozen=True)
class Result:
    """`seats` has the tables (ids, ascending) of everybody seated.

    `levels`: what counts most first (covers or parties), then moves, relaxed rules, waste in seats. `conflict` names
    the two that can't both keep what they are locked to.
    """

    status: Status
    seats: Mapping[str, tuple[int, ...]]
    levels: tuple[Level, ...]
    seated: int
    covers: int
    moves: tuple[str, ...]
    seconds: float
    conflict: tuple[str, str] | None = None

    @property
    def objective(self) -> int:
        """The value of the first level."""
        return self.levels[0].value if self.levels else 0

    @property
    def bound(self) -> float:
        """The proved bound of the first level."""
        return self.levels[0].bound if self.levels else 0.0

    @property
    def gap(self) -> float:
        """The gap of the first level."""
        return self.levels[0].gap if self.levels else 0.0
