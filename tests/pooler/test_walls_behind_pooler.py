"""Keys, idempotency and the wall between venues behind PgBouncer, whose sessions go from caller to caller."""

from __future__ import annotations

import asyncio
from uuid import UUID

from maitred.http.role import Role
from tests.http.conftest import open_api
from tests.http.writes import Gate, routes


async def test_callers_who_share_sessions_see_their_own_venue_alone(pooled_url: str) -> None:
    async with open_api(pooled_url, database_pooler=True) as api:
        api.app.include_router(routes(Gate()))
        houses = [await api.house() for _ in range(3)]
        bookings = [await house.book(2) for house in houses]
        clients = [await api.client(Role.STAFF, house.restaurant_id) for house in houses]
        everybody = await api.client(Role.STAFF)

        async def seen(turn: int) -> tuple[int, list[str]]:
            return turn % 3, (await clients[turn % 3].get("/v1/test/forgetful")).json()

        found = await asyncio.gather(*(seen(turn) for turn in range(60)))
        assert all(rows == [str(bookings[which])] for which, rows in found)
        assert len((await everybody.get("/v1/test/forgetful")).json()) == 3
        # outside of a scope the sessions are as they were
        rows = await api.application.database.fetch(
            "SELECT current_setting('role') AS role, count(*) AS n FROM bookings"
        )
        assert (rows[0]["role"], rows[0]["n"]) == ("none", 3)


async def test_a_write_is_done_once_behind_the_pooler_too(pooled_url: str) -> None:
    async with open_api(pooled_url, database_pooler=True) as api:
        api.app.include_router(routes(Gate()))
        house = await api.house()
        client = await api.client(Role.STAFF, house.restaurant_id)
        body = {"restaurant_id": str(house.restaurant_id)}
        answers = await asyncio.gather(
            *(client.post("/v1/test/bookings", json=body, headers={"Idempotency-Key": "k"}) for _ in range(8))
        )
        assert {each.status_code for each in answers} == {201}
        assert len({UUID(each.json()["id"]) for each in answers}) == 1
