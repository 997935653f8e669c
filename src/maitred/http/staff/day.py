"""A venue's day: its bookings page by page, its board, the board's changes as they happen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated, LiteralString
from uuid import UUID

from fastapi import APIRouter, FastAPI, Header, Query, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from maitred.booking.board import read_board
from maitred.booking.listing import page_of_bookings
from maitred.errors import NotFound
from maitred.http.access import Staff
from maitred.http.parts import Parts
from maitred.http.schema import Day, Limit
from maitred.http.staff.feed import Feeds, Told
from maitred.http.staff.schemas import BoardAnswer, BookingPage, Slug, board_answer, booking_row
from maitred.http.staff.venue import After, mark, place_after, place_of
from maitred.model.booking import BookingStatus
from maitred.storage.database import Database

router = APIRouter(prefix="/venues/{slug}", tags=["staff"])

_HEARTBEAT_S = 15
_LOOK_AGAIN_S = 15.0
_SEND_TIMEOUT_S = 20

_VERSION: LiteralString = "SELECT id, day_version(id, %(day)s) AS version FROM restaurants WHERE slug = %(slug)s"
_STILL_GOOD: LiteralString = """
SELECT id FROM api_keys
 WHERE id = %(id)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""

# of each event, since OpenAPI 3.1 has no word for a stream's parts
_EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["reload", "change"]},
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "id", "data"],
}

OfDay = Annotated[Day, Query(alias="date")]


@router.get("/bookings", summary="Bookings of a venue")
async def bookings(
    slug: Slug,
    parts: Parts,
    _: Staff,
    limit: Limit = 100,
    day: Annotated[Day | None, Query(alias="date", description="Only those that start on this local date.")] = None,
    status: Annotated[list[BookingStatus] | None, Query(max_length=6)] = None,
    after: After = None,
) -> BookingPage:
    """In order of start, page by page."""
    from_there = place_after(after)
    place = await place_of(parts.database, slug)
    found = await page_of_bookings(
        parts.database, place.id, limit=limit, day=day, statuses=status or None, after=from_there
    )
    last = found[-1] if len(found) == limit else None
    return BookingPage(
        bookings=[booking_row(each, place.timezone) for each in found],
        next=None if last is None else mark(last.starts_at, last.id),
    )


@router.get(
    "/board",
    summary="The board of a day",
    responses={304: {"description": "The board is still the one of If-None-Match."}},
)
async def board(
    slug: Slug,
    day: OfDay,
    parts: Parts,
    _: Staff,
    response: Response,
    if_none_match: Annotated[str | None, Header(alias="If-None-Match", max_length=500)] = None,
) -> BoardAnswer:
    """Tables, bookings, holds and runs of a service day as one document. Its version is the ETag, and the id of the
    event from which `board/events` goes on.
    """
    restaurant_id, version = await _version_of(parts.database, slug, day)
    if if_none_match is not None and _names(if_none_match, version):
        return Response(status_code=304, headers={"ETag": _etag(version)})  # type: ignore[return-value]  # no body
    document = board_answer(await read_board(parts.database, restaurant_id, day))
    response.headers["ETag"] = _etag(document.version)
    response.headers["Cache-Control"] = "no-cache"
    return document


@router.get(
    "/board/events",
    summary="The board's changes as they happen",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Server-sent events. `reload`: the whole board. `change`: the rows that are new or other, "
            "and the ids of those that are gone. An event's id is the board's version.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        }
    },
)
async def board_events(
    slug: Slug,
    day: OfDay,
    request: Request,
    parts: Parts,
    principal: Staff,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=100)] = None,
) -> EventSourceResponse:
    """Begins with a `reload`, unless Last-Event-ID is the present version. A listener who doesn't keep up is dropped,
    and comes back with the id of the last event that he got.
    """
    place = await place_of(parts.database, slug)
    feeds = feeds_of(request.app)
    feeds.must_have_room()
    known = int(last_event_id) if last_event_id and last_event_id.isdecimal() and last_event_id.isascii() else None
    return EventSourceResponse(
        _events(feeds, parts.database, principal.key_id, place.id, day, known),
        ping=_HEARTBEAT_S,
        send_timeout=_SEND_TIMEOUT_S,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    feeds: Feeds, database: Database, key_id: UUID, restaurant_id: UUID, day: date, known: int | None
) -> AsyncIterator[ServerSentEvent]:
    async with feeds.listen(restaurant_id, day, known) as listener:
        looked = time.monotonic()
        while True:
            told: Told | None = None
            waited = False
            try:
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    told = await listener.queue.get()
            except TimeoutError:
                waited = True
            if told is None and not waited:
                return
            if time.monotonic() - looked >= _LOOK_AGAIN_S:
                # a key that was revoked hears nothing more, however long it has listened
                if not await database.fetch(_STILL_GOOD, {"id": key_id}):
                    return
                looked = time.monotonic()
            if told is not None:
                yield ServerSentEvent(told.data, event=told.event, id=str(told.version))


def feeds_of(app: FastAPI) -> Feeds:
    """The process's watchers, made when somebody first listens."""
    feeds = getattr(app.state, "board_feeds", None)
    if not isinstance(feeds, Feeds):
        feeds = app.state.board_feeds = Feeds(app.state.application)
    return feeds


@asynccontextmanager
async def ending_feeds(app: FastAPI) -> AsyncIterator[None]:
    """Ends every stream when the application ends."""
    try:
        yield
    finally:
        feeds = getattr(app.state, "board_feeds", None)
        if isinstance(feeds, Feeds):
            await feeds.close()


async def _version_of(database: Database, slug: str, day: date) -> tuple[UUID, int]:
    rows = await database.fetch(_VERSION, {"slug": slug, "day": day})
    if not rows:
        raise NotFound("restaurant", slug)
    return rows[0]["id"], rows[0]["version"]


def _etag(version: int) -> str:
    return f'W/"{version}"'


def _names(if_none_match: str, version: int) -> bool:
    given = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return "*" in given or f'"{version}"' in given
