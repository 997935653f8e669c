"""`maitred import`: a venue and a day from a file, or sheets of a venue from CSV files."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maitred.errors import ImportRefused, InvalidInput

if TYPE_CHECKING:
    from maitred.venue.csv_import import ImportReport, NewVenue
    from maitred.venue.csv_sheets import Sheet
    from maitred.venue.document import DayDocument
    from maitred.venue.store import Imported


def import_file(
    file: Annotated[
        Path | None, typer.Argument(help="A file in the format maitred.day/1 (docs/import-format.md).")
    ] = None,
    venue: Annotated[str | None, typer.Option(help="The slug of the venue that CSV files are for.")] = None,
    bookings: Annotated[Path | None, typer.Option(help="CSV: reference,date,time,party_size and more.")] = None,
    tables: Annotated[Path | None, typer.Option(help="CSV: number,zone,capacity and more.")] = None,
    adjacency: Annotated[Path | None, typer.Option(help="CSV: table_a,table_b.")] = None,
    services: Annotated[Path | None, typer.Option(help="CSV: key,start,end,turn_bands and more.")] = None,
    name: Annotated[str | None, typer.Option(help="The name of a venue that is new.")] = None,
    timezone: Annotated[str | None, typer.Option(help="The time zone of a venue that is new.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Import nothing; list everything that is wrong, by line.")
    ] = False,
) -> None:
    """Imports a venue and the bookings of one day, or CSV files into a venue: all of it, or nothing."""
    from maitred.venue.csv_sheets import Sheet

    given = {
        Sheet.SERVICES: services,
        Sheet.TABLES: tables,
        Sheet.ADJACENCY: adjacency,
        Sheet.BOOKINGS: bookings,
    }
    paths = {sheet: path for sheet, path in given.items() if path is not None}
    if file is not None:
        if paths or venue or name or timezone:
            raise InvalidInput("import", "FILE", "a JSON file comes alone, without CSV files or --venue")
        _import_day_file(file, dry_run=dry_run)
        return
    if venue is None or not paths:
        raise InvalidInput("import", "FILE", "give a JSON file, or --venue with CSV files like --bookings")
    if (name is None) != (timezone is None):
        raise InvalidInput("import", "--timezone", "a new venue needs --name and --timezone")
    _import_sheets(venue, paths, name, timezone, dry_run=dry_run)


def _import_day_file(file: Path, *, dry_run: bool) -> None:
    from maitred.venue.document import read_day

    if dry_run:
        from maitred.venue.day_problems import problems_of_day

        problems = problems_of_day(_content(file))
        _say_problems([(file, each.line, each.column, each.problem) for each in problems])
        imported = asyncio.run(_import(read_day(file), dry_run=True))
        typer.echo(
            f"nothing wrong, nothing imported; bookings that would be added: {imported.bookings_added}, "
            f"already there: {imported.bookings_already_there}"
        )
        return
    document = read_day(file)  # a mistake in the file is told before a server is started
    imported = asyncio.run(_import(document))
    what = "added" if imported.created else "was already there"
    typer.echo(
        f"restaurant {document.slug} {what}; bookings added: {imported.bookings_added}, "
        f"already there: {imported.bookings_already_there}"
    )


def _import_sheets(
    slug: str, paths: Mapping[Sheet, Path], name: str | None, timezone: str | None, *, dry_run: bool
) -> None:
    from maitred.venue.csv_import import NewVenue

    contents = {sheet: _content(path) for sheet, path in paths.items()}
    new = None if name is None or timezone is None else NewVenue(name, timezone)
    report = asyncio.run(_import_contents(slug, contents, new, dry_run=dry_run))
    _say_problems([(paths.get(sheet), each.line, each.column, each.problem) for sheet, each in report.problems])
    done = "would be added" if dry_run else "added"
    parts = [f"{what} {done}: {count}" for what, count in report.added.items()]
    parts += [f"{what} already there: {count}" for what, count in report.already_there.items() if count]
    if report.left_out:
        parts.append(f"bookings that are over, left out: {report.left_out}")
    typer.echo("; ".join(parts))


def _say_problems(problems: list[tuple[Path | None, int | None, str, str]]) -> None:
    """Each on a line of its own on stdout, the way editors find lines. Raises ImportRefused when there are any."""
    if not problems:
        return
    for path, line, column, problem in problems:
        where = "import" if path is None else str(path)
        typer.echo(f"{where}:{column}: {problem}" if line is None else f"{where}:{line}: {column}: {problem}")
    raise ImportRefused([(line, column, problem) for _, line, column, problem in problems])


def _content(path: Path) -> bytes:
    from maitred.venue.csv_text import LARGEST_FILE

    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InvalidInput(f"file {path}", "path", f"can't be read: {error.strerror or 'input error'}") from None


async def _import(document: DayDocument, *, dry_run: bool = False) -> Imported:
    from maitred.cli.start import application
    from maitred.settings import Settings
    from maitred.venue.store import import_day

    async with application(Settings()) as app:
        return await import_day(app.database, document, dry_run=dry_run)


async def _import_contents(
    slug: str, contents: Mapping[Sheet, bytes], new: NewVenue | None, *, dry_run: bool
) -> ImportReport:
    from maitred.cli.start import application
    from maitred.settings import Settings
    from maitred.venue.csv_import import import_sheets

    async with application(Settings()) as app:
        return await import_sheets(app.database, slug, contents, dry_run=dry_run, new=new)
