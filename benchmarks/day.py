"""The demo's day on a durable server of its own: one worker, then 32 at once, beside pgbench on the same server.

    python -m benchmarks.day

`per_transaction` is the share of the server's own speed that a confirmed booking gets: confirmed bookings/s against
the transactions/s of pgbench's standard script (TPC-B like, one client for one worker, eight for the crowd), run just
after.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from maitred.auto_assign.day import assign_in_order
from maitred.auto_assign.run import BookingOutcome
from maitred.booking.desk import Desk
from maitred.booking.venues import Venues
from maitred.observability.recorder import Recorder
from maitred.storage import schema
from maitred.storage.database import Database
from maitred.storage.embedded import EmbeddedServer
from maitred.storage.embedded_engine import installed_engine
from maitred.venue.document import parse_day
from maitred.venue.store import import_day, remove_restaurant

DAY = resources.files("maitred.demo") / "data" / "demo-restaurant-2025-11-06.json"
SLUG = "demo-restaurant"
MIDNIGHT = datetime(2025, 11, 6, tzinfo=UTC)
PGBENCH_S = 5

DOUBLE_BOOKINGS = (
    "SELECT count(*) AS n FROM allocations a JOIN allocations b ON a.table_id = b.table_id AND a.id < b.id"
    " AND lower(a.period) < upper(b.period) AND lower(b.period) < upper(a.period)"
)


def percentile(values: list[float], share: float) -> float:
    """As percentile_cont: between two neighbours, in proportion."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (ordered[high] - ordered[low]) * (place - low), 3)


def spread(values: list[float]) -> dict[str, float]:
    return {
        "p50": percentile(values, 0.5),
        "p95": percentile(values, 0.95),
        "p99": percentile(values, 0.99),
        "max": round(max(values), 3),
    }


async def assign(url: str, workers: int) -> dict[str, Any]:
    """Imports the day anew and assigns it in order of time."""
    database = Database(url, pool_size=10)
    await database.open()
    recorder = Recorder(url, queue_size=10_000)
    await recorder.start()
    try:
        await remove_restaurant(database, SLUG)
        await import_day(database, parse_day(DAY.read_bytes()))
        rows = await database.fetch("SELECT id FROM bookings ORDER BY starts_at, reference")
        desk = Desk(database, Venues(database), recorder)
        began = time.perf_counter()
        outcomes = await assign_in_order(
            desk, [row["id"] for row in rows], now=lambda: MIDNIGHT, trigger="ultra_fast", workers=workers
        )
        seconds = time.perf_counter() - began
        doubles = await database.fetch(DOUBLE_BOOKINGS)
    finally:
        await recorder.close()
        await database.close()
    return report(outcomes, seconds, workers, doubles[0]["n"])


def report(outcomes: list[BookingOutcome], seconds: float, workers: int, doubles: int) -> dict[str, Any]:
    seated = [outcome for outcome in outcomes if outcome.result == "succeeded"]
    return {
        "workers": workers,
        "bookings": len(outcomes),
        "seated": len(seated),
        "covers": sum(outcome.party_size for outcome in seated),
        "double_bookings": doubles,
        "seconds": round(seconds, 3),
        "bookings_per_s": round(len(outcomes) / seconds, 1),
        "confirmed_per_s": round(len(seated) / seconds, 1),
        "planner_call_ms": spread([outcome.planner_ms or 0.0 for outcome in outcomes]),
        "planning_alone_ms": spread([outcome.plan_ms or 0.0 for outcome in outcomes]),
        "quote_to_confirm_ms": spread([outcome.quote_to_confirm_ms or 0.0 for outcome in seated]),
        "round_trips_per_booking": round(sum(outcome.round_trips for outcome in outcomes) / len(outcomes), 3),
        "round_trips_of_a_seated_booking": {
            "mean": round(sum(outcome.round_trips for outcome in seated) / len(seated), 3),
            "max": max(outcome.round_trips for outcome in seated),
        },
    }


def pgbench(url: str, clients: int, seconds: int = PGBENCH_S, *, prepare: bool = True) -> float:
    """Transactions per second of pgbench's standard script; `prepare` makes its tables, once is enough."""
    server = conninfo_to_dict(url)
    program = installed_engine() / "bin" / "pgbench"
    place = ["-h", str(server["host"]), "-U", str(server["user"]), str(server["dbname"])]
    environment = {"PGPASSWORD": str(server.get("password", ""))}
    if prepare:
        subprocess.run([program, "-i", "-q", *place], check=True, env=environment, capture_output=True, timeout=120)
    run = subprocess.run(
        [program, "-c", str(clients), "-j", "2" if clients > 1 else "1", "-T", str(seconds), "-n", *place],
        check=True,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r"tps = ([\d.]+)", run.stdout)
    if found is None:
        raise RuntimeError(run.stdout)
    return float(found[1])


def measure() -> dict[str, Any]:
    """Both runs and their pgbench, on a server that exists only for this and keeps every commit on disk."""
    base = Path(tempfile.mkdtemp(prefix="maitred-bench-"))
    base.chmod(0o711)
    server = EmbeddedServer(base / "server")
    try:
        began = time.perf_counter()
        url = server.start()
        schema.upgrade(url)
        first_start_s = time.perf_counter() - began
        runs = []
        for workers, clients in ((1, 1), (32, 8)):
            run = asyncio.run(assign(url, workers))
            tps = pgbench(url, clients)
            run["pgbench"] = {"clients": clients, "tps": round(tps, 1)}
            run["per_transaction"] = round(run["confirmed_per_s"] / tps, 3)
            runs.append(run)
    finally:
        server.release()
        server.remove()
        shutil.rmtree(base, ignore_errors=True)
    return {"benchmark": "day", "server_first_start_s": round(first_start_s, 2), "runs": runs}


def main() -> None:
    json.dump(measure(), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
