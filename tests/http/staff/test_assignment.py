"""Staff's routes for one booking: quote, validation, holds, unassigning, locks, service."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from maitred.http.role import Role
from maitred.storage.database import count_round_trips
from tests.house import NOON, House, double_bookings
from tests.http.conftest import Api

GUEST = "Ada Guest"
NO_HOLD = UUID(int=7)


async def opened(api: Api) -> tuple[House, httpx.AsyncClient]:
    house = await api.house()
    return house, await api.client(Role.STAFF, house.restaurant_id)


def once() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


async def held(client: httpx.AsyncClient, booking: UUID, *tables: str) -> dict[str, Any]:
    answer = await client.post(f"/v1/bookings/{booking}/holds", json={"tables": list(tables)}, headers=once())
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def seated(client: httpx.AsyncClient, booking: UUID, *tables: str) -> None:
    hold = (await held(client, booking, *tables))["hold"]["id"]
    answer = await client.post(f"/v1/bookings/{booking}/holds/{hold}/confirmation")
    assert answer.status_code == 200, answer.text


async def test_a_quote_names_the_best_the_next_best_and_the_nearest_times(api: Api) -> None:
    house, client = await opened(api)
    booking = await house.book(6)
    free = (await client.post(f"/v1/bookings/{booking}/quote", json={})).json()
    assert free["best"]["tables"] == ["T5"]
    assert free["alternates"]
    assert free["seats_from"] == "2030-06-05T12:00:00Z"
    others = [await house.book(2, NOON + timedelta(minutes=1)) for _ in range(5)]
    for other, table in zip(others, ("T1", "T2", "T3", "T4", "T5"), strict=True):
        await seated(client, other, table)
    full = (await client.post(f"/v1/bookings/{booking}/quote", json={})).json()
    assert (full["best"], full["reason"]) == (None, "hard.no_capacity")
    assert all(each["blocked"] for each in full["tables"])
    # 90 minutes at the table: until 12:01 it has to be over, and from 13:31 on there is room again
    assert [each["starts_at"] for each in full["before"]] == ["2030-06-05T10:30:00Z", "2030-06-05T10:15:00Z"]
    assert [each["starts_at"] for each in full["after"]] == ["2030-06-05T13:45:00Z", "2030-06-05T14:00:00Z"]
    assert full["before"][0]["plan"]["tables"] == ["T5"]
    assert (full["would_admit"], full["would_move"], full["price"]) == ([], None, None)
    assert await house.count("holds") == 0


async def test_a_refused_quote_names_what_would_have_to_give_way_and_who_would_have_to_move(api: Api) -> None:
    house, client = await opened(api)
    pair, small = await house.book(2), await house.book(1)
    await seated(client, pair, "T1")
    await seated(client, small, "T5")
    booking = await house.book(8)
    found = (await client.post(f"/v1/bookings/{booking}/quote", json={"max_tables": 1})).json()
    assert found["reason"] is not None
    [first, *_] = found["would_admit"]
    assert first["remedies"] == ["more_tables"]
    six = await house.book(6)
    found = (await client.post(f"/v1/bookings/{six}/quote", json={"max_tables": 1})).json()
    assert (found["best"], found["reason"]) == (None, "hard.no_capacity")
    assert found["would_move"]["plan"]["tables"] == ["T5"]
    assert [each["booking_id"] for each in found["would_move"]["moved"]] == [str(small)]
    assert found["would_move"]["fewest"]
    assert await house.count("holds") == 0


async def test_a_chosen_set_is_looked_at_held_extended_and_confirmed(api: Api) -> None:
    house, client = await opened(api)
    booking = await house.book(8)
    path = f"/v1/bookings/{booking}"
    looked = (await client.post(f"{path}/validation", json={"tables": ["T3", "T4"]})).json()
    assert (looked["outcome"], looked["seats"]) == ("ok", 8)
    hold = (await held(client, booking, "T3", "T4"))["hold"]
    extended = await client.patch(f"{path}/holds/{hold['id']}", json={"ttl_s": 600})
    assert extended.json()["expires_at"] > hold["expires_at"]
    confirmed = await client.post(f"{path}/holds/{hold['id']}/confirmation")
    assert confirmed.json()["table_ids"] == sorted((house.tables["T3"], house.tables["T4"]))
    again = await client.post(f"{path}/holds/{hold['id']}/confirmation")
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    assert await house.status(booking) == "confirmed"


async def test_who_is_in_the_way_is_in_the_answer_and_a_hold_is_refused(api: Api) -> None:
    house, client = await opened(api)
    first, second = await house.book(2), await house.book(2)
    await seated(client, first, "T1")
    looked = (await client.post(f"/v1/bookings/{second}/validation", json={"tables": ["T1"]})).json()
    [conflict] = [each for each in looked["checks"] if each["outcome"] == "error"]
    assert conflict["code"] == "conflicts"
    assert [each["booking_id"] for each in conflict["in_the_way"]] == [str(first)]
    refused = await client.post(f"/v1/bookings/{second}/holds", json={"tables": ["T1"]}, headers=once())
    assert (refused.status_code, refused.json()["code"]) == (409, "tables_not_assignable")
    assert "conflicts" in refused.json()["detail"]


async def test_of_many_who_hold_one_table_at_once_exactly_one_gets_it(api: Api) -> None:
    house, client = await opened(api)
    bookings = [await house.book(2) for _ in range(6)]
    answers = await asyncio.gather(
        *(client.post(f"/v1/bookings/{each}/holds", json={"tables": ["T1"]}, headers=once()) for each in bookings)
    )
    assert sorted(each.status_code for each in answers) == [201] + [409] * 5
    assert await double_bookings(api.application.database) == 0


async def test_a_repeated_hold_is_one_hold(api: Api) -> None:
    house, client = await opened(api)
    booking, key = await house.book(2), once()
    path = f"/v1/bookings/{booking}/holds"
    first = await client.post(path, json={"tables": ["T1"]}, headers=key)
    second = await client.post(path, json={"tables": ["T1"]}, headers=key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert await house.count("holds") == 1


async def test_a_released_hold_is_gone(api: Api) -> None:
    house, client = await opened(api)
    booking = await house.book(2)
    hold = (await held(client, booking, "T1"))["hold"]["id"]
    assert (await client.delete(f"/v1/bookings/{booking}/holds/{hold}")).status_code == 204
    assert (await client.delete(f"/v1/bookings/{booking}/holds/{hold}")).status_code == 409
    assert await house.count("allocations") == 0


async def test_locked_unlocked_unassigned(api: Api) -> None:
    house, client = await opened(api)
    booking = await house.book(2)
    path = f"/v1/bookings/{booking}"
    assert (await client.put(f"{path}/lock")).status_code == 409
    await seated(client, booking, "T1")
    assert (await client.put(f"{path}/lock")).json() == {"booking_id": str(booking), "locked": True, "changed": True}
    locked = await client.post(f"{path}/unassignment", json={})
    assert (locked.status_code, locked.json()["code"]) == (409, "booking_locked")
    assert (await client.delete(f"{path}/lock")).json()["locked"] is False
    done = (await client.post(f"{path}/unassignment", json={})).json()
    assert (done["status"], done["run_id"] is None) == ("pending", False)
    runs = (await client.get(f"{path}/runs")).json()["runs"]
    assert [(each["id"], each["trigger"], each["result"]) for each in runs] == [(done["run_id"], "manual", None)]


async def test_service_goes_forward_and_a_wrong_step_names_both_statuses(api: Api) -> None:
    house, client = await opened(api)
    booking = await house.book(2)
    path = f"/v1/bookings/{booking}"
    await seated(client, booking, "T1")
    wrong = await client.post(f"{path}/completion")
    assert wrong.status_code == 409
    assert "confirmed" in wrong.json()["detail"]
    assert "completed" in wrong.json()["detail"]
    assert (await client.post(f"{path}/no-show")).status_code == 409
    assert (await client.post(f"{path}/check-in")).json()["status"] == "checked_in"
    assert (await client.post(f"{path}/check-in")).json()["changed"] is False
    assert (await client.post(f"{path}/completion")).json()["status"] == "completed"
    assert await house.count("allocations") == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "quote", {"max_tables": 9}),
        ("POST", "quote", {"zone": "Nowhere"}),
        ("POST", "quote", {"avoid": ["T99"]}),
        ("POST", "quote", {"unknown": 1}),
        ("POST", "validation", {"tables": []}),
        ("POST", "validation", {"tables": ["T1", "t1"]}),
        ("POST", "validation", {"tables": "T1"}),
        ("POST", "holds", {"tables": ["T1"], "ttl_s": 0}),
        ("POST", "holds", {"tables": ["T1"], "ttl_s": 2_000_000}),
        ("POST", "unassignment", {"begin_run": "maybe"}),
    ],
)
async def test_bad_input_names_its_field(api: Api, method: str, path: str, body: dict[str, Any]) -> None:
    house, client = await opened(api)
    booking = await house.book(2)
    answer = await client.request(method, f"/v1/bookings/{booking}/{path}", json=body, headers=once())
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"]


ROUTES = [
    ("POST", "quote", {}),
    ("POST", "validation", {"tables": ["T1"]}),
    ("POST", "holds", {"tables": ["T1"]}),
    ("PATCH", f"holds/{NO_HOLD}", {"ttl_s": 60}),
    ("DELETE", f"holds/{NO_HOLD}", None),
    ("POST", f"holds/{NO_HOLD}/confirmation", None),
    ("POST", "unassignment", {}),
    ("PUT", "lock", None),
    ("DELETE", "lock", None),
    ("POST", "check-in", None),
    ("POST", "no-show", None),
    ("POST", "completion", None),
    ("GET", "explanation", None),
    ("GET", "runs", None),
    ("GET", "events", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_only_the_venues_own_staff_get_anywhere(
    api: Api, method: str, path: str, body: dict[str, Any] | None
) -> None:
    house, _ = await opened(api)
    other = await api.house()
    booking = await house.book(2)
    await api.application.database.fetch("UPDATE bookings SET guest_name = %(name)s", {"name": GUEST})
    url = f"/v1/bookings/{booking}/{path}"
    for client, status in (
        (await api.client(), 401),
        (await api.client(Role.GUEST_SITE, house.restaurant_id), 403),
        (await api.client(Role.STAFF, other.restaurant_id), 404),
    ):
        answer = await client.request(method, url, json=body, headers=once())
        assert answer.status_code in {status, 409 if "holds/" in path and method != "GET" else status}, answer.text
        assert GUEST not in answer.text
    assert await house.count("holds") == 0
    assert await house.status(booking) == "pending"


@pytest.mark.parametrize(
    ("method", "path", "body", "most"),
    [
        ("POST", "quote", {}, 3),
        ("POST", "validation", {"tables": ["T1"]}, 2),
        ("POST", "holds", {"tables": ["T1"]}, 4),
        ("PUT", "lock", None, 3),
        ("POST", "check-in", None, 3),
        ("POST", "unassignment", {}, 4),
    ],
)
async def test_a_request_waits_for_the_database_so_often_at_most(
    api: Api, method: str, path: str, body: dict[str, Any] | None, most: int
) -> None:
    """Who it is and the record of the idempotency key included."""
    house, client = await opened(api)
    warm, booking = await house.book(2), await house.book(2)
    await seated(client, warm, "T2")
    if path in ("lock", "check-in", "unassignment"):
        await seated(client, booking, "T1")
    key = {} if path in ("quote", "validation") else once()
    with count_round_trips() as trips:
        answer = await client.request(method, f"/v1/bookings/{booking}/{path}", json=body, headers=key)
    assert answer.is_success, answer.text
    assert trips.count <= most, trips.count
