"""The original's own reports run unchanged on our table, and say what our baseline says.

The statements ask what the last part of the catalogue of its events lists, in the words of its dialect.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import LiteralString
from uuid import uuid4

import pytest

from maitred.model.reason import ReasonCode
from maitred.observability import events
from maitred.observability.baseline import Baseline, Distribution, baseline
from maitred.observability.events import Event, RunResult
from maitred.observability.recorder import state_event_statement
from maitred.storage.database import Database, Row

SINCE = datetime(2025, 11, 6, 8, 0, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=1)
WINDOW = {"since": SINCE, "until": UNTIL}

PER_RESULT: LiteralString = """
SELECT context->>'result' AS result,
       COUNT(*) AS jobs,
       AVG((context->>'attemptsUsed')::numeric) AS attempts_mean,
       PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY (context->>'attemptsUsed')::numeric) AS attempts_median,
       PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY (context->>'attemptsUsed')::numeric) AS attempts_p95,
       PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY (context->>'attemptsUsed')::numeric) AS attempts_p99,
       MAX((context->>'attemptsUsed')::numeric) AS attempts_max,
       AVG((context->>'totalDurationMs')::numeric) AS total_mean,
       PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY (context->>'totalDurationMs')::numeric) AS total_median,
       PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY (context->>'totalDurationMs')::numeric) AS total_p95,
       PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY (context->>'totalDurationMs')::numeric) AS total_p99,
       MAX((context->>'totalDurationMs')::numeric) AS total_max,
       COUNT(*) FILTER (WHERE (context->>'skippedInitialAttempt')::boolean) AS skipped_first,
       COUNT(DISTINCT context->>'inlineSkipReason') AS skip_reasons
  FROM observability_events
 WHERE source = 'auto_assign' AND event_type = 'auto_assign.summary'
   AND created_at >= %(since)s AND created_at < %(until)s
 GROUP BY 1
 ORDER BY jobs DESC, 1
"""

QUOTES_BY_SUCCESS: LiteralString = """
SELECT context->>'planner_success' AS success,
       COUNT(*) AS quotes,
       AVG((context->>'planner_duration_ms')::numeric) AS mean,
       PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY (context->>'planner_duration_ms')::numeric) AS median,
       PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY (context->>'planner_duration_ms')::numeric) AS p95,
       PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY (context->>'planner_duration_ms')::numeric) AS p99,
       MAX((context->>'planner_duration_ms')::numeric) AS max
  FROM observability_events
 WHERE event_type = 'auto_assign.quote' AND created_at >= %(since)s AND created_at < %(until)s
 GROUP BY 1
 ORDER BY 1
"""

ATTEMPTS_AGAINST_TIME: LiteralString = """
SELECT context->>'result' AS result, (context->>'attemptsUsed')::int AS attempts, COUNT(*) AS jobs,
       AVG((context->>'totalDurationMs')::numeric) AS total_mean
  FROM observability_events
 WHERE event_type = 'auto_assign.summary' AND created_at >= %(since)s AND created_at < %(until)s
 GROUP BY 1, 2
 ORDER BY 1, 2
"""

EVENTS_PER_HOUR: LiteralString = """
SELECT date_trunc('hour', created_at AT TIME ZONE 'UTC') AS hour, split_part(event_type, '.', 1) AS family,
       COUNT(*) AS events
  FROM observability_events
 WHERE created_at >= %(since)s AND created_at < %(until)s
 GROUP BY 1, 2
 ORDER BY 1, 2
"""

FAILURES: LiteralString = """
SELECT COALESCE(context->>'planner_reason_code', 'NO_REASON') AS reason, COUNT(*) AS quotes
  FROM observability_events
 WHERE event_type = 'auto_assign.quote' AND context->>'planner_success' = 'false'
   AND created_at >= %(since)s AND created_at < %(until)s
 GROUP BY 1
 ORDER BY quotes DESC, 1
"""


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
    rows = await database.fetch(PER_RESULT, WINDOW)
    assert len(rows) == 5
    for line, row in zip(ours.results, rows, strict=True):
        assert (line.result, line.runs) == (row["result"], row["jobs"])
        assert (line.skipped_first, line.skip_reasons) == (row["skipped_first"], row["skip_reasons"])
        assert_same(line.attempts_used, row, "attempts_")
        assert_same(line.total_duration_ms, row, "total_")


@pytest.mark.parametrize("seed", [1, 2])
async def test_quotes_by_success(seed: int, database: Database) -> None:
    ours = await told(database, seed)
    rows = await database.fetch(QUOTES_BY_SUCCESS, WINDOW)
    assert {row["success"] for row in rows} == ours.planner.by_success.keys() == {"true", "false"}
    for row in rows:
        assert ours.planner.by_success[row["success"]].n == row["quotes"]
        assert_same(ours.planner.by_success[row["success"]], row, "")


async def test_attempts_against_total_time(database: Database) -> None:
    ours = await told(database, 3)
    rows = await database.fetch(ATTEMPTS_AGAINST_TIME, WINDOW)
    for line in ours.results:
        of_result = [row for row in rows if row["result"] == line.result]
        assert sum(row["jobs"] for row in of_result) == line.runs
        assert max(row["attempts"] for row in of_result) == line.attempts_used.max
        total = sum(float(row["total_mean"]) * row["jobs"] for row in of_result)
        assert total / line.runs == pytest.approx(line.total_duration_ms.mean)


async def test_events_per_hour(database: Database) -> None:
    ours = await told(database, 4)
    rows = await database.fetch(EVENTS_PER_HOUR, WINDOW)
    by_hour: dict[datetime, int] = {}
    for each in ours.hours:
        by_hour[each.hour] = by_hour.get(each.hour, 0) + each.events
    assert by_hour == {row["hour"].replace(tzinfo=UTC): row["events"] for row in rows}
    assert {row["family"] for row in rows} == {"auto_assign"}


async def test_failure_reasons(database: Database) -> None:
    ours = await told(database, 5)
    rows = await database.fetch(FAILURES, WINDOW)
    assert ours.failures == tuple((row["reason"], row["quotes"]) for row in rows)
    assert "NO_REASON" in dict(ours.failures)
