"""Durable runs: one live run a booking, one job an attempt, one summary an end, whoever gets there first."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from maitred.auto_assign import attempt as attempt_module
from maitred.auto_assign.begin import begin_run, run_statements
from maitred.auto_assign.changes import cancel_booking, move_booking
from maitred.auto_assign.job import JobRules, make_queued_attempt
from maitred.auto_assign.reconciler import reconcile
from maitred.auto_assign.retry import InlineOutcome, RetryRules
from maitred.auto_assign.runs import InlineAttempt
from maitred.booking.change import Move
from maitred.booking.quote import BEGIN, ROLLBACK
from maitred.errors import BookingNotPending, DatabaseUnavailable, InvalidInput, NotFound
from maitred.model.reason import ReasonCode
from maitred.storage.database import Database
from tests.auto_assign.durable import NOTHING, RULES, loose_ends, results_of, run_row, waiting_jobs, work
from tests.house import DAWN, NOON, House, at_dawn, build_house

V1 = JobRules(retry=RetryRules(version=1))


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    return await build_house(database)


async def test_a_run_confirms_and_ends_in_one_summary(house: House) -> None:
    booking = await house.book(4)
    assert await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
    assert await work(house) == ["succeeded"]
    assert await house.status(booking) == "confirmed"
    assert await results_of(house.database) == ["succeeded"]
    assert len(await house.stored_events("auto_assign.started")) == 1
    assert len(await house.stored_events("auto_assign.succeeded")) == 1
    assert await loose_ends(house.database) == NOTHING


async def test_beginning_twice_is_the_same_run(house: House) -> None:
    booking = await house.book(4)
    runs = await asyncio.gather(
        *(begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN) for _ in range(8))
    )
    assert len(set(runs)) == 1
    assert len(await waiting_jobs(house.database)) == 1


async def test_only_pending_bookings_get_a_run(house: House) -> None:
    booking = await house.book(4)
    await cancel_booking(house.desk, booking)
    assert await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN) is None
    with pytest.raises(NotFound):
        await begin_run(house.desk, uuid4(), trigger="creation", rules=RetryRules(), now=DAWN)


async def test_a_run_and_its_job_go_with_the_transaction_that_makes_them(house: House) -> None:
    booking = await house.book(4)
    statements = run_statements(booking, trigger="creation", rules=RetryRules(), now=DAWN)
    async with house.database.session() as session:
        await session.send([BEGIN, *statements])
        await session.send([ROLLBACK])
    assert await waiting_jobs(house.database) == []
    assert (await house.database.fetch("SELECT count(*) AS n FROM runs"))[0]["n"] == 0


async def test_each_attempt_is_one_job_and_the_next_is_scheduled_for_its_time(house: House) -> None:
    booking = await house.book(40)
    await begin_run(house.desk, booking, trigger="creation", rules=V1.retry, now=DAWN)
    results = await work(house, rules=V1)
    assert results == [None, None, None, "exhausted"]
    quotes = house.events.of_type("auto_assign.quote")
    assert [event.context["attempt_index"] for event in quotes] == [0, 1, 2, 3]
    [summary] = await house.stored_events("auto_assign.summary")
    assert isinstance(summary["context"], dict)
    assert (summary["context"]["attemptsUsed"], summary["context"]["maxAttempts"]) == (4, 4)
    assert await loose_ends(house.database) == NOTHING


async def test_a_job_for_another_attempt_is_stale_and_does_nothing(house: House) -> None:
    booking = await house.book(40)
    run = await begin_run(house.desk, booking, trigger="creation", rules=V1.retry, now=DAWN)
    assert run is not None
    await make_queued_attempt(house.desk, run, 0, rules=V1, now=at_dawn)
    await make_queued_attempt(house.desk, run, 0, rules=V1, now=at_dawn)
    await make_queued_attempt(house.desk, run, 2, rules=V1, now=at_dawn)
    assert len(house.events.of_type("auto_assign.quote")) == 1
    assert (await run_row(house.database, booking))["expected_attempt"] == 1


async def test_one_attempt_made_by_two_workers_at_once_is_written_down_once(house: House) -> None:
    for party in (4, 40):
        booking = await house.book(party, NOON + timedelta(hours=2))
        run = await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
        assert run is not None
        await asyncio.gather(*(make_queued_attempt(house.desk, run, 0, rules=RULES, now=at_dawn) for _ in range(4)))
        await house.database.fetch("DELETE FROM procrastinate_jobs")
    assert sorted(await results_of(house.database)) == ["exhausted", "succeeded"]
    assert await loose_ends(house.database) == NOTHING


async def test_an_attempt_whose_worker_died_is_made_again_and_counts_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = await house.book(4)
    run = await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
    assert run is not None
    real = attempt_module.make_attempt

    async def die_after_holding(*args: object, **kwargs: object) -> object:
        monkeypatch.setattr("maitred.auto_assign.job.make_attempt", real)
        raise asyncio.CancelledError

    monkeypatch.setattr("maitred.auto_assign.job.make_attempt", die_after_holding)
    with pytest.raises(asyncio.CancelledError):
        await make_queued_attempt(house.desk, run, 0, rules=RULES, now=at_dawn)
    assert await make_queued_attempt(house.desk, run, 0, rules=RULES, now=at_dawn) == "succeeded"
    [summary] = await house.stored_events("auto_assign.summary")
    assert isinstance(summary["context"], dict)
    assert summary["context"]["attemptsUsed"] == 1
    assert len(await house.stored_events("auto_assign.started")) == 1


async def test_a_hard_inline_failure_skips_the_first_attempt_and_is_told_in_the_summary(house: House) -> None:
    booking = await house.book(40)
    inline = InlineAttempt(uuid4(), "inline_creation", InlineOutcome(ReasonCode.GLOBAL_CAPACITY, DAWN))
    await house.database.transact(
        run_statements(booking, trigger="creation", rules=RetryRules(), now=DAWN, inline=inline)
    )
    [job] = await waiting_jobs(house.database)
    assert job.attempt_index == 1
    assert await work(house) == ["exhausted"]
    [summary] = await house.stored_events("auto_assign.summary")
    context = summary["context"]
    assert isinstance(context, dict)
    assert context["skippedInitialAttempt"] is True
    assert context["inlineSkipReason"] == context["inline_reason"] == "hard.global_capacity"
    assert context["inline_attempt_id"] == str(inline.attempt_id)
    assert (context["attemptsUsed"], context["maxAttempts"]) == (1, 2)
    assert len(house.events.of_type("auto_assign.inline_skip_attempt")) == 1


async def test_an_inline_time_out_loosens_the_strategy(house: House) -> None:
    booking = await house.book(4)
    inline = InlineAttempt(uuid4(), "inline_creation", InlineOutcome(ReasonCode.TIMEOUT, DAWN))
    await house.database.transact(
        run_statements(booking, trigger="creation", rules=RetryRules(), now=DAWN, inline=inline)
    )
    assert await work(house) == ["succeeded"]
    [quote] = house.events.of_type("auto_assign.quote")
    assert quote.context["planner_strategy"] == {"requireAdjacency": False, "maxTables": 4}
    [adjusted] = house.events.of_type("auto_assign.inline_timeout_adjustment")
    assert adjusted.context["maxAttempts"] == 3


async def test_near_the_start_the_first_attempt_is_made_and_no_other(house: House) -> None:
    booking = await house.book(40, DAWN + timedelta(minutes=5))
    await begin_run(house.desk, booking, trigger="creation", rules=V1.retry, now=DAWN)
    assert await work(house, rules=V1) == ["cutoff"]
    assert await results_of(house.database) == ["cutoff"]


async def test_a_booking_confirmed_meanwhile_ends_its_run_without_a_planner_call(house: House) -> None:
    booking = await house.book(4)
    await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
    await house.database.fetch("UPDATE bookings SET status = 'confirmed'")
    assert await work(house) == ["already_confirmed"]
    assert house.events.of_type("auto_assign.quote") == []
    assert await results_of(house.database) == ["already_confirmed"]


async def test_cancelling_ends_the_run_soon_frees_the_tables_and_asks_nobody_for_attention(house: House) -> None:
    await house.database.fetch("UPDATE restaurants SET contact_email = 'venue@example.org'")
    booking = await house.book(40)
    await begin_run(house.desk, booking, trigger="creation", rules=V1.retry, now=DAWN)
    assert await work(house, most=1, rules=V1) == [None]
    await cancel_booking(house.desk, booking)
    await cancel_booking(house.desk, booking)
    assert await work(house, even_if_not_due=False, rules=V1) == ["exhausted"]
    [summary] = await house.stored_events("auto_assign.summary")
    assert isinstance(summary["context"], dict)
    assert summary["context"]["hardStopReason"] == "hard.not_pending"
    assert (await house.database.fetch("SELECT count(*) AS n FROM messages"))[0]["n"] == 0
    assert await loose_ends(house.database) == NOTHING


async def test_a_failed_run_asks_the_venue_for_attention_once_ever(house: House) -> None:
    await house.database.fetch("UPDATE restaurants SET contact_email = 'venue@example.org'")
    booking = await house.book(40)
    for _ in range(2):
        await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
        assert await work(house) == ["exhausted"]
    rows = await house.database.fetch("SELECT kind, reason FROM messages")
    assert [(row["kind"], row["reason"]) for row in rows] == [("needs_attention", "hard.global_capacity")]


async def test_a_moved_booking_frees_its_tables_and_runs_again(house: House) -> None:
    booking = await house.book(4)
    await house.database.fetch("UPDATE bookings SET guest_email = 'guest@example.org'")
    await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
    assert await work(house) == ["succeeded"]
    later = Move(NOON + timedelta(hours=3), 6)
    run = await move_booking(house.desk, booking, later, now=at_dawn)
    assert run is not None
    assert await house.status(booking) == "pending"
    assert await house.seats(booking) == []
    assert await work(house) == ["succeeded"]
    assert (await run_row(house.database, booking))["trigger"] == "modification"
    rows = await house.database.fetch("SELECT variant FROM messages ORDER BY created_at")
    assert [row["variant"] for row in rows] == ["standard", "modified"]
    assert await loose_ends(house.database) == NOTHING


async def test_moving_during_a_run_ends_that_run_as_superseded_and_begins_another(house: House) -> None:
    booking = await house.book(40)
    first = await begin_run(house.desk, booking, trigger="creation", rules=V1.retry, now=DAWN)
    assert await work(house, most=1, rules=V1) == [None]
    second = await move_booking(house.desk, booking, Move(NOON, 4), rules=V1.retry, now=at_dawn)
    assert second not in (None, first)
    assert "succeeded" in await work(house, rules=V1)
    summaries = [row["context"] for row in await house.stored_events("auto_assign.summary")]
    assert sorted(str(context["result"]) for context in summaries if isinstance(context, dict)) == [
        "exhausted",
        "succeeded",
    ]
    assert await loose_ends(house.database) == NOTHING


async def test_a_move_that_changes_nothing_begins_nothing_and_a_wrong_one_is_named(house: House) -> None:
    booking = await house.book(4)
    assert await move_booking(house.desk, booking, Move(NOON, 4), now=at_dawn) is None
    with pytest.raises(InvalidInput, match="time zone"):
        await move_booking(house.desk, booking, Move(NOON.replace(tzinfo=None), 4), now=at_dawn)
    with pytest.raises(InvalidInput, match="party"):
        await move_booking(house.desk, booking, Move(NOON, 0), now=at_dawn)
    with pytest.raises(NotFound):
        await move_booking(house.desk, uuid4(), Move(NOON, 4), now=at_dawn)
    await cancel_booking(house.desk, booking)
    with pytest.raises(BookingNotPending):
        await move_booking(house.desk, booking, Move(NOON, 5), now=at_dawn)


async def test_changes_and_attempts_at_once_leave_nothing_behind(database: Database) -> None:
    house = await build_house(database, [4, 4])
    for round_number in range(8):
        start = NOON + timedelta(hours=round_number)
        bookings = await house.book_many([4, 4, 4], start)
        for booking in bookings:
            await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
        await asyncio.gather(
            work(house, most=3),
            cancel_booking(house.desk, bookings[0]),
            move_booking(house.desk, bookings[1], Move(start, 2), now=at_dawn),
            return_exceptions=True,
        )
        await work(house)
    assert await loose_ends(database) == NOTHING


async def test_a_freed_table_makes_waiting_runs_due_at_once(database: Database) -> None:
    house = await build_house(database, [4])
    seated, waiting, elsewhere = (
        await house.book(4),
        await house.book(4),
        await house.book(40, NOON + timedelta(hours=6)),
    )
    for booking in (seated, waiting, elsewhere):
        await begin_run(house.desk, booking, trigger="creation", rules=V1.retry, now=DAWN)
        await work(house, most=1, rules=V1)
    assert all(job.due_in_s > 3 for job in await waiting_jobs(database))
    await cancel_booking(house.desk, seated)
    due = [job for job in await waiting_jobs(database) if job.due_in_s <= 0]
    assert [job.run_id for job in due] == [(await run_row(database, waiting))["id"]]
    assert await work(house, even_if_not_due=False, rules=V1) == ["succeeded"]
    assert await house.seats(waiting) == [house.tables["T1"]]


async def test_a_table_freed_while_the_planner_says_no_is_not_missed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await build_house(database, [4])
    seated, waiting = await house.book_many([4, 4])
    await begin_run(house.desk, seated, trigger="creation", rules=RetryRules(), now=DAWN)
    await work(house)
    await begin_run(house.desk, waiting, trigger="creation", rules=RetryRules(), now=DAWN)
    real = attempt_module.make_attempt

    async def cancel_after_the_answer(*args: object, **kwargs: object) -> object:
        outcome = await real(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came
        monkeypatch.setattr("maitred.auto_assign.job.make_attempt", real)
        await cancel_booking(house.desk, seated)
        return outcome

    monkeypatch.setattr("maitred.auto_assign.job.make_attempt", cancel_after_the_answer)
    assert await work(house) == ["succeeded"]
    assert await house.seats(waiting) == [house.tables["T1"]]


async def test_a_question_just_answered_is_not_asked_again_until_a_table_comes_free(database: Database) -> None:
    house = await build_house(database, [4])
    seated, second, third = await house.book_many([4, 4, 4])
    for booking in (seated, second, third):
        await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
        await work(house)
    hits = [event for event in house.events.of_type("auto_assign.quote") if event.context["cache_hit"]]
    assert len(hits) == 1
    assert len(house.events.of_type("auto_assign.planner_cache_hit")) == 1
    await cancel_booking(house.desk, seated)
    await begin_run(house.desk, third, trigger="creation", rules=RetryRules(), now=DAWN)
    assert await work(house) == ["succeeded"]


async def test_a_no_from_before_a_release_is_never_remembered(database: Database) -> None:
    house = await build_house(database, [4])
    seated, waiting = await house.book_many([4, 4])
    for booking in (seated, waiting):
        await begin_run(house.desk, booking, trigger="creation", rules=V1.retry, now=DAWN)
        await work(house, most=1, rules=V1)
    assert (await database.fetch("SELECT count(*) AS n FROM planner_failures"))[0]["n"] == 1
    # released by whoever, without our code
    await database.fetch("DELETE FROM allocations")
    await database.fetch("UPDATE bookings SET status = 'cancelled' WHERE id = %(id)s", {"id": seated})
    assert await work(house, even_if_not_due=False, rules=V1) == ["succeeded"]


async def test_a_database_that_fails_ends_a_run_in_error_when_its_attempts_are_used_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = await house.book(4)
    await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(max_retries=1), now=DAWN)

    async def fail(*_: object, **__: object) -> object:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr("maitred.auto_assign.attempt.quote_tables_for_booking", fail)
    assert await work(house) == [None, "error"]
    assert await results_of(house.database) == ["error"]
    assert len(house.events.of_type("auto_assign.attempt_error")) == 2


async def test_the_reconciler_finds_runs_without_a_job_and_bookings_without_a_run(house: House) -> None:
    lost, never = await house.book(4), await house.book(2)
    await begin_run(house.desk, lost, trigger="creation", rules=RetryRules(), now=DAWN)
    await house.database.fetch("DELETE FROM procrastinate_jobs")
    await house.database.fetch("UPDATE runs SET created_at = created_at - interval '1 minute'")
    await house.database.fetch("UPDATE bookings SET created_at = created_at - interval '2 minutes'")
    done = await reconcile(house.desk, rules=RetryRules(), now=at_dawn)
    assert (done.runs_without_job, done.bookings_without_run) == (1, 1)
    assert await work(house) == ["succeeded", "succeeded"]
    assert await house.status(never) == "confirmed"
    again = await reconcile(house.desk, rules=RetryRules(), now=at_dawn)
    assert (again.runs_without_job, again.bookings_without_run) == (0, 0)


async def test_the_reconciler_takes_jobs_from_workers_that_are_silent(house: House) -> None:
    booking = await house.book(4)
    await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
    await house.database.fetch("INSERT INTO procrastinate_workers DEFAULT VALUES")
    await house.database.fetch(
        "UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM procrastinate_workers)"
    )
    assert (await reconcile(house.desk, rules=RetryRules(), now=at_dawn)).stalled_jobs == 0
    await house.database.fetch("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'")
    assert (await reconcile(house.desk, rules=RetryRules(), now=at_dawn)).stalled_jobs == 1
    assert await work(house) == ["succeeded"]


async def test_reconcilers_at_once_do_it_once(house: House) -> None:
    booking = await house.book(4)
    await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
    await house.database.fetch("DELETE FROM procrastinate_jobs")
    await house.database.fetch("UPDATE runs SET created_at = created_at - interval '1 minute'")
    done = await asyncio.gather(*(reconcile(house.desk, rules=RetryRules(), now=at_dawn) for _ in range(6)))
    assert sum(each.runs_without_job for each in done) == 1
    assert len(await waiting_jobs(house.database)) == 1


async def test_the_superseded_summary_has_the_keys_of_every_summary(house: House) -> None:
    first, second = await house.book(40), await house.book(40, NOON + timedelta(hours=1))
    await begin_run(house.desk, first, trigger="creation", rules=V1.retry, now=DAWN)
    await move_booking(house.desk, first, Move(NOON, 41), rules=RetryRules(), now=at_dawn)
    await begin_run(house.desk, second, trigger="creation", rules=RetryRules(), now=DAWN)
    await work(house)
    keys = {
        tuple(sorted(row["context"]))
        for row in await house.stored_events("auto_assign.summary")
        if isinstance(row["context"], dict)
    }
    assert len(keys) == 1


async def keep_tables(house: House) -> None:
    await house.database.fetch("UPDATE restaurants SET keep_tables_until_moved = true")


async def test_where_the_policy_says_so_the_old_tables_are_kept_until_new_ones_are_confirmed(
    database: Database,
) -> None:
    house = await build_house(database, [4, 4])
    await keep_tables(house)
    booking, rival = await house.book(4), await house.book(4, NOON + timedelta(minutes=30))
    await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
    await work(house)
    old = await house.seats(booking)
    await move_booking(house.desk, booking, Move(NOON + timedelta(minutes=30), 4), now=at_dawn)
    assert await house.seats(booking) == old
    await begin_run(house.desk, rival, trigger="creation", rules=RetryRules(), now=DAWN)
    assert sorted(str(result) for result in await work(house)) == ["succeeded", "succeeded"]
    assert len(await house.seats(booking)) == len(await house.seats(rival)) == 1
    assert await loose_ends(database) == NOTHING


async def test_a_booking_that_finds_no_new_tables_still_has_its_old_ones(database: Database) -> None:
    house = await build_house(database, [4])
    await keep_tables(house)
    moved, other = await house.book(4), await house.book(4, NOON + timedelta(hours=4))
    for booking in (moved, other):
        await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
        await work(house)
    await move_booking(house.desk, moved, Move(NOON + timedelta(hours=4), 4), now=at_dawn)
    assert await work(house) == ["exhausted"]
    assert await house.status(moved) == "pending"
    assert await house.seats(moved) == [house.tables["T1"]]
    await cancel_booking(house.desk, moved)
    assert await house.seats(moved) == []


async def test_an_exchange_that_fails_at_the_last_moment_undoes_itself(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await build_house(database, [4])
    await keep_tables(house)
    booking = await house.book(4)
    await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
    await work(house)
    await move_booking(house.desk, booking, Move(NOON + timedelta(minutes=30), 4), now=at_dawn)
    monkeypatch.setattr("maitred.booking.confirm._CONFIRM", "SELECT 1 AS x WHERE false")
    assert await work(house, most=1) == [None]
    assert await house.seats(booking) == [house.tables["T1"]]
    assert await house.count("holds") == 0
