"""Keys: who gets in, how often, and that a key's end is its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from maitred.booking.token import hashed as token_hash
from maitred.booking.token import new_token
from maitred.errors import Forbidden, InvalidInput, NotFound
from maitred.http.access import Principal
from maitred.http.keys import create_key, hashed, list_keys, revoke_key
from maitred.http.role import Role
from maitred.storage.database import count_round_trips
from tests.http.conftest import Api, open_api
from tests.http.writes import Gate, routes


@pytest_asyncio.fixture
async def small(database_url: str) -> AsyncIterator[Api]:
    """An interface that lets three requests in at once, and one more every hundred seconds."""
    settings = {"http_rate_per_s": 0.01, "http_rate_burst": 3, "hold_rate_per_min": 1.0, "hold_rate_burst": 2}
    async with open_api(database_url, **settings) as api:
        api.app.include_router(routes(Gate()))
        yield api


@pytest_asyncio.fixture
async def open_house(api: Api) -> Api:
    api.app.include_router(routes(Gate()))
    return api


async def test_a_key_is_kept_as_its_hash_alone(api: Api) -> None:
    key, shown = await create_key(api.application.database, name="k", role=Role.STAFF, every_venue=True)
    rows = await api.application.database.fetch("SELECT to_jsonb(k)::text AS row, hash FROM api_keys k")
    assert shown not in rows[0]["row"]
    assert shown.removeprefix(key.prefix + "_") not in rows[0]["row"]
    assert bytes(rows[0]["hash"]) == hashed(shown)
    assert shown.startswith(key.prefix)


async def test_a_revoked_key_is_refused_at_its_next_request(open_house: Api) -> None:
    database = open_house.application.database
    client = await open_house.client(Role.STAFF)
    assert (await client.get("/v1/test/forgetful")).status_code == 200
    (key,) = await list_keys(database)
    ended = await revoke_key(database, key.id)
    assert (await client.get("/v1/test/forgetful")).status_code == 401
    assert (await revoke_key(database, key.id)).revoked_at == ended.revoked_at
    with pytest.raises(NotFound):
        await revoke_key(database, uuid4())


async def test_an_expired_key_is_refused(open_house: Api) -> None:
    _, shown = await create_key(
        open_house.application.database,
        name="k",
        role=Role.STAFF,
        every_venue=True,
        expires_at=datetime.now(UTC) - timedelta(seconds=1),
    )
    client = await open_house.client()
    answer = await client.get("/v1/test/forgetful", headers={"Authorization": f"Bearer {shown}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic bWs6",
        "Bearer mk_aaaaaaaa_" + "a" * 43,
        "Bearer mb_" + "a" * 32,
        "mk_x",
        "Bearer é",
    ],
)
async def test_what_is_no_key_is_refused(open_house: Api, shown: str) -> None:
    client = await open_house.client()
    answer = await client.get("/v1/test/forgetful", headers=[(b"Authorization", shown.encode())])
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_each_role_may_what_those_below_may() -> None:
    roles = list(Role)
    for at, role in enumerate(roles):
        principal = Principal(uuid4(), role)
        for needed in roles[: at + 1]:
            principal.must_be(needed)
        for needed in roles[at + 1 :]:
            with pytest.raises(Forbidden):
                principal.must_be(needed)


async def test_a_lower_role_is_told_which_one_it_needs(open_house: Api) -> None:
    client = await open_house.client(Role.GUEST_SITE)
    answer = await client.get("/v1/test/forgetful")
    assert answer.status_code == 403
    assert "staff" in answer.json()["detail"]


async def test_a_bookings_token_is_a_caller_of_its_own_venue(open_house: Api) -> None:
    house = await open_house.house()
    booking, token = await house.book(2), new_token()
    await open_house.application.database.fetch(
        "UPDATE bookings SET token_hash = %(hash)s WHERE id = %(id)s", {"hash": token_hash(token), "id": booking}
    )
    client = await open_house.client()
    answer = await client.get("/v1/test/forgetful", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403  # known, and no staff


async def test_too_many_requests_are_told_when_to_come_again(small: Api) -> None:
    client, other = await small.client(Role.STAFF), await small.client(Role.OPERATOR)
    answers = [await client.get("/v1/test/forgetful") for _ in range(5)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 101
    assert answers[-1].json()["code"] == "rate_limited"
    assert (await other.get("/v1/test/forgetful")).status_code == 200  # another key has its own
    rows = await small.application.database.fetch(
        "UPDATE request_rates SET free_at = free_at - interval '100 seconds' RETURNING 1 AS one"
    )
    assert rows
    assert (await client.get("/v1/test/forgetful")).status_code == 200


async def test_the_rate_is_counted_once_for_all_processes(small: Api, database_url: str) -> None:
    await small.client(Role.STAFF)
    async with open_api(database_url, http_rate_per_s=0.01, http_rate_burst=3) as second:
        second.app.include_router(routes(Gate()))
        second.keys.update(small.keys)
        clients = [await small.client(Role.STAFF), await second.client(Role.STAFF)]
        codes = [(await clients[turn % 2].get("/v1/test/forgetful")).status_code for turn in range(5)]
    assert codes == [200, 200, 200, 429, 429]


async def test_holds_of_one_booking_are_bounded_whoever_asks(small: Api) -> None:
    house = await small.house()
    booking, other = await house.book_many([2, 2])
    codes = []
    for client in (await small.client(Role.STAFF), await small.client(Role.OPERATOR)):
        codes += [(await client.post(f"/v1/bookings/{booking}/holds")).status_code for _ in range(2)]
    assert 429 not in codes[:2]
    assert codes[2:] == [429, 429]
    client = await small.client(Role.OPERATOR)
    assert (await client.post(f"/v1/bookings/{other}/holds")).status_code != 429


async def test_letting_in_costs_one_round_trip(open_house: Api) -> None:
    client = await open_house.client(Role.STAFF)
    with count_round_trips() as trips:
        await client.get("/v1/test/nowhere")
    assert trips.count == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": "n" * 101},
        {"role": Role.GUEST},
        {"every_venue": False},
        {"restaurant_ids": [uuid4()]},
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(api: Api, wrong: dict[str, object]) -> None:
    known: dict[str, object] = {"name": "n", "role": Role.STAFF, "every_venue": True}
    with pytest.raises(InvalidInput):
        await create_key(api.application.database, **{**known, **wrong})  # type: ignore[arg-type]  # wrong on purpose


async def test_a_forgotten_venue_shows_and_changes_nothing_of_another(open_house: Api) -> None:
    ours, theirs = await open_house.house(), await open_house.house()
    mine, other = await ours.book(2), await theirs.book(2)
    client = await open_house.client(Role.STAFF, ours.restaurant_id)
    assert (await client.get("/v1/test/forgetful")).json() == [str(mine)]
    assert (await client.post("/v1/test/forgetful")).json() == 1
    rows = await open_house.application.database.fetch("SELECT id, party_size FROM bookings")
    assert {row["id"]: row["party_size"] for row in rows} == {mine: 9, other: 2}
    # the same query without the second wall: it was the wall that held
    await open_house.application.database.fetch("ALTER TABLE bookings DISABLE ROW LEVEL SECURITY")
    assert len((await client.get("/v1/test/forgetful")).json()) == 2
