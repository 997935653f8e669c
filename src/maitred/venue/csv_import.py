"""Importing sheets into a venue: all of them or nothing; a dry run does the same and then takes it back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import LiteralString, TypeVar
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from maitred.errors import ImportRefused, NotFound, PacingExceeded
from maitred.model.floor import ANY_SERVICE, Floor
from maitred.model.policy import VenuePolicy, zone_of
from maitred.storage.database import Database, Session, Statement
from maitred.storage.pacing import SQLSTATE as PACING
from maitred.storage.pacing import pacing_exceeded
from maitred.venue.changing import BEGIN, COMMIT
from maitred.venue.csv_sheets import GivenBooking, GivenEdge, GivenService, GivenTable, Read, Sheet, read_sheet
from maitred.venue.csv_text import Problem
from maitred.venue.document import folded
from maitred.venue.read import SELECT_VENUE, venue_of
from maitred.venue.scoring import preferences_to_json
from maitred.venue.store import ADD_HISTORY, policy_statements

MOST_PROBLEMS = 1_000
_PER_STATEMENT = 20_000
_Row = TypeVar("_Row", GivenTable, GivenService, GivenEdge, GivenBooking)

_LIMITS = Statement("SELECT set_config('lock_timeout', '10s', true), set_config('statement_timeout', '60s', true)", {})
_ADD_VENUE: LiteralString = """
INSERT INTO restaurants (slug, name, timezone) VALUES (%(slug)s, %(name)s, %(timezone)s) ON CONFLICT (slug) DO NOTHING
"""
_ZONE: LiteralString = "SELECT timezone FROM restaurants WHERE slug = %(slug)s"
_LOCK: LiteralString = "SELECT id, timezone FROM restaurants WHERE slug = %(slug)s FOR NO KEY UPDATE"
_READ: LiteralString = SELECT_VENUE + " WHERE r.slug = %(slug)s"
_READ_BOOKINGS: LiteralString = """
SELECT reference, party_size, starts_at FROM bookings
 WHERE restaurant_id = %(restaurant_id)s AND reference = ANY (%(references)s)
"""
_ADD_ZONES: LiteralString = """
INSERT INTO zones (restaurant_id, name) SELECT %(restaurant_id)s, unnest(%(names)s::text[])
"""
_ADD_TABLES: LiteralString = """
INSERT INTO tables (restaurant_id, zone_id, number, capacity, min_party_size, max_party_size, category, seating_type,
                    mobility, status, active, features, section, priority)
SELECT z.restaurant_id, z.id, g.number, g.capacity, g.least, g.most, g.category, g.seating_type, g.mobility, g.status,
       g.active, g.features, g.section, g.priority
  FROM jsonb_to_recordset(%(tables)s::jsonb)
       AS g (zone text, number text, capacity int, least int, most int, category text, seating_type text,
             mobility text, status text, active boolean, features text[], section text, priority jsonb)
  JOIN zones z ON z.restaurant_id = %(restaurant_id)s AND z.name = g.zone
"""
_ADD_EDGES: LiteralString = """
INSERT INTO table_adjacency (restaurant_id, table_a, table_b, lost_seats)
SELECT a.restaurant_id, least(a.id, b.id), greatest(a.id, b.id), given.lost
  FROM unnest(%(firsts)s::text[], %(seconds)s::text[], %(lost)s::int[]) AS given (first, second, lost)
  JOIN tables a ON a.restaurant_id = %(restaurant_id)s AND a.number = given.first
  JOIN tables b ON b.restaurant_id = %(restaurant_id)s AND b.number = given.second
ON CONFLICT DO NOTHING
"""
_ADD_BOOKINGS: LiteralString = """
INSERT INTO bookings (restaurant_id, reference, party_size, starts_at, guest_name, guest_email, guest_phone, notes,
                      preferences, vip)
SELECT %(restaurant_id)s, given.*
  FROM unnest(%(references)s::text[], %(parties)s::int[], %(starts)s::timestamptz[], %(names)s::text[],
              %(emails)s::text[], %(phones)s::text[], %(notes)s::text[], %(preferences)s::jsonb[], %(vip)s::boolean[])
       AS given
"""


@dataclass(frozen=True, slots=True)
class NewVenue:
    """A venue to make when there is none of that slug; its sheet of services must come too."""

    name: str
    timezone: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or in a dry run would do: by sheet how many rows were new and how many were there.

    `problems` by sheet; with any there nothing is done. `left_out`: bookings that are over.
    """

    dry_run: bool
    added: Mapping[str, int]
    already_there: Mapping[str, int]
    left_out: int
    problems: tuple[tuple[Sheet, Problem], ...]

    def refuse(self) -> ImportRefused | None:
        """The error for what is wrong; None when nothing is."""
        if not self.problems:
            return None
        several = len({sheet for sheet, _ in self.problems}) > 1
        told = [
            (each.line, f"{sheet.value}: {each.column}" if several else each.column, each.problem)
            for sheet, each in self.problems
        ]
        return ImportRefused(told, more=len(told) >= MOST_PROBLEMS)


async def import_sheets(
    db: Database, slug: str, sheets: Mapping[Sheet, bytes], *, dry_run: bool, new: NewVenue | None = None
) -> ImportReport:
    """Imports CSV files into a venue. What is there and the same is left as it is; what differs is a problem.

    A dry run comes to the same report and changes nothing. Problems are in the report, at most a thousand; with any,
    nothing was changed either. Raises NotFound for an unknown venue, ImportRefused for a file that can't be read.
    """
    if new is not None:
        zone_of(new.timezone)
    known = await db.fetch(_ZONE, {"slug": slug})
    zone_name: str | None = known[0]["timezone"] if known else new.timezone if new is not None else None
    if zone_name is None:
        raise NotFound("restaurant", slug)
    # a large file takes seconds: not on the loop, and not while others wait for the venue
    given = await asyncio.to_thread(_read_all, sheets, zone_name)
    async with db.session() as session:
        opening = [BEGIN, _LIMITS]
        if new is not None:
            opening.append(Statement(_ADD_VENUE, {"slug": slug, "name": new.name, "timezone": new.timezone}))
        which = {"slug": slug}
        *_, found, rows = await session.send([*opening, Statement(_LOCK, which), Statement(_READ, which)])
        if not found:
            raise NotFound("restaurant", slug)
        if found[0]["timezone"] != zone_name:
            given = await asyncio.to_thread(_read_all, sheets, found[0]["timezone"])
        if rows[0]["services"]:
            venue = venue_of(rows[0])
            floor, policy = venue.floor, venue.policy
        else:
            floor, policy = Floor(0, ()), None
        importing = _Importing(session, found[0]["id"], given)
        await importing.services(policy)
        await importing.floor(floor, policy)
        await importing.bookings()
        report = importing.report(dry_run=dry_run)
        if not dry_run and not report.problems:
            await session.send([COMMIT])
        return report


def _read_all(sheets: Mapping[Sheet, bytes], timezone: str) -> dict[Sheet, Read]:
    zone = zone_of(timezone)
    return {sheet: read_sheet(sheet, content, zone) for sheet, content in sheets.items()}


class _Importing:
    """The statements of one import, sheet by sheet; nothing more is sent once something is wrong."""

    def __init__(self, session: Session, restaurant_id: UUID, given: Mapping[Sheet, Read]) -> None:
        self._session = session
        self._restaurant_id = restaurant_id
        self._given = given
        self._problems: list[tuple[Sheet, Problem]] = [
            (sheet, problem) for sheet, read in given.items() for problem in read.problems
        ]
        self._added: dict[str, int] = {}
        self._there: dict[str, int] = {sheet.value: 0 for sheet in given}

    def report(self, *, dry_run: bool) -> ImportReport:
        problems = sorted(self._problems, key=lambda each: (list(Sheet).index(each[0]), each[1].line or 0))
        left_out = sum(read.left_out for read in self._given.values())
        return ImportReport(dry_run, self._added, self._there, left_out, tuple(problems[:MOST_PROBLEMS]))

    async def services(self, policy: VenuePolicy | None) -> None:
        rows = self._rows(Sheet.SERVICES, GivenService)
        if policy is None and not rows:
            self._problems.append(
                (Sheet.SERVICES, Problem(None, "file", "is needed: the venue has no service yet, and a venue has one"))
            )
            return
        if policy is not None:
            known = {service.key: service for service in policy.services}
            for row in rows:
                if row.service.key not in known:
                    self._wrong(Sheet.SERVICES, row.line, "key", "is new; add it by the API, or import a new venue")
                elif known[row.service.key] != row.service:
                    self._wrong(Sheet.SERVICES, row.line, "key", "differs from the service in the database")
            self._there[Sheet.SERVICES.value] = len(rows)
            return
        self._added[Sheet.SERVICES.value] = len(rows)
        fresh = VenuePolicy("UTC", tuple(row.service for row in rows))
        await self._send(*policy_statements(self._restaurant_id, fresh))

    async def floor(self, floor: Floor, policy: VenuePolicy | None) -> None:
        services = {ANY_SERVICE, *(row.service.key for row in self._rows(Sheet.SERVICES, GivenService))}
        services |= set() if policy is None else {service.key for service in policy.services}
        known = {folded(table.number): table for table in floor.tables}
        zones = {folded(name): name for name in floor.zones.values()}
        new_zones: list[str] = []
        new_tables: list[tuple[str, GivenTable]] = []
        numbers = {key: table.number for key, table in known.items()}
        seats = {key: table.capacity for key, table in known.items()}
        for row in self._rows(Sheet.TABLES, GivenTable):
            if folded(row.zone) not in zones:
                zones[folded(row.zone)] = row.zone
                new_zones.append(row.zone)
            for service, _ in row.table.priority:
                if service not in services:
                    self._wrong(Sheet.TABLES, row.line, "priority", f'unknown service "{service}"')
            seats[folded(row.table.number)] = row.table.capacity
            table = known.get(folded(row.table.number))
            if table is None:
                numbers[folded(row.table.number)] = row.table.number
                new_tables.append((zones[folded(row.zone)], row))
                continue
            same = replace(row.table, id=table.id, zone_id=table.zone_id, number=table.number, status=table.status)
            if same != table or folded(floor.zones[table.zone_id]) != folded(row.zone):
                self._wrong(Sheet.TABLES, row.line, "number", "differs from the table in the database")
            self._there[Sheet.TABLES.value] += 1
        standing = {
            (min(pair), max(pair)): floor.lost_seats.get(ids, 0)
            for ids in floor.adjacency
            for pair in [tuple(folded(table.number) for table in floor.tables if table.id in ids)]
        }
        edges: dict[tuple[str, str], int] = {}
        for edge in self._rows(Sheet.ADJACENCY, GivenEdge):
            for column, number in zip(("table_a", "table_b"), edge.numbers, strict=True):
                if folded(number) not in numbers:
                    self._wrong(Sheet.ADJACENCY, edge.line, column, f'unknown table "{number}"')
            first, second = sorted(folded(number) for number in edge.numbers)
            stands = standing.get((first, second), edges.get((first, second)))
            lost = edge.lost_seats if edge.lost_seats is not None else stands or 0
            if lost and lost >= seats.get(first, lost) + seats.get(second, 1):
                self._wrong(Sheet.ADJACENCY, edge.line, "lost_seats", "must be less than both tables have")
            if stands not in (None, lost):
                self._wrong(Sheet.ADJACENCY, edge.line, "lost_seats", f"differs: it is {stands}")
            edges[first, second] = lost
        if Sheet.TABLES in self._given:
            self._added |= {Sheet.TABLES.value: len(new_tables), "zones": len(new_zones)}
        if Sheet.ADJACENCY in self._given:
            self._added[Sheet.ADJACENCY.value] = len(edges.keys() - standing.keys())
            self._there[Sheet.ADJACENCY.value] = len(edges.keys() & standing.keys())
        sides = [
            (numbers.get(first), numbers.get(second), lost)
            for (first, second), lost in edges.items()
            if (first, second) not in standing
        ]
        await self._send(
            self._statement(_ADD_ZONES, names=new_zones),
            self._statement(_ADD_TABLES, tables=json.dumps([_columns(*each) for each in new_tables])),
            self._statement(
                _ADD_EDGES,
                firsts=[first for first, _, _ in sides],
                seconds=[second for _, second, _ in sides],
                lost=[lost for _, _, lost in sides],
            ),
        )

    async def bookings(self) -> None:
        rows = self._rows(Sheet.BOOKINGS, GivenBooking)
        if not rows:
            return
        asked = self._statement(_READ_BOOKINGS, references=[row.reference for row in rows])
        there = {row["reference"]: row for row in (await self._session.send([asked]))[0]}
        new = []
        for row in rows:
            stored = there.get(row.reference)
            if stored is None:
                new.append(row)
                continue
            self._there[Sheet.BOOKINGS.value] += 1
            if stored["party_size"] != row.party_size:
                self._wrong(Sheet.BOOKINGS, row.line, "party_size", "differs from the booking in the database")
            elif stored["starts_at"] != row.starts_at:
                self._wrong(Sheet.BOOKINGS, row.line, "time", "differs from the booking in the database")
        self._added[Sheet.BOOKINGS.value] = len(new)
        new.sort(key=lambda row: row.starts_at)
        for first in range(0, len(new), _PER_STATEMENT):
            try:
                part = new[first : first + _PER_STATEMENT]
                told = self._statement(ADD_HISTORY, references=[row.reference for row in part])
                await self._send(self._add(part), told)
            except psycopg.Error as error:
                if error.sqlstate != PACING:
                    raise
                self._over_limit(pacing_exceeded(error), new)
                return

    def _over_limit(self, error: PacingExceeded, rows: list[GivenBooking]) -> None:
        line = None
        if error.slot is not None:
            line = next((row.line for row in rows if row.starts_at.isoformat() >= error.slot), None)
        self._problems.append((Sheet.BOOKINGS, Problem(line, "time", str(error))))

    def _rows(self, sheet: Sheet, kind: type[_Row]) -> list[_Row]:
        read = self._given.get(sheet)
        return [] if read is None else [row for row in read.rows if isinstance(row, kind)]

    def _wrong(self, sheet: Sheet, line: int, column: str, problem: str) -> None:
        self._problems.append((sheet, Problem(line, column, problem)))

    def _statement(self, sql: LiteralString, **params: object) -> Statement:
        return Statement(sql, {"restaurant_id": self._restaurant_id, **params})

    async def _send(self, *statements: Statement) -> None:
        if not self._problems:
            await self._session.send(list(statements))

    def _add(self, rows: list[GivenBooking]) -> Statement:
        return self._statement(
            _ADD_BOOKINGS,
            references=[row.reference for row in rows],
            parties=[row.party_size for row in rows],
            starts=[row.starts_at for row in rows],
            names=[row.guest_name for row in rows],
            emails=[row.guest_email for row in rows],
            phones=[row.guest_phone for row in rows],
            notes=[row.notes for row in rows],
            preferences=[Jsonb(preferences_to_json(row.preferences)) for row in rows],
            vip=[row.vip for row in rows],
        )


def _columns(zone: str, row: GivenTable) -> dict[str, object]:
    table = row.table
    return {
        "zone": zone,
        "number": table.number,
        "capacity": table.capacity,
        "least": table.min_party_size,
        "most": table.max_party_size,
        "category": table.category.value,
        "seating_type": table.seating_type.value,
        "mobility": table.mobility.value,
        "status": table.status.value,
        "active": table.active,
        "features": sorted(table.features),
        "section": table.section,
        "priority": dict(table.priority),
    }
