"""The board's watcher under several who look at once: what is told never goes back."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from maitred.booking.board import read_board
from maitred.http.staff import feed
from maitred.storage.database import Database
from tests.http.conftest import Api


async def test_who_looks_slowly_does_not_tell_an_older_board_after_a_newer_one(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await api.house()
    read, go_on = asyncio.Event(), asyncio.Event()

    async def first_is_slow(database: Database, restaurant_id: UUID, day: date) -> Any:
        found = await read_board(database, restaurant_id, day)
        if not read.is_set():
            read.set()
            await go_on.wait()
        return found

    watcher = feed._Watcher(api.application.database, house.restaurant_id, date(2030, 6, 5))
    await watcher.reload()
    listener = feed.Listener()
    watcher.listeners.add(listener)
    monkeypatch.setattr(feed, "read_board", first_is_slow)
    await house.book(2)
    slow = asyncio.create_task(watcher.look())
    await read.wait()
    await house.book(4)
    fast = asyncio.create_task(watcher.look())
    await asyncio.wait({fast}, timeout=0.5)
    go_on.set()
    await asyncio.gather(slow, fast)
    told = [listener.queue.get_nowait() for _ in range(listener.queue.qsize())]
    versions = [each.version for each in told if each is not None]
    assert versions == sorted(set(versions)), versions
    assert watcher.board is not None
    assert len(watcher.board["bookings"]) == 2
