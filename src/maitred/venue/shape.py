"""The shape of an imported file: which keys, of which types, within which bounds. docs/import-format.md explains it.

What can only be seen by looking at two places at once is checked in `document`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, Strict, StringConstraints

from maitred.model.floor import Mobility, SeatingType, TableCategory, TableFeature, TableStatus
from maitred.model.policy import OutsideService
from maitred.venue.scoring import DemandJson, Number, PreferencesJson, ScoringJson, Whole

FORMAT = "maitred.day/1"


_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?")


def _slug(text: str) -> str:
    if not _SLUG.fullmatch(text):
        raise ValueError("must be lower-case letters, digits and inner hyphens, at most 100")
    return text


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable text without blanks at its ends")
    return text


Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_printable)]
Slug = Annotated[str, AfterValidator(_slug)]
Seats = Annotated[Whole, Field(ge=1, le=1_000_000)]
Minutes = Annotated[Whole, Field(ge=0, le=1440)]
YesNo = Annotated[bool, Strict()]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RestaurantJson(_Shape):
    name: Name
    slug: Slug
    timezone: Name


class TableJson(_Shape):
    number: Name
    zone: Name
    capacity: Seats
    min_party_size: Seats = 1
    max_party_size: Seats | None = None
    category: TableCategory = TableCategory.DINING
    seating_type: SeatingType = SeatingType.STANDARD
    mobility: Mobility = Mobility.MOVABLE
    status: TableStatus = TableStatus.AVAILABLE
    active: YesNo = True
    features: tuple[TableFeature, ...] = ()
    section: Name | None = None
    priority: dict[Name, Annotated[Whole, Field(ge=0, le=1_000)]] = {}


class LostSeatsJson(_Shape):
    tables: tuple[Name, Name]
    seats: Annotated[Whole, Field(ge=0)]


class JoinedSetJson(_Shape):
    tables: Annotated[tuple[Name, ...], Field(max_length=20)]
    capacity: Seats | None = None
    min_party_size: Seats | None = None
    max_party_size: Seats | None = None
    rank: Seats | None = None
    forbidden: YesNo = False


class ScarcityJson(_Shape):
    capacity: Seats
    category: TableCategory
    seating_type: SeatingType
    scarcity: Annotated[Number, Field(ge=0)]


class ServiceJson(_Shape):
    start: str
    end: str
    turn_bands: tuple[tuple[Seats, Minutes], ...]
    buffer_before_min: Minutes = 0
    buffer_after_min: Minutes = 5
    allow_overrun: YesNo = False


class PolicyJson(_Shape):
    service_order: tuple[Name, ...]
    services: dict[Name, ServiceJson]
    outside_any_service: OutsideService = OutsideService.FIRST_SERVICE
    scoring: ScoringJson = ScoringJson()
    demand: tuple[DemandJson, ...] | None = None


class BookingJson(_Shape):
    ref: Name
    time: str
    party_size: Seats
    date: str | None = None
    preferences: PreferencesJson | None = None
    vip: YesNo = False


class DayJson(_Shape):
    format: Literal["maitred.day/1"]
    about: str | None = None
    restaurant: RestaurantJson
    date: str
    policy: PolicyJson
    zones: Annotated[tuple[Name, ...], FailFast()]
    tables: Annotated[tuple[TableJson, ...], FailFast()]
    adjacency: Annotated[tuple[tuple[Name, Name], ...], FailFast()] = ()
    scarcity: Annotated[tuple[ScarcityJson, ...], FailFast()] = ()
    lost_seats: Annotated[tuple[LostSeatsJson, ...], FailFast()] = ()
    joined_sets: Annotated[tuple[JoinedSetJson, ...], FailFast()] = ()
    bookings: Annotated[tuple[BookingJson, ...], FailFast()] = ()
