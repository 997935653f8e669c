"""The counter of round trips, against what libpq itself saw go over the wire."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg.rows import dict_row

from maitred.auto_assign.retry import SINGLE_ATTEMPT
from maitred.auto_assign.run import auto_assign_and_confirm_if_possible
from maitred.storage import database as database_module
from maitred.storage.database import Database, Session, Statement, count_round_trips
from tests.house import at_dawn, build_house


@asynccontextmanager
async def traced(url: str) -> AsyncIterator[tuple[Session, list[int]]]:
    """A session whose connection writes libpq's own trace, and the number of answers in it at the end.

    The server says ReadyForQuery once for each time that the client stopped and waited for it.
    """
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=dict_row)
    answers: list[int] = []
    with tempfile.TemporaryFile() as trace:
        connection.pgconn.trace(trace.fileno())
        yield Session(connection), answers
        connection.pgconn.untrace()
        trace.seek(0)
        answers.append(trace.read().count(b"ReadyForQuery"))
    await connection.close()


async def test_a_fetch_and_a_send_are_one_round_trip_each_on_the_wire(database_url: str) -> None:
    with count_round_trips() as trips:
        async with traced(database_url) as (session, answers):
            await session.fetch(Statement("SELECT %(x)s::int", {"x": 1}))
            await session.send([Statement("SELECT %(x)s::int", {"x": 1})] * 8)
            await session.send([Statement("BEGIN", {}), Statement("SELECT 1", {})])
            await session.send([Statement("SELECT 1", {}), Statement("COMMIT", {})])
    assert [trips.count] == answers == [4]


async def test_so_is_a_send_that_fails_and_it_leaves_nothing(database_url: str) -> None:
    async with traced(database_url) as (session, answers):
        await session.send([Statement("CREATE TEMP TABLE once (x int PRIMARY KEY)", {})])
        with count_round_trips() as trips, pytest.raises(psycopg.errors.UniqueViolation):
            await session.send([Statement("INSERT INTO once VALUES (1)", {})] * 2)
        rows = await session.fetch(Statement("SELECT count(*) AS n FROM once", {}))
    assert rows[0]["n"] == 0
    assert trips.count == 1
    assert answers == [3]


async def test_a_whole_run_waits_as_often_as_it_says(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await build_house(database)
    await auto_assign_and_confirm_if_possible(
        house.desk, await house.book(2), now=at_dawn, trigger="manual", rules=SINGLE_ATTEMPT
    )  # the venue's rules are read once
    seated, refused = await house.book(2), await house.book(40)
    async with traced(database_url) as (session, answers):

        @asynccontextmanager
        async def only_this_one(_: Database) -> AsyncIterator[Session]:
            yield session

        monkeypatch.setattr(database_module.Database, "session", only_this_one)
        fine = await auto_assign_and_confirm_if_possible(
            house.desk, seated, now=at_dawn, trigger="manual", rules=SINGLE_ATTEMPT
        )
        not_fine = await auto_assign_and_confirm_if_possible(
            house.desk, refused, now=at_dawn, trigger="manual", rules=SINGLE_ATTEMPT
        )
    assert (fine.result, fine.round_trips) == ("succeeded", 3)
    assert (not_fine.result, not_fine.round_trips) == ("exhausted", 2)
    assert answers == [5]


async def test_counting_inside_counting_adds_to_both(database: Database) -> None:
    with count_round_trips() as outer:
        await database.fetch("SELECT 1")
        with count_round_trips() as inner:
            await database.fetch("SELECT 1")
    assert (outer.count, inner.count) == (2, 1)
