"""Durable runs against what goes wrong around them: crashes, changes in the middle, rows that break a rule."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from maitred.auto_assign import attempt as attempt_module
from maitred.auto_assign import reconciler as reconciler_module
from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.changes import cancel_booking, move_booking
from maitred.auto_assign.inline import auto_assign_inline
from maitred.auto_assign.job import make_queued_attempt
from maitred.auto_assign.reconciler import reconcile
from maitred.auto_assign.retry import RetryRules
from maitred.booking.change import Move
from maitred.booking.quote import quote_tables_for_booking
from maitred.errors import NotFound
from maitred.model.reason import ReasonCode
from maitred.storage.database import Database
from tests.auto_assign.durable import NOTHING, RULES, loose_ends, results_of, run_row, waiting_jobs, work
from tests.house import DAWN, NOON, House, at_dawn, build_house


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    return await build_house(database, [4])


async def begin(house: House, booking: UUID, rules: RetryRules | None = None) -> UUID:
    run = await begin_run(house.desk, booking, trigger="creation", rules=rules or RetryRules(), now=DAWN)
    assert run is not None
    return run


async def test_a_remembered_no_is_not_for_the_booking_whose_own_hold_is_in_the_way(house: House) -> None:
    """A worker dies between hold and confirmation; another booking asks the same; the first is tried again."""
    first, second = await house.book_many([4, 4])
    run = await begin(house, first)
    held = await quote_tables_for_booking(house.desk, first, now=at_dawn, ttl_s=180, trigger="creation")
    assert held.hold is not None
    await house.database.fetch("DELETE FROM procrastinate_jobs")
    await begin(house, second)
    assert await work(house) == ["exhausted"]
    assert await make_queued_attempt(house.desk, run, 0, rules=RULES, now=at_dawn) == "succeeded"


async def test_a_remembered_no_is_not_for_the_booking_that_keeps_its_old_tables(house: House) -> None:
    await house.database.fetch("UPDATE restaurants SET keep_tables_until_moved = true")
    seated = await house.book(4)
    await begin(house, seated)
    assert await work(house) == ["succeeded"]
    later = Move(NOON + timedelta(minutes=30), 4)
    other = await house.book(4, NOON + timedelta(minutes=15))
    await move_booking(house.desk, other, later, now=at_dawn)
    assert await work(house) == ["exhausted"]
    await move_booking(house.desk, seated, later, now=at_dawn)
    assert await work(house) == ["succeeded"]


async def test_a_remembered_no_is_outdated_by_a_table_that_is_put_back_into_service(database: Database) -> None:
    house = await build_house(database, [4, 4])
    await database.fetch("UPDATE tables SET status = 'out_of_service' WHERE number = 'T2'")
    seated, waiting = await house.book_many([4, 4])
    for booking in (seated, waiting):
        await begin(house, booking)
    assert sorted(map(str, await work(house))) == ["exhausted", "succeeded"]
    await database.fetch("UPDATE tables SET status = 'available' WHERE number = 'T2'")
    again = waiting if await house.status(waiting) == "pending" else seated
    await begin(house, again)
    assert await work(house) == ["succeeded"]


async def answered_and_then(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Awaitable[Any]]) -> None:
    """Does something right after the next attempt has its answer and before the answer is written down."""
    real = attempt_module.make_attempt

    async def ask(*args: Any, **kwargs: Any) -> Any:
        outcome = await real(*args, **kwargs)
        monkeypatch.setattr("maitred.auto_assign.job.make_attempt", real)
        await change()
        return outcome

    monkeypatch.setattr("maitred.auto_assign.job.make_attempt", ask)


async def test_a_booking_cancelled_while_the_planner_says_no_is_no_matter_for_the_venue(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.database.fetch("UPDATE restaurants SET contact_email = 'venue@example.org'")
    booking = await house.book(40)
    await begin(house, booking)
    await answered_and_then(monkeypatch, lambda: cancel_booking(house.desk, booking))
    assert await work(house) == ["exhausted"]
    assert (await run_row(house.database, booking))["hard_stop_reason"] == "hard.not_pending"
    assert (await house.database.fetch("SELECT count(*) AS n FROM messages"))[0]["n"] == 0
    assert await loose_ends(house.database) == NOTHING


async def test_a_booking_confirmed_by_others_while_the_planner_says_no_ends_as_already_confirmed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = await house.book(40)
    await begin(house, booking)

    async def confirm() -> None:
        await house.database.fetch("UPDATE bookings SET status = 'confirmed'")

    await answered_and_then(monkeypatch, confirm)
    assert await work(house) == ["already_confirmed"]
    assert await results_of(house.database) == ["already_confirmed"]
    assert await house.stored_events("auto_assign.failed") == []


async def test_a_run_superseded_while_the_planner_says_no_tells_nobody_that_it_failed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.database.fetch("UPDATE restaurants SET contact_email = 'venue@example.org'")
    booking = await house.book(40)
    await begin(house, booking)
    await answered_and_then(monkeypatch, lambda: move_booking(house.desk, booking, Move(NOON, 4), now=at_dawn))
    assert await work(house) == [None, "succeeded"]
    assert (await house.database.fetch("SELECT count(*) AS n FROM messages"))[0]["n"] == 0
    assert await house.stored_events("auto_assign.failed") == []
    assert await loose_ends(house.database) == NOTHING


async def test_a_venue_whose_rows_break_a_rule_ends_its_runs_in_error(house: House) -> None:
    await house.database.fetch("UPDATE restaurants SET timezone = 'MARS+3'")
    booking = await house.book(4)
    await begin(house, booking, RetryRules(max_retries=1))
    assert await work(house) == [None, "error"]
    assert await results_of(house.database) == ["error"]
    assert await loose_ends(house.database) == NOTHING


async def test_a_venue_whose_rows_break_a_rule_costs_no_guest_his_run(house: House) -> None:
    await house.database.fetch("UPDATE restaurants SET timezone = 'MARS+3'")
    booking = await house.book(4)
    result = await auto_assign_inline(house.desk, booking, now=at_dawn)
    assert not result.confirmed
    assert len(await waiting_jobs(house.database)) == 1


async def test_a_cancellation_while_the_booking_is_handed_over_is_cleared_up_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from maitred.auto_assign.inline import _Inline, inline_clear_ups

    booking = await house.book(40)
    real = _Inline.hand_over
    at_it = asyncio.Event()

    async def slow(self: _Inline, reason: ReasonCode) -> Any:
        if not at_it.is_set():
            at_it.set()
            await asyncio.sleep(60)
        return await real(self, reason)

    monkeypatch.setattr(_Inline, "hand_over", slow)
    task = asyncio.create_task(auto_assign_inline(house.desk, booking, now=at_dawn))
    await at_it.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await inline_clear_ups()
    assert len(await waiting_jobs(house.database)) == 1
    assert len(house.events.of_type("inline_auto_assign.operation_aborted")) == 1


async def test_one_booking_that_is_gone_does_not_keep_the_reconciler_from_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, there = await house.book(2), await house.book(4, NOON + timedelta(hours=4))
    await house.database.fetch("UPDATE bookings SET created_at = created_at - interval '2 minutes'")
    real = begin_run

    async def delete_before(desk: Any, booking_id: UUID, **kwargs: Any) -> UUID | None:
        if booking_id == gone:
            raise NotFound("booking", str(gone))
        return await real(desk, booking_id, **kwargs)

    monkeypatch.setattr(reconciler_module, "begin_run", delete_before)
    await reconcile(house.desk, rules=RetryRules(), now=at_dawn)
    assert (await run_row(house.database, there))["ended_at"] is None


async def test_a_dead_workers_job_whose_attempt_is_queued_again_does_not_stop_the_reconciler(house: House) -> None:
    """The worker died after it had put its attempt back into the queue and before it had taken off its job."""
    booking = await house.book(4)
    await begin(house, booking)
    await house.database.fetch("UPDATE procrastinate_jobs SET status = 'doing'")
    await house.database.fetch(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)"
        " SELECT queue_name, task_name, lock, queueing_lock, args FROM procrastinate_jobs"
    )
    await reconcile(house.desk, rules=RetryRules(), now=at_dawn)
    jobs = await house.database.fetch("SELECT status FROM procrastinate_jobs")
    assert [job["status"] for job in jobs] == ["todo"]
    assert await work(house) == ["succeeded"]


async def test_an_attempt_that_was_not_made_is_not_counted(house: House) -> None:
    booking = await house.book(40)
    await begin(house, booking, RetryRules(version=1))
    await work(house, most=1)
    await house.database.fetch("UPDATE bookings SET status = 'confirmed'")
    await work(house)
    [summary] = await house.stored_events("auto_assign.summary")
    assert isinstance(summary["context"], dict)
    assert (summary["context"]["result"], summary["context"]["attemptsUsed"]) == ("already_confirmed", 1)


async def test_two_moves_at_once_leave_the_seats_of_neither_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second looked before the first was done, and its booking was seated in between."""
    booking = await house.book(4)
    from maitred.auto_assign import changes

    blocked = asyncio.Event()
    database = house.database
    fetch = database.fetch

    async def slow_fetch(sql: Any, params: Any = None) -> Any:
        rows = await fetch(sql, params)
        if sql is changes.LOOK and not blocked.is_set():
            blocked.set()
            await move_booking(house.desk, booking, Move(NOON + timedelta(hours=2), 4), now=at_dawn)
            assert await work(house) == ["succeeded"]
        return rows

    monkeypatch.setattr(database, "fetch", slow_fetch)
    assert await move_booking(house.desk, booking, Move(NOON + timedelta(hours=5), 40), now=at_dawn)
    monkeypatch.setattr(database, "fetch", fetch)
    assert await house.seats(booking) == []
