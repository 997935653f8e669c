"""What days are drawn from where a venue has a past of its own: its bookings of the last weeks."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import LiteralString

from maitred.errors import InvalidInput
from maitred.optimiser.forecast import slot_of
from maitred.simulate.days import Profile
from maitred.storage.database import Database, Row
from maitred.venue.read import Venue

WEEKS = 26
LEAST_BOOKINGS = 200
_MOST_ROWS = 200_000
_NO_SHOW_FROM = (0, 1, 3, 7)

_PAST: LiteralString = """
SELECT b.party_size, b.status, b.created_at, b.starts_at, b.starts_at AT TIME ZONE %(zone)s AS local
  FROM bookings b
 WHERE b.restaurant_id = %(venue)s AND b.starts_at >= %(since)s AND b.starts_at < %(until)s
 ORDER BY b.starts_at DESC
 LIMIT %(most)s
"""


async def profile_of(database: Database, venue: Venue, *, now: datetime) -> Profile:
    """Party mix, starts, lead times, cancellations and no-shows as the venue saw them in the last 26 weeks; one round
    trip. All bookings count, also those that got no tables.

    Raises InvalidInput when there are fewer than 200: too few to say how days are there.
    """
    rows = await database.fetch(
        _PAST,
        {
            "venue": venue.restaurant_id,
            "zone": venue.policy.timezone,
            "since": now - timedelta(weeks=WEEKS),
            "until": now,
            "most": _MOST_ROWS,
        },
    )
    if len(rows) < LEAST_BOOKINGS:
        raise InvalidInput(
            "simulate",
            "--from-history",
            f"{venue.slug} has {len(rows)} bookings in the last {WEEKS} weeks; {LEAST_BOOKINGS} are needed",
        )
    return _profile(rows)


def _profile(rows: list[Row]) -> Profile:
    leads = [max(0, (row["starts_at"] - row["created_at"]).days) for row in rows]
    kept = [(lead, row["status"]) for lead, row in zip(leads, rows, strict=True) if row["status"] != "cancelled"]
    no_show = {}
    for place, least in enumerate(_NO_SHOW_FROM):
        below = _NO_SHOW_FROM[place + 1] if place + 1 < len(_NO_SHOW_FROM) else 10_000
        those = [status for lead, status in kept if least <= lead < below]
        no_show[least] = those.count("no_show") / len(those) if those else 0.0
    return Profile(
        parties=Counter(row["party_size"] for row in rows),
        peaks=(),
        lead_days=Counter(leads),
        no_show=no_show,
        cancels=1 - len(kept) / len(rows),
        starts=Counter(slot_of(row["local"].hour * 60 + row["local"].minute) for row in rows),
    )
