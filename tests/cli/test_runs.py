"""`maitred runs`: what scripts and people read of durable runs, and what is refused."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.retry import RetryRules
from maitred.storage.database import Database
from tests.auto_assign.durable import waiting_jobs, work
from tests.auto_assign.test_operations import slug_of
from tests.auto_assign.test_run_listing import reference_of
from tests.cli.command import Ended, maitred, one_line
from tests.house import House, build_house

Run = Callable[..., Awaitable[Ended]]


@pytest.fixture
def run(database_url: str) -> Run:
    async def in_a_thread(*arguments: str) -> Ended:
        return await asyncio.to_thread(maitred, "runs", *arguments, MAITRED_DATABASE_URL=database_url)

    return in_a_thread


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    return await build_house(database)


async def begin(house: House, party: int) -> tuple[str, str]:
    """A booking's reference and its run's id."""
    booking = await house.book(party)
    run_id = await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=datetime.now(UTC))
    return await reference_of(house, booking), str(run_id)


def parsed(ended: Ended) -> Any:
    assert (ended.code, ended.err) == (0, "")
    return json.loads(ended.out)


async def test_runs_are_listed_for_people_and_for_scripts(run: Run, house: House) -> None:
    assert (await run("list")).out == "no runs\n"
    reference, run_id = await begin(house, 40)
    seated, _ = await begin(house, 4)
    await work(house)
    waiting, _ = await begin(house, 2)
    ended = await run("list", "--restaurant", await slug_of(house))
    assert (ended.code, ended.err) == (0, "")
    assert "\x1b" not in ended.out
    text = " ".join(ended.out.split())
    assert re.search(rf"{reference} at \S+ \S+ \S+ 1/4 exhausted {run_id} creation hard.global_capacity", text)
    assert re.search(rf"{seated} at \S+ \S+ \S+ 1/4 succeeded", text)
    assert re.search(rf"{waiting} at \S+ \S+ \S+ 0/4 due now", text)
    found = parsed(await run("list", "--json"))
    assert [each["reference"] for each in found] == [waiting, seated, reference]
    assert (found[2]["id"], found[2]["attempts"], found[2]["result"]) == (run_id, 1, "exhausted")
    assert [each["reference"] for each in parsed(await run("list", "--live", "--json"))] == [waiting]
    assert len(parsed(await run("list", "--limit", "1", "--json"))) == 1


async def test_a_run_is_shown_with_its_events_and_its_job(run: Run, house: House) -> None:
    reference, run_id = await begin(house, 4)
    await house.database.fetch("UPDATE bookings SET guest_name = 'A. Guest', notes = 'by the window'")
    found = parsed(await run("show", reference, "--json"))
    [job] = await waiting_jobs(house.database)
    assert (found["run"]["id"], found["job"]["id"], found["job"]["status"]) == (run_id, job.id, "todo")
    assert "waiting, due now" in (await run("show", reference)).out
    await work(house)
    shown = await run("show", run_id)
    assert (shown.code, shown.err) == (0, "")
    assert "succeeded" in shown.out
    assert "summary" in shown.out
    assert "Guest" not in shown.out
    assert "window" not in shown.out
    found = parsed(await run("show", run_id, "--json"))
    assert found["job"] is None
    first, *others = [each["event_type"] for each in found["events"]]
    assert (first, sorted(others)) == ("auto_assign.started", ["auto_assign.succeeded", "auto_assign.summary"])


async def test_a_run_is_tried_again_or_it_is_said_why_not(run: Run, house: House, database_url: str) -> None:
    reference, run_id = await begin(house, 40)
    ended = await run("retry", reference)
    assert (ended.code, one_line(ended)) == (
        1,
        f"maitred: the booking is not tried again: run {run_id} is under way",
    )
    await work(house)
    begun = parsed(await run("retry", reference, "--json"))["run_id"]
    assert [str(job.run_id) for job in await waiting_jobs(house.database)] == [begun]
    await work(house)
    assert (await run("retry", begun)).out.startswith("run ")
    await work(house)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE bookings SET starts_at = %s", (datetime.now(UTC) - timedelta(hours=1),))
    assert "its start has passed" in one_line(await run("retry", reference))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE bookings SET status = 'cancelled'")
    assert one_line(await run("retry", reference)) == "maitred: the booking is cancelled"


@pytest.mark.parametrize("command", ["show", "retry"])
async def test_a_name_that_means_nothing_is_not_found(run: Run, house: House, command: str) -> None:
    ended = await run(command, "R0")
    assert (ended.code, one_line(ended)) == (1, "maitred: no run or booking R0")


async def test_a_booking_that_has_had_no_run_says_so(run: Run, house: House) -> None:
    reference = await reference_of(house, await house.book(2))
    assert one_line(await run("show", reference)) == f"maitred: no run of booking {reference}"
    assert one_line(await run("retry", reference)).endswith("it has had no run yet")
    assert one_line(await run("list", "--restaurant", "nowhere")) == "maitred: no restaurant nowhere"
