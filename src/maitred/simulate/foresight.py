"""What a venue would know of the demand to come: the forecast from past days of the same kind, and its prices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from maitred.model.policy import Window, service_period
from maitred.optimiser.day import Day
from maitred.optimiser.day_prices import prices_of
from maitred.optimiser.forecast import Cell, Seen, forecast, slot_of
from maitred.optimiser.history import prior_of, starts_of
from maitred.optimiser.prices import Prices
from maitred.optimiser.result import Params
from maitred.simulate.days import DrawnBooking, Fate
from maitred.venue.read import Venue

DEADLINE_S = 60.0


class Foresight:
    """The forecast for one day, as the venue's own code makes it from past days; nothing of the day itself is in it."""

    def __init__(self, venue: Venue, day: date, past: Sequence[Sequence[DrawnBooking]]) -> None:
        self._seen = [seen for number, each in enumerate(past) for seen in _seen(venue, day, number, each)]
        self._days = len(past)
        self._prior = prior_of(venue, len(self._seen), self._days)
        self._starts = starts_of(venue, day, {**self._prior, **dict.fromkeys((each.cell for each in self._seen), 0.0)})

    def prices(self, day: Day, now: datetime) -> Prices:
        """The prices of the day as it stands at this moment."""
        left = {cell: (start - now).total_seconds() / 60 for cell, start in self._starts.items()}
        expected = forecast(self._seen, self._days, self._prior, left)
        found = prices_of(day, expected, Params(deadline_s=DEADLINE_S, workers=1))
        if found is None:
            raise RuntimeError(f"prices took longer than {DEADLINE_S:.0f} s")
        return found


def _seen(venue: Venue, day: date, number: int, bookings: Sequence[DrawnBooking]) -> list[Seen]:
    found = []
    for booking in bookings:
        window = venue.policy.window(booking.starts_at, booking.party)
        if booking.fate is Fate.CANCELS or not isinstance(window, Window):
            continue
        service = next(each for each in venue.policy.services if each.key == window.service)
        opens = service_period(service, window.service_day, venue.policy.zone)[0]
        cell = Cell(window.service, booking.party, slot_of((window.dining.start - opens).total_seconds() / 60))
        lead = (booking.starts_at - booking.booked_at).total_seconds() / 60
        found.append(Seen(day - timedelta(weeks=number + 1), cell, lead))
    return found
