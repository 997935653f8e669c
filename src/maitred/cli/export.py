"""`maitred export`: a venue's day as CSV, JSON or a calendar."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maitred.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import date

    from maitred.booking.day_export import ExportedDay


class ExportFormat(StrEnum):
    """How the day is written."""

    CSV = "csv"
    JSON = "json"
    ICS = "ics"


def export(
    restaurant: Annotated[str, typer.Option(help="The restaurant's slug.")],
    date: Annotated[str, typer.Option(help="The service day, YYYY-MM-DD.")],
    export_format: Annotated[ExportFormat, typer.Option("--format", help="csv and json can be imported again.")],
    output: Annotated[Path | None, typer.Option(help="A file to write, instead of standard output.")] = None,
) -> None:
    """Writes a day: CSV has the guests' details, JSON the venue without them, iCalendar one entry a booking."""
    from maitred.booking.day_export import day_calendar, day_csv, day_json_text
    from maitred.cli.moments import day_of

    exported = asyncio.run(_read(restaurant, day_of(date, "export")))
    if export_format is ExportFormat.CSV:
        content = day_csv(exported).encode()
    elif export_format is ExportFormat.JSON:
        content = day_json_text(exported).encode()
    else:
        content = day_calendar(exported)
    if output is None:
        typer.get_binary_stream("stdout").write(content)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise InvalidInput("export", "--output", f"can't be written: {error.strerror or 'output error'}") from None


async def _read(slug: str, day: date) -> ExportedDay:
    from maitred.booking.day_export import read_exported_day
    from maitred.cli.start import application
    from maitred.settings import Settings

    async with application(Settings()) as app:
        return await read_exported_day(app.database, slug, day)
