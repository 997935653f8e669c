"""How a venue weighs its candidates: the knobs of the score and what may be relaxed.

The defaults are those of the original system.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum

from maitred.errors import InvalidInput

MOST_TABLES = 5


class AdjacencyMode(StrEnum):
    """What a set of tables must look like: connected, one touching all others, or all touching all."""

    CONNECTED = "connected"
    NEIGHBORS = "neighbors"
    PAIRWISE = "pairwise"


class Relaxation(StrEnum):
    """What may give way when nothing fits. `ADJACENCY` and `MIN_PARTY` are also tried together."""

    ADJACENCY = "adjacency"
    MIN_PARTY = "min_party"
    OVERAGE = "overage"


@dataclass(frozen=True, slots=True)
class Weights:
    """Price per unit of each term of the score; lower scores win."""

    overage: float = 5.0
    table_count: float = 3.0
    fragmentation: float = 2.0
    zone_balance: float = 4.0
    adjacency_cost: float = 1.0
    scarcity: float = 22.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not math.isfinite(value) or value < 0:
                raise InvalidInput("weights", each.name, "must be a finite number of 0 or more")


@dataclass(frozen=True, slots=True)
class ScoringPolicy:
    """A venue's scoring rules.

    `max_overage` is in seats, `max_tables` from 1 to 5. `adjacency_from_party` is the party size from which a set
    must satisfy `adjacency_mode`: 1 means always, None never. `allowed` are the relaxations a quote may fall back
    on, in the ladder's own order. `lookahead_penalty` is added for every waiting booking that a plan would leave
    without any feasible set; a plan whose penalties exceed `lookahead_limit` is dropped (None: never).
    """

    weights: Weights = field(default_factory=Weights)
    max_overage: int = 4
    max_tables: int = 3
    adjacency_mode: AdjacencyMode = AdjacencyMode.CONNECTED
    adjacency_from_party: int | None = 1
    allowed: frozenset[Relaxation] = frozenset()
    lookahead_minutes: int = 120
    lookahead_penalty: float = 500.0
    lookahead_limit: float | None = None

    def __post_init__(self) -> None:
        if self.max_overage < 0:
            raise InvalidInput("scoring", "max_overage", "must be 0 or more seats")
        if not 1 <= self.max_tables <= MOST_TABLES:
            raise InvalidInput("scoring", "max_tables", f"must be from 1 to {MOST_TABLES}")
        if self.adjacency_from_party is not None and self.adjacency_from_party < 1:
            raise InvalidInput("scoring", "adjacency_from_party", "must be 1 or more, or null for never")
        if not 0 <= self.lookahead_minutes <= 240:
            raise InvalidInput("scoring", "lookahead_minutes", "must be from 0 to 240")
        if not math.isfinite(self.lookahead_penalty) or self.lookahead_penalty < 0:
            raise InvalidInput("scoring", "lookahead_penalty", "must be a finite number of 0 or more")
        if self.lookahead_limit is not None and not self.lookahead_limit >= 0:
            raise InvalidInput("scoring", "lookahead_limit", "must be 0 or more, or null for no limit")
