"""A real PostgreSQL for every test that asks: one server a session, a fresh database a test, made from a template."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from psycopg.conninfo import make_conninfo

from maitred.storage import schema
from maitred.storage.database import Database
from maitred.storage.embedded import EmbeddedServer
from tests.event_validation import look_at_database


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A server of the test session's own, or the one named by MAITRED_TEST_SERVER_URL (a superuser's URL)."""
    given = os.environ.get("MAITRED_TEST_SERVER_URL")
    if given:
        yield given
        return
    base = Path(tempfile.mkdtemp(prefix="maitred-test-"))
    base.chmod(0o711)  # the server of a root user runs under another uid, which has to get through
    server = EmbeddedServer(base / "server", extra_settings={"fsync": "off", "synchronous_commit": "off"})
    try:
        yield server.start()
    finally:
        server.release()
        server.remove()
        shutil.rmtree(base, ignore_errors=True)


def on_database(url: str, name: str) -> str:
    """The same server and user, another database."""
    return make_conninfo(url, dbname=name)


@pytest.fixture(scope="session")
def template_database(server_url: str) -> str:
    """The name of a database with our schema and nothing in it."""
    name = f"maitred_template_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    schema.upgrade(on_database(server_url, name))
    return name


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A database with nothing in it, not even our schema."""
    yield from _database(server_url, "template1")


@pytest.fixture
def database_url(server_url: str, template_database: str) -> Iterator[str]:
    """A fresh database with our schema."""
    yield from _database(server_url, template_database)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a fresh database with our schema."""
    pool = Database(database_url, pool_size=8)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


def _database(server_url: str, template: str) -> Iterator[str]:
    name = f"maitred_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    try:
        yield on_database(server_url, name)
        look_at_database(on_database(server_url, name))
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
