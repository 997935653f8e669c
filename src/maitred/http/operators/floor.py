"""The floor: zones, tables, adjacency. Every answer's ETag is the floor's version."""

from __future__ import annotations

from fastapi import APIRouter, Response

from maitred.http.access import Operator
from maitred.http.idempotency import KeyedOperation
from maitred.http.operators.schemas import (
    Adjacency,
    Edge,
    FloorAnswer,
    Join,
    JoinedSets,
    NewTable,
    TableAnswer,
    TableChange,
    ZoneAnswer,
    ZoneBody,
    floor_answer,
    table_answer,
)
from maitred.http.operators.versions import Id, IfMatch, Slug, meant_for, perhaps, tell
from maitred.http.parts import Parts
from maitred.venue import floor_changes
from maitred.venue.changing import Part, read_venue

router = APIRouter(prefix="/venues/{slug}", tags=["operators"])


@router.get("/floor", summary="See a floor whole")
async def see_floor(slug: Slug, parts: Parts, _: Operator, response: Response) -> FloorAnswer:
    """Zones, tables, which of them stand together, and what is said of single sets."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.FLOOR)
    return floor_answer(now.venue.floor)


@router.get("/zones", summary="List zones")
async def list_zones(slug: Slug, parts: Parts, _: Operator, response: Response) -> list[ZoneAnswer]:
    """All of them, at most 200."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.FLOOR)
    return floor_answer(now.venue.floor).zones


@router.post("/zones", status_code=201, summary="Add a zone")
async def add_zone(
    slug: Slug,
    body: ZoneBody,
    parts: Parts,
    _: Operator,
    _operation: KeyedOperation,
    response: Response,
    if_match: IfMatch = None,
) -> ZoneAnswer:
    """Names that differ only by case are the same."""
    zone_id, now = await floor_changes.add_zone(parts.database, slug, body.name, perhaps(if_match))
    tell(response, now, Part.FLOOR)
    return ZoneAnswer(id=zone_id, name=body.name)


@router.patch("/zones/{zone_id}", summary="Rename a zone")
async def rename_zone(
    slug: Slug, zone_id: Id, body: ZoneBody, parts: Parts, _: Operator, response: Response, if_match: IfMatch = None
) -> ZoneAnswer:
    """Its tables stay in it."""
    expected = meant_for(if_match, Part.FLOOR)
    tell(response, await floor_changes.rename_zone(parts.database, slug, zone_id, body.name, expected), Part.FLOOR)
    return ZoneAnswer(id=zone_id, name=body.name)


@router.delete("/zones/{zone_id}", status_code=204, summary="Delete a zone that is empty")
async def remove_zone(
    slug: Slug, zone_id: Id, parts: Parts, _: Operator, response: Response, if_match: IfMatch = None
) -> None:
    """Refused while there are tables in it."""
    expected = meant_for(if_match, Part.FLOOR)
    tell(response, await floor_changes.remove_zone(parts.database, slug, zone_id, expected), Part.FLOOR)


@router.get("/tables", summary="List tables")
async def list_tables(slug: Slug, parts: Parts, _: Operator, response: Response) -> list[TableAnswer]:
    """All of them, in the order of their numbers, at most 1,000."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.FLOOR)
    return [table_answer(table) for table in now.venue.floor.tables]


@router.post("/tables", status_code=201, summary="Add a table")
async def add_table(
    slug: Slug,
    body: NewTable,
    parts: Parts,
    _: Operator,
    _operation: KeyedOperation,
    response: Response,
    if_match: IfMatch = None,
) -> TableAnswer:
    """The next booking may have it."""
    table_id, now = await floor_changes.add_table(parts.database, slug, body.table(), perhaps(if_match))
    tell(response, now, Part.FLOOR)
    return table_answer(floor_changes.table_of(now.venue.floor, table_id))


@router.get("/tables/{table_id}", summary="See a table")
async def see_table(slug: Slug, table_id: Id, parts: Parts, _: Operator, response: Response) -> TableAnswer:
    """As the floor has it."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.FLOOR)
    return table_answer(floor_changes.table_of(now.venue.floor, table_id))


@router.patch("/tables/{table_id}", summary="Change a table")
async def change_table(
    slug: Slug,
    table_id: Id,
    body: TableChange,
    parts: Parts,
    _: Operator,
    response: Response,
    if_match: IfMatch = None,
) -> TableAnswer:
    """Bookings that have it keep it; `active` false takes it out of what is planned from now on."""
    expected = meant_for(if_match, Part.FLOOR)
    now = await floor_changes.change_table(parts.database, slug, table_id, body.fields(), expected)
    tell(response, now, Part.FLOOR)
    return table_answer(floor_changes.table_of(now.venue.floor, table_id))


@router.delete("/tables/{table_id}", status_code=204, summary="Delete a table")
async def remove_table(
    slug: Slug, table_id: Id, parts: Parts, _: Operator, response: Response, if_match: IfMatch = None
) -> None:
    """Refused, with which bookings, while one has it now or later."""
    expected = meant_for(if_match, Part.FLOOR)
    tell(response, await floor_changes.remove_table(parts.database, slug, table_id, expected), Part.FLOOR)


@router.get("/adjacency", summary="See which tables stand together")
async def see_adjacency(slug: Slug, parts: Parts, _: Operator, response: Response) -> Adjacency:
    """Each pair once."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.FLOOR)
    return Adjacency(edges=tuple(floor_answer(now.venue.floor).edges))


@router.put("/adjacency", summary="Say which tables stand together")
async def set_adjacency(
    slug: Slug, body: Adjacency, parts: Parts, _: Operator, response: Response, if_match: IfMatch = None
) -> Adjacency:
    """These pairs, in either order, and no others."""
    expected = meant_for(if_match, Part.FLOOR)
    edges = {(edge.a, edge.b): edge.lost_seats for edge in body.edges}
    now = await floor_changes.set_adjacency(parts.database, slug, edges, expected)
    tell(response, now, Part.FLOOR)
    return Adjacency(edges=tuple(floor_answer(now.venue.floor).edges))


@router.put("/adjacency/{a}/{b}", summary="Say that two tables stand together")
async def set_adjacent(
    slug: Slug,
    a: Id,
    b: Id,
    parts: Parts,
    _: Operator,
    response: Response,
    body: Join | None = None,
    if_match: IfMatch = None,
) -> Edge:
    """Saying it twice changes nothing, so it needs no version. The body says how many seats are lost at the join."""
    lost_seats = None if body is None else body.lost_seats
    now = await floor_changes.set_adjacent(parts.database, slug, (a, b), lost_seats, perhaps(if_match))
    tell(response, now, Part.FLOOR)
    first, second = min(a, b), max(a, b)
    return Edge(a=first, b=second, lost_seats=now.venue.floor.lost_seats.get((first, second), 0))


@router.delete("/adjacency/{a}/{b}", status_code=204, summary="Say that two tables stand apart")
async def set_apart(
    slug: Slug, a: Id, b: Id, parts: Parts, _: Operator, response: Response, if_match: IfMatch = None
) -> None:
    """Saying it twice changes nothing, so it needs no version."""
    now = await floor_changes.set_apart(parts.database, slug, (a, b), perhaps(if_match))
    tell(response, now, Part.FLOOR)


@router.get("/joined-sets", summary="See what is said of single sets of tables")
async def see_joined_sets(slug: Slug, parts: Parts, _: Operator, response: Response) -> JoinedSets:
    """Sets of which nothing is said follow from their tables."""
    now = await read_venue(parts.database, slug)
    tell(response, now, Part.FLOOR)
    return JoinedSets(sets=tuple(floor_answer(now.venue.floor).joined_sets))


@router.put("/joined-sets", summary="Say something of single sets of tables")
async def set_joined_sets(
    slug: Slug, body: JoinedSets, parts: Parts, _: Operator, response: Response, if_match: IfMatch = None
) -> JoinedSets:
    """All of it: a set that is left out follows from its tables again."""
    expected = meant_for(if_match, Part.FLOOR)
    joined = [each.joined_set() for each in body.sets]
    now = await floor_changes.set_joined_sets(parts.database, slug, joined, expected)
    tell(response, now, Part.FLOOR)
    return JoinedSets(sets=tuple(floor_answer(now.venue.floor).joined_sets))
