"""Several processes that record at a steady rate lose nothing, and none keeps more in memory than its queue holds.

At full size: `python -m benchmarks.telemetry`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks._producing import QUEUE_SIZE

from maitred.storage.database import Database
from tests.observability.told import PATIENCE_S

ROOT = Path(__file__).parents[2]
RATE, SECONDS, PROCESSES = 300, 1.0, 3


async def produce(url: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks._producing",
        url,
        str(RATE),
        str(SECONDS),
        "recorder",
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        said, _ = await process.communicate(b"go\n")
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


async def test_several_processes_lose_nothing(database_url: str, database: Database) -> None:
    ended = await asyncio.gather(*(produce(database_url) for _ in range(PROCESSES)))
    for each in ended:
        assert each["accepted"] == each["written"] == each["made"] == RATE * SECONDS
        assert each["dropped"] == {}
        assert each["most_waiting"] <= QUEUE_SIZE
    rows = await database.fetch(
        "SELECT producer, count(*) AS n, min(seq) AS first, max(seq) AS last"
        "  FROM observability_events GROUP BY producer"
    )
    assert [(row["n"], row["first"], row["last"]) for row in rows] == [(300, 1, 300)] * PROCESSES
