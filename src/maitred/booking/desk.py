"""What the operations on bookings work with, joined once by `maitred.bootstrap`."""

from __future__ import annotations

from dataclasses import dataclass, field

from maitred.booking.gate import Gates
from maitred.booking.prices import PriceBook
from maitred.booking.venues import Venues
from maitred.observability.recorder import EventSink
from maitred.storage.database import Database


@dataclass(frozen=True, slots=True)
class Desk:
    """The database, the venues' rules as last read, and where measurements go.

    `lock_timeout_ms` bounds each wait for a lock; `quote_replans` how often one quote plans again after a lost race.
    `gates` are the queues of this process, `prices` the latest prices of tables by day.
    """

    database: Database
    venues: Venues
    events: EventSink
    lock_timeout_ms: int = 3_000
    quote_replans: int = 4
    gates: Gates = field(default_factory=Gates)
    prices: PriceBook = field(default_factory=PriceBook)
