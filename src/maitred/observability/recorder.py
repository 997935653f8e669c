"""The way of a measurement into the database.

It is handed to a `Recorder`, which numbers it and keeps it in memory until its one writer has written it; the caller
never waits and never fails for it. Events that state a change go another way (`state_events`).
"""

from __future__ import annotations

import asyncio
import atexit
import os
import time
from collections import Counter, deque
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from maitred.observability.encoding import encode
from maitred.observability.event import Event
from maitred.observability.event_writer import EventWriter, WriterStopped
from maitred.observability.producer import ProcessKind, Producer, Progress
from maitred.observability.registry import UnregisteredEvent, nulled_count
from maitred.observability.spill import spill, spill_folder
from maitred.observability.spill_loader import SpillLoader
from maitred.observability.state_events import state_event_if_confirmed, state_event_statement
from maitred.observability.telling import warn
from maitred.observability.values import error_name

# Both kinds of events are to be had here.
__all__ = ["EventSink", "NullRecorder", "Recorder", "state_event_if_confirmed", "state_event_statement"]

BATCH = 500
LINGER_S = 0.25
HEARTBEAT_S = 10.0

# Why an event was lost.
CLOSED = "closed"  # recorded after close
QUEUE_FULL = "queue_full"  # the writer could not keep up, or the server was away for too long
INVALID = "invalid"  # no valid JSON, or too large
UNREGISTERED = "unregistered"  # nobody declared it
REFUSED = "refused"  # the database would not have it
UNWRITTEN = "unwritten"  # still waiting when close gave up, and no file took it

_STOP_LIMIT_S = 1.0
_GOODBYE_S = 0.5
# So many are encoded before others get their turn: a millisecond or two.
_ENCODED_AT_ONCE = 80
# With so many at a look the writer looks more often for a while.
_MANY = 20
_LOOK_S = 0.025

_alive: WeakSet[Recorder] = WeakSet()
_of_the_parent: list[object] = []


class EventSink(Protocol):
    """Where measurements go."""

    def record_observability_event(self, event: Event) -> None:
        """Takes the event. Never waits, never raises."""


class Recorder:
    """Takes measurements from the event loop's thread and writes them in batches, over a connection of its own.

    At most `queue_size` events wait in memory, those on their way included; when it is full the newest is dropped and
    counted. What is still waiting when it is closed goes into a file in `spill_dir`, which the next start with this
    folder and database loads. Everything accepted is at last written, spilled or counted in `dropped`.

    A forked child has an empty recorder with an identity of its own, to be started if the child records.
    """

    def __init__(
        self,
        url: str,
        *,
        queue_size: int,
        pooler: bool = False,
        kind: ProcessKind = "other",
        spill_dir: Path | None = None,
    ) -> None:
        self._url = url
        self._queue_size = queue_size
        self._pooler = pooler
        self._kind: ProcessKind = kind
        self._spill_folder = None if spill_dir is None else spill_folder(spill_dir, url)
        self._begin()
        _alive.add(self)

    def _begin(self) -> None:
        self._producer = Producer(self._kind)
        self._writer = EventWriter(self._url, pooler=self._pooler)
        self._queue: deque[tuple[int, int, Event]] = deque()
        self._on_their_way: list[str] = []
        self._numbers = count(1)
        self._last_seq = 0
        self._accepted = 0
        self._settled = 0
        self._written = 0
        self._spilled = 0
        self._dropped: Counter[str] = Counter()
        self._nulled_before = nulled_count()
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._write_now = asyncio.Event()
        self._spills_loaded = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._told_at = 0.0
        self._busy = False
        self._said_goodbye = False
        self._ended = False

    def _leave_parent(self) -> None:
        """In a forked child. What belongs to the parent is kept, so that nothing of it is closed from here."""
        _of_the_parent.append((self._writer, self._task))
        closed, ended = self._closed, self._ended
        self._begin()
        self._closed, self._ended = closed, ended

    @property
    def producer(self) -> Producer:
        """Who this is to the database."""
        return self._producer

    @property
    def running(self) -> bool:
        """Whether its writer works, or waits for a database that is away."""
        return self._task is not None and not self._task.done()

    @property
    def accepted(self) -> int:
        """How many events were taken into the queue."""
        return self._accepted

    @property
    def waiting(self) -> int:
        """How many are in memory now, those on their way included; at most the queue's size."""
        return len(self._queue) + len(self._on_their_way)

    @property
    def written(self) -> int:
        """How many of the accepted events the database has."""
        return self._written

    @property
    def spilled(self) -> int:
        """How many of the accepted events are in a file."""
        return self._spilled

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many events were lost, by reason (this module's constants); 0 for a reason that never occurred."""
        return +self._dropped

    def record_observability_event(self, event: Event) -> None:
        """Takes the event, or drops and counts it. No lock, no I/O, no log, no exception; also after `close`."""
        self._last_seq = number = next(self._numbers)
        if self._closed:
            self._dropped[CLOSED] += 1
        elif len(self._queue) + len(self._on_their_way) >= self._queue_size:
            self._dropped[QUEUE_FULL] += 1
        else:
            self._queue.append((number, time.time_ns(), event))
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
        self._hurry()
        try:
            async with asyncio.timeout(timeout_s):
                await settled
        except TimeoutError:
            return False
        finally:
            self._waiting = [each for each in self._waiting if each[1] is not settled]
        return True

    async def wait_for_spills(self, timeout_s: float) -> bool:
        """Waits until what earlier processes left in files is written; False when it took too long."""
        if self._task is None or self._task.done():
            return False
        self._hurry()
        try:
            async with asyncio.timeout(timeout_s):
                await self._spills_loaded.wait()
        except TimeoutError:
            return False
        return True

    async def close(self, timeout_s: float = 2.0) -> None:
        """Writes what is left, for at most so many seconds, and ends the writer. What then remains is spilled."""
        self._closed = True
        try:
            if await self.flush(timeout_s) and self._task is not None:
                self._hurry()
                await asyncio.wait({self._task}, timeout=_GOODBYE_S)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        task = self._task
        try:
            if task is not None and not task.done():
                if not self._writer.stop():
                    task.cancel()
                await asyncio.wait({task}, timeout=_STOP_LIMIT_S)
                if not task.done():  # the answer came just before the cut, and the writer has gone on
                    task.cancel()
                    await asyncio.wait({task}, timeout=_STOP_LIMIT_S)
        finally:
            self._keep_the_rest()

    def _keep_the_rest(self) -> None:
        """Spills what the database doesn't have; of a batch on its way it may have some, which changes nothing."""
        self._closed = True
        if self._ended:
            return
        self._ended = True
        rows = [*self._on_their_way, *self._encoded(len(self._queue))]
        self._on_their_way = []
        if (rows or self._task is not None) and not self._said_goodbye:
            if self._spill_folder is not None:
                self._spilled = spill(self._spill_folder, self._progress(datetime.now(UTC)), rows)
            self._dropped[UNWRITTEN] += len(rows) - self._spilled
        self._settle(self._accepted - self._settled)
        if self._spilled:
            warn("events.spilled", events=self._spilled)
        if lost := self.dropped:
            warn("events.dropped", **lost)

    def _hurry(self) -> None:
        self._write_now.set()
        self._writer.retry_now()

    async def _run(self) -> None:
        loader = SpillLoader(self._spill_folder)
        try:
            # The first word is said before there is an event: whoever is killed then was known to be there.
            await self._tell()
            while not (self._closed and self._settled == self._accepted):
                await self._gather()
                due = 0 if self._batch_is_full() else self._accepted
                await self._write_batch()
                while self._settled < due:
                    await self._write_batch()
                while not self._closed and len(self._queue) < BATCH and loader.has_more():
                    await loader.load_some(self._writer, BATCH)
                if not loader.has_more():
                    self._spills_loaded.set()
                if time.monotonic() - self._told_at > HEARTBEAT_S:
                    await self._tell()
            await self._tell(datetime.now(UTC))
            self._said_goodbye = True
        except WriterStopped:
            return
        finally:
            loader.close()
            await self._writer.disconnect()

    async def _gather(self) -> None:
        """Waits until a batch is full, the time is up, or somebody is in a hurry.

        While many events come in, a few are made ready at each look: whoever works beside this, in this process or in
        another one, doesn't lose the processor for a whole batch at once.
        """
        until = time.monotonic() + LINGER_S
        while (left := until - time.monotonic()) > 0 and not self._batch_is_full():
            if await self._hurried(min(_LOOK_S, left) if self._busy else left):
                return
            self._busy = len(self._queue) >= _MANY
            if self._busy:
                self._make_ready()

    async def _hurried(self, seconds: float) -> bool:
        # The queue is looked at, not listened to: waking a task is more than recording an event may cost.
        try:
            async with asyncio.timeout(seconds):
                await self._write_now.wait()
        except TimeoutError:
            return False
        self._write_now.clear()
        return True

    async def _write_batch(self) -> None:
        while self._queue and not self._batch_is_full():
            self._make_ready()
            await asyncio.sleep(0)
        sent = len(self._on_their_way)
        if sent:
            refused = await self._writer.write(self._on_their_way, self._progress)
            self._told_at = time.monotonic()
            self._dropped[REFUSED] += refused
            self._written += sent - refused
        self._on_their_way = []
        self._settle(sent)

    def _batch_is_full(self) -> bool:
        return len(self._on_their_way) >= BATCH

    def _make_ready(self) -> None:
        self._on_their_way += self._encoded(min(_ENCODED_AT_ONCE, BATCH - len(self._on_their_way)))

    def _encoded(self, most: int) -> list[str]:
        """Takes so many from the queue. What can't be written is counted, and with that settled."""
        rows = []
        producer = str(self._producer.id)
        for _ in range(min(most, len(self._queue))):
            number, recorded_at, event = self._queue.popleft()
            try:
                rows.append(encode(event, recorded_at, producer, number))
            except Exception as error:  # noqa: BLE001 - whatever was handed in, the others have to get through
                reason = UNREGISTERED if isinstance(error, UnregisteredEvent) else INVALID
                self._dropped[reason] += 1
                self._settle(1)
                warn("events.invalid", reason=reason, error=error_name(error))
        return rows

    async def _tell(self, closed_at: datetime | None = None) -> None:
        await self._writer.write((), lambda: self._progress(closed_at))
        self._told_at = time.monotonic()

    def _progress(self, closed_at: datetime | None = None) -> Progress:
        nulled = nulled_count() - self._nulled_before
        return Progress(self._producer, self._last_seq, self._accepted, dict(self.dropped), nulled, closed_at=closed_at)

    def _settle(self, count: int) -> None:
        self._settled += count
        for target, settled in self._waiting:
            if self._settled >= target and not settled.done():
                settled.set_result(None)


class NullRecorder:
    """Takes everything and keeps nothing: what benchmarks compare with."""

    accepted = 0
    written = 0
    spilled = 0
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


def _spill_at_exit() -> None:
    """For recorders that nobody closed: the last moment there is."""
    for recorder in list(_alive):
        recorder._keep_the_rest()  # noqa: SLF001 - this module's own


def _begin_anew_in_child() -> None:
    for recorder in list(_alive):
        recorder._leave_parent()  # noqa: SLF001 - this module's own


atexit.register(_spill_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
