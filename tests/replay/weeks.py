"""Random venues, and a random week in them: bookings quoted, confirmed, given up; venues changed in between."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from maitred.booking.change import cancel_statements
from maitred.booking.confirm import confirm_hold
from maitred.booking.desk import Desk
from maitred.booking.hold import release_hold
from maitred.booking.question import Strategy
from maitred.booking.quote import Quote, quote_tables_for_booking
from maitred.booking.venues import Venues
from maitred.errors import AssignmentError
from maitred.model.floor import Floor, Mobility, SeatingType, Table, TableCategory, TableStatus
from maitred.model.policy import Demand, OutsideService, Service, TurnBand, VenuePolicy
from maitred.model.scoring import AdjacencyMode, Relaxation, ScoringPolicy, Weights
from maitred.observability.event import Event
from maitred.observability.recorder import EventSink
from maitred.replay.record import Decision, FlightRecord
from maitred.storage.database import Database
from maitred.venue.document import DayBooking, DayDocument
from maitred.venue.store import import_day

MONDAY = date(2030, 6, 3)
BEFORE = datetime(2030, 6, 1, tzinfo=UTC)

_LONGER: LiteralString = """
UPDATE turn_bands b SET minutes = minutes + 5 FROM services s
 WHERE s.id = b.service_id AND s.restaurant_id = %(restaurant)s AND minutes < 500
"""
_CHANGES: tuple[LiteralString, ...] = (
    _LONGER,
    "UPDATE tables SET status = 'out_of_service' WHERE id = %(table)s",
    "UPDATE tables SET status = 'available', capacity = capacity + 1 WHERE id = %(table)s",
    "UPDATE restaurants SET scoring = scoring || %(scoring)s WHERE id = %(restaurant)s",
    "UPDATE tables SET number = 'Z' || number WHERE id = %(table)s AND number NOT LIKE 'Z%%'",
)


class Keeping:
    """A sink that passes events on and keeps the decisions of each quote, whole."""

    def __init__(self, on: EventSink) -> None:
        self._on = on
        self.decisions: dict[UUID, tuple[Decision, ...]] = {}

    def record_observability_event(self, event: Event) -> None:
        record = event.context.declaration.name == "auto_assign.quote" and event.context._values["planner_record"]  # type: ignore[attr-defined]  # looked at as it was handed in
        if isinstance(record, FlightRecord):
            self.decisions[event.id] = record._decisions
        self._on.record_observability_event(event)


def random_floor(rng: random.Random) -> Floor:
    """4 to 14 tables in 1 to 3 zones; numbers say nothing of the order of ids."""
    zones = rng.randint(1, 3)
    numbers = rng.sample([f"{prefix}{n}" for prefix in ("T", "a", "") for n in range(1, 30)], rng.randint(4, 14))
    tables = []
    for place, number in enumerate(numbers, 1):
        capacity = rng.choice((2, 2, 2, 4, 4, 6, 8))
        least = rng.choice((1, 1, 1, max(1, capacity // 2), capacity))
        tables.append(
            Table(
                id=place,
                number=number,
                zone_id=rng.randint(1, zones),
                capacity=capacity,
                min_party_size=least,
                max_party_size=rng.choice((None, None, max(least, capacity - 1))),
                category=rng.choice((TableCategory.DINING, TableCategory.BAR)),
                seating_type=rng.choice((SeatingType.STANDARD, SeatingType.BOOTH)),
                mobility=rng.choice((*[Mobility.MOVABLE] * 6, Mobility.FIXED)),
                status=rng.choice((*[TableStatus.AVAILABLE] * 8, TableStatus.OUT_OF_SERVICE)),
                active=rng.random() > 0.05,
            )
        )
    edges = {(one.id, other.id) for one in tables for other in tables if one.id < other.id and rng.random() < 0.4}
    measured = {(2, TableCategory.DINING, SeatingType.STANDARD): 0.07} if rng.random() < 0.3 else {}
    return Floor(0, tuple(tables), frozenset(edges), {zone: f"Zone {zone}" for zone in range(1, zones + 1)}, measured)


def random_policy(rng: random.Random) -> VenuePolicy:
    services = (
        Service("lunch", time(12), time(15), (TurnBand(2, 60), TurnBand(6, 85)), allow_overrun=True),
        Service("dinner", time(17), time(23, 30), (TurnBand(2, 60), TurnBand(4, 75), TurnBand(8, 100)), 5, 10),
    )
    return VenuePolicy(
        timezone=rng.choice(("Europe/London", "America/New_York", "Asia/Kathmandu")),
        services=services,
        outside=rng.choice(list(OutsideService)),
        scoring=random_scoring(rng),
        demand=(Demand("dinner", frozenset({0, 1, 2, 3}), 1.15), Demand("dinner", frozenset({4, 5}), 1.35)),
    )


def random_scoring(rng: random.Random) -> ScoringPolicy:
    return ScoringPolicy(
        weights=rng.choice(
            (Weights(), Weights(*(round(rng.uniform(0, 10), 2) for _ in range(6))), Weights(0, 0, 0, 0, 0, 0))
        ),
        max_overage=rng.choice((0, 1, 2, 4)),
        max_tables=rng.choice((1, 2, 3, 3, 4, 5)),
        adjacency_mode=rng.choice(list(AdjacencyMode)),
        adjacency_from_party=rng.choice((1, 1, 5, None)),
        allowed=frozenset(each for each in Relaxation if rng.random() < 0.5),
        lookahead_minutes=rng.choice((0, 60, 120, 240)),
        lookahead_penalty=rng.choice((500.0, 12.5, 0.1)),
        lookahead_limit=rng.choice((None, None, 500.0, 12.5)),
    )


def random_bookings(rng: random.Random, count: int) -> tuple[DayBooking, ...]:
    """Spread over the week, most of them in the evening; some at hours when nobody serves."""
    found = []
    for place in range(count):
        day = datetime.combine(MONDAY + timedelta(days=rng.randrange(7)), time(), UTC)
        hour = rng.choice((12, 13, 18, 19, 19, 20, 21, 4, 16))
        starts_at = day + timedelta(hours=hour, minutes=rng.choice((0, 15, 30, 45)))
        found.append(DayBooking(f"R{place:03}", rng.choice((1, 2, 2, 2, 3, 4, 4, 5, 6, 8, 11, 40)), starts_at))
    return tuple(found)


@dataclass
class Week:
    """One venue's week on a database."""

    database: Database
    events: EventSink
    rng: random.Random
    slug: str
    bookings: int
    quotes: list[Quote] = field(default_factory=list)

    async def live(self) -> None:
        """Three bookings at a time, so that some are beaten to a table; now and then the venue changes."""
        rng = self.rng
        document = DayDocument(
            self.slug, self.slug, MONDAY, random_policy(rng), random_floor(rng), random_bookings(rng, self.bookings)
        )
        self.restaurant_id = (await import_day(self.database, document)).restaurant_id
        self.desk = Desk(self.database, Venues(self.database), self.events)
        rows = await self._fetch("SELECT id FROM bookings WHERE restaurant_id = %(restaurant)s ORDER BY reference")
        waiting = [row["id"] for row in rows]
        self.tables = [
            (row["id"], row["zone_id"])
            for row in await self._fetch(
                "SELECT id, zone_id FROM tables WHERE restaurant_id = %(restaurant)s ORDER BY id"
            )
        ]
        rng.shuffle(waiting)
        while waiting:
            now, waiting = waiting[:3], waiting[3:]
            await asyncio.gather(*(self._book(booking_id) for booking_id in now))
            if rng.random() < 0.15:
                await self._change()

    async def _book(self, booking_id: UUID) -> None:
        rng = self.rng
        table_id, zone_id = rng.choice(self.tables)
        strategy = Strategy(
            require_adjacency=rng.choice((None, None, None, True, False)),
            max_tables=rng.choice((None, None, None, 1, 2, 4, 5)),
            zone_id=rng.choice((None, None, None, zone_id)),
            avoid=frozenset({table_id}) if rng.random() < 0.2 else frozenset(),
        )
        fate = rng.random()
        quote = await quote_tables_for_booking(
            self.desk, booking_id, now=_before, ttl_s=180, trigger="loop", strategy=strategy
        )
        self.quotes.append(quote)
        if quote.hold is None:
            return
        if fate < 0.7:
            try:
                await confirm_hold(
                    self.desk, quote.hold.id, booking_id=booking_id, idempotency_key=str(quote.hold.id), cause="test"
                )
            except AssignmentError:  # the venue changed meanwhile: the hold stays as it is
                return
            if fate < 0.15:
                await self.database.transact(cancel_statements(booking_id, "guest"))
        elif fate < 0.8:
            await release_hold(self.database, quote.hold.id, booking_id=booking_id)

    async def _change(self) -> None:
        scoring = {"max_tables": self.rng.randint(1, 5), "max_overage": self.rng.randint(0, 5)}
        await self._fetch(self.rng.choice(_CHANGES), table=self.rng.choice(self.tables)[0], scoring=Jsonb(scoring))

    async def _fetch(self, sql: LiteralString, **params: object) -> list[dict[str, Any]]:
        return list(await self.database.fetch(sql, {"restaurant": self.restaurant_id, **params}))


def _before() -> datetime:
    """A clock that stands still."""
    return BEFORE
