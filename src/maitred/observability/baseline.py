"""The baseline: what the events of a window say about speed, attempts and results, computed by PostgreSQL.

Percentiles are `percentile_cont`, as in the original's reports. All figures of one baseline come from one snapshot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import LiteralString
from uuid import UUID

from maitred.observability.order_statistics import upper_bound_rank
from maitred.storage.database import Database, Row, Statement

NO_REASON = "NO_REASON"

_QUANTILES = (0.5, 0.95, 0.99)

_BEGIN = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", {})
# A report over a month may take longer than a booking may, and sorts more.
_PATIENCE = Statement(
    "SELECT set_config('statement_timeout', '120s', true), set_config('work_mem', '64MB', true)",
    {},
)
_COMMIT = Statement("COMMIT", {})

# Rows may come from other systems than ours: whatever is no number or no truth value counts as not known.
_RECORDED: LiteralString = """
WITH recorded AS NOT MATERIALIZED (
    SELECT created_at, source, event_type, context, booking_id
      FROM observability_events
     WHERE created_at >= %(since)s AND created_at < %(until)s
       AND (%(restaurant_id)s::uuid IS NULL OR restaurant_id = %(restaurant_id)s::uuid)
)
"""

_QUOTES: LiteralString = """,
quotes AS MATERIALIZED (
    SELECT created_at, source, booking_id,
           coalesce(context->>'trigger', 'NO_TRIGGER') AS trigger,
           CASE context->'planner_success' WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE 'unknown' END
               AS success,
           coalesce(context->>'planner_reason_code', 'NO_REASON') AS reason,
           CASE jsonb_typeof(context->'attempt_index')
               WHEN 'number' THEN (context->>'attempt_index')::double precision END AS attempt_index,
           CASE jsonb_typeof(context->'planner_duration_ms')
               WHEN 'number' THEN (context->>'planner_duration_ms')::double precision END AS duration_ms
      FROM recorded
     WHERE event_type = 'auto_assign.quote'
)
"""

_RUNS: LiteralString = """,
runs AS MATERIALIZED (
    SELECT booking_id,
           coalesce(context->>'result', 'NO_RESULT') AS result,
           coalesce(context->'skippedInitialAttempt' = 'true', false) AS skipped_first,
           context->>'inlineSkipReason' AS skip_reason,
           CASE jsonb_typeof(context->'attemptsUsed')
               WHEN 'number' THEN (context->>'attemptsUsed')::double precision END AS attempts,
           CASE jsonb_typeof(context->'totalDurationMs')
               WHEN 'number' THEN (context->>'totalDurationMs')::double precision END AS total_ms
      FROM recorded
     WHERE event_type = 'auto_assign.summary'
)
"""

# Two quotes are neighbours in one run when the second has the next attempt's index: that needs neither a run's id,
# which the original's events don't have, nor one clock for quotes and for state changes.
_PARTS: LiteralString = """,
gaps AS (
    SELECT attempt_index - lag(attempt_index) OVER neighbours AS step,
           extract(epoch FROM created_at - lag(created_at) OVER neighbours)::double precision * 1000 AS delay_ms
      FROM quotes
     WHERE booking_id IS NOT NULL
    WINDOW neighbours AS (PARTITION BY booking_id, source, trigger ORDER BY created_at, attempt_index)
),
samples (metric, part, x) AS (
    SELECT 'planner', '', duration_ms FROM quotes
    UNION ALL SELECT 'planner_by_source', source, duration_ms FROM quotes
    UNION ALL SELECT 'planner_by_trigger', trigger, duration_ms FROM quotes
    UNION ALL SELECT 'planner_by_success', success, duration_ms FROM quotes
    UNION ALL SELECT 'calls_per_booking', '', count(*) FROM quotes WHERE booking_id IS NOT NULL GROUP BY booking_id
    UNION ALL SELECT 'attempts_per_run', '', attempts FROM runs
    UNION ALL SELECT 'attempts_per_booking', '', sum(attempts) FROM runs
     WHERE booking_id IS NOT NULL GROUP BY booking_id
    UNION ALL SELECT 'retry_delay', '', delay_ms FROM gaps WHERE step = 1
    UNION ALL SELECT 'attempts_by_result', result, attempts FROM runs
    UNION ALL SELECT 'total_by_result', result, total_ms FROM runs
)
"""
_SAMPLES: LiteralString = _RECORDED + _QUOTES + _RUNS + _PARTS

_DISTRIBUTIONS: LiteralString = (
    _SAMPLES
    + """
SELECT metric, part, count(*) AS n, avg(x) AS mean, max(x) AS max,
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY x) AS quantiles
  FROM samples
 WHERE x IS NOT NULL
 GROUP BY metric, part
 ORDER BY metric, n DESC, part
"""
)

# The value of a rank: percentile_disc takes the first one whose share of the n reaches the fraction.
_BOUNDS: LiteralString = (
    _SAMPLES
    + """
SELECT metric, part, percentile_disc(ARRAY[median, p95, p99]) WITHIN GROUP (ORDER BY x) AS bounds
  FROM samples
  JOIN unnest(%(metrics)s::text[], %(parts)s::text[], %(median)s::double precision[], %(p95)s::double precision[],
              %(p99)s::double precision[]) AS wanted (metric, part, median, p95, p99) USING (metric, part)
 WHERE x IS NOT NULL
 GROUP BY metric, part, median, p95, p99
"""
)

_RESULTS: LiteralString = (
    _RECORDED
    + _RUNS
    + """
SELECT result, count(*) AS runs, count(*) FILTER (WHERE skipped_first) AS skipped_first,
       count(DISTINCT skip_reason) AS skip_reasons,
       coalesce(sum(greatest(attempts - 1, 0)), 0)::bigint AS retries,
       count(*) FILTER (WHERE attempts > 1) AS runs_retried
  FROM runs
 GROUP BY result
 ORDER BY runs DESC, result
"""
)

_FAILURES: LiteralString = (
    _RECORDED
    + _QUOTES
    + """
SELECT reason, count(*) AS calls FROM quotes WHERE success = 'false' GROUP BY reason ORDER BY calls DESC, reason
"""
)

_HOURS: LiteralString = (
    _RECORDED
    + """
SELECT date_trunc('hour', created_at, 'UTC') AS hour, event_type, count(*) AS events
  FROM recorded
 GROUP BY 1, 2
 ORDER BY 1, 2
"""
)


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile of a sample, and the value that the true one is below with 97.5% confidence; None: bound open."""

    value: float
    upper: float | None


@dataclass(frozen=True, slots=True)
class Distribution:
    """`n` values; everything else is None when there are none."""

    n: int
    mean: float | None = None
    median: Percentile | None = None
    p95: Percentile | None = None
    p99: Percentile | None = None
    max: float | None = None


NOTHING = Distribution(0)


@dataclass(frozen=True, slots=True)
class PlannerTimes:
    """Milliseconds of planner calls (one call: read, plan, hold), overall and by what `auto_assign.quote` says."""

    overall: Distribution = NOTHING
    by_source: Mapping[str, Distribution] = field(default_factory=dict)
    by_trigger: Mapping[str, Distribution] = field(default_factory=dict)
    by_success: Mapping[str, Distribution] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often it took. `retry_delay_ms` is the time from one quote to the next of the same booking and run."""

    per_run: Distribution = NOTHING
    per_booking: Distribution = NOTHING
    retries: int = 0
    runs_retried: int = 0
    retry_delay_ms: Distribution = NOTHING


@dataclass(frozen=True, slots=True)
class ResultLine:
    """The runs that ended with one result. `skip_reasons` counts the different ones."""

    result: str
    runs: int
    attempts_used: Distribution
    total_duration_ms: Distribution
    skipped_first: int
    skip_reasons: int


@dataclass(frozen=True, slots=True)
class EventRate:
    """Events of one family (the part of the type before the dot) or of all (`family` None).

    `per_hour` is over the whole window; `busiest_hour` is the most in one hour of the clock.
    """

    family: str | None
    events: int
    per_hour: float
    busiest_hour: int


@dataclass(frozen=True, slots=True)
class HourCount:
    """Events of one type in the hour that starts at `hour`, in UTC."""

    hour: datetime
    event_type: str
    events: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the events of [since, until) say; of one restaurant, or of all when `restaurant_id` is None.

    `failures` are pairs of a reason code, or NO_REASON, and the number of planner calls that failed for it.
    """

    since: datetime
    until: datetime
    restaurant_id: UUID | None = None
    planner: PlannerTimes = field(default_factory=PlannerTimes)
    calls_per_booking: Distribution = NOTHING
    attempts: Attempts = field(default_factory=Attempts)
    results: tuple[ResultLine, ...] = ()
    failures: tuple[tuple[str, int], ...] = ()
    hours: tuple[HourCount, ...] = ()

    @property
    def events(self) -> int:
        """All events of the window."""
        return sum(each.events for each in self.hours)

    @property
    def events_by_type(self) -> Mapping[str, int]:
        """How many of each type, in the order of their names."""
        counted: Counter[str] = Counter()
        for each in self.hours:
            counted[each.event_type] += each.events
        return dict(sorted(counted.items()))

    @property
    def rates(self) -> tuple[EventRate, ...]:
        """All events first, then each family, in the order of their names."""
        families = sorted({family_of(each.event_type) for each in self.hours})
        return (self._rate(None), *(self._rate(family) for family in families))

    def _rate(self, family: str | None) -> EventRate:
        by_hour: Counter[datetime] = Counter()
        for each in self.hours:
            if family is None or family_of(each.event_type) == family:
                by_hour[each.hour] += each.events
        total = by_hour.total()
        window_h = (self.until - self.since).total_seconds() / 3600
        return EventRate(family, total, total / window_h, max(by_hour.values(), default=0))


async def baseline(db: Database, *, since: datetime, until: datetime, restaurant_id: UUID | None = None) -> Baseline:
    """Reads the baseline of the window [since, until); two round trips.

    Raises ValueError for instants without a zone or a window without length, and what `Database` raises.
    """
    if since.tzinfo is None or until.tzinfo is None or since >= until:
        raise ValueError("a baseline needs a window of instants with a zone, the end after the start")
    window = {"since": since, "until": until, "restaurant_id": restaurant_id}
    asked = (_DISTRIBUTIONS, _RESULTS, _FAILURES, _HOURS)
    async with db.session() as session:
        _, _, distributions, results, failures, hours = await session.send(
            [_BEGIN, _PATIENCE, *(Statement(sql, window) for sql in asked)]
        )
        bounds, _ = await session.send([Statement(_BOUNDS, {**window, **_wanted(distributions)}), _COMMIT])
    return _assemble(since, until, restaurant_id, _Distributions(distributions, bounds), results, failures, hours)


def _wanted(rows: Sequence[Row]) -> Mapping[str, list[str] | list[float | None]]:
    """Which ranks to look up, as fractions of n that point at the middle of the rank."""
    fractions: list[list[float | None]] = [[] for _ in _QUANTILES]
    for row in rows:
        for quantile, found in zip(_QUANTILES, fractions, strict=True):
            rank = upper_bound_rank(row["n"], quantile)
            found.append(None if rank is None else (rank - 0.5) / row["n"])
    return {
        "metrics": [row["metric"] for row in rows],
        "parts": [row["part"] for row in rows],
        **dict(zip(("median", "p95", "p99"), fractions, strict=True)),
    }


class _Distributions:
    """The distributions by metric and part."""

    def __init__(self, rows: Iterable[Row], bounds: Iterable[Row]) -> None:
        upper = {(row["metric"], row["part"]): row["bounds"] for row in bounds}
        self._found = {
            (row["metric"], row["part"]): _distribution(row, upper[row["metric"], row["part"]]) for row in rows
        }

    def one(self, metric: str, part: str = "") -> Distribution:
        return self._found.get((metric, part), NOTHING)

    def parts(self, metric: str) -> dict[str, Distribution]:
        return {part: found for (of, part), found in self._found.items() if of == metric}


def _distribution(row: Row, uppers: Sequence[float | None]) -> Distribution:
    median, p95, p99 = map(Percentile, row["quantiles"], uppers)
    return Distribution(row["n"], row["mean"], median, p95, p99, row["max"])


def _assemble(
    since: datetime,
    until: datetime,
    restaurant_id: UUID | None,
    found: _Distributions,
    results: Sequence[Row],
    failures: Sequence[Row],
    hours: Sequence[Row],
) -> Baseline:
    return Baseline(
        since=since,
        until=until,
        restaurant_id=restaurant_id,
        planner=PlannerTimes(
            overall=found.one("planner"),
            by_source=found.parts("planner_by_source"),
            by_trigger=found.parts("planner_by_trigger"),
            by_success=found.parts("planner_by_success"),
        ),
        calls_per_booking=found.one("calls_per_booking"),
        attempts=Attempts(
            per_run=found.one("attempts_per_run"),
            per_booking=found.one("attempts_per_booking"),
            retries=sum(row["retries"] for row in results),
            runs_retried=sum(row["runs_retried"] for row in results),
            retry_delay_ms=found.one("retry_delay"),
        ),
        results=tuple(
            ResultLine(
                result=row["result"],
                runs=row["runs"],
                attempts_used=found.one("attempts_by_result", row["result"]),
                total_duration_ms=found.one("total_by_result", row["result"]),
                skipped_first=row["skipped_first"],
                skip_reasons=row["skip_reasons"],
            )
            for row in results
        ),
        failures=tuple((row["reason"], row["calls"]) for row in failures),
        hours=tuple(HourCount(row["hour"].astimezone(UTC), row["event_type"], row["events"]) for row in hours),
    )


def family_of(event_type: str) -> str:
    """The part of an event's type before the dot."""
    return event_type.partition(".")[0]
