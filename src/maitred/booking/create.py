"""Creating a booking: it is there and pending, and whoever asked has its token. Tables are the next step's."""

from __future__ import annotations

import re
import secrets
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from maitred.booking.snapshot import Snapshot, snapshot_of
from maitred.booking.token import hashed, new_token
from maitred.errors import InvalidInput, NotFound
from maitred.messages.mail_address import read_address
from maitred.model.preferences import Preferences
from maitred.storage.database import Database
from maitred.venue.scoring import preferences_to_json

LARGEST_PARTY = 500
FURTHEST_AHEAD = timedelta(days=400)
LONGEST_NAME, LONGEST_EMAIL, LONGEST_PHONE, LONGEST_NOTES, LONGEST_SOURCE = 200, 254, 40, 2_000, 60
LONGEST_ZONE = 100

_TRIES = 3
# no letter or digit that could be taken for another one when it is read out
_REFERENCE = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_PHONE = re.compile(r"\+?[0-9][0-9 ()./-]{3,}")

_CREATE: LiteralString = """
SELECT look.* FROM take_on(%(role)s, %(venues)s, %(every)s) AS scope (taken_on)
 CROSS JOIN LATERAL create_booking(
    CASE WHEN scope.taken_on THEN %(id)s::uuid END,
    %(restaurant_id)s, %(reference)s, %(party)s, %(starts_at)s, %(token_hash)s, %(source)s,
    %(name)s, %(email)s, %(phone)s, %(notes)s, %(flushed_later)s, %(wishes)s, %(vip)s) AS created (id)
 CROSS JOIN LATERAL look_at_booking(created.id) AS look
"""


@dataclass(frozen=True, slots=True)
class NewBooking:
    """What somebody wants to book. Raises InvalidInput, which names the field and repeats nothing of the guest's.

    `starts_at` is an instant with its zone, to the second; `source` says where the booking came from, in a short word.
    """

    restaurant_id: UUID
    party: int
    starts_at: datetime
    source: str = "api"
    name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    notes: str | None = field(default=None, repr=False)
    preferences: Preferences = field(default_factory=Preferences)
    vip: bool = False

    def __post_init__(self) -> None:
        check_party(self.party)
        check_zone(self.starts_at)
        check_text("source", self.source, LONGEST_SOURCE, empty=False)
        check_text("name", self.name, LONGEST_NAME)
        check_text("notes", self.notes, LONGEST_NOTES, lines=True)
        check_text("email", self.email, LONGEST_EMAIL)
        check_text("phone", self.phone, LONGEST_PHONE)
        check_wishes(self.preferences)
        for name in ("name", "email", "phone", "notes"):
            text: str | None = getattr(self, name)
            object.__setattr__(self, name, None if text is None else text.strip() or None)
        object.__setattr__(self, "starts_at", self.starts_at.replace(microsecond=0))
        if self.email is not None and read_address(self.email) is None:
            raise InvalidInput("booking", "email", "must be one address, as guest@example.org")
        if self.phone is not None and not _PHONE.fullmatch(self.phone):
            raise InvalidInput("booking", "phone", "must be a telephone number")


@dataclass(frozen=True, slots=True)
class Created:
    """The booking that is there now, and what its tables can be chosen by. The token can't be had again."""

    snapshot: Snapshot
    token: str = field(repr=False)

    @property
    def id(self) -> UUID:
        """The booking's id."""
        return self.snapshot.booking_id


def check_party(party: int) -> None:
    """Raises InvalidInput for a size that no booking may have."""
    if not 1 <= party <= LARGEST_PARTY:
        raise InvalidInput("booking", "party", f"must be from 1 to {LARGEST_PARTY}")


def check_zone(starts_at: datetime) -> None:
    """Raises InvalidInput for a start without a zone."""
    if starts_at.tzinfo is None:
        raise InvalidInput("booking", "starts_at", "must have a time zone")


def check_ahead(starts_at: datetime, now: datetime) -> None:
    """Raises InvalidInput for a start that has passed, or that is further ahead than bookings are taken."""
    check_zone(starts_at)
    if starts_at <= now:
        raise InvalidInput("booking", "starts_at", "has passed")
    if starts_at - now > FURTHEST_AHEAD:
        raise InvalidInput("booking", "starts_at", f"must be within {FURTHEST_AHEAD.days} days")


def check_text(name: str, text: str | None, longest: int, *, empty: bool = True, lines: bool = False) -> None:
    """Raises InvalidInput for text that is too long or has characters that are none."""
    if text is None:
        return
    if len(text) > longest or (not empty and not text.strip()):
        raise InvalidInput("booking", name, f"must be {'at most' if empty else '1 to'} {longest} characters")
    allowed = "\n\r\t" if lines else ""
    if any(unicodedata.category(each) in ("Cc", "Cs", "Cn") and each not in allowed for each in text):
        raise InvalidInput("booking", name, "has characters that can't be printed")


def new_reference() -> str:
    """What a guest is called by on the telephone."""
    return "".join(secrets.choice(_REFERENCE) for _ in range(8))


def check_wishes(preferences: Preferences) -> None:
    """Raises InvalidInput for what can't be the name of a zone."""
    zone = preferences.zone
    if zone is not None and not (0 < len(zone) <= LONGEST_ZONE and zone.isprintable() and zone == zone.strip()):
        raise InvalidInput("booking", "preferences.zone", "must be a zone's name")


async def create_booking(
    database: Database, new: NewBooking, *, now: datetime, booking_id: UUID | None = None, flushed_later: bool = False
) -> Created:
    """Writes the booking and looks what is around it; one round trip.

    Asked again with the same `booking_id` there is one booking all the same, and the token given last is the one that
    counts. `flushed_later` is for a caller who tells nobody of the booking before he has written something else: then
    the disk needn't be waited for twice. Raises InvalidInput, NotFound for an unknown venue, PacingExceeded.
    """
    check_ahead(new.starts_at, now)
    token = new_token()
    new_id = booking_id or uuid4()
    params = {
        "id": new_id,
        "restaurant_id": new.restaurant_id,
        "party": new.party,
        "starts_at": new.starts_at,
        "token_hash": hashed(token),
        "source": new.source,
        "name": new.name,
        "email": new.email,
        "phone": new.phone,
        "notes": new.notes,
        "wishes": Jsonb(preferences_to_json(new.preferences)),
        "vip": new.vip,
        "flushed_later": flushed_later,
    }
    for tries_left in reversed(range(_TRIES)):
        try:
            rows = await database.fetch_alone(_CREATE, {**params, "reference": new_reference()})
            break
        except psycopg.errors.UniqueViolation:
            if not tries_left:
                raise
    if not rows or rows[0]["restaurant_id"] != new.restaurant_id:
        raise NotFound("restaurant", str(new.restaurant_id))
    return Created(snapshot_of(new_id, rows), token)
