"""The demo on a real database: what it reports is so, and what was given is left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from maitred.bootstrap import open_application
from maitred.demo.findings import find
from maitred.demo.reference import demo_day
from maitred.demo.run import run_demo
from maitred.errors import InvalidInput
from maitred.settings import Settings
from maitred.storage.database import Database
from maitred.venue.store import import_day


async def count(db: Database) -> int:
    rows = await db.fetch("SELECT count(*) AS bookings FROM bookings")
    found: int = rows[0]["bookings"]
    return found


def console() -> Console:
    return Console(width=120, file=StringIO())


def written(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


async def test_the_demo_seats_the_day_and_writes_all_of_it(database_url: str, tmp_path: Path) -> None:
    out, path = console(), tmp_path / "demo.json"
    async with open_application(Settings(database_url=SecretStr(database_url))) as app:
        await run_demo(app, console=out, json_path=path)
    found = json.loads(path.read_text())
    assert found["bookings"] == 117
    assert found["seated"] >= 69
    assert found["covers"] >= 256
    assert found["double_bookings"] == 0
    assert found["seated"] + sum(found["declined"].values()) == 117
    assert 0 < found["db_round_trips_per_booking"] <= found["db_round_trips_per_booking_max"] <= 4
    for figure in ("planner_ms", "quote_to_confirm_ms"):
        assert 0 < found[figure]["p50"] <= found[figure]["p95"] <= found[figure]["p99"]
    assert found["events_complete"]
    assert found["events"]["auto_assign.quote"] == found["events"]["auto_assign.summary"] == 117
    assert found["events"]["auto_assign.succeeded"] == found["seated"]
    assert [outcome["ref"] for outcome in found["outcomes"]] == [f"B{n:03}" for n in range(1, 118)]
    assert (
        sum(outcome["party_size"] for outcome in found["outcomes"] if outcome["result"] == "succeeded")
        == (found["covers"])
    )
    text = written(out)
    assert "69 of 117 parties seated" in text
    assert "Dining 2\nD2-T01" in text
    assert "original, run 1" in text
    assert "Planner calls" in text
    assert "\x1b" not in text


async def test_the_embedded_database_gets_the_demo_anew_each_time(database_url: str) -> None:
    async with open_application(Settings(database_url=SecretStr(database_url))) as app:
        own = replace(app, embedded=True)
        first = await run_demo(own, console=console(), workers=8)
        second = await run_demo(own, console=console())
        assert await count(app.database) == 117
    assert first.findings.double_bookings == second.findings.double_bookings == 0
    assert second.findings.events["auto_assign.summary"] == 117  # the events of the first went with it


async def test_a_given_database_that_has_the_demo_is_left_as_it_is(database_url: str) -> None:
    async with open_application(Settings(database_url=SecretStr(database_url))) as app:
        await import_day(app.database, demo_day())
        await app.database.fetch("DELETE FROM bookings WHERE reference = 'B001'")
        with pytest.raises(InvalidInput, match="demo-restaurant is already in the database"):
            await run_demo(app, console=console())
        assert await count(app.database) == 116
        assert await app.database.fetch("SELECT id FROM allocations LIMIT 1") == []


async def test_a_file_that_cannot_be_written_is_told_before_anything_is_done(database_url: str, tmp_path: Path) -> None:
    async with open_application(Settings(database_url=SecretStr(database_url))) as app:
        with pytest.raises(InvalidInput, match="there is no folder"):
            await run_demo(app, console=console(), json_path=tmp_path / "nowhere" / "demo.json")
        assert await count(app.database) == 0


async def test_a_double_booking_would_be_counted(database: Database) -> None:
    """Without the constraint two parties can have one table, and the demo's own count sees it."""
    imported = await import_day(database, demo_day())
    of = {"restaurant_id": imported.restaurant_id}
    await database.fetch("ALTER TABLE allocations DROP CONSTRAINT allocations_no_overlap")
    seat = """
        INSERT INTO allocations (restaurant_id, table_id, booking_id, period)
        SELECT b.restaurant_id, t.id, b.id, tstzrange(b.starts_at, b.starts_at + interval '1 hour')
          FROM bookings b JOIN tables t ON t.restaurant_id = b.restaurant_id AND t.number = %(number)s
         WHERE b.restaurant_id = %(restaurant_id)s AND b.reference = %(reference)s
    """
    await database.fetch(seat, {**of, "number": "D1-T04", "reference": "B001"})
    assert (await find(database, imported.restaurant_id)).double_bookings == 0
    await database.fetch(seat, {**of, "number": "D1-T04", "reference": "B003"})
    assert (await find(database, imported.restaurant_id)).double_bookings == 1
    await database.fetch(seat, {**of, "number": "D1-T05", "reference": "B002"})
    assert (await find(database, imported.restaurant_id)).double_bookings == 1
