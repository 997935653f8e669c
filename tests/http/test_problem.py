"""Errors come as problem documents."""

from __future__ import annotations

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
