"""`maitred import`: a venue and a day from a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from maitred.venue.document import DayDocument
    from maitred.venue.store import Imported


def import_file(
    file: Annotated[Path, typer.Argument(help="A file in the format maitred.day/1 (docs/import-format.md).")],
) -> None:
    """Imports a venue and the bookings of one day: all of the file, or nothing."""
    from maitred.venue.document import read_day

    document = read_day(file)  # a mistake in the file is told before a server is started
    imported = asyncio.run(_import(document))
    what = "added" if imported.created else "was already there"
    typer.echo(
        f"restaurant {document.slug} {what}; bookings added: {imported.bookings_added}, "
        f"already there: {imported.bookings_already_there}"
    )


async def _import(document: DayDocument) -> Imported:
    from maitred.cli.start import application
    from maitred.settings import Settings
    from maitred.venue.store import import_day

    async with application(Settings()) as app:
        return await import_day(app.database, document)
