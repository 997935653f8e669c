from __future__ import annotations

from datetime import timedelta

from psycopg.types.json import Jsonb

from maitred.booking.prices import PriceBook
from maitred.optimiser.refresh import DAYS_AHEAD, Refresher
from maitred.storage.database import Database
from tests.house import NOON, House, at_dawn, build_house


async def priced_house(database: Database) -> House:
    """One table that four parties a week have asked for at noon."""
    house = await build_house(database, (4,), edges=[])
    await database.fetch(
        "UPDATE restaurants SET scoring = %(scoring)s WHERE id = %(id)s",
        {"id": house.restaurant_id, "scoring": Jsonb({"prices": {"use": True}})},
    )
    return house


async def test_days_are_priced_once_and_again_when_they_change(database: Database) -> None:
    house = await priced_house(database)
    book = PriceBook()
    refresher = Refresher(database, book, at_dawn)

    assert await refresher.refresh() == DAYS_AHEAD
    assert await refresher.refresh() == 0

    await house.book(4, NOON + timedelta(days=2))
    assert await refresher.refresh() >= 1
    assert set(book._kept) == {
        (house.restaurant_id, (NOON + timedelta(days=ahead)).date()) for ahead in range(DAYS_AHEAD)
    }


async def test_a_venue_that_wants_no_prices_is_left_alone(database: Database) -> None:
    await build_house(database)

    assert await Refresher(database, PriceBook(), at_dawn).refresh() == 0
