"""`maitred baseline`: how fast and how well it went, from the recorded events."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from maitred.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from uuid import UUID

    from maitred.observability.baseline import Baseline
    from maitred.storage.database import Database

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


class ReportFormat(StrEnum):
    """How the baseline is written."""

    TABLE = "table"
    MD = "md"
    JSON = "json"
    HTML = "html"


def baseline(
    since: Annotated[
        str, typer.Option(help="Back from now (90s, 30m, 24h, 7d), or an instant with a zone: 2025-11-06T00:00Z.")
    ] = "7d",
    report_format: Annotated[ReportFormat, typer.Option("--format", help="How to write it.")] = ReportFormat.TABLE,
    restaurant: Annotated[str | None, typer.Option(help="Only this restaurant, by its slug.")] = None,
) -> None:
    """Reports planner durations, attempts, retries and results of the recorded events, and how complete those are."""
    parse_since(since, datetime.now(UTC))  # a typing mistake is told before a server is started
    _write(asyncio.run(_read(since, restaurant)), report_format)


def parse_since(text: str, now: datetime, *, item: str = "baseline") -> datetime:
    """The instant that a duration back from now or an ISO instant means, in UTC.

    Raises InvalidInput, which names the item, for anything else, and for an instant that is not in the past.
    """
    duration = _DURATION.fullmatch(text.strip())
    try:
        if duration:
            instant = now - timedelta(**{_UNITS[duration[2]]: int(duration[1])})
        else:
            instant = datetime.fromisoformat(text.strip())
            if instant.tzinfo is None:
                raise InvalidInput(item, "since", f"{text!r} needs a zone, for example {text.strip()}Z")
        instant = instant.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput(item, "since", f"{text!r} is too long ago") from error
    except ValueError as error:
        raise InvalidInput(item, "since", f"{text!r} is neither like 7d, 24h, 30m or 90s nor an instant") from error
    if instant >= now:
        raise InvalidInput(item, "since", f"{text!r} is not in the past")
    return instant


async def _read(since: str, restaurant: str | None) -> Baseline:
    from maitred.cli.start import application
    from maitred.observability.baseline import baseline as read_baseline
    from maitred.settings import Settings

    async with application(Settings(), kind=None) as app:
        restaurant_id = None if restaurant is None else await restaurant_id_of(app.database, restaurant)
        # Events carry the clocks of several machines: nobody's last event is left out for a slow clock here.
        until = max(datetime.now(UTC), await database_now(app.database))
        return await read_baseline(
            app.database, since=parse_since(since, until), until=until, restaurant_id=restaurant_id
        )


async def restaurant_id_of(database: Database, slug: str) -> UUID:
    """Raises NotFound."""
    rows = await database.fetch("SELECT id FROM restaurants WHERE slug = %(slug)s", {"slug": slug})
    if not rows:
        raise NotFound("restaurant", slug)
    found: UUID = rows[0]["id"]
    return found


async def database_now(database: Database) -> datetime:
    """The database's clock."""
    rows = await database.fetch("SELECT clock_timestamp() AS now")
    now: datetime = rows[0]["now"]
    return now


def _write(read: Baseline, report_format: ReportFormat) -> None:
    from maitred.observability.baseline_report import render_markdown, render_table, to_json

    if report_format is ReportFormat.TABLE:
        from rich.console import Console

        Console().print(render_table(read))
    elif report_format is ReportFormat.MD:
        typer.echo(render_markdown(read), nl=False)
    elif report_format is ReportFormat.HTML:
        from maitred.observability.baseline_html import render_html

        typer.echo(render_html(read), nl=False)
    else:
        import json

        typer.echo(json.dumps(to_json(read), indent=2))
