"""What operators change under a booking's feet: closures, also in a replay, and tables that go in the middle."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg

from maitred.booking.preview import preview_quote
from maitred.booking.quote import quote_tables_for_booking
from maitred.model.reason import ReasonCode
from maitred.planner.planner import Planner
from maitred.replay.decide import VenueRules, as_recorded, changes, decide
from maitred.replay.record import Recorded, read_record
from maitred.replay.versions import VersionKey, read_versions
from maitred.storage.database import Database
from tests.house import NOON, House, at_dawn, build_house


async def plan(house: House, booking_id: Any) -> Any:
    return await quote_tables_for_booking(house.desk, booking_id, now=at_dawn, ttl_s=60, trigger="manual")


async def close(house: House, **columns: object) -> None:
    await house.database.fetch(
        "INSERT INTO closures (restaurant_id, table_ids, first_day, last_day)"
        " VALUES (%(venue)s, coalesce(%(tables)s::bigint[], '{}'), %(day)s, %(day)s)",
        {"venue": house.restaurant_id, "day": NOON.date(), "tables": columns.get("tables")},
    )


async def test_quotes_before_and_after_a_closure_are_decided_again_as_they_were(database: Database) -> None:
    house = await build_house(database)
    first, second, third = await house.book_many([2, 2, 2])
    assert (await plan(house, first)).hold is not None
    await close(house, tables=[house.tables[name] for name in ("T1", "T2", "T3", "T4")])
    assert (await plan(house, second)).held.table_ids == (house.tables["T5"],)
    await close(house)
    assert (await plan(house, third)).reason is ReasonCode.CLOSED

    recorded: list[Recorded] = []
    for event in house.events.of_type("auto_assign.quote"):
        recorded += read_record(str(event.context["planner_record"]))
    keys = {VersionKey(house.restaurant_id, each.policy_version, each.floor_version) for each in recorded}
    venues = await read_versions(database, keys)
    assert len(venues) == 3
    for each in recorded:
        venue = venues[VersionKey(house.restaurant_id, each.policy_version, each.floor_version)]
        rules = VenueRules(venue.floor, venue.policy, Planner(venue.floor, venue.policy.scoring))
        now = decide(each, rules)
        assert now is not None
        assert changes(as_recorded(each), now) == frozenset()


async def test_a_look_says_which_tables_are_closed(database: Database) -> None:
    house = await build_house(database)
    booking = await house.book(2)
    await close(house, tables=list(house.tables.values()))
    reference = (await database.fetch("SELECT reference FROM bookings WHERE id = %(id)s", {"id": booking}))[0]
    preview = await preview_quote(house.desk, reference["reference"], now=at_dawn())
    assert preview.reason is ReasonCode.NO_CAPACITY
    assert any("closed" in obstacle.text for obstacle in preview.obstacles)


async def test_a_table_deleted_while_it_is_being_taken_is_a_lost_race(database: Database, database_url: str) -> None:
    house = await build_house(database, (6, 6))
    booking = await house.book(6)
    async with await psycopg.AsyncConnection.connect(database_url) as operator:
        await operator.execute("DELETE FROM tables WHERE id = %s", (house.tables["T1"],))
        planning = asyncio.create_task(plan(house, booking))
        async with asyncio.timeout(20):
            while True:
                rows = await database.fetch(
                    "SELECT count(*) AS n FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
                if rows[0]["n"]:
                    break
                await asyncio.sleep(0.02)
        await operator.commit()
    quote = await planning
    assert quote.held.table_ids == (house.tables["T2"],)
    assert (await plan(house, await house.book(6, NOON + timedelta(hours=4)))).held.table_ids == (house.tables["T2"],)
