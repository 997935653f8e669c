"""Which venue is meant, and where a list goes on."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, LiteralString
from uuid import UUID

from fastapi import Query

from maitred.errors import InvalidInput, NotFound
from maitred.storage.database import Database

_VENUE: LiteralString = "SELECT id, timezone FROM restaurants WHERE slug = %(slug)s"
_ZONE: LiteralString = """
SELECT r.timezone FROM bookings b JOIN restaurants r ON r.id = b.restaurant_id WHERE b.id = %(booking_id)s
"""

After = Annotated[str | None, Query(max_length=200, description="`next` of the page before.")]


@dataclass(frozen=True, slots=True)
class Place:
    """A venue's id and time zone."""

    id: UUID
    timezone: str


async def place_of(database: Database, slug: str) -> Place:
    """The venue with this slug, if the caller may see it; one round trip. Raises NotFound."""
    rows = await database.fetch(_VENUE, {"slug": slug})
    if not rows:
        raise NotFound("restaurant", slug)
    return Place(rows[0]["id"], rows[0]["timezone"])


async def zone_of_booking(database: Database, booking_id: UUID) -> str:
    """The zone of its venue; one round trip. Raises NotFound."""
    rows = await database.fetch(_ZONE, {"booking_id": booking_id})
    if not rows:
        raise NotFound("booking", str(booking_id))
    zone: str = rows[0]["timezone"]
    return zone


def mark(at: datetime, row_id: UUID) -> str:
    """Where a page ended, as the next one is asked for."""
    return base64.urlsafe_b64encode(
        json.dumps([at.astimezone(UTC).replace(tzinfo=None).isoformat(), str(row_id)]).encode()
    ).decode()


def place_after(after: str | None) -> tuple[datetime, UUID] | None:
    """What `mark` wrote. Raises InvalidInput for anything else."""
    if after is None:
        return None
    try:
        at, row_id = json.loads(base64.b64decode(after.encode("ascii"), altchars=b"-_", validate=True))
        return datetime.fromisoformat(at).replace(tzinfo=UTC), UUID(row_id)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, binascii.Error) as error:
        raise InvalidInput("query", "after", "is not what a page before gave as `next`") from error
