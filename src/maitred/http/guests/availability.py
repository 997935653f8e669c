"""When a restaurant has tables."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Header, Query, Response

from maitred.booking.availability import Availabilities
from maitred.booking.create import LARGEST_PARTY
from maitred.booking.desk import Desk
from maitred.booking.venues import Venues
from maitred.http.access import GuestSite
from maitred.http.guests.schemas import Availability, Slot, etag, local, utc_now
from maitred.http.parts import Parts

router = APIRouter(tags=["guests"])


@router.get(
    "/availability",
    summary="The starts of a day at which a party would get tables",
    responses={304: {"description": "Nothing has changed since the answer with this ETag."}},
    response_model=Availability,
)
async def availability(
    parts: Parts,
    principal: GuestSite,
    response: Response,
    restaurant_id: Annotated[UUID, Query()],
    date: Annotated[dt.date, Query(description="The local date on which the service begins.")],
    party: Annotated[int, Query(ge=1, le=LARGEST_PARTY, description="Covers.")],
    if_none_match: Annotated[str | None, Header(alias="If-None-Match", max_length=1000)] = None,
) -> Availability | Response:
    """Each start is answered by the planner from the bookings of this moment: what is `available` here would be
    confirmed if it were booked now.
    """
    principal.must_see(restaurant_id)
    found = await _of(parts.desk).of_day(parts.database, restaurant_id, date, party, now=utc_now())
    body = Availability(
        restaurant_id=found.restaurant_id,
        date=found.day,
        party=found.party,
        timezone=found.timezone,
        slots=[
            Slot(
                starts_at=local(slot.starts_at, found.timezone),
                available=slot.available,
                reason="pacing" if slot.reason is None and slot.paced else slot.reason,
            )
            for slot in found.slots
        ],
    )
    tag = etag(body)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if if_none_match is not None and tag in (each.strip() for each in if_none_match.split(",")):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return body


_by_venues: WeakKeyDictionary[Venues, Availabilities] = WeakKeyDictionary()


def _of(desk: Desk) -> Availabilities:
    """One for each application: they share its venues."""
    found = _by_venues.get(desk.venues)
    if found is None:
        found = _by_venues[desk.venues] = Availabilities(desk.venues, desk.prices)
    return found
