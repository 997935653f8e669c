"""What guests wish of their tables, over HTTP: it is read at the first choice, and at the next one when it changes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from maitred.http.role import Role
from tests.http.conftest import Api
from tests.http.guests.test_bookings import bearer, post


async def test_a_wish_that_is_needed_decides_and_is_told_again(api: Api) -> None:
    house = await api.house()
    await house.database.fetch("UPDATE tables SET features = '{step_free}' WHERE number = 'T4'")
    site = await api.client(Role.GUEST_SITE, house.restaurant_id)
    staff = await api.client(Role.STAFF, house.restaurant_id)
    plain = (await post(site, house, party=4)).json()
    assert (plain["tables"], plain["preferences"]) == (["T3"], None)
    await staff.delete(f"/v1/bookings/{plain['id']}")
    wishes = {"step_free": True, "must": ["step_free"]}
    answer = await post(site, house, party=4, preferences=wishes)
    made = answer.json()
    assert (answer.status_code, made["tables"]) == (201, ["T4"])
    assert made["preferences"] == {"zone": None, "seating_type": None, "high_chair": False, **wishes}
    made.pop("token")
    read = await staff.get(f"/v1/bookings/{made['id']}")
    assert read.json() == made
    assert read.headers["ETag"] == answer.headers["ETag"]


async def test_a_booking_that_waits_is_tried_at_once_when_it_needs_less(api: Api) -> None:
    house = await api.house()
    site = await api.client(Role.GUEST_SITE, house.restaurant_id)
    made = (await post(site, house, preferences={"high_chair": True, "must": ["high_chair"]})).json()
    assert made["status"] == "pending"
    url, guest = f"/v1/bookings/{made['id']}", bearer(made["token"])
    same = await site.patch(url, json={"preferences": made["preferences"]}, headers=guest)
    assert same.json()["revision"] == made["revision"]
    changed = (await site.patch(url, json={"preferences": None}, headers=guest)).json()
    assert (changed["status"], changed["preferences"], len(changed["tables"])) == ("confirmed", None, 1)


async def test_a_booking_that_has_tables_keeps_them_until_it_is_moved(api: Api) -> None:
    house = await api.house()
    await house.database.fetch("UPDATE tables SET features = '{step_free}' WHERE number = 'T4'")
    site = await api.client(Role.GUEST_SITE, house.restaurant_id)
    made = (await post(site, house, party=3)).json()
    assert made["tables"] == ["T3"]
    url, guest = f"/v1/bookings/{made['id']}", bearer(made["token"])
    wishes = {"preferences": {"step_free": True, "must": ["step_free"]}}
    assert (await site.patch(url, json=wishes, headers=guest)).json()["tables"] == ["T3"]
    moved = await site.patch(url, json={"party": 4}, headers=guest)
    assert moved.json()["tables"] == ["T4"]


async def test_only_staff_say_who_is_a_vip(api: Api) -> None:
    house = await api.house()
    await house.database.fetch("UPDATE tables SET features = '{vip}' WHERE number = 'T3'")
    await house.database.fetch("""UPDATE restaurants SET scoring = '{"vip_only": true}'""")
    site = await api.client(Role.GUEST_SITE, house.restaurant_id)
    staff = await api.client(Role.STAFF, house.restaurant_id)
    refused = await post(site, house, party=4, vip=True)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    made = (await post(site, house, party=4)).json()
    assert made["tables"] == ["T4"]
    url = f"/v1/bookings/{made['id']}"
    assert (await site.patch(url, json={"vip": True}, headers=bearer(made["token"]))).status_code == 403
    answer = await post(staff, house, party=4, vip=True)
    assert answer.json()["tables"] == ["T3"]
    rows = await house.database.fetch("SELECT vip FROM bookings WHERE id = %(id)s", {"id": UUID(answer.json()["id"])})
    assert rows[0]["vip"]


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"zone": ""}, "body.preferences.zone"),
        ({"zone": "x" * 101}, "body.preferences.zone"),
        ({"zone": "a\x07b"}, "preferences.zone"),
        ({"zone": " Hall"}, "preferences.zone"),
        ({"seating_type": "throne"}, "body.preferences.seating_type"),
        ({"high_chair": 1}, "body.preferences.high_chair"),
        ({"must": ["sauna"]}, "body.preferences.must.0"),
        ({"view": "sea"}, "body.preferences.view"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_named(api: Api, wishes: dict[str, Any], field: str) -> None:
    house = await api.house()
    site = await api.client(Role.GUEST_SITE, house.restaurant_id)
    answer = await post(site, house, preferences=wishes)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
    made = (await post(site, house)).json()
    url = f"/v1/bookings/{made['id']}"
    change = await site.patch(url, json={"preferences": wishes}, headers=bearer(made["token"]))
    assert (change.status_code, change.json()["errors"][0]["field"]) == (422, field)
