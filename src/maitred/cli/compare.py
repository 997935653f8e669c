"""`maitred compare`: is B better than A, worse, or is that not known yet?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from maitred.cli.baseline import database_now, parse_since, restaurant_id_of

if TYPE_CHECKING:
    from maitred.observability.compare import Comparison
    from maitred.observability.compare_selector import Selector


class ReportFormat(StrEnum):
    """How the comparison is written."""

    TABLE = "table"
    MD = "md"
    JSON = "json"


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="What to compare with, as in since=14d,until=7d.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What to judge, as in since=7d,trigger=creation.")],
    since: Annotated[str, typer.Option(help="Begin of the window of sides that name none.")] = "7d",
    report_format: Annotated[ReportFormat, typer.Option("--format", help="How to write it.")] = ReportFormat.TABLE,
    restaurant: Annotated[str | None, typer.Option(help="Only this restaurant, by its slug.")] = None,
) -> None:
    """Compares two windows, releases, settings or triggers, and says whether B is better, worse, or not known.

    A and B are key=value pairs with commas between: since, until, trigger, path (inline or job), strategy (required/3),
    release, venue. Several values of one key are joined by +.
    """
    _selectors(a, b, since, datetime.now(UTC))  # a typing mistake is told before a server is started
    _write(asyncio.run(_read(a, b, since, restaurant)), report_format)


def _selectors(a: str, b: str, since: str, now: datetime) -> tuple[Selector, Selector]:
    from maitred.observability.compare_selector import parse_selector

    begin = parse_since(since, now, item="compare")
    first, second = (
        parse_selector(
            side, text, since=begin, until=now, read_instant=lambda word: parse_since(word, now, item="compare")
        )
        for side, text in (("A", a), ("B", b))
    )
    return first, second


async def _read(a: str, b: str, since: str, restaurant: str | None) -> Comparison:
    from maitred.cli.start import application
    from maitred.observability.compare import compare as read_comparison
    from maitred.settings import Settings

    async with application(Settings(), kind=None) as app:
        restaurant_id = None if restaurant is None else await restaurant_id_of(app.database, restaurant)
        now = max(datetime.now(UTC), await database_now(app.database))
        first, second = _selectors(a, b, since, now)
        return await read_comparison(app.database, first, second, restaurant_id=restaurant_id)


def _write(read: Comparison, report_format: ReportFormat) -> None:
    from maitred.observability.compare_report import render_markdown, render_table, to_json

    if report_format is ReportFormat.TABLE:
        from rich.console import Console

        Console().print(render_table(read))
    elif report_format is ReportFormat.MD:
        typer.echo(render_markdown(read), nl=False)
    else:
        import json

        typer.echo(json.dumps(to_json(read), indent=2))
