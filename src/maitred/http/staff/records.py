"""What was recorded: why a booking got its tables or none, runs, events, the baseline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from maitred.auto_assign.run_listing import ListedRun, page_of_runs
from maitred.errors import InvalidInput
from maitred.http.access import Staff
from maitred.http.parts import Parts
from maitred.http.schema import Day, Instant, Limit, in_zone
from maitred.http.staff.schemas import BookingId, EventPage, EventRow, RunPage, RunRow, Slug
from maitred.http.staff.venue import After, mark, place_after, place_of, zone_of_booking
from maitred.observability.baseline import baseline
from maitred.observability.event_listing import ListedEvent, page_of_events
from maitred.replay.explain import explain_booking
from maitred.replay.story_document import story_document

router = APIRouter(tags=["staff"])

_LONGEST = timedelta(days=93)
_USUAL = timedelta(days=7)

Since = Annotated[Instant | None, Query(description="From this instant on; else seven days before the end.")]
Until = Annotated[Instant | None, Query(description="Up to this instant; else now.")]
Live = Annotated[bool | None, Query(description="Only those that go on (true) or have ended (false).")]
EventType = Annotated[str | None, Query(pattern=r"^[a-z_]{1,40}\.[a-z_]{1,40}$", description="Only this type.")]


@router.get("/bookings/{booking_id}/explanation", summary="Why a booking got its tables, or none")
async def explain(booking_id: BookingId, parts: Parts, _: Staff) -> dict[str, Any]:
    """Each attempt as it was recorded: the plans with the terms of their scores, or what was in each table's way."""
    return story_document(await explain_booking(parts.database, booking_id))


@router.get("/bookings/{booking_id}/runs", summary="Runs of a booking")
async def runs_of_booking(
    booking_id: BookingId, parts: Parts, _: Staff, limit: Limit = 50, after: After = None
) -> RunPage:
    """The newest first."""
    from_there = place_after(after)
    zone = await zone_of_booking(parts.database, booking_id)
    return _runs(await page_of_runs(parts.database, booking_id=booking_id, limit=limit, after=from_there), limit, zone)


@router.get("/venues/{slug}/runs", summary="Runs of a venue")
async def runs_of_venue(
    slug: Slug,
    parts: Parts,
    _: Staff,
    limit: Limit = 50,
    live: Live = None,
    day: Annotated[Day | None, Query(alias="date", description="Of bookings that start on this local date.")] = None,
    after: After = None,
) -> RunPage:
    """The newest first."""
    from_there = place_after(after)
    place = await place_of(parts.database, slug)
    found = await page_of_runs(
        parts.database, restaurant_id=place.id, day=day, live=live, limit=limit, after=from_there
    )
    return _runs(found, limit, place.timezone)


@router.get("/bookings/{booking_id}/events", summary="Events of a booking")
async def events_of_booking(
    booking_id: BookingId,
    parts: Parts,
    _: Staff,
    limit: Limit = 100,
    since: Since = None,
    until: Until = None,
    event_type: EventType = None,
    after: After = None,
) -> EventPage:
    """The newest first. No event holds anything of a guest."""
    from_there, (begin, end) = place_after(after), window(since, until)
    zone = await zone_of_booking(parts.database, booking_id)
    found = await page_of_events(
        parts.database,
        booking_id=booking_id,
        since=begin,
        until=end,
        event_type=event_type,
        limit=limit,
        after=from_there,
    )
    return _events(found, limit, zone)


@router.get("/venues/{slug}/events", summary="Events of a venue")
async def events_of_venue(
    slug: Slug,
    parts: Parts,
    _: Staff,
    limit: Limit = 100,
    since: Since = None,
    until: Until = None,
    event_type: EventType = None,
    after: After = None,
) -> EventPage:
    """The newest first. No event holds anything of a guest."""
    from_there, (begin, end) = place_after(after), window(since, until)
    place = await place_of(parts.database, slug)
    found = await page_of_events(
        parts.database,
        restaurant_id=place.id,
        since=begin,
        until=end,
        event_type=event_type,
        limit=limit,
        after=from_there,
    )
    return _events(found, limit, place.timezone)


@router.get("/venues/{slug}/baseline", summary="How fast and how well it went")
async def baseline_of(slug: Slug, parts: Parts, _: Staff, since: Since = None, until: Until = None) -> dict[str, Any]:
    """What the events of a window of at most 93 days say, as `maitred baseline --format json` does."""
    from maitred.observability.baseline_report import to_json

    begin, end = window(since, until)
    place = await place_of(parts.database, slug)
    return to_json(await baseline(parts.database, since=begin, until=end, restaurant_id=place.id))


def window(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """The window that is meant. Raises InvalidInput for one that is empty or too long."""
    # events of this second count, and those of a machine whose clock is a little ahead
    end = until or datetime.now(UTC) + timedelta(seconds=5)
    begin = since or end - _USUAL
    if begin >= end:
        raise InvalidInput("query", "since", "must be before the end")
    if end - begin > _LONGEST:
        raise InvalidInput("query", "since", f"must be at most {_LONGEST.days} days before the end")
    return begin, end


def _runs(found: list[ListedRun], limit: int, zone: str) -> RunPage:
    def local(instant: datetime | None) -> datetime | None:
        return None if instant is None else in_zone(instant, zone)

    rows = [
        RunRow(
            id=each.id,
            booking_id=each.booking_id,
            reference=each.reference,
            trigger=each.trigger,
            result=each.result,
            attempts=each.attempts,
            max_attempts=each.max_attempts,
            last_reason=each.last_reason,
            hard_stop_reason=each.hard_stop_reason,
            due_at=in_zone(each.due_at, zone),
            created_at=in_zone(each.created_at, zone),
            started_at=local(each.started_at),
            ended_at=local(each.ended_at),
        )
        for each in found
    ]
    return RunPage(runs=rows, next=_next([(each.created_at, each.id) for each in found], limit))


def _events(found: list[ListedEvent], limit: int, zone: str) -> EventPage:
    rows = [
        EventRow(
            id=each.id,
            created_at=in_zone(each.created_at, zone),
            source=each.source,
            event_type=each.event_type,
            severity=each.severity,
            booking_id=each.booking_id,
            context=None if each.context is None else dict(each.context),
        )
        for each in found
    ]
    return EventPage(events=rows, next=_next([(each.created_at, each.id) for each in found], limit))


def _next(found: list[tuple[datetime, UUID]], limit: int) -> str | None:
    return mark(*found[-1]) if len(found) == limit else None
