"""What a file may say, and the one line that anything else gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from maitred.errors import InvalidInput
from maitred.model.floor import Mobility
from maitred.model.policy import DEFAULT_DEMAND, Demand
from maitred.model.scoring import Relaxation
from maitred.venue.document import parse_day, read_day
from tests.venue.files import Raw, bent, parsed, put, small_file

NAN = float("nan")

BROKEN: list[tuple[Callable[[Raw], object], str]] = [
    (put("format", value="maitred.day/2"), 'file: format: must be "maitred.day/1"'),
    (put("tables", 1, "zone", value="Cellar"), 'table T2: zone: unknown zone "Cellar"'),
    (put("tables", 2, "number", value="t2"), "table t2: number: comes twice"),
    (put("tables", 1, "capacity", value=0), "table T2: capacity: must be 1 or more"),
    (put("tables", 1, "capacity", value="4"), "table T2: capacity: must be a whole number"),
    (put("tables", 1, "capacity", value=True), "table T2: capacity: must be a whole number"),
    (put("tables", 1, "min_party_size", value=5), "table T2: min_party_size: 5 is above max_party_size 4"),
    (put("tables", 1, "colour", value="red"), "table T2: colour: unknown key"),
    (put("tables", 1, value="T2"), "table no. 2: number: must be an object"),
    (put("tables", 1, "number", value="T2\u0000"), "table no. 2: number: must be printable text"),
    (put("tables", 1, "number", value="\ud800"), "table no. 2: number: is not valid Unicode"),
    (put("zones", 1, value="room"), "zone room: name: comes twice"),
    (put("zones", 1, value=" Terrace"), "zone no. 2: name: must be printable text without blanks at its ends"),
    (put("adjacency", 0, value=["T1", "t1"]), "edge T1 - t1: adjacency: joins a table to itself"),
    (put("adjacency", 0, value=["T1", "T9"]), 'edge T1 - T9: adjacency: unknown table "T9"'),
    (put("adjacency", 0, value=["T1"]), "edge no. 1: tables[1]: is missing"),
    (put("adjacency", 0, value=["T1", "T2", "T10"]), "edge no. 1: tables: is too long: at most 2"),
    (put("scarcity", 0, "scarcity", value=NAN), "scarcity no. 1: scarcity: must be a finite number"),
    (
        lambda raw: raw["scarcity"].append(raw["scarcity"][0]),
        "scarcity no. 2: capacity: this type of table comes twice",
    ),
    (put("bookings", 1, "party_size", value=0), "booking R2: party_size: must be 1 or more"),
    (put("bookings", 1, "party_size", value=2.5), "booking R2: party_size: must be a whole number"),
    (put("bookings", 1, "party_size", value=10**30), "booking R2: party_size: must be 1000000 or less"),
    (put("bookings", 1, "ref", value="R1"), "booking R1: ref: comes twice"),
    (put("bookings", 1, "time", value="25:99"), "booking R2: time: must be a time that exists, written HH:MM"),
    (put("bookings", 1, "time", value="7 pm"), "booking R2: time: must be a time written HH:MM, or with an offset"),
    (put("bookings", 1, "time", value="19:30+05:00"), "booking R2: time: the offset of 19:30 on 2025-11-06"),
    (
        put("bookings", 1, "date", value="2025-11-08"),
        "booking R2: date: must be the file's 2025-11-06 or the day after",
    ),
    (put("bookings", 1, "guest", value="A. Guest"), "booking R2: guest: unknown key"),
    (put("date", value="2025-02-30"), "file: date: must be a date that exists, written YYYY-MM-DD"),
    (put("date", value="0001-01-01"), "file: date: must be from 1970 to 2199"),
    (put("restaurant", "timezone", value="Europe/Lundon"), "restaurant: timezone: 'Europe/Lundon' is not"),
    (put("restaurant", "slug", value="Chez Test"), "restaurant: slug: must be lower-case letters"),
    (lambda raw: raw.pop("tables"), "file: tables: is missing"),
    (put("tables", value={}), "file: tables: must be a list"),
    (put("surprise", value=1), "file: surprise: unknown key"),
    (put("policy", "service_order", value=["lunch", "diner"]), 'policy: service_order: unknown service "diner"'),
    (
        put("policy", "service_order", value=["lunch"]),
        "service dinner: service_order: must be in the order exactly once",
    ),
    (put("policy", "outside_any_service", value="shrug"), "policy: outside_any_service: must be 'first_service' or"),
    (put("policy", "services", "lunch", "start", value="24:00"), "service lunch: start: must be a time that exists"),
    (
        put("policy", "services", "lunch", "turn_bands", value=[[4, 60], [2, 60]]),
        "service lunch: turn_bands: party sizes",
    ),
    (put("policy", "services", "lunch", "turn_bands", value=[[4, "1h"]]), "service lunch: turn_bands[0][1]: must be a"),
    (
        put("policy", "services", "lunch", "buffer_after_min", value=121),
        "service lunch: buffer_after_min: must be from",
    ),
    (put("policy", "scoring", "weights", "overage", value=NAN), "scoring: weights.overage: must be a finite number"),
    (put("policy", "scoring", "weights", "overrage", value=1), "scoring: weights.overrage: unknown key"),
    (put("policy", "scoring", "max_tables", value=6), "scoring: max_tables: must be from 1 to 5"),
    (
        put("policy", "demand", value=[{"service": "brunch", "weekdays": ["sun"], "multiplier": 1}]),
        'demand no. 1: service: unknown service "brunch"',
    ),
]


@pytest.mark.parametrize(("change", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_what_is_wrong_is_named_by_item_and_field_in_one_line(change: Callable[[Raw], object], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parsed(bent(change))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_guests_data_in_a_wrong_place_is_not_repeated() -> None:
    for field in ("time", "party_size", "date", "notes"):
        with pytest.raises(InvalidInput) as caught:
            parsed(bent(put("bookings", 1, field, value="A. Guest, 555 0100")))
        assert "Guest" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file: contents: not JSON: Expecting value in line 1, column 1"),
        (b'{"a": 1,\n "b" 2}', "file: contents: not JSON: Expecting ':' delimiter in line 2, column 6"),
        (b"[]", "file: contents: must be a JSON object"),
        (b"[" * 100_000, "file: contents: not JSON of this format: nested too deeply"),
        (b"1" * 5_000, "file: contents: not JSON of this format: a number has too many digits"),
        ('{"ö": 1}'.encode("latin-1"), "file: encoding: is not UTF-8 (byte 2)"),
        (json.dumps(small_file()).encode("utf-16"), "file: encoding: is not UTF-8 (byte 0)"),
        (b" " * 20_000_001, "file: size: is above 20 MB"),
        (b'{"ref": "R1", "time": "12:00", "time": "13:00"}', "booking R1: time: comes twice"),
    ],
)
def test_what_is_no_json_of_ours_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_day(content)
    assert str(caught.value) == message


def test_a_number_too_large_for_a_float_is_refused() -> None:
    text = json.dumps(small_file()).replace('"overage": 5', '"overage": 1e999')
    with pytest.raises(InvalidInput, match=r"weights\.overage: must be a finite number"):
        parse_day(text.encode())


def test_a_missing_file_a_folder_and_an_endless_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no such file"):
        read_day(tmp_path / "nowhere.json")
    with pytest.raises(InvalidInput, match="is a folder"):
        read_day(tmp_path)
    (tmp_path / "endless").symlink_to("/dev/zero")
    with pytest.raises(InvalidInput, match="is above 20 MB"):
        read_day(tmp_path / "endless")


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert parse_day(b"\xef\xbb\xbf" + json.dumps(small_file()).encode()) == parsed(small_file())


def test_the_file_becomes_the_models_values() -> None:
    day = parsed(small_file())
    assert [table.number for table in day.floor.tables] == ["P1", "T1", "T2", "T10"]
    assert day.floor.tables[3].mobility is Mobility.FIXED
    numbers = {table.id: table.number for table in day.floor.tables}
    assert {frozenset(numbers[one] for one in edge) for edge in day.floor.adjacency} == {
        frozenset({"T1", "T2"}),
        frozenset({"T2", "T10"}),
    }
    assert [service.key for service in day.policy.services] == ["lunch", "dinner"]
    assert day.policy.services[1].starts == time(17)
    assert day.policy.services[1].buffer_before_min == 5
    assert day.policy.scoring.allowed == {Relaxation.ADJACENCY}
    assert day.policy.demand == DEFAULT_DEMAND
    assert [(booking.reference, booking.starts_at) for booking in day.bookings] == [
        ("R1", datetime(2025, 11, 6, 12, 0, tzinfo=UTC)),
        ("R2", datetime(2025, 11, 6, 19, 30, tzinfo=UTC)),
        ("R3", datetime(2025, 11, 7, 0, 30, tzinfo=UTC)),
    ]


def test_an_edge_may_be_said_in_both_directions() -> None:
    assert parsed(bent(lambda raw: raw["adjacency"].append(["T2", "t1"]))) == parsed(small_file())


def test_a_venue_without_tables_and_a_day_without_bookings_are_allowed() -> None:
    day = parsed(small_file() | {"zones": [], "tables": [], "adjacency": [], "bookings": []})
    assert day.floor.tables == ()
    assert day.bookings == ()


def test_demand_given_in_the_file_replaces_the_defaults() -> None:
    demand = [{"service": "lunch", "weekdays": ["sat", "mon"], "multiplier": 2}]
    assert parsed(bent(put("policy", "demand", value=demand))).policy.demand == (
        Demand("lunch", frozenset({0, 5}), 2.0),
    )
    assert parsed(bent(put("policy", "demand", value=[]))).policy.demand == ()


def on(day: str, clock: str) -> datetime:
    raw = small_file() | {"date": day, "bookings": [{"ref": "R1", "time": clock, "party_size": 2}]}
    return parsed(raw).bookings[0].starts_at


def test_a_time_that_the_clocks_skip_does_not_exist() -> None:
    with pytest.raises(InvalidInput) as caught:
        on("2026-03-29", "01:30")
    assert str(caught.value) == (
        "booking R1: time: 01:30 does not exist on 2026-03-29 in Europe/London: the clocks skip it"
    )
    assert on("2026-03-29", "00:59") == datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
    assert on("2026-03-29", "02:00") == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_time_that_comes_twice_means_the_first_unless_its_offset_says_otherwise() -> None:
    first, second = datetime(2025, 10, 26, 0, 30, tzinfo=UTC), datetime(2025, 10, 26, 1, 30, tzinfo=UTC)
    assert on("2025-10-26", "01:30") == first
    assert on("2025-10-26", "01:30+01:00") == first
    assert on("2025-10-26", "01:30+00:00") == second
    assert on("2025-10-26", "01:30Z") == second
    with pytest.raises(InvalidInput, match=r"the offset of 01:30 on 2025-10-26 in Europe/London is \+01:00 or \+00:00"):
        on("2025-10-26", "01:30+02:00")
