"""`maitred events`: what events there are, and whether those recorded are complete."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from maitred.observability.completeness import Completeness

events_app = typer.Typer(
    help="The recorded events: what there can be, and whether any are missing.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class SchemaFormat(StrEnum):
    """How the registry is written."""

    JSON = "json"
    MD = "md"


@events_app.command()
def schema(
    schema_format: Annotated[
        SchemaFormat, typer.Option("--format", help="JSON Schema or Markdown.")
    ] = SchemaFormat.JSON,
) -> None:
    """Prints the registry: every event with its keys, units and what may appear in them. Needs no database."""
    if schema_format is SchemaFormat.MD:
        from maitred.observability.event_docs import render

        typer.echo(render(), nl=False)
        return
    import json

    from maitred.observability.catalogue import schema_document

    typer.echo(json.dumps(schema_document(), indent=2))


@events_app.command()
def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Write the summaries that follow from other rows, marked as derived.")
    ] = False,
) -> None:
    """Looks for numbers without an event, runs without an end or a summary, and quotes without an attempt.

    Ends with 1 when something is missing, or still is after the repair.
    """
    found = asyncio.run(_check(repair=repair))
    for line in _lines(found):
        typer.echo(line)
    if not found.complete:
        raise typer.Exit(1)


_SPILLS_S = 60.0
_MOST_LISTED = 20


async def _check(*, repair: bool) -> Completeness:
    from datetime import UTC, datetime, timedelta

    from maitred.cli.start import application
    from maitred.observability.completeness import completeness
    from maitred.observability.repair import derive_summaries
    from maitred.settings import Settings

    since = datetime(1970, 1, 1, tzinfo=UTC)
    async with application(Settings()) as app:
        await app.recorder.wait_for_spills(_SPILLS_S)
        # events carry the clocks of several machines
        found = await completeness(app.database, since=since, until=datetime.now(UTC) + timedelta(days=1))
        if not (repair and found.summaries_missing):
            return found
        written = await derive_summaries(app.database, found.summaries_missing)
        typer.echo(f"derived: {written} of {len(found.summaries_missing)} missing summaries")
        return await completeness(app.database, since=since, until=datetime.now(UTC) + timedelta(days=1))


def _lines(found: Completeness) -> list[str]:
    lines = [found.sentence]
    for told, ids in (
        ("run without a summary", found.summaries_missing),
        ("booking with a run broken off", found.runs_unended),
        ("booking with a quote without an attempt", found.quotes_unfollowed),
    ):
        lines += [f"  {told}: {each}" for each in ids[:_MOST_LISTED]]
        if len(ids) > _MOST_LISTED:
            lines.append(f"  ... and {len(ids) - _MOST_LISTED:,} more")
    return lines
