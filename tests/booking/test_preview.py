"""Looking at a quote: nothing is held, and the reasons are true."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from maitred.auto_assign.retry import SINGLE_ATTEMPT
from maitred.auto_assign.run import auto_assign_and_confirm_if_possible
from maitred.booking.preview import Preview, preview_quote
from maitred.errors import AmbiguousReference, InvalidInput, NotFound
from maitred.model.reason import ReasonCode
from maitred.planner.answer import Ranked
from maitred.storage.database import Database
from tests.house import DAWN, NOON, House, at_dawn, build_house


async def reference_of(house: House, booking_id: UUID) -> str:
    rows = await house.database.fetch("SELECT reference FROM bookings WHERE id = %(id)s", {"id": booking_id})
    return str(rows[0]["reference"])


async def look(house: House, booking_id: UUID) -> Preview:
    return await preview_quote(house.desk, await reference_of(house, booking_id), now=DAWN)


async def test_a_look_ranks_plans_and_holds_nothing(database: Database) -> None:
    house = await build_house(database)
    preview = await look(house, await house.book(4))
    assert isinstance(preview.answer, Ranked)
    assert preview.answer.best.numbers == ("T3",)
    assert preview.reason is None
    assert len(preview.obstacles) == 5
    assert await house.count("holds") == 0
    [event] = house.events.of_type("auto_assign.quote")
    assert event.context["trigger"] == "manual"
    assert event.context["planner_success"] is True


async def test_where_nothing_fits_each_table_names_the_booking_in_the_way(database: Database) -> None:
    house = await build_house(database, [4, 4], edges=[])
    taken = await house.book_many([4, 4])
    for booking in taken:
        await auto_assign_and_confirm_if_possible(
            house.desk, booking, now=at_dawn, trigger="manual", rules=SINGLE_ATTEMPT
        )
    preview = await look(house, await house.book(4))
    assert preview.reason is ReasonCode.NO_CAPACITY
    texts = " ".join(str(obstacle) for obstacle in preview.obstacles)
    for booking in taken:
        assert f"{await reference_of(house, booking)} 12:00-13:30" in texts


async def test_a_look_at_the_past_says_what_a_quote_would_and_plans_all_the_same(database: Database) -> None:
    house = await build_house(database)
    booking = await house.book(4)
    preview = await preview_quote(house.desk, await reference_of(house, booking), now=NOON + timedelta(days=1))
    assert preview.would_refuse is ReasonCode.START_PASSED
    assert isinstance(preview.answer, Ranked)


async def test_names_that_do_not_exist_are_named(database: Database) -> None:
    house = await build_house(database)
    reference = await reference_of(house, await house.book(4))
    with pytest.raises(NotFound):
        await preview_quote(house.desk, "nobody", now=DAWN)
    with pytest.raises(InvalidInput, match="zone"):
        await preview_quote(house.desk, reference, now=DAWN, zone="Roof")
    with pytest.raises(InvalidInput, match="avoid"):
        await preview_quote(house.desk, reference, now=DAWN, avoid=["T99"])
    assert len(house.events.of_type("auto_assign.quote")) == 3


async def test_the_knobs_are_names_and_reach_the_planner(database: Database) -> None:
    house = await build_house(database)
    reference = await reference_of(house, await house.book(4))
    preview = await preview_quote(house.desk, reference, now=DAWN, zone="hall", avoid=["t3"])
    assert isinstance(preview.answer, Ranked)
    assert preview.answer.best.numbers == ("T4",)


async def test_a_reference_that_two_venues_use_asks_for_the_venue(database: Database) -> None:
    first, second = await build_house(database), await build_house(database)
    for house in (first, second):
        await house.book(2)
    await database.fetch("UPDATE bookings SET reference = 'SAME'")
    with pytest.raises(AmbiguousReference):
        await preview_quote(first.desk, "SAME", now=DAWN)
    rows = await database.fetch("SELECT slug FROM restaurants WHERE id = %(id)s", {"id": second.restaurant_id})
    preview = await preview_quote(first.desk, "SAME", restaurant_slug=rows[0]["slug"], now=DAWN)
    assert preview.restaurant_id == second.restaurant_id
