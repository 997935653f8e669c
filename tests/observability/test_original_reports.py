"""The original's own reports run unchanged on our table, and say what our baseline says.

The statements (docs/original-reports.sql) ask what the last part of the catalogue of its events lists, in its dialect.
"""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import LiteralString, cast
from uuid import uuid4

import pytest

from maitred.model.reason import ReasonCode
from maitred.observability import events, inline_events
from maitred.observability.baseline import Baseline, Distribution, baseline
from maitred.observability.events import Event, RunResult
from maitred.observability.recorder import state_event_statement
from maitred.storage.database import Database, Row

SINCE = datetime(2025, 11, 6, 8, 0, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=1)
WINDOW = {"since": SINCE, "until": UNTIL}
FILE = Path(__file__).parents[2] / "docs" / "original-reports.sql"


def report(name: str) -> LiteralString:
    """One statement of the file, with psycopg's way to write parameters."""
    [found] = re.findall(rf"-- name: {name}\n(.*?);\n", FILE.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = found.replace("%", "%%").replace(":'since'", "%(since)s").replace(":'until'", "%(until)s")
    return cast("LiteralString", text)


def a_day(seed: int) -> list[Event]:
    """Runs as they could have happened, with quotes that failed, raised and succeeded."""
    drawn = random.Random(seed)
    results: tuple[RunResult, ...] = ("succeeded", "succeeded", "cutoff", "already_confirmed", "exhausted", "error")
    made = []
    for _ in range(120):
        booking_id, at = uuid4(), SINCE + timedelta(seconds=drawn.uniform(0, 86_000))
        attempts, result = drawn.randint(1, 4), drawn.choice(results)
        for index in range(attempts):
            success = result == "succeeded" and index == attempts - 1
            made.append(
                events.quote(
                    restaurant_id=None,
                    booking_id=booking_id,
                    trigger="creation",
                    attempt_index=index,
                    duration_ms=drawn.lognormvariate(2, 1),
                    success=success,
                    reason=None if success or drawn.random() < 0.2 else drawn.choice(list(ReasonCode)),
                    at=at + timedelta(seconds=5 * index),
                )
            )
        skipped = drawn.random() < 0.2
        made.append(
            events.summary(
                restaurant_id=None,
                booking_id=booking_id,
                trigger="creation",
                result=result,
                attempts_used=attempts,
                max_attempts=4,
                total_duration_ms=drawn.lognormvariate(5, 2),
                skipped_initial_attempt=skipped,
                inline_skip_reason=drawn.choice(list(ReasonCode)) if skipped else None,
                at=at + timedelta(seconds=30),
            )
        )
    return made


async def told(database: Database, seed: int) -> Baseline:
    await database.transact([state_event_statement(event) for event in a_day(seed)])
    return await baseline(database, since=SINCE, until=UNTIL)


def assert_same(ours: Distribution, row: Row, prefix: str) -> None:
    figures = {
        "mean": ours.mean,
        "median": ours.median and ours.median.value,
        "p95": ours.p95 and ours.p95.value,
        "p99": ours.p99 and ours.p99.value,
        "max": ours.max,
    }
    assert figures == pytest.approx({name: float(row[prefix + name]) for name in figures}, rel=1e-9)


@pytest.mark.parametrize("seed", [1, 2])
async def test_runs_by_result(seed: int, database: Database) -> None:
    ours = await told(database, seed)
    rows = await database.fetch(report("per_result"), WINDOW)
    assert len(rows) == 5
    for line, row in zip(ours.results, rows, strict=True):
        assert (line.result, line.runs) == (row["result"], row["jobs"])
        assert (line.skipped_first, line.skip_reasons) == (row["skipped_first"], row["skip_reasons"])
        assert_same(line.attempts_used, row, "attempts_")
        assert_same(line.total_duration_ms, row, "total_")


@pytest.mark.parametrize("seed", [1, 2])
async def test_quotes_by_success(seed: int, database: Database) -> None:
    ours = await told(database, seed)
    rows = await database.fetch(report("quotes_by_success"), WINDOW)
    assert {row["success"] for row in rows} == ours.planner.by_success.keys() == {"true", "false"}
    for row in rows:
        assert ours.planner.by_success[row["success"]].n == row["quotes"]
        assert_same(ours.planner.by_success[row["success"]], row, "")


async def test_attempts_against_total_time(database: Database) -> None:
    ours = await told(database, 3)
    rows = await database.fetch(report("attempts_against_time"), WINDOW)
    for line in ours.results:
        of_result = [row for row in rows if row["result"] == line.result]
        assert sum(row["jobs"] for row in of_result) == line.runs
        assert max(row["attempts"] for row in of_result) == line.attempts_used.max
        total = sum(float(row["total_mean"]) * row["jobs"] for row in of_result)
        assert total / line.runs == pytest.approx(line.total_duration_ms.mean)


async def test_events_per_hour(database: Database) -> None:
    ours = await told(database, 4)
    rows = await database.fetch(report("events_per_hour"), WINDOW)
    by_hour: dict[datetime, int] = {}
    for each in ours.hours:
        by_hour[each.hour] = by_hour.get(each.hour, 0) + each.events
    assert by_hour == {row["hour"].replace(tzinfo=UTC): row["events"] for row in rows}
    assert {row["family"] for row in rows} == {"auto_assign"}


async def test_failure_reasons(database: Database) -> None:
    ours = await told(database, 5)
    rows = await database.fetch(report("failures"), WINDOW)
    assert ours.failures == tuple((row["reason"], row["quotes"]) for row in rows)
    assert "NO_REASON" in dict(ours.failures)


async def test_inline_against_job(database: Database) -> None:
    """By hand: a run with an inline quote just before, one with two, one whose quote is too old, one with none."""
    at = SINCE + timedelta(hours=2)
    bookings = [uuid4() for _ in range(4)]
    quotes = [(0, 60, 120.0, False), (1, 250, 999.0, True), (1, 30, 80.0, True), (2, 301, 500.0, False)]
    made = [
        inline_events.quote_result(
            restaurant_id=None,
            booking_id=bookings[turn],
            attempt_id=uuid4(),
            duration_ms=ms,
            has_hold=held,
            reason=None,
            alternates=0,
            at=at - timedelta(seconds=before),
        )
        for turn, before, ms, held in quotes
    ]
    made += [
        events.summary(
            restaurant_id=None,
            booking_id=booking,
            trigger="creation",
            result="succeeded",
            attempts_used=1,
            max_attempts=4,
            total_duration_ms=1_000.0 * (turn + 1),
            at=at,
        )
        for turn, booking in enumerate(bookings)
    ]
    await database.transact([state_event_statement(event) for event in made])
    [row] = await database.fetch(report("inline_against_job"), WINDOW)
    assert (row["result"], row["jobs"], row["with_inline"], row["inline_held"]) == ("succeeded", 4, 2, 1)
    assert (float(row["inline_mean"]), row["inline_median"], float(row["job_mean"])) == (100.0, 100.0, 1_500.0)


def test_every_report_of_the_file_is_tried() -> None:
    names = set(re.findall(r"-- name: (\w+)", FILE.read_text(encoding="utf-8")))
    assert names == set(re.findall(r'report\("(\w+)"\)', Path(__file__).read_text(encoding="utf-8")))
