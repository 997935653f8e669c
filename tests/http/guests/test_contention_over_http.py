"""The same two hundred over real connections, one each, to a server on loopback."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import uuid4

import httpx
import pytest

from maitred.http.role import Role
from tests.house import double_bookings
from tests.http.conftest import open_api
from tests.http.guests.test_contention import GUESTS, PATIENT, ROOM, one_after_the_other, transient, wishes


@pytest.mark.timeout(400)
async def test_two_hundred_connections_at_once_are_seated_as_one_after_the_other(database_url: str) -> None:
    async with open_api(database_url, **PATIENT) as api:
        in_sequence = await one_after_the_other(await api.house(ROOM))
        house = await api.house(ROOM)
        headers = {"Authorization": f"Bearer {await api.key(Role.GUEST_SITE, house.restaurant_id)}"}
        async with httpx.AsyncClient(
            base_url=await api.serve(), headers=headers, limits=httpx.Limits(max_connections=GUESTS), timeout=300
        ) as client:
            answers = await asyncio.gather(
                *(
                    client.post(
                        "/v1/bookings",
                        json={"restaurant_id": str(house.restaurant_id), "party": party, "starts_at": when.isoformat()},
                        headers={"Idempotency-Key": uuid4().hex},
                    )
                    for party, when in wishes()
                )
            )
        assert Counter(each.status_code for each in answers) == {201: GUESTS}
        booked = [each.json() for each in answers]
        assert transient(booked) == 0
        seated = [each for each in booked if each["status"] == "confirmed"]
        assert all(each["tables"] for each in seated)
        assert all(each["waiting"]["reason"] for each in booked if each["status"] == "pending")
        assert abs(len(seated) - in_sequence) <= 3
        assert await double_bookings(house.database) == 0
        rows = await house.database.fetch(
            "SELECT status, count(*) AS n FROM bookings WHERE restaurant_id = %(id)s GROUP BY status",
            {"id": house.restaurant_id},
        )
        assert {row["status"]: row["n"] for row in rows} == Counter(each["status"] for each in booked)
