"""Boards as they change: one watcher for each venue's day that somebody listens to, shared by all who do.

A watcher looks at the day's version: at once when the database announces a change, which takes one listening
connection of the process, and every second where there is none, because connections go through a pooler. Only on a new
version the board is read, once, whoever many listen.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import structlog

from maitred.booking.board import read_board, read_version
from maitred.bootstrap import Application
from maitred.errors import MaitredError, NotFound, RateLimited
from maitred.http.staff.change import difference
from maitred.http.staff.schemas import board_answer
from maitred.storage.database import Database

MOST_LISTENERS = 200
MOST_WAITING = 64

_POLL_S = 1.0
_POLL_WHEN_TOLD_S = 5.0
_WATCH_S = 90
_WATCH_AGAIN_S = 30.0
_TOGETHER_S = 0.05
_CHANNEL = "maitred_days"

_WATCH: LiteralString = """
INSERT INTO day_watchers AS w (restaurant_id, until)
SELECT id, clock_timestamp() + make_interval(secs => %(secs)s) FROM restaurants WHERE id = %(restaurant_id)s
ON CONFLICT (restaurant_id) DO UPDATE SET until = greatest(w.until, excluded.until)
"""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """One event of the stream: `change` with a difference, or `reload` with the whole board. `data` is JSON."""

    event: str
    version: int
    data: str


@dataclass(eq=False, slots=True)
class Listener:
    """Somebody who listens; at most MOST_WAITING events wait for him, then he is dropped (None ends the stream)."""

    queue: asyncio.Queue[Told | None] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING + 1))
    over: bool = False

    def tell(self, told: Told) -> None:
        """Puts it in his queue, or drops him."""
        if self.over:
            return
        if self.queue.qsize() >= MOST_WAITING:
            self.end()
        else:
            self.queue.put_nowait(told)

    def end(self) -> None:
        """Nothing more will come."""
        if not self.over:
            self.over = True
            self.queue.put_nowait(None)


@dataclass(eq=False, slots=True)
class _Watcher:
    """One venue's day."""

    database: Database
    restaurant_id: UUID
    day: date
    listeners: set[Listener] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    board: dict[str, Any] | None = None
    task: asyncio.Task[None] | None = None
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def reload(self) -> Told:
        """The board as it is known; read when it isn't."""
        if self.board is None:
            self.board = await self._read()
        return Told("reload", self.board["version"], json.dumps(self.board, separators=(",", ":")))

    async def look(self) -> None:
        """Tells all who listen what has changed, if anything has."""
        async with self.looking:  # of two at once the one that read the older board could be the later to tell it
            before = self.board
            if before is None or await read_version(self.database, self.restaurant_id, self.day) == before["version"]:
                return
            after = await self._read()
            change = difference(before, after)
            self.board = after
            told = (
                await self.reload()
                if change is None
                else Told("change", after["version"], json.dumps(change, separators=(",", ":")))
            )
            for listener in self.listeners:
                listener.tell(told)

    async def _read(self) -> dict[str, Any]:
        board = await read_board(self.database, self.restaurant_id, self.day)
        return board_answer(board).model_dump(mode="json", by_alias=True)


class Feeds:
    """All watchers of a process. `close` ends every stream."""

    def __init__(self, application: Application) -> None:
        self._database = application.database
        pooled = application.settings.database_pooler and application.settings.worker_database_url is None
        self._direct = None if pooled else application.worker_url
        self._watchers: dict[tuple[UUID, date], _Watcher] = {}
        self._listening: asyncio.Task[None] | None = None
        self._hears = False
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return sum(len(watcher.listeners) for watcher in self._watchers.values())

    @property
    def watchers(self) -> int:
        """How many days are watched."""
        return len(self._watchers)

    def must_have_room(self) -> None:
        """Raises RateLimited when too many listen already."""
        if self._closed or self.listeners >= MOST_LISTENERS:
            raise RateLimited(30)

    @asynccontextmanager
    async def listen(self, restaurant_id: UUID, day: date, known: int | None) -> AsyncIterator[Listener]:
        """Listens to a day. Whoever knows another version than the present one gets a `reload` first.

        Raises RateLimited when too many listen already, and NotFound.
        """
        self.must_have_room()
        key = (restaurant_id, day)
        watcher = self._watchers.get(key)
        if watcher is None:
            watcher = self._watchers[key] = _Watcher(self._database, restaurant_id, day)
        listener = Listener()
        watcher.listeners.add(listener)
        try:
            if self._direct is not None:
                if self._listening is None:
                    self._listening = asyncio.create_task(self._hear(self._direct), name="maitred-board-listening")
                await self._announce(restaurant_id)
            await watcher.reload()
            await watcher.look()
            if watcher.task is None:
                watcher.task = asyncio.create_task(self._watch(key, watcher), name="maitred-board")
            first = await watcher.reload()
            if known != first.version:
                # what was told meanwhile is in the board already
                while not listener.queue.empty() and not listener.over:
                    listener.queue.get_nowait()
                listener.tell(first)
            yield listener
        finally:
            watcher.listeners.discard(listener)
            if not watcher.listeners and self._watchers.get(key) is watcher:
                del self._watchers[key]
                if watcher.task is not None:
                    watcher.task.cancel()

    async def close(self) -> None:
        """Ends every stream and every task."""
        self._closed = True
        tasks = [each.task for each in self._watchers.values() if each.task is not None]
        if self._listening is not None:
            tasks.append(self._listening)
        for watcher in self._watchers.values():
            for listener in watcher.listeners:
                listener.end()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    async def _announce(self, restaurant_id: UUID) -> None:
        await self._database.fetch(_WATCH, {"restaurant_id": restaurant_id, "secs": _WATCH_S})

    async def _watch(self, key: tuple[UUID, date], watcher: _Watcher) -> None:
        loop = asyncio.get_running_loop()
        announced = loop.time()
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_WHEN_TOLD_S if self._hears else _POLL_S):
                        await watcher.changed.wait()
                watcher.changed.clear()
                await asyncio.sleep(_TOGETHER_S)  # what comes together is told together
                try:
                    if self._direct is not None and loop.time() - announced > _WATCH_AGAIN_S:
                        await self._announce(watcher.restaurant_id)
                        announced = loop.time()
                    await watcher.look()
                except NotFound:
                    break  # the venue is gone
                except (MaitredError, psycopg.Error) as error:
                    _log.warning("board.look_failed", error=type(error).__name__)
        finally:
            if self._watchers.get(key) is watcher:
                del self._watchers[key]
            for listener in watcher.listeners:
                listener.end()

    async def _hear(self, url: str) -> None:
        """Wakes the watchers of the venues that the database names. Away for a while, they poll."""
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    url, autocommit=True, connect_timeout=10, application_name="maitred-boards"
                )
                async with connection:
                    await connection.execute(f"LISTEN {_CHANNEL}")
                    self._hears = True
                    self._wake(None)  # what happened before it listened
                    async for notice in connection.notifies():
                        self._wake(notice.payload)
            except psycopg.Error as error:
                _log.warning("board.listening_failed", error=type(error).__name__)
            finally:
                self._hears = False
            await asyncio.sleep(_POLL_S)

    def _wake(self, restaurant_id: str | None) -> None:
        for watcher in self._watchers.values():
            if restaurant_id is None or str(watcher.restaurant_id) == restaurant_id:
                watcher.changed.set()
