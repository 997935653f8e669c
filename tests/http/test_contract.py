"""The OpenAPI document is true: schemathesis finds no answer outside it. `python -m tests.http.contract` asks more."""

from __future__ import annotations

import pytest

from tests.http.conftest import Api
from tests.http.contract import run


@pytest.mark.timeout(400)
def test_no_answer_is_outside_the_document(database_url: str) -> None:
    ran = run(database_url, examples=1, seed=1, phases="examples,fuzzing,stateful")
    assert not ran.findings, ran.words
    assert ran.cases > 50, ran.words


async def test_the_document_links_what_was_made_to_what_can_be_done_with_it(api: Api) -> None:
    paths = api.app.openapi()["paths"]
    made = paths["/v1/bookings/{booking_id}/holds"]["post"]["responses"]["201"]
    confirm = paths["/v1/bookings/{booking_id}/holds/{hold_id}/confirmation"]["post"]["operationId"]
    assert made["links"][confirm]["parameters"] == {
        "booking_id": "$request.path.booking_id",
        "hold_id": "$response.body#/hold/id",
    }
    known = {operation["operationId"] for operations in paths.values() for operation in operations.values()}
    links = [
        link
        for operations in paths.values()
        for operation in operations.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(links) > 30
    assert {link["operationId"] for link in links} <= known


async def test_what_is_changed_by_version_says_that_it_may_be_refused_for_it(api: Api) -> None:
    responses = api.app.openapi()["paths"]["/v1/venues/{slug}/tables/{table_id}"]["patch"]["responses"]
    assert {"412", "428"} <= set(responses)
