"""A day played in memory: the planner, the search for moves and the prices, without a database.

A test holds that it decides as the real functions do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid5

from maitred.model.period import as_micros
from maitred.model.policy import VenuePolicy, Window
from maitred.model.reason import ReasonCode
from maitred.optimiser.day import Day, DayBooking
from maitred.optimiser.prices import Prices
from maitred.optimiser.problem import Problem
from maitred.planner.answer import Ranked, Request
from maitred.planner.moves import Moves, Seated, Wanted, find_moves
from maitred.planner.planner import Planner
from maitred.simulate.days import DrawnBooking, Fate
from maitred.simulate.foresight import Foresight
from maitred.simulate.outcome import Outcome, Sitting, outcome
from maitred.venue.read import Venue

_NAMES = UUID("5b1e6d0e-3d3c-4a51-9c43-1f8d0c6f0a57")


def booking_id(venue: Venue, booking: DrawnBooking) -> UUID:
    """The same booking has the same id in every replay at a venue of this slug: ids decide ties."""
    return uuid5(_NAMES, f"{venue.slug} {booking.reference} {booking.starts_at.isoformat()}")


class What(StrEnum):
    """What can happen to a booking, in the order in which it does at one instant."""

    OVER = "over"
    CANCELLED = "cancelled"
    BEGINS = "begins"
    BOOKED = "booked"


@dataclass(frozen=True, slots=True)
class Event:
    """At this instant this happens to the booking."""

    at: datetime
    what: What
    booking: DrawnBooking


_ORDER = {what: place for place, what in enumerate(What)}


def events_of(day: Sequence[DrawnBooking], policy: VenuePolicy) -> list[Event]:
    """All that happens, in order; of one instant what frees tables first, then by the bookings' references.

    A meal is over when its tables are free again by the policy; that of a no-show too.
    """
    found = []
    for booking in day:
        window = policy.window(booking.starts_at, booking.party)
        if not isinstance(window, Window):
            continue
        found.append(Event(booking.booked_at, What.BOOKED, booking))
        if booking.cancelled_at is not None:
            found.append(Event(booking.cancelled_at, What.CANCELLED, booking))
        else:
            found.append(Event(booking.starts_at, What.BEGINS, booking))
            found.append(Event(window.blocked.end, What.OVER, booking))
    return sorted(found, key=lambda event: (event.at, _ORDER[event.what], event.booking.reference))


@dataclass(frozen=True, slots=True)
class _Sits:
    booking: DrawnBooking
    window: Window
    mask: int

    @property
    def start(self) -> int:
        return as_micros(self.window.blocked.start)

    @property
    def end(self) -> int:
        return as_micros(self.window.blocked.end)


def play(
    venue: Venue, day: date, bookings: Sequence[DrawnBooking], planner: Planner, foresight: Foresight | None
) -> Outcome:
    """Plays the day by the venue's policy. `planner` is of the venue's floor and scoring."""
    room = _Room(venue, day, planner, foresight)
    for event in events_of(bookings, venue.policy):
        if event.what is What.CANCELLED:
            room.cancel(event.booking)
        elif event.what is What.BOOKED:
            room.book(event.booking, event.at)
    return room.outcome()


class _Room:
    def __init__(self, venue: Venue, day: date, planner: Planner, foresight: Foresight | None) -> None:
        self._venue = venue
        self._day = day
        self._planner = planner
        self._foresight = foresight
        self._sits: dict[UUID, _Sits] = {}
        self._prices: Prices | None = None
        self._moves = 0
        self._declined = 0

    @property
    def _policy(self) -> VenuePolicy:
        return self._venue.policy

    def cancel(self, booking: DrawnBooking) -> None:
        self._sits.pop(booking_id(self._venue, booking), None)

    def book(self, booking: DrawnBooking, now: datetime) -> None:
        window = self._policy.window(booking.starts_at, booking.party)
        if not isinstance(window, Window):
            return
        start, end = as_micros(window.blocked.start), as_micros(window.blocked.end)
        occupied = self._policy.closed_tables(self._venue.floor, window)
        for each in self._sits.values():
            if each.start < end and start < each.end:
                occupied |= each.mask
        request = Request(
            booking.party,
            occupied,
            demand_multiplier=window.demand_multiplier,
            service=window.service,
            prices=self._points(start, end, now),
        )
        answer = self._planner.answer(request)
        if isinstance(answer, Ranked):
            self._sits[booking_id(self._venue, booking)] = _Sits(booking, window, answer.best.mask)
        elif answer.reason is ReasonCode.DECLINED:
            self._declined += 1
        elif answer.reason is ReasonCode.NO_CAPACITY and self._policy.scoring.moves.most:
            self._book_by_moving(booking, window, request, now)

    def _points(self, start: int, end: int, now: datetime) -> tuple[float, ...]:
        if self._foresight is None:
            return ()
        covers = self._foresight.prices(self._as_day(), now).window(start, end)
        by = self._policy.scoring.prices.points_per_cover
        return tuple([price * by for price in covers]) if any(covers) else ()

    def _book_by_moving(self, booking: DrawnBooking, window: Window, request: Request, now: datetime) -> None:
        rules = self._policy.scoring.moves
        earliest = now + timedelta(minutes=rules.horizon_minutes)
        seated = tuple(
            Seated(
                id=key,
                mask=each.mask,
                start=each.start,
                end=each.end,
                request=self._may_ask(each) if each.booking.starts_at > earliest else None,
                cost=rules.cost,
            )
            for key, each in sorted(self._sits.items(), key=lambda item: (item[1].start, item[0].bytes))
        )
        start, end = as_micros(window.blocked.start), as_micros(window.blocked.end)
        if closed := self._policy.closed_tables(self._venue.floor, window):
            seated = (*seated, Seated(UUID(int=0), closed, start, end, None))
        found = find_moves(self._planner, Wanted(request, start, end), seated, most=rules.most)
        if not isinstance(found, Moves) or not found.moved:
            return
        for move in found.moved:
            self._sits[move.id] = replace(self._sits[move.id], mask=move.plan.mask)
        self._moves += len(found.moved)
        self._sits[booking_id(self._venue, booking)] = _Sits(booking, window, found.plan.mask)

    def _may_ask(self, each: _Sits) -> Request:
        closed = self._policy.closed_tables(self._venue.floor, each.window)
        return Request(
            each.booking.party,
            demand_multiplier=each.window.demand_multiplier,
            avoid=frozenset(self._planner.ids_of(closed)),
        )

    def _as_day(self) -> Day:
        """The day as the database would have it."""
        bookings = {
            each.booking.reference: DayBooking(
                id=key,
                reference=each.booking.reference,
                party=each.booking.party,
                starts_at=each.booking.starts_at,
                revision=0,
                variant="standard",
                window=each.window,
                table_ids=tuple(sorted(self._planner.ids_of(each.mask))),
                start=each.start,
                end=each.end,
            )
            for key, each in self._sits.items()
        }
        return Day(self._venue, self._day, 0, bookings, Problem({}, ()))

    def outcome(self) -> Outcome:
        sittings = [
            Sitting(each.booking, tuple(sorted(self._planner.ids_of(each.mask))), each.start, each.end)
            for each in self._sits.values()
            if each.booking.fate is not Fate.CANCELS
        ]
        sittings.sort(key=lambda sitting: sitting.booking.reference)
        return outcome(sittings, self._venue.floor, moves=self._moves, declined=self._declined)
