"""Quotes read the latest prices of the day, where the venue wants any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from io import StringIO
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb
from rich.console import Console

from maitred.auto_assign.dry_run import DryRun
from maitred.booking.nearest import Nearest
from maitred.booking.preview import preview_booking
from maitred.booking.prices import MOST_DAYS, PriceBook
from maitred.booking.question import Strategy
from maitred.booking.quote import Quote, quote_tables_for_booking
from maitred.cli.explain_report import render as render_story
from maitred.cli.quote_report import render, to_json
from maitred.model.reason import ReasonCode
from maitred.planner.answer import Ranked
from maitred.replay.explain import explain_booking
from maitred.replay.story import Quoted
from maitred.storage.database import Database
from tests.house import DAWN, NOON, House, at_dawn, build_house
from tests.replay.test_replay import recorded_house


class Flat:
    """The same prices at any time."""

    def __init__(self, *covers: float) -> None:
        self._covers = covers
        self.asked = 0

    def window(self, start: int, end: int) -> tuple[float, ...]:
        assert start < end
        self.asked += 1
        return self._covers


async def house_with(database: Database, prices: dict[str, object], capacities: Sequence[int] = (4, 4)) -> House:
    house = await build_house(database, capacities, edges=[])
    await scored(house, prices)
    return house


async def scored(house: House, prices: dict[str, object]) -> None:
    await house.database.fetch(
        "UPDATE restaurants SET scoring = %(scoring)s WHERE id = %(id)s",
        {"id": house.restaurant_id, "scoring": Jsonb({"prices": prices})},
    )


async def keep(house: House, prices: Flat, *, stale: int = 0) -> None:
    [row] = await house.database.fetch(
        "SELECT policy_version, floor_version FROM restaurants WHERE id = %(id)s", {"id": house.restaurant_id}
    )
    house.desk.prices.keep(
        house.restaurant_id,
        NOON.date(),
        floor_version=row["floor_version"] - stale,
        policy_version=row["policy_version"],
        prices=prices,
    )


async def quote(house: House, party: int) -> Quote:
    booking_id = await house.book(party)
    return await quote_tables_for_booking(house.desk, booking_id, now=at_dawn, ttl_s=60, trigger="manual")


async def test_the_table_that_others_want_less_is_held(database: Database) -> None:
    house = await house_with(database, {"use": True})
    await keep(house, Flat(2, 0))

    assert (await quote(house, 4)).held.table_ids == (house.tables["T2"],)


async def test_a_venue_that_wants_no_prices_gets_none(database: Database) -> None:
    house = await house_with(database, {})
    await keep(house, Flat(2, 0))

    assert (await quote(house, 4)).held.table_ids == (house.tables["T1"],)


async def test_prices_of_another_version_of_the_floor_are_not_used(database: Database) -> None:
    house = await house_with(database, {"use": True})
    await keep(house, Flat(2, 0), stale=1)

    assert (await quote(house, 4)).held.table_ids == (house.tables["T1"],)


@pytest.mark.parametrize(("party", "declined"), [(2, True), (4, False)])
async def test_a_party_is_declined_by_a_reason_of_its_own(database: Database, party: int, declined: bool) -> None:
    house = await house_with(database, {"use": True, "decline": True})
    await keep(house, Flat(3.5, 3.5))

    found = await quote(house, party)

    assert found.reason is (ReasonCode.DECLINED if declined else None)


async def test_whoever_is_declined_is_shown_as_declined_wherever_one_looks(database: Database) -> None:
    house = await house_with(database, {"use": True, "decline": True})
    await keep(house, Flat(3.5, 3.5))
    booking = await house.book(2)

    looked = await preview_booking(house.desk, booking, now=DAWN)
    async with DryRun.begin(house.desk, at_dawn) as dry:
        planned = await dry.plan(booking, Strategy())

    assert looked.reason is ReasonCode.DECLINED
    assert looked.price == pytest.approx(3.5)
    assert (looked.admissions, looked.way, looked.nearest) == ((), None, Nearest())
    assert planned.reason is ReasonCode.DECLINED
    assert to_json(looked)["price"] == pytest.approx(3.5)
    console = Console(width=160, file=StringIO())
    console.print(render(looked, explain=False))
    assert isinstance(console.file, StringIO)
    assert "would otherwise earn 3.5 covers; the party brings 2" in console.file.getvalue()


async def test_the_story_of_whoever_was_declined_tells_the_price(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url, (4, 4)) as house:
        await scored(house, {"use": True, "decline": True})
        await keep(house, Flat(3.5, 3.5))
        booking = await house.book(2)
        await quote_tables_for_booking(house.desk, booking, now=at_dawn, ttl_s=60, trigger="manual")
    story = await explain_booking(database, booking)
    [price] = [planned.price for step in story.steps if isinstance(step, Quoted) for planned in step.plannings]

    assert price == pytest.approx(3.5)
    console = Console(width=160, file=StringIO())
    console.print(render_story(story))
    assert isinstance(console.file, StringIO)
    assert "would otherwise have earned 3.5 covers; the party brought 2" in console.file.getvalue()


async def test_a_look_ranks_by_prices_as_a_quote_does(database: Database) -> None:
    house = await house_with(database, {"use": True})
    await keep(house, Flat(2, 0))
    looked = await preview_booking(house.desk, await house.book(4), now=DAWN)

    assert isinstance(looked.answer, Ranked)
    assert looked.answer.best.numbers == ("T2",)


async def test_a_windows_prices_are_looked_up_once_until_the_day_is_priced_anew(database: Database) -> None:
    house = await house_with(database, {"use": True})
    first, second = Flat(2, 0), Flat(0, 2)
    await keep(house, first)
    for _ in range(3):
        await quote(house, 1)
    assert first.asked == 1
    await keep(house, second)
    await quote(house, 1)
    assert (first.asked, second.asked) == (1, 1)


def test_the_book_keeps_no_more_than_its_bound() -> None:
    book = PriceBook()
    for _ in range(MOST_DAYS + 5):
        book.keep(uuid4(), date(2030, 6, 5), floor_version=1, policy_version=1, prices=Flat())

    assert len(book._kept) == MOST_DAYS
