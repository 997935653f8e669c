"""Moving seated bookings to other tables so that one more fits: what stands there, the way, and the statements.

Nothing is locked while the way is looked for. The transaction that moves takes the day's lock and looks whether every
booking it moves still is what was planned with (confirmed, not locked, same revision, same tables for the same time);
anything else undoes all of it, and the quote looks and plans again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from maitred.booking.hold import days_from_zero
from maitred.booking.question import Question
from maitred.booking.room import minutes_left
from maitred.booking.snapshot import Snapshot
from maitred.booking.venues import PlannedVenue
from maitred.model.booking import BookingStatus
from maitred.model.period import as_micros, from_micros
from maitred.model.policy import Window
from maitred.model.preferences import Preferences
from maitred.observability.state_events import state_event_statement
from maitred.observability.table_events import tables_moved
from maitred.planner.answer import Request
from maitred.planner.layout import indices_of
from maitred.planner.moves import Moves, NoMoves, Seated, Wanted, find_moves
from maitred.storage.database import Database, Row, Statement
from maitred.venue.scoring import preferences_from_json

CAUSE = "made_way"
"""What a moved booking's history says."""

# A chain of moves reaches no further than this from the newcomer's start; what stands there for others is read as far
# as an allocation is long beyond it.
_REACH = timedelta(hours=24)
_LONGEST = timedelta(hours=24)

_LOOK: LiteralString = "SELECT * FROM look_at_tables(%(venue)s, %(since)s, %(until)s)"

_MOVE: LiteralString = """
SELECT move_tables(%(venue)s, %(day)s, %(wait_ms)s, %(moves)s, %(cause)s, %(newcomer)s)
"""

_MUST_BE_CONFIRMED: LiteralString = """
SELECT must_hold(EXISTS (SELECT FROM confirmations c JOIN bookings b ON b.id = c.booking_id AND b.status = 'confirmed'
                          WHERE c.booking_id = %(booking_id)s AND c.hold_id = %(hold_id)s), 'the seat was not taken')
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Tables (ids, ascending) that a booking or a hold has, for [start, end) in microseconds since 1970."""

    booking_id: UUID
    held: bool
    party: int
    starts_at: datetime
    status: BookingStatus
    locked: bool
    revision: int
    table_ids: tuple[int, ...]
    start: int
    end: int
    preferences: Preferences | None = None
    vip: bool = False


@dataclass(frozen=True, slots=True)
class MovedBooking:
    """One booking's tables before and after, by id, in the order of ids; its time stays as it was."""

    booking_id: UUID
    revision: int
    from_tables: tuple[int, ...]
    to_tables: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Way:
    """Tables for the newcomer, and who makes way for it."""

    found: Moves
    moved: tuple[MovedBooking, ...]


async def read_standing(database: Database, snapshot: Snapshot) -> list[Standing]:
    """All that stands on the venue's tables around the booking's start, but for the booking itself; one round trip."""
    rows = await database.fetch(
        _LOOK,
        {
            "venue": snapshot.restaurant_id,
            "since": snapshot.starts_at - _REACH - _LONGEST,
            "until": snapshot.starts_at + _REACH + _LONGEST,
        },
    )
    return [_standing(row) for row in rows if row["booking_id"] != snapshot.booking_id]


def seated_of(
    standing: Sequence[Standing], snapshot: Snapshot, question: Question, planned: PlannedVenue, now: datetime
) -> tuple[Seated, ...]:
    """The same in the planner's terms. `now` is the business's clock.

    May be moved: a confirmed booking of the newcomer's service day that nobody locked, that starts later than the
    policy's horizon, and that has no hold on other tables. Everything else is an obstacle, and so are tables that the
    venue has closed.
    """
    policy, floor = planned.venue.policy, planned.venue.floor
    bits = floor.bit_of
    rules = policy.scoring.moves
    earliest = now + timedelta(minutes=rules.horizon_minutes)
    reach = (as_micros(snapshot.starts_at - _REACH), as_micros(snapshot.starts_at + _REACH))
    times = [each.booking_id for each in standing]
    twice = {booking_id for booking_id in times if times.count(booking_id) > 1}
    found = []
    for each in standing:
        mask = 0
        for table_id in each.table_ids:
            mask |= bits.get(table_id, 0)
        known = all(table_id in bits for table_id in each.table_ids)
        request = None
        if (
            known
            and each.status is BookingStatus.CONFIRMED
            and not (each.locked or each.held or each.booking_id in twice)
            and each.starts_at > earliest
            and reach[0] <= each.start
            and each.end <= reach[1]
        ):
            window = policy.window(each.starts_at, each.party)
            if isinstance(window, Window) and window.service_day == question.window.service_day:
                request = Request(
                    each.party,
                    demand_multiplier=window.demand_multiplier,
                    avoid=frozenset(planned.planner.ids_of(policy.closed_tables(floor, window))),
                    preferences=each.preferences,
                    vip=each.vip,
                    service=window.service,
                    lead_min=minutes_left(policy, each.starts_at, now),
                )
        found.append(Seated(each.booking_id, mask, each.start, each.end, request, rules.cost))
    blocked = question.window.blocked
    if closed := policy.closed_tables(floor, question.window):
        found.append(Seated(UUID(int=0), closed, as_micros(blocked.start), as_micros(blocked.end), None))
    return tuple(found)


async def look_for_way(
    standing: Sequence[Standing],
    snapshot: Snapshot,
    question: Question,
    planned: PlannedVenue,
    now: datetime,
    *,
    most: int | None = None,
) -> Way | None:
    """The way with the fewest moves; None when there is none or nobody is moved in it. `most` None: as the policy says.

    The search runs beside the loop. A newcomer who could sit without anybody moving was refused for another reason
    (a look-ahead, say), and that stands.
    """
    seated = seated_of(standing, snapshot, question, planned, now)
    blocked = question.window.blocked
    wanted = Wanted(question.request, as_micros(blocked.start), as_micros(blocked.end))
    allowed = planned.venue.policy.scoring.moves.most if most is None else most
    found = await asyncio.to_thread(find_moves, planned.planner, wanted, seated, most=allowed)
    if isinstance(found, NoMoves) or not found.moved:
        return None
    by_id = {each.booking_id: each for each in standing}
    moved = []
    for move in found.moved:
        was = by_id[move.id]
        moved.append(
            MovedBooking(move.id, was.revision, was.table_ids, tuple(sorted(move.plan.table_ids)), was.start, was.end)
        )
    return Way(found, tuple(moved))


def move_statements(snapshot: Snapshot, way: Way, service_day: date, lock_timeout_ms: int) -> list[Statement]:
    """Moves everybody of the way and writes their history and events; the newcomer's seat follows in the same
    transaction. Whatever is not as it was planned raises an error with NOT_HELD, or one of a lost race."""
    moves = [
        [
            str(each.booking_id),
            each.revision,
            list(each.from_tables),
            list(each.to_tables),
            from_micros(each.start).isoformat(),
            from_micros(each.end).isoformat(),
        ]
        for each in way.moved
    ]
    params = {
        "venue": snapshot.restaurant_id,
        "day": days_from_zero(service_day),
        "wait_ms": lock_timeout_ms,
        "moves": Jsonb(moves),
        "cause": CAUSE,
        "newcomer": snapshot.booking_id,
    }
    told = [
        state_event_statement(
            tables_moved(
                restaurant_id=snapshot.restaurant_id,
                booking_id=each.booking_id,
                from_tables=each.from_tables,
                to_tables=each.to_tables,
                cause="made_way",
                moved_for=snapshot.booking_id,
            )
        )
        for each in way.moved
    ]
    return [Statement(_MOVE, params), *told]


def must_be_seated(booking_id: UUID, hold_id: UUID) -> Statement:
    """Undoes everything unless the newcomer has been seated by this hold or under its name."""
    return Statement(_MUST_BE_CONFIRMED, {"booking_id": booking_id, "hold_id": hold_id})


def table_numbers(planned: PlannedVenue, mask: int) -> tuple[str, ...]:
    """The numbers of the tables of a mask, in their order."""
    return tuple(planned.planner.layout.tables[index].number for index in indices_of(mask))


def _standing(row: Row) -> Standing:
    return Standing(
        booking_id=row["booking_id"],
        held=row["hold_id"] is not None,
        party=row["party_size"],
        starts_at=row["booked_for"],
        status=BookingStatus(row["status"]),
        locked=row["locked"],
        revision=row["revision"],
        table_ids=tuple(row["table_ids"]),
        start=row["starts"],
        end=row["ends"],
        preferences=preferences_from_json(f"booking {row['booking_id']}", row["preferences"])
        if row["preferences"]
        else None,
        vip=row["vip"],
    )
