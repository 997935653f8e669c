"""A service day as the database has it, made a problem for the optimiser."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import LiteralString
from uuid import UUID

from maitred.auto_assign.service_day import find_venue
from maitred.booking.room import minutes_left
from maitred.messages.outbox import Variant
from maitred.model.booking import BookingStatus
from maitred.model.period import as_micros
from maitred.model.policy import VenuePolicy, Window
from maitred.optimiser.options import Options
from maitred.optimiser.problem import Mode, Option, Party, Problem, Taken
from maitred.planner.answer import Request
from maitred.planner.planner import Planner
from maitred.storage.database import Database, Row, Statement
from maitred.venue.read import Venue
from maitred.venue.scoring import preferences_from_json

# The version is read first: whatever changes afterwards makes it an old one.
_VERSION: LiteralString = """
SELECT day_version(r.id, %(day)s) AS day_version, r.policy_version, r.floor_version
  FROM restaurants r WHERE r.id = %(venue)s
"""
_BOOKINGS: LiteralString = """
SELECT b.id, b.reference, b.party_size, b.starts_at, b.status, b.locked, b.by_hand, b.revision, b.preferences,
       b.vip,
       coalesce((SELECT r.mail_variant FROM runs r WHERE r.booking_id = b.id ORDER BY r.created_at DESC LIMIT 1),
                'standard') AS mail_variant
  FROM bookings b
 WHERE b.restaurant_id = %(venue)s AND b.starts_at >= %(since)s AND b.starts_at < %(until)s
   AND b.status IN ('pending', 'confirmed', 'checked_in')
 ORDER BY b.starts_at, b.reference
"""
_STANDING: LiteralString = "SELECT * FROM look_at_tables(%(venue)s, %(since)s, %(until)s)"

_MARGIN = timedelta(hours=3)  # no zone's clocks are changed by more than this


@dataclass(frozen=True, slots=True)
class DayBooking:
    """A booking of the day. `table_ids` are its seats, taken for [start, end) in microseconds; none when it waits."""

    id: UUID
    reference: str
    party: int
    starts_at: datetime
    revision: int
    variant: Variant
    window: Window
    table_ids: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Day:
    """A venue's service day at one moment. `version` is an old one as soon as anything of the day has changed."""

    venue: Venue
    day: date
    version: int
    bookings: Mapping[str, DayBooking]
    problem: Problem

    @property
    def waiting(self) -> tuple[str, ...]:
        """The references of those without tables."""
        return tuple(key for key, booking in self.bookings.items() if not booking.table_ids)


async def read_day(database: Database, slug: str, day: date, *, mode: Mode, now: datetime) -> Day:
    """The service day as it is; two round trips. `now` is the business's clock.

    Seated bookings keep their tables when they are locked, at the table already, within the policy's horizon for moves,
    or have a hold on other tables. A waiting one is left out when its start has passed, when it is in staff's hands, or
    when a hold has just been made for it. Raises NotFound for an unknown restaurant.
    """
    venue = await find_venue(database, slug)
    midnight = datetime.combine(day, time(), venue.policy.zone)
    params = {
        "venue": venue.restaurant_id,
        "day": day,
        "since": midnight - _MARGIN,
        "until": midnight + timedelta(days=2) + _MARGIN,
    }
    [version], bookings, standing = await database.transact(
        [Statement(_VERSION, params), Statement(_BOOKINGS, params), Statement(_STANDING, params)]
    )
    # listing what may join on a large floor takes a tenth of a second: not on the loop
    return await asyncio.to_thread(_day, venue, day, version["day_version"], bookings, standing, mode, now)


def _day(
    venue: Venue, day: date, version: int, bookings: list[Row], standing: list[Row], mode: Mode, now: datetime
) -> Day:
    seats = {row["booking_id"]: row for row in standing if row["hold_id"] is None}
    held = {row["booking_id"] for row in standing if row["hold_id"] is not None}
    options = OpenOptions(venue)
    earliest = now + timedelta(minutes=venue.policy.scoring.moves.horizon_minutes)
    known: dict[str, DayBooking] = {}
    parties = []
    for row in bookings:
        window = venue.policy.window(row["starts_at"], row["party_size"])
        if not isinstance(window, Window) or window.service_day != day:
            continue
        pending = BookingStatus(row["status"]) is BookingStatus.PENDING
        seat = None if pending else seats.get(row["id"])
        if pending and (row["starts_at"] <= now or row["by_hand"] or row["id"] in held):
            continue
        if not pending and seat is None:
            continue
        booking = _booking(row, window, seat)
        if not all(table in options.capacity for table in booking.table_ids):
            continue  # at a table that has left the floor: what it has is in nobody's way
        known[booking.reference] = booking
        stays = (
            row["locked"]
            or row["status"] != BookingStatus.CONFIRMED.value
            or row["starts_at"] <= earliest
            or row["id"] in held
        )
        parties.append(
            Party(
                key=booking.reference,
                covers=booking.party,
                start=booking.start,
                end=booking.end,
                options=options.of(booking.party, window, _asked(row, window, venue.policy, now)),
                seat=booking.table_ids or None,
                locked=seat is not None and stays,
                seat_waste=max(0, venue.floor.seats_of(booking.table_ids) - booking.party),
            )
        )
    mine = {booking.id for booking in known.values() if booking.table_ids}
    taken = tuple(
        Taken(table, row["starts"], row["ends"], "a hold" if row["hold_id"] is not None else "another day's booking")
        for row in standing
        if row["hold_id"] is not None or row["booking_id"] not in mine
        for table in row["table_ids"]
        if table in options.capacity
    )
    problem = Problem(options.capacity, tuple(parties), taken, mode, options.complete)
    return Day(venue, day, version, known, problem)


def _booking(row: Row, window: Window, seat: Row | None) -> DayBooking:
    return DayBooking(
        id=row["id"],
        reference=row["reference"],
        party=row["party_size"],
        starts_at=row["starts_at"],
        revision=row["revision"],
        variant=row["mail_variant"],
        window=window,
        table_ids=() if seat is None else tuple(seat["table_ids"]),
        start=as_micros(window.blocked.start) if seat is None else seat["starts"],
        end=as_micros(window.blocked.end) if seat is None else seat["ends"],
    )


def _asked(row: Row, window: Window, policy: VenuePolicy, now: datetime) -> Request:
    wishes = row["preferences"]
    return Request(
        row["party_size"],
        preferences=preferences_from_json(f"booking {row['reference']}", wishes) if wishes else None,
        vip=row["vip"],
        service=window.service,
        lead_min=minutes_left(policy, row["starts_at"], now),
    )


class OpenOptions:
    """The options of a party without tables that the venue has closed for its window, or that are not for it."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._planner = Planner(venue.floor, venue.policy.scoring)
        self._options = Options(self._planner)
        self._kept: dict[tuple[int, int], tuple[Option, ...]] = {}
        self.capacity = {table.id: table.capacity for table in venue.floor.tables}

    @property
    def complete(self) -> bool:
        return self._options.complete

    def of(self, party: int, window: Window, asked: Request | None = None) -> tuple[Option, ...]:
        """`asked` is what the party needs and who it is; None: somebody, shortly before the start."""
        barred = self._planner.barred(asked or Request(party, service=window.service, lead_min=0))
        barred |= self._venue.policy.closed_tables(self._venue.floor, window)
        key = (party, barred)
        if key not in self._kept:
            bits = self._venue.floor.bit_of
            self._kept[key] = tuple(
                option for option in self._options.of(party) if not any(bits[table] & barred for table in option.tables)
            )
        return self._kept[key]
