"""A venue's clock is one that the database knows: each change of a booking asks it for the date."""

from __future__ import annotations

import psycopg
import pytest

from maitred.storage.database import Database
from tests.house import build_house


async def test_a_zone_that_nobody_knows_is_refused(database: Database) -> None:
    await build_house(database, (2,))
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        await database.fetch("UPDATE restaurants SET timezone = 'Mars/Olympus'")
    await database.fetch("UPDATE restaurants SET timezone = 'Pacific/Auckland'")
