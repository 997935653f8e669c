"""What operators' requests and answers look like."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import Field, StrictBool, StrictInt, StringConstraints

from maitred.errors import InvalidInput
from maitred.http.schema import Answer, Day, Given, Instant, Line, in_zone
from maitred.messages.endpoints import Delivery, Endpoint
from maitred.model.closure import Closure, Days
from maitred.model.floor import Floor, Mobility, SeatingType, Table, TableCategory, TableFeature, TableStatus
from maitred.model.joined import JoinedSet
from maitred.model.period import Period
from maitred.model.policy import (
    LONGEST_BUFFER_MIN,
    LONGEST_TURN_MIN,
    OutsideService,
    Service,
    TurnBand,
    VenuePolicy,
)
from maitred.venue.policy_changes import KeptClosure, KeptLimit, PacingLimit
from maitred.venue.scoring import DemandJson, ScoringJson, demand_to_json, scoring_to_json
from maitred.venue.settings_changes import Settings

Name: TypeAlias = Annotated[Line, StringConstraints(min_length=1, max_length=100)]
Seats: TypeAlias = Annotated[StrictInt, Field(ge=1, le=1_000)]
RowId: TypeAlias = Annotated[StrictInt, Field(ge=1, le=2**63 - 1)]
Count: TypeAlias = Annotated[StrictInt, Field(ge=0, le=100_000)]
Clock: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$"), Field(description="Local time, HH:MM.")
]
Buffer: TypeAlias = Annotated[StrictInt, Field(ge=0, le=LONGEST_BUFFER_MIN, description="Minutes.")]
ServiceKey: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$")]
Features: TypeAlias = Annotated[
    tuple[TableFeature, ...],
    Field(
        max_length=len(TableFeature), description="`vip` is the venue's own mark; the others are what guests may need."
    ),
]
Priority: TypeAlias = Annotated[
    dict[Annotated[str, StringConstraints(min_length=1, max_length=100)], Annotated[StrictInt, Field(ge=0, le=1_000)]],
    Field(
        max_length=41,
        description="By service how late the table is to be used, 0 first; `*` is every service that isn't named.",
        examples=[{"dinner": 2, "*": 0}],
    ),
]
LostSeats: TypeAlias = Annotated[StrictInt, Field(ge=0, le=2_000, description="Seats lost where the two are joined.")]
Email: TypeAlias = Annotated[Line, StringConstraints(min_length=3, max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]


class BandBody(Given):
    """Parties of up to so many covers dine for so many minutes."""

    up_to_party: Seats
    minutes: Annotated[StrictInt, Field(ge=1, le=LONGEST_TURN_MIN)]


class ServiceRules(Given):
    """A service. It ends on the next day when `end` is not after `start`; a larger party dines as long as the last."""

    start: Clock
    end: Clock
    turn_bands: Annotated[tuple[BandBody, ...], Field(min_length=1, max_length=50)]
    buffer_before_min: Buffer = 0
    buffer_after_min: Buffer = 5
    allow_overrun: StrictBool = False

    def service(self, key: str) -> Service:
        """The model's value. Raises InvalidInput."""
        return Service(
            key=key,
            starts=time.fromisoformat(self.start),
            ends=time.fromisoformat(self.end),
            turn_bands=tuple(TurnBand(band.up_to_party, band.minutes) for band in self.turn_bands),
            buffer_before_min=self.buffer_before_min,
            buffer_after_min=self.buffer_after_min,
            allow_overrun=self.allow_overrun,
        )


class NewService(ServiceRules):
    """A service with its key."""

    key: ServiceKey


class ServiceAnswer(Answer):
    """A service as it is."""

    key: str
    start: str
    end: str
    turn_bands: list[BandBody]
    buffer_before_min: int
    buffer_after_min: int
    allow_overrun: bool


class NewVenue(Given):
    """A venue, still without a floor. Whatever else is left out has its default."""

    slug: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?$")]
    name: Name
    timezone: Annotated[str, StringConstraints(min_length=1, max_length=100), Field(examples=["Europe/London"])]
    services: Annotated[tuple[NewService, ...], Field(min_length=1, max_length=40)]
    outside_any_service: OutsideService = OutsideService.FIRST_SERVICE
    scoring: ScoringJson = ScoringJson()
    contact_email: Email | None = None


class VenueChange(Given):
    """What is to be another; a field that is left out stays as it is."""

    name: Name | None = None
    timezone: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    contact_email: Email | None = None
    inline_timeout_ms: Annotated[StrictInt, Field(ge=100, le=60_000)] | None = None
    keep_tables_until_moved: StrictBool | None = None


class VenueAnswer(Answer):
    """A venue but for its floor and policy. `versions` are the ETags of its parts."""

    id: UUID
    slug: str
    name: str
    timezone: str
    contact_email: str | None
    inline_timeout_ms: int | None = Field(description="Null: the installation's.")
    keep_tables_until_moved: bool
    created_at: datetime
    versions: dict[Literal["settings", "policy", "floor"], str]


class VenuePage(Answer):
    """Venues in the order of their slugs. `next` is what to ask for with `after`, null at the end."""

    venues: list[VenueAnswer]
    next: str | None


class ZoneBody(Given):
    """A zone."""

    name: Name


class ZoneAnswer(Answer):
    """A zone as it is."""

    id: int
    name: str


class NewTable(Given):
    """A table."""

    number: Name
    zone_id: RowId
    capacity: Seats
    min_party_size: Seats = 1
    max_party_size: Seats | None = Field(default=None, description="For the table alone; null: the capacity decides.")
    category: TableCategory = TableCategory.DINING
    seating_type: SeatingType = SeatingType.STANDARD
    mobility: Mobility = Mobility.MOVABLE
    status: TableStatus = TableStatus.AVAILABLE
    active: StrictBool = True
    features: Features = ()
    section: Name | None = Field(default=None, description="The server's.")
    priority: Priority = Field(default_factory=dict)

    def table(self) -> Table:
        """The model's value, without an id yet."""
        said = {"features": frozenset(self.features), "priority": tuple(sorted(self.priority.items()))}
        return Table(id=0, **{**dict(self), **said})


class TableChange(Given):
    """What is to be another; a field that is left out stays as it is."""

    number: Name | None = None
    zone_id: RowId | None = None
    capacity: Seats | None = None
    min_party_size: Seats | None = None
    max_party_size: Seats | None = Field(default=None, description="Null: the capacity decides.")
    category: TableCategory | None = None
    seating_type: SeatingType | None = None
    mobility: Mobility | None = None
    status: TableStatus | None = None
    active: StrictBool | None = None
    features: Features | None = None
    section: Name | None = Field(default=None, description="Null: of no server's.")
    priority: Priority | None = None

    def fields(self) -> dict[str, Any]:
        """What is to be another, as `Table` has it. Raises InvalidInput for null where nothing stands for nothing."""
        to = {name: getattr(self, name) for name in self.model_fields_set}
        for name, value in to.items():
            if value is None and name not in ("max_party_size", "section"):
                raise InvalidInput("table", f"body.{name}", "can't be null")
        if self.features is not None:
            to["features"] = frozenset(self.features)
        if self.priority is not None:
            to["priority"] = tuple(sorted(self.priority.items()))
        return to


class TableAnswer(Answer):
    """A table as it is."""

    id: int
    number: str
    zone_id: int
    capacity: int
    min_party_size: int
    max_party_size: int | None
    category: TableCategory
    seating_type: SeatingType
    mobility: Mobility
    status: TableStatus
    active: bool
    features: list[TableFeature]
    section: str | None
    priority: dict[str, int]


class Edge(Given):
    """Two tables, by id, that stand next to each other."""

    a: RowId
    b: RowId
    lost_seats: LostSeats = 0


class Join(Given):
    """How two tables stand next to each other. `lost_seats` left out stays as it is."""

    lost_seats: LostSeats | None = None


class Adjacency(Given):
    """All pairs of tables that stand next to each other."""

    edges: Annotated[tuple[Edge, ...], Field(max_length=10_000)]


class JoinedSetBody(Given):
    """What the venue says of exactly these tables, by id. What is null follows from the tables."""

    table_ids: Annotated[tuple[RowId, ...], Field(min_length=2, max_length=5)]
    capacity: Seats | None = None
    min_party_size: Seats | None = None
    max_party_size: Seats | None = None
    rank: Seats | None = Field(default=None, description="1 is the join that is liked best.")
    forbidden: StrictBool = Field(default=False, description="Never given as it is; a larger set may be.")

    def joined_set(self) -> JoinedSet:
        """The model's value."""
        return JoinedSet(
            self.table_ids, self.capacity, self.min_party_size, self.max_party_size, self.rank, self.forbidden
        )


class JoinedSets(Given):
    """All that the venue says of single sets of tables."""

    sets: Annotated[tuple[JoinedSetBody, ...], Field(max_length=1_000)]


class FloorAnswer(Answer):
    """A floor whole."""

    zones: list[ZoneAnswer]
    tables: list[TableAnswer]
    edges: list[Edge]
    joined_sets: list[JoinedSetBody]


class PolicyChange(Given):
    """What is to be another; a field that is left out stays as it is. `scoring` is given whole."""

    outside_any_service: OutsideService | None = None
    scoring: ScoringJson | None = None
    demand: Annotated[tuple[DemandJson, ...], Field(max_length=100)] | None = None
    service_order: Annotated[tuple[str, ...], Field(max_length=40)] | None = None


class PolicyAnswer(Answer):
    """How the venue opens and scores."""

    outside_any_service: OutsideService
    scoring: ScoringJson
    demand: list[DemandJson]
    service_order: list[str]


class ClosureBody(Given):
    """What is closed: nothing named, the whole venue. And when: service days, both included, or instants.

    A service may be named with tables or without; a zone and tables exclude each other.
    """

    service: str | None = Field(default=None, max_length=100)
    zone_id: RowId | None = None
    table_ids: Annotated[tuple[RowId, ...], Field(max_length=500)] = ()
    first_day: Day | None = None
    last_day: Day | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    note: Annotated[Line, StringConstraints(max_length=200)] | None = None

    def closure(self) -> Closure:
        """The model's value. Raises InvalidInput."""
        when: Days | Period
        if self.first_day is not None and self.starts_at is None and self.ends_at is None:
            when = Days(self.first_day, self.last_day or self.first_day)
        elif self.starts_at is not None and self.ends_at is not None and self.first_day is self.last_day is None:
            if self.starts_at >= self.ends_at:
                raise InvalidInput("closure", "ends_at", "must be after starts_at")
            when = Period(self.starts_at, self.ends_at)
        else:
            raise InvalidInput("closure", "first_day", "give first_day and last_day, or starts_at and ends_at")
        return Closure(when, self.service, self.zone_id, frozenset(self.table_ids))


class ClosureAnswer(Answer):
    """A closure as it is."""

    id: int
    service: str | None
    zone_id: int | None
    table_ids: list[int]
    first_day: date | None
    last_day: date | None
    starts_at: datetime | None
    ends_at: datetime | None
    note: str | None
    created_at: datetime


class LimitBody(Given):
    """The most covers and parties of a slot of so many minutes; null: of a service day."""

    service: str | None = Field(default=None, max_length=100, description="Null: of the whole venue.")
    slot_minutes: Literal[5, 10, 15, 20, 30, 60] | None = 15
    most_covers: Count | None = None
    most_parties: Count | None = None

    def limit(self) -> PacingLimit:
        """The model's value. Raises InvalidInput."""
        if self.most_covers is None and self.most_parties is None:
            raise InvalidInput("pacing", "most_covers", "give most_covers or most_parties")
        return PacingLimit(self.service, self.slot_minutes, self.most_covers, self.most_parties)


class LimitAnswer(Answer):
    """A pacing limit as it is."""

    id: int
    service: str | None
    slot_minutes: int | None
    most_covers: int | None
    most_parties: int | None


class WebhookBody(Given):
    """Where to post a venue's events."""

    url: Annotated[str, StringConstraints(min_length=8, max_length=2_000)] = Field(
        examples=["https://example.com/hook"]
    )


class WebhookChange(Given):
    """What is to be another."""

    url: Annotated[str, StringConstraints(min_length=8, max_length=2_000)] | None = None
    active: StrictBool | None = None


class WebhookAnswer(Answer):
    """An endpoint, without its secret."""

    id: UUID
    url: str
    active: bool
    created_at: datetime


class WebhookWithSecret(WebhookAnswer):
    """An endpoint with its secret, which isn't shown again."""

    secret: str


class DeliveryAnswer(Answer):
    """One message to an endpoint, as far as it got."""

    id: UUID
    booking_id: UUID
    kind: str
    state: str
    attempts: int
    last_error: str | None
    created_at: datetime
    due_at: datetime | None
    ended_at: datetime | None


class NewKey(Given):
    """A key. Without `venues` it is for every venue."""

    name: Name
    role: Literal["guest_site", "staff", "operator"]
    venues: Annotated[tuple[str, ...], Field(max_length=100, description="Slugs.")] = ()
    expires_at: Instant | None = None


class KeyAnswer(Answer):
    """A key, without its text. `prefix` is how it begins."""

    id: UUID
    prefix: str
    name: str
    role: str
    restaurant_ids: list[UUID]
    every_venue: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyWithText(KeyAnswer):
    """A key with its text, which isn't shown again."""

    key: str


def venue_answer(settings: Settings) -> VenueAnswer:
    """A venue's answer."""
    return VenueAnswer(
        id=settings.restaurant_id,
        slug=settings.slug,
        name=settings.name,
        timezone=settings.timezone,
        contact_email=settings.contact_email,
        inline_timeout_ms=settings.inline_timeout_ms,
        keep_tables_until_moved=settings.keep_tables_until_moved,
        created_at=settings.created_at,
        versions={
            "settings": f"settings-{settings.settings_version}",
            "policy": f"policy-{settings.policy_version}",
            "floor": f"floor-{settings.floor_version}",
        },
    )


def table_answer(table: Table) -> TableAnswer:
    """A table's answer."""
    said = {"features": sorted(table.features), "priority": dict(table.priority)}
    return TableAnswer(**{name: said.get(name, getattr(table, name)) for name in TableAnswer.model_fields})


def floor_answer(floor: Floor) -> FloorAnswer:
    """A floor's answer."""
    return FloorAnswer(
        zones=[ZoneAnswer(id=zone_id, name=name) for zone_id, name in floor.zones.items()],
        tables=[table_answer(table) for table in floor.tables],
        edges=[
            Edge(a=first, b=second, lost_seats=floor.lost_seats.get((first, second), 0))
            for first, second in sorted(floor.adjacency)
        ],
        joined_sets=[joined_set_answer(said) for said in floor.joined],
    )


def joined_set_answer(said: JoinedSet) -> JoinedSetBody:
    """A joined set's answer."""
    return JoinedSetBody(
        table_ids=said.tables,
        capacity=said.capacity,
        min_party_size=said.min_party,
        max_party_size=said.max_party,
        rank=said.rank,
        forbidden=said.forbidden,
    )


def service_answer(service: Service) -> ServiceAnswer:
    """A service's answer."""
    return ServiceAnswer(
        key=service.key,
        start=f"{service.starts:%H:%M}",
        end=f"{service.ends:%H:%M}",
        turn_bands=[BandBody(up_to_party=band.up_to_party, minutes=band.minutes) for band in service.turn_bands],
        buffer_before_min=service.buffer_before_min,
        buffer_after_min=service.buffer_after_min,
        allow_overrun=service.allow_overrun,
    )


def policy_answer(policy: VenuePolicy) -> PolicyAnswer:
    """A policy's answer."""
    return PolicyAnswer(
        outside_any_service=policy.outside,
        scoring=ScoringJson.model_validate(scoring_to_json(policy.scoring), strict=False),
        demand=[DemandJson.model_validate(each) for each in demand_to_json(policy.demand)],
        service_order=[service.key for service in policy.services],
    )


def closure_answer(kept: KeptClosure, zone: str) -> ClosureAnswer:
    """A closure's answer, its instants by the venue's clocks."""
    when = kept.closure.when
    days = when if isinstance(when, Days) else None
    period = when if isinstance(when, Period) else None
    return ClosureAnswer(
        id=kept.id,
        service=kept.closure.service,
        zone_id=kept.closure.zone_id,
        table_ids=sorted(kept.closure.table_ids),
        first_day=None if days is None else days.first,
        last_day=None if days is None else days.last,
        starts_at=None if period is None else in_zone(period.start, zone),
        ends_at=None if period is None else in_zone(period.end, zone),
        note=kept.note,
        created_at=in_zone(kept.created_at, zone),
    )


def limit_answer(kept: KeptLimit) -> LimitAnswer:
    """A limit's answer."""
    return LimitAnswer(
        id=kept.id,
        service=kept.limit.service,
        slot_minutes=kept.limit.slot_minutes,
        most_covers=kept.limit.most_covers,
        most_parties=kept.limit.most_parties,
    )


def webhook_answer(endpoint: Endpoint) -> WebhookAnswer:
    """An endpoint's answer."""
    return WebhookAnswer(id=endpoint.id, url=endpoint.url, active=endpoint.active, created_at=endpoint.created_at)


def delivery_answer(delivery: Delivery) -> DeliveryAnswer:
    """A delivery's answer."""
    return DeliveryAnswer(
        id=delivery.id,
        booking_id=delivery.booking_id,
        kind=delivery.kind,
        state=delivery.state,
        attempts=delivery.attempts,
        last_error=delivery.last_error,
        created_at=delivery.created_at,
        due_at=delivery.due_at if delivery.state == "waiting" else None,
        ended_at=delivery.ended_at,
    )
