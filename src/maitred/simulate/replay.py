"""A day replayed on a database through the functions that serve guests and staff: nothing is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

from maitred.auto_assign.book import book
from maitred.auto_assign.changes import cancel_booking
from maitred.auto_assign.inline import InlineRules
from maitred.booking.create import NewBooking
from maitred.booking.desk import Desk
from maitred.booking.service import take_step
from maitred.booking.transitions import Transition
from maitred.model.reason import ReasonCode
from maitred.optimiser.day import read_day
from maitred.optimiser.problem import Mode
from maitred.simulate.days import DrawnBooking, Fate
from maitred.simulate.foresight import Foresight
from maitred.simulate.outcome import Outcome, Sitting, outcome
from maitred.simulate.room import What, booking_id, events_of
from maitred.venue.read import Venue

# Far from binding: a time-out would make the result depend on the machine.
_RULES = InlineRules(timeout_ms=120_000, messages_suppressed=True)

_SEATS: LiteralString = """
SELECT array_agg(table_id ORDER BY table_id) AS table_ids,
       micros(lower(period)) AS starts, micros(upper(period)) AS ends
  FROM allocations WHERE booking_id = %(booking_id)s AND hold_id IS NULL GROUP BY period
"""


async def replay(
    desk: Desk, venue: Venue, day: date, bookings: Sequence[DrawnBooking], foresight: Foresight | None
) -> Outcome:
    """Plays the day at this venue, whose policy decides; with `foresight` prices are worked out before each booking.

    Each is booked at its time; who is refused goes elsewhere, which cancels his booking. Who comes is checked in and
    leaves when his time is over; a no-show's tables are kept until then. Writes to the database and leaves it there.
    """
    played = _Replay(desk, venue, day, foresight)
    for event in events_of(bookings, venue.policy):
        await played.happen(event.what, event.booking, event.at)
    return outcome(played.sittings, venue.floor, moves=played.moves, declined=played.declined)


class _Replay:
    def __init__(self, desk: Desk, venue: Venue, day: date, foresight: Foresight | None) -> None:
        self._desk = desk
        self._venue = venue
        self._day = day
        self._foresight = foresight
        self._kept: dict[str, UUID] = {}
        self.sittings: list[Sitting] = []
        self.moves = 0
        self.declined = 0

    async def happen(self, what: What, booking: DrawnBooking, now: datetime) -> None:
        if what is What.BOOKED:
            await self._book(booking, now)
            return
        kept = self._kept.get(booking.reference)
        if kept is None:
            return
        if what is What.CANCELLED:
            await cancel_booking(self._desk, kept)
            del self._kept[booking.reference]
        elif what is What.BEGINS:
            await self._begin(booking, kept, now)
        elif booking.fate is Fate.NO_SHOW:
            await take_step(self._desk, kept, Transition.NO_SHOW, key_id=None, now=now)
        else:
            await take_step(self._desk, kept, Transition.COMPLETE, key_id=None, now=now)

    async def _book(self, booking: DrawnBooking, now: datetime) -> None:
        if self._foresight is not None:
            await self._price(self._foresight, now)
        new = NewBooking(self._venue.restaurant_id, booking.party, booking.starts_at, source="simulate")
        booked = await book(self._desk, new, rules=_RULES, booking_id=booking_id(self._venue, booking), now=lambda: now)
        result = booked.result
        if result.confirmed:
            self._kept[booking.reference] = booked.created.id
            self.moves += 0 if result.quote is None else len(result.quote.moved)
            return
        if result.reason is None or not result.reason.value.startswith("hard."):
            raise RuntimeError(f"{booking.reference} was refused for {result.reason}, which no simulated day explains")
        self.declined += result.reason is ReasonCode.DECLINED
        await cancel_booking(self._desk, booked.created.id)

    async def _price(self, foresight: Foresight, now: datetime) -> None:
        read = await read_day(self._desk.database, self._venue.slug, self._day, mode=Mode.COVERS, now=now)
        self._desk.prices.keep(
            self._venue.restaurant_id,
            self._day,
            floor_version=read.venue.floor_version,
            policy_version=read.venue.policy_version,
            prices=foresight.prices(read, now),
        )

    async def _begin(self, booking: DrawnBooking, kept: UUID, now: datetime) -> None:
        """Where he sits is read from the database: from now on nobody moves him."""
        rows = await self._desk.database.fetch(_SEATS, {"booking_id": kept})
        for row in rows:
            self.sittings.append(Sitting(booking, tuple(row["table_ids"]), row["starts"], row["ends"]))
        if booking.fate is Fate.COMES:
            await take_step(self._desk, kept, Transition.CHECK_IN, key_id=None, now=now)
