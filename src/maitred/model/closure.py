"""Closures: when a venue, one of its services, or some of its tables are not to be had.

Days are service days, so a dinner that ends after midnight is closed with the day it began on, whatever the clocks do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from types import MappingProxyType
from zoneinfo import ZoneInfo

from maitred.errors import InvalidInput
from maitred.model.floor import Floor
from maitred.model.period import Period

LONGEST_CLOSURE_DAYS = 1_000
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """Service days from `first` to `last`, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Closure:
    """What is closed, and when.

    Without `zone_id` and `table_ids` nobody is seated at all; with them only these tables are out. `service` narrows it
    to one service. A period closes whatever is to take place in any of it: a meal, or a table with its buffers.
    """

    when: Days | Period
    service: str | None = None
    zone_id: int | None = None
    table_ids: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.zone_id is not None and self.table_ids:
            raise InvalidInput("closure", "tables", "are not given beside a zone")
        if isinstance(self.when, Days) and self.when.first > self.when.last:
            raise InvalidInput("closure", "last_day", "is before the first day")
        if self._length() > timedelta(days=LONGEST_CLOSURE_DAYS):
            raise InvalidInput("closure", "last_day", f"is more than {LONGEST_CLOSURE_DAYS} days after the first")

    @property
    def of_tables(self) -> bool:
        """Whether it takes tables out and leaves the rest open."""
        return self.zone_id is not None or bool(self.table_ids)

    def meets(self, service: str, service_day: date, period: Period) -> bool:
        """Whether something of this service and day, taking place in this period, falls into it."""
        if self.service is not None and self.service != service:
            return False
        if isinstance(self.when, Days):
            return self.when.first <= service_day <= self.when.last
        return self.when.overlaps(period)

    def tables_of(self, floor: Floor) -> int:
        """The bits of the tables it takes out."""
        mask = 0
        for table in floor.tables:
            if table.zone_id == self.zone_id or table.id in self.table_ids:
                mask |= floor.bit_of[table.id]
        return mask

    def _length(self) -> timedelta:
        if isinstance(self.when, Days):
            return self.when.last - self.when.first
        return self.when.end - self.when.start

    def service_days(self, zone: ZoneInfo) -> Iterator[date]:
        """Every service day that it may have to do with."""
        if isinstance(self.when, Days):
            first, last = self.when.first, self.when.last
        else:
            first = self.when.start.astimezone(zone).date() - _ONE_DAY  # a service goes on after midnight
            last = self.when.end.astimezone(zone).date() + _ONE_DAY  # and buffers begin before it
        for place in range((last - first).days + 1):
            yield first + timedelta(days=place)


@dataclass(frozen=True)
class Closures:
    """A venue's closures, found by day: look-ahead asks for hundreds of windows in one quote."""

    all: tuple[Closure, ...]
    zone: ZoneInfo

    @cached_property
    def _of_day(self) -> Mapping[date, tuple[Closure, ...]]:
        found: dict[date, list[Closure]] = {}
        for closure in self.all:
            for day in closure.service_days(self.zone):
                found.setdefault(day, []).append(closure)
        return MappingProxyType({day: tuple(closures) for day, closures in found.items()})

    def closes(self, service: str, service_day: date, dining: Period) -> bool:
        """Whether nobody is seated for a meal then."""
        return any(not closure.of_tables for closure in self._met(service, service_day, dining))

    def tables(self, floor: Floor, service: str, service_day: date, blocked: Period) -> int:
        """The bits of the tables that are out for any of the period."""
        mask = 0
        for closure in self._met(service, service_day, blocked):
            if closure.of_tables:
                mask |= closure.tables_of(floor)
        return mask

    def _met(self, service: str, service_day: date, period: Period) -> Iterable[Closure]:
        if not self.all:
            return ()
        of_day = self._of_day.get(service_day, ())
        return (closure for closure in of_day if closure.meets(service, service_day, period))
