"""Clearing away holds that have expired, and adding up what days have changed.

Only tidies up: an expired hold blocks nobody, swept or not, and a day's version is the same, added up or not.
"""

from __future__ import annotations

import asyncio
from typing import LiteralString, NoReturn

import psycopg
import structlog

from maitred.errors import DatabaseUnavailable
from maitred.storage.database import Database

SWEEP: LiteralString = """
WITH expired AS MATERIALIZED (
    SELECT id FROM holds WHERE expires_at <= clock_timestamp()
     ORDER BY expires_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
), freed AS (  -- in one statement and not hold by hold, so that the venues' release marks are locked in one order
    DELETE FROM allocations WHERE hold_id IN (SELECT id FROM expired)
)
DELETE FROM holds WHERE id IN (SELECT id FROM expired) RETURNING id
"""

# A sum takes the place of the rows in it, so nothing that is read in one statement sees a difference.
FOLD: LiteralString = """
WITH noted AS MATERIALIZED (
    SELECT restaurant_id, day, xid FROM day_changes LIMIT %(most)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM day_changes c USING noted n
     WHERE c.restaurant_id = n.restaurant_id AND c.day = n.day AND c.xid = n.xid
    RETURNING c.restaurant_id, c.day
), added AS (
    INSERT INTO day_versions AS v (restaurant_id, day, folded)
    SELECT restaurant_id, day, count(*) FROM gone GROUP BY restaurant_id, day ORDER BY restaurant_id, day
    ON CONFLICT (restaurant_id, day) DO UPDATE SET folded = v.folded + excluded.folded
)
SELECT count(*) AS folded FROM gone
"""

_log = structlog.get_logger(__name__)


async def sweep_expired_holds(database: Database, *, most: int = 500) -> int:
    """Deletes up to `most` holds that have expired, oldest first, and returns how many."""
    return len(await database.fetch(SWEEP, {"most": most}))


async def fold_day_changes(database: Database, *, most: int = 5_000) -> int:
    """Adds up to `most` changes into their days' versions, which stay as they are, and returns how many."""
    rows = await database.fetch(FOLD, {"most": most})
    folded: int = rows[0]["folded"]
    return folded


async def keep_sweeping(database: Database, *, every_s: float, most: int = 500) -> NoReturn:
    """Sweeps every so many seconds until cancelled; goes on at once while there is more than one sweep can take.

    A database that is away is only logged: the next sweep will find what this one didn't.
    """
    while True:
        await asyncio.sleep(every_s)
        try:
            while await sweep_expired_holds(database, most=most) == most:
                pass
            await fold_day_changes(database)
        except (DatabaseUnavailable, psycopg.Error) as error:
            _log.warning("sweep.failed", error=type(error).__name__)
