"""`maitred keys`: who may call the HTTP interface."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from maitred.http.keys import ApiKey

keys_app = typer.Typer(no_args_is_help=True, help="API keys: who may call the HTTP interface, and for which venues.")


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is for, to tell keys apart.")],
    role: Annotated[str, typer.Option(help="guest_site, staff or operator.")],
    venue: Annotated[list[str] | None, typer.Option(help="A venue's slug; can be given several times.")] = None,
    every_venue: Annotated[bool, typer.Option("--every-venue", help="For the whole installation.")] = False,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="How long it is good for; empty: no end.")] = None,
) -> None:
    """Makes a key and shows it, this once."""
    key, shown = asyncio.run(_create(name, role, venue or [], every_venue=every_venue, days=days))
    typer.echo(shown)
    typer.echo(f"key {key.id} ({key.role}) is shown this once; revoke it with: maitred keys revoke {key.id}", err=True)


@keys_app.command("list")
def list_() -> None:
    """All keys, by their beginnings."""
    from rich.table import Table

    from maitred.cli.start import console

    table = Table("id", "begins with", "name", "role", "venues", "made", "ends")
    for key in asyncio.run(_list()):
        venues = "every" if key.every_venue else str(len(key.restaurant_ids))
        table.add_row(str(key.id), key.prefix, key.name, key.role, venues, _day(key.created_at), _end(key))
    console().print(table)


@keys_app.command("revoke")
def revoke(key_id: Annotated[UUID, typer.Argument(help="The key's id, as maitred keys list shows it.")]) -> None:
    """Ends a key at once: the next request with it is refused."""
    key = asyncio.run(_revoke(key_id))
    typer.echo(f"key {key.id} ({key.name}) is revoked")


async def _create(
    name: str, role: str, venues: list[str], *, every_venue: bool, days: int | None
) -> tuple[ApiKey, str]:
    from datetime import UTC, datetime, timedelta

    from maitred.cli.start import application
    from maitred.errors import InvalidInput
    from maitred.http.keys import create_key, venues_of
    from maitred.http.role import Role
    from maitred.settings import Settings

    if role not in ("guest_site", "staff", "operator"):
        raise InvalidInput("keys create", "--role", "must be guest_site, staff or operator")
    async with application(Settings(), kind=None) as app:
        return await create_key(
            app.database,
            name=name,
            role=Role(role),
            restaurant_ids=await venues_of(app.database, venues),
            every_venue=every_venue,
            expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
        )


async def _list() -> list[ApiKey]:
    from maitred.cli.start import application
    from maitred.http.keys import list_keys
    from maitred.settings import Settings

    async with application(Settings(), kind=None) as app:
        return await list_keys(app.database)


async def _revoke(key_id: UUID) -> ApiKey:
    from maitred.cli.start import application
    from maitred.http.keys import revoke_key
    from maitred.settings import Settings

    async with application(Settings(), kind=None) as app:
        return await revoke_key(app.database, key_id)


def _day(instant: datetime) -> str:
    return instant.date().isoformat()


def _end(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    return "" if key.expires_at is None else _day(key.expires_at)
