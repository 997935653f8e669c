"""Two hundred guests at once for one evening at one venue: nobody is lost, nobody sits on another's table."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from maitred.auto_assign.book import book
from maitred.auto_assign.inline import InlineRules, inline_clear_ups
from maitred.booking.create import NewBooking
from maitred.booking.gate import Gates, Passage
from maitred.errors import NotFound
from maitred.http.role import Role
from maitred.storage.database import Database
from tests.auto_assign.durable import loose_ends
from tests.house import House, build_house, double_bookings
from tests.http.conftest import Api, open_api

GUESTS = 200
ROOM = (2,) * 8 + (4,) * 10 + (6,) * 4
EVENING = (datetime.now(UTC) + timedelta(days=2)).replace(hour=18, minute=0, second=0, microsecond=0)

# however slow the machine is: what is asked here is who gets a table, and not when
PATIENT = {
    "http_rate_per_s": 10_000,
    "http_rate_burst": 10_000,
    "http_timeout_s": 300,
    "inline_timeout_ms": 60_000,
    "lock_timeout_ms": 60_000,
    "pool_timeout_s": 300,
    "statement_timeout_ms": 60_000,
}


def wishes(seed: int = 7) -> list[tuple[int, datetime]]:
    """The same parties and times for everybody who asks, many more than the room holds."""
    draw = random.Random(seed)
    return [
        (draw.choice((2, 2, 3, 4, 4, 5, 6, 8)), EVENING + timedelta(minutes=15 * draw.randint(0, 12)))
        for _ in range(GUESTS)
    ]


async def one_after_the_other(house: House) -> int:
    seated = 0
    for party, when in wishes():
        booked = await book(house.desk, NewBooking(house.restaurant_id, party, when), rules=InlineRules(60_000))
        seated += booked.result.confirmed
    return seated


class NoGates(Gates):
    """As if there were no queue."""

    @asynccontextmanager
    async def turn(self, restaurant_id: UUID, day: date, *, wait_s: float) -> AsyncIterator[Passage]:  # noqa: ARG002
        yield Passage(None)


async def all_at_once(api: Api, house: House) -> list[dict[str, Any]]:
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)

    async def one(party: int, when: datetime) -> dict[str, Any]:
        answer = await client.post(
            "/v1/bookings",
            json={"restaurant_id": str(house.restaurant_id), "party": party, "starts_at": when.isoformat()},
            headers={"Idempotency-Key": uuid4().hex},
        )
        return {"status_code": answer.status_code, **answer.json()}

    return await asyncio.gather(*(one(party, when) for party, when in wishes()))


def transient(answers: list[dict[str, Any]]) -> int:
    """How many were told something that is no answer to whether there is a table."""
    reasons = Counter(each["waiting"]["reason"] for each in answers if each["waiting"] is not None)
    return sum(count for reason, count in reasons.items() if not reason.startswith("hard."))


async def test_two_hundred_guests_at_once_are_seated_as_one_after_the_other(database_url: str) -> None:
    async with open_api(database_url, **PATIENT) as api:
        alone = await api.house(ROOM)
        in_sequence = await one_after_the_other(alone)
        house = await api.house(ROOM)
        answers = await all_at_once(api, house)
        assert Counter(each["status_code"] for each in answers) == {201: GUESTS}
        seated = sum(each["status"] == "confirmed" for each in answers)
        assert all(each["tables"] for each in answers if each["status"] == "confirmed")
        assert all(each["waiting"]["reason"] for each in answers if each["status"] == "pending")
        assert transient(answers) == 0
        assert abs(seated - in_sequence) <= 3
        assert await double_bookings(house.database) == 0
        ends = await loose_ends(house.database)
        assert (ends["holds"], ends["seats_without_booking"], ends["bookings_without_seats"]) == (0, 0, 0)
        rows = await house.database.fetch(
            "SELECT count(*) AS n FROM bookings b WHERE status = 'pending'"
            " AND NOT EXISTS (SELECT FROM runs r WHERE r.booking_id = b.id)"
        )
        assert rows[0]["n"] == 0


async def test_without_the_queue_they_plan_against_each_other(database_url: str) -> None:
    """What the queue spares: planning again and again for tables that somebody else has got meanwhile."""
    async with open_api(database_url, **PATIENT) as api:
        replans = {}
        for gates in (NoGates(), Gates()):
            object.__setattr__(api.application.desk, "gates", gates)
            house = await api.house(ROOM)
            await all_at_once(api, house)
            assert await double_bookings(house.database) == 0  # the database keeps it right either way
            await api.application.recorder.flush(20)
            rows = await house.database.fetch(
                "SELECT coalesce(sum((context->'planner_internal'->>'replans')::int), 0) AS n FROM observability_events"
                " WHERE event_type = 'auto_assign.quote' AND restaurant_id = %(id)s",
                {"id": house.restaurant_id},
            )
            replans[type(gates)] = rows[0]["n"]
        assert replans[NoGates] > 20
        assert replans[Gates] == 0


async def test_a_guest_who_hangs_up_in_the_queue_leaves_it_to_the_next(database: Database) -> None:
    house = await build_house(database, ROOM)
    tasks = [
        asyncio.create_task(book(house.desk, NewBooking(house.restaurant_id, party, when), rules=InlineRules()))
        for party, when in wishes()[:60]
    ]
    await asyncio.sleep(0.05)
    for task in tasks[::2]:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(not isinstance(each, BaseException) for each in ended[1::2])
    await inline_clear_ups()
    assert await double_bookings(database) == 0
    lost = await database.fetch(
        "SELECT count(*) AS n FROM bookings b WHERE status = 'pending'"
        " AND NOT EXISTS (SELECT FROM runs r WHERE r.booking_id = b.id)"
    )
    assert lost[0]["n"] == 0
    assert house.desk.gates._gates == {}


@pytest.mark.parametrize("place", [0.0, 0.001, 0.003, 0.006, 0.01])
async def test_a_booking_cancelled_anywhere_is_there_with_a_run_or_not_there(database: Database, place: float) -> None:
    house = await build_house(database, (4,))
    new = NewBooking(house.restaurant_id, 4, EVENING)
    task = asyncio.create_task(book(house.desk, new, rules=InlineRules()))
    await asyncio.sleep(place)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await inline_clear_ups()
    rows = await database.fetch(
        "SELECT b.status, EXISTS (SELECT FROM runs r WHERE r.booking_id = b.id) AS run FROM bookings b"
    )
    assert [(row["status"], row["run"]) for row in rows] in ([], [("pending", True)], [("confirmed", False)])


async def test_the_same_operation_once_more_is_the_same_booking(database: Database) -> None:
    house = await build_house(database, (4, 4))
    new, operation = NewBooking(house.restaurant_id, 4, EVENING), uuid4()
    first = await book(house.desk, new, rules=InlineRules(), booking_id=operation)
    again = await book(house.desk, new, rules=InlineRules(), booking_id=operation)
    assert (again.result.confirmed, again.result.tables) == (True, first.result.tables)
    assert (await database.fetch("SELECT count(*) AS n FROM bookings"))[0]["n"] == 1
    other = await build_house(database)
    with pytest.raises(NotFound):
        await book(house.desk, NewBooking(other.restaurant_id, 4, EVENING), rules=InlineRules(), booking_id=operation)
