"""Availability: each yes and each no is what a booking made at that moment gets, and no answer outlives a change."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString

import httpx
import pytest
from psycopg.types.json import Jsonb

from maitred.auto_assign.book import book
from maitred.auto_assign.inline import InlineRules
from maitred.booking.availability import Availabilities
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


class Earning:
    """Prices that make some starts of every other hour worth more to others than a small party brings."""

    def __init__(self, tables: int, draw: random.Random) -> None:
        self._covers = [draw.choice((0.0, 0.5, 1.5, 3.0)) for _ in range(tables)]
        self._busy = {hour for hour in range(24) if draw.random() < 0.5}

    def window(self, start: int, end: int) -> tuple[float, ...]:
        hours = range(start // 3_600_000_000 % 24, end // 3_600_000_000 % 24 + 1)
        return tuple(covers * len(self._busy & set(hours)) for covers in self._covers)


@pytest.mark.parametrize("seed", range(5))
async def test_each_yes_holds_too_where_covers_are_weighed_large_tables_kept_and_parties_declined(
    api: Api, seed: int
) -> None:
    draw = random.Random(seed)
    house = await api.house((2, 2, 4, 4, 6))
    await house.database.fetch("UPDATE tables SET section = CASE WHEN mod(id, 2) = 0 THEN 'Anna' ELSE 'Ben' END")
    lead = (at(16) - datetime.now(UTC)) // timedelta(minutes=1)
    scoring = {
        "weights": {"section": 3, "pacing": 2, "gap": 0.2},
        "keep_large": [{"seats": 6, "party": 5, "until_min": lead, "hard": True}],
        "prices": {"use": True, "decline": True, "points_per_cover": 25},
    }
    await house.database.fetch("UPDATE restaurants SET scoring = %(scoring)s", {"scoring": Jsonb(scoring)})
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    await ask(client, house, 2)
    [row] = await house.database.fetch("SELECT policy_version, floor_version FROM restaurants")
    prices = Earning(5, draw)
    for desk in (house.desk, api.application.desk):
        desk.prices.keep(house.restaurant_id, DAY, prices=prices, **row)
    for _ in range(draw.randint(5, 25)):
        when = at(draw.randint(10, 21), draw.choice((0, 15, 30, 45)))
        await book(house.desk, NewBooking(house.restaurant_id, draw.randint(1, 8), when), rules=InlineRules())
    seen = set()
    for party in (1, 2, draw.randint(3, 6)):
        slots = await ask(client, house, party)
        for start in draw.sample(sorted(slots), 12):
            assert slots[start]["available"] == await really(house, party, start), (party, start)
            seen.add(slots[start]["reason"])
    assert {None, "hard.declined"} <= seen


async def test_an_answer_ends_with_the_rule_that_it_was_given_by_and_with_the_days_prices(api: Api) -> None:
    house = await api.house((6,))
    scoring = {
        "keep_large": [{"seats": 6, "party": 5, "until_min": 120, "hard": True}],
        "prices": {"use": True, "decline": True},
    }
    await house.database.fetch("UPDATE restaurants SET scoring = %(scoring)s", {"scoring": Jsonb(scoring)})
    desk = api.application.desk
    availabilities = Availabilities(desk.venues, desk.prices)

    async def slots(now: datetime) -> dict[datetime, bool]:
        found = await availabilities.of_day(desk.database, house.restaurant_id, DAY, 2, now=now)
        return {slot.starts_at: slot.available for slot in found.slots}

    for now in (at(8), at(9, 59), at(10), at(10) + timedelta(seconds=1), at(10, 1), at(10, 30), at(11)):
        answered = await slots(now)
        expected = {start for start in answered if now < start < now + timedelta(minutes=121)}
        assert {start for start in answered if answered[start]} == expected, now
    assert (await slots(at(11)))[at(12)]
    [row] = await house.database.fetch("SELECT policy_version, floor_version FROM restaurants")
    desk.prices.keep(house.restaurant_id, DAY, prices=Dear(), **row)
    assert not any((await slots(at(11))).values())


class Dear:
    """Every table is worth more than anybody brings."""

    def window(self, start: int, end: int) -> tuple[float, ...]:
        return (float(end - start),)


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
