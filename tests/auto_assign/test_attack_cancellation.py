"""A cancellation at each await in turn: the books balance and the pool is whole, wherever it strikes."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Generator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.changes import cancel_booking, move_booking
from maitred.auto_assign.inline import auto_assign_inline, inline_clear_ups
from maitred.auto_assign.job import make_queued_attempt
from maitred.auto_assign.retry import RetryRules
from maitred.booking.change import Move
from maitred.storage.database import Database
from tests.auto_assign.durable import NOTHING, RULES, loose_ends, results_of, work
from tests.house import DAWN, NOON, House, at_dawn, build_house

MOST_AWAITS = 400


@types.coroutine
def cancelled_at(work: Awaitable[Any], place: int) -> Generator[Any, Any, Any]:
    """Awaits the work and cancels the task around it at its n-th await."""
    steps = work.__await__()
    count = 0
    try:
        waited_for = steps.send(None)
        while True:
            count += 1
            if count == place:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                answer = yield waited_for
            except BaseException as error:  # noqa: BLE001 - passed on, whatever it is
                waited_for = steps.throw(error)
            else:
                waited_for = steps.send(answer)
    except StopIteration as end:
        return end.value


async def strike(work: Callable[[], Awaitable[Any]], place: int) -> bool:
    """Whether the work was still under way at that await, and so was cancelled."""

    async def run() -> None:
        await cancelled_at(work(), place)

    try:
        await asyncio.create_task(run())
    except asyncio.CancelledError:
        return True
    return False


async def pool_is_whole(database: Database) -> None:
    async with asyncio.timeout(10):
        await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.005)") for _ in range(8)))
    left_open = await database.fetch(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%%'"
    )
    assert left_open[0]["n"] == 0


async def each_place(
    database: Database,
    prepare: Callable[[], Awaitable[Callable[[], Awaitable[Any]]]],
    check: Callable[[], Awaitable[None]],
) -> int:
    for place in range(1, MOST_AWAITS):
        struck = await strike(await prepare(), place)
        await inline_clear_ups()
        await pool_is_whole(database)
        await check()
        if not struck:
            return place
    raise AssertionError("it never came to its end")


async def fresh(house: House) -> None:
    await house.database.fetch("DELETE FROM bookings")
    await house.database.fetch("DELETE FROM procrastinate_jobs")
    await house.database.fetch("DELETE FROM planner_failures")
    await house.database.fetch("DELETE FROM observability_events")


async def test_inline(database: Database) -> None:
    house = await build_house(database, [4])

    async def prepare() -> Callable[[], Awaitable[Any]]:
        await fresh(house)
        booking = await house.book(4)
        return lambda: auto_assign_inline(house.desk, booking, now=at_dawn)

    async def check() -> None:
        await work(house)
        rows = await database.fetch("SELECT status FROM bookings")
        assert [row["status"] for row in rows] == ["confirmed"]
        ends = await loose_ends(database)
        assert {**ends, "successes_off": 0} == NOTHING

    assert await each_place(database, prepare, check) > 2


async def test_inline_with_tables_that_are_exchanged(database: Database) -> None:
    house = await build_house(database, [4])
    await database.fetch("UPDATE restaurants SET keep_tables_until_moved = true")

    async def prepare() -> Callable[[], Awaitable[Any]]:
        await fresh(house)
        booking = await house.book(4)
        await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
        assert await work(house) == ["succeeded"]
        await move_booking(house.desk, booking, Move(NOON + timedelta(minutes=30), 4), now=at_dawn)
        return lambda: auto_assign_inline(house.desk, booking, now=at_dawn, trigger="inline_modification")

    async def check() -> None:
        await work(house)
        rows = await database.fetch("SELECT status FROM bookings")
        assert [row["status"] for row in rows] == ["confirmed"]
        ends = await loose_ends(database)
        assert {**ends, "successes_off": 0} == NOTHING

    assert await each_place(database, prepare, check) > 2


@pytest.mark.parametrize("party", [4, 40])
async def test_a_queued_attempt(database: Database, party: int) -> None:
    house = await build_house(database, [4])
    runs: list[UUID] = []

    async def prepare() -> Callable[[], Awaitable[Any]]:
        await fresh(house)
        booking = await house.book(party)
        run = await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
        assert run is not None
        runs[:] = [run]
        return lambda: make_queued_attempt(house.desk, run, 0, rules=RULES, now=at_dawn)

    async def check() -> None:
        await make_queued_attempt(house.desk, runs[0], 0, rules=RULES, now=at_dawn)
        assert await results_of(database) == ["succeeded" if party == 4 else "exhausted"]
        assert await loose_ends(database) == NOTHING

    assert await each_place(database, prepare, check) > 2


@pytest.mark.parametrize("what", ["cancel", "move"])
async def test_changes(database: Database, what: str) -> None:
    house = await build_house(database, [4])

    async def prepare() -> Callable[[], Awaitable[Any]]:
        await fresh(house)
        booking = await house.book(4)
        await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)
        await work(house)
        if what == "cancel":
            return lambda: cancel_booking(house.desk, booking)
        return lambda: move_booking(house.desk, booking, Move(NOON + timedelta(minutes=30), 3), now=at_dawn)

    async def check() -> None:
        await work(house)
        assert await loose_ends(database) == NOTHING

    assert await each_place(database, prepare, check) > 1
