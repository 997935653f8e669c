"""Confirming and quoting against lost answers and changes in between."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.changes import cancel_booking, move_booking
from maitred.auto_assign.inline import auto_assign_inline
from maitred.auto_assign.retry import RetryRules
from maitred.auto_assign.run import auto_assign_and_confirm_if_possible
from maitred.booking.change import Move
from maitred.booking.quote import BEGIN, COMMIT, quote_tables_for_booking
from maitred.booking.sweeper import SWEEP
from maitred.errors import BookingNotPending, DatabaseUnavailable
from maitred.storage.database import Database, Statement
from tests.auto_assign.durable import NOTHING, loose_ends, work
from tests.house import DAWN, NOON, House, at_dawn, build_house


async def lose_the_first_answer(monkeypatch: pytest.MonkeyPatch, database: Database, then: Any) -> None:
    """The confirmation is committed and the connection breaks before its answer has come."""
    real = database.transact
    lost = False

    async def transact(statements: Any) -> Any:
        nonlocal lost
        results = await real(statements)
        if not lost and any("INSERT INTO confirmations" in each.sql for each in statements):
            lost = True
            await then()
            raise DatabaseUnavailable("the answer was lost")
        return results

    monkeypatch.setattr(database, "transact", transact)


async def nothing() -> None:
    return None


async def test_a_confirmation_asked_for_twice_writes_its_history_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await build_house(database, [4])
    booking = await house.book(4)
    await lose_the_first_answer(monkeypatch, database, nothing)
    outcome = await auto_assign_and_confirm_if_possible(house.desk, booking, now=at_dawn, trigger="creation")
    assert outcome.result == "succeeded"
    assert await house.count("booking_history") == 1
    ends = await loose_ends(database)
    assert ends["bookings_without_seats"] == 0


async def test_a_booking_cancelled_before_the_lost_answer_is_asked_for_again_stays_cancelled(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await build_house(database, [4])
    booking = await house.book(4)
    await lose_the_first_answer(monkeypatch, database, lambda: cancel_booking(house.desk, booking))
    await auto_assign_and_confirm_if_possible(house.desk, booking, now=at_dawn, trigger="creation")
    assert await house.status(booking) == "cancelled"
    assert (await loose_ends(database))["bookings_without_seats"] == 0


async def test_a_quote_for_a_booking_that_keeps_its_tables_never_wants_them_twice(database: Database) -> None:
    house = await build_house(database, [4])
    await database.fetch("UPDATE restaurants SET keep_tables_until_moved = true")
    booking = await house.book(4)
    await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
    assert await work(house) == ["succeeded"]
    await move_booking(house.desk, booking, Move(NOON + timedelta(hours=4), 4), now=at_dawn)
    quote = await quote_tables_for_booking(house.desk, booking, now=at_dawn, ttl_s=60, trigger="manual")
    assert quote.hold is None
    assert quote.reason is not None


async def test_dead_connections_cost_no_guest_his_answer(database: Database) -> None:
    """After a restart of the database every connection in the pool is dead, and the database is there."""
    house = await build_house(database, [4])
    booking = await house.book(4)
    await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.1)") for _ in range(8)))
    await kill_connections(database)
    await auto_assign_inline(house.desk, booking, now=at_dawn)
    await work(house)
    assert await house.status(booking) == "confirmed"


async def kill_connections(database: Database) -> None:
    url = database._pool.conninfo
    async with await psycopg.AsyncConnection.connect(str(url), autocommit=True) as other:
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'maitred'"
        )
    await asyncio.sleep(0.05)


async def expired_hold(house: House) -> Any:
    booking = await house.book(4)
    quote = await quote_tables_for_booking(house.desk, booking, now=at_dawn, ttl_s=60, trigger="manual")
    assert quote.hold is not None
    await house.let_holds_expire()
    return booking


async def test_cancelling_and_sweeping_at_once_do_not_deadlock(database: Database) -> None:
    """The sweeper has the hold and wants its tables; the cancellation must not have the tables and want the hold."""
    house = await build_house(database, [4])
    booking = await expired_hold(house)
    slow = (
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.3); RETURN OLD; END';"
        "CREATE TRIGGER dawdle BEFORE DELETE ON allocations FOR EACH ROW EXECUTE FUNCTION dawdle();"
        "CREATE TRIGGER dawdle_too BEFORE DELETE ON holds FOR EACH ROW EXECUTE FUNCTION dawdle();"
    )
    await database.fetch(slow)
    swept = asyncio.create_task(database.fetch(SWEEP, {"most": 10}))
    await asyncio.sleep(0.05)
    await asyncio.gather(cancel_booking(house.desk, booking), swept)
    assert await house.status(booking) == "cancelled"


async def test_sweepers_at_once_take_venues_in_one_order(database: Database) -> None:
    houses = [await build_house(database, [4, 4]) for _ in range(2)]
    for house in (*houses, *reversed(houses)):
        await expired_hold(house)
    held = await database.fetch("SELECT id FROM holds ORDER BY created_at")
    first, second = [row["id"] for row in held[:2]], [row["id"] for row in held[2:]]
    await database.fetch(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.2); RETURN OLD; END';"
        "CREATE TRIGGER dawdle AFTER DELETE ON allocations FOR EACH ROW EXECUTE FUNCTION dawdle();"
    )
    # each sweeper takes two holds, one of either venue, in opposite order
    async with database.session() as one:
        await one.send([BEGIN, Statement("SELECT FROM holds WHERE id = ANY(%(ids)s) FOR UPDATE", {"ids": second})])
        sweep = asyncio.create_task(database.fetch(SWEEP, {"most": 2}))
        await asyncio.sleep(0.1)
        await one.send([COMMIT])
        await asyncio.gather(sweep, database.fetch(SWEEP, {"most": 2}))
    assert first
    assert await house.count("holds") == 0


async def test_moving_seats_and_cancelling_at_once_do_not_deadlock(database: Database) -> None:
    """The exchange of kept tables takes the booking's lock before its tables, as a cancellation does."""
    house = await build_house(database, [4, 4])
    await database.fetch("UPDATE restaurants SET keep_tables_until_moved = true")
    booking = await house.book(4)
    await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
    await work(house)
    await move_booking(house.desk, booking, Move(NOON + timedelta(minutes=30), 4), now=at_dawn)
    await database.fetch(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.3); RETURN OLD; END';"
        "CREATE TRIGGER dawdle BEFORE DELETE ON allocations FOR EACH ROW EXECUTE FUNCTION dawdle();"
    )
    working = asyncio.create_task(work(house))
    await asyncio.sleep(0.1)
    try:
        await cancel_booking(house.desk, booking)
    except BookingNotPending:
        pytest.fail("it was pending or confirmed all the time")
    await working
    assert await loose_ends(database) == NOTHING


async def test_a_transaction_broken_off_before_its_last_statement_changes_nothing(database: Database) -> None:
    """The first statements are with the server already when the last one turns out to be impossible to send."""
    house = await build_house(database, [4])
    booking = await house.book(4)
    with pytest.raises((psycopg.Error, DatabaseUnavailable)):
        await database.transact(
            [
                Statement("UPDATE bookings SET status = 'cancelled' WHERE id = %(id)s", {"id": booking}),
                Statement("SELECT %(value)s", {"value": object()}),
            ]
        )
    assert await house.status(booking) == "pending"
