"""How a venue weighs its candidates: the knobs of the score and what may be relaxed.

The defaults are those of the original system.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum

from maitred.errors import InvalidInput
from maitred.model.joined import MOST_TABLES
from maitred.model.preferences import Preference, Preferences

MOST_LEAD_MIN = 60 * 24 * 366


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


class Term(StrEnum):
    """The terms of a score beyond the original's: each is there only when a venue or a question asks for it."""

    SET_ORDER = "set_order"
    PRICE = "price"
    PRIORITY = "priority"
    GUEST_PREFERENCE = "guest_preference"
    VENUE_PREFERENCE = "venue_preference"
    VIP = "vip"
    LARGE_TABLE = "large_table"
    SECTION = "section"
    PACING = "pacing"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Weights:
    """Price per unit of each term of the score; lower scores win.

    From `set_order` on the terms are a venue's own, and nothing by default. Their units: a rank, a step of priority, a
    wish that isn't met (twice), a table of or outside the VIPs', a large table, a cover more than the least loaded
    section has, a cover that arrives in the section at the same time, a minute that nobody can use.
    """

    overage: float = 5.0
    table_count: float = 3.0
    fragmentation: float = 2.0
    zone_balance: float = 4.0
    adjacency_cost: float = 1.0
    scarcity: float = 22.0
    set_order: float = 0.0
    priority: float = 0.0
    guest_preference: float = 0.0
    venue_preference: float = 0.0
    vip: float = 0.0
    large_table: float = 0.0
    section: float = 0.0
    pacing: float = 0.0
    gap: float = 0.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not math.isfinite(value) or value < 0:
                raise InvalidInput("weights", each.name, "must be a finite number of 0 or more")


MOST_MOVES = 50


@dataclass(frozen=True, slots=True)
class MovesPolicy:
    """Whether seated bookings may get other tables so that one more party fits. Their times never change.

    `most` is the largest number of bookings moved for one party; 0 switches moves off. A booking that starts within
    `horizon_minutes` stays where it is. `cost` is the price of one move in points of the score, for choosing between
    ways that move equally many.
    """

    most: int = 0
    horizon_minutes: int = 60
    cost: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.most <= MOST_MOVES:
            raise InvalidInput("moves", "most", f"must be from 0 to {MOST_MOVES}")
        if not 0 <= self.horizon_minutes <= 1440:
            raise InvalidInput("moves", "horizon_minutes", "must be from 0 to 1440")
        if not math.isfinite(self.cost) or self.cost < 0:
            raise InvalidInput("moves", "cost", "must be a finite number of 0 or more")


@dataclass(frozen=True, slots=True)
class PricesPolicy:
    """Whether tables cost what they would otherwise earn, by the demand still to come (ADR 17).

    `points_per_cover` turns prices, which are in covers, into points of the score. `decline`: a party whose best tables
    are priced more than `margin` covers above its own is refused although it could be seated. `use` False switches all
    of it off.
    """

    use: bool = False
    points_per_cover: float = 25.0
    decline: bool = False
    margin: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.margin) or self.margin < 0:
            raise InvalidInput("prices", "margin", "must be a finite number of 0 or more covers")
        if not math.isfinite(self.points_per_cover) or self.points_per_cover < 0:
            raise InvalidInput("prices", "points_per_cover", "must be a finite number of 0 or more")
        if self.decline and not (self.use and self.points_per_cover):
            raise InvalidInput("prices", "decline", "needs prices in use and points for a cover")


@dataclass(frozen=True, slots=True)
class KeepLarge:
    """Tables of `seats` or more are not for parties below `party` until `until_min` minutes before their start.

    `hard` rules them out, else each costs the weight `large_table`. `service` None means every service.
    """

    seats: int
    party: int
    until_min: int = 0
    hard: bool = False
    service: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("seats", self.seats), ("party", self.party)):
            if value < 1:
                raise InvalidInput("keep_large", name, "must be 1 or more")
        if not 0 <= self.until_min <= MOST_LEAD_MIN:
            raise InvalidInput("keep_large", "until_min", f"must be from 0 to {MOST_LEAD_MIN}")

    def applies(self, party: int, service: str | None, lead_min: int | None) -> bool:
        """Whether it binds a party in this service, so many minutes before its start; None: long before."""
        if party >= self.party or self.service not in (None, service):
            return False
        return lead_min is None or lead_min > self.until_min


@dataclass(frozen=True, slots=True)
class ScoringPolicy:
    """A venue's scoring rules.

    `max_overage` is in seats, `max_tables` from 1 to 5. `adjacency_from_party` is the party size from which a set
    must satisfy `adjacency_mode`: 1 means always, None never. `allowed` are the relaxations a quote may fall back
    on, in the ladder's own order. `lookahead_penalty` is added for every waiting booking that a plan would leave
    without any feasible set; a plan whose penalties exceed `lookahead_limit` is dropped (None: never).

    `hard_preferences` are the guests' wishes that the venue treats as needs, `preferences` what the venue itself would
    like for every party. `vip_only`: tables marked for VIPs are for nobody else. Covers that start within
    `pacing_minutes` of each other arrive at the same time.
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
    moves: MovesPolicy = field(default_factory=MovesPolicy)
    prices: PricesPolicy = field(default_factory=PricesPolicy)
    keep_large: tuple[KeepLarge, ...] = ()
    hard_preferences: frozenset[Preference] = frozenset()
    preferences: Preferences = field(default_factory=Preferences)
    vip_only: bool = False
    pacing_minutes: int = 15

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
        if self.preferences.must:
            raise InvalidInput("scoring", "preferences", "what the venue would like can't be needed by every party")
        if not 1 <= self.pacing_minutes <= 120:
            raise InvalidInput("scoring", "pacing_minutes", "must be from 1 to 120")
        if self.lookahead_limit is not None and not self.lookahead_limit >= 0:
            raise InvalidInput("scoring", "lookahead_limit", "must be 0 or more, or null for no limit")
