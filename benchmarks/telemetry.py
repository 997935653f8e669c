"""What telemetry costs, what it withstands, and how soon one knows whether it is complete.

    python -m benchmarks.telemetry [--quick] [--part PART]...

One durable server of its own for all of it. Everything stands beside something done in the same minute: recording
beside a recorder that keeps nothing and beside an awaited insert, the day with telemetry beside the day without.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks._assigning import MIDNIGHT, PENDING
from benchmarks._many_events import fill
from benchmarks._outages import Outages
from benchmarks._producing import QUEUE_SIZE, event
from benchmarks.day import DAY, SLUG, percentile, spread
from maitred.auto_assign.day import assign_in_order
from maitred.booking.desk import Desk
from maitred.booking.venues import Venues
from maitred.observability.completeness import completeness
from maitred.observability.encoding import encode
from maitred.observability.recorder import EventSink, NullRecorder, Recorder
from maitred.observability.retention import retain
from maitred.storage import schema
from maitred.storage.database import Database, Statement
from maitred.storage.embedded import EmbeddedServer
from maitred.venue.document import parse_day
from maitred.venue.store import import_day, remove_restaurant

PRODUCERS = 4
STRETCH = 39

_PENDING_AGAIN: tuple[LiteralString, ...] = (
    "TRUNCATE allocations, holds, confirmations, booking_history, messages CASCADE",
    "UPDATE bookings SET status = 'pending', confirmed_at = NULL, auto_assign_last_result = NULL",
)

# As the original: one row an event, and the caller waits for it.
_INSERT_ONE: LiteralString = """
INSERT INTO observability_events (id, created_at, source, event_type, severity, context, restaurant_id, booking_id)
SELECT id, created_at, source, event_type, severity, context, restaurant_id, booking_id
  FROM jsonb_to_record(%(event)s::jsonb) AS event (
    id uuid, created_at timestamptz, source text, event_type text, severity text, context jsonb, restaurant_id uuid,
    booking_id uuid)
"""


def new_database(server_url: str, name: str) -> str:
    """A fresh database with our schema, on this server."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_conninfo(server_url, dbname=name)
    schema.upgrade(url)
    return url


def microseconds(values: Sequence[int]) -> dict[str, float]:
    us = [value / 1_000 for value in values]
    return {"mean": round(statistics.fmean(us), 3), **spread(us)}


async def record_cost(url: str, rounds: int, calls: int, awaited: int) -> dict[str, Any]:
    """Each call timed by itself, the sinks in turns. The clock's own reading is in all of them."""
    database = Database(url)
    await database.open()
    recorder = Recorder(url, queue_size=1_000_000)
    await recorder.start()
    spent: dict[str, list[int]] = {"null_recorder": [], "recorder": [], "awaited_insert": []}
    sinks: dict[str, EventSink] = {"null_recorder": NullRecorder(), "recorder": recorder}
    try:
        for _ in range(rounds):
            for name, sink in sinks.items():
                made = [event(turn) for turn in range(calls)]
                gc.collect()
                clock, into, record = time.perf_counter_ns, spent[name], sink.record_observability_event
                for each in made:
                    began = clock()
                    record(each)
                    into.append(clock() - began)
                    if len(into) % 50 == 0:
                        await asyncio.sleep(0)  # the writer gets its turns, as it does beside real work
            await recorder.flush(60)
            for turn in range(awaited):
                row = encode(event(turn), time.time_ns(), str(uuid4()), 1)
                began = time.perf_counter_ns()
                await database.fetch(_INSERT_ONE, {"event": row})
                spent["awaited_insert"].append(time.perf_counter_ns() - began)
    finally:
        await recorder.close(30)
        await database.close()
    mean = {name: statistics.fmean(values) for name, values in spent.items()}
    return {
        "us": {name: microseconds(values) for name, values in spent.items()},
        "round_trips_of_a_call": 0,
        "awaited_insert_over_recorder": round(mean["awaited_insert"] / mean["recorder"], 1),
        "recorder_over_null": round(mean["recorder"] / mean["null_recorder"], 2),
        "dropped": dict(recorder.dropped),
    }


def cpu_cost(calls: int) -> dict[str, Any]:
    """What making an event costs its caller, and writing it down the writer: processor time, not waiting."""
    began = time.process_time()
    made = [event(turn) for turn in range(calls)]
    making = time.process_time() - began
    began = time.process_time()
    rows = [encode(each, 0, "producer", 1) for each in made]
    encoding = time.process_time() - began
    return {
        "making_us": round(making / calls * 1e6, 2),
        "encoding_us": round(encoding / calls * 1e6, 2),
        "bytes": round(statistics.fmean(map(len, rows))),
    }


async def import_bookings(database: Database) -> None:
    """The demo's day."""
    await remove_restaurant(database, SLUG)
    await import_day(database, parse_day(DAY.read_bytes()))


async def seat(
    database: Database,
    sink_for: Callable[[int], Awaitable[EventSink]],
    every_s: float = 0.0,
) -> list[float]:
    """Makes all bookings pending again and seats them, one after the other; milliseconds of each.

    With `every_s` a booking begins so often, and none later than that because another one took long.
    """
    await database.transact([Statement(statement, {}) for statement in _PENDING_AGAIN])
    bookings = [row["id"] for row in await database.fetch(PENDING, {"most": 1_000})]
    venues, spent = Venues(database), []
    start = time.perf_counter()
    for turn, booking in enumerate(bookings):
        desk = Desk(database, venues, await sink_for(turn))
        await asyncio.sleep(max(0.0, start + turn * every_s - time.perf_counter()))
        began = time.perf_counter()
        await assign_in_order(desk, [booking], now=lambda: MIDNIGHT, trigger="ultra_fast")
        spent.append((time.perf_counter() - began) * 1_000)
    return spent


async def nothing(_: int) -> EventSink:
    return NullRecorder()


def ratio(pairs: Sequence[tuple[list[float], list[float]]], of: Callable[[list[float]], float]) -> dict[str, float]:
    """Of the pooled values, first over second, with the middle 95% of what resampling whole rounds gives."""
    drawn = random.Random(1)

    def pooled(some: Sequence[tuple[list[float], list[float]]]) -> float:
        return of([x for first, _ in some for x in first]) / of([x for _, second in some for x in second])

    again = sorted(pooled(drawn.choices(pairs, k=len(pairs))) for _ in range(1_000))
    return {"ratio": round(pooled(pairs), 4), "low": round(again[25], 4), "high": round(again[974], 4)}


def p95(values: list[float]) -> float:
    return percentile(values, 0.95)


async def end_to_end(url: str, days: int) -> dict[str, Any]:
    """The day over and over. Within a day stretches with telemetry and without take turns, each longer than the writer
    waits between two looks; the next day has them the other way round, so every booking is measured in both ways and a
    slow minute of the machine hits both."""
    database = Database(url)
    await database.open()
    recorder = Recorder(url, queue_size=QUEUE_SIZE)
    await recorder.start()
    kept: dict[bool, list[list[float]]] = {True: [], False: []}
    try:
        await import_bookings(database)
        await seat(database, nothing)  # the first one warms up the server
        for turn in range(days):

            def is_on(place: int, turn: int = turn) -> bool:
                return (place // STRETCH + turn) % 2 == 0

            async def sink_for(place: int) -> EventSink:
                if place % STRETCH == 0:
                    await recorder.flush(30)  # what the stretch before has left is not this one's
                return recorder if is_on(place) else NullRecorder()

            spent = await seat(database, sink_for)
            for on, into in kept.items():
                into.append([each for place, each in enumerate(spent) if is_on(place) is on])
    finally:
        await recorder.close(30)
        await database.close()
    # two days make one whole day of each
    pairs = [
        (kept[True][turn] + kept[True][turn + 1], kept[False][turn] + kept[False][turn + 1])
        for turn in range(0, days - 1, 2)
    ]
    return {
        "days": days,
        "bookings_each": sum(len(first) for first, _ in pairs),
        "events": recorder.accepted,
        "lost": recorder.accepted - recorder.written,
        "with_ms": spread([x for first, _ in pairs for x in first]),
        "without_ms": spread([x for _, second in pairs for x in second]),
        "p95": ratio(pairs, p95),
        "median": ratio(pairs, statistics.median),
        "mean": ratio(pairs, statistics.fmean),
    }


def no_disk(url: str) -> str:
    """Commits of this database wait for no disk from now on: what is left of a booking is shorter, and varies less, so
    that what telemetry adds to it weighs more and is seen in fewer days."""
    name = conninfo_to_dict(url)["dbname"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(str(name))))
    return url


async def flood(url: str, rate: int, seconds: float, turns: int) -> dict[str, Any]:
    """So many events a second from four processes while bookings come in: beside no other process, and beside four
    that make the same events and drop them, which tells what only the processor's time is worth."""
    database = Database(url)
    await database.open()
    spent: dict[str, list[list[float]]] = {"alone": [], "null": [], "recorder": []}
    idle: dict[str, list[float]] = {name: [] for name in spent}
    said: list[dict[str, Any]] = []
    try:
        await import_bookings(database)
        await seat(database, nothing)
        rows_before = await _numbered(database)
        for turn in range(turns):
            order = ["alone", "null", "recorder"] if turn % 2 else ["recorder", "null", "alone"]
            for sink in order:
                crew = [] if sink == "alone" else _crew(url, rate // PRODUCERS, seconds, sink)
                before_s = processor_s()
                spent[sink].append(await _bookings_for(database, seconds))
                all_s, idle_s = (after - before for after, before in zip(processor_s(), before_s, strict=True))
                idle[sink].append(round(idle_s / all_s, 3) if all_s else 0.0)
                ended = [json.loads(process.communicate()[0]) for process in crew]
                said += ended if sink == "recorder" else []
        written = await _numbered(database) - rows_before
    finally:
        await database.close()
    against = {name: list(zip(spent["recorder"], spent[name], strict=True)) for name in ("alone", "null")}
    return {
        "events_per_s": rate,
        "seconds": seconds,
        "times": turns,
        "producers": PRODUCERS,
        "made": sum(each["made"] for each in said),
        "written": sum(each["written"] for each in said),
        "rows": written,
        "lost": sum(each["made"] for each in said) - written,
        "dropped": [each["dropped"] for each in said if each["dropped"]],
        "queue_size": QUEUE_SIZE,
        "most_waiting_in_a_queue": max(each["most_waiting"] for each in said),
        "most_memory_of_a_process_mb": max(each["most_memory_mb"] for each in said),
        "seconds_until_written": max(each["seconds"] for each in said),
        "idle_share_of_the_processors": idle,
        "bookings_ms": {name: spread([x for part in parts for x in part]) for name, parts in spent.items()},
        "bookings_p95_over_alone": ratio(against["alone"], p95),
        "bookings_p95_over_null_producers": ratio(against["null"], p95),
    }


def processor_s() -> tuple[float, float]:
    """The processors' time since the machine started, and how much of it they had nothing to do; zeros where nobody
    tells."""
    try:
        ticks = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    except OSError:
        return 0.0, 0.0
    return float(sum(ticks)), float(ticks[3] + ticks[4])


def _crew(url: str, rate: int, seconds: float, sink: str) -> list[subprocess.Popen[str]]:
    crew = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks._producing", url, str(rate), str(seconds), sink],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PRODUCERS)
    ]
    time.sleep(2)  # until all have imported what they need
    for process in crew:
        if process.stdin is not None:
            process.stdin.write("go\n")
            process.stdin.flush()
    return crew


async def _bookings_for(database: Database, seconds: float) -> list[float]:
    """Twenty bookings a second, over and over."""
    until = time.perf_counter() + seconds
    spent: list[float] = []
    while time.perf_counter() < until:
        spent += await seat(database, nothing, every_s=0.05)
    return spent


async def _numbered(database: Database) -> int:
    (row,) = await database.fetch("SELECT count(*) AS n FROM observability_events WHERE producer IS NOT NULL")
    found: int = row["n"]
    return found


async def at_scale(url: str, events: int) -> dict[str, Any]:
    """How long it takes to know that so many events are complete, and to let a part of them go."""
    found = await asyncio.to_thread(fill, url, events)
    database = Database(url, statement_timeout_ms=120_000)
    await database.open()
    try:
        now = datetime.now(UTC)
        all_s: list[float] = []
        day_s: list[float] = []
        says = ""
        for _ in range(5):
            for since, into in ((now - timedelta(days=1), day_s), (datetime(1970, 1, 1, tzinfo=UTC), all_s)):
                began = time.perf_counter()
                complete = await completeness(database, since=since, until=now + timedelta(days=1))
                into.append(time.perf_counter() - began)
                says = complete.sentence
        began = time.perf_counter()
        gone = await retain(database, days=57, now=now, pause_s=0)
        retain_s = time.perf_counter() - began
    finally:
        await database.close()
    return {
        "events": found,
        "check_everything_s": {"median": round(statistics.median(all_s), 3), "worst": round(max(all_s), 3)},
        "check_one_day_s": {"median": round(statistics.median(day_s), 3), "worst": round(max(day_s), 3)},
        "says": says,
        "retention": {"events": gone.deleted, "events_per_s": round(gone.deleted / retain_s)},
    }


PARTS = ("record", "cpu", "end_to_end", "end_to_end_no_disk", "flood", "at_scale", "outages")


def measure(*, quick: bool, parts: Sequence[str]) -> dict[str, Any]:
    """The parts, on a server that exists only for this and keeps every commit on disk."""
    base = Path(tempfile.mkdtemp(prefix="maitred-bench-"))
    base.chmod(0o711)
    server = EmbeddedServer(base / "server")
    try:
        url = server.start()
        measured: dict[str, Callable[[str], Any]] = {
            "record": lambda db: asyncio.run(record_cost(db, *((4, 1_000, 50) if quick else (20, 5_000, 250)))),
            "cpu": lambda _: cpu_cost(2_000 if quick else 20_000),
            "end_to_end": lambda db: asyncio.run(end_to_end(db, 4 if quick else 60)),
            "end_to_end_no_disk": lambda db: asyncio.run(end_to_end(no_disk(db), 4 if quick else 240)),
            "flood": lambda db: asyncio.run(flood(db, *((2_000, 3.0, 1) if quick else (10_000, 30.0, 2)))),
            "at_scale": lambda db: asyncio.run(at_scale(db, 20_000 if quick else 1_000_000)),
            "outages": lambda db: asyncio.run(
                Outages(db, most=30 if quick else 140, away_s=2.0 if quick else 60.0).table()
            ),
        }
        found: dict[str, Any] = {"benchmark": "telemetry", "load": _load()}
        for part in parts:
            found[part] = measured[part](new_database(url, part))
        return {**found, "load_after": _load()}
    finally:
        server.release()
        server.remove()
        shutil.rmtree(base, ignore_errors=True)


def _load() -> list[float] | None:
    """How many wanted a processor in the last 1, 5 and 15 minutes."""
    return [round(each, 2) for each in os.getloadavg()] if hasattr(os, "getloadavg") else None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="small sizes: whether it runs, not what it costs")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; may be given several times")
    arguments = parser.parse_args()
    # the log of the recorders goes to stderr, stdout is for the figures
    import structlog

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    json.dump(measure(quick=arguments.quick, parts=arguments.part or PARTS), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
