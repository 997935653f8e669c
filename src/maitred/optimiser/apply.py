"""Doing what the optimiser found: everybody's tables in one transaction, or nothing when the day has changed.

Under the day's lock the day's version must be the one that was optimised. Then all seats that move are given up before
the first new one is taken, so that the constraint on overlaps never meets a ring of moves halfway; then those who were
waiting are seated as by any other way, with their confirmation and its messages. A moved booking keeps its time, so its
guest is told nothing: a confirmation names no table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString, cast
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

from maitred.booking.hold import NOT_HELD, days_from_zero
from maitred.errors import VersionConflict
from maitred.model.period import from_micros
from maitred.observability.optimiser_events import OptimiserStatus, applied
from maitred.observability.state_events import state_event_statement
from maitred.observability.table_events import tables_moved
from maitred.optimiser.day import Day, DayBooking
from maitred.optimiser.result import Result, Status
from maitred.storage.database import Database, Statement

CAUSE = "optimised"
"""What the history of a booking says that was moved or seated this way."""

_LOCK_DAY: LiteralString = "SELECT lock_day(%(venue)s, %(day)s, %(wait_ms)s)"
# A statement of its own after the lock, hence a new snapshot: it sees whatever was committed while we waited.
_MUST_BE_AS_READ: LiteralString = """
SELECT must_hold(day_version(r.id, %(date)s) = %(version)s
                 AND (r.policy_version, r.floor_version) = (%(policy)s::bigint, %(floor)s::bigint),
                 'the day has changed')
  FROM restaurants r WHERE r.id = %(venue)s
"""
_MOVE: LiteralString = """
SELECT move_tables(%(venue)s, %(day)s, %(wait_ms)s, %(moves)s, %(cause)s, NULL)
"""
_SEAT: LiteralString = """
SELECT must_hold(s.outcome = 'confirmed', 'a waiting booking has changed')
  FROM seat_booking(
    %(booking_id)s, %(venue)s, %(day)s, %(wait_ms)s, %(party)s, %(starts_at)s, %(policy)s, %(floor)s,
    %(table_ids)s, %(start)s, %(end)s, %(confirmation_id)s, %(hold_id)s, %(key)s, %(cause)s, %(result)s, %(variant)s,
    %(suppressed)s) s
"""

_CHANGED = (
    psycopg.errors.ExclusionViolation,
    psycopg.errors.UniqueViolation,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)


@dataclass(frozen=True, slots=True)
class Move:
    """A seated booking's tables before and after (ids), and whom its old tables are for now, by reference."""

    reference: str
    from_tables: tuple[int, ...]
    to_tables: tuple[int, ...]
    makes_room_for: tuple[str, ...]


def moves_of(day: Day, result: Result) -> list[Move]:
    """Who moves, and why: whoever now has one of its old tables in its time."""
    at: defaultdict[int, list[DayBooking]] = defaultdict(list)
    for key, tables in result.seats.items():
        for table in tables:
            at[table].append(day.bookings[key])
    found = []
    for key in result.moves:
        booking = day.bookings[key]
        others = {
            other.reference
            for table in booking.table_ids
            for other in at[table]
            if other.reference != key and other.start < booking.end and booking.start < other.end
        }
        found.append(Move(key, booking.table_ids, result.seats[key], tuple(sorted(others))))
    return found


def newly_seated(day: Day, result: Result) -> dict[str, tuple[int, ...]]:
    """Those who were waiting and get tables (ids), by reference."""
    return {key: result.seats[key] for key in day.waiting if key in result.seats}


async def apply_result(
    database: Database, day: Day, result: Result, *, lock_timeout_ms: int, messages_suppressed: bool
) -> None:
    """Moves and seats everybody; one round trip and one transaction, with history, messages and events.

    Raises VersionConflict when anything of the day has changed since it was read; then nothing was changed, and the day
    is to be read and optimised again. A result without an answer changes nothing.
    """
    if result.status is Status.INFEASIBLE:
        return
    moves, seated = moves_of(day, result), newly_seated(day, result)
    if not moves and not seated:
        return
    params = {
        "venue": day.venue.restaurant_id,
        "day": days_from_zero(day.day),
        "date": day.day,
        "version": day.version,
        "policy": day.venue.policy_version,
        "floor": day.venue.floor_version,
        "wait_ms": lock_timeout_ms,
    }
    statements = [
        Statement(_LOCK_DAY, params),
        Statement(_MUST_BE_AS_READ, params),
        *_moving(day, moves, params),
        *(
            _seating(day.bookings[key], tables, params, suppressed=messages_suppressed)
            for key, tables in seated.items()
        ),
        state_event_statement(
            applied(
                restaurant_id=day.venue.restaurant_id,
                mode=day.problem.mode.value,
                status=cast("OptimiserStatus", result.status.value),
                seated=result.seated,
                covers=result.covers,
                newly_seated=len(seated),
                moves=len(moves),
                bound=result.bound,
                duration_ms=result.seconds * 1000,
            )
        ),
    ]
    try:
        await database.transact(statements)
    except psycopg.Error as error:
        if error.sqlstate == NOT_HELD or isinstance(error, _CHANGED):
            raise VersionConflict("service day", "newer") from error
        raise


def _moving(day: Day, moves: list[Move], params: Mapping[str, object]) -> list[Statement]:
    if not moves:
        return []
    rows = []
    told = []
    for move in moves:
        booking = day.bookings[move.reference]
        rows.append(
            [
                str(booking.id),
                booking.revision,
                list(move.from_tables),
                list(move.to_tables),
                from_micros(booking.start).isoformat(),
                from_micros(booking.end).isoformat(),
            ]
        )
        told.append(
            state_event_statement(
                tables_moved(
                    restaurant_id=day.venue.restaurant_id,
                    booking_id=booking.id,
                    from_tables=move.from_tables,
                    to_tables=move.to_tables,
                    cause="optimised",
                )
            )
        )
    return [Statement(_MOVE, {**params, "moves": Jsonb(rows), "cause": CAUSE}), *told]


def _seating(
    booking: DayBooking, tables: tuple[int, ...], params: Mapping[str, object], *, suppressed: bool
) -> Statement:
    confirmation_id = uuid4()
    return Statement(
        _SEAT,
        {
            **params,
            "booking_id": booking.id,
            "party": booking.party,
            "starts_at": booking.starts_at,
            "table_ids": sorted(tables),
            "start": booking.window.blocked.start,
            "end": booking.window.blocked.end,
            "confirmation_id": confirmation_id,
            "hold_id": uuid4(),
            "key": f"optimised:{confirmation_id}",
            "cause": CAUSE,
            "result": None,
            "variant": booking.variant,
            "suppressed": suppressed,
        },
    )
