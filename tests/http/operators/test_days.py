"""Imports and exports over HTTP."""

from __future__ import annotations

import json

import pytest

from maitred.http.role import Role
from tests.http.conftest import Api
from tests.http.operators.test_venues_and_floors import must, slug_of
from tests.venue.files import small_file

CSV = {"Content-Type": "text/csv"}
HEADER = "reference,date,time,party_size,guest_name,notes\n"


async def test_a_dry_run_lists_every_problem_and_an_import_takes_all_or_nothing(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR, house.restaurant_id), await slug_of(house)
    url = f"/v1/venues/{slug}/imports"
    bad = HEADER + "R1,2030-06-05,12:00,2,Guest,\nR2,2030-06-05,99:00,2,,\nR3,2030-06-05,12:00,many,,\n"
    dry = await must(await client.post(f"{url}?dry_run=true", content=bad, headers=CSV))
    assert [(each["line"], each["column"]) for each in dry["problems"]] == [(3, "time"), (4, "party_size")]
    refused = await client.post(url, content=bad, headers=CSV)
    assert (refused.status_code, refused.json()["code"]) == (422, "import_refused")
    assert [each["field"] for each in refused.json()["errors"]] == ["line 3: time", "line 4: party_size"]
    good = HEADER + "R1,2030-06-05,12:00,2,Guest,=1+1\n"
    for added, there in ((1, 0), (0, 1)):
        done = await must(await client.post(url, content=good, headers=CSV))
        assert (done["added"]["bookings"], done["already_there"]["bookings"]) == (added, there)
    out = await client.get(f"/v1/venues/{slug}/days/2030-06-05.csv")
    assert out.text.splitlines()[1] == "R1,2030-06-05,12:00,2,pending,,Guest,,,'=1+1,,,,,,"
    assert out.headers["Content-Type"].startswith("text/csv")


@pytest.mark.parametrize("kind", ["csv", "json"])
async def test_what_comes_out_goes_in_again(api: Api, kind: str) -> None:
    client = await api.client(Role.OPERATOR)
    url = "/v1/venues/chez-test"
    first = await must(await client.post(f"{url}/imports", json=small_file()))
    assert first["added"] == {"bookings": 3, "venues": 1}
    out = await client.get(f"{url}/days/2025-11-06.{kind}")
    media = {"Content-Type": out.headers["Content-Type"]}
    again = await must(await client.post(f"{url}/imports", content=out.content, headers=media))
    assert (again["added"]["bookings"], again["already_there"]["bookings"]) == (0, 2)
    calendar = await client.get(f"{url}/days/2025-11-06.ics")
    assert calendar.text.count("BEGIN:VEVENT") == 2


async def test_sheets_of_a_floor_come_one_by_one(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR), await slug_of(house)
    url = f"/v1/venues/{slug}/imports"
    tables = "number,zone,capacity\nT1,Hall,2\nX1,Terrace,8\n"
    done = await must(await client.post(f"{url}?sheet=tables", content=tables, headers=CSV))
    assert done["added"] == {"tables": 1, "zones": 1}
    edges = "table_a,table_b\nX1,T5\n"
    await must(await client.post(f"{url}?sheet=adjacency", content=edges, headers=CSV))
    floor = await must(await client.get(f"/v1/venues/{slug}/floor"))
    assert len(floor["edges"]) == 5


async def test_json_with_mistakes_is_told_by_line(api: Api) -> None:
    client = await api.client(Role.OPERATOR)
    raw = small_file()
    raw["bookings"][1]["party_size"] = 0
    body = json.dumps(raw, indent=1)
    media = {"Content-Type": "application/json"}
    url = "/v1/venues/chez-test/imports"
    dry = await must(await client.post(f"{url}?dry_run=true", content=body, headers=media))
    assert [body.splitlines()[each["line"] - 1].strip() for each in dry["problems"]] == ['"party_size": 0']
    assert (await client.post(url, content=body, headers=media)).status_code == 422
    assert (await client.get("/v1/venues/chez-test")).status_code == 404
    other = await client.post("/v1/venues/other/imports", json=small_file())
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "restaurant.slug")


@pytest.mark.parametrize("role", [Role.STAFF, Role.GUEST_SITE])
async def test_only_operators_take_data_in_and_out(api: Api, role: Role) -> None:
    house = await api.house()
    client, slug = await api.client(role, house.restaurant_id), await slug_of(house)
    assert (await client.get(f"/v1/venues/{slug}/days/2030-06-05.csv")).status_code == 403
    assert (await client.post(f"/v1/venues/{slug}/imports", content=HEADER, headers=CSV)).status_code == 403


async def test_what_is_no_import_gets_a_clear_answer(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR, house.restaurant_id), await slug_of(house)
    url = f"/v1/venues/{slug}/imports"
    assert (await client.post(url, content=b"x", headers={"Content-Type": "text/plain"})).status_code == 415
    assert (await client.post(url, content=b"\xff\xfe", headers=CSV)).status_code == 422
    assert (await client.post(f"{url}?sheet=guests", content=HEADER, headers=CSV)).status_code == 422
    assert (await client.post("/v1/venues/chez-test/imports", json=small_file())).status_code == 404
    for path in ("2030-02-30.csv", "2030-06-05.pdf", "9999-12-31.csv"):
        assert (await client.get(f"/v1/venues/{slug}/days/{path}")).status_code in {404, 422}
