"""How much room the database takes: each table with its indexes, and how far back the events go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import LiteralString

from maitred.storage.database import Database

# `reltuples` is what the last ANALYZE or VACUUM found, -1 before the first one.
_TABLES: LiteralString = """
SELECT c.relname AS name, pg_table_size(c.oid) AS table_bytes, pg_indexes_size(c.oid) AS index_bytes,
       greatest(c.reltuples, 0)::bigint AS estimated_rows
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname = current_schema()
 ORDER BY pg_total_relation_size(c.oid) DESC, c.relname
"""
_EVENTS: LiteralString = """
SELECT (SELECT min(created_at) FROM observability_events) AS oldest,
       (SELECT max(created_at) FROM observability_events) AS newest,
       (SELECT min(day) FROM event_rollups) AS oldest_rollup,
       pg_database_size(current_database()) AS database_bytes
"""


@dataclass(frozen=True, slots=True)
class TableSize:
    """One table. `table_bytes` includes large values stored beside it; `rows` is the server's last estimate."""

    name: str
    table_bytes: int
    index_bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """The tables, largest first, and the moments of the oldest and newest event; None where there are none."""

    database_bytes: int
    tables: tuple[TableSize, ...]
    oldest_event: datetime | None
    newest_event: datetime | None
    oldest_rollup: date | None


async def database_size(db: Database) -> DatabaseSize:
    """Looks up all sizes; two round trips, and none that reads a table."""
    tables = await db.fetch(_TABLES)
    (row,) = await db.fetch(_EVENTS)
    return DatabaseSize(
        database_bytes=row["database_bytes"],
        tables=tuple(
            TableSize(each["name"], each["table_bytes"], each["index_bytes"], each["estimated_rows"]) for each in tables
        ),
        oldest_event=row["oldest"],
        newest_event=row["newest"],
        oldest_rollup=row["oldest_rollup"],
    )
