"""What tests of this room tell a recorder, and what they then ask the table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from maitred.observability import events
from maitred.observability.events import Event
from maitred.storage.database import Database


def measurement(duration_ms: float = 1.5) -> Event:
    return events.quote(
        restaurant_id=None,
        booking_id=uuid4(),
        trigger="creation",
        attempt_index=0,
        duration_ms=duration_ms,
        success=True,
    )


async def ids_in(database: Database) -> set[UUID]:
    rows = await database.fetch("SELECT id FROM observability_events")
    return {row["id"] for row in rows}


async def producer_row(database: Database, producer: UUID) -> dict[str, Any]:
    (row,) = await database.fetch("SELECT * FROM event_producers WHERE producer = %(id)s", {"id": producer})
    return row


PATIENCE_S = 60  # only for what would otherwise wait for ever


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Looks until it is so; what is looked at lies on the other side of a wire and sends no word."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


def writers() -> list[asyncio.Task[object]]:
    """The recorders' writers that are still at work in this loop."""
    return [task for task in asyncio.all_tasks() if task.get_name() == "maitred-event-writer"]
