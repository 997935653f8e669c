"""One database for all tests of this room, emptied before each: making one each time takes longer than the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import pytest_asyncio

from maitred.storage.database import Database
from tests.database_fixtures import _database
from tests.messages.told import Told, build_told


@pytest.fixture(scope="session")
def room_url(server_url: str, template_database: str) -> Iterator[str]:
    with contextmanager(_database)(server_url, template_database) as url:
        yield url


@pytest.fixture
def database_url(room_url: str) -> str:
    return room_url


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    pool = Database(database_url, pool_size=8)
    await pool.open()
    try:
        await pool.fetch("TRUNCATE restaurants, mail_server, observability_events CASCADE")
        yield pool
    finally:
        await pool.close()


@pytest_asyncio.fixture
async def told(database: Database) -> Told:
    return await build_told(database)
