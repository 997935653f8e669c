"""The latest prices of tables by venue and day, for quotes to read: no lock, no round trip, no waiting."""

from __future__ import annotations

from collections import OrderedDict
from datetime import date
from typing import NamedTuple, Protocol
from uuid import UUID

from maitred.booking.snapshot import Snapshot
from maitred.model.period import as_micros
from maitred.model.policy import Window

MOST_DAYS = 256
MOST_WINDOWS = 512
"""A day's quotes ask for the same few dozen windows: starts come by the quarter of an hour, turn times by the party."""


class DayPrices(Protocol):
    """What a day's tables would otherwise earn."""

    def window(self, start: int, end: int) -> tuple[float, ...]:
        """The price of each table for [start, end), in covers, in the floor's order."""


class _Kept(NamedTuple):
    floor_version: int
    policy_version: int
    prices: DayPrices
    points: dict[tuple[int, int, float], tuple[float, ...]]


class PriceBook:
    """At most MOST_DAYS days; the one priced longest ago goes first. Written from the loop's own thread only."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[UUID, date], _Kept] = OrderedDict()

    def keep(
        self, restaurant_id: UUID, day: date, *, floor_version: int, policy_version: int, prices: DayPrices
    ) -> None:
        """Takes the place of the day's earlier prices."""
        self._kept[restaurant_id, day] = _Kept(floor_version, policy_version, prices, {})
        self._kept.move_to_end((restaurant_id, day))
        while len(self._kept) > MOST_DAYS:
            self._kept.popitem(last=False)

    def of(self, restaurant_id: UUID, day: date) -> DayPrices | None:
        """The day's latest prices, whichever versions they are for."""
        kept = self._kept.get((restaurant_id, day))
        return None if kept is None else kept.prices

    def copy(self, restaurant_id: UUID, day: date, *, into: PriceBook) -> None:
        """Puts the day's prices into another book, for a thread of its own."""
        kept = self._kept.get((restaurant_id, day))
        if kept is not None:
            into._kept[restaurant_id, day] = kept

    def points(self, snapshot: Snapshot, window: Window, points_per_cover: float) -> tuple[float, ...]:
        """The price of each table for this window, in points; nothing when the day has no prices for these versions."""
        kept = self._kept.get((snapshot.restaurant_id, window.service_day))
        if kept is None or (kept.floor_version, kept.policy_version) != (
            snapshot.floor_version,
            snapshot.policy_version,
        ):
            return ()
        asked = (as_micros(window.blocked.start), as_micros(window.blocked.end), points_per_cover)
        points = kept.points.get(asked)
        if points is None:
            prices = kept.prices.window(*asked[:2])
            points = tuple([price * points_per_cover for price in prices]) if any(prices) else ()
            if len(kept.points) >= MOST_WINDOWS:
                kept.points.clear()
            kept.points[asked] = points
        return points
