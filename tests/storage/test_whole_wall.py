"""Nothing that is added later goes past the wall between venues: asked of the database's own catalogue."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.house import NOON, House, build_house

from maitred.storage.database import NO_SCOPE, SCOPED_ROLE, Database

_FUNCTIONS = """
SELECT p.oid::regprocedure::text AS signature, p.proname AS name, p.prosrc AS body, l.lanname AS language,
       coalesce(p.proconfig, '{}') AS config, p.proargnames[:p.pronargs] AS names,
       ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) t) AS types
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
 WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""
_TABLES = """
SELECT c.relname AS name, c.relrowsecurity AS secured, c.relforcerowsecurity AS forced,
       (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
# What a table has that is about a venue or a guest, whatever it is called otherwise.
_OF_A_VENUE = """
SELECT DISTINCT table_name AS name FROM information_schema.columns
 WHERE table_schema = 'public'
   AND column_name IN ('restaurant_id', 'restaurant_ids', 'booking_id', 'table_id', 'service_id', 'run_id', 'hold_id',
                       'guest_name', 'guest_email', 'guest_phone')
"""

_NOT_AS_PLANNED = "MD001"  # what `must_hold` raises

# Asks before it does anything: of a venue that it is given, or of one it has just found for a booking.
_ASKS = re.compile(r"\bIF\b[^;]*\bNOT sees\(|\bmust_hold\(sees\(")
_READS_OR_WRITES = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s", re.IGNORECASE)


async def definers(database: Database) -> list[dict[str, Any]]:
    found = [dict(row) for row in await database.fetch(_FUNCTIONS)]
    assert found, "there are some"
    return found


async def test_a_function_with_its_owners_rights_names_its_path_and_asks_whose_the_venue_is(database: Database) -> None:
    for each in await definers(database):
        assert any(setting.startswith("search_path=") for setting in each["config"]), each["signature"]
        body = re.sub(r"--[^\n]*", "", each["body"])
        assert (asked := _ASKS.search(body)), each["signature"]
        wrote = _READS_OR_WRITES.search(body)
        assert wrote is None or asked.start() < wrote.start(), each["signature"]


async def test_nobody_else_may_make_something_that_such_a_function_would_find_first(database: Database) -> None:
    for each in await definers(database):
        path = next(setting for setting in each["config"] if setting.startswith("search_path="))
        for schema in re.findall(r"[\w$]+", path.removeprefix("search_path=")):
            rows = await database.fetch(
                "SELECT has_schema_privilege(%(role)s, n.oid, 'CREATE') AS may FROM pg_namespace n"
                " WHERE n.nspname = %(schema)s",
                {"role": SCOPED_ROLE, "schema": schema},
            )
            assert not any(row["may"] for row in rows), (each["signature"], schema)


async def two_houses(database: Database) -> tuple[House, House, UUID]:
    ours, theirs = await build_house(database), await build_house(database)
    booking = await theirs.book(2)
    return ours, theirs, booking


def arguments(types: list[str], house: House, booking: UUID, names: list[str]) -> list[object]:
    """Something of the right type for each; where it could be a name of something, one of the house's."""
    made: list[object] = []
    for name, kind in zip(names, types, strict=True):
        if kind == "uuid":
            made.append(house.restaurant_id if "venue" in name or "restaurant" in name else booking)
        else:
            known: dict[str, object] = {
                "integer": 1,
                "bigint": 1,
                "smallint": 1,
                "boolean": True,
                "text": "x",
                "bytea": b"\0" * 32,
                "jsonb": "[]",
                "timestamp with time zone": NOON,
                "bigint[]": [min(house.tables.values())],
                "text[]": [],
                "uuid[]": [],
                "double precision": 1.0,
                "date": NOON.date(),
                "interval": "1 minute",
            }
            made.append(known[kind])
    return made


async def everything(database: Database) -> dict[str, list[str]]:
    tables = [row["name"] for row in await database.fetch(_TABLES)]
    return {
        name: sorted(str(row["r"]) for row in await database.fetch(f"SELECT to_jsonb(t) AS r FROM {name} t"))  # noqa: S608
        for name in tables
    }


async def test_such_a_function_does_and_tells_nothing_of_another_venue(database: Database) -> None:
    ours, theirs, booking = await two_houses(database)
    scoped = database.scoped([ours.restaurant_id])
    before = await everything(database)
    for each in await definers(database):
        values = arguments(each["types"], theirs, booking, each["names"] or [])
        call = ", ".join(f"%(a{place})s::{kind}" for place, kind in enumerate(each["types"]))
        params = {f"a{place}": value for place, value in enumerate(values)}
        statement = f"SELECT to_jsonb(found) AS found FROM {each['name']}({call}) AS found"  # noqa: S608
        rows, refused = [], None
        try:
            rows = await scoped.fetch(statement, params)
        except psycopg.Error as error:
            refused = error.sqlstate
        assert refused in (None, _NOT_AS_PLANNED), (each["signature"], refused)  # and not for want of an argument
        told = str([row["found"] for row in rows])
        assert str(theirs.restaurant_id) not in told, each["signature"]
        assert str(booking) not in told, each["signature"]
    assert await everything(database) == before


async def test_every_table_that_knows_of_a_venue_has_the_wall(database: Database) -> None:
    tables = {row["name"]: dict(row) for row in await database.fetch(_TABLES)}
    reachable = {
        row["name"]
        for row in await database.fetch(
            "SELECT DISTINCT table_name AS name FROM information_schema.role_table_grants WHERE grantee = %(role)s",
            {"role": SCOPED_ROLE},
        )
    }
    of_a_venue = {row["name"] for row in await database.fetch(_OF_A_VENUE)} & set(tables)
    assert {"bookings", "allocations", "holds", "runs", "observability_events", "turn_bands"} <= of_a_venue
    for name in of_a_venue:
        # one that nobody has named is out of reach of whoever comes over HTTP
        walled = tables[name]["secured"] and tables[name]["policies"] > 0
        assert walled or name not in reachable, name


async def test_a_new_table_without_the_wall_is_found(database: Database) -> None:
    await database.fetch("CREATE TABLE wishes (id int, restaurant_id uuid)")
    await database.fetch("GRANT SELECT ON wishes TO maitred_http")
    with pytest.raises(AssertionError, match="wishes"):
        await test_every_table_that_knows_of_a_venue_has_the_wall(database)


async def test_a_function_that_forgets_to_ask_is_found(database: Database) -> None:
    await database.fetch(
        "CREATE FUNCTION forgets(venue uuid) RETURNS uuid LANGUAGE sql SECURITY DEFINER AS"
        " $$ SELECT id FROM bookings WHERE restaurant_id = venue LIMIT 1 $$"
    )
    for test in (
        test_a_function_with_its_owners_rights_names_its_path_and_asks_whose_the_venue_is,
        test_such_a_function_does_and_tells_nothing_of_another_venue,
    ):
        with pytest.raises(AssertionError, match="forgets"):
            await test(database)


async def test_a_statement_that_takes_its_scope_on_itself_is_held_to_it(database: Database) -> None:
    ours, theirs, _ = await two_houses(database)
    statement = (
        "SELECT sees(CASE WHEN scope.taken_on THEN %(venue)s::uuid END) AS sees, current_user AS me"
        " FROM take_on(%(role)s, %(venues)s, %(every)s) AS scope (taken_on)"
    )
    scoped = database.scoped([ours.restaurant_id])
    for venue, seen in ((ours.restaurant_id, True), (theirs.restaurant_id, False), (uuid4(), False)):
        rows = await scoped.fetch_alone(statement, {"venue": venue})
        assert rows[0]["sees"] is seen
    # it ends with the statement, and the next one is nobody's but its own
    assert (await database.fetch("SELECT current_user AS me"))[0]["me"] != SCOPED_ROLE
    assert (await database.fetch_alone(statement, {"venue": theirs.restaurant_id}))[0]["sees"]
    assert NO_SCOPE == {"role": None, "venues": None, "every": None}
    nobody = await database.scoped([]).fetch_alone(statement, {"venue": theirs.restaurant_id})
    assert not nobody[0]["sees"]
