"""What one quote needs to know of the database, read in one statement: one moment, one round trip."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from maitred.errors import NotFound
from maitred.model.booking import BookingStatus
from maitred.model.period import EPOCH, from_micros
from maitred.storage.database import Row, Statement

# Windows reach at most 12 hours past a start (turn 600 min, buffers 120) and bookings that look-ahead asks for start at
# most 240 min later; an allocation is at most 24 hours long. So this reads everything that could matter, by an index.
SNAPSHOT: LiteralString = """
SELECT b.id AS booking_id, b.restaurant_id, b.reference, b.party_size, b.starts_at, b.status,
       r.policy_version, r.floor_version,
       (SELECT m.seq FROM release_marks m WHERE m.restaurant_id = r.id) + r.policy_version + r.floor_version
           AS release_seq,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(
                   o.table_id,
                   (extract(epoch FROM lower(o.period)) * 1000000)::bigint,
                   (extract(epoch FROM upper(o.period)) * 1000000)::bigint)), '[]')
          FROM allocations o WHERE o.booking_id = b.id AND o.hold_id IS NULL) AS old_seats,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(
                   a.table_id,
                   (extract(epoch FROM lower(a.period)) * 1000000)::bigint,
                   (extract(epoch FROM upper(a.period)) * 1000000)::bigint)), '[]')
          FROM allocations a LEFT JOIN holds h ON h.id = a.hold_id
         WHERE a.restaurant_id = b.restaurant_id
           AND a.booking_id <> b.id
           AND lower(a.period) >= b.starts_at - interval '27 hours'
           AND lower(a.period) < b.starts_at + interval '16 hours'
           AND upper(a.period) > b.starts_at - interval '3 hours'
           AND (a.hold_id IS NULL OR h.expires_at > clock_timestamp())) AS taken,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(
                   w.party_size,
                   (extract(epoch FROM w.starts_at) * 1000000)::bigint) ORDER BY w.starts_at, w.id), '[]')
          FROM bookings w
         WHERE w.restaurant_id = b.restaurant_id
           AND w.id <> b.id
           AND w.status = 'pending'
           AND w.starts_at > b.starts_at
           AND w.starts_at <= b.starts_at + interval '240 minutes'
           AND NOT EXISTS (SELECT FROM allocations x WHERE x.booking_id = w.id)) AS waiting
  FROM bookings b JOIN restaurants r ON r.id = b.restaurant_id
 WHERE b.id = %(booking_id)s
"""


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
class Snapshot:
    """The booking, the versions of its venue's rules, and what stands around it, all at one moment.

    `release_seq` counts how often tables of the venue came free or its rules changed (each of the three only rises, so
    their sum stands for all of them): a "no" drawn from this is outdated once it changes.
    `old_seats` are what a booking that was moved keeps until it gets new ones; they don't count as taken.
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


def snapshot_statement(booking_id: UUID) -> Statement:
    """The statement whose rows `snapshot_of` understands."""
    return Statement(SNAPSHOT, {"booking_id": booking_id})


def snapshot_of(booking_id: UUID, rows: list[Row]) -> Snapshot:
    """The snapshot in the rows. Raises NotFound when there is no such booking."""
    if not rows:
        raise NotFound("booking", str(booking_id))
    row: dict[str, Any] = rows[0]
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
    )
