"""Runs as people look at them; a new run for what was left without tables, and for nothing else."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from maitred.auto_assign.begin import begin_run, run_statements
from maitred.auto_assign.changes import cancel_booking, move_booking
from maitred.auto_assign.job import JobRules
from maitred.auto_assign.operations import OperationsRun, Orders
from maitred.auto_assign.retry import InlineOutcome, RetryRules
from maitred.auto_assign.run_listing import Named, find_run, list_runs, retry_run, show_run
from maitred.auto_assign.runs import InlineAttempt
from maitred.booking.change import Move
from maitred.booking.question import Strategy
from maitred.errors import AmbiguousReference, BookingNotPending, NotFound, RetryRefused
from maitred.model.reason import ReasonCode
from maitred.observability.recorder import Recorder
from maitred.storage.database import Database
from tests.auto_assign.durable import run_row, waiting_jobs, work
from tests.auto_assign.test_operations import Watching, slug_of
from tests.house import DAWN, NOON, House, at_dawn, build_house

V1 = JobRules(retry=RetryRules(version=1))


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    return await build_house(database)


async def begin(house: House, booking: UUID) -> UUID:
    run = await begin_run(house.desk, booking, trigger="creation", rules=V1.retry, now=DAWN)
    assert run is not None
    return run


async def reference_of(house: House, booking: UUID) -> str:
    rows = await house.database.fetch("SELECT reference FROM bookings WHERE id = %(id)s", {"id": booking})
    return str(rows[0]["reference"])


async def test_runs_are_listed_newest_first_and_can_be_confined(house: House) -> None:
    other = await build_house(house.database)
    ended, live, elsewhere = [
        await begin(each, await each.book(party)) for each, party in ((house, 4), (house, 40), (other, 2))
    ]
    await work(house, most=1)  # the oldest job

    async def listed(*, live: bool = False, slug: str | None = None, limit: int = 50) -> list[UUID]:
        return [run.id for run in await list_runs(house.database, live=live, restaurant_slug=slug, limit=limit)]

    assert await listed() == [elsewhere, live, ended]
    assert await listed(live=True) == [elsewhere, live]
    assert await listed(slug=await slug_of(house)) == [live, ended]
    assert await listed(limit=1) == [elsewhere]
    with pytest.raises(NotFound, match="no restaurant nowhere"):
        await listed(slug="nowhere")


async def test_a_listed_run_says_how_many_attempts_were_made(house: House) -> None:
    hopeless, seated = await house.book(40), await house.book(4)
    run, other = await begin(house, hopeless), await begin(house, seated)

    async def attempts() -> dict[UUID, tuple[int | None, str | None]]:
        found = await list_runs(house.database, live=False, restaurant_slug=None, limit=9)
        return {each.id: (each.attempts, each.result) for each in found}

    assert await attempts() == {run: (0, None), other: (0, None)}
    await work(house, most=2, rules=V1)
    assert await attempts() == {run: (1, None), other: (1, "succeeded")}
    await work(house, rules=V1)
    assert await attempts() == {run: (4, "exhausted"), other: (1, "succeeded")}


async def test_a_run_is_found_by_its_id_and_a_booking_by_reference_or_id_means_its_latest_run(house: House) -> None:
    booking = await house.book(40)
    reference = await reference_of(house, booking)
    assert await find_run(house.database, reference) == Named(booking, None)
    first = await begin(house, booking)
    second = await move_booking(house.desk, booking, Move(NOON, 41), now=at_dawn)
    for name in (reference, str(booking)):
        assert await find_run(house.database, name) == Named(booking, second)
    assert await find_run(house.database, str(first)) == Named(booking, first)
    for name in ("R0", str(uuid4())):
        with pytest.raises(NotFound):
            await find_run(house.database, name)
    other = await build_house(house.database)
    same = await other.book(2)
    await house.database.fetch(
        "UPDATE bookings SET reference = %(name)s WHERE id = %(id)s", {"name": reference, "id": same}
    )
    with pytest.raises(AmbiguousReference):
        await find_run(house.database, reference)
    assert await find_run(house.database, reference, restaurant_slug=await slug_of(other)) == Named(same, None)


async def test_a_waiting_run_shows_its_job_and_when_it_is_due(house: House) -> None:
    run = await begin(house, await house.book(40))
    await work(house, most=1, rules=V1)
    shown = await show_run(house.database, run)
    [job] = await waiting_jobs(house.database)
    assert shown.job is not None
    assert (shown.job.id, shown.job.status, shown.job.due_at) == (job.id, "todo", shown.run.due_at)
    await work(house, rules=V1)
    assert (await show_run(house.database, run)).job is None


async def test_the_events_of_a_run_are_its_own_in_order(house: House, database_url: str) -> None:
    """Events of other runs of the same booking, before, after and between, are not."""
    recorder = Recorder(database_url, queue_size=1_000)
    await recorder.start()
    house.desk.events.record_observability_event = recorder.record_observability_event  # type: ignore[method-assign]  # the real one: what is shown has been stored
    booking = await house.book(40)
    inline = InlineAttempt(uuid4(), "inline_creation", InlineOutcome(ReasonCode.NO_CAPACITY, DAWN))
    first = uuid4()
    await house.database.transact(
        run_statements(booking, trigger="creation", rules=RetryRules(), now=DAWN, inline=inline, run_id=first)
    )
    orders = Orders(await slug_of(house), NOON.date())
    await OperationsRun(house.desk, orders, now=at_dawn, watcher=Watching()).go()
    await work(house)
    second = await retry_run(house.desk, Named(booking, first), rules=RetryRules(), now=DAWN)
    await work(house)
    await recorder.close()

    ended = [
        "auto_assign.started",
        "auto_assign.quote",
        "auto_assign.attempt",
        "auto_assign.failed",
        "auto_assign.summary",
        "auto_assign.hard_stop",
    ]
    shown = {run: await show_run(house.database, run) for run in (first, second)}
    types = {run: [event.event_type for event in each.events] for run, each in shown.items()}
    assert sorted(types[first]) == sorted([*ended, "auto_assign.inline_skip_attempt"])
    assert sorted(types[second]) == sorted(ended)
    assert types[second][0] == "auto_assign.started"
    for each in shown.values():
        assert [event.created_at for event in each.events] == sorted(event.created_at for event in each.events)
        assert {event.context.get("trigger", each.run.trigger) for event in each.events} == {each.run.trigger}
        assert all("planner_record" not in event.context for event in each.events)


async def test_a_run_that_ended_without_tables_is_tried_again_as_it_was(house: House) -> None:
    booking = await house.book(40)
    first = uuid4()
    strategy = Strategy(require_adjacency=False, max_tables=2)
    await house.database.transact(
        run_statements(
            booking,
            trigger="modification",
            rules=RetryRules(),
            now=DAWN,
            strategy=strategy,
            mail_variant="modified",
            run_id=first,
        )
    )
    await work(house)
    second = await retry_run(house.desk, Named(booking, first), rules=RetryRules(), now=DAWN)
    row = await run_row(house.database, booking)
    assert (row["id"], row["trigger"], row["mail_variant"]) == (second, "manual", "modified")
    assert (row["require_adjacency"], row["max_tables"]) == (False, 2)
    [job] = await waiting_jobs(house.database)
    assert (job.run_id, job.attempt_index) == (second, 0)
    await house.database.fetch("UPDATE bookings SET party_size = 4")
    assert await work(house) == ["succeeded"]


async def test_everything_else_is_refused_with_its_reason(house: House) -> None:
    async def refused(named: Named) -> str:
        with pytest.raises(RetryRefused) as caught:
            await retry_run(house.desk, named, rules=RetryRules(), now=DAWN)
        return caught.value.why

    booking = await house.book(40)
    assert await refused(Named(booking, None)) == "it has had no run yet"
    first = await begin(house, booking)
    assert await refused(Named(booking, first)) == f"run {first} is under way"
    await work(house)
    second = await retry_run(house.desk, Named(booking, first), rules=RetryRules(), now=DAWN)
    assert await refused(Named(booking, first)) == f"run {first} was followed by run {second}"
    await work(house)
    with pytest.raises(RetryRefused, match="its start has passed"):
        await retry_run(house.desk, Named(booking, second), rules=RetryRules(), now=NOON)
    await cancel_booking(house.desk, booking)
    with pytest.raises(BookingNotPending, match="cancelled"):
        await retry_run(house.desk, Named(booking, second), rules=RetryRules(), now=DAWN)
    with pytest.raises(NotFound):
        await retry_run(house.desk, Named(uuid4(), None), rules=RetryRules(), now=DAWN)

    seated = await house.book(4, NOON + timedelta(hours=2))
    run = await begin(house, seated)
    await work(house)
    with pytest.raises(BookingNotPending, match="confirmed"):
        await retry_run(house.desk, Named(seated, run), rules=RetryRules(), now=DAWN)
    await house.database.fetch("UPDATE bookings SET status = 'pending' WHERE id = %(id)s", {"id": seated})
    assert (await refused(Named(seated, run))).endswith("did not end without tables but as succeeded")
    assert await waiting_jobs(house.database) == []


async def test_of_many_who_try_again_at_once_one_begins_the_run(house: House) -> None:
    booking = await house.book(40)
    first = await begin(house, booking)
    await work(house)
    tried = await asyncio.gather(
        *(retry_run(house.desk, Named(booking, first), rules=RetryRules(), now=DAWN) for _ in range(8)),
        return_exceptions=True,
    )
    begun = [each for each in tried if isinstance(each, UUID)]
    assert len(begun) == 1
    assert all(isinstance(each, RetryRefused) for each in tried if each not in begun)
    assert [job.run_id for job in await waiting_jobs(house.database)] == begun
