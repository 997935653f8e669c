"""`maitred db size`: how much room the database takes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from maitred.storage.size import DatabaseSize


class SizeFormat(StrEnum):
    """How the sizes are written."""

    TABLE = "table"
    JSON = "json"


def size(
    size_format: Annotated[SizeFormat, typer.Option("--format", help="How to write it.")] = SizeFormat.TABLE,
) -> None:
    """Shows the tables with their indexes and rows, largest first, and how far back the events go."""
    found = asyncio.run(_read())
    if size_format is SizeFormat.JSON:
        typer.echo(json.dumps(_as_json(found), indent=2))
    else:
        _print(found)


async def _read() -> DatabaseSize:
    from maitred.cli.start import application
    from maitred.settings import Settings
    from maitred.storage.size import database_size

    async with application(Settings(), kind=None) as app:
        return await database_size(app.database)


def _as_json(found: DatabaseSize) -> dict[str, object]:
    return {
        "database_bytes": found.database_bytes,
        "oldest_event": None if found.oldest_event is None else found.oldest_event.astimezone(UTC).isoformat(),
        "newest_event": None if found.newest_event is None else found.newest_event.astimezone(UTC).isoformat(),
        "oldest_rollup": None if found.oldest_rollup is None else found.oldest_rollup.isoformat(),
        "tables": [
            {"name": each.name, "table_bytes": each.table_bytes, "index_bytes": each.index_bytes, "rows": each.rows}
            for each in found.tables
        ],
    }


def _print(found: DatabaseSize) -> None:
    from rich.table import Table

    from maitred.cli.start import console

    shown = Table("table", title="Rows are the server's last estimate", title_justify="left", title_style="dim")
    for heading in ("rows", "table", "indexes"):
        shown.add_column(heading, justify="right")
    for each in found.tables:
        shown.add_row(each.name, f"{each.rows:,}", _megabytes(each.table_bytes), _megabytes(each.index_bytes))
    to = console()
    to.print(shown)
    to.print(f"database: {_megabytes(found.database_bytes)}")
    if found.oldest_event is not None and found.newest_event is not None:
        oldest, newest = found.oldest_event.astimezone(UTC), found.newest_event.astimezone(UTC)
        to.print(f"events:   {oldest:%Y-%m-%d %H:%M} to {newest:%Y-%m-%d %H:%M} UTC")
    if found.oldest_rollup is not None:
        to.print(f"daily roll-ups: from {found.oldest_rollup}")


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:,.1f} MB"
