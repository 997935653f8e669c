"""`maitred compare`: what it takes, and what it prints."""

from __future__ import annotations

import asyncio
import json

import pytest
import typer
from typer.testing import CliRunner

from maitred.cli.compare import compare
from maitred.errors import InvalidInput
from maitred.observability.recorder import Recorder
from tests.observability.told import measurement


@pytest.fixture
def command(database_url: str, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setenv("MAITRED_DATABASE_URL", database_url)
    app = typer.Typer()
    app.command()(compare)
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
    sides = ["since=2h", "since=1h,trigger=creation"]

    table = run(command, sides)
    assert table.exit_code == 0, table.output
    assert "Not enough data" in table.stdout  # 40 bookings are worth too few for a p95
    assert "Complete: 40 numbered events" in table.stdout

    assert run(command, [*sides, "--format", "md"]).stdout.startswith("# Comparison\n")
    figures = json.loads(run(command, [*sides, "--format", "json"]).stdout)
    assert (figures["a"]["bookings"], figures["b"]["bookings"]) == (40, 40)
    assert figures["measures"]["median"]["estimate"] == 1.0
    assert figures["measures"]["p95"]["known"] is False


@pytest.mark.parametrize("sides", [["since=soon", "all"], ["", "colour=red"], ["", ""]])
def test_a_typing_mistake_is_told_before_any_database_is_asked(
    sides: list[str], monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    asked = "postgresql://nobody@127.0.0.1:1/nothing" if any(sides) else database_url
    monkeypatch.setenv("MAITRED_DATABASE_URL", asked)
    app = typer.Typer()
    app.command()(compare)
    assert isinstance(CliRunner().invoke(app, sides).exception, InvalidInput)
