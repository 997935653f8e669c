"""CSV files: every problem by its line, all or nothing, and the same back that was taken out."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import icalendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maitred.booking.day_export import ExportedBooking, ExportedDay, day_calendar, day_csv, day_json, read_exported_day
from maitred.errors import ImportRefused, NotFound
from maitred.model.floor import SeatingType
from maitred.model.preferences import Preference, Preferences
from maitred.storage.database import Database
from maitred.venue.csv_import import ImportReport, NewVenue, import_sheets
from maitred.venue.csv_sheets import GivenBooking, Sheet, read_sheet
from maitred.venue.csv_text import plain_cell, read_csv, safe_cell, write_csv
from maitred.venue.day_problems import lines_of, problems_of_day
from maitred.venue.difference import facts_of
from maitred.venue.document import parse_day
from maitred.venue.read import Venue
from maitred.venue.store import import_day
from tests.house import build_house
from tests.venue.files import parsed, small_file, venue_that_asks

LONDON = ZoneInfo("Europe/London")
HEADER = "reference,date,time,party_size\n"


def problems(text: str | bytes, sheet: Sheet = Sheet.BOOKINGS) -> list[tuple[int | None, str]]:
    content = text if isinstance(text, bytes) else text.encode()
    return [(each.line, each.column) for each in read_sheet(sheet, content, LONDON).problems]


def test_every_problem_is_told_by_its_line_also_after_cells_with_line_breaks() -> None:
    text = (
        "reference,date,time,party_size,notes\r\n"
        'R1,2030-01-05,19:00,2,"two\r\nlines"\r\n'
        "R2,2030-02-30,19:00,2,\r\n"
        "R3,2030-01-05,25:00,2,\r\n"
        "\r\n"
        "R4,2030-01-05,19:00,none,\r\n"
        "R1,2030-01-05,19:00,2,\r\n"
        "R5,2030-01-05\r\n"
    )
    assert problems(text) == [(4, "date"), (5, "time"), (7, "party_size"), (8, "reference"), (9, "row")]


@pytest.mark.parametrize(
    ("time", "meant"),
    [
        ("01:30", None),
        ("01:30+01:00", datetime(2030, 10, 27, 0, 30, tzinfo=UTC)),
        ("01:30+00:00", datetime(2030, 10, 27, 1, 30, tzinfo=UTC)),
        ("01:30Z", datetime(2030, 10, 27, 1, 30, tzinfo=UTC)),
        ("01:30+02:00", None),
        ("02:30", datetime(2030, 10, 27, 2, 30, tzinfo=UTC)),
    ],
)
def test_a_time_that_comes_twice_needs_its_offset(time: str, meant: datetime | None) -> None:
    read = read_sheet(Sheet.BOOKINGS, f"{HEADER}R1,2030-10-27,{time},2\n".encode(), LONDON)
    if meant is None:
        assert [(each.line, each.column) for each in read.problems] == [(2, "time")]
        assert "01:30" in read.problems[0].problem
        return
    assert isinstance(read.rows[0], GivenBooking)
    assert read.rows[0].starts_at == meant


def test_a_time_that_the_clocks_skip_is_told() -> None:
    read = read_sheet(Sheet.BOOKINGS, f"{HEADER}R1,2030-03-31,01:30,2\n".encode(), LONDON)
    assert "clocks skip it" in read.problems[0].problem


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiters_and_byte_order_marks_of_spreadsheets_are_understood(delimiter: str, mark: bytes) -> None:
    text = f"{HEADER}R1,2030-01-05,19:00,2\n".replace(",", delimiter)
    assert len(read_sheet(Sheet.BOOKINGS, mark + text.encode(), LONDON).rows) == 1


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (b"", None, "file"),
        (HEADER.encode("utf-16"), None, "encoding"),
        (HEADER.encode() + "R\xe9,2030-01-05,19:00,2\n".encode("latin-1"), 2, "encoding"),
        (b"reference,date,time\n", 1, "party_size"),
        (HEADER.encode().replace(b"date", b"day"), 1, "date"),
        (b"reference,date,time,party_size,date\n", 1, "date"),
        (HEADER.encode() + b'R1,"2030-01-05,19:00,2\n', 2, "row"),
        (b"x" * 20_000_001, None, "file"),
    ],
)
def test_a_file_that_cant_be_read_is_refused_with_the_line(content: bytes, line: int | None, column: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        read_sheet(Sheet.BOOKINGS, content, LONDON)
    assert refused.value.problems[0][:2] == (line, column)


def test_sheets_of_a_venue_name_their_problems() -> None:
    tables = (
        "number,zone,capacity,category,active\n"
        "T1,Hall,4,dining,yes\nT2,Hall,0,dining,\nT3,Hall,4,cellar,\nt1,Hall,2,,\n"
    )
    assert problems(tables, Sheet.TABLES) == [(3, "capacity"), (4, "category"), (5, "number")]
    services = (
        "key,start,end,turn_bands\nlunch,12:00,15:00,2:60 8:90\ndinner,18:00,25:00,2:60\nlate,18:00,20:00,8:60 2:60\n"
    )
    assert problems(services, Sheet.SERVICES) == [(3, "end"), (4, "turn_bands")]
    assert problems("table_a,table_b\nT1,T1\n", Sheet.ADJACENCY) == [(2, "table_b")]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30))
def test_no_cell_begins_like_a_formula_and_each_comes_back(text: str) -> None:
    written = safe_cell(text)
    assert written[:1] not in set("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
    assert plain_cell(written) == text


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\r\t=+-@'\",;"), max_size=12)


@given(st.lists(st.tuples(cells, cells, cells), max_size=6))
def test_what_is_written_is_read_back(rows: list[tuple[str, str, str]]) -> None:
    columns = ("a", "b", "c")
    read, wrong = read_csv(write_csv(columns, rows).encode(), columns, frozenset(columns))
    assert wrong == []
    assert [tuple(row.cells.values()) for row in read] == [row for row in rows if any(map(safe_cell, row))]


names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=10)
details = st.one_of(st.none(), cells.filter(bool))


preferences = st.builds(
    Preferences,
    zone=st.none() | st.sampled_from(("Room", "terrace")),
    seating_type=st.none() | st.sampled_from(SeatingType),
    high_chair=st.booleans(),
    step_free=st.booleans(),
    must=st.frozensets(st.sampled_from(Preference)),
)


@st.composite
def exported_days(draw: st.DrawFn) -> ExportedDay:
    document = parsed(draw(st.randoms(use_true_random=False).map(venue_that_asks)))
    venue = Venue(uuid4(), document.slug, document.name, document.policy, document.floor, 1, 1)
    day = draw(st.sampled_from([date(2030, 10, 27), date(2030, 3, 31), date(2030, 10, 26), date(2030, 6, 1)]))
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    references = draw(st.lists(names, max_size=6, unique=True))
    bookings = []
    for reference in references:
        starts_at = midnight + timedelta(seconds=draw(st.integers(-7_200, 93_600)))
        if document.policy.service_day(starts_at) != day:
            continue
        bookings.append(
            ExportedBooking(
                id=uuid4(),
                reference=reference,
                party_size=draw(st.integers(1, 500)),
                starts_at=starts_at,
                status=draw(st.sampled_from(["pending", "confirmed", "completed", "cancelled", "no_show"])),
                revision=1,
                guest_name=draw(details),
                guest_email=draw(details),
                guest_phone=draw(details),
                notes=draw(details),
                created_at=midnight,
                tables=("T1",),
                kept_until=None,
                preferences=draw(preferences),
                vip=draw(st.booleans()),
            )
        )
    return ExportedDay(venue, day, tuple(bookings))


@settings(max_examples=200)
@given(exported_days())
def test_a_day_taken_out_comes_in_the_same(day: ExportedDay) -> None:
    live = [each for each in day.bookings if each.status not in {"cancelled", "no_show"}]
    read = read_sheet(Sheet.BOOKINGS, day_csv(day).encode(), LONDON)
    assert read.problems == ()
    assert read.left_out == len(day.bookings) - len(live)
    fields = attrgetter(
        *("reference", "party_size", "starts_at", "guest_name", "guest_email", "guest_phone", "notes"),
        *("preferences", "vip"),
    )
    assert list(map(fields, read.rows)) == list(map(fields, live))
    document = parse_day(json.dumps(day_json(day)).encode())
    assert (document.policy, document.name, document.day) == (day.venue.policy, day.venue.name, day.day)
    assert [(b.reference, b.party_size, b.starts_at, b.preferences, b.vip) for b in document.bookings] == [
        (b.reference, b.party_size, b.starts_at, b.preferences, b.vip) for b in live
    ]
    given = facts_of(document.name, document.policy, document.floor)
    assert given == facts_of(day.venue.name, day.venue.policy, day.venue.floor)
    events = icalendar.Calendar.from_ical(day_calendar(day)).walk("VEVENT")
    assert [each.decoded("dtstart") for each in events] == [each.starts_at for each in live]


async def run(
    database: Database, sheets: dict[Sheet, str], *, dry: bool = False, new: NewVenue | None = None
) -> ImportReport:
    contents = {sheet: text.encode() for sheet, text in sheets.items()}
    return await import_sheets(database, "chez-csv", contents, dry_run=dry, new=new)


SHEETS = {
    Sheet.SERVICES: "key,start,end,turn_bands\nlunch,12:00,15:00,2:60 8:90\ndinner,18:00,23:00,8:90\n",
    Sheet.TABLES: "number,zone,capacity\nT1,Hall,4\nT2,Hall,2\nP1,Patio,6\n",
    Sheet.ADJACENCY: "table_a,table_b\nT2,T1\nt1,T2\n",
    Sheet.BOOKINGS: HEADER + "R1,2030-01-05,19:00,2\nR2,2030-01-06,12:30,4\n",
}


async def test_a_venue_comes_from_four_sheets_and_a_second_time_nothing_changes(database: Database) -> None:
    new = NewVenue("Chez CSV", "Europe/London")
    dry = await run(database, SHEETS, dry=True, new=new)
    assert dry.problems == ()
    assert dry.added == {"services": 2, "tables": 3, "zones": 2, "adjacency": 1, "bookings": 2}
    with pytest.raises(NotFound):
        await run(database, SHEETS)
    report = await run(database, SHEETS, new=new)
    assert report.added == dry.added
    again = await run(database, SHEETS)
    assert (again.problems, again.added["bookings"], again.added["tables"]) == ((), 0, 0)
    assert again.already_there == {"services": 2, "tables": 3, "adjacency": 1, "bookings": 2}
    day = await read_exported_day(database, "chez-csv", date(2030, 1, 5))
    assert [(each.reference, each.status) for each in day.bookings] == [("R1", "pending")]


async def test_one_bad_line_keeps_everything_out(database: Database) -> None:
    new = NewVenue("Chez CSV", "Europe/London")
    bad = {
        **SHEETS,
        Sheet.BOOKINGS: SHEETS[Sheet.BOOKINGS] + "R3,2030-01-06,12:30,\n",
        Sheet.ADJACENCY: "table_a,table_b\nT1,T9\n",
    }
    report = await run(database, bad, new=new)
    assert [(sheet.value, each.line, each.column) for sheet, each in report.problems] == [
        ("adjacency", 2, "table_b"),
        ("bookings", 4, "party_size"),
    ]
    assert await database.fetch("SELECT FROM restaurants") == []


async def test_what_differs_from_the_database_is_told_by_line(database: Database) -> None:
    await run(database, SHEETS, new=NewVenue("Chez CSV", "Europe/London"))
    other = {
        Sheet.SERVICES: SHEETS[Sheet.SERVICES].replace("12:00", "11:30"),
        Sheet.TABLES: SHEETS[Sheet.TABLES].replace("T2,Hall,2", "T2,Patio,2"),
        Sheet.BOOKINGS: HEADER + "R1,2030-01-05,19:15,2\nR2,2030-01-06,12:30,5\n",
    }
    report = await run(database, other, dry=True)
    assert [(sheet.value, each.line) for sheet, each in report.problems] == [
        ("services", 2),
        ("tables", 3),
        ("bookings", 2),
        ("bookings", 3),
    ]


async def test_a_dry_run_tells_that_a_limit_would_be_exceeded(database: Database) -> None:
    await run(database, SHEETS, new=NewVenue("Chez CSV", "Europe/London"))
    await database.fetch(
        "INSERT INTO pacing_limits (restaurant_id, slot_minutes, most_parties) SELECT id, 15, 1 FROM restaurants"
    )
    report = await run(database, {Sheet.BOOKINGS: HEADER + "X1,2030-01-06,18:00,2\nX2,2030-01-06,12:30,2\n"}, dry=True)
    assert [(each.line, each.column) for _, each in report.problems] == [(3, "time")]
    assert "no more than 1 parties" in report.problems[0][1].problem


async def test_guests_come_in_and_go_out_with_a_sheet(database: Database) -> None:
    house = await build_house(database)
    slug = (await database.fetch("SELECT slug FROM restaurants"))[0]["slug"]
    text = "reference,date,time,party_size,guest_name,guest_phone,notes\nR1,2030-06-05,12:00,2,Guest,'+44 20,'=1+1\n"
    await import_sheets(database, slug, {Sheet.BOOKINGS: text.encode()}, dry_run=False)
    rows = await database.fetch("SELECT guest_phone, notes, restaurant_id FROM bookings")
    assert (rows[0]["guest_phone"], rows[0]["notes"]) == ("+44 20", "=1+1")
    assert UUID(str(rows[0]["restaurant_id"])) == house.restaurant_id
    out = day_csv(await read_exported_day(database, slug, date(2030, 6, 5)))
    assert ",'+44 20,'=1+1,,,,,,\r\n" in out


async def test_a_day_exported_as_json_is_imported_as_what_it_was(database: Database) -> None:
    document = parsed(small_file())
    await import_day(database, document)
    exported = await read_exported_day(database, document.slug, document.day)
    # the third starts after midnight and after dinner, outside every service: it is of the day after
    again = await import_day(database, parse_day(json.dumps(day_json(exported)).encode()))
    assert (again.created, again.bookings_added, again.bookings_already_there) == (False, 0, 2)


def test_all_problems_of_a_json_file_are_told_by_line() -> None:
    raw = small_file()
    raw["tables"][1]["zone"] = "Cellar"
    raw["tables"][2]["capacity"] = 0
    raw["adjacency"].append(["T1", "T9"])
    raw["bookings"][0]["party_size"] = "two"
    raw["bookings"][1]["time"] = "29:00"
    raw["bookings"][2]["ref"] = "R2"
    text = json.dumps(raw, indent=1)
    found = problems_of_day(text.encode())
    shown = [(text.splitlines()[each.line - 1].strip(" ,") if each.line else None, each.column) for each in found]
    assert shown == [
        ('"zone": "Cellar"', "zone"),
        ('"capacity": 0', "capacity"),
        ("[", "adjacency"),
        ('"party_size": "two"', "party_size"),
        ('"time": "29:00"', "time"),
        ('"ref": "R2"', "ref"),
    ]
    assert problems_of_day(json.dumps(small_file()).encode()) == []
    assert problems_of_day(b"{")[0].line == 1
    assert problems_of_day(b"[]")[0].line is None


@given(
    st.recursive(
        st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=20,
    )
)
def test_each_value_of_a_json_text_is_found_on_its_line(value: object) -> None:
    text = json.dumps(value, indent=2)
    lines, found = text.splitlines(), lines_of(text)

    def check(path: tuple[int | str, ...], value: object) -> None:
        if len(path) > 6:
            return
        begins = json.dumps(value, indent=2).splitlines()[0]
        assert begins in lines[found[path] - 1]
        if isinstance(value, dict):
            for key, inner in value.items():
                check((*path, key), inner)
        elif isinstance(value, list):
            for place, inner in enumerate(value):
                check((*path, place), inner)

    check((), value)


async def test_two_imports_of_one_venue_wait_for_each_other(database: Database) -> None:
    new = NewVenue("Chez CSV", "Europe/London")
    both = await asyncio.gather(run(database, SHEETS, new=new), run(database, SHEETS, new=new))
    assert sorted(report.added.get("bookings", 0) for report in both) == [0, 2]
