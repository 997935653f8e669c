"""What the sheets of an import say: tables, adjacency, services and bookings, read cell by cell. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from maitred.errors import InvalidInput
from maitred.model.floor import Mobility, SeatingType, Table, TableCategory, TableFeature, TableStatus
from maitred.model.policy import Service, TurnBand
from maitred.model.preferences import Preference, Preferences
from maitred.venue.csv_text import CsvRow, Problem, read_csv
from maitred.venue.document import folded, read_clock_time, read_date, read_instant

_LARGEST = 1_000_000
_E = TypeVar("_E", bound=StrEnum)


class Sheet(StrEnum):
    """What a CSV file has in its rows."""

    SERVICES = "services"
    TABLES = "tables"
    ADJACENCY = "adjacency"
    BOOKINGS = "bookings"


_NEEDED: Mapping[Sheet, tuple[str, ...]] = {
    Sheet.SERVICES: ("key", "start", "end", "turn_bands"),
    Sheet.TABLES: ("number", "zone", "capacity"),
    Sheet.ADJACENCY: ("table_a", "table_b"),
    Sheet.BOOKINGS: ("reference", "date", "time", "party_size"),
}
_OPTIONAL: Mapping[Sheet, tuple[str, ...]] = {
    Sheet.SERVICES: ("buffer_before_min", "buffer_after_min", "allow_overrun"),
    Sheet.TABLES: (
        "min_party_size",
        "max_party_size",
        "category",
        "seating_type",
        "mobility",
        "status",
        "active",
        "features",
        "section",
        "priority",
    ),
    Sheet.ADJACENCY: ("lost_seats",),
    # status and tables are in an export, to be read by people
    Sheet.BOOKINGS: (
        "guest_name",
        "guest_email",
        "guest_phone",
        "notes",
        "preferred_zone",
        "preferred_seating_type",
        "high_chair",
        "step_free",
        "must",
        "vip",
        "status",
        "tables",
    ),
}
_OVER = frozenset({"cancelled", "no_show"})
_STATUSES = frozenset({"", "pending", "confirmed", "checked_in", "completed", *_OVER})


@dataclass(frozen=True, slots=True)
class GivenTable:
    """A table with its zone's name; the table's ids mean nothing."""

    line: int
    zone: str
    table: Table


@dataclass(frozen=True, slots=True)
class GivenService:
    """A service."""

    line: int
    service: Service


@dataclass(frozen=True, slots=True)
class GivenEdge:
    """Two table numbers, and the seats lost where they are joined; None: nothing is said of that."""

    line: int
    numbers: tuple[str, str]
    lost_seats: int | None = None


@dataclass(frozen=True, slots=True)
class GivenBooking:
    """A booking to come, its start in UTC."""

    line: int
    reference: str
    party_size: int
    starts_at: datetime
    guest_name: str | None
    guest_email: str | None
    guest_phone: str | None
    notes: str | None
    preferences: Preferences = field(default_factory=Preferences)
    vip: bool = False


Given: TypeAlias = GivenTable | GivenService | GivenEdge | GivenBooking


@dataclass(frozen=True, slots=True)
class Read:
    """The good rows, what is wrong with the others, and how many bookings were over already."""

    rows: tuple[Given, ...]
    problems: tuple[Problem, ...]
    left_out: int = 0


def read_sheet(sheet: Sheet, content: bytes, zone: ZoneInfo) -> Read:
    """Reads a file to its end, whatever is wrong with single rows. Raises ImportRefused like `read_csv`."""
    known = frozenset((*_NEEDED[sheet], *_OPTIONAL[sheet]))
    rows, problems = read_csv(content, _NEEDED[sheet], known)
    readings: dict[Sheet, Callable[[CsvRow], Given | None]] = {
        Sheet.SERVICES: _service,
        Sheet.TABLES: _table,
        Sheet.ADJACENCY: _edge,
        Sheet.BOOKINGS: lambda row: _booking(row, zone),
    }
    reading = readings[sheet]
    good: list[Given] = []
    seen: dict[str, int] = {}
    left_out = 0
    for row in rows:
        try:
            given = reading(row)
            if given is None:
                left_out += 1
                continue
        except InvalidInput as error:
            problems.append(Problem(row.line, error.field, error.problem))
            continue
        column, name = _name(given)
        if name is not None and name in seen:
            problems.append(Problem(row.line, column, f"comes twice: first on line {seen[name]}"))
            continue
        if name is not None:
            seen[name] = row.line
        good.append(given)
    return Read(tuple(good), tuple(sorted(problems, key=lambda each: each.line or 0)), left_out)


def _name(given: Given) -> tuple[str, str | None]:
    """The column and the value that tell rows apart."""
    if isinstance(given, GivenTable):
        return "number", folded(given.table.number)
    if isinstance(given, GivenService):
        return "key", given.service.key
    if isinstance(given, GivenBooking):
        return "reference", given.reference
    return "table_a", None  # saying twice that two tables stand together changes nothing


def _table(row: CsvRow) -> GivenTable:
    number = _label(row, "number")
    least = _whole(row, "min_party_size", 1, _LARGEST, default=1)
    most = _whole(row, "max_party_size", 1, _LARGEST) if _given(row, "max_party_size") else None
    if most is not None and least > most:
        raise InvalidInput("row", "min_party_size", f"{least} is above max_party_size {most}")
    table = Table(
        id=0,
        number=number,
        zone_id=0,
        capacity=_whole(row, "capacity", 1, _LARGEST),
        min_party_size=least,
        max_party_size=most,
        category=_choice(row, "category", TableCategory, TableCategory.DINING),
        seating_type=_choice(row, "seating_type", SeatingType, SeatingType.STANDARD),
        mobility=_choice(row, "mobility", Mobility, Mobility.MOVABLE),
        status=_choice(row, "status", TableStatus, TableStatus.AVAILABLE),
        active=_yes(row, "active", default=True),
        features=frozenset(_choices(row, "features", TableFeature)),
        section=_label(row, "section") if _given(row, "section") else None,
        priority=tuple(sorted(_priority(row.cells.get("priority", "")))),
    )
    return GivenTable(row.line, _label(row, "zone"), table)


def _service(row: CsvRow) -> GivenService:
    return GivenService(
        row.line,
        Service(
            key=_label(row, "key"),
            starts=read_clock_time("row", "start", row.cells["start"].strip()),
            ends=read_clock_time("row", "end", row.cells["end"].strip()),
            turn_bands=tuple(_bands(row.cells["turn_bands"])),
            buffer_before_min=_whole(row, "buffer_before_min", 0, 120, default=0),
            buffer_after_min=_whole(row, "buffer_after_min", 0, 120, default=5),
            allow_overrun=_yes(row, "allow_overrun", default=False),
        ),
    )


def _bands(text: str) -> Iterable[TurnBand]:
    for part in text.split():
        size, colon, minutes = part.partition(":")
        if not colon or not all(each.isascii() and each.isdigit() and len(each) < 8 for each in (size, minutes)):
            raise InvalidInput("row", "turn_bands", "must be like 2:60 4:75 8:90 (up to this party: minutes)")
        yield TurnBand(int(size), int(minutes))


def _edge(row: CsvRow) -> GivenEdge:
    first, second = _label(row, "table_a"), _label(row, "table_b")
    if folded(first) == folded(second):
        raise InvalidInput("row", "table_b", "is the same table")
    lost = _whole(row, "lost_seats", 0, _LARGEST) if _given(row, "lost_seats") else None
    return GivenEdge(row.line, (first, second), lost)


def _priority(text: str) -> Iterable[tuple[str, int]]:
    for part in text.split():
        service, colon, steps = part.rpartition(":")
        if not (colon and service and steps.isascii() and steps.isdigit() and len(steps) < 5 and int(steps) <= 1_000):
            raise InvalidInput("row", "priority", "must be like dinner:2 *:0 (service: steps from 0 to 1000)")
        yield service, int(steps)


def _booking(row: CsvRow, zone: ZoneInfo) -> GivenBooking | None:
    status = row.cells.get("status", "").strip().casefold()
    if status not in _STATUSES:
        raise InvalidInput("row", "status", f"must be {', '.join(sorted(_STATUSES - {''}))}")
    reference = _label(row, "reference")
    day = read_date("row", row.cells["date"].strip())
    starts_at = read_instant("row", day, row.cells["time"].strip(), zone, one_meaning=True)
    party = _whole(row, "party_size", 1, _LARGEST)
    if status in _OVER:
        return None
    return GivenBooking(
        line=row.line,
        reference=reference,
        party_size=party,
        starts_at=starts_at,
        guest_name=_text(row, "guest_name", 200),
        guest_email=_text(row, "guest_email", 254),
        guest_phone=_text(row, "guest_phone", 60),
        notes=_text(row, "notes", 2_000),
        preferences=_preferences(row),
        vip=_yes(row, "vip", default=False),
    )


def _preferences(row: CsvRow) -> Preferences:
    seating = _choices(row, "preferred_seating_type", SeatingType)
    if len(seating) > 1:
        raise InvalidInput("row", "preferred_seating_type", "must be one")
    return Preferences(
        zone=_label(row, "preferred_zone") if _given(row, "preferred_zone") else None,
        seating_type=next(iter(seating), None),
        high_chair=_yes(row, "high_chair", default=False),
        step_free=_yes(row, "step_free", default=False),
        must=frozenset(_choices(row, "must", Preference)),
    )


def _given(row: CsvRow, column: str) -> bool:
    return bool(row.cells.get(column, "").strip())


def _label(row: CsvRow, column: str) -> str:
    text = row.cells[column]
    if not 1 <= len(text) <= 100 or not text.isprintable() or text != text.strip():
        raise InvalidInput("row", column, "must be 1 to 100 printable characters without blanks at its ends")
    return text


def _text(row: CsvRow, column: str, longest: int) -> str | None:
    text = row.cells.get(column, "")
    if len(text) > longest:
        raise InvalidInput("row", column, f"is too long: at most {longest}")
    return text or None


def _whole(row: CsvRow, column: str, least: int, most: int, *, default: int | None = None) -> int:
    text = row.cells.get(column, "").strip()
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or not least <= int(text) <= most:
        raise InvalidInput("row", column, f"must be a whole number from {least} to {most}")
    return int(text)


def _choice(row: CsvRow, column: str, choices: type[_E], default: _E) -> _E:
    text = row.cells.get(column, "").strip().casefold()
    if not text:
        return default
    try:
        return choices(text)
    except ValueError:
        raise InvalidInput("row", column, f"must be {', '.join(choices)}") from None


def _choices(row: CsvRow, column: str, choices: type[_E]) -> tuple[_E, ...]:
    try:
        return tuple(choices(text) for text in row.cells.get(column, "").casefold().split())
    except ValueError:
        raise InvalidInput("row", column, f"must be of {', '.join(choices)}, with blanks between") from None


def _yes(row: CsvRow, column: str, *, default: bool) -> bool:
    text = row.cells.get(column, "").strip().casefold()
    if not text:
        return default
    if text not in {"true", "false", "yes", "no", "1", "0"}:
        raise InvalidInput("row", column, "must be true or false")
    return text in {"true", "yes", "1"}
