"""A day's version: it rises by one with each transaction that changes the day, whatever is added up meanwhile."""

from __future__ import annotations

import asyncio

from maitred.booking.board import read_version
from maitred.booking.sweeper import fold_day_changes
from maitred.storage.database import Database, Statement
from tests.house import NOON, build_house


async def test_one_transaction_is_one_change_however_much_it_does(database: Database) -> None:
    house = await build_house(database)
    before = await read_version(database, house.restaurant_id, NOON.date())
    booking = await house.book(2)
    assert await read_version(database, house.restaurant_id, NOON.date()) == before + 1
    change = Statement("UPDATE bookings SET party_size = party_size + 1 WHERE id = %(id)s", {"id": booking})
    await database.transact([change] * 5)
    assert await read_version(database, house.restaurant_id, NOON.date()) == before + 2


async def test_added_up_the_version_stays_and_goes_on_rising(database: Database) -> None:
    house = await build_house(database)
    await house.book_many([2] * 7)
    before = await read_version(database, house.restaurant_id, NOON.date())
    assert await fold_day_changes(database, most=3) == 3
    assert await read_version(database, house.restaurant_id, NOON.date()) == before
    while await fold_day_changes(database):
        pass
    assert await read_version(database, house.restaurant_id, NOON.date()) == before
    await house.book(2)
    assert await read_version(database, house.restaurant_id, NOON.date()) == before + 1


async def test_added_up_by_many_at_once_while_others_write_nothing_is_lost(database: Database) -> None:
    house = await build_house(database)
    before = await read_version(database, house.restaurant_id, NOON.date())
    seen: list[int] = []

    async def fold() -> None:
        for _ in range(10):
            await fold_day_changes(database, most=2)
            seen.append(await read_version(database, house.restaurant_id, NOON.date()))

    await asyncio.gather(house.book_many([2] * 20), house.book_many([2] * 20), fold(), fold(), fold())
    assert await read_version(database, house.restaurant_id, NOON.date()) == before + 40
    assert all(before <= each <= before + 40 for each in seen)


async def test_a_venue_with_its_versions_can_be_deleted(database: Database) -> None:
    house = await build_house(database)
    await house.book(2)
    await fold_day_changes(database)
    await house.book(2)
    await database.fetch("DELETE FROM allocations")
    await database.fetch("DELETE FROM restaurants")
    rows = await database.fetch("SELECT count(*) AS n FROM day_changes")
    assert rows[0]["n"] == 0
