"""Recorded events of a venue or a booking, page by page, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from maitred.storage.database import Database

_COLUMNS: LiteralString = """
SELECT e.id, e.created_at, e.source, e.event_type, e.severity, e.booking_id, e.context - 'planner_record' AS context
  FROM observability_events e
 WHERE e.created_at >= %(since)s AND e.created_at < %(until)s
   AND (%(after)s::timestamptz IS NULL OR (e.created_at, e.id) < (%(after)s::timestamptz, %(after_id)s::uuid))
   AND (%(event_type)s::text IS NULL OR e.event_type = %(event_type)s::text)
"""
_ORDER: LiteralString = " ORDER BY e.created_at DESC, e.id DESC LIMIT %(limit)s"
_OF_VENUE: LiteralString = _COLUMNS + " AND e.restaurant_id = %(restaurant_id)s" + _ORDER
_OF_BOOKING: LiteralString = _COLUMNS + " AND e.booking_id = %(booking_id)s" + _ORDER


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event; its context is without the flight record."""

    id: UUID
    created_at: datetime
    source: str
    event_type: str
    severity: str
    booking_id: UUID | None
    context: Mapping[str, Any] | None


async def page_of_events(
    database: Database,
    *,
    since: datetime,
    until: datetime,
    limit: int,
    restaurant_id: UUID | None = None,
    booking_id: UUID | None = None,
    event_type: str | None = None,
    after: tuple[datetime, UUID] | None = None,
) -> list[ListedEvent]:
    """At most `limit` events of [since, until), from the one behind `after` on, of the booking or else of the venue."""
    rows = await database.fetch(
        _OF_VENUE if booking_id is None else _OF_BOOKING,
        {
            "since": since,
            "until": until,
            "limit": limit,
            "restaurant_id": restaurant_id,
            "booking_id": booking_id,
            "event_type": event_type,
            "after": None if after is None else after[0],
            "after_id": None if after is None else after[1],
        },
    )
    return [ListedEvent(**row) for row in rows]
