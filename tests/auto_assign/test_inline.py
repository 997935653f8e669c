"""The inline flow: a table at once, or a run that goes on; a time-out and a guest who leaves are told apart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from maitred.auto_assign.inline import InlineRules, auto_assign_inline, inline_clear_ups
from maitred.auto_assign.retry import RetryRules
from maitred.auto_assign.rules import inline_rules
from maitred.booking.hold import lock_day
from maitred.booking.quote import BEGIN, ROLLBACK, Quote, quote_tables_for_booking
from maitred.errors import NotFound
from maitred.model.reason import ReasonCode
from maitred.settings import Settings
from maitred.storage.database import Database
from tests.auto_assign.durable import NOTHING, loose_ends, waiting_jobs, work
from tests.house import NOON, House, at_dawn, build_house

QUICK = InlineRules(timeout_ms=300)


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    return await build_house(database)


async def last_result(house: House) -> dict[str, Any]:
    rows = await house.database.fetch("SELECT auto_assign_last_result AS last FROM bookings")
    return dict(rows[0]["last"])


def told(house: House) -> list[str]:
    return [event.event_type.removeprefix("inline_auto_assign.") for event in house.events.kept]


async def test_a_free_table_is_confirmed_at_once_and_no_run_begins(house: House) -> None:
    booking = await house.book(4)
    result = await auto_assign_inline(house.desk, booking, now=at_dawn)
    assert result.confirmed
    assert result.tables == ("T3",)
    assert told(house) == ["auto_assign.quote", "quote_result", "confirm_succeeded", "succeeded"]
    assert house.events.kept[0].context["attemptId"] == str(result.attempt_id)
    assert house.events.kept[0].context["trigger"] == "inline_creation"
    last = await last_result(house)
    assert (last["source"], last["success"], last["attemptId"]) == ("inline", True, str(result.attempt_id))
    assert await waiting_jobs(house.database) == []


async def test_without_a_table_a_run_begins_in_the_transaction_that_says_so(house: House) -> None:
    booking = await house.book(40)
    result = await auto_assign_inline(house.desk, booking, now=at_dawn)
    assert not result.confirmed
    assert result.reason is ReasonCode.GLOBAL_CAPACITY
    assert told(house) == ["auto_assign.quote", "quote_result", "no_hold"]
    assert (await last_result(house))["reason"] == "hard.global_capacity"
    [job] = await waiting_jobs(house.database)
    assert job.attempt_index == 1  # the first is skipped: it has just failed for a hard reason
    assert await work(house) == ["exhausted"]


async def test_under_policy_1_the_run_makes_its_first_attempt_too(house: House) -> None:
    booking = await house.book(40)
    await auto_assign_inline(house.desk, booking, now=at_dawn, rules=InlineRules(retry=RetryRules(version=1)))
    [job] = await waiting_jobs(house.database)
    assert job.attempt_index == 0


async def test_an_unknown_booking_is_named(house: House) -> None:
    with pytest.raises(NotFound):
        await auto_assign_inline(house.desk, house.restaurant_id, now=at_dawn)
    assert len(house.events.of_type("auto_assign.failed_lookup")) == 1


async def test_a_venues_own_time_out_wins_over_the_setting(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAITRED_INLINE_TIMEOUT_MS", "2500")
    assert (await inline_rules(Settings(), house.database, house.restaurant_id)).timeout_ms == 2500
    await house.database.fetch("UPDATE restaurants SET inline_timeout_ms = 900")
    assert (await inline_rules(Settings(), house.database, house.restaurant_id)).timeout_ms == 900


async def test_a_time_out_reaches_the_server_and_hands_over_to_a_looser_run(house: House) -> None:
    booking = await house.book(4)
    async with house.database.session() as other:
        await other.send([BEGIN, lock_day(house.restaurant_id, NOON.date(), 5000)])
        result = await auto_assign_inline(house.desk, booking, now=at_dawn, rules=QUICK)
        waiting = await house.database.fetch(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()"
            " AND (wait_event_type = 'Lock' OR state LIKE 'idle in transaction%%') AND pid <> pg_backend_pid()"
            " AND query NOT LIKE '%%set_config%%'"
        )
        await other.send([ROLLBACK])
    assert not result.confirmed
    assert result.reason is ReasonCode.TIMEOUT
    assert waiting[0]["n"] == 0
    [timeout] = house.events.of_type("inline_auto_assign.timeout")
    assert timeout.context["timeoutMs"] == 300
    assert house.events.of_type("inline_auto_assign.operation_aborted") == []
    [quote] = house.events.of_type("auto_assign.quote")
    assert quote.context["planner_error"] == "CancelledError"
    assert (await last_result(house))["reason"] == "transient.timeout"
    assert await work(house) == ["succeeded"]
    assert await loose_ends(house.database) == {**NOTHING}


async def test_a_hold_made_in_the_moment_of_the_time_out_is_released_in_the_same_breath(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = await house.book(4)

    async def hold_and_then_hang(*args: Any, **kwargs: Any) -> Quote:
        quote = await quote_tables_for_booking(*args, **{**kwargs, "ordering": None})
        assert quote.hold is not None
        await asyncio.sleep(60)
        return quote

    monkeypatch.setattr("maitred.auto_assign.inline.quote_tables_for_booking", hold_and_then_hang)
    result = await auto_assign_inline(house.desk, booking, now=at_dawn, rules=QUICK)
    assert result.reason is ReasonCode.TIMEOUT
    assert await house.count("holds") == 0
    assert await house.count("allocations") == 0
    assert len(await waiting_jobs(house.database)) == 1


async def test_a_confirmation_committed_in_the_moment_of_the_time_out_is_told_as_confirmed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = await house.book(4)

    async def seat_and_then_hang(*args: Any, **kwargs: Any) -> Quote:
        quote = await quote_tables_for_booking(*args, **kwargs)
        await asyncio.sleep(60)
        return quote

    monkeypatch.setattr("maitred.auto_assign.inline.quote_tables_for_booking", seat_and_then_hang)
    result = await auto_assign_inline(house.desk, booking, now=at_dawn, rules=QUICK)
    assert result.confirmed
    assert result.tables == ("T3",)
    assert await house.status(booking) == "confirmed"
    assert (await last_result(house))["success"] is True
    assert await waiting_jobs(house.database) == []


async def test_a_guest_who_leaves_is_no_time_out_and_the_booking_is_not_lost(house: House) -> None:
    booking = await house.book(4)
    async with house.database.session() as other:
        await other.send([BEGIN, lock_day(house.restaurant_id, NOON.date(), 5000)])
        task = asyncio.create_task(auto_assign_inline(house.desk, booking, now=at_dawn))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await other.send([ROLLBACK])
    await inline_clear_ups()
    assert len(house.events.of_type("inline_auto_assign.operation_aborted")) == 1
    assert house.events.of_type("inline_auto_assign.timeout") == []
    assert (await last_result(house))["reason"] == "transient.abort"
    assert await work(house) == ["succeeded"]


async def test_many_guests_who_leave_lose_no_connection(house: House) -> None:
    bookings = await house.book_many([2] * 12)
    for _ in range(3):
        tasks = [asyncio.create_task(auto_assign_inline(house.desk, booking, now=at_dawn)) for booking in bookings]
        await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await inline_clear_ups()
    await asyncio.gather(*(house.database.fetch("SELECT 1") for _ in range(8)))
    await work(house, most=50)
    ends = await loose_ends(house.database)
    assert (ends["overlaps"], ends["holds"], ends["live_runs"], ends["summaries_off"]) == (0, 0, 0, 0)
    open_transactions = await house.database.fetch(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()"
        " AND state LIKE 'idle in transaction%%'"
    )
    assert open_transactions[0]["n"] == 0
