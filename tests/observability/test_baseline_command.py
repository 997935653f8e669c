"""`maitred baseline`: what it takes, and what it prints."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from maitred.cli.baseline import baseline, parse_since
from maitred.errors import InvalidInput, NotFound
from maitred.observability.recorder import Recorder
from tests.observability.told import measurement

NOW = datetime(2025, 11, 6, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        (" 7d ", NOW - timedelta(days=7)),
        ("2025-11-06T00:00Z", datetime(2025, 11, 6, tzinfo=UTC)),
        ("2025-11-06T01:30:00+02:00", datetime(2025, 11, 5, 23, 30, tzinfo=UTC)),
    ],
)
def test_since_is_a_duration_or_an_instant(text: str, instant: datetime) -> None:
    found = parse_since(text, NOW)
    assert found == instant
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "neither"),
        ("7", "neither"),
        ("d", "neither"),
        ("7w", "neither"),
        ("-7d", "neither"),
        ("1.5h", "neither"),
        ("\u0667d", "neither"),  # a digit, but not one of ours
        ("yesterday", "neither"),
        ("2025-13-01T00:00Z", "neither"),
        ("2025-11-06T00:00", "needs a zone"),
        ("2025-11-06", "needs a zone"),
        ("0s", "not in the past"),
        ("2025-11-06T12:00Z", "not in the past"),
        ("2099-01-01T00:00Z", "not in the past"),
        ("999999999d", "too long ago"),
        ("0001-01-01T00:00+14:00", "too long ago"),
        ("9" * 30 + "d", "neither"),
    ],
)
def test_anything_else_is_refused_by_name(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as refused:
        parse_since(text, NOW)
    assert (refused.value.item, refused.value.field) == ("baseline", "since")


@given(text=st.text(max_size=30) | st.from_regex(r"[0-9]{0,12}[smhdT:Z+-]{0,3}", fullmatch=True))
def test_since_is_read_or_refused_and_nothing_else_happens(text: str) -> None:
    try:
        assert parse_since(text, NOW) < NOW
    except InvalidInput:
        return


@pytest.fixture
def command(database_url: str, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setenv("MAITRED_DATABASE_URL", database_url)
    app = typer.Typer()
    app.command()(baseline)
    return app


def record(database_url: str, count: int) -> None:
    async def write() -> None:
        recorder = Recorder(database_url, queue_size=count)
        await recorder.start()
        for _ in range(count):
            recorder.record_observability_event(measurement())
        await recorder.close(30)

    asyncio.run(write())


def test_the_command_writes_each_format(command: typer.Typer, database_url: str) -> None:
    record(database_url, 40)
    run = CliRunner().invoke

    table = run(command, ["--since", "1h"])
    assert table.exit_code == 0, table.output
    assert "40 events" in table.stdout

    markdown = run(command, ["--since", "1h", "--format", "md"])
    assert "1.50 ms (1.50 ms to open)" in markdown.stdout

    figures = json.loads(run(command, ["--since", "1h", "--format", "json"]).stdout)
    assert figures["planner_duration_ms"]["all"]["p95"] == 1.5
    assert figures["planner_duration_ms"]["all"]["p95_bound_open"] is True


def test_an_empty_window_is_no_error(command: typer.Typer) -> None:
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 0, result.output
    assert "No events" in result.stdout


def test_a_restaurant_is_chosen_by_its_slug(command: typer.Typer, database_url: str) -> None:
    record(database_url, 3)
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO restaurants (slug, name, timezone) VALUES ('a-venue', 'A venue', 'UTC')")
        connection.execute("UPDATE observability_events SET restaurant_id = r.id FROM restaurants r WHERE random() < 2")
        connection.execute("INSERT INTO restaurants (slug, name, timezone) VALUES ('another', 'Another', 'UTC')")
    run = CliRunner().invoke
    assert "3 events" in run(command, ["--restaurant", "a-venue"]).stdout
    assert "No events" in run(command, ["--restaurant", "another"]).stdout
    unknown = run(command, ["--restaurant", "nowhere"])
    assert isinstance(unknown.exception, NotFound)


def test_a_bad_since_is_told_before_any_database_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAITRED_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    app = typer.Typer()
    app.command()(baseline)
    result = CliRunner().invoke(app, ["--since", "soon"])
    assert isinstance(result.exception, InvalidInput)
