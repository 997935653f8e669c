"""`maitred quote`: which tables a booking could get, and why; nothing is held."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from maitred.cli.moments import clock

if TYPE_CHECKING:
    from maitred.booking.preview import Preview


def quote(
    reference: Annotated[str, typer.Argument(metavar="REF", help="The booking's reference.")],
    restaurant: Annotated[
        str | None, typer.Option(help="Its restaurant's slug, if several have this reference.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show each term of the score, or what is in each table's way.")
    ] = False,
    max_tables: Annotated[int | None, typer.Option(min=1, max=5, help="Most tables in a set.")] = None,
    require_adjacency: Annotated[
        bool | None, typer.Option(help="Whether a set must stand together; else the venue's policy says.")
    ] = None,
    zone: Annotated[str | None, typer.Option(help="Only this zone.")] = None,
    avoid: Annotated[list[str] | None, typer.Option(help="A table not to be used; may be given several times.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="The moment at which it is asked, with its zone: 2025-11-06T00:00Z; else now.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Shows which tables a booking could get, best first, or why there are none. Holds nothing."""
    now = clock(as_of, "quote")()
    preview = asyncio.run(_preview(reference, restaurant, now, require_adjacency, max_tables, zone, avoid or []))
    if json:
        import json as json_text

        from maitred.cli.quote_report import to_json

        typer.echo(json_text.dumps(to_json(preview), indent=2))
        return
    from maitred.cli.quote_report import render
    from maitred.cli.start import console

    console().print(render(preview, explain=explain))


async def _preview(
    reference: str,
    restaurant: str | None,
    now: datetime,
    require_adjacency: bool | None,
    max_tables: int | None,
    zone: str | None,
    avoid: list[str],
) -> Preview:
    from maitred.booking.preview import preview_quote
    from maitred.cli.start import application
    from maitred.settings import Settings

    async with application(Settings()) as app:
        return await preview_quote(
            app.desk,
            reference,
            restaurant_slug=restaurant,
            now=now,
            require_adjacency=require_adjacency,
            max_tables=max_tables,
            zone=zone,
            avoid=avoid,
        )
