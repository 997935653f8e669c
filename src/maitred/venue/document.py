"""A venue and a day, read from a file: everything checked, and turned into the model's values."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from maitred.errors import InvalidInput
from maitred.model.floor import ANY_SERVICE, Floor, Table, TypeKey
from maitred.model.joined import JoinedSet, check_joined_sets, set_name
from maitred.model.policy import (
    DEFAULT_DEMAND,
    Demand,
    Service,
    TurnBand,
    VenuePolicy,
    local_instants,
    zone_of,
)
from maitred.model.preferences import Preferences
from maitred.venue.problems import field_path, problem_of
from maitred.venue.scoring import DemandJson
from maitred.venue.shape import (
    FORMAT,
    BookingJson,
    DayJson,
    JoinedSetJson,
    LostSeatsJson,
    PolicyJson,
    ScarcityJson,
    TableJson,
)

LARGEST_FILE = 20_000_000
_YEARS = range(1970, 2200)
_ONE_DAY = timedelta(days=1)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"(\d\d:\d\d)(:\d\d(?:\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_LONGEST_LABEL = 60


@dataclass(frozen=True, slots=True)
class DayBooking:
    """A booking as the file asks for it; the start is in UTC."""

    reference: str
    party_size: int
    starts_at: datetime
    preferences: Preferences = field(default_factory=Preferences)
    vip: bool = False


@dataclass(frozen=True)
class DayDocument:
    """A venue and the bookings of one day. The floor's ids are the file's own, its version is 0: nothing is stored."""

    slug: str
    name: str
    day: date
    policy: VenuePolicy
    floor: Floor
    bookings: tuple[DayBooking, ...]


def read_day(path: Path) -> DayDocument:
    """Reads and checks a file. Raises InvalidInput, in one line, for the first thing that is wrong with it."""
    item = f"file {path}"
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise InvalidInput(item, "path", "there is no such file") from None
    except IsADirectoryError:
        raise InvalidInput(item, "path", "is a folder") from None
    except OSError as error:
        raise InvalidInput(item, "path", f"can't be read: {error.strerror or 'input error'}") from None
    return parse_day(content, item)


def parse_day(content: bytes, item: str = "file") -> DayDocument:
    """Checks a file's content. `item` is what errors call it. Raises InvalidInput like `read_day`."""
    raw = _json(content, item)
    if not isinstance(raw, dict):
        raise InvalidInput(item, "contents", "must be a JSON object")
    if raw.get("format") != FORMAT:
        raise InvalidInput(item, "format", f'must be "{FORMAT}"')
    try:
        day = DayJson.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where, field = _place(raw, first["loc"], item)
        raise InvalidInput(where, field, problem_of(first)) from None
    return _document(day, item)


def _json(content: bytes, item: str) -> Any:
    if len(content) > LARGEST_FILE:
        raise InvalidInput(item, "size", f"is above {LARGEST_FILE // 1_000_000} MB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(item, "encoding", f"is not UTF-8 (byte {error.start})") from None
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
    except RecursionError:
        problem = "not JSON of this format: nested too deeply"
    except ValueError:
        problem = "not JSON of this format: a number has too many digits"
    raise InvalidInput(item, "contents", problem)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    item = next((f"{kind} {found[key]}" for key, kind in _NAMED_BY.items() if _is_label(found.get(key))), "object")
    raise InvalidInput(item, twice if _is_label(twice) else "key", "comes twice")


_NAMED_BY = {"ref": "booking", "number": "table", "slug": "restaurant"}
# what one entry of a list is called, and the key that names it
_ENTRIES = {
    "zones": ("zone", "name"),
    "tables": ("table", "number"),
    "adjacency": ("edge", "tables"),
    "scarcity": ("scarcity", "entry"),
    "lost_seats": ("lost seats", "tables"),
    "joined_sets": ("joined set", "tables"),
    "bookings": ("booking", "ref"),
}


def _place(raw: dict[str, Any], loc: tuple[int | str, ...], file: str) -> tuple[str, str]:
    """The item and the field that pydantic's location means."""
    match loc:
        case (str(key), int(index), *rest) if key in _ENTRIES:
            kind, named_by = _ENTRIES[key]
            entry = raw[key][index]
            label = entry.get(named_by) if isinstance(entry, dict) else None
            field = rest if rest and isinstance(rest[0], str) else [named_by, *rest]
            return f"{kind} {label}" if _is_label(label) else f"{kind} no. {index + 1}", _field(field)
        case ("policy", "services", str(key), *rest):
            return f"service {key}" if _is_label(key) else "policy", _field(rest)
        case ("policy", "demand", int(index), *rest):
            return f"demand no. {index + 1}", _field(rest)
        case ("policy", "scoring", _, *_):
            return "scoring", _field(loc[2:])
        case ("restaurant" | "policy" as key, _, *_):
            return key, _field(loc[1:])
    return file, _field(loc)


def _field(loc: Sequence[int | str]) -> str:
    text = field_path(loc)
    return text if _is_label(text) else "key"


def _is_label(value: object) -> bool:
    """Whether it may name an item in an error: it must stay one readable line."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_LABEL and value.isprintable()


def _document(day: DayJson, item: str) -> DayDocument:
    file_date = read_date(item, day.date)
    zone = zone_of(day.restaurant.timezone)
    return DayDocument(
        slug=day.restaurant.slug,
        name=day.restaurant.name,
        day=file_date,
        policy=_policy(day.policy, day.restaurant.timezone),
        floor=_floor(day),
        bookings=_bookings(day.bookings, file_date, zone, frozenset(map(folded, day.zones))),
    )


def _floor(day: DayJson) -> Floor:
    zone_ids: dict[str, int] = {}
    for zone in day.zones:
        if folded(zone) in zone_ids:
            raise InvalidInput(f"zone {zone}", "name", "comes twice")
        zone_ids[folded(zone)] = len(zone_ids) + 1
    tables: dict[str, Table] = {}
    for table in day.tables:
        if folded(table.number) in tables:
            raise InvalidInput(f"table {table.number}", "number", "comes twice")
        tables[folded(table.number)] = read_table(len(tables) + 1, table, zone_ids)
    for table in day.tables:
        for service in table.priority:
            if service != ANY_SERVICE and service not in day.policy.services:
                raise InvalidInput(f"table {table.number}", "priority", f'unknown service "{service}"')
    adjacency = frozenset(read_edge(edge, tables) for edge in day.adjacency)
    joined = tuple(_joined_set(each, tables) for each in day.joined_sets)
    check_joined_sets(
        joined,
        {table.id: table.number for table in tables.values()},
        {table.id: table.zone_id for table in tables.values()},
    )
    return Floor(
        version=0,
        tables=tuple(tables.values()),
        adjacency=adjacency,
        zones={zone_ids[folded(zone)]: zone for zone in day.zones},
        scarcity=_scarcity(day.scarcity),
        lost_seats=_lost_seats(day.lost_seats, tables, adjacency),
        joined=joined,
    )


def _joined_set(given: JoinedSetJson, tables: dict[str, Table]) -> JoinedSet:
    for number in given.tables:
        if folded(number) not in tables:
            raise InvalidInput(set_name(given.tables), "tables", f'unknown table "{number}"')
    ids = tuple(tables[folded(number)].id for number in given.tables)
    return JoinedSet(ids, given.capacity, given.min_party_size, given.max_party_size, given.rank, given.forbidden)


def _lost_seats(
    entries: Iterable[LostSeatsJson], tables: dict[str, Table], adjacency: frozenset[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for entry in entries:
        item = f"edge {entry.tables[0]} - {entry.tables[1]}"
        edge = read_edge(entry.tables, tables)
        if edge not in adjacency:
            raise InvalidInput(item, "lost_seats", "the tables don't stand next to each other")
        if edge in found:
            raise InvalidInput(item, "lost_seats", "comes twice")
        most = sum(table.capacity for table in tables.values() if table.id in edge) - 1
        if entry.seats > most:
            raise InvalidInput(item, "lost_seats", f"must be from 0 to {most}, one seat less than both have")
        found[edge] = entry.seats
    return found


def read_table(table_id: int, table: TableJson, zone_ids: Mapping[str, int]) -> Table:
    """The model's table; `zone_ids` by folded name. Raises InvalidInput."""
    item = f"table {table.number}"
    zone_id = zone_ids.get(folded(table.zone))
    if zone_id is None:
        raise InvalidInput(item, "zone", f'unknown zone "{table.zone}"')
    if table.max_party_size is not None and table.min_party_size > table.max_party_size:
        raise InvalidInput(
            item, "min_party_size", f"{table.min_party_size} is above max_party_size {table.max_party_size}"
        )
    return Table(
        id=table_id,
        number=table.number,
        zone_id=zone_id,
        capacity=table.capacity,
        min_party_size=table.min_party_size,
        max_party_size=table.max_party_size,
        category=table.category,
        seating_type=table.seating_type,
        mobility=table.mobility,
        status=table.status,
        active=table.active,
        features=frozenset(table.features),
        section=table.section,
        priority=tuple(sorted(table.priority.items())),
    )


def read_edge(edge: tuple[str, str], tables: Mapping[str, Table]) -> tuple[int, int]:
    """The ids of two tables, the smaller first; `tables` by folded number. Raises InvalidInput."""
    item = f"edge {edge[0]} - {edge[1]}"
    for number in edge:
        if folded(number) not in tables:
            raise InvalidInput(item, "adjacency", f'unknown table "{number}"')
    first, second = sorted(tables[folded(number)].id for number in edge)
    if first == second:
        raise InvalidInput(item, "adjacency", "joins a table to itself")
    return first, second


def _scarcity(metrics: Iterable[ScarcityJson]) -> dict[TypeKey, float]:
    found: dict[TypeKey, float] = {}
    for number, metric in enumerate(metrics, 1):
        key = (metric.capacity, metric.category, metric.seating_type)
        if key in found:
            raise InvalidInput(f"scarcity no. {number}", "capacity", "this type of table comes twice")
        found[key] = metric.scarcity
    return found


def _policy(policy: PolicyJson, timezone: str) -> VenuePolicy:
    for key in policy.service_order:
        if key not in policy.services:
            raise InvalidInput("policy", "service_order", f'unknown service "{key}"')
    for key in policy.services:
        if policy.service_order.count(key) != 1:
            raise InvalidInput(f"service {key}", "service_order", "must be in the order exactly once")
    for rule in policy.scoring.keep_large:
        if rule.service is not None and rule.service not in policy.services:
            raise InvalidInput("scoring", "keep_large.service", f'unknown service "{rule.service}"')
    services = []
    for key in policy.service_order:
        service = policy.services[key]
        services.append(
            Service(
                key=key,
                starts=read_clock_time(f"service {key}", "start", service.start),
                ends=read_clock_time(f"service {key}", "end", service.end),
                turn_bands=tuple(TurnBand(up_to_party, minutes) for up_to_party, minutes in service.turn_bands),
                buffer_before_min=service.buffer_before_min,
                buffer_after_min=service.buffer_after_min,
                allow_overrun=service.allow_overrun,
            )
        )
    return VenuePolicy(
        timezone=timezone,
        services=tuple(services),
        outside=policy.outside_any_service,
        scoring=policy.scoring.policy(),
        demand=DEFAULT_DEMAND if policy.demand is None else _demand(policy.demand, policy.services),
    )


def _demand(entries: Sequence[DemandJson], services: Iterable[str]) -> tuple[Demand, ...]:
    given: set[tuple[str, str]] = set()
    for number, entry in enumerate(entries, 1):
        if entry.service not in services:
            raise InvalidInput(f"demand no. {number}", "service", f'unknown service "{entry.service}"')
        for weekday in entry.weekdays:
            if (entry.service, weekday) in given:
                raise InvalidInput(f"demand no. {number}", "weekdays", f"{weekday} comes twice for {entry.service}")
            given.add((entry.service, weekday))
    return tuple(entry.demand() for entry in entries)


def _bookings(
    entries: Iterable[BookingJson], file_date: date, zone: ZoneInfo, zones: frozenset[str]
) -> tuple[DayBooking, ...]:
    seen: set[str] = set()
    bookings = []
    for entry in entries:
        item = f"booking {entry.ref}"
        if entry.ref in seen:
            raise InvalidInput(item, "ref", "comes twice")
        seen.add(entry.ref)
        local_date = file_date if entry.date is None else read_date(item, entry.date)
        if local_date not in (file_date, file_date + _ONE_DAY):
            raise InvalidInput(item, "date", f"must be the file's {file_date} or the day after")
        wishes = Preferences() if entry.preferences is None else entry.preferences.preferences()
        if wishes.zone is not None and folded(wishes.zone) not in zones:
            raise InvalidInput(item, "preferences.zone", f'unknown zone "{wishes.zone}"')
        starts_at = read_instant(item, local_date, entry.time, zone)
        bookings.append(DayBooking(entry.ref, entry.party_size, starts_at, wishes, entry.vip))
    return tuple(bookings)


def read_date(item: str, text: str) -> date:
    """A day from 1970 to 2199. Raises InvalidInput."""
    try:
        found = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None:
        raise InvalidInput(item, "date", "must be a date that exists, written YYYY-MM-DD")
    if found.year not in _YEARS:
        raise InvalidInput(item, "date", f"must be from {_YEARS[0]} to {_YEARS[-1]}")
    return found


def read_clock_time(item: str, field: str, text: str) -> time:
    """A local time of a service, HH:MM. Raises InvalidInput."""
    found = _TIME.fullmatch(text)
    if not found or found[2] or found[3]:
        raise InvalidInput(item, field, "must be a time that exists, written HH:MM (midnight is 00:00)")
    return _time(item, field, text)


def read_instant(item: str, day: date, text: str, zone: ZoneInfo, *, one_meaning: bool = False) -> datetime:
    """The instant, in UTC, that a booking's local date and time mean. Raises InvalidInput.

    A time that comes twice means its first occurrence, or is refused with `one_meaning`; an offset picks one of them.
    """
    found = _TIME.fullmatch(text)
    if not found:
        raise InvalidInput(item, "time", "must be a time written HH:MM, or with an offset HH:MM+HH:MM")
    told = found[1] + (found[2] or "")
    instants = local_instants(day, _time(item, "time", told), zone)
    if not instants:
        raise InvalidInput(item, "time", f"{told} does not exist on {day} in {zone.key}: the clocks skip it")
    offsets = [offset_of(instant.astimezone(zone)) for instant in instants]
    if found[3] is None:
        if one_meaning and len(instants) > 1:
            both = " or ".join(told + offset for offset in offsets)
            raise InvalidInput(item, "time", f"{told} comes twice on {day} in {zone.key}: write {both}")
        return instants[0]
    given = "+00:00" if found[3] in {"Z", "-00:00"} else found[3]
    if given not in offsets:
        raise InvalidInput(item, "time", f"the offset of {told} on {day} in {zone.key} is {' or '.join(offsets)}")
    return instants[offsets.index(given)]


def _time(item: str, field: str, text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise InvalidInput(item, field, "must be a time that exists, written HH:MM (midnight is 00:00)") from None


def offset_of(moment: datetime) -> str:
    """A local moment's offset as it is written: +01:00."""
    return moment.strftime("%z")[:3] + ":" + moment.strftime("%z")[3:5]


def folded(name: str) -> str:
    """Names are the same when people would read them as the same: case and the way accents are encoded don't count."""
    return unicodedata.normalize("NFC", name).casefold()
