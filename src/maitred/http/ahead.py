"""What a new booking has to know is asked together with whether its request may come in: a round trip less.

It is only spared work. What can't be understood here, the route will refuse; what is outdated by the time the booking's
turn comes, is read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.types import Scope

from maitred.auto_assign.book import day_of
from maitred.booking.create import NewBooking, check_ahead
from maitred.booking.desk import Desk
from maitred.errors import InvalidInput
from maitred.http.guests.schemas import NewBookingBody, utc_now

_PATH = "/v1/bookings"


@dataclass(frozen=True, slots=True)
class Coming:
    """The booking that a request is about to make: the body as it was read, and what it asks for."""

    body: NewBookingBody
    asked: NewBooking


def coming_booking(scope: Scope, document: object) -> Coming | None:
    """The booking that the request is about to make; None for any other request, or one that will be refused."""
    if scope["path"] != _PATH or scope["method"] != "POST" or not isinstance(document, dict):
        return None
    try:
        body = NewBookingBody.model_validate(document)
        asked = body.booking()
        check_ahead(asked.starts_at, utc_now())
    except (ValidationError, InvalidInput):
        return None
    return Coming(body, asked)


def look_ahead(desk: Desk, new: NewBooking) -> Mapping[str, Any] | None:
    """The parameters of the look; None where others are at the same day just now, who will have outdated it."""
    if desk.gates.busy(new.restaurant_id, day_of(desk, new)):
        return None
    return {"venue": new.restaurant_id, "start": new.starts_at}
