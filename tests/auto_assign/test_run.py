"""A run from its first attempt to its one summary, on every way out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from maitred.auto_assign.day import assign_in_order
from maitred.auto_assign.retry import SINGLE_ATTEMPT, RetryRules
from maitred.auto_assign.run import BookingOutcome, auto_assign_and_confirm_if_possible
from maitred.booking.confirm import Confirmation, confirm_hold
from maitred.errors import DatabaseUnavailable, NotFound
from maitred.model.reason import ReasonCode
from maitred.storage.database import Database
from tests.house import DAWN, NOON, House, at_dawn, build_house

ALL_EVENTS = "SELECT event_type, context FROM observability_events"


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    return await build_house(database)


async def run(house: House, booking_id: UUID, rules: RetryRules = SINGLE_ATTEMPT) -> BookingOutcome:
    async def no_pause(_: float) -> None:
        await asyncio.sleep(0)

    return await auto_assign_and_confirm_if_possible(
        house.desk, booking_id, now=at_dawn, trigger="creation", rules=rules, sleep=no_pause
    )


async def summaries(house: House) -> list[object]:
    """Results of all summaries, written or recorded."""
    stored = [row["context"] for row in await house.stored_events("auto_assign.summary")]
    recorded = [event.context for event in house.events.of_type("auto_assign.summary")]
    return [context["result"] for context in (*stored, *recorded) if isinstance(context, Mapping)]


async def test_a_success_writes_its_events_with_the_change(house: House) -> None:
    booking = await house.book(4)
    outcome = await run(house, booking)
    assert (outcome.result, outcome.tables, outcome.zone, outcome.attempts) == ("succeeded", ("T3",), "Hall", 1)
    assert outcome.quote_to_confirm_ms is not None
    assert await summaries(house) == ["succeeded"]
    assert len(await house.stored_events("auto_assign.succeeded")) == 1
    assert await house.stored_events("auto_assign.failed") == []
    assert [event.event_type for event in house.events.kept] == ["auto_assign.quote", "auto_assign.started"]
    rows = await house.database.fetch("SELECT auto_assign_last_result AS last FROM bookings")
    assert rows[0]["last"]["success"] is True
    assert rows[0]["last"]["source"] == "job"


async def test_a_refusal_is_exhausted_with_its_hard_reason(house: House) -> None:
    booking = await house.book(40)
    outcome = await run(house, booking, RetryRules())
    assert (outcome.result, outcome.reason, outcome.attempts) == ("exhausted", ReasonCode.GLOBAL_CAPACITY, 1)
    [summary] = await house.stored_events("auto_assign.summary")
    assert isinstance(summary["context"], dict)
    assert summary["context"]["hardStopReason"] == "hard.global_capacity"
    [failed] = await house.stored_events("auto_assign.failed")
    assert failed["severity"] == "warning"
    assert len(house.events.of_type("auto_assign.attempt")) == 1
    assert len(house.events.of_type("auto_assign.hard_stop")) == 1
    assert await house.status(booking) == "pending"


async def test_without_the_hard_stop_every_attempt_is_made_and_measured(house: House) -> None:
    booking = await house.book(40)
    outcome = await run(house, booking, RetryRules(version=1))
    assert (outcome.result, outcome.attempts) == ("exhausted", 4)
    quotes = house.events.of_type("auto_assign.quote")
    assert [event.context["attempt_index"] for event in quotes] == [0, 1, 2, 3]
    assert await summaries(house) == ["exhausted"]


async def test_a_later_attempt_seats_when_a_table_has_come_free(database: Database) -> None:
    house = await build_house(database, [4])
    first, second = await house.book_many([4, 4])
    await run(house, first)

    async def cancel_the_other(_: float) -> None:
        await database.fetch("UPDATE bookings SET status = 'cancelled' WHERE id = %(id)s", {"id": first})

    outcome = await auto_assign_and_confirm_if_possible(
        house.desk,
        second,
        now=at_dawn,
        trigger="creation",
        rules=RetryRules(version=1),
        sleep=cancel_the_other,
    )
    assert (outcome.result, outcome.attempts) == ("succeeded", 2)
    assert await house.seats(second) == [house.tables["T1"]]


async def test_the_pause_counts_from_the_attempts_start(house: House) -> None:
    booking = await house.book(40)
    pauses: list[float] = []
    clock = [DAWN]

    def now() -> datetime:
        clock[0] += timedelta(seconds=1)  # every look at the clock takes a second
        return clock[0]

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    await auto_assign_and_confirm_if_possible(
        house.desk, booking, now=now, trigger="creation", rules=RetryRules(version=1), sleep=sleep
    )
    assert pauses == [2, 12, 42]


async def test_near_the_start_the_first_attempt_is_made_and_no_other(house: House) -> None:
    booking = await house.book(40, at_dawn() + timedelta(minutes=5))
    outcome = await run(house, booking, RetryRules(version=1))
    assert (outcome.result, outcome.attempts) == ("cutoff", 1)
    assert await summaries(house) == ["cutoff"]
    assert len(house.events.of_type("auto_assign.cutoff_skipped")) == 1


@pytest.mark.parametrize("status", ["confirmed", "checked_in"])
async def test_somebody_else_confirmed_it_meanwhile(house: House, status: str) -> None:
    booking = await house.book(4)
    await house.database.fetch("UPDATE bookings SET status = %(s)s WHERE id = %(b)s", {"s": status, "b": booking})
    outcome = await run(house, booking)
    assert outcome.result == "already_confirmed"
    assert await summaries(house) == ["already_confirmed"]
    assert len(house.events.of_type("auto_assign.exited_already_confirmed")) == 1
    assert await house.stored_events("auto_assign.failed") == []


@pytest.mark.parametrize("status", ["cancelled", "no_show", "completed"])
async def test_a_booking_that_is_over_is_skipped_without_a_summary(house: House, status: str) -> None:
    booking = await house.book(4)
    await house.database.fetch("UPDATE bookings SET status = %(s)s WHERE id = %(b)s", {"s": status, "b": booking})
    assert (await run(house, booking)).result == "skipped"
    assert await summaries(house) == []
    assert house.events.of_type("auto_assign.started") == []


async def test_an_unknown_booking_is_an_error_without_a_summary(house: House) -> None:
    with pytest.raises(NotFound):
        await run(house, uuid4())
    assert await summaries(house) == []
    assert len(house.events.of_type("auto_assign.failed_lookup")) == 1


async def test_eight_runs_of_one_booking_seat_it_once_and_each_has_its_summary(house: House) -> None:
    booking = await house.book(4)
    outcomes = await asyncio.gather(*(run(house, booking, RetryRules()) for _ in range(8)))
    assert sum(outcome.result == "succeeded" for outcome in outcomes) == 1
    assert {outcome.result for outcome in outcomes} <= {"succeeded", "already_confirmed", "exhausted"}
    assert len(await house.seats(booking)) == 1
    assert await house.count("holds") == 0
    assert len(await summaries(house)) == 8


async def test_a_cancelled_run_has_a_summary_and_lets_the_cancellation_pass(house: House) -> None:
    booking = await house.book(40)
    started = asyncio.Event()

    async def sleep(_: float) -> None:
        started.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(
        auto_assign_and_confirm_if_possible(
            house.desk,
            booking,
            now=at_dawn,
            trigger="creation",
            rules=RetryRules(version=1),
            sleep=sleep,
        )
    )
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await summaries(house) == ["error"]


async def test_a_hold_lost_before_its_confirmation_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = await house.book(4)
    calls = 0

    async def confirm_late(*args: object, **kwargs: object) -> Confirmation:
        nonlocal calls
        calls += 1
        if calls == 1:
            await house.let_holds_expire()
        return await confirm_hold(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr("maitred.auto_assign.attempt.confirm_hold", confirm_late)
    outcome = await run(house, booking, RetryRules())
    assert (outcome.result, outcome.attempts) == ("succeeded", 2)
    [error] = house.events.of_type("auto_assign.attempt_error")
    assert error.context["error"] == "hold_expired"
    assert await summaries(house) == ["succeeded"]


async def test_a_connection_lost_after_the_commit_is_a_success_and_seats_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = await house.book(4)
    calls = 0

    async def confirm_and_lose_the_answer(*args: object, **kwargs: object) -> Confirmation:
        nonlocal calls
        calls += 1
        confirmation = await confirm_hold(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came
        if calls == 1:
            raise DatabaseUnavailable("the connection was lost")
        return confirmation

    monkeypatch.setattr("maitred.auto_assign.attempt.confirm_hold", confirm_and_lose_the_answer)
    assert (await run(house, booking)).result == "succeeded"
    assert await summaries(house) == ["succeeded"]
    assert len(await house.seats(booking)) == 1


async def test_a_server_that_goes_away_raises_and_what_was_confirmed_stays(
    database: Database, database_url: str, server_url: str
) -> None:
    name = str(conninfo_to_dict(database_url)["dbname"])
    house = await build_house(database, [2] * 8)
    bookings = await house.book_many([2] * 8)
    done: list[BookingOutcome] = []

    def cut_after_three(outcome: BookingOutcome) -> None:
        done.append(outcome)
        if len(done) == 3:
            with psycopg.connect(server_url, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
                admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))

    try:
        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(
                assign_in_order(house.desk, bookings, now=at_dawn, trigger="ultra_fast", on_outcome=cut_after_three),
                60,
            )
    finally:
        with psycopg.connect(server_url, autocommit=True) as admin:
            admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))
    assert [outcome.result for outcome in done] == ["succeeded"] * 3
    assert [await house.status(booking) for booking in bookings[:3]] == ["confirmed"] * 3
    assert len(house.events.of_type("auto_assign.summary")) == 1


async def test_the_day_is_taken_up_in_the_order_given(house: House) -> None:
    bookings = [await house.book(2, NOON + timedelta(minutes=5 * place)) for place in range(6)]
    seen: list[UUID] = []
    outcomes = await assign_in_order(
        house.desk,
        bookings,
        now=at_dawn,
        trigger="ultra_fast",
        on_outcome=lambda outcome: seen.append(outcome.booking_id),
    )
    assert seen == bookings == [outcome.booking_id for outcome in outcomes]
