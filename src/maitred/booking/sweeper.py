"""Clearing away holds that have expired. Only tidies up: an expired hold blocks nobody, swept or not."""

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

_log = structlog.get_logger(__name__)


async def sweep_expired_holds(database: Database, *, most: int = 500) -> int:
    """Deletes up to `most` holds that have expired, oldest first, and returns how many."""
    return len(await database.fetch(SWEEP, {"most": most}))


async def keep_sweeping(database: Database, *, every_s: float, most: int = 500) -> NoReturn:
    """Sweeps every so many seconds until cancelled; goes on at once while there is more than one sweep can take.

    A database that is away is only logged: the next sweep will find what this one didn't.
    """
    while True:
        await asyncio.sleep(every_s)
        try:
            while await sweep_expired_holds(database, most=most) == most:
                pass
        except (DatabaseUnavailable, psycopg.Error) as error:
            _log.warning("sweep.failed", error=type(error).__name__)
