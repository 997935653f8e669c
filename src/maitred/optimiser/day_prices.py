"""The prices of a service day: from who waits without tables, the demand to come, and what is taken."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import date, datetime

from maitred.model.period import as_micros
from maitred.model.policy import Window
from maitred.optimiser.day import Day, OpenOptions, read_day
from maitred.optimiser.forecast import Forecast, forecast
from maitred.optimiser.history import prior_of, read_past, starts_of
from maitred.optimiser.prices import Expected, Prices, price_tables
from maitred.optimiser.problem import Mode, Taken
from maitred.optimiser.result import Params
from maitred.storage.database import Database

DEADLINE_S = 20.0


async def price_day(
    database: Database, slug: str, day: date, *, now: datetime, params: Params | None = None
) -> tuple[Day, Prices | None]:
    """The day, and what its tables would otherwise earn; three round trips, and the solving in a thread.

    None instead of prices when the deadline came first. `now` is the business's clock. Raises NotFound.
    """
    read = await read_day(database, slug, day, mode=Mode.COVERS, now=now)
    seen, days = await read_past(database, read.venue, day)
    prior = prior_of(read.venue, len(seen), days)
    starts = starts_of(read.venue, day, {**prior, **dict.fromkeys((each.cell for each in seen), 0.0)})
    left = {cell: (start - now).total_seconds() / 60 for cell, start in starts.items()}
    expected = forecast(seen, days, prior, left)
    prices = await asyncio.to_thread(prices_of, read, expected, params or Params(deadline_s=DEADLINE_S))
    return read, prices


def prices_of(day: Day, expected: Forecast, params: Params) -> Prices | None:
    """The prices under this forecast. Bookings that wait count as themselves."""
    options = OpenOptions(day.venue)
    counts: Counter[tuple[int, datetime]] = Counter()
    starts = starts_of(day.venue, day.day, expected.counts)
    for cell, count in expected.counts.items():
        if cell in starts:
            counts[cell.party, starts[cell]] += count  # type: ignore[assignment]  # a counter of parts of bookings
    for key in day.waiting:
        booking = day.bookings[key]
        counts[booking.party, booking.starts_at] += 1
    demand = []
    for (party, starts_at), count in sorted(counts.items()):
        window = day.venue.policy.window(starts_at, party)
        if isinstance(window, Window):
            start, end = as_micros(window.blocked.start), as_micros(window.blocked.end)
            demand.append(Expected(party, start, end, count, options.of(party, window)))
    seats = [
        Taken(table, booking.start, booking.end) for booking in day.bookings.values() for table in booking.table_ids
    ]
    return price_tables(options.capacity, demand, [*seats, *day.problem.taken], params)
