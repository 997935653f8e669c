"""The real commands: serving, keys, and an end that comes."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from maitred.errors import RoleMissing
from maitred.http.keys import create_key
from maitred.http.role import Role
from maitred.storage import schema
from maitred.storage.database import SCOPED_ROLE, Database
from tests.cli.command import environment, maitred, one_line
from tests.house import build_house, double_bookings


@contextmanager
def served(database_url: str, *arguments: str, **settings: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`maitred serve` on this database; its address and its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "maitred", "serve", "--port", "0", *arguments],
        env=environment(MAITRED_DATABASE_URL=database_url, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, (line, process.stderr.read() if process.stderr is not None and not line else "")
        yield found[0], process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("arguments", [(), ("--worker",)])
def test_it_serves_until_it_is_told_to_stop(database_url: str, arguments: tuple[str, ...]) -> None:
    with served(database_url, *arguments) as (address, process):
        assert httpx.get(f"{address}/readyz").json()["status"] == "ready"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "maitred has stopped" in out
    assert "Traceback" not in err
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/healthz")


def test_a_key_is_made_listed_and_revoked_while_it_serves(database_url: str) -> None:
    made = maitred("keys", "create", "door", "--role", "staff", "--every-venue", MAITRED_DATABASE_URL=database_url)
    assert made.code == 0, made.err
    shown = made.out.strip()
    key_id = re.search(r"revoke it with: maitred keys revoke (\S+)", made.err)
    assert key_id is not None
    listed = maitred("keys", "list", MAITRED_DATABASE_URL=database_url)
    assert shown[:11] in listed.out
    assert shown not in listed.out
    with served(database_url) as (address, _):
        headers = {"Authorization": f"Bearer {shown}"}
        assert httpx.get(f"{address}/v1/nothing", headers=headers).status_code == 404
        assert maitred("keys", "revoke", key_id[1], MAITRED_DATABASE_URL=database_url).code == 0
        assert httpx.get(f"{address}/v1/nothing", headers=headers).status_code == 401


async def test_a_process_killed_in_the_middle_leaves_bookings_that_are_made_once(
    database: Database, database_url: str
) -> None:
    house = await build_house(database, (2,) * 12)
    _, shown = await create_key(database, name="site", role=Role.GUEST_SITE, restaurant_ids=[house.restaurant_id])
    noon = (datetime.now(UTC) + timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)
    body = {"restaurant_id": str(house.restaurant_id), "starts_at": noon.isoformat(), "party": 2}

    async def book(address: str, turn: int) -> httpx.Response:
        headers = {"Authorization": f"Bearer {shown}", "Idempotency-Key": f"turn-{turn}"}
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
            return await client.post("/v1/bookings", json=body)

    settings = {"MAITRED_HTTP_TIMEOUT_S": "1", "MAITRED_IDEMPOTENCY_WAIT_S": "30"}
    with served(database_url, **settings) as (address, process):
        assert (await book(address, 0)).status_code == 201
        asked = [asyncio.create_task(book(address, turn)) for turn in range(1, 8)]
        while not await database.fetch("SELECT 1 FROM idempotency_records WHERE status IS NULL"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0)
        process.kill()
        ended = await asyncio.gather(*asked, return_exceptions=True)
    assert any(isinstance(each, httpx.TransportError) for each in ended), "the kill hit nobody"
    with served(database_url, **settings) as (address, _):
        answers = await asyncio.gather(*(book(address, turn) for turn in range(8)))
        again = await asyncio.gather(*(book(address, turn) for turn in range(8)))
    assert {each.status_code for each in answers} == {201}
    assert [each.content for each in answers] == [each.content for each in again]
    for before, after in zip(ended, answers[1:], strict=True):
        if isinstance(before, httpx.Response):
            assert before.json()["id"] == after.json()["id"]
    rows = await database.fetch(
        "SELECT count(*) AS n FROM bookings WHERE restaurant_id = %(id)s", {"id": house.restaurant_id}
    )
    assert rows[0]["n"] == 8
    assert await double_bookings(database) == 0


@pytest.mark.parametrize(
    "arguments",
    [("--role", "guest", "--every-venue"), ("--role", "staff"), ("--role", "staff", "--venue", "nowhere")],
)
def test_a_key_that_makes_no_sense_is_one_line(database_url: str, arguments: tuple[str, ...]) -> None:
    ended = maitred("keys", "create", "door", *arguments, MAITRED_DATABASE_URL=database_url)
    assert ended.code in (1, 2)
    one_line(ended)


def test_an_address_that_is_taken_is_one_line(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = maitred("serve", "--port", port, MAITRED_DATABASE_URL=database_url)
    assert ended.code == 2
    assert "can't be had" in one_line(ended)


def test_a_database_that_was_given_is_not_migrated(empty_database_url: str) -> None:
    ended = maitred("serve", "--port", "0", MAITRED_DATABASE_URL=empty_database_url)
    assert ended.code == 1
    assert "maitred db upgrade" in one_line(ended)
    with psycopg.connect(empty_database_url) as connection:
        row = connection.execute("SELECT to_regclass('bookings')").fetchone()
    assert row == (None,)


@contextmanager
def plain_user(url: str, *, may_make_roles: bool) -> Iterator[str]:
    """A user of the server who is no superuser, and owns this database; its URL."""
    name = f"owner_{conninfo_to_dict(url)['dbname']}"
    who = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as connection:
        right = sql.SQL("CREATEROLE" if may_make_roles else "NOCREATEROLE")
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x' {}").format(who, right))
        database = sql.Identifier(str(conninfo_to_dict(url)["dbname"]))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, who))
    try:
        yield make_conninfo(url, user=name, password="x")  # noqa: S106 - of a user who is gone in a moment
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            me = sql.SQL("CURRENT_USER")
            connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, me))
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(who))
            connection.execute(sql.SQL("DROP ROLE {}").format(who))


def test_a_user_who_may_not_make_roles_is_told_what_to_say_once(empty_database_url: str) -> None:
    with plain_user(empty_database_url, may_make_roles=False) as url:
        with pytest.raises(RoleMissing, match=f"GRANT {SCOPED_ROLE}"):
            schema.upgrade(url)
        assert schema.found_version(url) is None  # all of it or nothing
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            user = sql.Identifier(str(conninfo_to_dict(url)["user"]))
            connection.execute(
                sql.SQL(
                    "DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
                ).format(role=sql.Identifier(SCOPED_ROLE))
            )
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(SCOPED_ROLE), user))
        schema.upgrade(url)
        with psycopg.connect(url) as connection:
            connection.execute("SELECT set_config('role', %s, true)", (SCOPED_ROLE,))
            assert connection.execute("SELECT count(*) FROM bookings").fetchone() == (0,)
