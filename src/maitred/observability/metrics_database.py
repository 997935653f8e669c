"""The figures of `/metrics` that only the database knows: one bounded query, kept for a while, waited for briefly."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import structlog
from prometheus_client.metrics_core import Metric

from maitred.errors import DatabaseUnavailable
from maitred.observability.metrics import CountedEvents, gauge
from maitred.storage.database import Database, Row, Statement

KEPT_S = 5.0
"""So long figures are told without asking again."""

STALE_S = 60.0
"""Older figures aren't told at all: an alert must not stand on how it was before the database went away."""

_PATIENCE_S = 0.5
_STATEMENT_MS = "2000"
_RUNS_AT_ONCE = 1_000
_MOST_RUNS = 10_000
_COMMITTED_LATE = timedelta(seconds=30)

_LIMIT: LiteralString = "SELECT set_config('statement_timeout', %(ms)s, true)"
# Each count ends at 100,000, and each has a partial index that it walks.
_FIGURES: LiteralString = """
SELECT (SELECT count(*) FROM (SELECT FROM messages WHERE state = 'waiting' LIMIT 100000) w) AS waiting,
       (SELECT count(*) FROM (SELECT FROM messages WHERE state = 'dead' LIMIT 100000) d) AS dead,
       (SELECT extract(epoch FROM clock_timestamp() - min(due_at))::float8
          FROM (SELECT due_at FROM messages WHERE state = 'waiting' LIMIT 100000) o) AS late_s,
       count(*) AS live,
       count(*) FILTER (WHERE due_at < clock_timestamp() - interval '1 minute') AS overdue
  FROM (SELECT due_at FROM runs WHERE ended_at IS NULL LIMIT 100000) r
"""
_ENDED: LiteralString = """
SELECT extract(epoch FROM ended_at - least(inline_at, created_at))::float8 AS seconds
  FROM runs WHERE id = ANY(%(ids)s::uuid[]) AND ended_at IS NOT NULL AND result = 'succeeded'
"""
# Every way out of every run leaves a summary, whoever made it: a worker, an operations run, a move that ended it. One
# that was committed late lies behind others that were seen already, so the last moments are looked through again.
_SUMMARIES: LiteralString = """
SELECT id, created_at, context->>'trigger' AS trigger, context->>'result' AS result
  FROM observability_events
 WHERE event_type = 'auto_assign.summary' AND created_at > %(since)s
 ORDER BY created_at LIMIT 50000
"""

_log = structlog.get_logger(__name__)


class DatabaseFigures:
    """Asks at most once at a time and every KEPT_S seconds, and only while somebody scrapes."""

    def __init__(self, database: Database, counted: CountedEvents) -> None:
        self._database = database
        self._counted = counted
        self._ended: deque[UUID] = deque(maxlen=_MOST_RUNS)
        self._since = self._began = datetime.now(UTC)
        self._seen: dict[UUID, datetime] = {}
        self._row: dict[str, Any] | None = None
        self._asked_at = -KEPT_S
        self._known_at = 0.0
        self._up = False
        self._asking: asyncio.Task[None] | None = None

    def run_ended(self, run_id: UUID) -> None:
        """Remembers a run that ended here, in a transaction that is through. How long it took is read with the figures.

        Waits for nothing. Of more than 10,000 that nobody asked about, the oldest are counted as uncounted.
        """
        if len(self._ended) == _MOST_RUNS:
            self._counted.uncounted += 1
        self._ended.append(run_id)

    async def refresh(self) -> None:
        """Asks if what is known is no longer new. Waits half a second for the answer at most; it may come later."""
        if self._asking is None and time.monotonic() - self._asked_at >= KEPT_S:
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._ask(), name="maitred-metrics")
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=_PATIENCE_S)

    async def close(self) -> None:
        """Gives up a question under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking}, timeout=1.0)

    def collect(self) -> Iterator[Metric]:
        """The figures, as far as they are known and new enough."""
        now = time.monotonic()
        answering = self._up and not (self._asking is not None and now - self._asked_at > _PATIENCE_S)
        yield gauge("maitred_database_up", "Whether the database answered the last time it was asked.", answering)
        if self._row is None or now - self._known_at > STALE_S:
            return
        row = self._row
        yield gauge("maitred_messages_waiting", "Messages that wait for their delivery.", row["waiting"])
        told = "How long ago the message that has waited longest was due."
        yield gauge("maitred_messages_late_seconds", told, max(0.0, row["late_s"] or 0.0))
        yield gauge("maitred_messages_dead", "Messages that were given up.", row["dead"])
        yield gauge("maitred_runs_live", "Runs that have not ended.", row["live"])
        yield gauge("maitred_runs_overdue", "Live runs whose attempt was due more than a minute ago.", row["overdue"])

    async def _ask(self) -> None:
        ids = list(self._ended)[:_RUNS_AT_ONCE]
        try:
            _, figures, ended, summaries = await self._database.transact(
                [
                    Statement(_LIMIT, {"ms": _STATEMENT_MS}),
                    Statement(_FIGURES, {}),
                    Statement(_ENDED, {"ids": ids}),
                    Statement(_SUMMARIES, {"since": max(self._began, self._since - _COMMITTED_LATE)}),
                ]
            )
        except (DatabaseUnavailable, psycopg.Error) as error:
            self._up = False
            _log.warning("metrics.database_away", error=type(error).__name__)
            return
        finally:
            self._asking = None
        self._up = True
        self._row, self._known_at = figures[0], time.monotonic()
        for run_id in ids:
            if self._ended and self._ended[0] == run_id:  # not pushed out meanwhile, and counted for that
                self._ended.popleft()
        for row in ended:
            self._counted.run_confirmed(row["seconds"])
        self._count(summaries)

    def _count(self, summaries: list[Row]) -> None:
        """Counts those that were not seen before, and remembers them for as long as they can come again."""
        for row in summaries:
            if row["id"] not in self._seen:
                self._seen[row["id"]] = row["created_at"]
                self._counted.run_ended(row["trigger"], row["result"])
                self._since = max(self._since, row["created_at"])
        kept_from = self._since - 2 * _COMMITTED_LATE
        self._seen = {each: at for each, at in self._seen.items() if at > kept_from}
