"""The second wall holds without the first: queries here never ask for a venue."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from maitred.storage.database import SCOPED_ROLE, Database, Statement
from tests.house import NOON, House, build_house

_KNOWN_OUTSIDE = {
    # the queue's own, and what says nothing of any venue
    "procrastinate_jobs",
    "procrastinate_events",
    "procrastinate_periodic_defers",
    "procrastinate_workers",
    "maitred_schema_version",
    "event_producers",
    "mail_server",
}


async def two_houses(database: Database) -> tuple[House, House]:
    ours, theirs = await build_house(database), await build_house(database)
    for house in (ours, theirs):
        booking = await house.book(2)
        await database.fetch(
            "INSERT INTO holds (id, restaurant_id, booking_id, expires_at, policy_version, floor_version,"
            " require_adjacency) VALUES (%(hold)s, %(house)s, %(booking)s, now() + interval '1 hour', 1, 1, true)",
            {"hold": uuid4(), "house": house.restaurant_id, "booking": booking},
        )
        await database.fetch(
            "INSERT INTO booking_history (booking_id, to_status, cause) VALUES (%(booking)s, 'pending', 'test')",
            {"booking": booking},
        )
    return ours, theirs


async def tables_of(database: Database) -> dict[str, bool]:
    """Each table, and whether row-level security is on."""
    rows = await database.fetch(
        "SELECT relname, relrowsecurity FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p')"
    )
    return {row["relname"]: row["relrowsecurity"] for row in rows}


async def test_every_table_is_behind_the_wall_or_known_to_belong_to_no_venue(database: Database) -> None:
    reachable = await database.fetch(
        "SELECT DISTINCT table_name FROM information_schema.role_table_grants WHERE grantee = %(role)s",
        {"role": SCOPED_ROLE},
    )
    open_ones = {row["table_name"] for row in reachable}
    for name, secured in (await tables_of(database)).items():
        assert secured or name in _KNOWN_OUTSIDE or name not in open_ones, name


async def test_a_query_that_forgets_the_venue_finds_nothing_of_another(database: Database) -> None:
    ours, theirs = await two_houses(database)
    scoped = database.scoped([ours.restaurant_id])
    for table in (name for name, secured in (await tables_of(database)).items() if secured):
        everything = await database.fetch(f"SELECT to_jsonb(t) AS row FROM {table} t")  # noqa: S608 - from the catalogue
        seen = await scoped.fetch(f"SELECT to_jsonb(t) AS row FROM {table} t")  # noqa: S608 - the same
        assert all(str(theirs.restaurant_id) not in str(row) for row in seen), table
        if any(str(theirs.restaurant_id) in str(row) for row in everything):  # the guard is shown to work
            assert len(seen) < len(everything), table
    bookings = await scoped.fetch("SELECT restaurant_id FROM bookings")
    assert [row["restaurant_id"] for row in bookings] == [ours.restaurant_id]
    assert len(await scoped.fetch("SELECT 1 FROM booking_history")) == 1
    assert len(await database.fetch("SELECT 1 FROM booking_history")) == 2


async def test_a_write_that_forgets_the_venue_changes_nothing_of_another(database: Database) -> None:
    ours, theirs = await two_houses(database)
    scoped = database.scoped([ours.restaurant_id])
    changed = await scoped.fetch("UPDATE bookings SET party_size = 7 RETURNING restaurant_id")
    assert [row["restaurant_id"] for row in changed] == [ours.restaurant_id]
    gone = await scoped.fetch("DELETE FROM holds RETURNING restaurant_id")
    assert [row["restaurant_id"] for row in gone] == [ours.restaurant_id]
    rows = await database.fetch(
        "SELECT party_size FROM bookings WHERE restaurant_id = %(id)s", {"id": theirs.restaurant_id}
    )
    assert [row["party_size"] for row in rows] == [2]
    assert await database.fetch("SELECT 1 FROM holds WHERE restaurant_id = %(id)s", {"id": theirs.restaurant_id})


async def test_nothing_is_written_for_another_venue(database: Database) -> None:
    ours, theirs = await two_houses(database)
    scoped = database.scoped([ours.restaurant_id])
    insert = Statement(
        "INSERT INTO bookings (restaurant_id, reference, party_size, starts_at) VALUES (%(id)s, 'X', 2, %(at)s)",
        {"id": theirs.restaurant_id, "at": NOON},
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await scoped.transact([insert])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await scoped.fetch("UPDATE bookings SET restaurant_id = %(id)s", {"id": theirs.restaurant_id})
    await database.transact([insert])  # the wall it was, and not the statement


async def test_without_venues_there_is_nothing_and_with_every_venue_all(database: Database) -> None:
    await two_houses(database)
    assert await database.scoped([]).fetch("SELECT 1 FROM bookings") == []
    assert len(await database.scoped([], every_venue=True).fetch("SELECT 1 FROM bookings")) == 2


async def test_the_wall_was_what_hid_it(database: Database) -> None:
    ours, _ = await two_houses(database)
    scoped = database.scoped([ours.restaurant_id])
    await database.fetch("ALTER TABLE bookings DISABLE ROW LEVEL SECURITY")
    assert len(await scoped.fetch("SELECT 1 FROM bookings")) == 2


async def test_a_scope_ends_with_its_transaction(database: Database) -> None:
    ours, _ = await two_houses(database)
    scoped = database.scoped([ours.restaurant_id])
    async with scoped.session() as session:
        await session.send([Statement("BEGIN", {}), Statement("SELECT 1", {})])
        assert len(await session.fetch(Statement("SELECT 1 FROM bookings", {}))) == 1
        await session.send([Statement("COMMIT", {})])
        plain = await session._connection.execute("SELECT current_user AS me, count(*) AS n FROM bookings")
        row = await plain.fetchone()
        assert row is not None
        assert row["n"] == 2
        assert row["me"] != SCOPED_ROLE


async def test_what_belongs_to_no_venue_is_out_of_reach(database: Database) -> None:
    scoped = database.scoped([uuid4()])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await scoped.fetch("CREATE TABLE mine (id int)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await scoped.fetch("ALTER TABLE bookings DISABLE ROW LEVEL SECURITY")
