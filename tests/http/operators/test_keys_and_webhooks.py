"""Operators' keys and webhooks: secrets shown once, nobody gives more than he has, nothing posted into the house."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from maitred.errors import InvalidInput
from maitred.http.role import Role
from maitred.messages.endpoints import check_url, new_secret
from maitred.messages.network_address import IpAddress
from maitred.messages.webhook import check_secret
from tests.http.conftest import Api, open_api
from tests.http.operators.test_venues_and_floors import key, must, slug_of


async def test_a_key_is_shown_once_and_revoked_at_once(api: Api) -> None:
    house = await api.house()
    client, slug = await api.client(Role.OPERATOR, house.restaurant_id), await slug_of(house)
    body = {"name": "site", "role": "operator", "venues": [slug]}
    answer = await client.post("/v1/keys", json=body, headers=key())
    made = await must(answer, 201)
    assert answer.headers["Cache-Control"] == "no-store"
    with_it = {"Authorization": f"Bearer {made['key']}"}
    assert (await client.get("/v1/venues", headers=with_it)).status_code == 200
    listed = await client.get("/v1/keys")
    assert made["key"] not in listed.text
    assert made["id"] in [each["id"] for each in await must(listed)]
    await must(await client.delete(f"/v1/keys/{made['id']}"))
    assert (await client.get("/v1/venues", headers=with_it)).status_code == 401


async def test_nobody_gives_or_takes_keys_beyond_his_own_venues(api: Api) -> None:
    mine, other = await api.house(), await api.house()
    client = await api.client(Role.OPERATOR, mine.restaurant_id)
    everywhere = {"name": "all", "role": "staff"}
    assert (await client.post("/v1/keys", json=everywhere, headers=key())).status_code == 403
    foreign = {"name": "foreign", "role": "staff", "venues": [await slug_of(other)]}
    assert (await client.post("/v1/keys", json=foreign, headers=key())).status_code == 404
    chief = await api.client(Role.OPERATOR)
    made = await must(await chief.post("/v1/keys", json=foreign, headers=key()), 201)
    assert made["id"] not in (await client.get("/v1/keys")).text
    assert (await client.delete(f"/v1/keys/{made['id']}")).status_code == 404


async def test_a_webhook_is_added_rotated_disabled_and_deleted(database_url: str) -> None:
    async with open_api(database_url, webhook_allow_private=True) as api:
        house = await api.house()
        client, slug = await api.client(Role.OPERATOR, house.restaurant_id), await slug_of(house)
        base = f"/v1/venues/{slug}/webhooks"
        made = await must(await client.post(base, json={"url": "http://127.0.0.1:9/x"}, headers=key()), 201)
        check_secret(made["secret"])
        listed = await client.get(base)
        assert made["secret"] not in listed.text
        turned = await must(await client.post(f"{base}/{made['id']}/rotate", headers=key()))
        assert turned["secret"] != made["secret"]
        off = await must(await client.patch(f"{base}/{made['id']}", json={"active": False}))
        assert off["active"] is False
        assert await must(await client.get(f"{base}/{made['id']}/deliveries")) == []
        assert (await client.delete(f"{base}/{made['id']}")).status_code == 204
        assert (await client.get(f"{base}/{made['id']}/deliveries")).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://user:secret@example.com/hook",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://[::ffff:10.0.0.1]/hook",
        "https://169.254.169.254/latest",
        "https://inside.example/hook",
        "https://nowhere.example/hook",
        "ftp://example.com/",
        "https:///hook",
        "https://example.com/#part",
        "not a url at all",
    ],
)
async def test_a_webhook_goes_to_the_public_internet_or_nowhere(url: str) -> None:
    async def resolve(host: str, port: int) -> list[IpAddress]:
        if host == "nowhere.example":
            raise OSError
        return [ip_address("93.184.216.34"), ip_address("10.1.2.3" if host == "inside.example" else "93.184.216.35")]

    with pytest.raises(InvalidInput):
        await check_url(url, allow_private=False, resolve=resolve)
    await check_url("https://example.com:8443/hook?a=b", allow_private=False, resolve=resolve)


def test_a_secret_is_one_that_can_sign() -> None:
    check_secret(new_secret())
