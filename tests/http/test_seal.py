"""What is shown once is nowhere in clear afterwards, and is shown again only to a repetition."""

from __future__ import annotations

from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from maitred.http.role import Role
from maitred.http.seal import Seal
from tests.http.conftest import Api
from tests.http.guests.test_bookings import tomorrow


@given(st.binary(max_size=2000), st.text(min_size=1), st.text(min_size=1))
def test_only_the_same_secret_and_key_open_it(body: bytes, secret: str, key: str) -> None:
    sealed = Seal(secret, key).close(body)
    assert Seal(secret, key).open(sealed) == body
    for other in (Seal(secret + "x", key), Seal(secret, key + "x")):
        with pytest.raises(InvalidTag):
            other.open(sealed)


async def test_the_database_has_no_secret_of_an_answer_that_is_repeated_word_for_word(api: Api) -> None:
    house = await api.house()
    client = await api.client(Role.OPERATOR)
    bodies = {
        "/v1/bookings": {"restaurant_id": str(house.restaurant_id), "party": 2, "starts_at": tomorrow().isoformat()},
        "/v1/keys": {"name": "site", "role": "guest_site"},
    }
    for path, body in bodies.items():
        headers = {"Idempotency-Key": uuid4().hex}
        answer = await client.post(path, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        shown = answer.json().get("token") or answer.json()["key"]
        again = await client.post(path, json=body, headers=headers)
        assert again.content == answer.content
        tables = await api.application.database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for table in tables:
            every_row = f"SELECT t::text AS row FROM {table['tablename']} t"  # noqa: S608 - every table there is
            rows = await api.application.database.fetch(every_row)
            kept = "".join(row["row"] for row in rows)
            assert shown not in kept
            assert shown.encode().hex() not in kept
