"""Many at once for the same tables. Each guard is taken away to show that the test would notice, then put back."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest

from maitred.auto_assign.day import assign_in_order
from maitred.auto_assign.run import BookingOutcome
from maitred.booking import hold as hold_module
from maitred.booking import quote as quote_module
from maitred.booking import taking as taking_module
from maitred.booking.confirm import confirm_hold
from maitred.booking.hold import release_hold
from maitred.booking.quote import quote_tables_for_booking
from maitred.errors import HoldNotFound
from maitred.model.reason import ReasonCode
from maitred.storage.database import Database
from tests.house import NOON, House, at_dawn, build_house, double_bookings

WORKERS = 32
NO_CONSTRAINT: LiteralString = "ALTER TABLE allocations DROP CONSTRAINT allocations_no_overlap"
NO_LOCK: LiteralString = "SELECT %(restaurant_id)s::text, %(day)s::int, %(lock_timeout_ms)s::text"


SLOW_HOLDS: LiteralString = """
CREATE FUNCTION think() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); RETURN NULL; END';
CREATE TRIGGER holds_are_slow AFTER INSERT ON holds FOR EACH ROW EXECUTE FUNCTION think();
"""


async def crowd(database: Database) -> tuple[House, list[UUID]]:
    """Sixteen tables and seventy parties for one evening, most of which want the same few tables.

    Each hold takes 5 ms longer than it needs between looking and taking, so that workers do meet there.
    """
    await database.fetch(SLOW_HOLDS)
    house = await build_house(database, [2] * 5 + [4] * 11)
    parties = [4, 2, 6, 3, 4, 2, 5, 4, 8, 2] * 7
    bookings = [await house.book(party, NOON + timedelta(minutes=7 * place)) for place, party in enumerate(parties)]
    return house, bookings


async def assign(house: House, bookings: list[UUID]) -> list[BookingOutcome]:
    return await assign_in_order(house.desk, bookings, now=at_dawn, trigger="ultra_fast", workers=WORKERS)


async def test_without_constraint_and_lock_the_same_work_books_tables_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.fetch(NO_CONSTRAINT)
    monkeypatch.setattr(hold_module, "LOCK_DAY", NO_LOCK)
    house, bookings = await crowd(database)
    await assign(house, bookings)
    assert await double_bookings(database) > 0


@pytest.mark.parametrize("taken_away", ["nothing", "lock", "constraint"])
async def test_either_guard_alone_keeps_tables_from_being_booked_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch, taken_away: str
) -> None:
    if taken_away == "constraint":
        await database.fetch(NO_CONSTRAINT)
    if taken_away == "lock":
        monkeypatch.setattr(hold_module, "LOCK_DAY", NO_LOCK)
    house, bookings = await crowd(database)
    outcomes = await assign(house, bookings)
    assert await double_bookings(database) == 0
    assert Counter(outcome.result for outcome in outcomes).keys() <= {"succeeded", "exhausted"}


async def test_nobody_is_turned_away_because_of_a_lost_race(database: Database) -> None:
    house, bookings = await crowd(database)
    outcomes = await assign(house, bookings)
    assert {outcome.reason for outcome in outcomes} == {None, ReasonCode.NO_CAPACITY}
    races = [event.context["planner_internal"] for event in house.events.of_type("auto_assign.quote")]
    assert sum(each["replans"] for each in races if isinstance(each, dict)) > 0  # type: ignore[misc]  # JSON values


async def test_a_writer_who_takes_no_lock_is_stopped_by_the_constraint(database: Database) -> None:
    """As a script or a person at the database would write: rows straight into the table."""
    house = await build_house(database, [4])
    first, second = await house.book_many([4, 4])
    statement: LiteralString = (
        "INSERT INTO allocations (restaurant_id, table_id, booking_id, period)"
        " VALUES (%(restaurant)s, %(table)s, %(booking)s, tstzrange(%(start)s, %(end)s))"
    )
    params = {
        "restaurant": house.restaurant_id,
        "table": house.tables["T1"],
        "start": NOON,
        "end": NOON + timedelta(hours=1),
    }
    await database.fetch(statement, {**params, "booking": first})
    with pytest.raises(psycopg.errors.ExclusionViolation):
        await database.fetch(statement, {**params, "booking": second})


@pytest.mark.parametrize(
    "period",
    [
        "empty",
        "[2030-01-01 12:00+00,)",
        "(,2030-01-01 12:00+00)",
        "[2030-01-01 12:00+00,2030-01-01 13:00+00]",
        "(2030-01-01 12:00+00,2030-01-01 13:00+00)",
        "[2030-01-01 12:00+00,infinity)",
        "[-infinity,2030-01-01 12:00+00)",
        "[2030-01-01 12:00+00,2030-01-02 13:00+00)",
    ],
)
async def test_periods_that_a_constraint_would_not_see_are_refused(database: Database, period: str) -> None:
    house = await build_house(database, [4])
    await house.book(4)
    with pytest.raises(psycopg.errors.CheckViolation):
        await database.fetch(
            "INSERT INTO allocations (restaurant_id, table_id, booking_id, period)"
            " SELECT restaurant_id, (SELECT id FROM tables), id, %(period)s::tstzrange FROM bookings",
            {"period": period},
        )


async def test_two_holds_for_one_table_have_one_winner(database: Database) -> None:
    house = await build_house(database, [4])
    bookings = await house.book_many([4] * 8)
    quotes = await asyncio.gather(
        *(
            quote_tables_for_booking(house.desk, booking, now=at_dawn, ttl_s=60, trigger="manual")
            for booking in bookings
        )
    )
    assert sum(quote.hold is not None for quote in quotes) == 1
    assert {quote.reason for quote in quotes} == {None, ReasonCode.NO_CAPACITY}


async def test_two_confirmations_of_one_hold_have_one_winner(database: Database) -> None:
    house = await build_house(database, [4])
    booking = await house.book(4)
    hold = (await quote_tables_for_booking(house.desk, booking, now=at_dawn, ttl_s=60, trigger="manual")).hold
    assert hold is not None
    results = await asyncio.gather(
        *(confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="same", cause="test") for _ in range(8))
    )
    assert sorted(result.repeated for result in results) == [False] + [True] * 7
    assert await house.count("booking_history") == 1


async def test_a_confirmation_and_a_release_at_once_leave_seats_or_nothing(database: Database) -> None:
    house = await build_house(database, [4])
    for _ in range(10):
        booking = await house.book(4)
        hold = (await quote_tables_for_booking(house.desk, booking, now=at_dawn, ttl_s=60, trigger="manual")).hold
        assert hold is not None
        confirmed, released = await asyncio.gather(
            confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="k", cause="test"),
            release_hold(database, hold.id, booking_id=booking),
            return_exceptions=True,
        )
        if released is None:
            assert isinstance(confirmed, HoldNotFound)
        else:
            assert isinstance(released, HoldNotFound)
            assert await house.seats(booking)
        assert await house.count("holds") == 0
        await database.fetch("UPDATE bookings SET status = 'cancelled' WHERE id = %(id)s", {"id": booking})
        assert await house.count("allocations") == 0


async def test_a_quote_that_keeps_losing_stops_and_says_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    house = await build_house(database, [4])
    booking = await house.book(4)

    monkeypatch.setattr(taking_module, "hold_expiry", lambda *_: None)  # as if somebody were always faster
    quote = await quote_tables_for_booking(house.desk, booking, now=at_dawn, ttl_s=60, trigger="manual")
    assert quote.reason is ReasonCode.HOLD_CONFLICT
    [event] = house.events.of_type("auto_assign.quote")
    internal = event.context["planner_internal"]
    assert isinstance(internal, dict)
    assert internal["replans"] == house.desk.quote_replans


async def test_a_lock_that_is_not_had_in_time_is_a_reason_and_not_an_error(database: Database) -> None:
    house = await build_house(database, [4])
    booking = await house.book(4)
    impatient = house.desk.__class__(database, house.desk.venues, house.events, lock_timeout_ms=50)
    async with database.session() as other:
        lock = hold_module.lock_day(house.restaurant_id, NOON.date(), 1000)
        await other.send([quote_module.BEGIN, lock])
        quote = await quote_tables_for_booking(impatient, booking, now=at_dawn, ttl_s=60, trigger="manual")
        await other.send([quote_module.ROLLBACK])
    assert quote.reason is ReasonCode.LOCK_WAIT


async def test_a_cancelled_quote_leaves_its_event_and_a_usable_pool(database: Database) -> None:
    house = await build_house(database, [4])
    booking = await house.book(4)
    async with database.session() as other:
        await other.send([quote_module.BEGIN, hold_module.lock_day(house.restaurant_id, NOON.date(), 1000)])
        task = asyncio.create_task(
            quote_tables_for_booking(house.desk, booking, now=at_dawn, ttl_s=60, trigger="manual")
        )
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await other.send([quote_module.ROLLBACK])
    [event] = house.events.of_type("auto_assign.quote")
    assert event.context["planner_error"] == "CancelledError"
    assert event.context["planner_success"] is False
    assert await house.count("holds") == 0
    again = await quote_tables_for_booking(house.desk, booking, now=at_dawn, ttl_s=60, trigger="manual")
    assert again.hold is not None
