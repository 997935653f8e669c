"""The page as a worker serves it: joined by bootstrap, fed by its runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.retry import RetryRules
from maitred.bootstrap import open_application
from maitred.settings import Settings
from maitred.storage.database import Database
from maitred.worker import run_worker
from tests.house import build_house


async def get(address: tuple[str, int], path: str) -> str:
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        async with asyncio.timeout(10):
            return (await reader.read()).decode()
    finally:
        writer.close()


async def test_a_worker_counts_the_ends_of_its_runs_and_shows_them(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAITRED_DATABASE_URL", database_url)
    monkeypatch.setenv("MAITRED_METRICS_ADDRESS", "127.0.0.1:0")
    house = await build_house(database)
    booking = await house.book(2)
    await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=datetime.now(UTC))
    async with open_application(Settings()) as app:
        await run_worker(app, concurrency=1, grace_s=5, wait=False, install_signal_handlers=False)
        assert app.metrics is not None
        async with app.metrics.served() as address:
            assert address is not None
            page = await get(address, "/metrics")
            assert (await get(address, "/healthz")).startswith("HTTP/1.1 200 ")
        # what the database says of runs is read with the same scrape, and told by it
        assert 'maitred_runs_ended_total{result="succeeded",trigger="creation"} 1.0' in page
        assert 'maitred_events_total{event="auto_assign.quote"} 1.0' in page
        assert 'maitred_quote_to_confirmed_seconds_count{path="run"} 1.0' in page
        assert "maitred_database_up 1.0" in page


async def test_without_an_address_nothing_is_counted_and_nothing_listens(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAITRED_DATABASE_URL", database_url)
    monkeypatch.delenv("MAITRED_METRICS_ADDRESS", raising=False)
    async with open_application(Settings()) as app:
        assert app.metrics is None
        assert app.desk.events is app.recorder
