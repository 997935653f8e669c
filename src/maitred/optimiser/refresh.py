"""Keeping the prices of coming days fresh, off the path of quotes: whoever quotes only reads the latest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import LiteralString, NoReturn
from uuid import UUID

import structlog

from maitred.booking.prices import MOST_DAYS, PriceBook
from maitred.errors import MaitredError
from maitred.model.policy import zone_of
from maitred.storage.database import Database

DAYS_AHEAD = 3
# Time passes and less is to come, though nothing of the day has changed.
_OLDEST_S = 900.0

_VENUES: LiteralString = """
SELECT r.id, r.slug, r.timezone FROM restaurants r
 WHERE r.scoring -> 'prices' ->> 'use' = 'true'
 ORDER BY r.id LIMIT %(most)s
"""
_VERSION: LiteralString = "SELECT day_version(%(venue)s, %(day)s) AS version"

_log = structlog.get_logger(__name__)


class Refresher:
    """Prices the service days from today on, of the venues that want prices, as they change."""

    def __init__(self, database: Database, book: PriceBook, now: Callable[[], datetime]) -> None:
        self._database = database
        self._book = book
        self._now = now
        self._priced: dict[tuple[UUID, date], tuple[int, float]] = {}

    async def refresh(self) -> int:
        """Prices anew what has changed or grown old; returns how many days. Raises DatabaseUnavailable."""
        venues = await self._database.fetch(_VENUES, {"most": MOST_DAYS // DAYS_AHEAD})
        wanted = []
        for venue in venues:
            today = self._now().astimezone(zone_of(venue["timezone"])).date()
            wanted += [(venue, today + timedelta(days=ahead)) for ahead in range(DAYS_AHEAD)]
        self._priced = {
            key: at for key, at in self._priced.items() if key in {(venue["id"], day) for venue, day in wanted}
        }
        return sum([await self._price(venue["id"], venue["slug"], day) for venue, day in wanted])

    async def _price(self, venue_id: UUID, slug: str, day: date) -> bool:
        [row] = await self._database.fetch(_VERSION, {"venue": venue_id, "day": day})
        version, at = self._priced.get((venue_id, day), (-1, 0.0))
        if version == row["version"] and time.monotonic() - at < _OLDEST_S:
            return False
        from maitred.optimiser.day_prices import price_day  # the solvers are loaded by those who use them

        read, prices = await price_day(self._database, slug, day, now=self._now())
        if prices is None:
            _log.warning("prices.late", restaurant_id=str(venue_id), day=day.isoformat())
            return False
        venue = read.venue
        self._book.keep(
            venue_id,
            day,
            floor_version=venue.floor_version,
            policy_version=venue.policy_version,
            prices=prices,
        )
        self._priced[venue_id, day] = (read.version, time.monotonic())
        return True


async def keep_prices_fresh(
    database: Database, book: PriceBook, *, now: Callable[[], datetime], every_s: float
) -> NoReturn:
    """Refreshes every so many seconds until cancelled. What goes wrong is logged: the old prices stand meanwhile."""
    refresher = Refresher(database, book, now)
    while True:
        try:
            await refresher.refresh()
        except MaitredError as error:
            _log.warning("prices.failed", code=error.code)
        except Exception as error:  # noqa: BLE001 - what ends here would stay ended for the process's whole life
            _log.warning("prices.failed", error=type(error).__name__)
        await asyncio.sleep(every_s)
