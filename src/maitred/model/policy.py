"""A venue's opening policy: services, turn times, buffers; and the window that a booking takes up.

Everything a person says is local time; everything computed here is an instant in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from maitred.errors import InvalidInput
from maitred.model.closure import Closure, Closures
from maitred.model.floor import Floor
from maitred.model.period import Period
from maitred.model.reason import ReasonCode
from maitred.model.scoring import ScoringPolicy

# Bounds on a window. The snapshot query reads this far around a booking, so they are limits and not advice.
LONGEST_TURN_MIN = 600
LONGEST_BUFFER_MIN = 120
_ONE_DAY = timedelta(days=1)


class OutsideService(StrEnum):
    """What becomes of a booking that starts outside every service."""

    FIRST_SERVICE = "first_service"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class TurnBand:
    """Parties of up to this many covers dine for this many minutes."""

    up_to_party: int
    minutes: int


@dataclass(frozen=True, slots=True)
class Service:
    """One service, in the venue's local time. It crosses midnight when `ends` is not after `starts`.

    `turn_bands` ascend by party size; a party above the last band dines as long as the last. Buffers are minutes
    before and after the meal in which the tables are taken too.
    """

    key: str
    starts: time
    ends: time
    turn_bands: tuple[TurnBand, ...]
    buffer_before_min: int = 0
    buffer_after_min: int = 5
    allow_overrun: bool = False

    def __post_init__(self) -> None:
        item = f"service {self.key}"
        if not self.turn_bands:
            raise InvalidInput(item, "turn_bands", "must have at least one band")
        sizes = [band.up_to_party for band in self.turn_bands]
        if sizes != sorted(set(sizes)) or sizes[0] < 1:
            raise InvalidInput(item, "turn_bands", "party sizes must be 1 or more and ascend")
        if any(not 1 <= band.minutes <= LONGEST_TURN_MIN for band in self.turn_bands):
            raise InvalidInput(item, "turn_bands", f"minutes must be from 1 to {LONGEST_TURN_MIN}")
        for name, minutes in (
            ("buffer_before_min", self.buffer_before_min),
            ("buffer_after_min", self.buffer_after_min),
        ):
            if not 0 <= minutes <= LONGEST_BUFFER_MIN:
                raise InvalidInput(item, name, f"must be from 0 to {LONGEST_BUFFER_MIN}")

    def turn_minutes(self, party: int) -> int:
        """Dining time of a party of this many covers."""
        for band in self.turn_bands:
            if party <= band.up_to_party:
                return band.minutes
        return self.turn_bands[-1].minutes


@dataclass(frozen=True, slots=True)
class Demand:
    """Scales the slack term on some weekdays of a service. Weekdays count from Monday = 0."""

    service: str
    weekdays: frozenset[int]
    multiplier: float


# The original's defaults, from its planner rules.
DEFAULT_DEMAND = (
    Demand("lunch", frozenset({0, 1, 2, 3, 4}), 0.85),
    Demand("dinner", frozenset({0, 1, 2, 3}), 1.15),
    Demand("dinner", frozenset({4, 5}), 1.35),
    Demand("brunch", frozenset({5, 6}), 1.1),
)


@dataclass(frozen=True, slots=True)
class Window:
    """What a booking takes up. `dining` is the meal; `blocked` adds the buffers and is what tables are taken for.

    `service_day` is the local date on which the service began, also after midnight.
    """

    service: str
    service_day: date
    dining: Period
    blocked: Period
    demand_multiplier: float


@dataclass(frozen=True)
class VenuePolicy:
    """How a venue opens, and how it scores. `services` are in the venue's own order: the first one counts."""

    timezone: str
    services: tuple[Service, ...]
    outside: OutsideService = OutsideService.FIRST_SERVICE
    scoring: ScoringPolicy = field(default_factory=ScoringPolicy)
    demand: tuple[Demand, ...] = DEFAULT_DEMAND
    closures: tuple[Closure, ...] = ()

    def __post_init__(self) -> None:
        if not self.services:
            raise InvalidInput("policy", "services", "must have at least one service")
        keys = [service.key for service in self.services]
        if len(set(keys)) != len(keys):
            raise InvalidInput("policy", "services", "names a service twice")
        zone_of(self.timezone)

    @property
    def zone(self) -> ZoneInfo:
        """The venue's time zone."""
        return zone_of(self.timezone)

    def demand_multiplier(self, service: str, service_day: date) -> float:
        """The factor for the slack term; 1 where nothing is said."""
        for demand in self.demand:
            if demand.service == service and service_day.weekday() in demand.weekdays:
                return demand.multiplier
        return 1.0

    def window(self, starts_at: datetime, party: int) -> Window | ReasonCode:
        """The window of a party starting at this instant, or why it can't be seated at all.

        The turn time counts real minutes, so it is right across both clock changes. Without overrun the window is cut
        at the service's end; a booking that leaves no dining time is refused, and so is one that meets a closure of the
        venue or the service.
        """
        begins = starts_at.astimezone(UTC)
        found = self._service_at(begins)
        if found is None and self.outside is OutsideService.REFUSE:
            return ReasonCode.OUTSIDE_SERVICE
        service, service_day = found or (self.services[0], begins.astimezone(self.zone).date())
        dining_end = begins + timedelta(minutes=service.turn_minutes(party))
        blocked_end = dining_end + timedelta(minutes=service.buffer_after_min)
        if not service.allow_overrun:
            closes = service_period(service, service_day, self.zone)[1]
            dining_end, blocked_end = min(dining_end, closes), min(blocked_end, closes)
        if dining_end <= begins:
            return ReasonCode.NO_DINING_TIME
        dining = Period(begins, dining_end)
        if self._closed.closes(service.key, service_day, dining):
            return ReasonCode.CLOSED
        return Window(
            service=service.key,
            service_day=service_day,
            dining=dining,
            blocked=Period(begins - timedelta(minutes=service.buffer_before_min), blocked_end),
            demand_multiplier=self.demand_multiplier(service.key, service_day),
        )

    def closed_tables(self, floor: Floor, window: Window) -> int:
        """The bits of the tables that closures take out for any of the window; taken like by another booking."""
        return self._closed.tables(floor, window.service, window.service_day, window.blocked)

    def service_day(self, instant: datetime) -> date:
        """The local date on which the service going on then began; outside every service the local date."""
        begins = instant.astimezone(UTC)
        found = self._service_at(begins)
        return begins.astimezone(self.zone).date() if found is None else found[1]

    @cached_property
    def _closed(self) -> Closures:
        return Closures(self.closures, self.zone)

    def _service_at(self, instant: datetime) -> tuple[Service, date] | None:
        today = instant.astimezone(self.zone).date()
        for service in self.services:
            for service_day in (today, today - _ONE_DAY):
                opens, closes = service_period(service, service_day, self.zone)
                if opens <= instant < closes:
                    return service, service_day
        return None


# look-ahead asks for the same few services of the same few days hundreds of times a quote
@lru_cache(maxsize=4096)
def service_period(service: Service, service_day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the service of that day opens and closes, as instants in UTC; empty on a day the clocks swallow it.

    An opening time that comes twice means its first occurrence and a closing time its last, so that no local time
    inside the hours is shut out. A time that the clocks skip means that much after the gap began.
    """
    ends_on = service_day if service.ends > service.starts else service_day + _ONE_DAY
    opens = local_instants(service_day, service.starts, zone) or _across_gap(service_day, service.starts, zone)
    closes = local_instants(ends_on, service.ends, zone) or _across_gap(ends_on, service.ends, zone)
    return opens[0], closes[-1]


def local_instants(day: date, local: time, zone: ZoneInfo) -> tuple[datetime, ...]:
    """All instants, in UTC and in order, at which clocks there show this time: none in a gap, two when set back."""
    found = []
    for fold in (0, 1):
        instant = datetime.combine(day, local, zone).replace(fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == datetime.combine(day, local) and instant not in found:
            found.append(instant)
    return tuple(found)


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises InvalidInput when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput("restaurant", "timezone", f"{name!r} is not an IANA time zone") from error


def _across_gap(day: date, local: time, zone: ZoneInfo) -> tuple[datetime]:
    # fold=0 in a gap reads the clock as if it had not been changed yet
    return (datetime.combine(day, local, zone).replace(fold=0).astimezone(UTC),)
