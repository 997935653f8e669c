"""A small venue for tests, written straight into the tables, and the questions tests ask of what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import LiteralString
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from maitred.booking.desk import Desk
from maitred.booking.venues import Venues
from maitred.observability.events import Event
from maitred.storage.database import Database
from tests.event_validation import look_at_event

NOON = datetime(2030, 6, 5, 12, 0, tzinfo=UTC)
"""A Wednesday; the venue is in UTC and serves from 10:00 to 23:00."""

DAWN = NOON - timedelta(hours=8)


def at_dawn() -> datetime:
    """A business clock that stands still before anything begins."""
    return DAWN


class Events:
    """A sink that keeps what it is given, and holds it against the registry."""

    def __init__(self) -> None:
        self.kept: list[Event] = []

    def record_observability_event(self, event: Event) -> None:
        look_at_event(event)
        self.kept.append(event)

    def of_type(self, event_type: str) -> list[Event]:
        return [event for event in self.kept if event.event_type == event_type]


@dataclass
class House:
    """One venue and its desk. `tables` maps numbers to ids."""

    database: Database
    restaurant_id: UUID
    tables: dict[str, int]
    events: Events = field(default_factory=Events)

    def __post_init__(self) -> None:
        self.desk = Desk(self.database, Venues(self.database), self.events)

    async def book(self, party: int, starts_at: datetime = NOON) -> UUID:
        """A pending booking."""
        rows = await self.database.fetch(
            "INSERT INTO bookings (restaurant_id, reference, party_size, starts_at)"
            " VALUES (%(restaurant)s, %(reference)s, %(party)s, %(starts)s) RETURNING id",
            {
                "restaurant": self.restaurant_id,
                "reference": f"R{uuid4().hex[:8]}",
                "party": party,
                "starts": starts_at,
            },
        )
        return UUID(str(rows[0]["id"]))

    async def book_many(self, parties: Sequence[int], starts_at: datetime = NOON) -> list[UUID]:
        return [await self.book(party, starts_at) for party in parties]

    async def status(self, booking_id: UUID) -> str:
        rows = await self.database.fetch("SELECT status FROM bookings WHERE id = %(id)s", {"id": booking_id})
        return str(rows[0]["status"])

    async def seats(self, booking_id: UUID) -> list[int]:
        """Tables confirmed for the booking."""
        rows = await self.database.fetch(
            "SELECT table_id FROM allocations WHERE booking_id = %(id)s AND hold_id IS NULL ORDER BY 1",
            {"id": booking_id},
        )
        return [row["table_id"] for row in rows]

    async def count(self, table: str) -> int:
        counts: dict[str, LiteralString] = {
            "holds": "SELECT count(*) AS n FROM holds",
            "allocations": "SELECT count(*) AS n FROM allocations",
            "confirmations": "SELECT count(*) AS n FROM confirmations",
            "booking_history": "SELECT count(*) AS n FROM booking_history",
            "observability_events": "SELECT count(*) AS n FROM observability_events",
        }
        rows = await self.database.fetch(counts[table])
        return int(rows[0]["n"])

    async def stored_events(self, event_type: str) -> list[dict[str, object]]:
        rows = await self.database.fetch(
            "SELECT context, severity, booking_id FROM observability_events WHERE event_type = %(type)s",
            {"type": event_type},
        )
        return [dict(row) for row in rows]

    async def let_holds_expire(self) -> None:
        await self.database.fetch("UPDATE holds SET expires_at = clock_timestamp() - interval '1 millisecond'")


async def double_bookings(database: Database) -> int:
    """Pairs of allocations that share a table and a moment. A query of its own: it knows nothing of the constraint."""
    rows = await database.fetch(
        "SELECT count(*) AS n FROM allocations a JOIN allocations b ON a.table_id = b.table_id AND a.id < b.id"
        " WHERE lower(a.period) < upper(b.period) AND lower(b.period) < upper(a.period)"
    )
    return int(rows[0]["n"])


async def build_house(
    database: Database,
    capacities: Sequence[int] = (2, 2, 4, 4, 6),
    *,
    edges: Sequence[tuple[int, int]] | None = None,
    turn_minutes: int = 90,
) -> House:
    """A venue with tables T1, T2, ... of these capacities, in a row unless `edges` (places from 0) says otherwise."""
    restaurant_id, slug = uuid4(), f"house-{uuid4().hex[:8]}"
    await database.fetch(
        "INSERT INTO restaurants (id, slug, name, timezone, scoring, demand)"
        " VALUES (%(id)s, %(slug)s, 'House', 'UTC', %(scoring)s, '[]')",
        {"id": restaurant_id, "slug": slug, "scoring": Jsonb({})},
    )
    zone = await database.fetch(
        "INSERT INTO zones (restaurant_id, name) VALUES (%(id)s, 'Hall') RETURNING id", {"id": restaurant_id}
    )
    ids = []
    for place, capacity in enumerate(capacities, start=1):
        rows = await database.fetch(
            "INSERT INTO tables (restaurant_id, zone_id, number, capacity)"
            " VALUES (%(id)s, %(zone)s, %(number)s, %(capacity)s) RETURNING id",
            {"id": restaurant_id, "zone": zone[0]["id"], "number": f"T{place}", "capacity": capacity},
        )
        ids.append(int(rows[0]["id"]))
    pairs = edges if edges is not None else [(place, place + 1) for place in range(len(ids) - 1)]
    for a, b in pairs:
        await database.fetch(
            "INSERT INTO table_adjacency (restaurant_id, table_a, table_b) VALUES (%(id)s, %(a)s, %(b)s)",
            {"id": restaurant_id, "a": min(ids[a], ids[b]), "b": max(ids[a], ids[b])},
        )
    service = await database.fetch(
        "INSERT INTO services (restaurant_id, key, position, starts, ends, buffer_after_min, allow_overrun)"
        " VALUES (%(id)s, 'all_day', 0, '10:00', '23:00', 0, true) RETURNING id",
        {"id": restaurant_id},
    )
    await database.fetch(
        "INSERT INTO turn_bands (service_id, up_to_party, minutes) VALUES (%(service)s, 20, %(minutes)s)",
        {"service": service[0]["id"], "minutes": turn_minutes},
    )
    return House(database, restaurant_id, {f"T{place}": table_id for place, table_id in enumerate(ids, start=1)})


@asynccontextmanager
async def pool(url: str, **knobs: int) -> AsyncIterator[Database]:
    """A further pool on the same database, as another process would have it."""
    database = Database(url, **knobs)  # type: ignore[arg-type]  # only whole numbers are passed here
    await database.open()
    try:
        yield database
    finally:
        await database.close()


Clock = Callable[[], datetime]
