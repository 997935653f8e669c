"""A booking site finds out what it books for, and sees nothing else."""

from __future__ import annotations

from maitred.http.role import Role
from tests.http.conftest import Api


async def test_a_key_sees_its_own_restaurants_page_by_page(api: Api) -> None:
    houses = [await api.house((2,)) for _ in range(3)]
    client = await api.client(Role.GUEST_SITE, *[house.restaurant_id for house in houses[:2]])
    whole = (await client.get("/v1/restaurants")).json()
    assert {each["id"] for each in whole["restaurants"]} == {str(house.restaurant_id) for house in houses[:2]}
    assert whole["next"] is None
    first = (await client.get("/v1/restaurants", params={"limit": 1})).json()
    second = (await client.get("/v1/restaurants", params={"limit": 1, "after": first["next"]})).json()
    assert first["restaurants"] + second["restaurants"] == whole["restaurants"]
    assert second["next"] is None
    everything = await api.client(Role.OPERATOR)
    assert len((await everything.get("/v1/restaurants")).json()["restaurants"]) == 3


async def test_nobody_without_a_key_and_no_page_without_bounds(api: Api) -> None:
    assert (await (await api.client()).get("/v1/restaurants")).status_code == 401
    client = await api.client(Role.GUEST_SITE)
    assert (await client.get("/v1/restaurants", params={"limit": 101})).status_code == 422
