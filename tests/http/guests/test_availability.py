"""Availability: each yes and each no is what a booking made at that moment gets, and no answer outlives a change."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString

import httpx
import pytest

from maitred.auto_assign.book import book
from maitred.auto_assign.inline import InlineRules
from maitred.booking.create import NewBooking
from maitred.booking.quote import quote_tables_for_booking
from maitred.http.role import Role
from maitred.storage.database import count_round_trips
from tests.house import House
from tests.http.conftest import Api

DAY = datetime.now(UTC).date() + timedelta(days=3)


def at(hour: int, minute: int = 0, day: date = DAY) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


async def ask(client: httpx.AsyncClient, house: House, party: int, day: date = DAY) -> dict[datetime, dict[str, Any]]:
    answer = await client.get(
        "/v1/availability",
        params={"restaurant_id": str(house.restaurant_id), "date": day.isoformat(), "party": party},
    )
    assert answer.status_code == 200, answer.text
    return {datetime.fromisoformat(slot["starts_at"]): slot for slot in answer.json()["slots"]}


async def really(house: House, party: int, starts_at: datetime) -> bool:
    """Books it, and takes it back."""
    booked = await book(house.desk, NewBooking(house.restaurant_id, party, starts_at), rules=InlineRules())
    await house.database.fetch("DELETE FROM bookings WHERE id = %(id)s", {"id": booked.created.id})
    return booked.result.confirmed


@pytest.mark.parametrize("seed", range(6))
async def test_each_answer_is_what_a_booking_then_gets(api: Api, seed: int) -> None:
    draw = random.Random(seed)
    house = await api.house((2, 2, 4, 4, 6))
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    for _ in range(draw.randint(5, 40)):
        when = at(draw.randint(10, 21), draw.choice((0, 10, 15, 30, 45)))
        party = draw.randint(1, 8)
        if draw.random() < 0.15:
            waiting = await house.book(party, when)
            if draw.random() < 0.5:
                await quote_tables_for_booking(
                    house.desk, waiting, now=lambda: datetime.now(UTC), ttl_s=600, trigger="manual"
                )
        else:
            await book(house.desk, NewBooking(house.restaurant_id, party, when), rules=InlineRules())
    seen = set()
    for party in draw.sample(range(1, 13), 3):
        slots = await ask(client, house, party)
        assert len(slots) == 13 * 4
        for start in draw.sample(sorted(slots), 10):
            assert slots[start]["available"] == await really(house, party, start), (party, start)
            seen.add(slots[start]["available"])
    assert seen


CHANGES: dict[str, LiteralString] = {
    "a booking is cancelled": "UPDATE bookings SET status = 'cancelled'",
    "a table goes": "UPDATE tables SET active = false",
    "the service is longer": "UPDATE turn_bands SET minutes = 600",
    "a hold runs out": "UPDATE holds SET expires_at = clock_timestamp()",
    "the service closes earlier": "UPDATE services SET ends = '12:00'",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_in_the_next_answer(api: Api, change: str) -> None:
    house = await api.house((4,))
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    booking = await house.book(4, at(12))
    await quote_tables_for_booking(house.desk, booking, now=lambda: datetime.now(UTC), ttl_s=600, trigger="manual")
    before = await ask(client, house, 4)
    assert before == await ask(client, house, 4)
    assert not before[at(12)]["available"]
    await house.database.fetch(CHANGES[change])
    after = await ask(client, house, 4)
    assert after != before
    fresh = await api.client(Role.GUEST_SITE, house.restaurant_id)
    assert after == await ask(fresh, house, 4)


async def test_a_hold_that_runs_out_by_itself_frees_its_start(api: Api) -> None:
    house = await api.house((4,))
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    booking = await house.book(4, at(12))
    await quote_tables_for_booking(house.desk, booking, now=lambda: datetime.now(UTC), ttl_s=1, trigger="manual")
    await house.database.fetch("UPDATE bookings SET status = 'confirmed'")  # nobody waits for the table any more
    assert not (await ask(client, house, 4))[at(12)]["available"]
    await house.database.fetch("SELECT pg_sleep(1.1)")
    assert (await ask(client, house, 4))[at(12)]["available"]


async def test_an_answer_that_holds_still_costs_the_planner_nothing_and_one_look(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    params = {"restaurant_id": str(house.restaurant_id), "date": DAY.isoformat(), "party": "2"}
    first = await client.get("/v1/availability", params=params)
    with count_round_trips() as trips:
        again = await client.get("/v1/availability", params=params, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert trips.count <= 2  # who is it; what is the day's version


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("party", 0),
        ("party", 2_000_000),
        ("party", "many"),
        ("date", "9999-12-31"),
        ("date", "0001-01-01"),
        ("date", "2030-02-30"),
        ("date", "today"),
        ("restaurant_id", "here"),
    ],
)
async def test_what_is_out_of_range_is_named(api: Api, field: str, value: Any) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    params = {"restaurant_id": str(house.restaurant_id), "date": DAY.isoformat(), "party": 2, field: value}
    answer = await client.get("/v1/availability", params=params)
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"].split(".")[-1] == field


async def test_a_start_that_has_passed_is_no_yes(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    today = datetime.now(UTC).date()
    for start, slot in (await ask(client, house, 2, today)).items():
        assert slot["available"] == (start > datetime.now(UTC))


async def test_a_start_that_the_restaurant_lets_nobody_else_in_at_is_no_yes(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    assert (await ask(client, house, 2))[at(12)]["available"]
    await house.database.fetch(
        "INSERT INTO pacing_limits (restaurant_id, slot_minutes, most_covers) VALUES (%(id)s, 15, 3)",
        {"id": house.restaurant_id},
    )
    await house.book(2, at(12))
    slots = await ask(client, house, 2)
    assert (slots[at(12)]["available"], slots[at(12)]["reason"]) == (False, "pacing")
    assert slots[at(12, 15)]["available"]
    refused = await client.post(
        "/v1/bookings",
        json={"restaurant_id": str(house.restaurant_id), "party": 2, "starts_at": at(12).isoformat()},
        headers={"Idempotency-Key": "paced"},
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "pacing_exceeded")
