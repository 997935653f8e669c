"""Putting a venue and a day into the database, and taking a venue out of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from psycopg.errors import LockNotAvailable, UniqueViolation
from psycopg.types.json import Jsonb

from maitred.errors import DatabaseUnavailable, InvalidInput
from maitred.model.floor import Floor
from maitred.model.policy import VenuePolicy
from maitred.storage.database import Database, Row, Session, Statement
from maitred.venue.difference import facts_of, first_difference
from maitred.venue.document import DayBooking, DayDocument
from maitred.venue.read import SELECT_VENUE, venue_of
from maitred.venue.scoring import demand_to_json, preferences_to_json, scoring_to_json

# The largest file allowed holds some 300,000 bookings: each statement must stay well inside its time-out.
_BOOKINGS_PER_STATEMENT = 20_000
_TRIES = 3

_BEGIN = Statement("BEGIN", {})
_COMMIT = Statement("COMMIT", {})
_ROLLBACK = Statement("ROLLBACK", {})
_LIMITS = Statement("SELECT set_config('lock_timeout', '10s', true), set_config('statement_timeout', '60s', true)", {})

# The slug's unique index makes a second import of the same slug wait here until the first one is through.
_ADD_RESTAURANT: LiteralString = """
INSERT INTO restaurants (slug, name, timezone, outside_service, scoring, demand)
VALUES (%(slug)s, %(name)s, %(timezone)s, %(outside)s, %(scoring)s, %(demand)s)
ON CONFLICT (slug) DO NOTHING RETURNING id
"""
_LOCK_RESTAURANT: LiteralString = "SELECT id FROM restaurants WHERE slug = %(slug)s FOR NO KEY UPDATE"
_READ_RESTAURANT: LiteralString = SELECT_VENUE + " WHERE r.slug = %(slug)s"
_READ_BOOKINGS: LiteralString = """
SELECT b.reference, b.party_size, b.starts_at
  FROM restaurants r JOIN bookings b ON b.restaurant_id = r.id
 WHERE r.slug = %(slug)s AND b.reference = ANY (%(references)s)
"""
_ADD_ZONES: LiteralString = """
INSERT INTO zones (restaurant_id, name) SELECT %(restaurant_id)s, name FROM unnest(%(names)s::text[]) AS given(name)
"""
_ADD_TABLES: LiteralString = """
INSERT INTO tables (restaurant_id, zone_id, number, capacity, min_party_size, max_party_size, category, seating_type,
                    mobility, status, active, features, section, priority)
SELECT z.restaurant_id, z.id, given.number, given.capacity, given.least, given.most, given.category,
       given.seating_type, given.mobility, given.status, given.active,
       ARRAY(SELECT jsonb_array_elements_text(given.said -> 'features')), given.said ->> 'section',
       given.said -> 'priority'
  FROM unnest(%(numbers)s::text[], %(zones)s::text[], %(capacities)s::int[], %(least)s::int[], %(most)s::int[],
              %(categories)s::text[], %(seating_types)s::text[], %(mobilities)s::text[], %(statuses)s::text[],
              %(active)s::boolean[], %(said)s::jsonb[])
       AS given(number, zone, capacity, least, most, category, seating_type, mobility, status, active, said)
  JOIN zones z ON z.restaurant_id = %(restaurant_id)s AND z.name = given.zone
"""
_ADD_EDGES: LiteralString = """
INSERT INTO table_adjacency (restaurant_id, table_a, table_b, lost_seats)
SELECT a.restaurant_id, least(a.id, b.id), greatest(a.id, b.id), given.lost
  FROM unnest(%(firsts)s::text[], %(seconds)s::text[], %(lost)s::int[]) AS given(first, second, lost)
  JOIN tables a ON a.restaurant_id = %(restaurant_id)s AND a.number = given.first
  JOIN tables b ON b.restaurant_id = %(restaurant_id)s AND b.number = given.second
"""
_ADD_JOINED_SETS: LiteralString = """
INSERT INTO joined_sets (restaurant_id, table_ids, capacity, min_party_size, max_party_size, rank, forbidden)
SELECT %(restaurant_id)s,
       ARRAY(SELECT t.id FROM jsonb_array_elements_text(said -> 'tables') WITH ORDINALITY AS given(number, place)
               JOIN tables t ON t.restaurant_id = %(restaurant_id)s AND t.number = given.number ORDER BY given.place),
       (said ->> 'capacity')::int, (said ->> 'least')::int, (said ->> 'most')::int, (said ->> 'rank')::int,
       (said ->> 'forbidden')::boolean
  FROM unnest(%(sets)s::jsonb[]) AS said
"""
_ADD_SCARCITY: LiteralString = """
INSERT INTO table_scarcity (restaurant_id, capacity, category, seating_type, scarcity)
SELECT %(restaurant_id)s, given.*
  FROM unnest(%(capacities)s::int[], %(categories)s::text[], %(seating_types)s::text[], %(values)s::float8[]) AS given
"""
_ADD_SERVICES: LiteralString = """
INSERT INTO services (restaurant_id, key, position, starts, ends, buffer_before_min, buffer_after_min, allow_overrun)
SELECT %(restaurant_id)s, given.key, given.position, given.starts, given.ends, given.before, given.after, given.overrun
  FROM unnest(%(keys)s::text[], %(starts)s::time[], %(ends)s::time[], %(before)s::int[], %(after)s::int[],
              %(overrun)s::boolean[])
       WITH ORDINALITY AS given(key, starts, ends, before, after, overrun, position)
"""
_ADD_TURN_BANDS: LiteralString = """
INSERT INTO turn_bands (service_id, up_to_party, minutes)
SELECT s.id, given.up_to_party, given.minutes
  FROM unnest(%(keys)s::text[], %(up_to)s::int[], %(minutes)s::int[]) AS given(key, up_to_party, minutes)
  JOIN services s ON s.restaurant_id = %(restaurant_id)s AND s.key = given.key
"""
_ADD_BOOKINGS: LiteralString = """
INSERT INTO bookings (restaurant_id, reference, party_size, starts_at, preferences, vip)
SELECT %(restaurant_id)s, given.*
  FROM unnest(%(references)s::text[], %(party_sizes)s::int[], %(starts)s::timestamptz[], %(preferences)s::jsonb[],
              %(vip)s::boolean[]) AS given
"""
# a statement of its own: row-level security sees the history of bookings that are there already
ADD_HISTORY: LiteralString = """
INSERT INTO booking_history (booking_id, to_status, cause)
SELECT id, 'pending', 'import' FROM bookings
 WHERE restaurant_id = %(restaurant_id)s AND reference = ANY (%(references)s)
"""

# A table can't go while a seat refers to it, and the seats go with their bookings: bookings first.
_LOCK_TO_REMOVE: LiteralString = "SELECT id FROM restaurants WHERE slug = %(slug)s FOR UPDATE"
_REMOVE_EVENTS: LiteralString = """
DELETE FROM observability_events e USING restaurants r
 WHERE r.slug = %(slug)s
   AND (e.restaurant_id = r.id OR e.booking_id IN (SELECT b.id FROM bookings b WHERE b.restaurant_id = r.id))
"""
_REMOVE_BOOKINGS: LiteralString = """
DELETE FROM bookings b USING restaurants r WHERE r.slug = %(slug)s AND b.restaurant_id = r.id
"""
_REMOVE_RESTAURANT: LiteralString = "DELETE FROM restaurants WHERE slug = %(slug)s"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `created` tells whether the restaurant is new."""

    restaurant_id: UUID
    created: bool
    bookings_added: int
    bookings_already_there: int


async def import_day(db: Database, document: DayDocument, *, dry_run: bool = False) -> Imported:
    """Writes the venue, if it isn't there, and those of its bookings that are not; all or nothing, two round trips.

    Imports of one restaurant wait for each other. A dry run does the same and takes it back. Raises InvalidInput when
    the restaurant exists with another floor or policy, or a booking with another time or party; DatabaseUnavailable
    also when the wait gets too long.
    """
    for _ in range(_TRIES - 1):
        # somebody who is no import added one of the references after we had looked: look again
        with suppress(UniqueViolation):
            return await _import_once(db, document, dry_run=dry_run)
    return await _import_once(db, document, dry_run=dry_run)


async def remove_restaurant(db: Database, slug: str) -> bool:
    """Deletes a restaurant with everything that belongs to it, its events included. False when there is none."""
    found, *_ = await db.transact([lock_to_remove(slug), *removal_statements(slug)])
    return bool(found)


def lock_to_remove(slug: str) -> Statement:
    """Takes the restaurant for good: whoever is booking there ends first, and nobody begins."""
    return Statement(_LOCK_TO_REMOVE, {"slug": slug})


def removal_statements(slug: str) -> list[Statement]:
    """Deletes the restaurant with everything that belongs to it; behind `lock_to_remove`."""
    return [Statement(sql, {"slug": slug}) for sql in (_REMOVE_EVENTS, _REMOVE_BOOKINGS, _REMOVE_RESTAURANT)]


async def _import_once(db: Database, document: DayDocument, *, dry_run: bool) -> Imported:
    async with db.session() as session:
        try:
            created, restaurant, bookings = await _look(session, document)
        except LockNotAvailable as error:
            raise DatabaseUnavailable(f"somebody else is changing restaurant {document.slug}; try again") from error
        if not created:
            _must_be_same(restaurant, document)
        new = _new_bookings(document, bookings)
        restaurant_id: UUID = restaurant["id"]
        statements = venue_statements(restaurant_id, document) if created else []
        ending = [_ROLLBACK] if dry_run else [_COMMIT]
        await session.send([*statements, *_booking_statements(restaurant_id, new), *ending])
    return Imported(restaurant_id, created, len(new), len(document.bookings) - len(new))


async def _look(session: Session, document: DayDocument) -> tuple[bool, Row, list[Row]]:
    """Opens the transaction, takes the restaurant for itself, and reads what there is of it."""
    policy = document.policy
    given = {
        "slug": document.slug,
        "name": document.name,
        "timezone": policy.timezone,
        "outside": policy.outside.value,
        "scoring": Jsonb(scoring_to_json(policy.scoring)),
        "demand": Jsonb(demand_to_json(policy.demand)),
        "references": [booking.reference for booking in document.bookings],
    }
    *_, added, _, restaurants, bookings = await session.send(
        [
            _BEGIN,
            _LIMITS,
            Statement(_ADD_RESTAURANT, given),
            Statement(_LOCK_RESTAURANT, given),
            Statement(_READ_RESTAURANT, given),
            Statement(_READ_BOOKINGS, given),
        ]
    )
    return bool(added), restaurants[0], bookings


def _must_be_same(row: Row, document: DayDocument) -> None:
    venue = venue_of(row)
    difference = first_difference(
        stored=facts_of(venue.name, venue.policy, venue.floor),
        given=facts_of(document.name, document.policy, document.floor),
    )
    if difference is not None:
        item, field, words = difference
        raise InvalidInput(item, field, f"{words}; an import doesn't change restaurant {document.slug}, which exists")


def _new_bookings(document: DayDocument, stored: Sequence[Row]) -> list[DayBooking]:
    there = {row["reference"]: row for row in stored}
    new = []
    for booking in document.bookings:
        row = there.get(booking.reference)
        if row is None:
            new.append(booking)
        elif row["party_size"] != booking.party_size:
            raise InvalidInput(f"booking {booking.reference}", "party_size", "differs from the booking in the database")
        elif row["starts_at"] != booking.starts_at:
            raise InvalidInput(f"booking {booking.reference}", "time", "differs from the booking in the database")
    return new


def venue_statements(restaurant_id: UUID, document: DayDocument) -> list[Statement]:
    return [*floor_statements(restaurant_id, document.floor), *policy_statements(restaurant_id, document.policy)]


def floor_statements(restaurant_id: UUID, floor: Floor) -> Iterator[Statement]:
    tables = floor.tables
    numbers = {table.id: table.number for table in tables}
    yield Statement(_ADD_ZONES, {"restaurant_id": restaurant_id, "names": list(floor.zones.values())})
    yield Statement(
        _ADD_TABLES,
        {
            "restaurant_id": restaurant_id,
            "numbers": [table.number for table in tables],
            "zones": [floor.zones[table.zone_id] for table in tables],
            "capacities": [table.capacity for table in tables],
            "least": [table.min_party_size for table in tables],
            "most": [table.max_party_size for table in tables],
            "categories": [table.category.value for table in tables],
            "seating_types": [table.seating_type.value for table in tables],
            "mobilities": [table.mobility.value for table in tables],
            "statuses": [table.status.value for table in tables],
            "active": [table.active for table in tables],
            "said": [
                Jsonb(
                    {
                        "features": sorted(table.features),
                        "section": table.section,
                        "priority": dict(table.priority),
                    }
                )
                for table in tables
            ],
        },
    )
    yield Statement(
        _ADD_EDGES,
        {
            "restaurant_id": restaurant_id,
            "firsts": [numbers[first] for first, _ in floor.adjacency],
            "seconds": [numbers[second] for _, second in floor.adjacency],
            "lost": [floor.lost_seats.get((min(edge), max(edge)), 0) for edge in floor.adjacency],
        },
    )
    yield Statement(
        _ADD_JOINED_SETS,
        {
            "restaurant_id": restaurant_id,
            "sets": [
                Jsonb(
                    {
                        "tables": [numbers[table_id] for table_id in each.tables],
                        "capacity": each.capacity,
                        "least": each.min_party,
                        "most": each.max_party,
                        "rank": each.rank,
                        "forbidden": each.forbidden,
                    }
                )
                for each in floor.joined
            ],
        },
    )
    yield Statement(
        _ADD_SCARCITY,
        {
            "restaurant_id": restaurant_id,
            "capacities": [capacity for capacity, _, _ in floor.scarcity],
            "categories": [category.value for _, category, _ in floor.scarcity],
            "seating_types": [seating_type.value for _, _, seating_type in floor.scarcity],
            "values": list(floor.scarcity.values()),
        },
    )


def policy_statements(restaurant_id: UUID, policy: VenuePolicy) -> Iterator[Statement]:
    services = policy.services
    bands = [(service.key, band) for service in services for band in service.turn_bands]
    yield Statement(
        _ADD_SERVICES,
        {
            "restaurant_id": restaurant_id,
            "keys": [service.key for service in services],
            "starts": [service.starts for service in services],
            "ends": [service.ends for service in services],
            "before": [service.buffer_before_min for service in services],
            "after": [service.buffer_after_min for service in services],
            "overrun": [service.allow_overrun for service in services],
        },
    )
    yield Statement(
        _ADD_TURN_BANDS,
        {
            "restaurant_id": restaurant_id,
            "keys": [key for key, _ in bands],
            "up_to": [band.up_to_party for _, band in bands],
            "minutes": [band.minutes for _, band in bands],
        },
    )


def _booking_statements(restaurant_id: UUID, bookings: Sequence[DayBooking]) -> Iterator[Statement]:
    for first in range(0, len(bookings), _BOOKINGS_PER_STATEMENT):
        part = bookings[first : first + _BOOKINGS_PER_STATEMENT]
        references = [booking.reference for booking in part]
        yield Statement(
            _ADD_BOOKINGS,
            {
                "restaurant_id": restaurant_id,
                "references": references,
                "party_sizes": [booking.party_size for booking in part],
                "starts": [booking.starts_at for booking in part],
                "preferences": [Jsonb(preferences_to_json(booking.preferences)) for booking in part],
                "vip": [booking.vip for booking in part],
            },
        )
        yield Statement(ADD_HISTORY, {"restaurant_id": restaurant_id, "references": references})
