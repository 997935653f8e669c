"""The flight record of a quote: what each planning in it was asked and what it answered, packed to be kept.

It holds numbers and codes alone: no reference, no name, nothing of a guest. Tables are known by their ids, in masks by
the rank of their id among the floor's ids, so that a record means the same whatever order later code gives a floor.
What the floor and the policy were is kept once for each version (`versions`), not in the record.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from maitred.errors import InvalidInput
from maitred.model.floor import Floor, SeatingType
from maitred.model.period import Period, as_micros, from_micros
from maitred.model.policy import Window
from maitred.model.preferences import Preference, Preferences
from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation, ScoringPolicy, Term
from maitred.observability.values import Packed, Packs
from maitred.planner.answer import Answer, Ranked, Request, Score, Upcoming
from maitred.venue.read import Venue

FORMAT = 1

# What a field that was left out means, in records of this format for ever.
_NO_DEMAND = 1.0
_LIMIT = 8
_SCORED = 2

# Small tables cost little to set up, and a record is shorter than their window.
_LEVEL, _WINDOW_BITS, _MEMORY = 6, 12, 5

_party_and_mask = attrgetter("party", "occupied")
_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Decision(NamedTuple):
    """One planning as it happened. `request` and `window` are None where the planner needn't be asked."""

    venue: Venue
    party: int
    starts_at: datetime
    window: Window | None
    request: Request | None
    answer: Answer | ReasonCode


@dataclass(frozen=True, slots=True)
class RankedPlan:
    """One plan of an answer: the ids of its tables, ascending, and its total. `score` is there for the best two."""

    table_ids: tuple[int, ...]
    total: float
    score: Score | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is kept of an answer, so that two can be compared: the plans, best first, or why there are none."""

    plans: tuple[RankedPlan, ...]
    reason: ReasonCode | None
    relaxed: frozenset[Relaxation]
    exact: bool

    @property
    def best(self) -> RankedPlan | None:
        """The plan that was to be held."""
        return self.plans[0] if self.plans else None


@dataclass(frozen=True, slots=True)
class Asked:
    """The planner's question as it is kept. Masks are over the ranks of the floor's table ids.

    `upcoming` has (party, mask, how many such bookings), in the order in which they first came.
    """

    occupied: int
    demand_multiplier: float
    max_tables: int | None
    require_adjacency: bool | None
    zone_id: int | None
    avoid: frozenset[int]
    limit: int
    upcoming: tuple[tuple[int, int, int], ...]
    prices: tuple[float, ...] = ()
    wishes: Mapping[str, Any] | None = None
    vip: bool = False
    service: str | None = None
    lead_min: int | None = None
    section_covers: tuple[int, ...] = ()
    section_arrivals: tuple[int, ...] = ()
    lost_minutes: tuple[int, ...] = ()

    def request(self, party: int, floor: Floor) -> Request:
        """The question in the planner's terms. Raises InvalidInput when it was asked about another floor."""
        places = Places(floor)
        return Request(
            party=party,
            occupied=places.on_floor(self.occupied),
            max_tables=self.max_tables,
            require_adjacency=self.require_adjacency,
            zone_id=self.zone_id,
            avoid=self.avoid,
            demand_multiplier=self.demand_multiplier,
            upcoming=tuple(
                each
                for waiting, mask, bookings in self.upcoming
                for each in [Upcoming(waiting, places.on_floor(mask))] * bookings
            ),
            limit=self.limit,
            prices=places.on_floor_all(self.prices),
            preferences=None if self.wishes is None else places.preferences(self.wishes),
            vip=self.vip,
            service=self.service,
            lead_min=self.lead_min,
            section_covers=self.section_covers,
            section_arrivals=self.section_arrivals,
            lost_minutes=places.on_floor_all(self.lost_minutes),
        )


@dataclass(frozen=True, slots=True)
class Recorded:
    """One planning as it was kept. `blocked` is what tables were wanted for; None, as `asked`, when none were."""

    policy_version: int
    floor_version: int
    party: int
    starts_at: datetime
    blocked: Period | None
    asked: Asked | None
    outcome: Outcome


class FlightRecord(Packs):
    """The plannings of one quote, in order. Packing waits until the quote's event is written."""

    __slots__ = ("_decisions",)

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self._decisions = tuple(decisions)

    def packed(self) -> bytes:
        """All of them; when that is too much, the last ones, with the number of those left out."""
        kept = [_decision_json(decision) for decision in self._decisions]
        left_out = 0
        while True:
            packed = _compressed(_to_json([FORMAT, left_out, *kept]).encode())
            if len(packed) <= Packed.MOST_BYTES or len(kept) < 2:
                return packed
            half = (len(kept) + 1) // 2
            left_out += half
            kept = kept[half:]


class Places:
    """From a floor's masks to a record's and back: a table's bit there is the rank of its id among the floor's ids."""

    def __init__(self, floor: Floor) -> None:
        ids = [table.id for table in floor.tables]
        self._count = len(ids)
        self._zones = floor.zones
        self._in_record: itemgetter[Any] | None = None
        self._on_floor: itemgetter[Any] | None = None
        by_id = sorted(range(len(ids)), key=ids.__getitem__)
        if by_id != list(range(len(ids))):
            ranks = [0] * len(ids)
            for rank, index in enumerate(by_id):
                ranks[index] = rank
            self._in_record = itemgetter(*by_id)
            self._on_floor = itemgetter(*ranks)

    def in_record(self, mask: int) -> int:
        """The record's mask of a floor's."""
        return self._moved(mask, self._in_record)

    def on_floor(self, mask: int) -> int:
        """The floor's mask of a record's. Raises InvalidInput for one with more tables than the floor has."""
        if mask >> self._count:
            raise InvalidInput("flight record", "occupied", "is about another floor")
        return self._moved(mask, self._on_floor)

    def wishes(self, preferences: Preferences) -> dict[str, Any]:
        """A guest's preferences in codes: a zone by its id, 0 for one that the floor doesn't have."""
        found: dict[str, Any] = {wish.value: getattr(preferences, wish.value) for wish in preferences.wished()}
        if preferences.zone is not None:
            named = {name.casefold(): zone_id for zone_id, name in self._zones.items()}
            found["zone"] = named.get(preferences.zone.casefold(), 0)
        if preferences.must:
            found["must"] = sorted(each.value for each in preferences.must)
        return found

    def preferences(self, wishes: Mapping[str, Any]) -> Preferences:
        """What `wishes` was made of. A zone that is unknown is one that no table is in."""
        zone, seating_type = wishes.get("zone"), wishes.get("seating_type")
        return Preferences(
            zone=None if zone is None else self._zones.get(zone, ""),
            seating_type=None if seating_type is None else SeatingType(seating_type),
            high_chair=wishes.get("high_chair", False),
            step_free=wishes.get("step_free", False),
            must=frozenset(Preference(each) for each in wishes.get("must", ())),
        )

    def in_record_all(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """One value for each table, in the record's order."""
        return values if self._in_record is None or not values else self._in_record(values)

    def on_floor_all(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """One value for each table, in the floor's order. Raises InvalidInput for the values of another floor."""
        if values and len(values) != self._count:
            raise InvalidInput("flight record", "tables", "are another floor's")
        return values if self._on_floor is None or not values else self._on_floor(values)

    def _moved(self, mask: int, picked: itemgetter[Any] | None) -> int:
        if picked is None or not mask:
            return mask
        bits = format(mask, f"0{self._count}b")[::-1]
        return int("".join(picked(bits))[::-1], 2)


def outcome_of(answer: Answer | ReasonCode) -> Outcome:
    """What is kept of an answer."""
    if isinstance(answer, ReasonCode):
        return Outcome((), answer, frozenset(), exact=True)
    if isinstance(answer, Ranked):
        plans = tuple(
            RankedPlan(tuple(sorted(plan.table_ids)), plan.score.total, plan.score if rank < _SCORED else None)
            for rank, plan in enumerate(answer.plans)
        )
        return Outcome(plans, None, answer.relaxed, answer.effort.exact)
    return Outcome((), answer.reason, frozenset(), answer.effort.exact)


def read_record(text: str) -> tuple[Recorded, ...]:
    """The plannings in a record as its event keeps it. Raises InvalidInput for what this release can't read."""
    unpacked = Packed.unpack(text)
    if unpacked is None:
        raise InvalidInput("flight record", "contents", "is damaged")
    try:
        found, _left_out, *decisions = json.loads(unpacked)
        if found != FORMAT:
            raise InvalidInput("flight record", "format", f"is {found}, this release reads {FORMAT}")
        return tuple(_recorded(each) for each in decisions)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidInput("flight record", "contents", "is damaged") from error


def _compressed(data: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY)
    return packer.compress(data) + packer.flush()


def _decision_json(decision: Decision) -> dict[str, Any]:
    venue, party, starts_at, window, request, answer = decision
    start = as_micros(starts_at)
    kept: dict[str, Any] = {
        "policy": venue.policy_version,
        "floor": venue.floor_version,
        "party": party,
        "start": start,
    }
    if window is not None:
        kept["blocked"] = [as_micros(window.blocked.start) - start, as_micros(window.blocked.end) - start]
    if request is not None:
        places = Places(venue.floor)
        kept |= _asked_json(request, places) | _weighed_json(request, places, venue.policy.scoring)
    return kept | _answer_json(answer)


def _asked_json(request: Request, places: Places) -> dict[str, Any]:
    occupied = places.in_record(request.occupied)
    kept: dict[str, Any] = {"occupied": format(occupied, "x")}
    if request.demand_multiplier != _NO_DEMAND:
        kept["demand"] = request.demand_multiplier
    choices = {
        "max_tables": request.max_tables,
        "adjacent": request.require_adjacency,
        "zone": request.zone_id,
        "avoid": sorted(request.avoid) or None,
        "limit": None if request.limit == _LIMIT else request.limit,
    }
    kept |= {key: value for key, value in choices.items() if value is not None}
    if request.prices:
        kept["prices"] = places.in_record_all(request.prices)
    if request.upcoming:
        # Many wait for the same minutes, and what is taken then is mostly what is taken now: a few masks, as what
        # sets them apart from the occupied one.
        waiting = Counter(map(_party_and_mask, request.upcoming))
        masks: dict[int, int] = {}
        counted: list[int] = []
        for (party, mask), bookings in waiting.items():
            counted += (party, masks.setdefault(mask, len(masks)), bookings)
        kept["masks"] = [format(places.in_record(mask) ^ occupied, "x") for mask in masks]
        kept["upcoming"] = counted
    return kept


def _weighed_json(request: Request, places: Places, scoring: ScoringPolicy) -> dict[str, Any]:
    """What the venue's own terms and rules look at; nothing of it where the policy asks for none."""
    wishes = None if request.preferences is None else places.wishes(request.preferences)
    by_service = scoring.weights.priority or scoring.keep_large
    kept = {
        "wishes": wishes,
        "vip": request.vip or None,
        "service": request.service if by_service else None,
        "lead": request.lead_min,
        "covers": request.section_covers or None,
        "arrivals": request.section_arrivals or None,
        "lost": places.in_record_all(request.lost_minutes) or None,
    }
    return {key: value for key, value in kept.items() if value is not None}


def _answer_json(answer: Answer | ReasonCode) -> dict[str, Any]:
    if isinstance(answer, ReasonCode):
        return {"reason": answer.value}
    kept: dict[str, Any] = {} if answer.effort.exact else {"exact": False}
    if not isinstance(answer, Ranked):
        return kept | {"reason": answer.reason.value}
    kept["plans"] = [[plan.score.total, *plan.table_ids] for plan in answer.plans]
    kept["scores"] = [_terms(plan.score) for plan in answer.plans[:_SCORED]]
    if answer.relaxed:
        kept["relaxed"] = sorted(each.value for each in answer.relaxed)
    return kept


def _terms(score: Score) -> list[Any]:
    terms: list[Any] = [
        score.slack,
        score.combination,
        score.fragmentation,
        score.zone_balance,
        score.scarcity,
        score.future_conflict,
    ]
    if score.extra:
        terms.append(dict(score.extra))
    return terms


def _recorded(kept: dict[str, Any]) -> Recorded:
    start = kept["start"]
    blocked = kept.get("blocked")
    return Recorded(
        policy_version=kept["policy"],
        floor_version=kept["floor"],
        party=kept["party"],
        starts_at=from_micros(start),
        blocked=None if blocked is None else Period(*(from_micros(start + offset) for offset in blocked)),
        asked=_asked(kept) if "occupied" in kept else None,
        outcome=_outcome(kept),
    )


def _asked(kept: dict[str, Any]) -> Asked:
    occupied = int(kept["occupied"], 16)
    masks = [int(mask, 16) ^ occupied for mask in kept.get("masks", ())]
    numbers = iter(kept.get("upcoming", ()))
    return Asked(
        occupied=occupied,
        demand_multiplier=kept.get("demand", _NO_DEMAND),
        max_tables=kept.get("max_tables"),
        require_adjacency=kept.get("adjacent"),
        zone_id=kept.get("zone"),
        avoid=frozenset(kept.get("avoid", ())),
        limit=kept.get("limit", _LIMIT),
        prices=tuple(kept.get("prices", ())),
        wishes=kept.get("wishes"),
        vip=kept.get("vip", False),
        service=kept.get("service"),
        lead_min=kept.get("lead"),
        section_covers=tuple(kept.get("covers", ())),
        section_arrivals=tuple(kept.get("arrivals", ())),
        lost_minutes=tuple(kept.get("lost", ())),
        upcoming=tuple(
            (party, masks[mask], count) for party, mask, count in zip(numbers, numbers, numbers, strict=True)
        ),
    )


def _score(terms: list[Any], total: float) -> Score:
    slack, combination, fragmentation, zone_balance, scarcity, future_conflict, *asked = terms
    extra = tuple((Term(name), value) for name, value in asked[0].items()) if asked else ()
    return Score(slack, combination, fragmentation, zone_balance, scarcity, future_conflict, total, extra)


def _outcome(kept: dict[str, Any]) -> Outcome:
    scores: list[list[Any]] = kept.get("scores", [])
    return Outcome(
        plans=tuple(
            RankedPlan(tuple(sorted(ids)), total, _score(scores[rank], total) if rank < len(scores) else None)
            for rank, (total, *ids) in enumerate(kept.get("plans", ()))
        ),
        reason=ReasonCode(kept["reason"]) if "reason" in kept else None,
        relaxed=frozenset(Relaxation(each) for each in kept.get("relaxed", ())),
        exact=kept.get("exact", True),
    )
