"""The way of an event into the database.

A measurement is handed to a `Recorder`, which keeps it in memory until its one writer has written it; the caller never
waits and never fails for it. An event that states a change rides in the transaction that makes it true: for that there
are `state_event_statement` and `state_event_if_confirmed`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, LiteralString, Protocol
from uuid import UUID

import structlog

from maitred.observability.event_writer import EventWriter, WriterStopped, encode
from maitred.observability.events import Event, error_name
from maitred.storage.database import Statement

BATCH = 500
LINGER_S = 0.25

# Why an event was lost.
CLOSED = "closed"  # recorded after close
QUEUE_FULL = "queue_full"  # the writer could not keep up, or the server was away for too long
INVALID = "invalid"  # no valid JSON, or too large
REFUSED = "refused"  # the database would not have it
UNWRITTEN = "unwritten"  # still waiting when close gave up; of a batch on its way, some may have arrived

_STOP_LIMIT_S = 1.0

_STATE_EVENT: LiteralString = """
INSERT INTO observability_events
    (id, created_at, source, event_type, severity, context, restaurant_id, booking_id)
SELECT %(id)s::uuid, coalesce(%(created_at)s::timestamptz, clock_timestamp()), %(source)s::text, %(event_type)s::text,
       %(severity)s::text, %(context)s::jsonb, %(restaurant_id)s::uuid, %(booking_id)s::uuid
"""
_ONCE: LiteralString = " ON CONFLICT (id) DO NOTHING"
_STATE_EVENT_ALWAYS: LiteralString = _STATE_EVENT + _ONCE
_STATE_EVENT_IF_CONFIRMED: LiteralString = (
    _STATE_EVENT + " WHERE EXISTS (SELECT FROM confirmations WHERE id = %(confirmation_id)s::uuid)" + _ONCE
)

_log = structlog.get_logger(__name__)


class EventSink(Protocol):
    """Where measurements go."""

    def record_observability_event(self, event: Event) -> None:
        """Takes the event. Never waits, never raises."""


class Recorder:
    """Takes measurements from the event loop's thread and writes them in batches, over a connection of its own.

    At most `queue_size` events wait in memory, those on their way included; when it is full the newest is dropped and
    counted. Everything accepted is at last written or counted in `dropped`.
    """

    def __init__(self, url: str, *, queue_size: int, pooler: bool = False) -> None:
        self._queue_size = queue_size
        self._writer = EventWriter(url, pooler=pooler)
        self._queue: deque[tuple[Event, datetime]] = deque()
        self._on_their_way = 0
        self._accepted = 0
        self._settled = 0
        self._written = 0
        self._dropped: Counter[str] = Counter()
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._write_now = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def accepted(self) -> int:
        """How many events were taken into the queue."""
        return self._accepted

    @property
    def written(self) -> int:
        """How many of the accepted events the database has."""
        return self._written

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many events were lost, by reason (this module's constants); 0 for a reason that never occurred."""
        return +self._dropped

    def record_observability_event(self, event: Event) -> None:
        """Takes the event, or drops and counts it. No lock, no I/O, no log, no exception; also after `close`."""
        if self._closed:
            self._dropped[CLOSED] += 1
        elif len(self._queue) + self._on_their_way >= self._queue_size:
            self._dropped[QUEUE_FULL] += 1
        else:
            self._queue.append((event, datetime.now(UTC)))
            self._accepted += 1

    async def start(self) -> None:
        """Starts the writer; does not wait for the database, which may be away. Events recorded before are kept."""
        if self._closed:
            raise RuntimeError("a closed recorder stays closed")
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="maitred-event-writer")

    async def flush(self, timeout_s: float = 2.0) -> bool:
        """Waits until everything accepted so far is written or counted as dropped; False when it took too long."""
        target = self._accepted
        if self._settled >= target:
            return True
        if self._task is None or self._task.done():
            return False
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((target, settled))
        self._write_now.set()
        self._writer.retry_now()
        try:
            async with asyncio.timeout(timeout_s):
                await settled
        except TimeoutError:
            return False
        finally:
            self._waiting = [each for each in self._waiting if each[1] is not settled]
        return True

    async def close(self, timeout_s: float = 2.0) -> None:
        """Writes what is left, for at most so many seconds, and ends the writer. What then remains is counted."""
        self._closed = True
        try:
            await self.flush(timeout_s)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        task = self._task
        if task is not None and not task.done():
            if not self._writer.stop():
                task.cancel()
            await asyncio.wait({task}, timeout=_STOP_LIMIT_S)
            if not task.done():  # the answer came just before the cut, and the writer has gone on
                task.cancel()
                await asyncio.wait({task}, timeout=_STOP_LIMIT_S)
        self._dropped[UNWRITTEN] = self._accepted - self._settled
        self._queue.clear()
        if lost := self.dropped:
            _log.warning("events.dropped", **lost)

    async def _run(self) -> None:
        try:
            while True:
                await self._linger()
                due = self._accepted
                while self._settled < due or len(self._queue) >= BATCH:
                    await self._write_batch()
        except WriterStopped:
            return
        finally:
            await self._writer.disconnect()

    async def _linger(self) -> None:
        # The queue is looked at, not listened to: waking a task is more than recording an event may cost.
        try:
            async with asyncio.timeout(LINGER_S):
                await self._write_now.wait()
        except TimeoutError:
            return
        self._write_now.clear()

    async def _write_batch(self) -> None:
        taken = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        self._on_their_way = len(taken)
        rows = []
        for event, recorded_at in taken:
            try:
                rows.append(encode(event, recorded_at))
            except Exception as error:  # noqa: BLE001 - whatever was handed in, the others have to get through
                self._dropped[INVALID] += 1
                _log.warning("events.invalid", error=error_name(error))
        refused = await self._writer.write(rows) if rows else 0
        self._dropped[REFUSED] += refused
        self._written += len(rows) - refused
        self._on_their_way = 0
        self._settle(len(taken))

    def _settle(self, count: int) -> None:
        self._settled += count
        for target, settled in self._waiting:
            if self._settled >= target and not settled.done():
                settled.set_result(None)


class NullRecorder:
    """Takes everything and keeps nothing: what benchmarks compare with."""

    accepted = 0
    written = 0
    dropped: Mapping[str, int] = Counter()

    def record_observability_event(self, event: Event) -> None:
        """Forgets the event."""

    async def start(self) -> None:
        """Does nothing."""

    async def flush(self, timeout_s: float = 2.0) -> bool:  # noqa: ARG002 - the recorder's interface
        """Has nothing to wait for."""
        return True

    async def close(self, timeout_s: float = 2.0) -> None:
        """Does nothing."""


def state_event_statement(event: Event) -> Statement:
    """The insert of an event that states a change, to be sent in the transaction that makes the change.

    Without `created_at` the database's clock decides, at the moment of the statement.
    """
    return Statement(_STATE_EVENT_ALWAYS, _params(event))


def state_event_if_confirmed(event: Event, confirmation_id: UUID) -> Statement:
    """The same, for an event that is true only if this confirmation exists once the statement's turn has come."""
    return Statement(_STATE_EVENT_IF_CONFIRMED, {**_params(event), "confirmation_id": confirmation_id})


def _params(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "created_at": event.created_at,
        "source": event.source,
        "event_type": event.event_type,
        "severity": str(event.severity),
        "context": json.dumps(dict(event.context), allow_nan=False),
        "restaurant_id": event.restaurant_id,
        "booking_id": event.booking_id,
    }
