"""Writing measurements to the database: one connection of their own, batches, and patience when the server is away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Sequence
from typing import Any, LiteralString

import psycopg

from maitred.observability.producer import Progress
from maitred.observability.telling import tell, warn
from maitred.observability.values import error_name

APPLICATION_NAME = "maitred-events"

_CONNECT_LIMIT_S = 5
_STATEMENT_LIMIT_S = 10.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0

# Two parameters whatever the number of events. Ids and numbers are given by the recorder, so a batch whose answer was
# lost can be sent again. The producer's own row goes with every batch: it is never ahead of its events, nor behind.
# Of two messages of one producer (a file that is loaded while it was sent after all) the one that got further counts.
# An event that its transaction has written already, as the summary of a run that was broken off after its end, keeps
# the transaction's row, which takes the number: a number without a row would be a lost event.
_INSERT: LiteralString = """
WITH progress AS (
    INSERT INTO event_producers AS known
           (producer, kind, started_at, last_seq, accepted, dropped, nulled, spilled, closed_at)
    SELECT producer, kind, started_at, last_seq, accepted, dropped, nulled, spilled, closed_at
      FROM jsonb_to_record(%(progress)s::jsonb) AS told (
        producer uuid, kind text, started_at timestamptz, last_seq bigint, accepted bigint, dropped jsonb,
        nulled bigint, spilled bigint, closed_at timestamptz)
    ON CONFLICT (producer) DO UPDATE
       SET last_seen = clock_timestamp(), last_seq = excluded.last_seq, accepted = excluded.accepted,
           dropped = excluded.dropped, nulled = excluded.nulled, spilled = excluded.spilled,
           closed_at = excluded.closed_at
     WHERE excluded.last_seq >= known.last_seq
)
INSERT INTO observability_events
    (id, created_at, source, event_type, severity, context, restaurant_id, booking_id, producer, seq, version)
SELECT id, created_at, source, event_type, severity, context, restaurant_id, booking_id, producer, seq, version
  FROM jsonb_to_recordset(%(events)s::jsonb) AS event (
    id uuid, created_at timestamptz, source text, event_type text, severity text, context jsonb,
    restaurant_id uuid, booking_id uuid, producer uuid, seq bigint, version smallint)
ON CONFLICT (id) DO UPDATE SET producer = excluded.producer, seq = excluded.seq
 WHERE observability_events.producer IS NULL
"""


class WriterStopped(Exception):
    """The writer was told to stop while it was waiting for the server."""


class EventWriter:
    """The connection that measurements go through. It connects when there is something to write."""

    def __init__(self, url: str, *, pooler: bool) -> None:
        self._url = url
        self._connect_options: dict[str, Any] = {"prepare_threshold": None} if pooler else {}
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._sending = False
        self._stopped = False
        self._retry_now = asyncio.Event()
        self._away = False

    async def write(self, rows: Sequence[str], progress: Callable[[], Progress]) -> int:
        """Writes encoded events, with the producer's progress as it is then; returns how many the database refused.

        Without rows it only tells the progress. Comes back when each row is either written or refused, however long the
        server is away. A refused batch is halved until the event at fault stands alone. Raises WriterStopped after
        `stop`.
        """
        refused = 0
        parts = [rows]
        while parts:
            part = parts.pop()
            if await self._insert(part, progress):
                continue
            if len(part) <= 1:
                refused += len(part)
            else:
                half = len(part) // 2
                parts += [part[half:], part[:half]]
        return refused

    def retry_now(self) -> None:
        """Cuts short the pause before the next try, if there is one."""
        self._retry_now.set()

    def stop(self) -> bool:
        """Makes a statement that waits for the server fail at once; returns whether there was one."""
        self._stopped = True
        self.retry_now()
        if self._sending and self._connection is not None:
            _cut(self._connection)
            return True
        return False

    async def disconnect(self) -> None:
        """Closes the connection without waiting for the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _insert(self, rows: Sequence[str], progress: Callable[[], Progress]) -> bool:
        """Writes the rows together; False when the database refuses them for what they hold."""
        pause_s = _FIRST_PAUSE_S
        while not self._stopped:
            try:
                await self._send(rows, progress)
            except (psycopg.Error, OSError, UnicodeError) as error:  # the last two: names that can't be looked up
                if isinstance(error, psycopg.Error) and _blames_the_rows(error):
                    return False
                await self.disconnect()
                self._tell_away(error)
            else:
                self._tell_back()
                return True
            woken = await self._pause(pause_s)
            pause_s = _FIRST_PAUSE_S if woken else min(2 * pause_s, _LONGEST_PAUSE_S)
        raise WriterStopped

    async def _send(self, rows: Sequence[str], progress: Callable[[], Progress]) -> None:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                connect_timeout=_CONNECT_LIMIT_S,
                application_name=APPLICATION_NAME,
                **self._connect_options,
            )
        # Not asyncio.timeout: cancelling a psycopg call makes it wait for the server once more.
        limit = asyncio.get_running_loop().call_later(_STATEMENT_LIMIT_S, _cut, self._connection)
        self._sending = True
        told = {"events": f"[{','.join(rows)}]", "progress": json.dumps(progress().as_json())}
        try:
            await self._connection.execute(_INSERT, told)
        finally:
            self._sending = False
            limit.cancel()

    async def _pause(self, seconds: float) -> bool:
        """Waits; returns whether it was cut short."""
        try:
            async with asyncio.timeout(seconds):
                await self._retry_now.wait()
        except TimeoutError:
            return False
        self._retry_now.clear()
        return True

    def _tell_away(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            warn("events.database_away", error=error_name(error), sqlstate=getattr(error, "sqlstate", None))

    def _tell_back(self) -> None:
        if self._away:
            self._away = False
            tell("events.database_back")


def _blames_the_rows(error: psycopg.Error) -> bool:
    """Whether sending the same rows again can only fail again: bad data, a violated constraint, a limit exceeded, one
    event twice in a batch."""
    state = error.sqlstate or ""
    return isinstance(error, (psycopg.DataError, psycopg.IntegrityError)) or state[:2] == "54" or state == "21000"


def _cut(connection: psycopg.AsyncConnection[Any]) -> None:
    """Ends the conversation under the connection's feet: whoever waits on it sees it closed by the server."""
    with (
        contextlib.suppress(OSError, psycopg.Error),  # closed already
        socket.socket(fileno=socket.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)
