"""The clients pass the tests that raw HTTP passes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from icalendar import Calendar

from tests.client.conftest import Refused, Voice
from tests.house import House


def tomorrow(hour: int = 12) -> datetime:
    """An hour at which the house serves."""
    return (datetime.now(UTC) + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)


async def book(voice: Voice, house: House, **said: Any) -> dict[str, Any]:
    return await voice.book(**{"restaurant_id": house.restaurant_id, "party": 2, "starts_at": tomorrow(), **said})


async def test_a_booking_that_fits_is_confirmed(voice: Voice, house: House) -> None:
    made = await book(voice, house, party=4, name="Ada", email="ada@example.org", phone="+44 20 555", notes="window")
    assert (made["status"], made["tables"], made["waiting"]) == ("confirmed", ["T3"], None)
    assert datetime.fromisoformat(made["starts_at"]) == tomorrow()
    seen = await voice.see(made["id"])
    assert {**seen, "token": made["token"]} == made
    assert await voice.see(made["id"], token=made["token"]) == seen
    assert await house.status(made["id"]) == "confirmed"


async def test_a_booking_that_does_not_fit_waits_and_says_why(voice: Voice, house: House) -> None:
    made = await book(voice, house, party=60)
    assert (made["status"], made["tables"]) == ("pending", [])
    assert made["waiting"]["reason"].startswith("hard.")


async def test_what_is_wrong_is_named(voice: Voice, house: House) -> None:
    with pytest.raises(Refused) as refused:
        await book(voice, house, party=0)
    assert (refused.value.status, refused.value.field) == (422, "body.party")
    with pytest.raises(Refused) as refused:
        await book(voice, house, email="not an address")
    assert refused.value.status == 422
    with pytest.raises(Refused) as refused:
        await voice.see(str(uuid4()))
    assert (refused.value.status, refused.value.code) == (404, "not_found")


async def test_the_same_key_gives_the_same_booking_also_at_once(voice: Voice, house: House) -> None:
    key, later = uuid4().hex, tomorrow(15)
    once, again = await asyncio.gather(*[book(voice, house, starts_at=later, idempotency_key=key) for _ in range(2)])
    assert once == again == await book(voice, house, starts_at=later, idempotency_key=key)
    with pytest.raises(Refused) as refused:
        await book(voice, house, starts_at=later, party=3, idempotency_key=key)
    assert refused.value.status == 422


async def test_a_booking_is_changed_under_its_etag_and_cancelled(voice: Voice, house: House) -> None:
    made = await book(voice, house, starts_at=tomorrow(17), notes="by the window")
    moved = await voice.change(made["id"], party=4, starts_at=tomorrow(18), if_match=made["etag"])
    assert (moved["party"], moved["status"], moved["notes"]) == (4, "confirmed", "by the window")
    with pytest.raises(Refused) as refused:
        await voice.change(made["id"], notes=None, if_match=made["etag"])
    assert refused.value.status == 412
    assert (await voice.change(made["id"], notes=None))["notes"] is None
    entry = Calendar.from_ical(await voice.calendar(made["id"])).walk("VEVENT")[0]
    assert entry.decoded("dtstart") == tomorrow(18)
    assert (await voice.cancel(made["id"]))["status"] == "cancelled"
    with pytest.raises(Refused) as refused:
        await voice.change(made["id"], party=2)
    assert refused.value.status == 409


async def test_availability_says_where_there_is_room(voice: Voice, house: House) -> None:
    for _ in range(2):
        await book(voice, house, party=6)
    slots = (await voice.availability(house.restaurant_id, tomorrow().date(), 6))["slots"]
    by_start = {datetime.fromisoformat(slot["starts_at"]): slot["available"] for slot in slots}
    assert not by_start[tomorrow()]
    assert by_start[tomorrow(18)]
