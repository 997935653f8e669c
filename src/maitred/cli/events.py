"""`maitred events`: what events there are, and whether those recorded are complete."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

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
