"""Durable runs: planner calls per booking, from cancellation to confirmation, what waiting costs, jobs per second.

    python -m benchmarks.jobs [--quick]

One durable server of its own for all of it; workers are processes of their own. Jobs per second stand beside pgbench's
transactions per second on the same server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

from benchmarks.day import DAY, MIDNIGHT, SLUG, pgbench, spread
from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.changes import cancel_booking
from maitred.auto_assign.inline import InlineRules, auto_assign_inline
from maitred.auto_assign.job import JobRules, make_queued_attempt
from maitred.auto_assign.retry import PolicyVersion, RetryRules
from maitred.booking.desk import Desk
from maitred.booking.venues import Venues
from maitred.observability.recorder import NullRecorder, Recorder
from maitred.storage import schema
from maitred.storage.database import Database
from maitred.storage.embedded import EmbeddedServer
from maitred.venue.document import parse_day
from maitred.venue.store import import_day, remove_restaurant

V1 = RetryRules(version=1)


def midnight() -> datetime:
    return MIDNIGHT


async def calls_per_booking(url: str, version: PolicyVersion) -> dict[str, Any]:
    """The demo's day, inline and then the job. The queue's waiting is left out: it doesn't change what is done."""
    database = Database(url)
    await database.open()
    recorder = Recorder(url, queue_size=50_000)
    await recorder.start()
    try:
        await remove_restaurant(database, SLUG)
        imported = await import_day(database, parse_day(DAY.read_bytes()))
        desk = Desk(database, Venues(database), recorder)
        retry = RetryRules(version=version)
        bookings = await database.fetch("SELECT id FROM bookings ORDER BY starts_at, reference")
        for row in bookings:
            await auto_assign_inline(desk, row["id"], rules=InlineRules(retry=retry), now=midnight)
        while jobs := await database.fetch(
            "SELECT id, args FROM procrastinate_jobs WHERE status = 'todo' ORDER BY scheduled_at, id LIMIT 1"
        ):
            job = jobs[0]
            await database.fetch("DELETE FROM procrastinate_jobs WHERE id = %(id)s", {"id": job["id"]})
            args = job["args"]
            await make_queued_attempt(
                desk, UUID(args["run_id"]), args["attempt_index"], rules=JobRules(retry=retry), now=midnight
            )
        await recorder.flush(10)
        counted = await database.fetch(
            "SELECT count(*) FILTER (WHERE NOT (context->>'cache_hit')::boolean) AS calls,"
            " count(*) FILTER (WHERE (context->>'cache_hit')::boolean) AS cached"
            " FROM observability_events WHERE event_type = 'auto_assign.quote' AND restaurant_id = %(id)s",
            {"id": imported.restaurant_id},
        )
        seated = await database.fetch("SELECT count(*) AS n FROM bookings WHERE status = 'confirmed'")
        await remove_restaurant(database, SLUG)
    finally:
        await recorder.close()
        await database.close()
    return {
        "retry_policy": version,
        "bookings": len(bookings),
        "seated": seated[0]["n"],
        "planner_calls": counted[0]["calls"],
        "answered_by_cache": counted[0]["cached"],
        "planner_calls_per_booking": round(counted[0]["calls"] / len(bookings), 3),
    }


async def venue(database: Database, slug: str, tables: int) -> UUID:
    """A venue in UTC, open all day, with tables of 2, 4 and 6 in a row."""
    rows = await database.fetch(
        "WITH r AS (INSERT INTO restaurants (slug, name, timezone) VALUES (%(slug)s, %(slug)s, 'UTC') RETURNING id),"
        " z AS (INSERT INTO zones (restaurant_id, name) SELECT id, 'Hall' FROM r RETURNING id, restaurant_id),"
        " t AS (INSERT INTO tables (restaurant_id, zone_id, number, capacity)"
        "       SELECT z.restaurant_id, z.id, 'T' || n, 2 + 2 * (n %% 3) FROM z, generate_series(1, %(tables)s) n),"
        " s AS (INSERT INTO services (restaurant_id, key, position, starts, ends, allow_overrun)"
        "       SELECT id, 'all_day', 0, '00:00', '23:59', true FROM r RETURNING id),"
        " b AS (INSERT INTO turn_bands (service_id, up_to_party, minutes) SELECT id, 20, 75 FROM s)"
        " SELECT id FROM r",
        {"slug": slug, "tables": tables},
    )
    found: UUID = rows[0]["id"]
    return found


async def book(database: Database, restaurant: UUID, reference: str, party: int, starts_at: datetime) -> UUID:
    rows = await database.fetch(
        "INSERT INTO bookings (restaurant_id, reference, party_size, starts_at)"
        " VALUES (%(r)s, %(ref)s, %(party)s, %(start)s) RETURNING id",
        {"r": restaurant, "ref": reference, "party": party, "start": starts_at},
    )
    found: UUID = rows[0]["id"]
    return found


def tomorrow() -> datetime:
    return (datetime.now(UTC) + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)


@contextmanager
def workers(url: str, count: int, **settings: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Worker processes."""
    environment = {**os.environ, "MAITRED_DATABASE_URL": url, "MAITRED_MESSAGES_SUPPRESSED": "true", **settings}
    command = [sys.executable, "-m", "maitred", "worker", "--concurrency", "4"]
    crew = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(count)
    ]
    try:
        yield crew
    finally:
        for process in crew:
            process.terminate()
        for process in crew:
            process.wait(20)


async def until(database: Database, question: LiteralString, wanted: int, limit_s: float = 120.0) -> None:
    async with asyncio.timeout(limit_s):
        while (await database.fetch(question))[0]["n"] != wanted:  # noqa: ASYNC110  # another process does it
            await asyncio.sleep(0.005)


READY = "SELECT count(*) AS n FROM procrastinate_workers"
BUSY = "SELECT count(*) AS n FROM procrastinate_jobs WHERE status = 'doing'"
LIVE = "SELECT count(*) AS n FROM runs WHERE ended_at IS NULL"


async def cancellation_to_confirmation(url: str, rounds: int) -> dict[str, Any]:
    """One table, one party seated, one waiting; the first cancels. With one worker."""
    database = Database(url)
    await database.open()
    taken: list[float] = []
    try:
        desk = Desk(database, Venues(database), NullRecorder())
        restaurant = await venue(database, "waiting", 1)
        with workers(url, 1, MAITRED_RETRY_POLICY="1"):
            await until(database, READY, 1)
            for number in range(rounds):
                start = tomorrow() + timedelta(hours=2 * number)
                seated = await book(database, restaurant, f"S{number}", 2, start)
                await begin_run(desk, seated, trigger="creation", rules=V1, now=datetime.now(UTC))
                await until(database, LIVE, 0)
                waiting = await book(database, restaurant, f"W{number}", 2, start)
                await begin_run(desk, waiting, trigger="creation", rules=V1, now=datetime.now(UTC))
                await until(database, "SELECT count(*) AS n FROM runs WHERE waits_for IS NOT NULL", number + 1)
                await until(database, BUSY, 0)
                began = time.perf_counter()
                await cancel_booking(desk, seated)
                await until(database, LIVE, 0)
                taken.append((time.perf_counter() - began) * 1000)
                if await status(database, waiting) != "confirmed":
                    raise RuntimeError("the waiting booking was not confirmed")
        await remove_restaurant(database, "waiting")
    finally:
        await database.close()
    return {"rounds": rounds, "ms": spread(taken)}


async def status(database: Database, booking: UUID) -> str:
    return str((await database.fetch("SELECT status FROM bookings WHERE id = %(id)s", {"id": booking}))[0]["status"])


async def cost_of_waiting(url: str, count: int) -> dict[str, Any]:
    """What a worker and the server hold before and after so many runs wait for their next attempt."""
    database = Database(url, pool_size=2)
    await database.open()
    try:
        restaurant = await venue(database, "patient", 4)
        with workers(url, 1) as [worker]:
            await until(database, READY, 1)
            await asyncio.sleep(8)
            before = await held(database, worker)
            await database.fetch(
                "INSERT INTO bookings (restaurant_id, reference, party_size, starts_at)"
                " SELECT %(r)s, 'P' || n, 2, now() + interval '20 days' FROM generate_series(1, %(count)s) n",
                {"r": restaurant, "count": count},
            )
            await database.fetch(
                "WITH run AS ("
                "  INSERT INTO runs (id, restaurant_id, booking_id, trigger, policy, max_attempts, party_size, due_at)"
                "  SELECT gen_random_uuid(), restaurant_id, id, 'creation', 1, 4, party_size, now() + interval '1 hour'"
                "    FROM bookings WHERE restaurant_id = %(r)s RETURNING id, due_at"
                "), job AS ("
                "  INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, scheduled_at)"
                "  SELECT 'auto_assign', 'maitred.attempt', 'run:' || id, 'run:' || id || ':0',"
                "         jsonb_build_object('run_id', id, 'attempt_index', 0), due_at FROM run"
                "  RETURNING id, args"
                ") SELECT count(*) AS n FROM job",
                {"r": restaurant},
            )
            await database.fetch(
                "UPDATE runs r SET job_id = j.id FROM procrastinate_jobs j WHERE (j.args->>'run_id')::uuid = r.id"
            )
            await asyncio.sleep(15)
            after = await held(database, worker)
        await database.fetch("TRUNCATE procrastinate_jobs CASCADE")
        await remove_restaurant(database, "patient")
    finally:
        await database.close()
    return {"waiting_runs": count, "before": before, "after": after}


def resident_mb(pid: int) -> float:
    """What the process has in memory, from /proc."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise RuntimeError(f"no process {pid}")


async def held(database: Database, worker: subprocess.Popen[bytes]) -> dict[str, Any]:
    rows = await database.fetch(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return {
        "worker_rss_mb": resident_mb(worker.pid),
        "connections": rows[0]["n"],
    }


async def jobs_per_second(url: str, count: int, bookings: int) -> dict[str, Any]:
    """So many bookings over five venues, all due at once; timed from the moment all workers are there."""
    database = Database(url)
    await database.open()
    try:
        desk = Desk(database, Venues(database), NullRecorder())
        slugs = [f"busy-{place}" for place in range(5)]
        places = [await venue(database, slug, 40) for slug in slugs]
        for number in range(bookings):
            start = tomorrow() + timedelta(minutes=3 * (number // 5) % 600)
            booking = await book(database, places[number % 5], f"J{number}", 2 + number % 5, start)
            await begin_run(
                desk, booking, trigger="creation", rules=RetryRules(), now=datetime.now(UTC) + timedelta(hours=1)
            )
        with workers(url, count):
            await until(database, READY, count)
            began = time.perf_counter()
            await database.fetch("UPDATE runs SET due_at = now() WHERE ended_at IS NULL")
            await database.fetch("UPDATE procrastinate_jobs SET scheduled_at = now()")
            await database.fetch(
                'SELECT pg_notify(\'procrastinate_any_queue_v1\', \'{"type": "job_inserted", "job_id": 0}\')'
            )
            await until(database, LIVE, 0)
            seconds = time.perf_counter() - began
        confirmed = await database.fetch("SELECT count(*) AS n FROM bookings WHERE status = 'confirmed'")
        for slug in slugs:
            await remove_restaurant(database, slug)
        await database.fetch("TRUNCATE procrastinate_workers CASCADE")
    finally:
        await database.close()
    tps = pgbench(url, count)
    return {
        "workers": count,
        "jobs": bookings,
        "confirmed": confirmed[0]["n"],
        "seconds": round(seconds, 2),
        "jobs_per_s": round(bookings / seconds, 1),
        "pgbench": {"clients": count, "tps": round(tps, 1)},
        "per_transaction": round(bookings / seconds / tps, 3),
    }


def measure(*, quick: bool) -> dict[str, Any]:
    """All of it, in turn."""
    base = Path(tempfile.mkdtemp(prefix="maitred-bench-"))
    base.chmod(0o711)
    server = EmbeddedServer(base / "server")
    try:
        url = server.start()
        schema.upgrade(url)
        calls = [asyncio.run(calls_per_booking(url, version)) for version in (1, 2)]
        freed = asyncio.run(cancellation_to_confirmation(url, 5 if quick else 40))
        waiting = asyncio.run(cost_of_waiting(url, 1_000 if quick else 10_000))
        rates = [asyncio.run(jobs_per_second(url, count, 100 if quick else 500)) for count in (1, 2, 4)]
    finally:
        server.release()
        server.remove()
        shutil.rmtree(base, ignore_errors=True)
    return {
        "benchmark": "jobs",
        "planner_calls_on_the_demo_day": calls,
        "cancellation_to_confirmation": freed,
        "cost_of_waiting": waiting,
        "jobs_per_second": rates,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure durable runs; prints JSON.")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    json.dump(measure(quick=parser.parse_args().quick), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
