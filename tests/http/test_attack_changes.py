"""A change of a booking that is refused changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from maitred.http.role import Role
from tests.http.conftest import Api


async def test_a_move_that_pacing_refuses_leaves_the_notes_as_they_were(api: Api) -> None:
    house = await api.house()
    staff = await api.client(Role.STAFF, house.restaurant_id)
    noon = (datetime.now(UTC) + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    await house.database.fetch(
        "INSERT INTO pacing_limits (restaurant_id, slot_minutes, most_parties) VALUES (%(id)s, 60, 1)",
        {"id": house.restaurant_id},
    )
    await house.book(2, noon)
    path = f"/v1/bookings/{await house.book(2, noon + timedelta(hours=2))}"
    before = (await staff.get(path)).json()
    answer = await staff.patch(path, json={"starts_at": noon.isoformat(), "notes": "at the window"})
    assert (answer.status_code, answer.json()["code"]) == (409, "pacing_exceeded")
    assert (await staff.get(path)).json() == before


async def test_other_notes_do_not_move_a_booking_whose_start_has_fractions_of_a_second(api: Api) -> None:
    house = await api.house()
    staff = await api.client(Role.STAFF, house.restaurant_id)
    start = (datetime.now(UTC) + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=500_000)
    booking = await house.book(2, start)
    answer = await staff.patch(f"/v1/bookings/{booking}", json={"notes": "at the window"})
    assert (answer.status_code, answer.json()["notes"]) == (200, "at the window")
    [row] = await house.database.fetch("SELECT starts_at FROM bookings")
    assert row["starts_at"] == start
