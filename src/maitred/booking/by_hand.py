"""Assigning tables by hand: looking at a chosen set, holding it, extending the hold, confirming it, letting it go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg

from maitred.booking.checks import Check, Chosen, InTheWay, Outcome, adjacent, check, seats_of, worst
from maitred.booking.confirm import Confirmation, confirm_hold
from maitred.booking.desk import Desk
from maitred.booking.hold import OWNER, RELEASE, Hold, HoldRequest, hold_expiry, hold_statements, lock_day
from maitred.booking.snapshot import Snapshot, snapshot_of, snapshot_statement
from maitred.booking.staff_change import EVENT_OF_CHANGED, event_params
from maitred.booking.venues import PlannedVenue
from maitred.errors import (
    HoldAtItsLongest,
    HoldExpired,
    HoldForeign,
    HoldNotFound,
    InvalidInput,
    NotFound,
    TablesNotAssignable,
)
from maitred.messages.outbox import Variant, confirmation_messages
from maitred.model.booking import BookingStatus
from maitred.model.floor import Floor, Table
from maitred.model.period import Period
from maitred.model.policy import Window
from maitred.model.reason import ReasonCode
from maitred.storage.database import Statement

MOST_CHOSEN = 20
"""More tables than this nobody joins for one party."""

LONGEST_HOLD_S = 1_800
"""A hold, however often it is extended, ends this many seconds after it was made."""

# By number and not by id: the question travels with the one that reads the floor's version.
_IN_THE_WAY: LiteralString = """
SELECT a.table_id, o.id AS booking_id, o.reference, lower(a.period) AS starts, upper(a.period) AS ends,
       h.id AS hold_id, h.expires_at
  FROM bookings b
  JOIN tables t ON t.restaurant_id = b.restaurant_id
               AND lower(t.number) IN (SELECT lower(n) FROM unnest(%(numbers)s::text[]) n)
  JOIN allocations a ON int8range(a.table_id, a.table_id, '[]') && int8range(t.id, t.id, '[]')
                    AND a.period && tstzrange(b.starts_at - interval '3 hours', b.starts_at + interval '16 hours')
  JOIN bookings o ON o.id = a.booking_id
  LEFT JOIN holds h ON h.id = a.hold_id
 WHERE b.id = %(booking_id)s
   AND a.booking_id <> b.id
   AND (h.id IS NULL OR h.expires_at > clock_timestamp())
 ORDER BY lower(a.period), a.table_id
"""

_HELD: LiteralString = (
    """
WITH changed AS (SELECT booking_id AS id, restaurant_id FROM holds WHERE id = %(hold_id)s)
"""  # noqa: S608 - constants joined, nothing from outside
    + EVENT_OF_CHANGED
)

_EXTEND: LiteralString = (
    """
WITH changed AS (
    UPDATE holds
       SET expires_at = least(clock_timestamp() + make_interval(secs => %(ttl_s)s),
                              created_at + make_interval(secs => %(longest_s)s))
     WHERE id = %(hold_id)s AND booking_id = %(booking_id)s AND expires_at > clock_timestamp()
       AND expires_at < least(clock_timestamp() + make_interval(secs => %(ttl_s)s),
                              created_at + make_interval(secs => %(longest_s)s))
    RETURNING booking_id AS id, restaurant_id
)
"""  # noqa: S608 - constants joined, nothing from outside
    + EVENT_OF_CHANGED
)
_HOLD: LiteralString = """
SELECT h.booking_id, h.expires_at, h.expires_at <= clock_timestamp() AS expired,
       h.created_at + make_interval(secs => %(longest_s)s) AS longest,
       h.policy_version, h.floor_version, h.require_adjacency, lower(a.period) AS starts, upper(a.period) AS ends,
       array_agg(a.table_id ORDER BY a.table_id) AS table_ids
  FROM holds h JOIN allocations a ON a.hold_id = h.id
 WHERE h.id = %(hold_id)s
 GROUP BY h.id, a.period
"""

# Runs before the release, while the hold still says whose it is.
_RELEASED: LiteralString = (
    """
WITH changed AS (
    SELECT booking_id AS id, restaurant_id FROM holds WHERE id = %(hold_id)s AND booking_id = %(booking_id)s FOR UPDATE
)
"""  # noqa: S608 - constants joined, nothing from outside
    + EVENT_OF_CHANGED
)

# The confirmation writes its own row of history; here only whose key it was is added.
_CONFIRMED_BY: LiteralString = """
UPDATE booking_history SET key_id = %(key_id)s
 WHERE id = (SELECT max(id) FROM booking_history WHERE booking_id = %(booking_id)s AND to_status = 'confirmed')
   AND EXISTS (SELECT FROM confirmations WHERE id = %(confirmation_id)s)
"""
_CONFIRMED: LiteralString = (
    """
WITH changed AS (
    SELECT b.id, b.restaurant_id FROM confirmations c JOIN bookings b ON b.id = c.booking_id
     WHERE c.id = %(confirmation_id)s
)
"""  # noqa: S608 - constants joined, nothing from outside
    + EVENT_OF_CHANGED
)
_BEFORE_CONFIRMING: LiteralString = """
SELECT b.restaurant_id,
       coalesce((SELECT r.mail_variant FROM runs r WHERE r.booking_id = b.id ORDER BY r.created_at DESC LIMIT 1),
                'standard') AS mail_variant
  FROM bookings b WHERE b.id = %(booking_id)s
"""


@dataclass(frozen=True, slots=True)
class Validation:
    """What is to be said of the tables (in the order of their numbers), and whether they can be held."""

    booking_id: UUID
    tables: tuple[Table, ...]
    window: Window | None
    seats: int
    checks: tuple[Check, ...]
    timezone: str

    @property
    def outcome(self) -> Outcome:
        """The worst of the checks."""
        return worst(self.checks)


@dataclass(frozen=True, slots=True)
class HeldByHand:
    """A hold made by hand, with what was to be said of it; no check is an error."""

    hold: Hold
    validation: Validation


@dataclass(frozen=True, slots=True)
class _Look:
    snapshot: Snapshot
    planned: PlannedVenue
    validation: Validation


async def validate_tables(desk: Desk, booking_id: UUID, numbers: Sequence[str], *, now: datetime) -> Validation:
    """Looks at these tables (by their numbers) for the booking; one round trip, and holds nothing.

    Raises NotFound for an unknown booking, InvalidInput for a number twice or one that the floor doesn't have.
    """
    return (await _look(desk, booking_id, numbers, now)).validation


async def hold_tables(
    desk: Desk,
    booking_id: UUID,
    numbers: Sequence[str],
    *,
    ttl_s: int,
    key_id: UUID | None,
    now: datetime,
    hold_id: UUID | None = None,
) -> HeldByHand:
    """Holds these tables for the booking, in place of an earlier hold of its own; two round trips.

    Warnings are for staff to weigh. An error refuses: raises TablesNotAssignable with the codes of the checks, also
    when somebody was faster. Otherwise raises as `validate_tables`. Asked again with the same `hold_id` it is one hold.
    """
    for _ in range(desk.quote_replans + 1):
        look = await _look(desk, booking_id, numbers, now)
        validation, window = look.validation, look.validation.window
        if validation.outcome is Outcome.ERROR or window is None:
            raise _not_assignable(validation)
        scoring = look.planned.venue.policy.scoring
        request = HoldRequest(
            hold_id=hold_id or uuid4(),
            table_ids=tuple(table.id for table in validation.tables),
            period=window.blocked,
            require_adjacency=len(validation.tables) > 1
            and adjacent(validation.tables, look.planned.planner.layout, scoring),
            ttl_s=ttl_s,
        )
        told = {"hold_id": request.hold_id, **event_params("held", booking_id, key_id)}
        statements = [
            lock_day(look.snapshot.restaurant_id, window.service_day, desk.lock_timeout_ms),
            *hold_statements(look.snapshot, request),
            Statement(_HELD, told),
        ]
        try:
            _, *rows = await desk.database.transact(statements)
        except (psycopg.errors.ExclusionViolation, psycopg.errors.DeadlockDetected):
            continue  # somebody was faster: the next look says who
        if (expires_at := hold_expiry(rows)) is not None:
            return HeldByHand(_held(look.snapshot, request, expires_at), validation)
    raise TablesNotAssignable(booking_id, (ReasonCode.HOLD_CONFLICT.value,))


async def extend_hold(desk: Desk, booking_id: UUID, hold_id: UUID, *, ttl_s: int, key_id: UUID | None) -> Hold:
    """Lets the hold live for `ttl_s` seconds from now, never beyond LONGEST_HOLD_S from its making; one round trip.

    A hold that lives longer than that already is left as it is. Raises HoldNotFound, HoldForeign, HoldExpired, and
    HoldAtItsLongest where nothing can be added.
    """
    params = {
        "hold_id": hold_id,
        "booking_id": booking_id,
        "ttl_s": ttl_s,
        "longest_s": LONGEST_HOLD_S,
        **event_params("extended", booking_id, key_id),
    }
    before, _, after = await desk.database.transact(
        [Statement(_HOLD, params), Statement(_EXTEND, params), Statement(_HOLD, params)]
    )
    if not before or not after:
        raise HoldNotFound(booking_id, hold_id)
    row = after[0]
    if row["booking_id"] != booking_id:
        raise HoldForeign(booking_id, hold_id)
    if row["expired"]:
        raise HoldExpired(booking_id, hold_id)
    if row["expires_at"] == before[0]["expires_at"] and row["expires_at"] >= row["longest"]:
        raise HoldAtItsLongest(booking_id, hold_id)
    return Hold(
        id=hold_id,
        booking_id=booking_id,
        table_ids=tuple(row["table_ids"]),
        period=Period(row["starts"], row["ends"]),
        expires_at=row["expires_at"],
        policy_version=row["policy_version"],
        floor_version=row["floor_version"],
        require_adjacency=row["require_adjacency"],
    )


async def confirm_by_hand(
    desk: Desk, booking_id: UUID, hold_id: UUID, *, key_id: UUID | None, messages_suppressed: bool
) -> Confirmation:
    """Makes the hold, whoever made it, the booking's seats, and lets the guest be told; two round trips.

    Confirming the same hold again gives the first result again. Raises as `confirm_hold`.
    """
    rows = await desk.database.fetch(_BEFORE_CONFIRMING, {"booking_id": booking_id})
    if not rows:
        raise NotFound("booking", str(booking_id))
    variant: Variant = rows[0]["mail_variant"]
    confirmation_id = uuid4()
    params = {
        "booking_id": booking_id,
        "confirmation_id": confirmation_id,
        "key_id": key_id,
        **event_params("confirmed", booking_id, key_id),
    }
    return await confirm_hold(
        desk,
        hold_id,
        booking_id=booking_id,
        idempotency_key=f"by_hand:{hold_id}",
        cause="by_hand",
        confirmation_id=confirmation_id,
        also=[
            Statement(_CONFIRMED_BY, params),
            Statement(_CONFIRMED, params),
            *confirmation_messages(
                restaurant_id=rows[0]["restaurant_id"],
                booking_id=booking_id,
                confirmation_id=confirmation_id,
                variant=variant,
                suppressed=messages_suppressed,
            ),
        ],
    )


async def release_by_hand(desk: Desk, booking_id: UUID, hold_id: UUID, *, key_id: UUID | None) -> None:
    """Lets the held tables go at once; one round trip. Raises HoldForeign, HoldNotFound."""
    params = {"hold_id": hold_id, "booking_id": booking_id, **event_params("released", booking_id, key_id)}
    owner, _, released = await desk.database.transact(
        [Statement(OWNER, params), Statement(_RELEASED, params), Statement(RELEASE, params)]
    )
    if released:
        return
    if owner and owner[0]["booking_id"] != booking_id:
        raise HoldForeign(booking_id, hold_id)
    raise HoldNotFound(booking_id, hold_id)


async def _look(desk: Desk, booking_id: UUID, numbers: Sequence[str], now: datetime) -> _Look:
    asked = {"booking_id": booking_id, "numbers": list(numbers)}
    rows, in_the_way = await desk.database.transact([snapshot_statement(booking_id), Statement(_IN_THE_WAY, asked)])
    snapshot = snapshot_of(booking_id, rows)
    planned = await desk.venues.get(snapshot)
    policy, floor = planned.venue.policy, planned.venue.floor
    tables = tables_named(floor, numbers)
    window = policy.window(snapshot.starts_at, snapshot.party)
    pending = snapshot.status is BookingStatus.PENDING
    chosen = Chosen(
        party=snapshot.party,
        status=snapshot.status,
        starts_at=snapshot.starts_at,
        tables=tables,
        window=window if isinstance(window, Window) else None,
        no_window=window if isinstance(window, ReasonCode) else None,
        others=[
            InTheWay(
                table_id=row["table_id"],
                booking_id=row["booking_id"],
                reference=row["reference"],
                period=Period(row["starts"], row["ends"]),
                hold_id=row["hold_id"],
                expires_at=row["expires_at"],
            )
            for row in in_the_way
        ],
        kept=frozenset(seat.table_id for seat in snapshot.old_seats) if pending else frozenset(),
        zones=floor.zones,
    )
    layout = planned.planner.layout
    validation = Validation(
        booking_id=booking_id,
        tables=tables,
        window=chosen.window,
        seats=seats_of(tables, layout),
        checks=check(chosen, layout, policy.scoring, now),
        timezone=policy.timezone,
    )
    return _Look(snapshot, planned, validation)


def tables_named(floor: Floor, numbers: Sequence[str]) -> tuple[Table, ...]:
    """The floor's tables of these numbers, in the floor's order. Raises InvalidInput naming `tables`."""
    if not 1 <= len(numbers) <= MOST_CHOSEN:
        raise InvalidInput("assignment", "tables", f"must be from 1 to {MOST_CHOSEN}")
    wanted = {number.casefold() for number in numbers}
    if len(wanted) < len(numbers):
        raise InvalidInput("assignment", "tables", "names a table twice")
    found = tuple(table for table in floor.tables if table.number.casefold() in wanted)
    if len(found) < len(wanted):
        known = {table.number.casefold() for table in found}
        unknown = next(number for number in numbers if number.casefold() not in known)
        raise InvalidInput("assignment", "tables", f"no table {unknown[:60]!r}")
    return found


def _held(snapshot: Snapshot, request: HoldRequest, expires_at: datetime) -> Hold:
    return Hold(
        id=request.hold_id,
        booking_id=snapshot.booking_id,
        table_ids=request.table_ids,
        period=request.period,
        expires_at=expires_at,
        policy_version=snapshot.policy_version,
        floor_version=snapshot.floor_version,
        require_adjacency=request.require_adjacency,
    )


def _not_assignable(validation: Validation) -> TablesNotAssignable:
    errors = (each.code.value for each in validation.checks if each.outcome is Outcome.ERROR)
    return TablesNotAssignable(validation.booking_id, tuple(errors))
