"""What operators do to a floor: zones, tables, which tables stand together. Each change makes a new floor version."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, LiteralString

from maitred.errors import AlreadyExists, InvalidInput, NotFound, TableInUse
from maitred.model.floor import Floor, Table
from maitred.storage.database import Database, Statement
from maitred.venue.changing import Change, Part, VenueNow, changing

MOST_ZONES = 200
MOST_TABLES = 1_000
MOST_EDGES = 10_000
_MOST_NAMED = 20

_ADD_ZONE: LiteralString = "INSERT INTO zones (restaurant_id, name) VALUES (%(restaurant_id)s, %(name)s) RETURNING id"
_RENAME_ZONE: LiteralString = (
    "UPDATE zones SET name = %(name)s WHERE id = %(zone_id)s AND restaurant_id = %(restaurant_id)s"
)
_REMOVE_ZONE: LiteralString = "DELETE FROM zones WHERE id = %(zone_id)s AND restaurant_id = %(restaurant_id)s"

_ADD_TABLE: LiteralString = """
INSERT INTO tables (restaurant_id, zone_id, number, capacity, min_party_size, max_party_size, category, seating_type,
                    mobility, status, active)
VALUES (%(restaurant_id)s, %(zone_id)s, %(number)s, %(capacity)s, %(min_party_size)s, %(max_party_size)s, %(category)s,
        %(seating_type)s, %(mobility)s, %(status)s, %(active)s)
RETURNING id
"""
_CHANGE_TABLE: LiteralString = """
UPDATE tables
   SET zone_id = %(zone_id)s, number = %(number)s, capacity = %(capacity)s, min_party_size = %(min_party_size)s,
       max_party_size = %(max_party_size)s, category = %(category)s, seating_type = %(seating_type)s,
       mobility = %(mobility)s, status = %(status)s, active = %(active)s
 WHERE id = %(table_id)s AND restaurant_id = %(restaurant_id)s
"""

# Whoever gives the table to a booking waits here, and finds the floor changed afterwards.
_LOCK_TABLE: LiteralString = (
    "SELECT FROM tables WHERE id = %(table_id)s AND restaurant_id = %(restaurant_id)s FOR UPDATE"
)
_TAKEN_BY: LiteralString = """
SELECT b.reference, count(*) OVER () AS bookings
  FROM allocations a JOIN bookings b ON b.id = a.booking_id LEFT JOIN holds h ON h.id = a.hold_id
 WHERE a.restaurant_id = %(restaurant_id)s AND a.table_id = %(table_id)s AND upper(a.period) > clock_timestamp()
   AND (h.id IS NULL OR h.expires_at > clock_timestamp())
 ORDER BY lower(a.period) LIMIT %(most)s
"""
_END_HOLDS: LiteralString = """
DELETE FROM holds h USING allocations a
 WHERE a.hold_id = h.id AND a.restaurant_id = %(restaurant_id)s AND a.table_id = %(table_id)s
   AND h.expires_at <= clock_timestamp()
"""
_FORGET_PAST: LiteralString = """
DELETE FROM allocations
 WHERE restaurant_id = %(restaurant_id)s AND table_id = %(table_id)s AND upper(period) <= clock_timestamp()
"""
_REMOVE_TABLE: LiteralString = "DELETE FROM tables WHERE id = %(table_id)s AND restaurant_id = %(restaurant_id)s"

_REMOVE_EDGES: LiteralString = """
DELETE FROM table_adjacency e
 WHERE e.restaurant_id = %(restaurant_id)s
   AND NOT EXISTS (SELECT FROM unnest(%(a)s::bigint[], %(b)s::bigint[]) AS kept (a, b)
                    WHERE (kept.a, kept.b) = (e.table_a, e.table_b))
"""
_ADD_EDGES: LiteralString = """
INSERT INTO table_adjacency (restaurant_id, table_a, table_b)
SELECT %(restaurant_id)s, a, b FROM unnest(%(a)s::bigint[], %(b)s::bigint[]) AS given (a, b)
ON CONFLICT DO NOTHING
"""


async def add_zone(db: Database, slug: str, name: str, expected: Collection[str] | None) -> tuple[int, VenueNow]:
    """The new zone's id, and the venue. Raises AlreadyExists for a name that differs by case at most."""
    async with changing(db, slug, Part.FLOOR, expected) as change:
        floor = change.before.venue.floor
        _free_zone_name(floor, name)
        if len(floor.zones) >= MOST_ZONES:
            raise InvalidInput("zone", "name", f"a venue has at most {MOST_ZONES} zones")
        rows = await change.send(Statement(_ADD_ZONE, {"name": name}))
        zone_id: int = rows[0][0]["id"]
    return zone_id, change.after


async def rename_zone(db: Database, slug: str, zone_id: int, name: str, expected: Collection[str] | None) -> VenueNow:
    """Raises NotFound, AlreadyExists."""
    async with changing(db, slug, Part.FLOOR, expected) as change:
        _must_have_zone(change.before.venue.floor, zone_id)
        _free_zone_name(change.before.venue.floor, name, but=zone_id)
        await change.send(Statement(_RENAME_ZONE, {"zone_id": zone_id, "name": name}))
    return change.after


async def remove_zone(db: Database, slug: str, zone_id: int, expected: Collection[str] | None) -> VenueNow:
    """Raises NotFound, and InvalidInput while there are tables in it."""
    async with changing(db, slug, Part.FLOOR, expected) as change:
        floor = change.before.venue.floor
        _must_have_zone(floor, zone_id)
        tables = [table.number for table in floor.tables if table.zone_id == zone_id]
        if tables:
            raise InvalidInput("zone", "tables", f"move or delete its {len(tables)} tables first")
        await change.send(Statement(_REMOVE_ZONE, {"zone_id": zone_id}))
    return change.after


async def add_table(db: Database, slug: str, table: Table, expected: Collection[str] | None) -> tuple[int, VenueNow]:
    """Adds a table; its id means nothing. The new id, and the venue. Raises AlreadyExists, InvalidInput."""
    async with changing(db, slug, Part.FLOOR, expected) as change:
        floor = change.before.venue.floor
        if len(floor.tables) >= MOST_TABLES:
            raise InvalidInput("table", "number", f"a venue has at most {MOST_TABLES} tables")
        _must_fit(floor, table, but=None)
        rows = await change.send(Statement(_ADD_TABLE, _columns(table)))
        table_id: int = rows[0][0]["id"]
    return table_id, change.after


async def change_table(
    db: Database, slug: str, table_id: int, to: Mapping[str, Any], expected: Collection[str] | None
) -> VenueNow:
    """Gives fields of the table other values, as `Table` has them. Raises NotFound, AlreadyExists, InvalidInput."""
    async with changing(db, slug, Part.FLOOR, expected) as change:
        floor = change.before.venue.floor
        table = replace(table_of(floor, table_id), **to)
        _must_fit(floor, table, but=table_id)
        await change.send(Statement(_CHANGE_TABLE, _columns(table) | {"table_id": table_id}))
    return change.after


async def remove_table(db: Database, slug: str, table_id: int, expected: Collection[str] | None) -> VenueNow:
    """Deletes a table with its edges and what it was taken for in the past.

    Raises NotFound, and TableInUse while a booking has it or a hold is on it, now or later.
    """
    async with changing(db, slug, Part.FLOOR, expected) as change:
        table = table_of(change.before.venue.floor, table_id)
        which = {"table_id": table_id, "most": _MOST_NAMED}
        _, taken = await change.send(Statement(_LOCK_TABLE, which), Statement(_TAKEN_BY, which))
        if taken:
            raise TableInUse(table.number, [row["reference"] for row in taken], taken[0]["bookings"])
        await change.send(*(Statement(sql, which) for sql in (_END_HOLDS, _FORGET_PAST, _REMOVE_TABLE)))
    return change.after


async def set_adjacency(
    db: Database, slug: str, edges: Collection[tuple[int, int]], expected: Collection[str] | None
) -> VenueNow:
    """Makes these pairs of table ids, in either order, all that stand next to each other. Raises InvalidInput."""
    async with changing(db, slug, Part.FLOOR, expected) as change:
        await _set_edges(change, {(min(edge), max(edge)) for edge in edges})
    return change.after


async def set_adjacent(
    db: Database, slug: str, edge: tuple[int, int], stand_together: bool, expected: Collection[str] | None
) -> VenueNow:
    """Says of one pair of tables whether they stand next to each other. Raises InvalidInput."""
    async with changing(db, slug, Part.FLOOR, expected) as change:
        pair = {(min(edge), max(edge))}
        edges = set(change.before.venue.floor.adjacency)
        await _set_edges(change, edges | pair if stand_together else edges - pair)
    return change.after


def table_of(floor: Floor, table_id: int) -> Table:
    """The table with this id. Raises NotFound."""
    for table in floor.tables:
        if table.id == table_id:
            return table
    raise NotFound("table", str(table_id))


async def _set_edges(change: Change, edges: set[tuple[int, int]]) -> None:
    known = {table.id for table in change.before.venue.floor.tables}
    if len(edges) > MOST_EDGES:
        raise InvalidInput("adjacency", "edges", f"a venue has at most {MOST_EDGES}")
    for first, second in edges:
        if first == second:
            raise InvalidInput("adjacency", "edges", f"table {first} can't stand next to itself")
        if not {first, second} <= known:
            raise InvalidInput("adjacency", "edges", f"unknown table in {first} - {second}")
    sides = {"a": [first for first, _ in edges], "b": [second for _, second in edges]}
    await change.send(Statement(_REMOVE_EDGES, sides), Statement(_ADD_EDGES, sides))


def _must_have_zone(floor: Floor, zone_id: int) -> None:
    if zone_id not in floor.zones:
        raise NotFound("zone", str(zone_id))


def _free_zone_name(floor: Floor, name: str, but: int | None = None) -> None:
    if any(known.casefold() == name.casefold() for zone_id, known in floor.zones.items() if zone_id != but):
        raise AlreadyExists("zone", name)


def _must_fit(floor: Floor, table: Table, but: int | None) -> None:
    if table.zone_id not in floor.zones:
        raise InvalidInput(f"table {table.number}", "zone_id", f"no zone {table.zone_id}")
    if table.max_party_size is not None and table.min_party_size > table.max_party_size:
        raise InvalidInput(f"table {table.number}", "min_party_size", "is above max_party_size")
    if any(known.number.casefold() == table.number.casefold() for known in floor.tables if known.id != but):
        raise AlreadyExists("table", table.number)


def _columns(table: Table) -> dict[str, Any]:
    return {
        "zone_id": table.zone_id,
        "number": table.number,
        "capacity": table.capacity,
        "min_party_size": table.min_party_size,
        "max_party_size": table.max_party_size,
        "category": table.category.value,
        "seating_type": table.seating_type.value,
        "mobility": table.mobility.value,
        "status": table.status.value,
        "active": table.active,
    }
