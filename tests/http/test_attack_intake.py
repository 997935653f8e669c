"""What strangers may make the server do before it knows who they are, and ways around what is looked at."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest
from starlette.types import Scope

from maitred.http import admission
from maitred.http.idempotency import fingerprint
from maitred.http.intake import look_at_body
from maitred.http.role import Role
from tests.http.conftest import Api, open_api

NOBODY = {"Authorization": f"Bearer mk_aaaaaaaa_{'a' * 43}", "Content-Type": "application/json"}
LARGE = b"[" + b"1," * 200_000 + b"1]"


async def test_a_large_file_of_a_stranger_is_neither_taken_nor_looked_at(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []
    monkeypatch.setattr(admission, "look_at_body", lambda *_: looked.append(True))
    client = await api.client()
    for path in ("/v1/venues/any/imports", "/v1/imports", "/v1/bookings/imports"):
        answer = await client.post(path, content=LARGE, headers=NOBODY)
        assert answer.status_code in (401, 413), (path, answer.text)
    assert not looked


async def test_a_large_file_is_only_for_those_who_may_import(api: Api) -> None:
    house = await api.house()
    [venue] = await house.database.fetch("SELECT slug FROM restaurants")
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    headers = {"Content-Type": "application/json"}
    answer = await client.post(f"/v1/venues/{venue['slug']}/imports", content=LARGE, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_large_file_is_looked_at_beside_the_loop(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    house = await api.house()
    [venue] = await house.database.fetch("SELECT slug FROM restaurants")
    client = await api.client(Role.OPERATOR, house.restaurant_id)
    threads: list[bool] = []

    def look(scope: Scope, body: bytes) -> object:
        threads.append(threading.current_thread() is threading.main_thread())
        return look_at_body(scope, body)

    def take(scope: Scope, body: bytes, document: object) -> bytes:
        threads.append(threading.current_thread() is threading.main_thread())
        return fingerprint(scope, body, document)

    monkeypatch.setattr(admission, "look_at_body", look)
    monkeypatch.setattr(admission, "fingerprint", take)
    answer = await client.post(
        f"/v1/venues/{venue['slug']}/imports?dry_run=true",
        content=LARGE,
        headers={"Content-Type": "application/json", "Idempotency-Key": "large"},
    )
    assert answer.status_code == 200, answer.text
    assert threads == [False, False]


@pytest.mark.parametrize(
    "kind", ["application/a_b+json", "application/x!y+json", "application/JSON", "text/x+json", ""]
)
@pytest.mark.parametrize("text", ['"\\u0000"', '"\\ud800"', "[" * 40 + "]" * 40, "NaN", "1" * 400])
async def test_no_name_of_json_gets_past_the_look_at_it(api: Api, kind: str, text: str) -> None:
    house = await api.house()
    client = await api.client(Role.GUEST_SITE, house.restaurant_id)
    body = '{"restaurant_id": "%s", "party": 2, "starts_at": "2030-06-05T12:00:00Z", "notes": %s}'
    headers = {"Idempotency-Key": "once", "Content-Type": kind} if kind else {"Idempotency-Key": "once"}
    answer = await client.post("/v1/bookings", content=body % (house.restaurant_id, text), headers=headers)
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize("spelt", ["{}", "{{{}}}", "urn:uuid:{}"])
async def test_a_booking_spelt_in_another_way_has_no_other_rate_of_holds(database_url: str, spelt: str) -> None:
    async with open_api(database_url, hold_rate_per_min=1, hold_rate_burst=2) as api:
        house = await api.house()
        staff = await api.client(Role.STAFF, house.restaurant_id)
        booking = await house.book(2)
        for name in (str(booking), booking.hex):
            answer = await staff.post(f"/v1/bookings/{name}/quote", json={})
            assert answer.status_code == 200, answer.text
        for name in (
            spelt.format(booking),
            spelt.format(booking.hex),
            spelt.format(str(UUID(int=booking.int)).upper()),
        ):
            answer = await staff.post(f"/v1/bookings/{name}/quote", json={})
            assert answer.status_code in (422, 429), (name, answer.text)


async def test_who_may_not_hold_uses_up_nobody_elses_rate_of_holds(database_url: str) -> None:
    async with open_api(database_url, hold_rate_per_min=1, hold_rate_burst=2) as api:
        house, other = await api.house(), await api.house()
        booking = await house.book(2)
        strangers = [
            await api.client(Role.GUEST_SITE, house.restaurant_id),
            await api.client(Role.STAFF, other.restaurant_id),
        ]
        for stranger in strangers * 2:
            answer = await stranger.post(f"/v1/bookings/{booking}/quote", json={})
            assert answer.status_code in (403, 404, 429), answer.text
        staff = await api.client(Role.STAFF, house.restaurant_id)
        assert (await staff.post(f"/v1/bookings/{booking}/quote", json={})).status_code == 200
