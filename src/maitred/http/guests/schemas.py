"""What guests' requests and answers look like."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from maitred.booking.create import (
    LARGEST_PARTY,
    LONGEST_EMAIL,
    LONGEST_NAME,
    LONGEST_NOTES,
    LONGEST_PHONE,
    LONGEST_SOURCE,
    LONGEST_ZONE,
    NewBooking,
    check_wishes,
)
from maitred.booking.details import BookingDetails
from maitred.http import schema
from maitred.messages.facts import rfc3339
from maitred.model.policy import zone_of
from maitred.model.preferences import Preference, Preferences
from maitred.model.reason import ReasonCode
from maitred.venue.scoring import PreferencesJson, preferences_to_json

Party: TypeAlias = Annotated[StrictInt, Field(ge=1, le=LARGEST_PARTY, description="Covers.")]
Instant: TypeAlias = Annotated[
    schema.Instant,
    Field(description="RFC 3339 with its offset; at most 400 days ahead.", examples=["2030-06-05T19:30:00+02:00"]),
]
Notes: TypeAlias = Annotated[str, Field(max_length=LONGEST_NOTES)]
Status: TypeAlias = Literal["pending", "confirmed", "checked_in", "completed", "cancelled", "no_show"]

_GOES_ON = "The restaurant goes on looking for a table; ask again after the next attempt, or wait for its mail."
_BY_HAND = "The restaurant has been told and decides by hand."


class PreferencesBody(PreferencesJson):
    """What is wished of the tables: all of them must be so. `must` names the wishes that are needed: without them
    there are no tables. The others are weighed by the restaurant.
    """

    zone: Annotated[str, Field(min_length=1, max_length=LONGEST_ZONE, description="A zone's name.")] | None = None
    must: Annotated[tuple[Preference, ...], Field(max_length=len(Preference))] = ()

    def preferences(self) -> Preferences:
        """The model's value; what nobody wishes isn't needed either."""
        wishes = super().preferences()
        return replace(wishes, must=wishes.must & frozenset(wishes.wished()))


class NewBookingBody(BaseModel):
    """A table that somebody wants."""

    model_config = ConfigDict(extra="forbid")

    restaurant_id: UUID
    party: Party
    starts_at: Instant
    name: str | None = Field(default=None, max_length=LONGEST_NAME)
    email: str | None = Field(default=None, max_length=LONGEST_EMAIL)
    phone: str | None = Field(default=None, max_length=LONGEST_PHONE)
    notes: Notes | None = None
    source: str = Field(default="api", min_length=1, max_length=LONGEST_SOURCE, description="Where it comes from.")
    preferences: PreferencesBody | None = None
    vip: StrictBool | None = Field(default=None, description="Of the restaurant's own guests; for staff to say.")

    def booking(self) -> NewBooking:
        """The booking that is wanted. Raises InvalidInput."""
        wishes = Preferences() if self.preferences is None else self.preferences.preferences()
        plain = self.model_dump(exclude={"preferences", "vip"})
        return NewBooking(**plain, preferences=wishes, vip=bool(self.vip))


class BookingChange(BaseModel):
    """What is to be another; a field that is left out stays as it is. `notes` and `preferences` null take them away.

    Other preferences are for the next choice of tables: a booking that has tables keeps them unless it is moved.
    """

    model_config = ConfigDict(extra="forbid")

    party: Party | None = None
    starts_at: Instant | None = None
    notes: Notes | None = None
    preferences: PreferencesBody | None = None
    vip: StrictBool | None = Field(default=None, description="For staff to say.")

    def wishes(self) -> Preferences | None:
        """Other preferences; None: as they are. Raises InvalidInput."""
        if "preferences" not in self.model_fields_set:
            return None
        wishes = Preferences() if self.preferences is None else self.preferences.preferences()
        check_wishes(wishes)
        return wishes


class Waiting(BaseModel):
    """Why there are no tables yet, and what happens next."""

    reason: ReasonCode | None
    explanation: str | None = Field(description="The reason in a sentence.")
    next: str = Field(description="What happens next, in a sentence.")
    run_id: UUID | None = Field(description="The run that goes on looking; null: nobody looks by itself any more.")
    next_attempt_at: str | None = Field(json_schema_extra={"format": "date-time"})


class Booking(BaseModel):
    """A booking. Times have the offset of the restaurant's clocks."""

    id: UUID
    restaurant_id: UUID
    reference: str
    status: Status
    party: int
    starts_at: str = Field(json_schema_extra={"format": "date-time"})
    kept_until: str | None = Field(
        description="The end of the time for which the tables are kept.", json_schema_extra={"format": "date-time"}
    )
    tables: list[str] = Field(description="The numbers of its tables; empty unless it has some.")
    zone: str | None
    name: str | None
    email: str | None
    phone: str | None
    notes: str | None
    preferences: PreferencesBody | None
    revision: int
    waiting: Waiting | None = Field(description="There while the booking is pending.")


class CreatedBooking(Booking):
    """A new booking. `token` opens this one booking; it is shown here and never again."""

    token: str


class Slot(BaseModel):
    """One start. `available`: a booking made now would get tables; else `reason` says why not."""

    starts_at: str = Field(json_schema_extra={"format": "date-time"})
    available: bool
    reason: ReasonCode | Literal["pacing"] | None


class Availability(BaseModel):
    """All starts of a day at which the restaurant serves, in order."""

    restaurant_id: UUID
    date: date
    party: int
    timezone: str
    slots: list[Slot]


def booking_fields(details: BookingDetails) -> dict[str, object]:
    """The fields of a `Booking`."""
    zone = details.timezone
    wait = details.wait
    return {
        "id": details.id,
        "restaurant_id": details.restaurant_id,
        "reference": details.reference,
        "status": details.status.value,
        "party": details.party,
        "starts_at": local(details.starts_at, zone),
        "kept_until": None if details.kept_until is None else local(details.kept_until, zone),
        "tables": list(details.tables),
        "zone": details.zone,
        "name": details.name,
        "email": details.email,
        "phone": details.phone,
        "notes": details.notes,
        "preferences": None
        if details.preferences == Preferences()
        else PreferencesBody.model_validate(preferences_to_json(details.preferences)),
        "revision": details.revision,
        "waiting": None
        if wait is None
        else Waiting(
            reason=wait.reason,
            explanation=None if wait.reason is None else wait.reason.text,
            next=_BY_HAND if wait.run_id is None else _GOES_ON,
            run_id=wait.run_id,
            next_attempt_at=None if wait.next_attempt_at is None else local(wait.next_attempt_at, zone),
        ),
    }


def booking_of(details: BookingDetails) -> Booking:
    """The booking as it is shown."""
    return Booking.model_validate(booking_fields(details))


def local(instant: datetime, timezone: str) -> str:
    """As clocks at the restaurant show it, with their offset."""
    return rfc3339(instant.astimezone(zone_of(timezone)))


def etag(body: BaseModel) -> str:
    """A strong ETag: another one whenever anything that is shown is another."""
    return f'"{hashlib.sha256(body.model_dump_json().encode()).hexdigest()[:32]}"'


def utc_now() -> datetime:
    """The business's clock of the HTTP interface."""
    return datetime.now(UTC)
