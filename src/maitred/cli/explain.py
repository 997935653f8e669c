"""`maitred explain`: why a booking got its tables, or none, from the records."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from maitred.replay.story import Story


def explain(
    booking: Annotated[str, typer.Argument(metavar="BOOKING", help="The booking's reference, or its id.")],
    restaurant: Annotated[
        str | None, typer.Option(help="Its restaurant's slug, if several have this reference.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Tells each attempt at a booking: the plan and its score against the next best, or what was in the way."""
    story = asyncio.run(_explain(booking, restaurant))
    if json:
        import json as json_text

        from maitred.replay.story_document import story_document

        typer.echo(json_text.dumps(story_document(story), indent=2))
        return
    from maitred.cli import explain_report
    from maitred.cli.start import console

    console().print(explain_report.render(story))


async def _explain(booking: str, restaurant: str | None) -> Story:
    from maitred.cli.start import application
    from maitred.replay.explain import explain_booking
    from maitred.replay.quotes import find_booking
    from maitred.settings import Settings

    async with application(Settings()) as app:
        return await explain_booking(app.database, await find_booking(app.database, booking, restaurant))
