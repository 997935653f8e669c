"""Importing a venue and a day: all or nothing, once, and only what is new."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from maitred.errors import InvalidInput, NotFound
from maitred.storage.database import Database, count_round_trips
from maitred.venue.difference import facts_of, first_difference
from maitred.venue.document import DayDocument
from maitred.venue.read import load_venue
from maitred.venue.store import import_day, remove_restaurant
from tests.venue.files import Raw, bent, parsed, put, small_file

COUNTS = """
SELECT (SELECT count(*) FROM restaurants) AS restaurants, (SELECT count(*) FROM zones) AS zones,
       (SELECT count(*) FROM tables) AS tables, (SELECT count(*) FROM table_adjacency) AS edges,
       (SELECT count(*) FROM table_scarcity) AS scarcity, (SELECT count(*) FROM services) AS services,
       (SELECT count(*) FROM turn_bands) AS bands, (SELECT count(*) FROM bookings) AS bookings,
       (SELECT count(*) FROM booking_history) AS history, (SELECT count(*) FROM holds) AS holds,
       (SELECT count(*) FROM allocations) AS allocations, (SELECT count(*) FROM confirmations) AS confirmations,
       (SELECT count(*) FROM observability_events) AS events
"""


async def counts(db: Database) -> dict[str, int]:
    return (await db.fetch(COUNTS))[0]


async def test_an_import_writes_the_venue_and_its_bookings_in_two_round_trips(database: Database) -> None:
    with count_round_trips() as trips:
        imported = await import_day(database, parsed(small_file()))
    assert trips.count == 2
    assert (imported.created, imported.bookings_added, imported.bookings_already_there) == (True, 3, 0)
    found = await counts(database)
    assert (found["tables"], found["edges"], found["bookings"], found["history"]) == (4, 2, 3, 3)
    history = await database.fetch("SELECT DISTINCT from_status, to_status, cause FROM booking_history")
    assert history == [{"from_status": None, "to_status": "pending", "cause": "import"}]


async def test_a_second_import_of_the_same_file_changes_nothing(database: Database) -> None:
    first = await import_day(database, parsed(small_file()))
    before, venue = await counts(database), await load_venue(database, first.restaurant_id)
    second = await import_day(database, parsed(small_file()))
    assert second.restaurant_id == first.restaurant_id
    assert (second.created, second.bookings_added, second.bookings_already_there) == (False, 0, 3)
    assert await counts(database) == before
    assert await load_venue(database, first.restaurant_id) == venue


async def test_only_the_bookings_that_are_new_are_added(database: Database) -> None:
    await import_day(database, parsed(small_file()))
    more = bent(lambda raw: raw["bookings"].append({"ref": "R4", "time": "20:00", "party_size": 2}))
    imported = await import_day(database, parsed(more))
    assert (imported.created, imported.bookings_added, imported.bookings_already_there) == (False, 1, 3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (bent(put("tables", 1, "capacity", value=5)), "table T2: capacity: is 4 in the database and 5 in the file"),
        (
            bent(lambda raw: raw["tables"].append({"number": "T11", "zone": "Room", "capacity": 2})),
            "table T11: capacity: is in the file and not in the database",
        ),
        (
            bent(lambda raw: raw["adjacency"].pop()),
            "edge T2 - T10: adjacency: is in the database and not in the file",
        ),
        (
            bent(put("policy", "services", "dinner", "end", value="23:00")),
            "service dinner: end: is 22:00:00 in the database and 23:00:00 in the file",
        ),
        (
            bent(put("policy", "scoring", "weights", "overage", value=6)),
            "scoring: weights.overage: is 5.0 in the database and 6.0 in the file",
        ),
        (
            bent(put("restaurant", "timezone", value="Europe/Paris")),
            "restaurant: timezone: is Europe/London in the database and Europe/Paris in the file",
        ),
        (bent(put("bookings", 1, "time", value="19:45")), "booking R2: time: differs"),
        (bent(put("bookings", 1, "party_size", value=5)), "booking R2: party_size: differs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
async def test_a_restaurant_that_exists_is_not_changed(database: Database, changed: Raw, message: str) -> None:
    imported = await import_day(database, parsed(small_file()))
    before, venue = await counts(database), await load_venue(database, imported.restaurant_id)
    changed["bookings"].append({"ref": "R9", "time": "20:00", "party_size": 2})
    with pytest.raises(InvalidInput) as caught:
        await import_day(database, parsed(changed))
    assert str(caught.value).startswith(message)
    assert await counts(database) == before
    assert await load_venue(database, imported.restaurant_id) == venue


async def test_what_staff_say_of_a_table_tonight_does_not_stop_the_next_import(database: Database) -> None:
    await import_day(database, parsed(small_file()))
    await database.fetch("UPDATE tables SET status = 'out_of_service' WHERE number = 'T2'")
    assert not (await import_day(database, parsed(small_file()))).created
    rows = await database.fetch("SELECT status FROM tables WHERE number = 'T2'")
    assert rows == [{"status": "out_of_service"}]


async def test_imports_of_one_restaurant_at_once_make_one_restaurant(database: Database) -> None:
    imported = await asyncio.gather(*(import_day(database, parsed(small_file())) for _ in range(6)))
    assert len({each.restaurant_id for each in imported}) == 1
    assert sum(each.created for each in imported) == 1
    assert sum(each.bookings_added for each in imported) == 3


async def test_an_error_of_the_database_in_the_middle_leaves_nothing(database: Database) -> None:
    await database.fetch("ALTER TABLE bookings ADD CONSTRAINT none_today CHECK (reference <> 'R3')")
    before = await counts(database)
    with pytest.raises(Exception, match="none_today"):
        await import_day(database, parsed(small_file()))
    assert await counts(database) == before
    await database.fetch("ALTER TABLE bookings DROP CONSTRAINT none_today")
    assert (await import_day(database, parsed(small_file()))).created


async def test_a_restaurant_is_removed_with_everything_of_it_and_nothing_else(database: Database) -> None:
    kept = parsed(bent(put("restaurant", "slug", value="kept")))
    await import_day(database, kept)
    before = await counts(database)
    imported = await import_day(database, parsed(small_file()))
    where = {"restaurant_id": imported.restaurant_id, "hold_id": uuid.uuid4()}
    await database.fetch(
        """
        WITH held AS (
            INSERT INTO holds (id, restaurant_id, booking_id, expires_at, policy_version, floor_version,
                               require_adjacency)
            SELECT %(hold_id)s, b.restaurant_id, b.id, now(), 1, 1, true FROM bookings b
             WHERE b.restaurant_id = %(restaurant_id)s AND b.reference = 'R1'),
        told AS (
            INSERT INTO observability_events (source, event_type, booking_id)
            SELECT 'auto_assign', 'auto_assign.started', id FROM bookings WHERE restaurant_id = %(restaurant_id)s),
        told_of_venue AS (
            INSERT INTO observability_events (source, event_type, restaurant_id)
            VALUES ('auto_assign', 'auto_assign.started', %(restaurant_id)s))
        INSERT INTO allocations (restaurant_id, table_id, booking_id, hold_id, period)
        SELECT b.restaurant_id, t.id, b.id, CASE WHEN b.reference = 'R1' THEN %(hold_id)s::uuid END,
               tstzrange(b.starts_at, b.starts_at + interval '1 hour')
          FROM bookings b JOIN tables t ON t.restaurant_id = b.restaurant_id AND t.number = 'T2'
         WHERE b.restaurant_id = %(restaurant_id)s
        """,
        where,
    )
    assert (await counts(database))["allocations"] == 3
    assert await remove_restaurant(database, "chez-test")
    assert await counts(database) == before
    assert not await remove_restaurant(database, "chez-test")


async def test_an_unknown_restaurant_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        await load_venue(database, uuid.uuid4())


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("scoring", {"max_tabels": 3}, "restaurant chez-test: scoring.max_tabels: unknown key"),
        ("scoring", {"max_tables": 9}, "scoring: max_tables: must be from 1 to 5"),
        ("demand", [{"service": "lunch"}], "restaurant chez-test: demand[0].weekdays: is missing"),
    ],
)
async def test_nonsense_written_into_a_venues_policy_is_named(
    database: Database, column: str, value: Any, message: str
) -> None:
    imported = await import_day(database, parsed(small_file()))
    statement = {
        "scoring": "UPDATE restaurants SET scoring = %(value)s",
        "demand": "UPDATE restaurants SET demand = %(value)s",
    }
    await database.fetch(statement[column], {"value": Jsonb(value)})
    with pytest.raises(InvalidInput) as caught:
        await load_venue(database, imported.restaurant_id)
    assert str(caught.value) == message


async def test_a_service_that_ends_at_24_hours_ends_at_midnight(database: Database) -> None:
    imported = await import_day(database, parsed(bent(put("policy", "services", "dinner", "end", value="00:00"))))
    before = (await load_venue(database, imported.restaurant_id)).policy
    await database.fetch("UPDATE services SET ends = '24:00' WHERE key = 'dinner'")
    assert (await load_venue(database, imported.restaurant_id)).policy == before


NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
CLOCK = st.times().map(lambda moment: moment.strftime("%H:%M"))
WEIGHT = st.floats(0, 1e6)


@st.composite
def files(draw: st.DrawFn) -> Raw:
    zones = draw(st.lists(NAMES, min_size=1, max_size=3, unique_by=str.casefold))
    numbers = draw(st.lists(NAMES, max_size=6, unique_by=str.casefold))
    pairs = [[a, b] for a in numbers for b in numbers if a != b]
    keys = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    category = st.sampled_from(["bar", "dining", "lounge", "patio", "private"])
    seating = st.sampled_from(["standard", "sofa", "booth", "high_top"])
    tables = [
        {
            "number": number,
            "zone": draw(st.sampled_from(zones)),
            "capacity": draw(st.integers(1, 12)),
            "min_party_size": draw(st.integers(1, 3)),
            "max_party_size": draw(st.none() | st.integers(3, 12)),
            "category": draw(category),
            "seating_type": draw(seating),
            "mobility": draw(st.sampled_from(["movable", "fixed"])),
            "status": draw(st.sampled_from(["available", "reserved", "occupied", "out_of_service"])),
            "active": draw(st.booleans()),
        }
        for number in numbers
    ]
    services = {
        key: {
            "start": draw(CLOCK),
            "end": draw(CLOCK),
            "turn_bands": [
                [size, draw(st.integers(1, 600))]
                for size in sorted(draw(st.sets(st.integers(1, 20), min_size=1, max_size=4)))
            ],
            "buffer_before_min": draw(st.integers(0, 120)),
            "buffer_after_min": draw(st.integers(0, 120)),
            "allow_overrun": draw(st.booleans()),
        }
        for key in keys
    }
    scarcity = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "capacity": st.integers(1, 12),
                    "category": category,
                    "seating_type": seating,
                    "scarcity": st.floats(0, 1e6),
                }
            ),
            max_size=3,
            unique_by=lambda each: (each["capacity"], each["category"], each["seating_type"]),
        )
    )
    return {
        "format": "maitred.day/1",
        "restaurant": {
            "name": draw(NAMES),
            "slug": f"r-{uuid.uuid4().hex}",
            "timezone": draw(st.sampled_from(["Europe/London", "America/New_York", "Asia/Kathmandu", "UTC"])),
        },
        "date": "2025-11-06",
        "policy": {
            "service_order": draw(st.permutations(keys)),
            "services": services,
            "outside_any_service": draw(st.sampled_from(["first_service", "refuse"])),
            "scoring": {
                "weights": {"overage": draw(WEIGHT), "scarcity": draw(WEIGHT)},
                "max_overage": draw(st.integers(0, 20)),
                "max_tables": draw(st.integers(1, 5)),
                "adjacency_mode": draw(st.sampled_from(["connected", "neighbors", "pairwise"])),
                "adjacency_from_party": draw(st.none() | st.integers(1, 20)),
                "relaxations": draw(st.lists(st.sampled_from(["adjacency", "min_party", "overage"]), unique=True)),
                "lookahead_minutes": draw(st.integers(0, 240)),
                "lookahead_penalty": draw(WEIGHT),
                "lookahead_limit": draw(st.none() | WEIGHT),
            },
            "demand": [{"service": keys[0], "weekdays": ["fri", "sun"], "multiplier": draw(st.floats(0, 100))}],
        },
        "zones": zones,
        "tables": tables,
        "adjacency": draw(st.lists(st.sampled_from(pairs), max_size=8)) if pairs else [],
        "scarcity": scarcity,
        "bookings": [],
    }


def same_venue(document: DayDocument, name: str, other: Any) -> bool:
    return (
        first_difference(
            facts_of(name, other.policy, other.floor), facts_of(document.name, document.policy, document.floor)
        )
        is None
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(raw=files())
async def test_what_was_imported_is_what_is_loaded(database: Database, raw: Raw) -> None:
    document = parsed(raw)
    venue = await load_venue(database, (await import_day(database, document)).restaurant_id)
    assert same_venue(document, venue.name, venue)
    assert venue.policy == document.policy
    assert (venue.slug, venue.floor.version) == (document.slug, venue.floor_version)
    ours = {table.number: table for table in venue.floor.tables}
    for table in document.floor.tables:
        assert ours[table.number].status is table.status
        assert venue.floor.zones[ours[table.number].zone_id] == document.floor.zones[table.zone_id]
    assert [table.number for table in venue.floor.tables] == [table.number for table in document.floor.tables]
    assert venue.floor.scarcity == document.floor.scarcity
