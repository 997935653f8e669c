"""What the planner is asked and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from maitred.model.preferences import Preferences
from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation, Term


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A booking still without tables that the plan could get in the way of.

    Only bookings whose window overlaps the request's belong here. `occupied` is the bitmask of tables (by index in
    the floor) that are taken at any moment of THAT booking's window.
    """

    party: int
    occupied: int


@dataclass(frozen=True, slots=True)
class Request:
    """One question: which tables for this party?

    `occupied` is a bitmask over the floor's table indices: tables taken at any moment of the party's window.
    `max_tables` and `require_adjacency` override the policy when given; None leaves it to the policy. `zone_id`
    confines the choice to one zone; `avoid` are ids of tables not to be used. `demand_multiplier` scales the slack
    term. `limit` is how many ranked plans are wanted at most. `prices` say for each table of the floor, in its order,
    what it would be worth to others in this window (0 or more): the term `price` of a set is their sum. None at all
    means that there are none.

    What follows matters only as far as the policy asks for it. `lead_min` are the minutes left to the start; None is
    long before it. `section_covers` are the covers seated in each of `Floor.sections` in the party's window,
    `section_arrivals` those that start at about the same time. `lost_minutes` are the minutes at each table, in the
    floor's order, that would be too few for anybody before or after the party.
    """

    party: int
    occupied: int = 0
    max_tables: int | None = None
    require_adjacency: bool | None = None
    zone_id: int | None = None
    avoid: frozenset[int] = frozenset()
    demand_multiplier: float = 1.0
    upcoming: tuple[Upcoming, ...] = ()
    limit: int = 8
    prices: tuple[float, ...] = ()
    preferences: Preferences | None = None
    vip: bool = False
    service: str | None = None
    lead_min: int | None = None
    section_covers: tuple[int, ...] = ()
    section_arrivals: tuple[int, ...] = ()
    lost_minutes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """The score by term; lower is better. `total` is the terms' sum, rounded to 6 decimals so that equal is equal.

    `extra` are the terms that a venue or a question asks for beyond these; those that come to nothing are left out.
    """

    slack: float
    combination: float
    fragmentation: float
    zone_balance: float
    scarcity: float
    future_conflict: float
    total: float
    extra: tuple[tuple[Term, float], ...] = ()

    def terms(self) -> dict[str, float]:
        """Every term that the total is the sum of, by name."""
        return {
            "slack": self.slack,
            "combination": self.combination,
            "fragmentation": self.fragmentation,
            "zone_balance": self.zone_balance,
            "scarcity": self.scarcity,
            "future_conflict": self.future_conflict,
            **{term.value: value for term, value in self.extra},
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """One set of tables that can take the party. `mask` is the set as a bitmask over the floor's indices."""

    table_ids: tuple[int, ...]
    numbers: tuple[str, ...]
    zone_id: int
    capacity: int
    overage: int
    adjacency_cost: int
    mask: int
    score: Score


@dataclass(frozen=True, slots=True)
class Effort:
    """How the answer was come by. `exact` False means that the search was cut short and says "best found".

    `bound` is then what no set can score less than, as far as that could be told; the best found may be above it.
    """

    sets_in_catalogue: int
    candidates: int
    exact: bool = True
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """The feasible plans, best first, at most as many as asked for; never empty."""

    plans: Sequence[Plan]
    effort: Effort
    relaxed: frozenset[Relaxation] = frozenset()

    @property
    def best(self) -> Plan:
        """The plan with the lowest score; ties are broken as the rules say."""
        return self.plans[0]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing fits, and why.

    `price` goes with a party that was declined: what the best tables would otherwise earn, in covers.
    """

    reason: ReasonCode
    effort: Effort = field(default_factory=lambda: Effort(0, 0))
    price: float | None = field(default=None, compare=False)


Answer = Ranked | Refused
