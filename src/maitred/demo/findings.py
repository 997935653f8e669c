"""What the database says of a restaurant's day. Nothing here asks the planner or repeats what the program believes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from maitred.demo.seating import Seat, Seating
from maitred.model.floor import number_order
from maitred.model.period import Period
from maitred.storage.database import Database, Statement

_CONFIRMED: LiteralString = """
SELECT count(*) AS bookings,
       count(*) FILTER (WHERE status = 'confirmed') AS seated,
       coalesce(sum(party_size) FILTER (WHERE status = 'confirmed'), 0) AS covers
  FROM bookings WHERE restaurant_id = %(restaurant_id)s
"""

# Two seats of one table that share a moment. The constraint forbids it; this counts whether it kept its word.
_DOUBLE_BOOKINGS: LiteralString = """
SELECT count(*) AS pairs
  FROM allocations a JOIN allocations b ON b.table_id = a.table_id AND b.id > a.id
   AND lower(a.period) < upper(b.period) AND lower(b.period) < upper(a.period)
 WHERE a.restaurant_id = %(restaurant_id)s
"""
_EVENTS: LiteralString = """
SELECT e.event_type, count(*) AS events
  FROM observability_events e
 WHERE e.restaurant_id = %(restaurant_id)s
    OR e.booking_id IN (SELECT b.id FROM bookings b WHERE b.restaurant_id = %(restaurant_id)s)
 GROUP BY e.event_type ORDER BY e.event_type
"""
_TABLES: LiteralString = """
SELECT z.name AS zone, t.number FROM tables t JOIN zones z ON z.id = t.zone_id
 WHERE t.restaurant_id = %(restaurant_id)s AND t.active
"""
_SEATS: LiteralString = """
SELECT t.number, z.name AS zone, b.reference, b.party_size, lower(a.period) AS starts, upper(a.period) AS ends,
       count(*) OVER (PARTITION BY b.id) AS tables
  FROM allocations a
  JOIN bookings b ON b.id = a.booking_id
  JOIN tables t ON t.id = a.table_id
  JOIN zones z ON z.id = t.zone_id
 WHERE a.restaurant_id = %(restaurant_id)s AND a.hold_id IS NULL
"""


@dataclass(frozen=True, slots=True)
class Findings:
    """`double_bookings` are pairs of seats or holds of one table that overlap."""

    bookings: int
    seated: int
    covers: int
    double_bookings: int
    events: Mapping[str, int]
    seating: Seating


async def find(db: Database, restaurant_id: UUID) -> Findings:
    """Reads the day as it now is, in one round trip."""
    of = {"restaurant_id": restaurant_id}
    statements = (_CONFIRMED, _DOUBLE_BOOKINGS, _EVENTS, _TABLES, _SEATS)
    [confirmed], [double], events, tables, seats = await db.transact([Statement(sql, of) for sql in statements])
    by_zone: dict[str, list[str]] = {}
    for row in sorted(tables, key=lambda row: (row["zone"], number_order(row["number"]))):
        by_zone.setdefault(row["zone"], []).append(row["number"])
    return Findings(
        bookings=confirmed["bookings"],
        seated=confirmed["seated"],
        covers=int(confirmed["covers"]),
        double_bookings=double["pairs"],
        events={row["event_type"]: row["events"] for row in events},
        seating=Seating(
            zones={zone: tuple(numbers) for zone, numbers in by_zone.items()},
            seats=[
                Seat(
                    table=row["number"],
                    zone=row["zone"],
                    reference=row["reference"],
                    party=row["party_size"],
                    tables=row["tables"],
                    period=Period(row["starts"], row["ends"]),
                )
                for row in seats
            ],
        ),
    )
