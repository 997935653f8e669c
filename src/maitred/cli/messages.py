"""`maitred messages`: what was told to guests and venues, and what could not be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from maitred.errors import InvalidInput
from maitred.messages.state import MessageState

if TYPE_CHECKING:
    from rich.table import Table

    from maitred.messages.listing import Listed

messages_app = typer.Typer(
    help="Mails and webhooks: what was sent, what waits, what was given up.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_MOST = 100_000


@messages_app.command("list")
def list_(
    state: Annotated[MessageState | None, typer.Option(help="Only messages in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="Most messages to show, newest first.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Lists messages, newest first: each with its booking's reference, its state, and the last error."""
    found = asyncio.run(_list(state, limit))
    if json:
        import json as json_text

        typer.echo(json_text.dumps([_as_json(each) for each in found], indent=2))
        return
    if not found:
        typer.echo("no messages")
        return
    from maitred.cli.start import console

    console().print(_as_table(found))


@messages_app.command()
def retry(
    message_id: Annotated[UUID | None, typer.Argument(metavar="[ID]", help="The message.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Makes a message that was given up due again, or all of them. A running worker sends it, if it is still true."""
    if (message_id is None) != dead:
        raise InvalidInput("messages retry", "ID", "give one message, or --dead for all")
    count = asyncio.run(_retry(message_id))
    if json:
        import json as json_text

        typer.echo(json_text.dumps({"retried": count}))
    else:
        typer.echo(f"due again: {count}")


async def _list(state: MessageState | None, limit: int) -> list[Listed]:
    from maitred.cli.start import application
    from maitred.messages.listing import list_messages
    from maitred.settings import Settings

    async with application(Settings()) as app:
        return await list_messages(app.database, state=state, limit=limit)


async def _retry(message_id: UUID | None) -> int:
    from maitred.cli.start import application
    from maitred.messages.listing import retry_dead_messages, retry_message
    from maitred.settings import Settings

    async with application(Settings()) as app:
        if message_id is None:
            return await retry_dead_messages(app.database)
        await retry_message(app.database, message_id)
        return 1


def _as_json(listed: Listed) -> dict[str, object]:
    return {
        "id": str(listed.id),
        "restaurant": listed.restaurant,
        "reference": listed.reference,
        "kind": listed.kind,
        "variant": listed.variant,
        "channel": listed.channel,
        "reason": listed.reason,
        "state": listed.state.value,
        "attempts": listed.attempts,
        "last_error": listed.last_error,
        "created_at": listed.created_at.isoformat(),
        "due_at": listed.due_at.isoformat() if listed.state is MessageState.WAITING else None,
        "ended_at": None if listed.ended_at is None else listed.ended_at.isoformat(),
    }


def _as_table(found: Sequence[Listed]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from maitred.messages.plain_text import line

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("id", "booking", "state"):
        table.add_column(heading, no_wrap=True)
    for heading in ("message", "by", "tries", "last error", "written (UTC)", "restaurant"):
        table.add_column(heading, overflow="fold")
    for each in found:
        table.add_row(
            str(each.id),
            Text(line(each.reference, 30)),
            each.state.value,
            each.kind.replace("_", " ") if each.variant in {None, "standard"} else f"{each.kind}, {each.variant}",
            each.channel,
            str(each.attempts),
            Text(each.last_error or ""),
            f"{each.created_at:%Y-%m-%d %H:%M}",
            Text(each.restaurant),
        )
    return table
