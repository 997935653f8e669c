"""What every answer has, and what no log line, error or header ever has."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import structlog

from maitred.booking.token import hashed as token_hash
from maitred.booking.token import new_token
from maitred.http.role import Role
from maitred.settings import Settings
from tests.http.conftest import Api, open_api
from tests.http.writes import Gate, routes

ORIGIN = "https://book.example.org"


@pytest_asyncio.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with open_api(database_url, http_origins=[ORIGIN], http_metrics=True) as opened:
        opened.app.include_router(routes(Gate()))
        yield opened


async def test_every_answer_has_the_security_headers_and_an_id(api: Api) -> None:
    client = await api.client(Role.STAFF)
    for path in ("/healthz", "/v1/nothing", "/nothing", "/openapi.json", "/v1/test/forgetful"):
        answer = await client.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("given", "taken"),
    [("abc-DEF_1.2", True), ("short", False), ("x" * 129, False), ("a b c d e", False), ("mk_abcdefgh_secret", False)],
)
async def test_a_well_formed_id_is_taken_and_told_in_the_problem(api: Api, given: str, taken: bool) -> None:
    client = await api.client(Role.STAFF)
    answer = await client.get("/v1/nothing", headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"] == given) is taken
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_an_unexpected_error_says_nothing_but_that_there_was_one(api: Api) -> None:
    client = await api.client(Role.STAFF)
    answer = await client.post("/v1/test/broken")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Maria" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_pages_of_a_set_origin_may_call_and_no_others(api: Api) -> None:
    client = await api.client(Role.STAFF)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "idempotency-key"}
    known = await client.options("/v1/bookings", headers={"Origin": ORIGIN, **asked})
    assert known.status_code == 200
    assert known.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in known.headers
    other = await client.options("/v1/bookings", headers={"Origin": "https://evil.example.org", **asked})
    assert "access-control-allow-origin" not in other.headers
    answer = await client.get("/v1/nothing", headers={"Origin": "https://evil.example.org"})
    assert "access-control-allow-origin" not in answer.headers


async def test_without_origins_there_is_no_cors_at_all(database_url: str) -> None:
    async with open_api(database_url) as closed:
        client = await closed.client(Role.STAFF)
        answer = await client.get("/healthz", headers={"Origin": ORIGIN})
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origins", ["*", "https://*.example.org", "https://a.example.org/", "null", "a.example.org"])
def test_an_origin_is_named_in_full(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    monkeypatch.setenv("MAITRED_HTTP_ORIGINS", origins)
    with pytest.raises(ValueError, match="origins"):
        Settings()


async def test_no_secret_gets_into_a_log_line_an_error_or_an_event(api: Api, capfd: pytest.CaptureFixture[str]) -> None:
    house = await api.house()
    booking, token = await house.book(2), new_token()
    await api.application.database.fetch(
        "UPDATE bookings SET token_hash = %(hash)s WHERE id = %(id)s", {"hash": token_hash(token), "id": booking}
    )
    key = await api.key(Role.STAFF, house.restaurant_id)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory())
    answers = []
    secrets = [key, token, "Maria Lopez", "secret-in-query", "secret-in-body", "secret-key-1234"]
    client = await api.client(base_url=await api.serve())
    for shown in (key, token, key[:-1] + "x", "mk_wrong"):
        headers = {"Authorization": f"Bearer {shown}", "X-Request-ID": shown, "Idempotency-Key": "secret-key-1234"}
        for path in ("/v1/test/broken", "/v1/test/echo", f"/v1/bookings/{token}", "/v1/nothing", "/v1/bookings"):
            url = f"{path}?q=secret-in-query"
            answers.append(await client.post(url, json={"x": "secret-in-body"}, headers=headers))
            answers.append(await client.get(url, headers=headers))
            answers.append(await client.post(url, content=b'{"secret-in-body', headers=headers))
    await api.application.recorder.flush()
    said = capfd.readouterr()
    events = await api.application.database.fetch("SELECT to_jsonb(e)::text AS row FROM observability_events e")
    for secret in secrets:
        assert secret not in said.out
        assert secret not in said.err
        assert all(secret not in str(row["row"]) for row in events)
        for answer in answers:
            if answer.status_code >= 400:
                assert secret not in answer.text, (secret, answer.text)
            assert all(secret not in value for value in answer.headers.values())
    assert "http.request" in said.out
    assert "http.unexpected" in said.out
    assert "Traceback" not in said.out + said.err


async def test_ready_tells_each_part_and_not_ready_which_one(api: Api) -> None:
    client = await api.client()
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert set(ready.json()["parts"]) == {"database", "schema", "second_wall", "events", "sweeper"}
    await api.application.database.fetch("UPDATE maitred_schema_version SET version_num = '0001'")
    wrong = await client.get("/readyz")
    assert wrong.status_code == 503
    assert [name for name, found in wrong.json()["parts"].items() if found != "ok"] == ["schema"]
    await api.application.recorder.close()
    assert (await client.get("/readyz")).json()["parts"]["events"] != "ok"
    api.app.state.sweeping.cancel()
    await api.application.database.close()
    away = await client.get("/readyz")
    assert away.status_code == 503
    assert away.json()["parts"]["database"] == "can't be reached"
    assert away.json()["parts"]["sweeper"] != "ok"
    assert (await client.get("/healthz")).status_code == 200


async def test_metrics_are_there_where_they_are_switched_on(api: Api, database_url: str) -> None:
    answer = await (await api.client()).get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE maitred" in answer.text
    async with open_api(database_url) as closed:
        assert (await (await closed.client()).get("/metrics")).status_code == 404


async def test_a_database_that_is_away_is_503_and_says_no_more(api: Api) -> None:
    client = await api.client(Role.STAFF)
    await api.application.database.close()
    answer = await client.get("/v1/test/forgetful")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["detail"] == "try again later"


async def test_the_document_declares_a_problem_for_every_route(api: Api) -> None:
    document = (await (await api.client()).get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in str(document["paths"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert "4XX" in operation["responses"], path
            if path.startswith("/v1/"):
                assert operation["security"] == [{"key": []}], path
