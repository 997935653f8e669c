"""A write with a key is done once, and its answer is the same each time, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from maitred.http.idempotency import sweep_records
from maitred.http.role import Role
from maitred.storage.database import count_round_trips
from tests.house import House
from tests.http.conftest import Api, open_api
from tests.http.writes import Gate, routes

WAIT_S = 0.3


@dataclass
class Desk:
    """A client of staff at one house, and the gate its writes go through."""

    api: Api
    house: House
    client: httpx.AsyncClient
    gate: Gate

    async def post(self, key: str = "k1", party: int = 2, **more: object) -> httpx.Response:
        body = {"restaurant_id": str(self.house.restaurant_id), "party": party, **more}
        return await self.client.post("/v1/test/bookings", json=body, headers={"Idempotency-Key": key})

    async def bookings(self) -> int:
        rows = await self.api.application.database.fetch("SELECT count(*) AS n FROM bookings")
        return int(rows[0]["n"])

    async def sql(self, statement: str) -> None:
        await self.api.application.database.fetch(statement)


@pytest_asyncio.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_api(database_url, idempotency_wait_s=WAIT_S) as api:
        gate = Gate()
        api.app.include_router(routes(gate))
        house = await api.house()
        yield Desk(api, house, await api.client(Role.STAFF, house.restaurant_id), gate)


def same(first: httpx.Response, second: httpx.Response) -> bool:
    heads = [
        (each.status_code, each.content, each.headers["content-type"], each.headers.get("etag"))
        for each in (first, second)
    ]
    return heads[0] == heads[1]


async def test_a_repetition_gets_the_same_bytes_and_does_nothing(desk: Desk) -> None:
    first, second = await desk.post(), await desk.post()
    assert first.status_code == 201
    assert same(first, second)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert (desk.gate.begun, await desk.bookings()) == (1, 1)


async def test_the_body_is_the_same_in_other_words(desk: Desk) -> None:
    first = await desk.post(party=2, note="n")
    again = await desk.client.post(
        "/v1/test/bookings",
        content=f'{{"note":"n",  "party":2, "restaurant_id":"{desk.house.restaurant_id}"}}',
        headers={"Idempotency-Key": "k1", "Content-Type": "application/json"},
    )
    assert same(first, again)


async def test_another_body_with_the_same_key_is_refused(desk: Desk) -> None:
    await desk.post(party=2)
    answer = await desk.post(party=3)
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert await desk.bookings() == 1


async def test_another_callers_key_is_another_key(desk: Desk) -> None:
    await desk.post()
    other = await desk.api.client(Role.STAFF)
    body = {"restaurant_id": str(desk.house.restaurant_id), "party": 3}
    answer = await other.post("/v1/test/bookings", json=body, headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 201
    assert await desk.bookings() == 2


async def test_two_at_once_are_done_once_and_answered_alike(desk: Desk) -> None:
    desk.gate.open.clear()
    first = asyncio.create_task(desk.post())
    await desk.gate.reached.wait()
    second = asyncio.create_task(desk.post())
    await asyncio.sleep(0.05)
    desk.gate.open.set()
    assert same(await first, await second)
    assert (desk.gate.begun, await desk.bookings()) == (1, 1)


async def test_many_at_once_are_done_once(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.post() for _ in range(12)))
    assert {each.status_code for each in answers} == {201}
    assert len({each.content for each in answers}) == 1
    assert (desk.gate.begun, await desk.bookings()) == (1, 1)


async def test_who_waits_too_long_for_the_first_is_told_to_come_again(desk: Desk) -> None:
    desk.gate.open.clear()
    first = asyncio.create_task(desk.post())
    await desk.gate.reached.wait()
    second = await desk.post()
    assert second.status_code == 409
    assert second.json()["code"] == "still_running"
    assert int(second.headers["retry-after"]) >= 1
    desk.gate.open.set()
    assert same(await first, await desk.post())


async def test_a_killed_process_leaves_its_work_to_the_next_under_the_same_operation(desk: Desk) -> None:
    # what a kill leaves behind: the booking was written, the answer was not, and the record is still held
    first = await desk.post()
    await desk.sql(
        "UPDATE idempotency_records SET status = NULL, headers = NULL, body = NULL, holder = gen_random_uuid(),"
        " held_until = clock_timestamp() + interval '1 hour'"
    )
    assert (await desk.post()).status_code == 409
    await desk.sql("UPDATE idempotency_records SET held_until = clock_timestamp()")
    again = await desk.post()
    assert again.status_code == 201
    assert again.json() == first.json()
    assert (desk.gate.begun, await desk.bookings()) == (2, 1)


async def test_who_was_given_up_does_not_overwrite_the_answer_of_who_took_over(desk: Desk) -> None:
    desk.gate.open.clear()
    slow = asyncio.create_task(desk.post())
    await desk.gate.reached.wait()
    await desk.sql("UPDATE idempotency_records SET held_until = clock_timestamp()")
    taken_over = asyncio.create_task(desk.post())
    while desk.gate.begun < 2:  # noqa: ASYNC110 - it is counted, and not told
        await asyncio.sleep(0.01)
    desk.gate.open.set()
    await asyncio.gather(slow, taken_over)
    assert same(await desk.post(), await desk.post())
    assert await desk.bookings() == 1


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_what_failed_here_or_came_too_often_is_not_kept(desk: Desk, status: int) -> None:
    desk.gate.status = status
    assert (await desk.post()).status_code == status
    desk.gate.status = 201
    assert (await desk.post()).status_code == 201
    assert (desk.gate.begun, await desk.bookings()) == (2, 1)


async def test_an_exception_is_not_kept_and_its_operation_goes_on(desk: Desk) -> None:
    desk.gate.fail = RuntimeError("no")
    assert (await desk.post()).status_code == 500
    desk.gate.fail = None
    assert (await desk.post()).status_code == 201
    assert await desk.bookings() == 1


async def test_a_refusal_of_the_clients_making_is_kept(desk: Desk) -> None:
    first, second = await desk.post(party="many"), await desk.post(party="many")  # type: ignore[arg-type]  # wrong on purpose
    assert first.status_code == 422
    assert same(first, second)


async def test_an_answer_is_kept_for_its_time_and_swept_after(desk: Desk) -> None:
    first = await desk.post()
    await desk.sql("UPDATE idempotency_records SET expires_at = clock_timestamp()")
    again = await desk.post()
    assert again.json()["id"] != first.json()["id"]
    await desk.sql("UPDATE idempotency_records SET expires_at = clock_timestamp()")
    assert await sweep_records(desk.api.application.database) == 1
    assert await sweep_records(desk.api.application.database) == 0


@pytest.mark.parametrize("key", ["", "a" * 256, "with space", "é"])
async def test_a_key_that_is_none_is_refused(desk: Desk, key: str) -> None:
    body = {"restaurant_id": str(desk.house.restaurant_id)}
    answer = await desk.client.post("/v1/test/bookings", json=body, headers=[(b"Idempotency-Key", key.encode("utf-8"))])
    assert answer.status_code == 422


async def test_where_a_key_is_needed_none_is_refused(desk: Desk) -> None:
    answer = await desk.client.post("/v1/test/bookings", json={"restaurant_id": str(desk.house.restaurant_id)})
    assert answer.status_code == 422
    assert answer.json()["field"] == "header.Idempotency-Key"


async def test_without_a_key_each_operation_is_its_own(desk: Desk) -> None:
    answers = [(await desk.client.post("/v1/test/echo", json={})).json()["operation"] for _ in range(2)]
    assert len({UUID(each) for each in answers}) == 2


async def test_a_write_costs_two_round_trips_beside_its_own_and_a_read_one(desk: Desk) -> None:
    await desk.post("warm")
    with count_round_trips() as trips:
        await desk.post("k2")
    assert trips.count == 3  # let in, the booking, the answer kept
    with count_round_trips() as trips:
        await desk.post("k2")
    assert trips.count == 1
    with count_round_trips() as trips:
        await desk.client.get("/v1/test/forgetful")
    assert trips.count == 2


async def test_the_client_that_hangs_up_has_its_booking_all_the_same(desk: Desk) -> None:
    base_url = await desk.api.serve()
    desk.gate.open.clear()
    client = await desk.api.client(Role.STAFF, desk.house.restaurant_id, base_url=base_url)
    body = {"restaurant_id": str(desk.house.restaurant_id)}
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/v1/test/bookings", json=body, headers={"Idempotency-Key": "k9"}, timeout=0.3)
    await desk.gate.reached.wait()
    desk.gate.open.set()
    answer = await client.post("/v1/test/bookings", json=body, headers={"Idempotency-Key": "k9"})
    assert answer.status_code == 201
    assert answer.headers["idempotency-replayed"] == "true"
    assert (desk.gate.begun, await desk.bookings()) == (1, 1)
