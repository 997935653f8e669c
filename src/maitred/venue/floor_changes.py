"""What operators do to a floor: zones, tables, which tables stand together. Each change makes a new floor version."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from maitred.errors import AlreadyExists, InvalidInput, NotFound, TableInUse
from maitred.model.floor import ANY_SERVICE, Floor, Table
from maitred.model.joined import JoinedSet, check_joined_sets, check_lost_seats
from maitred.storage.database import Database, Statement
from maitred.venue.changing import Change, Part, VenueNow, changing
from maitred.venue.read import Venue

MOST_ZONES = 200
MOST_TABLES = 1_000
MOST_EDGES = 10_000
MOST_JOINED_SETS = 1_000
_MOST_NAMED = 20

_ADD_ZONE: LiteralString = "INSERT INTO zones (restaurant_id, name) VALUES (%(restaurant_id)s, %(name)s) RETURNING id"
_RENAME_ZONE: LiteralString = (
    "UPDATE zones SET name = %(name)s WHERE id = %(zone_id)s AND restaurant_id = %(restaurant_id)s"
)
_REMOVE_ZONE: LiteralString = "DELETE FROM zones WHERE id = %(zone_id)s AND restaurant_id = %(restaurant_id)s"

_ADD_TABLE: LiteralString = """
INSERT INTO tables (restaurant_id, zone_id, number, capacity, min_party_size, max_party_size, category, seating_type,
                    mobility, status, active, features, section, priority)
VALUES (%(restaurant_id)s, %(zone_id)s, %(number)s, %(capacity)s, %(min_party_size)s, %(max_party_size)s, %(category)s,
        %(seating_type)s, %(mobility)s, %(status)s, %(active)s, %(features)s, %(section)s, %(priority)s)
RETURNING id
"""
_CHANGE_TABLE: LiteralString = """
UPDATE tables
   SET zone_id = %(zone_id)s, number = %(number)s, capacity = %(capacity)s, min_party_size = %(min_party_size)s,
       max_party_size = %(max_party_size)s, category = %(category)s, seating_type = %(seating_type)s,
       mobility = %(mobility)s, status = %(status)s, active = %(active)s, features = %(features)s,
       section = %(section)s, priority = %(priority)s
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
INSERT INTO table_adjacency AS e (restaurant_id, table_a, table_b, lost_seats)
SELECT %(restaurant_id)s, given.*
  FROM unnest(%(a)s::bigint[], %(b)s::bigint[], %(lost)s::int[]) AS given (a, b, lost)
ON CONFLICT (table_a, table_b) DO UPDATE SET lost_seats = excluded.lost_seats
 WHERE e.lost_seats <> excluded.lost_seats
"""

_REMOVE_JOINED_SETS: LiteralString = "DELETE FROM joined_sets WHERE restaurant_id = %(restaurant_id)s"
_ADD_JOINED_SETS: LiteralString = """
INSERT INTO joined_sets (restaurant_id, table_ids, capacity, min_party_size, max_party_size, rank, forbidden)
SELECT %(restaurant_id)s, ARRAY(SELECT t::bigint FROM jsonb_array_elements_text(said -> 'tables') t),
       (said ->> 'capacity')::int, (said ->> 'least')::int, (said ->> 'most')::int, (said ->> 'rank')::int,
       (said ->> 'forbidden')::boolean
  FROM unnest(%(sets)s::jsonb[]) AS said
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
        _must_fit(change.before.venue, table, but=None)
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
        _must_fit(change.before.venue, table, but=table_id)
        others = (each for each in floor.tables if each.id != table_id)
        _must_hold_together(replace(floor, tables=(*others, table)))
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
    db: Database, slug: str, lost_seats: Mapping[tuple[int, int], int], expected: Collection[str] | None
) -> VenueNow:
    """Makes these pairs of table ids, in either order, all that stand next to each other, with the seats lost where
    they are joined. Raises InvalidInput.
    """
    async with changing(db, slug, Part.FLOOR, expected) as change:
        await _set_edges(change, {(min(edge), max(edge)): seats for edge, seats in lost_seats.items()})
    return change.after


async def set_adjacent(
    db: Database, slug: str, edge: tuple[int, int], lost_seats: int | None, expected: Collection[str] | None
) -> VenueNow:
    """Says that two tables stand next to each other. `lost_seats` None leaves what was said of that, at first none.

    Raises InvalidInput.
    """
    async with changing(db, slug, Part.FLOOR, expected) as change:
        edges, pair = lost_seats_of(change.before.venue.floor), (min(edge), max(edge))
        edges[pair] = edges.get(pair, 0) if lost_seats is None else lost_seats
        await _set_edges(change, edges)
    return change.after


async def set_apart(db: Database, slug: str, edge: tuple[int, int], expected: Collection[str] | None) -> VenueNow:
    """Says that two tables don't stand next to each other."""
    async with changing(db, slug, Part.FLOOR, expected) as change:
        edges = lost_seats_of(change.before.venue.floor)
        edges.pop((min(edge), max(edge)), None)
        await _set_edges(change, edges)
    return change.after


async def set_joined_sets(
    db: Database, slug: str, joined: Sequence[JoinedSet], expected: Collection[str] | None
) -> VenueNow:
    """Makes this all that the venue says of single sets of tables. Raises InvalidInput."""
    async with changing(db, slug, Part.FLOOR, expected) as change:
        if len(joined) > MOST_JOINED_SETS:
            raise InvalidInput("joined sets", "sets", f"a venue has at most {MOST_JOINED_SETS}")
        _must_hold_together(replace(change.before.venue.floor, joined=tuple(joined)))
        sets = [
            Jsonb(
                {
                    "tables": said.tables,
                    "capacity": said.capacity,
                    "least": said.min_party,
                    "most": said.max_party,
                    "rank": said.rank,
                    "forbidden": said.forbidden,
                }
            )
            for said in joined
        ]
        await change.send(Statement(_REMOVE_JOINED_SETS, {}), Statement(_ADD_JOINED_SETS, {"sets": sets}))
    return change.after


def lost_seats_of(floor: Floor) -> dict[tuple[int, int], int]:
    """The seats lost at each edge of adjacency, also where there are none; the smaller id first."""
    return {edge: floor.lost_seats.get(edge, 0) for edge in sorted(floor.adjacency)}


def table_of(floor: Floor, table_id: int) -> Table:
    """The table with this id. Raises NotFound."""
    for table in floor.tables:
        if table.id == table_id:
            return table
    raise NotFound("table", str(table_id))


async def _set_edges(change: Change, edges: Mapping[tuple[int, int], int]) -> None:
    floor = change.before.venue.floor
    known = {table.id for table in floor.tables}
    if len(edges) > MOST_EDGES:
        raise InvalidInput("adjacency", "edges", f"a venue has at most {MOST_EDGES}")
    for first, second in edges:
        if first == second:
            raise InvalidInput("adjacency", "edges", f"table {first} can't stand next to itself")
        if not {first, second} <= known:
            raise InvalidInput("adjacency", "edges", f"unknown table in {first} - {second}")
    _must_hold_together(replace(floor, adjacency=frozenset(edges), lost_seats=edges))
    sides = {"a": [a for a, _ in edges], "b": [b for _, b in edges], "lost": list(edges.values())}
    await change.send(Statement(_REMOVE_EDGES, sides), Statement(_ADD_EDGES, sides))


def _must_have_zone(floor: Floor, zone_id: int) -> None:
    if zone_id not in floor.zones:
        raise NotFound("zone", str(zone_id))


def _free_zone_name(floor: Floor, name: str, but: int | None = None) -> None:
    if any(known.casefold() == name.casefold() for zone_id, known in floor.zones.items() if zone_id != but):
        raise AlreadyExists("zone", name)


def _must_hold_together(floor: Floor) -> None:
    numbers = {table.id: table.number for table in floor.tables}
    check_lost_seats(floor.lost_seats, floor.adjacency, numbers, {table.id: table.capacity for table in floor.tables})
    check_joined_sets(floor.joined, numbers, {table.id: table.zone_id for table in floor.tables})


def _must_fit(venue: Venue, table: Table, but: int | None) -> None:
    floor = venue.floor
    before = next((known for known in floor.tables if known.id == but), None)
    services = {ANY_SERVICE, *(service.key for service in venue.policy.services)}
    for service, _ in table.priority if before is None else set(table.priority) - set(before.priority):
        if service not in services:
            raise InvalidInput(f"table {table.number}", "priority", f"no service {service!r}")
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
        "features": sorted(table.features),
        "section": table.section,
        "priority": Jsonb(dict(table.priority)),
    }
