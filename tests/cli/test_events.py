"""`maitred events` and `maitred db size` say what there is, and end with 1 when events are missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
import structlog
import typer
from typer.testing import CliRunner

from maitred.cli.events import events_app
from maitred.cli.size import size
from maitred.observability.catalogue import schema_document
from maitred.observability.event_docs import render
from maitred.observability.recorder import Recorder
from tests.observability.told import measurement

size_app = typer.Typer()
size_app.command()(size)


@pytest.fixture
def given_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("MAITRED_DATABASE_URL", database_url)
    yield database_url
    structlog.reset_defaults()  # a command sends its log to what was stderr when it ran


def ended(app: typer.Typer, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return done.exit_code, done.stdout


def test_the_schema_is_printed_without_a_database() -> None:
    code, out = ended(events_app, "schema")
    assert (code, json.loads(out)) == (0, schema_document())


def test_the_schema_is_printed_as_the_document() -> None:
    assert ended(events_app, "schema", "--format", "md") == (0, render())


def test_a_complete_database_is_told_in_one_sentence(given_database: str) -> None:
    code, out = ended(events_app, "check")
    assert (code, out.count("\n")) == (0, 1)
    assert out.startswith("Complete: 0 numbered events")


def test_missing_events_end_with_1(given_database: str) -> None:
    async def lose_some() -> None:
        recorder = Recorder(given_database, queue_size=2)
        for _ in range(5):
            recorder.record_observability_event(measurement())
        await recorder.start()
        await recorder.close(30)

    asyncio.run(lose_some())
    code, out = ended(events_app, "check")
    assert code == 1
    assert "3 events of other" in out
    assert "queue_full 3" in out


def test_a_missing_summary_is_named_and_repaired(given_database: str) -> None:
    run_id, at = uuid4(), datetime.now(UTC) - timedelta(hours=1)
    with psycopg.connect(given_database, autocommit=True) as connection:
        connection.execute(
            "WITH venue AS (INSERT INTO restaurants (slug, name, timezone) VALUES ('v', 'V', 'UTC') RETURNING id),"
            " booking AS (INSERT INTO bookings (restaurant_id, reference, party_size, starts_at)"
            " SELECT id, 'R', 2, now() FROM venue RETURNING id, restaurant_id)"
            " INSERT INTO runs (id, restaurant_id, booking_id, trigger, policy, max_attempts, party_size, due_at,"
            " created_at, ended_at, result) SELECT %s, restaurant_id, id, 'loop', 1, 4, 2, %s, %s, %s, 'error'"
            " FROM booking",
            (run_id, at, at, at),
        )
    code, out = ended(events_app, "check")
    assert code == 1
    assert f"run without a summary: {run_id}" in out
    code, out = ended(events_app, "check", "--repair")
    assert (code, out.splitlines()[0]) == (0, "derived: 1 of 1 missing summaries")
    assert ended(events_app, "check")[0] == 0


def test_sizes_are_those_of_the_tables(given_database: str) -> None:
    code, out = ended(size_app, "--format", "json")
    found = json.loads(out)
    assert (code, found["oldest_event"], found["oldest_rollup"]) == (0, None, None)
    tables = {each["name"]: each for each in found["tables"]}
    assert {"observability_events", "event_producers", "event_rollups", "bookings"} <= set(tables)
    assert tables["observability_events"]["index_bytes"] > 0
    assert found["database_bytes"] > sum(each["table_bytes"] for each in tables.values())


def test_sizes_are_shown_for_people(given_database: str) -> None:
    async def record() -> None:
        recorder = Recorder(given_database, queue_size=2)
        recorder.record_observability_event(measurement())
        await recorder.start()
        await recorder.close(30)

    asyncio.run(record())
    code, out = ended(size_app)
    assert code == 0
    assert "observability_events" in out
    assert f"events:   {datetime.now(UTC):%Y-}" in out
