"""The demo's day through PgBouncer, whose sessions change with every transaction."""

from __future__ import annotations

import io

import psycopg
import pytest
from rich.console import Console

from maitred.bootstrap import open_application
from maitred.demo.run import run_demo
from maitred.settings import Settings


def test_ten_sessions_share_fewer_server_processes(pooled_backends: int) -> None:
    assert 1 <= pooled_backends <= 4


@pytest.mark.parametrize("workers", [1, 16])
async def test_the_day_is_seated_without_overlap(pooled_url: str, database_url: str, workers: int) -> None:
    settings = Settings.model_validate({"database_url": pooled_url, "database_pooler": True})
    async with open_application(settings) as app:
        run = await run_demo(app, console=Console(file=io.StringIO()), workers=workers)
        assert run.events_complete
    seated = sum(outcome.result == "succeeded" for outcome in run.outcomes)
    if workers == 1:
        assert seated == 69
    else:
        assert seated >= 66  # the order of arrival differs from run to run, and best fit with it
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM allocations a JOIN allocations b ON a.table_id = b.table_id"
            " AND a.id < b.id AND a.period && b.period"
        ).fetchone()
    assert row == (0,)
