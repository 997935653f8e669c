"""Seeded service days for benchmarks: floors of any size, and bookings with two peaks at a wanted load.

The load of a day is the most covers that are wanted at one moment, as a share of the floor's seats.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from maitred.model.floor import Floor, Table
from maitred.model.policy import OutsideService, Service, TurnBand, VenuePolicy
from maitred.model.reason import ReasonCode

ZONE = 50
ROW = 10
CAPACITIES = {2: 40, 4: 40, 6: 15, 8: 5}
# the demo's day, with the few large parties that a larger house has
PARTIES = {1: 2, 2: 40, 3: 12, 4: 27, 5: 6, 6: 8, 7: 2, 8: 3}
LUNCH_SHARE = 0.3
_BANDS = (TurnBand(2, 75), TurnBand(4, 90), TurnBand(6, 105), TurnBand(8, 120))
_SLOT_MIN = 15
_DAY = datetime(2030, 6, 5, tzinfo=UTC)

POLICY = VenuePolicy(
    "UTC",
    (
        Service("lunch", time(11, 30), time(15, 30), _BANDS, allow_overrun=True),
        Service("dinner", time(17), time(23), _BANDS, allow_overrun=True),
    ),
    OutsideService.FIRST_SERVICE,
)


@dataclass(frozen=True, slots=True)
class Booking:
    """One booking of a drawn day."""

    reference: str
    party: int
    starts_at: datetime


def grid(count: int, rng: random.Random) -> Floor:
    """A floor of so many tables, in zones of 50, ten in a row; neighbours left, right, before and behind can join."""
    tables = []
    edges = set()
    for index in range(count):
        zone, place = divmod(index, ZONE)
        capacity = rng.choices(list(CAPACITIES), list(CAPACITIES.values()))[0]
        tables.append(Table(index + 1, f"T{index + 1}", zone + 1, capacity))
        if place % ROW:
            edges.add((index, index + 1))
        if place >= ROW:
            edges.add((index + 1 - ROW, index + 1))
    zones = {zone + 1: f"Zone {zone + 1}" for zone in range(math.ceil(count / ZONE))}
    return Floor(1, tuple(tables), frozenset(edges), zones)


def bookings(count: int, load: float, seats: int, rng: random.Random) -> list[Booking]:
    """So many bookings whose peak has this load, as nearly as moving the peaks' width brings it."""
    drawn = [
        (rng.choices(list(PARTIES), list(PARTIES.values()))[0], rng.random() < LUNCH_SHARE, rng.gauss(0, 1))
        for _ in range(count)
    ]
    narrow, wide = 1.0, 150.0
    for _ in range(30):
        width = (narrow + wide) / 2
        if peak(_at(drawn, width)) / seats > load:
            narrow = width
        else:
            wide = width
    return _at(drawn, wide)


def peak(day: list[Booking]) -> int:
    """The most covers at one moment."""
    changes: list[tuple[datetime, int]] = []
    for each in day:
        window = POLICY.window(each.starts_at, each.party)
        if not isinstance(window, ReasonCode):
            changes += [(window.blocked.start, each.party), (window.blocked.end, -each.party)]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def _at(drawn: list[tuple[int, bool, float]], width_min: float) -> list[Booking]:
    day = []
    for number, (party, lunch, offset) in enumerate(drawn, start=1):
        middle, first, last = (13 * 60, 11 * 60 + 30, 15 * 60) if lunch else (19 * 60 + 30, 17 * 60, 22 * 60)
        minute = min(max(middle + offset * width_min, first), last)
        starts_at = _DAY + timedelta(minutes=round(minute / _SLOT_MIN) * _SLOT_MIN)
        day.append(Booking(f"B{number:04}", party, starts_at))
    return day
