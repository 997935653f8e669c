"""Lists of bookings, runs and events page by page; explanations; the baseline; and what of a guest is where."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.inline import auto_assign_inline
from maitred.auto_assign.retry import RetryRules
from maitred.http.role import Role
from tests.house import NOON, House, at_dawn
from tests.http.conftest import Api

GUEST = "Ada Guest"


async def opened(api: Api) -> tuple[House, str, httpx.AsyncClient]:
    house = await api.house()
    rows = await api.application.database.fetch("SELECT slug FROM restaurants")
    return house, rows[0]["slug"], await api.client(Role.STAFF, house.restaurant_id)


async def all_pages(client: httpx.AsyncClient, path: str, part: str, **query: Any) -> list[list[dict[str, Any]]]:
    pages = []
    after: str | None = None
    while True:
        answer = await client.get(path, params={**query, **({} if after is None else {"after": after})})
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()[part])
        after = answer.json()["next"]
        if after is None:
            return pages


async def test_bookings_come_page_by_page_each_once_in_order_of_start(api: Api) -> None:
    house, slug, client = await opened(api)
    made = [await house.book(2, NOON + timedelta(minutes=place % 3)) for place in range(11)]
    pages = await all_pages(client, f"/v1/venues/{slug}/bookings", "bookings", limit=4)
    assert [len(page) for page in pages] == [4, 4, 3]
    rows = [row for page in pages for row in page]
    assert {UUID(row["id"]) for row in rows} == set(made)
    assert [(row["starts_at"], row["id"]) for row in rows] == sorted((row["starts_at"], row["id"]) for row in rows)


async def test_bookings_of_a_day_and_a_status(api: Api) -> None:
    house, slug, client = await opened(api)
    await house.book(2, NOON + timedelta(days=1))
    booking = await house.book(2)
    path = f"/v1/venues/{slug}/bookings"
    of_day = (await client.get(path, params={"date": "2030-06-05"})).json()["bookings"]
    assert [row["id"] for row in of_day] == [str(booking)]
    assert (await client.get(path, params={"date": "2030-06-05", "status": "confirmed"})).json()["bookings"] == []


async def test_runs_of_a_booking_and_of_a_day(api: Api) -> None:
    house, slug, client = await opened(api)
    booking, later = await house.book(2), await house.book(2, NOON + timedelta(days=1))
    for each in (booking, later):
        await begin_run(house.desk, each, trigger="creation", rules=RetryRules(), now=at_dawn())
    pages = await all_pages(client, f"/v1/venues/{slug}/runs", "runs", limit=1)
    assert {row["booking_id"] for page in pages for row in page} == {str(booking), str(later)}
    of_day = (await client.get(f"/v1/venues/{slug}/runs", params={"date": "2030-06-05", "live": True})).json()["runs"]
    assert [row["booking_id"] for row in of_day] == [str(booking)]
    assert (await client.get(f"/v1/venues/{slug}/runs", params={"live": False})).json()["runs"] == []


async def test_events_explanation_and_baseline_tell_of_a_booking_and_nothing_of_its_guest(api: Api) -> None:
    house, slug, client = await opened(api)
    booking = await house.book(2)
    await api.application.database.fetch(
        "UPDATE bookings SET guest_name = %(name)s, guest_phone = %(name)s, notes = %(name)s", {"name": GUEST}
    )
    await auto_assign_inline(api.application.desk, booking, now=at_dawn)
    await api.application.recorder.flush()
    events = await all_pages(client, f"/v1/bookings/{booking}/events", "events", limit=2)
    types = [row["event_type"] for page in events for row in page]
    assert "auto_assign.quote" in types
    of_venue = await all_pages(client, f"/v1/venues/{slug}/events", "events", limit=3)
    assert [row["event_type"] for page in of_venue for row in page] == types
    assert all("planner_record" not in (row["context"] or {}) for page in of_venue for row in page)
    one = await client.get(f"/v1/venues/{slug}/events", params={"event_type": "auto_assign.quote"})
    assert [row["event_type"] for row in one.json()["events"]] == ["auto_assign.quote"]
    story = await client.get(f"/v1/bookings/{booking}/explanation")
    assert story.status_code == 200, story.text
    assert story.json()["steps"]
    figures = await client.get(f"/v1/venues/{slug}/baseline")
    assert figures.status_code == 200, figures.text
    assert figures.json()["restaurant_id"] == str(house.restaurant_id)
    for text in (str(events), str(of_venue), story.text, figures.text):
        assert GUEST not in text
    listed = await client.get(f"/v1/venues/{slug}/bookings")
    assert listed.json()["bookings"][0]["name"] == GUEST


@pytest.mark.parametrize(
    "query",
    [
        "bookings?limit=0",
        "bookings?limit=501",
        "bookings?after=x",
        "bookings?after=W10=",
        "bookings?after=WyIyMDMwLTAxLTAxIiwgMV0=",
        "bookings?date=9999-12-31",
        "bookings?date=yesterday",
        "bookings?status=here",
        "runs?live=perhaps",
        "events?since=2030-01-01T00:00:00",
        "events?since=2020-01-01T00:00:00Z&until=2030-01-01T00:00:00Z",
        "events?since=2030-01-02T00:00:00Z&until=2030-01-01T00:00:00Z",
        "events?event_type=' OR 1=1",
        "baseline?since=9999-12-31T23:59:59Z",
        "board",
        "board?date=0000-00-00",
    ],
)
async def test_bad_input_names_its_field(api: Api, query: str) -> None:
    _, slug, client = await opened(api)
    answer = await client.get(f"/v1/venues/{slug}/{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"]


@pytest.mark.parametrize("path", ["bookings", "board?date=2030-06-05", "board/events?date=2030-06-05", "runs", "events",
                                  "baseline"])  # fmt: skip
async def test_only_the_venues_own_staff_see_it(api: Api, path: str) -> None:
    house, slug, _ = await opened(api)
    other = await api.house()
    for client, status in (
        (await api.client(), 401),
        (await api.client(Role.GUEST_SITE, house.restaurant_id), 403),
        (await api.client(Role.STAFF, other.restaurant_id), 404),
    ):
        assert (await client.get(f"/v1/venues/{slug}/{path}")).status_code == status
