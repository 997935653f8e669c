"""A day taken out of a venue that uses everything is taken in again as it was: as JSON whole, as CSV its bookings."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from maitred.booking.day_export import day_csv, day_json, read_exported_day
from maitred.storage.database import Database
from maitred.venue.csv_import import import_sheets
from maitred.venue.csv_sheets import Sheet
from maitred.venue.difference import facts_of, first_difference
from maitred.venue.document import parse_day
from maitred.venue.read import load_venue
from maitred.venue.store import import_day
from tests.venue.files import parsed, put, small_file, venue_that_asks


async def asked_of(database: Database) -> list[dict[str, Any]]:
    return await database.fetch("SELECT reference, party_size, starts_at, preferences, vip FROM bookings ORDER BY 1")


@pytest.mark.parametrize("seed", range(12))
async def test_a_day_comes_back_as_it_was(database: Database, seed: int) -> None:
    document = parsed(venue_that_asks(random.Random(seed)))
    before = await load_venue(database, (await import_day(database, document)).restaurant_id)
    booked = await asked_of(database)
    exported = await read_exported_day(database, document.slug, document.day)
    text, sheet = json.dumps(day_json(exported)), day_csv(exported)
    again = await import_day(database, parse_day(text.encode()))
    assert (again.created, again.bookings_added) == (False, 0)

    await database.fetch("DELETE FROM restaurants")
    anew = await import_day(database, parse_day(text.encode()))
    after = await load_venue(database, anew.restaurant_id)
    facts = [facts_of(each.name, each.policy, each.floor) for each in (before, after)]
    assert first_difference(stored=facts[0], given=facts[1]) is None
    ours = [row for row in booked if row["reference"] != "R3"]  # after midnight and outside dinner: not of this day
    assert await asked_of(database) == ours

    await database.fetch("DELETE FROM bookings")
    report = await import_sheets(database, document.slug, {Sheet.BOOKINGS: sheet.encode()}, dry_run=False)
    assert report.problems == ()
    assert await asked_of(database) == ours


async def test_what_a_day_no_longer_has_is_left_out(database: Database) -> None:
    raw = venue_that_asks(random.Random(1))
    raw["tables"][0]["priority"] = {"lunch": 3, "dinner": 1}
    raw["policy"]["scoring"]["keep_large"] = [{"seats": 6, "party": 5, "service": "lunch"}]
    put("bookings", 1, "preferences", value={"zone": "Terrace", "high_chair": True})(raw)
    document = parsed(raw)
    await import_day(database, document)
    await database.fetch("DELETE FROM services WHERE key = 'lunch'")
    await database.fetch("UPDATE zones SET name = 'Garden' WHERE name = 'Terrace'")
    exported = day_json(await read_exported_day(database, document.slug, document.day))
    parse_day(json.dumps(exported).encode())
    assert [each["priority"] for each in exported["tables"] if each["number"] == "T1"] == [{"dinner": 1}]
    assert exported["policy"]["scoring"]["keep_large"] == []
    assert [each["preferences"] for each in exported["bookings"] if each["ref"] == "R2"] == [{"high_chair": True}]


async def test_sheets_say_what_tables_offer_and_lose(database: Database) -> None:
    raw = small_file()
    document = parsed(raw)
    restaurant = (await import_day(database, document)).restaurant_id
    tables = (
        "number,zone,capacity,features,section,priority\n"
        "X1,Terrace,4,step_free VIP,Anna,dinner:2 *:1\nX2,Terrace,4,,,\n"
    )
    edges = "table_a,table_b,lost_seats\nX1,X2,2\nX2,P1,\n"
    sheets = {Sheet.TABLES: tables.encode(), Sheet.ADJACENCY: edges.encode()}
    assert (await import_sheets(database, document.slug, sheets, dry_run=False)).problems == ()
    floor = (await load_venue(database, restaurant)).floor
    by_number = {table.number: table for table in floor.tables}
    made = by_number["X1"]
    assert (sorted(made.features), made.section, dict(made.priority)) == (
        ["step_free", "vip"],
        "Anna",
        {"dinner": 2, "*": 1},
    )
    assert floor.seats_of([made.id, by_number["X2"].id]) == 6
    again = await import_sheets(database, document.slug, sheets, dry_run=False)
    assert (again.problems, again.already_there["adjacency"]) == ((), 2)
    bad = {
        Sheet.TABLES: (tables + "X3,Terrace,4,sauna,,\nX4,Terrace,4,,,brunch:1\nX5,Terrace,4,,,dinner\n").encode(),
        Sheet.ADJACENCY: b"table_a,table_b,lost_seats\nX2,X1,3\nX1,P1,10\n",
    }
    report = await import_sheets(database, document.slug, bad, dry_run=True)
    assert [(sheet.value, each.line, each.column) for sheet, each in report.problems] == [
        ("tables", 4, "features"),
        ("tables", 5, "priority"),
        ("tables", 6, "priority"),
        ("adjacency", 2, "lost_seats"),
        ("adjacency", 3, "lost_seats"),
    ]
