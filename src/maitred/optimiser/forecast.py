"""How much demand is still to come on a service day: from the venue's own history, and a prior where there is little.

A cell is a service, a size of party and a slot of a quarter of an hour after the service opens. Its mean over past days
of the same weekday is drawn towards the prior as if that had been seen on PRIOR_DAYS days (the mean of a Poisson rate
under a gamma prior). Of that only the share counts that books later than now: as many as have booked that late before.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from maitred.errors import InvalidInput

SLOT_MIN = 15
PRIOR_DAYS = 4.0
# With no history at all: bookings come evenly over a week before their start. An assumption, and named so in the docs.
PRIOR_LEAD_MIN = 7 * 24 * 60


class Cell(NamedTuple):
    """A service by key, a party in covers, and the start in minutes after the service opens, rounded down to a slot."""

    service: str
    party: int
    slot_min: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A booking of the past: its service day, its cell, and how long before its start it was made."""

    day: date
    cell: Cell
    lead_min: float


@dataclass(frozen=True)
class Forecast:
    """Bookings still to come, as means by cell. Raises InvalidInput for a count that is negative or not finite."""

    counts: Mapping[Cell, float]

    def __post_init__(self) -> None:
        for cell, count in self.counts.items():
            if not math.isfinite(count) or count < 0:
                where = f"{cell.service}, party of {cell.party}, minute {cell.slot_min}"
                raise InvalidInput("forecast", "count", f"of {where} must be a finite number of 0 or more")


def slot_of(minutes: float) -> int:
    """The slot that a start so many minutes after the service opens belongs to."""
    return int(minutes // SLOT_MIN) * SLOT_MIN


def forecast(
    seen: Iterable[Seen], days: int, prior: Mapping[Cell, float], minutes_left: Mapping[Cell, float]
) -> Forecast:
    """The demand to come.

    `days` is on how many days the bookings of the past were; `prior` the mean of each cell on an ordinary day;
    `minutes_left` the time to each cell's start: without one, or when it has passed, nothing is to come.
    """
    if days < 0:
        raise InvalidInput("forecast", "days", "must be 0 or more")
    past = list(seen)
    total = Counter(each.cell for each in past)
    leads = sorted(max(0.0, each.lead_min) for each in past)
    counts = {}
    for cell in sorted({*total, *prior}):
        left = minutes_left.get(cell, 0.0)
        if left <= 0:
            continue
        mean = (prior.get(cell, 0.0) * PRIOR_DAYS + total[cell]) / (PRIOR_DAYS + days)
        counts[cell] = mean * _share_later(leads, left)
    return Forecast(counts)


def _share_later(leads: list[float], left_min: float) -> float:
    """The share of bookings that are made when so little time is left or less, drawn towards the prior too."""
    before = min(1.0, left_min / PRIOR_LEAD_MIN)
    return (before * PRIOR_DAYS + bisect_left(leads, left_min)) / (PRIOR_DAYS + len(leads))
