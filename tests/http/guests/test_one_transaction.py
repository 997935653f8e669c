"""A new booking, its seats and the answer that tells of them come about together, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, LiteralString
from uuid import uuid4

import pytest

from maitred.auto_assign.book import book
from maitred.auto_assign.inline import InlineRules
from maitred.booking.create import NewBooking
from maitred.errors import DatabaseUnavailable
from maitred.http.idempotency import Claim
from maitred.http.role import Role
from maitred.storage.database import Database, Row, count_round_trips
from tests.house import double_bookings
from tests.http.conftest import Api
from tests.http.guests.test_bookings import post, tomorrow

Step = Callable[[], Coroutine[Any, Any, None]]


async def _nothing() -> None:
    pass


def around_seating(monkeypatch: pytest.MonkeyPatch, before: Step = _nothing, after: Step = _nothing) -> None:
    """Has these done around the first statement that seats a newcomer."""
    fetch, once = Database.fetch_alone, iter((True,))

    async def watched(self: Database, sql: LiteralString, params: Mapping[str, Any]) -> list[Row]:
        first = "seat_newcomer" in sql and next(once, False)
        if first:
            await before()
        rows = await fetch(self, sql, params)
        if first:
            await after()
        return rows

    monkeypatch.setattr(Database, "fetch_alone", watched)


async def test_a_confirmed_booking_costs_two_round_trips_and_its_repetition_one(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    await post(client, house)  # the venue's rules are read once
    with count_round_trips() as trips:
        first = await post(client, house, "k")
    assert (first.json()["status"], trips.count) == ("confirmed", 2)
    with count_round_trips() as trips:
        again = await post(client, house, "k")
    assert (again.content, again.headers["Idempotency-Replayed"], trips.count) == (first.content, "true", 1)


async def test_the_answer_is_kept_with_the_seats_and_not_after_them(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)

    async def killed(*_: object) -> None:
        raise AssertionError("nobody keeps anything after that")

    monkeypatch.setattr(Claim, "keep", killed)
    first, again = await post(client, house, "k"), await post(client, house, "k")
    assert first.json()["status"] == "confirmed"
    assert (again.status_code, again.content) == (201, first.content)
    kept = {name: value for name, value in first.headers.items() if name != "x-request-id"}
    assert {name: again.headers[name] for name in kept} == kept


async def test_what_was_kept_is_told_when_nobody_heard_whether_it_came_about(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    await post(client, house)

    async def lost() -> None:
        raise DatabaseUnavailable("the connection broke after COMMIT was sent")

    around_seating(monkeypatch, after=lost)
    first, again = await post(client, house, "k"), await post(client, house, "k")
    assert (first.status_code, first.json()["status"]) == (201, "confirmed")
    assert again.content == first.content
    rows = await house.database.fetch("SELECT status FROM bookings")
    assert [row["status"] for row in rows] == ["confirmed", "confirmed"]


async def test_who_loses_the_race_is_told_and_kept_the_tables_he_got(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    house = await api.house((2, 2))
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    faster: list[str] = []

    async def somebody_else() -> None:
        booked = await book(
            house.desk, NewBooking(house.restaurant_id, 2, tomorrow()), rules=InlineRules(), booking_id=uuid4()
        )
        faster.extend(booked.result.tables)

    around_seating(monkeypatch, before=somebody_else)
    first, again = await post(client, house, "k"), await post(client, house, "k")
    made = first.json()
    assert made["status"] == "confirmed"
    assert sorted([*made["tables"], *faster]) == ["T1", "T2"]
    assert again.content == first.content
    assert await house.seats(made["id"]) == [house.tables[made["tables"][0]]]
    assert await double_bookings(house.database) == 0


async def test_where_so_many_are_let_in_who_is_not_leaves_nothing(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    await house.database.fetch(
        "INSERT INTO pacing_limits (restaurant_id, slot_minutes, most_covers) VALUES (%(id)s, 15, 3)",
        {"id": house.restaurant_id},
    )
    answers = [await post(client, house) for _ in range(2)]
    assert [each.status_code for each in answers] == [201, 409]
    assert answers[1].json()["code"] == "pacing_exceeded"
    assert (await house.database.fetch("SELECT count(*) AS n FROM bookings"))[0]["n"] == 1
    assert await api.application.recorder.flush(20)
    rows = await house.database.fetch("SELECT count(DISTINCT booking_id) AS n FROM observability_events")
    assert rows[0]["n"] == 1
