"""What one quote needs to know of the database, read in one statement: one moment, one round trip."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, Protocol
from uuid import UUID

from maitred.errors import NotFound
from maitred.model.booking import BookingStatus
from maitred.model.period import EPOCH, from_micros
from maitred.model.preferences import Preferences
from maitred.storage.database import Row, Statement
from maitred.venue.scoring import preferences_from_json

SNAPSHOT: LiteralString = "SELECT * FROM look_at_booking(%(booking_id)s)"


@dataclass(frozen=True, slots=True)
class Taken:
    """A table taken for a while, by a seat or by a hold that is alive; [start, end) in microseconds since 1970.

    Plain numbers because a busy evening has hundreds of these, and every quote compares them all.
    """

    table_id: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A booking without tables that starts after the one in question, within 240 minutes."""

    party: int
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class SeatedParty:
    """A booking with tables or a hold: its start, and [start, end) of its tables, in microseconds since 1970."""

    party: int
    starts_at: int
    start: int
    end: int
    table_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The booking, the versions of its venue's rules, and what stands around it, all at one moment.

    `release_seq` counts how often tables of the venue came free or its rules changed (each of the three only rises, so
    their sum stands for all of them): a "no" drawn from this is outdated once it changes.
    `old_seats` are what a booking that was moved keeps until it gets new ones; they don't count as taken.
    `inline_timeout_ms` is the venue's own. `seated` is read only for venues that weigh how many covers sit where.
    """

    booking_id: UUID
    restaurant_id: UUID
    reference: str
    party: int
    starts_at: datetime
    status: BookingStatus
    policy_version: int
    floor_version: int
    release_seq: int
    taken: tuple[Taken, ...]
    old_seats: tuple[Taken, ...]
    waiting: tuple[Waiting, ...]
    inline_timeout_ms: int | None = None
    preferences: Preferences | None = None
    vip: bool = False
    seated: tuple[SeatedParty, ...] = ()


class Looking(Protocol):
    """How one looks at what stands around a booking, and again as often as it takes."""

    def statement(self) -> Statement:
        """To be sent by whoever wants to know."""

    def snapshot(self, rows: list[Row]) -> Snapshot:
        """What its rows say. Raises NotFound."""


@dataclass(frozen=True, slots=True)
class AtBooking:
    """At a booking that is there."""

    booking_id: UUID

    def statement(self) -> Statement:
        return Statement(SNAPSHOT, {"booking_id": self.booking_id})

    def snapshot(self, rows: list[Row]) -> Snapshot:
        return snapshot_of(self.booking_id, rows)


def snapshot_statement(booking_id: UUID) -> Statement:
    """The statement whose rows `snapshot_of` understands."""
    return AtBooking(booking_id).statement()


def snapshot_of(booking_id: UUID, rows: list[Row]) -> Snapshot:
    """The snapshot in the rows. Raises NotFound when there is no such booking."""
    if not rows:
        raise NotFound("booking", str(booking_id))
    row: dict[str, Any] = rows[0]
    asks = row["asks"] or {}
    wishes = asks.get("preferences")
    return Snapshot(
        booking_id=row["booking_id"],
        restaurant_id=row["restaurant_id"],
        reference=row["reference"],
        party=row["party_size"],
        starts_at=row["starts_at"].astimezone(EPOCH.tzinfo),
        status=BookingStatus(row["status"]),
        policy_version=row["policy_version"],
        floor_version=row["floor_version"],
        release_seq=row["release_seq"],
        taken=tuple(Taken(*each) for each in row["taken"]),
        old_seats=tuple(Taken(*each) for each in row["old_seats"]),
        waiting=tuple(Waiting(party, from_micros(start)) for party, start in row["waiting"]),
        inline_timeout_ms=row["inline_timeout_ms"],
        preferences=preferences_from_json(f"booking {row['reference']}", wishes) if wishes else None,
        vip=asks.get("vip", False),
        seated=tuple(
            SeatedParty(party, starts_at, start, end, tuple(table_ids))
            for party, starts_at, start, end, table_ids in asks.get("seated") or ()
        ),
    )
