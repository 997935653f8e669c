"""A venue's own past as the forecast wants it, and the prior: a real day, scaled to the venue's seats."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import LiteralString

from maitred.model.policy import VenuePolicy, Window, service_period
from maitred.optimiser.forecast import SLOT_MIN, Cell, Seen, slot_of
from maitred.storage.database import Database
from maitred.venue.read import Venue

WEEKS = 26
_MOST_ROWS = 20_000
_MARGIN = timedelta(hours=3)

# The same weekdays only, newest first, so that the bound leaves out the oldest.
_PAST: LiteralString = """
SELECT b.starts_at, b.party_size, b.created_at
  FROM bookings b
 WHERE b.restaurant_id = %(venue)s
   AND b.starts_at >= %(since)s AND b.starts_at < %(until)s
   AND b.status IN ('confirmed', 'checked_in', 'completed', 'no_show', 'pending')
   AND extract(isodow FROM b.starts_at AT TIME ZONE %(zone)s) IN (%(weekday)s, %(weekday)s %% 7 + 1)
 ORDER BY b.starts_at DESC
 LIMIT %(most)s
"""

# The demo's day: 117 bookings asked for on 54 seats, the wish and not what could be had (docs/optimise.md).
_PRIOR_SEATS = 54
_PRIOR_PARTIES = {2: 37, 4: 37, 6: 22, 3: 14, 5: 4, 8: 3}


async def read_past(database: Database, venue: Venue, day: date) -> tuple[list[Seen], int]:
    """The bookings of the same weekday in the last 26 weeks, and on how many days there were any; one round trip.

    Days without any booking are taken for days on which the venue was closed. Cancelled bookings don't count.
    """
    midnight = datetime.combine(day, time(), venue.policy.zone)
    rows = await database.fetch(
        _PAST,
        {
            "venue": venue.restaurant_id,
            "since": midnight - timedelta(weeks=WEEKS) - _MARGIN,
            "until": midnight - timedelta(days=1),
            "zone": venue.policy.timezone,
            "weekday": day.isoweekday(),
            "most": _MOST_ROWS,
        },
    )
    seen = []
    for row in rows:
        window = venue.policy.window(row["starts_at"], row["party_size"])
        if not isinstance(window, Window) or window.service_day.weekday() != day.weekday():
            continue
        opens = _opens(venue.policy, window)
        slot = slot_of((window.dining.start - opens).total_seconds() / 60)
        lead = (row["starts_at"] - row["created_at"]).total_seconds() / 60
        seen.append(Seen(window.service_day, Cell(window.service, row["party_size"], slot), lead))
    return seen, len({each.day for each in seen})


def prior_of(venue: Venue, past_bookings: int = 0, past_days: int = 0) -> Mapping[Cell, float]:
    """What an ordinary day would ask of a venue: parties as on the demo's day, spread evenly over the venue's services
    and their slots. As many as its own past days had; without a past, as its seats would have on the demo's day.
    """
    seats = sum(table.capacity for table in venue.floor.tables if table.usable)
    slots = [
        (service.key, slot)
        for service in venue.policy.services
        for slot in range(0, _minutes(service.starts, service.ends), SLOT_MIN)
    ]
    if not slots:
        return {}
    bookings = past_bookings / past_days if past_days else seats / _PRIOR_SEATS * sum(_PRIOR_PARTIES.values())
    scale = bookings / sum(_PRIOR_PARTIES.values()) / len(slots)
    return {
        Cell(service, party, slot): count * scale for service, slot in slots for party, count in _PRIOR_PARTIES.items()
    }


def starts_of(venue: Venue, day: date, cells: Mapping[Cell, float]) -> dict[Cell, datetime]:
    """When the parties of each cell would start on this day; cells of services that are no more are left out."""
    opens = {service.key: service_period(service, day, venue.policy.zone) for service in venue.policy.services}
    found = {}
    for cell in cells:
        if cell.service in opens:
            begins, ends = opens[cell.service]
            start = begins + timedelta(minutes=cell.slot_min)
            if start < ends:
                found[cell] = start
    return found


def _opens(policy: VenuePolicy, window: Window) -> datetime:
    service = next(each for each in policy.services if each.key == window.service)
    return service_period(service, window.service_day, policy.zone)[0]


def _minutes(starts: time, ends: time) -> int:
    length = (ends.hour - starts.hour) * 60 + ends.minute - starts.minute
    return length if length > 0 else length + 24 * 60
