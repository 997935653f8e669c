"""Operators' side: venues, floors and policies, changed by whoever has read the version that there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from maitred.booking.quote import quote_tables_for_booking
from maitred.http.role import Role
from maitred.model.reason import ReasonCode
from tests.house import NOON, House, at_dawn
from tests.http.conftest import Api

SERVICE = {"key": "dinner", "start": "18:00", "end": "23:00", "turn_bands": [{"up_to_party": 8, "minutes": 90}]}


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


async def slug_of(house: House) -> str:
    rows = await house.database.fetch("SELECT slug FROM restaurants WHERE id = %(id)s", {"id": house.restaurant_id})
    return str(rows[0]["slug"])


async def must(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def plan(house: House, booking_id: UUID) -> Any:
    return await quote_tables_for_booking(house.desk, booking_id, now=at_dawn, ttl_s=60, trigger="manual")


async def test_a_venue_is_built_from_nothing_and_takes_a_booking(api: Api) -> None:
    client = await api.client(Role.OPERATOR)
    venue = {"slug": "chez-nous", "name": "Chez Nous", "timezone": "UTC", "services": [SERVICE]}
    again = key()
    made = await must(await client.post("/v1/venues", json=venue, headers=again), 201)
    assert made["versions"]["settings"] == "settings-1"
    other = await client.post("/v1/venues", json=venue, headers=key())
    assert (other.status_code, other.json()["code"]) == (409, "already_exists")
    base = "/v1/venues/chez-nous"
    zone = await must(await client.post(f"{base}/zones", json={"name": "Hall"}, headers=key()), 201)
    tables = []
    for number in ("T1", "T2"):
        body = {"number": number, "zone_id": zone["id"], "capacity": 4}
        tables.append(await must(await client.post(f"{base}/tables", json=body, headers=key()), 201))
    await must(await client.put(f"{base}/adjacency/{tables[1]['id']}/{tables[0]['id']}"))
    floor = await must(await client.get(f"{base}/floor"))
    assert floor["edges"] == [{"a": tables[0]["id"], "b": tables[1]["id"], "lost_seats": 0}]
    assert [each["number"] for each in floor["tables"]] == ["T1", "T2"]

    house = House(api.application.database, UUID(made["id"]), {})
    quote = await plan(house, await house.book(8, NOON + timedelta(hours=7)))
    assert quote.held.table_ids == tuple(each["id"] for each in tables)


async def test_a_change_needs_the_version_that_there_is(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR, house.restaurant_id), await slug_of(house)
    url = f"/v1/venues/{slug}/tables/{house.tables['T1']}"
    seen = await client.get(url)
    missing = await client.patch(url, json={"capacity": 3})
    assert (missing.status_code, missing.json()["code"]) == (428, "version_needed")
    first = await client.patch(url, json={"capacity": 3}, headers={"If-Match": seen.headers["ETag"]})
    assert (await must(first))["capacity"] == 3
    late = await client.patch(url, json={"capacity": 5}, headers={"If-Match": seen.headers["ETag"]})
    assert (late.status_code, late.headers["ETag"]) == (412, first.headers["ETag"])
    assert (await must(await client.get(url)))["capacity"] == 3
    weak = await client.patch(url, json={"capacity": 5}, headers={"If-Match": "W/" + first.headers["ETag"]})
    assert weak.status_code == 412
    await must(await client.patch(url, json={"capacity": 5}, headers={"If-Match": "*"}))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"capacity": 0}, 422),
        ({"capacity": 2_000_000}, 422),
        ({"capacity": None}, 422),
        ({"min_party_size": 4, "max_party_size": 2}, 422),
        ({"zone_id": 999_999}, 422),
        ({"number": "t2"}, 409),
        ({"number": "a\x07b"}, 422),
        ({"seats": 4}, 422),
        ({"features": ["sauna"]}, 422),
        ({"features": None}, 422),
        ({"section": ""}, 422),
        ({"priority": {"brunch": 1}}, 422),
        ({"priority": {"*": -1}}, 422),
        ({"priority": {"*": 1_001}}, 422),
    ],
)
async def test_what_is_no_table_is_refused(api: Api, body: dict[str, object], status: int) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    url = f"/v1/venues/{slug}/tables/{house.tables['T1']}"
    answer = await client.patch(url, json=body, headers={"If-Match": "*"})
    assert answer.status_code == status, answer.text


async def test_a_table_that_bookings_will_have_is_not_deleted_and_the_answer_says_which(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    booking = await house.book(2)
    held = (await plan(house, booking)).held.table_ids[0]
    reference = (await house.database.fetch("SELECT reference FROM bookings"))[0]["reference"]
    url = f"/v1/venues/{slug}/tables/{held}"
    refused = await client.delete(url, headers={"If-Match": "*"})
    assert (refused.status_code, refused.json()["code"]) == (409, "table_in_use")
    assert reference in refused.json()["detail"]
    await house.let_holds_expire()
    assert (await client.delete(url, headers={"If-Match": "*"})).status_code == 204
    assert (await client.get(url)).status_code == 404


async def test_a_changed_floor_is_planned_by_at_once(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    first = await plan(house, await house.book(6))
    assert len(first.held.table_ids) == 1
    await house.database.fetch("DELETE FROM holds")
    url = f"/v1/venues/{slug}/tables/{house.tables['T5']}"
    await must(await client.patch(url, json={"active": False}, headers={"If-Match": "*"}))
    second = await plan(house, await house.book(6))
    assert house.tables["T5"] not in second.held.table_ids
    assert len(second.held.table_ids) == 2
    seen = await client.get(f"/v1/venues/{slug}/adjacency")
    await must(
        await client.put(f"/v1/venues/{slug}/adjacency", json={"edges": []}, headers={"If-Match": seen.headers["ETag"]})
    )
    third = await plan(house, await house.book(6, NOON + timedelta(hours=3)))
    assert third.hold is None


async def test_a_closure_refuses_and_its_end_opens_again(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    base = f"/v1/venues/{slug}/closures"
    day = f"{NOON:%Y-%m-%d}"
    closed = await must(await client.post(base, json={"first_day": day, "note": "wedding"}, headers=key()), 201)
    booking = await house.book(2)
    assert (await plan(house, booking)).reason is ReasonCode.CLOSED
    out = {"first_day": day, "table_ids": [house.tables[n] for n in ("T1", "T2", "T3", "T4")]}
    changed = await client.put(f"{base}/{closed['id']}", json=out, headers={"If-Match": "*"})
    assert (await must(changed))["note"] is None
    assert (await plan(house, booking)).held.table_ids == (house.tables["T5"],)  # the only one that is left
    assert (await plan(house, await house.book(2))).reason is ReasonCode.NO_CAPACITY
    listed = await must(await client.get(base))
    assert [each["id"] for each in listed] == [closed["id"]]
    assert (await client.delete(f"{base}/{closed['id']}", headers={"If-Match": "*"})).status_code == 204
    assert (await plan(house, booking)).hold is not None
    assert (await client.delete(f"{base}/{closed['id']}", headers={"If-Match": "*"})).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"first_day": "2030-06-05", "starts_at": "2030-06-05T10:00:00Z"},
        {"first_day": "2030-06-05", "last_day": "2030-06-04"},
        {"first_day": "9999-12-31"},
        {"starts_at": "2030-06-05T10:00:00", "ends_at": "2030-06-05T11:00:00"},
        {"starts_at": "2030-06-05T10:00:00Z", "ends_at": "2030-06-05T10:00:00Z"},
        {"first_day": "2030-06-05", "service": "brunch"},
        {"first_day": "2030-06-05", "table_ids": [9_999_999]},
        {"first_day": "2030-06-05", "zone_id": 9_999_999},
    ],
)
async def test_what_is_no_closure_is_refused(api: Api, body: dict[str, object]) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    answer = await client.post(f"/v1/venues/{slug}/closures", json=body, headers=key())
    assert answer.status_code == 422, answer.text


async def test_a_pacing_limit_is_set_met_and_lifted(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    base = f"/v1/venues/{slug}/pacing"
    kept = await must(await client.post(base, json={"most_parties": 1}, headers=key()), 201)
    assert kept["slot_minutes"] == 15
    twice = await client.post(base, json={"most_covers": 4}, headers=key())
    assert twice.status_code == 409
    soon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=3)
    await house.book(2, soon)
    site = await api.client(Role.GUEST_SITE, house.restaurant_id)
    body = {"restaurant_id": str(house.restaurant_id), "party": 2, "starts_at": soon.isoformat()}
    refused = await site.post("/v1/bookings", json=body, headers=key())
    assert (refused.status_code, refused.json()["code"]) == (409, "pacing_exceeded"), refused.text
    none = await client.put(f"{base}/{kept['id']}", json={}, headers={"If-Match": "*"})
    assert none.status_code == 422
    await must(await client.put(f"{base}/{kept['id']}", json={"most_parties": 2}, headers={"If-Match": "*"}))
    assert (await must(await client.get(base)))[0]["most_parties"] == 2
    assert (await client.delete(f"{base}/{kept['id']}", headers={"If-Match": "*"})).status_code == 204


async def test_services_and_policy_are_changed_and_ordered(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    base = f"/v1/venues/{slug}"
    await must(await client.post(f"{base}/services", json=SERVICE, headers=key()), 201)
    seen = await client.get(f"{base}/policy")
    policy = await must(seen)
    assert policy["service_order"] == ["all_day", "dinner"]
    change = {"service_order": ["dinner", "all_day"], "scoring": {"max_tables": 2}, "outside_any_service": "refuse"}
    changed = await must(await client.patch(f"{base}/policy", json=change, headers={"If-Match": seen.headers["ETag"]}))
    assert (changed["service_order"], changed["scoring"]["max_tables"]) == (["dinner", "all_day"], 2)
    assert (
        await client.patch(f"{base}/policy", json=change, headers={"If-Match": seen.headers["ETag"]})
    ).status_code == 412
    rules = {"start": "19:00", "end": "00:00", "turn_bands": [{"up_to_party": 2, "minutes": 60}]}
    put = await must(await client.put(f"{base}/services/dinner", json=rules, headers={"If-Match": "*"}))
    assert (put["start"], put["end"], len(put["turn_bands"])) == ("19:00", "00:00", 1)
    wrong = {**rules, "turn_bands": [{"up_to_party": 4, "minutes": 60}, {"up_to_party": 2, "minutes": 60}]}
    assert (await client.put(f"{base}/services/dinner", json=wrong, headers={"If-Match": "*"})).status_code == 422
    over = {"scoring": {"max_tables": 99}}
    assert (await client.patch(f"{base}/policy", json=over, headers={"If-Match": "*"})).status_code == 422
    assert (await client.delete(f"{base}/services/dinner", headers={"If-Match": "*"})).status_code == 204
    assert (await client.delete(f"{base}/services/all_day", headers={"If-Match": "*"})).status_code == 422


async def test_settings_are_changed_and_a_venue_with_guests_to_come_stays(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    url = f"/v1/venues/{slug}"
    seen = await client.get(url)
    match = {"If-Match": seen.headers["ETag"]}
    changed = await client.patch(url, json={"name": "Other", "timezone": "Europe/Paris"}, headers=match)
    assert (await must(changed))["timezone"] == "Europe/Paris"
    assert changed.headers["ETag"] != seen.headers["ETag"]
    assert (await client.patch(url, json={"name": "Third"}, headers=match)).status_code == 412
    assert (await client.patch(url, json={"timezone": "Mars/Base"}, headers={"If-Match": "*"})).status_code == 422
    await house.book(2)
    assert (await client.delete(url, headers={"If-Match": "*"})).status_code == 422
    await house.database.fetch("UPDATE bookings SET status = 'cancelled'")
    assert (await client.delete(url, headers={"If-Match": "*"})).status_code == 204
    assert (await client.get(url)).status_code == 404


async def test_operators_see_their_own_venues_alone_and_staff_none(api: Api) -> None:
    mine, other = await api.house(), await api.house()
    client = await api.client(Role.OPERATOR, mine.restaurant_id)
    page = await must(await client.get("/v1/venues"))
    assert [each["id"] for each in page["venues"]] == [str(mine.restaurant_id)]
    foreign = await slug_of(other)
    assert (await client.get(f"/v1/venues/{foreign}")).status_code == 404
    assert (await client.get(f"/v1/venues/{foreign}/floor")).status_code == 404
    url = f"/v1/venues/{foreign}/tables/{other.tables['T1']}"
    assert (await client.patch(url, json={"capacity": 9}, headers={"If-Match": "*"})).status_code == 404
    crossed = f"/v1/venues/{await slug_of(mine)}/tables/{other.tables['T1']}"
    assert (await client.delete(crossed, headers={"If-Match": "*"})).status_code == 404
    venue = {"slug": "new", "name": "New", "timezone": "UTC", "services": [SERVICE]}
    assert (await client.post("/v1/venues", json=venue, headers=key())).status_code == 403
    staff = await api.client(Role.STAFF, mine.restaurant_id)
    assert (await staff.get("/v1/venues")).status_code == 403


async def test_venues_come_page_by_page(api: Api) -> None:
    for _ in range(3):
        await api.house()
    client = await api.client(Role.OPERATOR)
    first = await must(await client.get("/v1/venues?limit=2"))
    rest = await must(await client.get(f"/v1/venues?limit=2&after={first['next']}"))
    assert (len(first["venues"]), len(rest["venues"]), rest["next"]) == (2, 1, None)
    assert (await client.get("/v1/venues?limit=1000")).status_code == 422


async def test_what_tables_offer_and_lose_and_which_go_first_decides_the_next_choice(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    base, always = f"/v1/venues/{slug}", {"If-Match": "*"}
    said = {"features": ["vip", "step_free"], "section": "Anna", "priority": {"*": 3}}
    url = f"{base}/tables/{house.tables['T1']}"
    table = await must(await client.patch(url, json=said, headers=always))
    assert {key: table[key] for key in said} == said | {"features": ["step_free", "vip"]}
    assert await must(await client.get(url)) == table
    cleared: dict[str, object] = {"features": [], "section": None, "priority": {}}
    assert (await must(await client.patch(url, json=cleared, headers=always)))["section"] is None

    one, two = house.tables["T3"], house.tables["T4"]
    assert (await plan(house, await house.book(8))).held.table_ids == (one, two)
    await house.let_holds_expire()
    edge = await must(await client.put(f"{base}/adjacency/{two}/{one}", json={"lost_seats": 1}))
    assert edge == {"a": one, "b": two, "lost_seats": 1}
    assert (await must(await client.put(f"{base}/adjacency/{one}/{two}")))["lost_seats"] == 1
    refused = await plan(house, await house.book(8))
    assert refused.hold is None or set(refused.held.table_ids) != {one, two}
    await house.database.fetch("DELETE FROM holds")
    sets = {"sets": [{"table_ids": [one, two], "capacity": 8, "rank": 1}]}
    whole = await must(await client.put(f"{base}/joined-sets", json=sets, headers=always))
    [kept] = whole["sets"]
    assert (kept["table_ids"], kept["capacity"], kept["forbidden"]) == ([one, two], 8, False)
    assert await must(await client.get(f"{base}/joined-sets")) == whole
    assert (await must(await client.get(f"{base}/floor")))["joined_sets"] == whole["sets"]
    assert (await plan(house, await house.book(8))).held.table_ids == (one, two)


@pytest.mark.parametrize(
    ("numbers", "said", "field"),
    [
        (("T1", "T1"), {}, "tables"),
        (("T1",), {}, "body.sets.0.table_ids"),
        (("T1", "T2"), {"capacity": 0}, "body.sets.0.capacity"),
        (("T1", "T2"), {"min_party_size": 5, "max_party_size": 4}, "min_party_size"),
        (("T1", "X"), {}, "tables"),
    ],
)
async def test_sets_without_sense_are_refused(
    api: Api, numbers: tuple[str, ...], said: dict[str, int], field: str
) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    ids = [house.tables.get(number, 999_999) for number in numbers]
    body = {"sets": [{"table_ids": ids, **said}]}
    answer = await client.put(f"/v1/venues/{slug}/joined-sets", json=body, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
    twice = {"sets": [{"table_ids": [house.tables["T1"], house.tables["T2"]]}] * 2}
    assert (
        await client.put(f"/v1/venues/{slug}/joined-sets", json=twice, headers={"If-Match": "*"})
    ).status_code == 422


async def test_tables_never_lose_as_many_seats_as_they_have(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    base, (one, two) = f"/v1/venues/{slug}", (house.tables["T3"], house.tables["T4"])
    assert (await client.put(f"{base}/adjacency/{one}/{two}", json={"lost_seats": 8})).status_code == 422
    await must(await client.put(f"{base}/adjacency/{one}/{two}", json={"lost_seats": 7}))
    smaller = await client.patch(f"{base}/tables/{one}", json={"capacity": 3}, headers={"If-Match": "*"})
    assert (smaller.status_code, smaller.json()["errors"][0]["field"]) == (422, "lost_seats")


async def test_a_rule_for_a_service_that_there_is_not_is_refused(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    rule = {"seats": 4, "party": 3, "service": "brunch"}
    body = {"scoring": {"keep_large": [rule], "weights": {"section": 1, "pacing": 2, "gap": 0.5, "vip": 3}}}
    url = f"/v1/venues/{slug}/policy"
    assert (await client.patch(url, json=body, headers={"If-Match": "*"})).status_code == 422
    del rule["service"]
    answer = await must(await client.patch(url, json=body, headers={"If-Match": "*"}))
    assert {key: answer["scoring"]["weights"][key] for key in ("section", "pacing", "gap", "vip")} == {
        "section": 1,
        "pacing": 2,
        "gap": 0.5,
        "vip": 3,
    }
