"""Days on a database through the real functions, and the same days in memory."""

from __future__ import annotations

from datetime import date

import pytest

from maitred.booking.desk import Desk
from maitred.booking.venues import Venues
from maitred.demo.reference import demo_day
from maitred.simulate.days import PUBLISHED, DrawnBooking, draw_day
from maitred.simulate.outcome import Outcome
from maitred.simulate.players import in_memory, on_database
from maitred.simulate.policies import POLICIES
from maitred.simulate.study import FIRST_DAY
from maitred.storage.database import Database
from tests.house import Events, double_bookings

DEMO = demo_day()
SEATS = sum(table.capacity for table in DEMO.floor.tables)
NUMBER = {table.id: table.number for table in DEMO.floor.tables}


def drawn(load: float, seed: int, day: date = FIRST_DAY) -> tuple[DrawnBooking, ...]:
    return draw_day(PUBLISHED, DEMO.policy, day, seats=SEATS, load=load, seed=seed)


def told(outcome: Outcome, numbers: dict[int, str]) -> object:
    where = {
        each.booking.reference: (tuple(sorted(numbers[table] for table in each.tables)), each.start, each.end)
        for each in outcome.sittings
    }
    return where, outcome.moves, outcome.declined, outcome.waste


@pytest.mark.parametrize("name", ["best-fit", "moves", "declining"])
async def test_in_memory_everything_is_decided_as_on_a_database(database: Database, name: str) -> None:
    policy = POLICIES[name]
    load = 2.5 if policy.declines else 1.5
    bookings, past = drawn(load, 3), [drawn(load, 100 + back) for back in range(4)]
    here = await in_memory(DEMO.floor, DEMO.policy, [policy])(policy, FIRST_DAY, bookings, past)
    desk = Desk(database, Venues(database), Events())
    async with on_database(desk, DEMO.floor, DEMO.policy, [policy]) as play:
        there = await play(policy, FIRST_DAY, bookings, past)
        rows = await database.fetch("SELECT id, number FROM tables")
        assert await double_bookings(database) == 0

    assert told(here, NUMBER) == told(there, {row["id"]: row["number"] for row in rows})
    assert (here.moves > 0) == policy.moves
    assert (here.declined > 0) == policy.declines
    assert await database.fetch("SELECT id FROM restaurants") == []
