"""Scoring and demand as JSON: the same shape in an imported file and in the columns `scoring` and `demand`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationError

from maitred.errors import InvalidInput
from maitred.model.floor import SeatingType
from maitred.model.policy import Demand
from maitred.model.preferences import Preference, Preferences
from maitred.model.scoring import (
    AdjacencyMode,
    KeepLarge,
    MovesPolicy,
    PricesPolicy,
    Relaxation,
    ScoringPolicy,
    Weights,
)
from maitred.venue.problems import field_path, problem_of

Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DEFAULT = ScoringPolicy()
_WEIGHTS = _DEFAULT.weights


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WeightsJson(_Shape):
    """`scoring.weights`. What is left out keeps its default."""

    overage: Number = _WEIGHTS.overage
    table_count: Number = _WEIGHTS.table_count
    fragmentation: Number = _WEIGHTS.fragmentation
    zone_balance: Number = _WEIGHTS.zone_balance
    adjacency_cost: Number = _WEIGHTS.adjacency_cost
    scarcity: Number = _WEIGHTS.scarcity
    set_order: Number = _WEIGHTS.set_order
    priority: Number = _WEIGHTS.priority
    guest_preference: Number = _WEIGHTS.guest_preference
    venue_preference: Number = _WEIGHTS.venue_preference
    vip: Number = _WEIGHTS.vip
    large_table: Number = _WEIGHTS.large_table
    section: Number = _WEIGHTS.section
    pacing: Number = _WEIGHTS.pacing
    gap: Number = _WEIGHTS.gap


class MovesJson(_Shape):
    """`scoring.moves`. What is left out keeps its default, and the default is not to move anybody."""

    most: Whole = _DEFAULT.moves.most
    horizon_minutes: Whole = _DEFAULT.moves.horizon_minutes
    cost: Number = _DEFAULT.moves.cost


class PricesJson(_Shape):
    """`scoring.prices`. What is left out keeps its default, and the default is to have none."""

    use: Annotated[bool, Strict()] = False
    points_per_cover: Number = _DEFAULT.prices.points_per_cover
    decline: Annotated[bool, Strict()] = False
    margin: Number = _DEFAULT.prices.margin


class KeepLargeJson(_Shape):
    """One member of `scoring.keep_large`."""

    seats: Whole
    party: Whole
    until_min: Whole = 0
    hard: Annotated[bool, Strict()] = False
    service: str | None = None


class PreferencesJson(_Shape):
    """What is liked of tables: a guest's on the booking (`bookings.preferences`), the venue's in `scoring`."""

    zone: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    seating_type: SeatingType | None = None
    high_chair: Annotated[bool, Strict()] = False
    step_free: Annotated[bool, Strict()] = False
    must: tuple[Preference, ...] = ()

    def preferences(self) -> Preferences:
        """The model's value."""
        return Preferences(self.zone, self.seating_type, self.high_chair, self.step_free, frozenset(self.must))


class ScoringJson(_Shape):
    """`scoring`. What is left out keeps its default; an unknown key is refused."""

    weights: WeightsJson = WeightsJson()
    max_overage: Whole = _DEFAULT.max_overage
    max_tables: Whole = _DEFAULT.max_tables
    adjacency_mode: AdjacencyMode = _DEFAULT.adjacency_mode
    adjacency_from_party: Whole | None = _DEFAULT.adjacency_from_party
    relaxations: tuple[Relaxation, ...] = ()
    lookahead_minutes: Whole = _DEFAULT.lookahead_minutes
    lookahead_penalty: Number = _DEFAULT.lookahead_penalty
    lookahead_limit: Number | None = _DEFAULT.lookahead_limit
    moves: MovesJson = MovesJson()
    prices: PricesJson = PricesJson()
    keep_large: tuple[KeepLargeJson, ...] = ()
    hard_preferences: tuple[Preference, ...] = ()
    preferences: PreferencesJson = PreferencesJson()
    vip_only: Annotated[bool, Strict()] = False
    pacing_minutes: Whole = _DEFAULT.pacing_minutes

    def policy(self) -> ScoringPolicy:
        """The model's value. Raises InvalidInput where a number is out of its bounds."""
        return ScoringPolicy(
            weights=Weights(**self.weights.model_dump()),
            max_overage=self.max_overage,
            max_tables=self.max_tables,
            adjacency_mode=self.adjacency_mode,
            adjacency_from_party=self.adjacency_from_party,
            allowed=frozenset(self.relaxations),
            lookahead_minutes=self.lookahead_minutes,
            lookahead_penalty=self.lookahead_penalty,
            lookahead_limit=self.lookahead_limit,
            moves=MovesPolicy(**self.moves.model_dump()),
            prices=PricesPolicy(**self.prices.model_dump()),
            keep_large=tuple(KeepLarge(**each.model_dump()) for each in self.keep_large),
            hard_preferences=frozenset(self.hard_preferences),
            preferences=self.preferences.preferences(),
            vip_only=self.vip_only,
            pacing_minutes=self.pacing_minutes,
        )


class DemandJson(_Shape):
    """One member of `demand`: a factor for a service on some weekdays."""

    service: str
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1)]
    multiplier: Annotated[Number, Field(ge=0, le=100)]

    def demand(self) -> Demand:
        """The model's value."""
        return Demand(self.service, frozenset(WEEKDAYS.index(day) for day in self.weekdays), self.multiplier)


_DEMAND = TypeAdapter(tuple[DemandJson, ...])


def scoring_from_json(slug: str, value: Any) -> ScoringPolicy:
    """Reads the column `scoring`. Raises InvalidInput naming the restaurant when somebody wrote nonsense into it."""
    try:
        return ScoringJson.model_validate(value).policy()
    except ValidationError as error:
        raise _stored_badly(slug, "scoring", error) from None


def demand_from_json(slug: str, value: Any) -> tuple[Demand, ...]:
    """Reads the column `demand`. Raises InvalidInput naming the restaurant when somebody wrote nonsense into it."""
    try:
        return tuple(each.demand() for each in _DEMAND.validate_python(value))
    except ValidationError as error:
        raise _stored_badly(slug, "demand", error) from None


def scoring_to_json(policy: ScoringPolicy) -> dict[str, Any]:
    """What goes into the column `scoring`."""
    return {
        "weights": asdict(policy.weights),
        "max_overage": policy.max_overage,
        "max_tables": policy.max_tables,
        "adjacency_mode": policy.adjacency_mode.value,
        "adjacency_from_party": policy.adjacency_from_party,
        "relaxations": sorted(each.value for each in policy.allowed),
        "lookahead_minutes": policy.lookahead_minutes,
        "lookahead_penalty": policy.lookahead_penalty,
        "lookahead_limit": policy.lookahead_limit,
        "moves": asdict(policy.moves),
        "prices": asdict(policy.prices),
        "keep_large": [asdict(rule) for rule in policy.keep_large],
        "hard_preferences": sorted(each.value for each in policy.hard_preferences),
        "preferences": preferences_to_json(policy.preferences),
        "vip_only": policy.vip_only,
        "pacing_minutes": policy.pacing_minutes,
    }


def preferences_to_json(preferences: Preferences) -> dict[str, Any]:
    """What goes into the column `bookings.preferences`; only what there is a wish about."""
    found: dict[str, Any] = {wish.value: getattr(preferences, wish.value) for wish in preferences.wished()}
    if preferences.must:
        found["must"] = sorted(preferences.must)
    return found


def preferences_from_json(item: str, value: Any) -> Preferences:
    """A guest's preferences as JSON. Raises InvalidInput naming the item and the field."""
    try:
        return PreferencesJson.model_validate(value).preferences()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidInput(item, field_path(("preferences", *first["loc"])), problem_of(first)) from None


def demand_to_json(demand: tuple[Demand, ...]) -> list[dict[str, Any]]:
    """What goes into the column `demand`."""
    return [
        {
            "service": each.service,
            "weekdays": [WEEKDAYS[day] for day in sorted(each.weekdays)],
            "multiplier": each.multiplier,
        }
        for each in demand
    ]


def _stored_badly(slug: str, column: str, error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False, include_input=False)[0]
    return InvalidInput(f"restaurant {slug}", field_path((column, *first["loc"])), problem_of(first))
