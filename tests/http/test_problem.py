"""Errors come as problem documents."""

from __future__ import annotations

from uuid import uuid4

from maitred.http.role import Role
from tests.http.conftest import Api


async def test_without_a_key_there_is_nothing(api: Api) -> None:
    client = await api.client()
    answer = await client.get("/v1/nothing")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unauthorized"
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_an_unknown_path_is_a_problem_too(api: Api) -> None:
    client = await api.client(Role.STAFF)
    answer = await client.get("/v1/nothing")
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:maitred:problem:not_found"


async def test_the_real_server_answers_the_same(api: Api) -> None:
    client = await api.client(Role.STAFF, base_url=await api.serve())
    assert (await client.get("/v1/nothing")).json()["code"] == "not_found"


async def test_a_method_that_is_not_there_is_told_which_are(api: Api) -> None:
    client = await api.client(Role.STAFF)
    answer = await client.put("/healthz")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    several = await client.put(f"/v1/bookings/{uuid4()}", headers={"Idempotency-Key": "k"})
    assert several.status_code == 405
    assert {"GET", "PATCH", "DELETE"} <= set(several.headers["allow"].split(", "))


async def test_a_key_is_not_used_up_by_what_has_no_route(api: Api) -> None:
    client = await api.client(Role.STAFF)
    for path in ("/v1/nothing", "/v1/nowhere"):
        assert (await client.post(path, headers={"Idempotency-Key": "k"})).status_code == 404
