"""What a venue asks of the choice, in a file and in the database: read, checked, written, and read again the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from maitred.booking.question import Question, Strategy, question_at_any_time, question_for
from maitred.booking.room import lost_minutes, section_arrivals, section_covers
from maitred.booking.snapshot import snapshot_of, snapshot_statement
from maitred.errors import InvalidInput
from maitred.model.floor import SeatingType, TableFeature
from maitred.model.joined import JoinedSet
from maitred.model.policy import Window
from maitred.model.preferences import Preference, Preferences
from maitred.model.scoring import KeepLarge
from maitred.storage.database import Database
from maitred.venue.difference import facts_of, first_difference
from maitred.venue.read import load_venue
from maitred.venue.store import import_day
from tests.venue.files import Raw, bent, parsed, put, small_file


def asking_file() -> Raw:
    raw = small_file()
    raw["tables"][0] |= {"features": ["step_free", "vip"], "section": "east", "priority": {"dinner": 2, "*": 1}}
    raw["tables"][1] |= {"section": "west"}
    raw["lost_seats"] = [{"tables": ["T2", "T1"], "seats": 1}]
    raw["joined_sets"] = [{"tables": ["T1", "T2"], "capacity": 5, "max_party_size": 5, "rank": 1}]
    raw["policy"]["scoring"] |= {
        "weights": {"section": 0.5, "pacing": 0.25, "gap": 0.1, "priority": 3, "guest_preference": 4},
        "keep_large": [{"seats": 6, "party": 4, "until_min": 60, "hard": True, "service": "dinner"}],
        "hard_preferences": ["step_free"],
        "preferences": {"zone": "Room"},
        "vip_only": True,
    }
    raw["bookings"][1] |= {"preferences": {"zone": "room", "seating_type": "booth", "must": ["zone"]}, "vip": True}
    return raw


async def test_what_a_venue_asks_for_comes_back_from_the_database_as_the_file_says_it(database: Database) -> None:
    document = parsed(asking_file())
    imported = await import_day(database, document)
    venue = await load_venue(database, imported.restaurant_id)
    assert (
        first_difference(
            stored=facts_of(venue.name, venue.policy, venue.floor),
            given=facts_of(document.name, document.policy, document.floor),
        )
        is None
    )
    table = next(table for table in venue.floor.tables if table.number == "T1")
    assert table.features == {TableFeature.STEP_FREE, TableFeature.VIP}
    assert (table.priority_at("dinner"), table.priority_at("lunch"), table.section) == (2, 1, "east")
    ids = {table.number: table.id for table in venue.floor.tables}
    assert venue.floor.joined == (JoinedSet((ids["T1"], ids["T2"]), capacity=5, max_party=5, rank=1),)
    assert venue.floor.seats_of([ids["T1"], ids["T2"]]) == 5
    assert list(venue.floor.lost_seats.values()) == [1]
    assert venue.policy.scoring.keep_large == (KeepLarge(6, 4, 60, hard=True, service="dinner"),)
    assert venue.policy.scoring.preferences == Preferences(zone="Room")
    again = await import_day(database, document)
    assert not again.created


async def test_a_quote_asks_with_what_the_venue_weighs(database: Database) -> None:
    imported = await import_day(database, parsed(asking_file()))
    venue = await load_venue(database, imported.restaurant_id)
    ids = {row["reference"]: row["id"] for row in await database.fetch("SELECT id, reference FROM bookings")}
    tables = {table.number: table.id for table in venue.floor.tables}
    await database.fetch(
        "INSERT INTO allocations (restaurant_id, table_id, booking_id, period)"
        " VALUES (%(r)s, %(t)s, %(b)s, tstzrange('2025-11-06 18:00+00', '2025-11-06 19:00+00')) RETURNING id",
        {"r": imported.restaurant_id, "t": tables["T2"], "b": ids["R1"]},
    )
    snapshot = snapshot_of(ids["R2"], await database.fetch(*snapshot_statement(ids["R2"])))
    assert snapshot.preferences == Preferences(
        zone="room", seating_type=SeatingType.BOOTH, must=frozenset({Preference.ZONE})
    )
    now = snapshot.starts_at - timedelta(minutes=61, seconds=30)
    asked = question_for(snapshot, venue.policy, venue.floor, Strategy(), now)
    assert isinstance(asked, Question)
    request = asked.request
    assert (request.vip, request.service, request.lead_min) == (True, "dinner", 61)
    # R2 dines from 19:30, and its tables are taken from 19:25: T2 would stand empty for 25 minutes, too few for 70
    assert asked.window.blocked.start == datetime(2025, 11, 6, 19, 25, tzinfo=UTC)
    lost = dict(zip([table.number for table in venue.floor.tables], request.lost_minutes, strict=True))
    assert lost["T2"] == 25
    assert request.section_covers == (0, 0)
    early = snapshot_of(ids["R2"], await database.fetch(*snapshot_statement(ids["R2"])))
    window = venue.policy.window(datetime(2025, 11, 6, 18, 30, tzinfo=UTC), 4)
    assert isinstance(window, Window)
    assert venue.floor.sections == ("east", "west")
    assert section_covers(early, venue.policy, venue.floor, window) == (0, 2)
    assert lost_minutes(early, venue.policy, venue.floor, window)[venue.floor.tables.index(venue.floor.tables[0])] >= 0
    assert section_arrivals(early, venue.policy, venue.floor) == (0, 0)


async def test_a_venue_that_weighs_nothing_asks_as_before(database: Database) -> None:
    imported = await import_day(database, parsed(small_file()))
    venue = await load_venue(database, imported.restaurant_id)
    [row] = await database.fetch("SELECT id FROM bookings WHERE reference = 'R2'")
    rows = await database.fetch(*snapshot_statement(row["id"]))
    assert rows[0]["asks"] is None
    asked = question_at_any_time(snapshot_of(row["id"], rows), venue.policy, venue.floor, Strategy())
    assert isinstance(asked, Question)
    request = asked.request
    assert (request.preferences, request.vip, request.lead_min) == (None, False, None)
    assert (request.section_covers, request.section_arrivals, request.lost_minutes) == ((), (), ())


BROKEN: list[tuple[Callable[[Raw], object], str]] = [
    (put("joined_sets", value=[{"tables": ["T1", "T1"]}]), "joined set T1 + T1: tables: names a table twice"),
    (put("joined_sets", value=[{"tables": ["T1", "P1"]}]), "joined set T1 + P1: tables: spans zones"),
    (put("joined_sets", value=[{"tables": ["T1", "T9"]}]), 'joined set T1 + T9: tables: unknown table "T9"'),
    (put("joined_sets", value=[{"tables": ["T1"]}]), "joined set T1: tables: must be from 2 to 5 tables"),
    (
        put("joined_sets", value=[{"tables": ["T1", "T2"]}, {"tables": ["T2", "T1"]}]),
        "joined set T2 + T1: tables: comes twice",
    ),
    (put("joined_sets", value=[{"tables": ["T1", "T2"], "capacity": 0}]), "joined set no. 1: capacity: must be 1"),
    (put("lost_seats", value=[{"tables": ["T1", "P1"], "seats": 1}]), "edge T1 - P1: lost_seats: the tables don't"),
    (put("lost_seats", value=[{"tables": ["T1", "T2"], "seats": 6}]), "edge T1 - T2: lost_seats: must be from 0 to 5"),
    (put("tables", 0, "priority", value={"brunch": 1}), 'table T1: priority: unknown service "brunch"'),
    (put("tables", 0, "features", value=["sea_view"]), "table T1: features[0]: must be"),
    (
        put("bookings", 0, "preferences", value={"zone": "Cellar"}),
        'booking R1: preferences.zone: unknown zone "Cellar"',
    ),
    (put("policy", "scoring", "weights", value={"gap": -1}), "weights: gap: must be a finite number of 0 or more"),
    (put("policy", "scoring", "weights", value={"vip": float("inf")}), "scoring: weights.vip: must be a finite number"),
    (
        put("policy", "scoring", "keep_large", value=[{"seats": 6, "party": 4, "service": "brunch"}]),
        'scoring: keep_large.service: unknown service "brunch"',
    ),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_what_makes_no_sense_is_refused_by_item_and_field(change: Callable[[Raw], object], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parsed(bent(change))
    assert str(refused.value).startswith(message)


async def test_the_database_refuses_such_a_set_too_and_forgets_one_whose_table_goes(database: Database) -> None:
    imported = await import_day(database, parsed(asking_file()))
    venue = await load_venue(database, imported.restaurant_id)
    tables = {table.number: table.id for table in venue.floor.tables}
    add = "INSERT INTO joined_sets (restaurant_id, table_ids) VALUES (%(r)s, %(t)s::bigint[]) RETURNING id"
    for numbers in (("T1", "T1"), ("T1", "P1"), ("T1", "T2")):
        given = {"r": imported.restaurant_id, "t": [tables[number] for number in numbers]}
        with pytest.raises(psycopg.errors.CheckViolation):
            await database.fetch(add, given)
    await database.fetch("DELETE FROM tables WHERE id = %(id)s RETURNING id", {"id": tables["T1"]})
    after = await load_venue(database, imported.restaurant_id)
    assert after.floor.joined == ()
    assert after.floor_version > venue.floor_version
