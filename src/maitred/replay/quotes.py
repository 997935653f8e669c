"""Reading recorded quotes, page by page, in order of time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from maitred.errors import AmbiguousReference, NotFound
from maitred.storage.database import Database

PAGE = 1_000

_COLUMNS: LiteralString = """
SELECT e.id, e.created_at, e.restaurant_id, e.booking_id, r.slug, b.reference,
       e.context->>'trigger' AS trigger, e.context->'attempt_index' AS attempt_index,
       e.context->>'release' AS release, e.context->>'planner_record' AS record,
       coalesce(e.context->'cache_hit' = 'true', false) AS cache_hit
  FROM observability_events e
  LEFT JOIN bookings b ON b.id = e.booking_id
  LEFT JOIN restaurants r ON r.id = e.restaurant_id
"""
_OF_WINDOW: LiteralString = (
    _COLUMNS
    + """
 WHERE e.event_type = 'auto_assign.quote'
   AND e.created_at >= %(since)s AND e.created_at < %(until)s
   AND (e.created_at, e.id) > (%(after)s, %(after_id)s)
   AND (%(restaurant_id)s::uuid IS NULL OR e.restaurant_id = %(restaurant_id)s::uuid)
 ORDER BY e.created_at, e.id
 LIMIT %(page)s
"""
)
_OF_BOOKING: LiteralString = (
    _COLUMNS
    + """
 WHERE e.event_type = 'auto_assign.quote' AND e.booking_id = %(booking_id)s
   AND e.created_at >= %(since)s AND e.created_at < %(until)s
   AND (e.created_at, e.id) > (%(after)s, %(after_id)s)
 ORDER BY e.created_at, e.id
 LIMIT %(page)s
"""
)
_FIND: LiteralString = """
SELECT b.id, b.restaurant_id, r.slug FROM bookings b JOIN restaurants r ON r.id = b.restaurant_id
 WHERE (b.reference = %(reference)s OR b.id = %(id)s::uuid) AND (%(slug)s::text IS NULL OR r.slug = %(slug)s)
 ORDER BY r.slug LIMIT 20
"""
_FIND_RESTAURANT: LiteralString = "SELECT id FROM restaurants WHERE slug = %(slug)s"
_FIRST_ID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class KeptQuote:
    """A quote's event. `record` is the packed flight record, None where there is none; `at` is when the quote ended."""

    event_id: UUID
    at: datetime
    restaurant_id: UUID | None
    booking_id: UUID | None
    slug: str | None
    reference: str | None
    trigger: str | None
    attempt_index: int | None
    release: str | None
    record: str | None
    cache_hit: bool

    @property
    def name(self) -> str:
        """The booking's reference, or its id when the booking is gone."""
        return self.reference or (str(self.booking_id) if self.booking_id else "no booking")


async def pages_of_quotes(
    db: Database,
    *,
    since: datetime,
    until: datetime,
    restaurant_id: UUID | None = None,
    booking_id: UUID | None = None,
) -> AsyncIterator[list[KeptQuote]]:
    """The quotes of [since, until), of one restaurant or booking if it is named, at most 1,000 at a time."""
    after, after_id = since, _FIRST_ID
    while True:
        rows = await db.fetch(
            _OF_WINDOW if booking_id is None else _OF_BOOKING,
            {
                "since": since,
                "until": until,
                "restaurant_id": restaurant_id,
                "booking_id": booking_id,
                "after": after,
                "after_id": after_id,
                "page": PAGE,
            },
        )
        if rows:
            yield [_quote(row) for row in rows]
        if len(rows) < PAGE:
            return
        after, after_id = rows[-1]["created_at"], rows[-1]["id"]


async def find_booking(db: Database, reference: str, slug: str | None) -> UUID:
    """The booking with this reference or this id. Raises NotFound, and AmbiguousReference when several have it."""
    rows = await db.fetch(_FIND, {"reference": reference, "id": _as_id(reference), "slug": slug})
    if not rows:
        raise NotFound("booking", reference)
    if len(rows) > 1:
        raise AmbiguousReference(reference, tuple(row["slug"] for row in rows))
    found: UUID = rows[0]["id"]
    return found


async def find_restaurant(db: Database, slug: str) -> UUID:
    """The restaurant with this slug. Raises NotFound."""
    rows = await db.fetch(_FIND_RESTAURANT, {"slug": slug})
    if not rows:
        raise NotFound("restaurant", slug)
    found: UUID = rows[0]["id"]
    return found


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _quote(row: dict[str, Any]) -> KeptQuote:
    index = row["attempt_index"]
    return KeptQuote(
        event_id=row["id"],
        at=row["created_at"],
        restaurant_id=row["restaurant_id"],
        booking_id=row["booking_id"],
        slug=row["slug"],
        reference=row["reference"],
        trigger=row["trigger"],
        attempt_index=index if type(index) is int else None,
        release=row["release"],
        record=row["record"],
        cache_hit=row["cache_hit"],
    )
