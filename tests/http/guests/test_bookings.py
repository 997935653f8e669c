"""Guests' bookings over HTTP: made, seen, changed, cancelled, and what bad input gets."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from icalendar import Calendar

from maitred.http.role import Role
from maitred.storage.database import count_round_trips
from tests.house import House, double_bookings
from tests.http.conftest import Api


def tomorrow(hour: int = 12, days: int = 1) -> datetime:
    """An hour at which the house serves, soon."""
    return (datetime.now(UTC) + timedelta(days=days)).replace(hour=hour, minute=0, second=0, microsecond=0)


async def post(client: httpx.AsyncClient, house: House, key: str | None = None, **fields: Any) -> httpx.Response:
    body = {"restaurant_id": str(house.restaurant_id), "party": 2, "starts_at": tomorrow().isoformat(), **fields}
    headers = {"Idempotency-Key": key or uuid4().hex, "Content-Type": "application/json"}
    return await client.post("/v1/bookings", content=json.dumps(body), headers=headers)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_booking_that_fits_is_confirmed_in_the_answer(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    answer = await post(client, house, party=4, name="Ada", email="ada@example.org", phone="+44 20 555", notes="window")
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["status"], made["tables"], made["zone"], made["waiting"]) == ("confirmed", ["T3"], "Hall", None)
    assert made["kept_until"] == (tomorrow() + timedelta(minutes=90)).isoformat()
    assert answer.headers["Location"] == f"/v1/bookings/{made['id']}"
    assert await house.status(made["id"]) == "confirmed"
    assert await house.seats(made["id"]) == [house.tables["T3"]]


async def test_what_the_answer_says_is_what_reading_it_says(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    staff = await api.client(Role.STAFF, house.restaurant_id)
    for party in (2, 8, 60):
        answer = await post(client, house, party=party, name=" Ada ", notes="by the\nwindow")
        made = answer.json()
        made.pop("token")
        read = await staff.get(f"/v1/bookings/{made['id']}")
        assert read.json() == made
        assert read.headers["ETag"] == answer.headers["ETag"]


async def test_a_booking_that_does_not_fit_waits_with_a_reason_and_a_run(api: Api) -> None:
    house = await api.house((2,))
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    await post(client, house)
    answer = await post(client, house)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["status"], made["tables"]) == ("pending", [])
    waiting = made["waiting"]
    assert waiting["reason"] == "hard.no_capacity"
    assert "taken" in waiting["explanation"]
    assert datetime.fromisoformat(waiting["next_attempt_at"]) > datetime.now(UTC) - timedelta(minutes=1)
    runs = await house.database.fetch("SELECT id FROM runs WHERE ended_at IS NULL")
    assert [str(run["id"]) for run in runs] == [waiting["run_id"]]


async def test_the_venues_clock_and_offset_are_in_the_answer(api: Api) -> None:
    house = await api.house()
    await house.database.fetch("UPDATE restaurants SET timezone = 'America/New_York'")
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    when = tomorrow(18)
    made = (await post(client, house, starts_at=when.isoformat())).json()
    assert datetime.fromisoformat(made["starts_at"]) == when
    assert made["starts_at"][-6:] in ("-05:00", "-04:00")


async def test_create_to_confirmed_waits_for_the_database_at_most_five_times(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    await post(client, house)  # the venue's rules are read once
    with count_round_trips() as trips:
        answer = await post(client, house)
    assert answer.json()["status"] == "confirmed"
    assert trips.count <= 5


async def test_the_token_opens_its_own_booking_and_no_other(api: Api) -> None:
    house = await api.house()
    site = await api.client(Role.GUEST_SITE, house.restaurant_id)
    mine, other = (await post(site, house)).json(), (await post(site, house)).json()
    stranger = await api.client()
    assert (await stranger.get(f"/v1/bookings/{mine['id']}", headers=bearer(mine["token"]))).status_code == 200
    assert (await stranger.get(f"/v1/bookings/{other['id']}", headers=bearer(mine["token"]))).status_code == 404
    assert (await stranger.get(f"/v1/bookings/{mine['id']}", headers=bearer("mb_" + "a" * 32))).status_code == 401
    assert (await stranger.get(f"/v1/bookings/{mine['id']}")).status_code == 401
    assert (await site.get(f"/v1/bookings/{mine['id']}")).status_code == 403


async def test_the_token_is_kept_nowhere_in_the_clear(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    token = (await post(client, house)).json()["token"]
    rows = await house.database.fetch("SELECT b::text AS row FROM bookings b")
    assert token not in rows[0]["row"]
    await api.application.recorder.flush()
    events = await house.database.fetch("SELECT e::text AS row FROM observability_events e")
    assert not any(token in row["row"] for row in events)


async def test_a_booking_is_moved_and_seated_anew(api: Api) -> None:
    house = await api.house()
    site = await api.client(Role.GUEST_SITE, house.restaurant_id)
    made = (await post(site, house)).json()
    guest = await api.client()
    later = tomorrow(15)
    answer = await guest.patch(
        f"/v1/bookings/{made['id']}",
        json={"starts_at": later.isoformat(), "party": 4, "notes": "a pram"},
        headers=bearer(made["token"]),
    )
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    assert (changed["status"], changed["party"], changed["tables"]) == ("confirmed", 4, ["T3"])
    assert datetime.fromisoformat(changed["starts_at"]) == later
    assert (changed["notes"], changed["reference"]) == ("a pram", made["reference"])
    assert changed["revision"] > made["revision"]
    assert await double_bookings(house.database) == 0


async def test_a_change_to_what_was_changed_meanwhile_is_refused(api: Api) -> None:
    house = await api.house()
    site = await api.client(Role.GUEST_SITE, house.restaurant_id)
    created = await post(site, house)
    made, old = created.json(), created.headers["ETag"]
    staff = await api.client(Role.STAFF, house.restaurant_id)
    path = f"/v1/bookings/{made['id']}"
    fresh = await staff.patch(path, json={"notes": "one"}, headers={"If-Match": old})
    assert fresh.status_code == 200
    stale = await staff.patch(path, json={"notes": "two"}, headers={"If-Match": old})
    assert stale.status_code == 412
    assert stale.headers["ETag"] == fresh.headers["ETag"]
    assert (await staff.get(path)).json()["notes"] == "one"


async def test_a_cancelled_booking_frees_its_tables_and_stays_cancelled(api: Api) -> None:
    house = await api.house((2,))
    site = await api.client(Role.GUEST_SITE, house.restaurant_id)
    made = (await post(site, house)).json()
    guest = await api.client()
    for _ in range(2):
        answer = await guest.delete(f"/v1/bookings/{made['id']}", headers=bearer(made["token"]))
        assert (answer.status_code, answer.json()["status"], answer.json()["tables"]) == (200, "cancelled", [])
    assert (await post(site, house)).json()["status"] == "confirmed"
    refused = await guest.patch(f"/v1/bookings/{made['id']}", json={"party": 1}, headers=bearer(made["token"]))
    assert (refused.status_code, refused.json()["code"]) == (409, "booking_not_pending")


async def test_a_confirmed_booking_has_an_entry_for_calendars(api: Api) -> None:
    house = await api.house()
    site = await api.client(Role.GUEST_SITE, house.restaurant_id)
    made = (await post(site, house)).json()
    guest = await api.client()
    answer = await guest.get(f"/v1/bookings/{made['id']}/calendar.ics", headers=bearer(made["token"]))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/calendar")
    [event] = Calendar.from_ical(answer.content).walk("VEVENT")
    assert event.decoded("DTSTART") == tomorrow()
    assert str(event["UID"]) == made["id"]
    waits = (await post(site, house, party=60)).json()
    none = await guest.get(f"/v1/bookings/{waits['id']}/calendar.ics", headers=bearer(waits["token"]))
    assert none.status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("party", 0),
        ("party", -3),
        ("party", 2_000_000),
        ("party", 2.5),
        ("party", "2"),
        ("party", True),
        ("starts_at", "2030-06-05T12:00:00"),
        ("starts_at", "9999-12-31T23:59:59Z"),
        ("starts_at", "9999-12-31T23:59:59-12:00"),
        ("starts_at", "0001-01-01T00:00:00+12:00"),
        ("starts_at", "1999-01-01T12:00:00Z"),
        ("starts_at", "tomorrow"),
        ("restaurant_id", "nowhere"),
        ("name", "x" * 201),
        ("name", "a\x00b"),
        ("name", "\ud800"),
        ("notes", "\x00"),
        ("notes", "x" * 2001),
        ("email", "nobody"),
        ("email", "a@b, c@d"),
        ("phone", "call me"),
        ("source", ""),
        ("table", "T1"),
    ],
)
async def test_what_is_out_of_range_is_named_and_nothing_is_made(api: Api, field: str, value: Any) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    answer = await post(client, house, **{field: value})
    assert 400 <= answer.status_code < 500, answer.text
    if value not in ("a\x00b", "\x00", "\ud800"):  # no text at all: refused before anybody looks at fields
        assert answer.status_code == 422
        assert answer.json()["field"].split(".")[-1] == field
    assert (await house.database.fetch("SELECT count(*) AS n FROM bookings"))[0]["n"] == 0
    assert (await post(client, house)).status_code == 201


async def test_a_venue_of_others_is_not_there(api: Api) -> None:
    mine, theirs = await api.house(), await api.house()
    client = await api.client(Role.GUEST_SITE, mine.restaurant_id)
    answer = await post(client, theirs)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    unknown = await client.post(
        "/v1/bookings",
        json={"restaurant_id": str(uuid4()), "party": 2, "starts_at": tomorrow().isoformat()},
        headers={"Idempotency-Key": "k"},
    )
    assert unknown.status_code == 404


async def test_without_an_idempotency_key_nothing_is_made(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    body = {"restaurant_id": str(house.restaurant_id), "party": 2, "starts_at": tomorrow().isoformat()}
    assert (await client.post("/v1/bookings", json=body)).status_code in (400, 422)
    assert (await house.database.fetch("SELECT count(*) AS n FROM bookings"))[0]["n"] == 0


async def test_of_two_changes_under_one_etag_exactly_one_happens(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.STAFF, house.restaurant_id)
    answer = await post(client, house, notes="none")
    for changes in (
        [{"notes": "one"}, {"notes": "two"}],
        [{"starts_at": tomorrow(14).isoformat()}, {"starts_at": tomorrow(16).isoformat()}],
        [{"starts_at": tomorrow(18).isoformat()}, {"notes": "three"}],
    ):
        url = f"/v1/bookings/{answer.json()['id']}"
        tag = (await client.get(url)).headers["ETag"]
        done = await asyncio.gather(*[client.patch(url, json=each, headers={"If-Match": tag}) for each in changes])
        assert sorted(each.status_code for each in done) == [200, 412], [each.text for each in done]


async def test_a_start_is_written_out_and_not_counted(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    for start in (int(tomorrow().timestamp()), str(int(tomorrow().timestamp()))):
        refused = await post(client, house, starts_at=start)
        assert (refused.status_code, refused.json()["field"]) == (422, "body.starts_at")
