"""A booking that is not there yet: it comes to be in the transaction that seats it, or that hands it to a run.

So a table costs one round trip less than for a booking that is created first. It is only for an id that nobody can have
used before: whoever asks once more after a crash goes by `create_booking`, which finds what there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from maitred.booking.create import NewBooking, new_reference
from maitred.booking.snapshot import Snapshot, snapshot_of
from maitred.booking.token import hashed, new_token
from maitred.errors import NotFound
from maitred.model.booking import BookingStatus
from maitred.model.preferences import Preferences
from maitred.storage.database import NO_SCOPE, Row, Statement
from maitred.venue.scoring import preferences_to_json

_LOOK: LiteralString = """
SELECT look.* FROM take_on(%(role)s, %(venues)s, %(every)s) AS scope (taken_on)
 CROSS JOIN LATERAL look_at_start(CASE WHEN scope.taken_on THEN %(venue)s::uuid END, %(start)s) AS look
"""
_CREATE: LiteralString = """
SELECT create_booking(
    %(booking_id)s, %(restaurant_id)s, %(reference)s, %(party)s, %(starts_at)s, %(token_hash)s, %(source)s,
    %(name)s, %(email)s, %(phone)s, %(notes)s, false, %(wishes)s, %(vip)s)
"""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What is asked for, and what the booking will be called."""

    asked: NewBooking
    booking_id: UUID
    reference: str
    token: str = field(repr=False)

    def statement(self) -> Statement:
        """Looks at what stands around its start; one that takes on the scope by itself."""
        return Statement(_LOOK, {"venue": self.asked.restaurant_id, "start": self.asked.starts_at, **NO_SCOPE})

    def snapshot(self, rows: list[Row]) -> Snapshot:
        """What the booking sees around it. Raises NotFound for an unknown venue."""
        asked = self.asked
        if not rows:
            raise NotFound("restaurant", str(asked.restaurant_id))
        booking = {
            "booking_id": self.booking_id,
            "restaurant_id": asked.restaurant_id,
            "reference": self.reference,
            "party_size": asked.party,
            "starts_at": asked.starts_at,
            "status": BookingStatus.PENDING,
            "old_seats": (),
        }
        snapshot = snapshot_of(self.booking_id, [{**rows[0], **booking}])
        if asked.vip or asked.preferences != Preferences():
            return replace(snapshot, vip=asked.vip, preferences=asked.preferences)
        return snapshot

    def written(self) -> Mapping[str, Any]:
        """Its columns, as the functions that write it name them."""
        asked = self.asked
        return {
            "booking_id": self.booking_id,
            "restaurant_id": asked.restaurant_id,
            "reference": self.reference,
            "party": asked.party,
            "starts_at": asked.starts_at,
            "token_hash": hashed(self.token),
            "source": asked.source,
            "name": asked.name,
            "email": asked.email,
            "phone": asked.phone,
            "notes": asked.notes,
            "wishes": Jsonb(preferences_to_json(asked.preferences)),
            "vip": asked.vip,
        }

    def creating(self) -> Statement:
        """Writes the booking alone, for a transaction that goes on; if it is there, it stays as it is."""
        return Statement(_CREATE, self.written())


def newcomer(asked: NewBooking, booking_id: UUID) -> Newcomer:
    """With a reference and a token of its own."""
    return Newcomer(asked, booking_id, new_reference(), new_token())
