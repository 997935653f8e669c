"""`maitred webhooks`: where a restaurant's events are posted to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID, uuid4

import typer

if TYPE_CHECKING:
    from maitred.bootstrap import Application

webhooks_app = typer.Typer(
    help="Webhooks: where a restaurant's events are posted to.", no_args_is_help=True, rich_markup_mode=None
)

_Slug = Annotated[str, typer.Option("--restaurant", help="The restaurant's slug.")]
_Result = TypeVar("_Result")


@webhooks_app.command()
def add(url: Annotated[str, typer.Argument(help="An https URL on the public internet.")], restaurant: _Slug) -> None:
    """Adds a webhook. Its secret is printed once: messages are signed with it (docs/messages.md)."""
    from maitred.messages.endpoints import Endpoint, add_endpoint, check_url

    async def do(app: Application, restaurant_id: UUID) -> tuple[Endpoint, str]:
        await check_url(url, allow_private=app.settings.webhook_allow_private)
        return await add_endpoint(app.database, restaurant_id, uuid4(), url)

    endpoint, secret = asyncio.run(_with(restaurant, do))
    typer.echo(f"{endpoint.id}  {secret}")


@webhooks_app.command("list")
def list_(restaurant: _Slug) -> None:
    """Lists webhooks: id, whether it is active, URL."""
    from maitred.messages.endpoints import Endpoint, list_endpoints

    async def do(app: Application, restaurant_id: UUID) -> list[Endpoint]:
        return await list_endpoints(app.database, restaurant_id)

    found = asyncio.run(_with(restaurant, do))
    for each in found:
        typer.echo(f"{each.id}  {'active' if each.active else 'disabled'}  {each.url}")
    if not found:
        typer.echo("no webhooks")


@webhooks_app.command()
def remove(webhook_id: Annotated[UUID, typer.Argument(metavar="ID")], restaurant: _Slug) -> None:
    """Deletes a webhook with what still waits to be sent to it."""
    from maitred.messages.endpoints import remove_endpoint

    async def do(app: Application, restaurant_id: UUID) -> None:
        await remove_endpoint(app.database, restaurant_id, webhook_id)

    asyncio.run(_with(restaurant, do))
    typer.echo("removed")


async def _with(slug: str, do: Callable[[Application, UUID], Awaitable[_Result]]) -> _Result:
    from maitred.cli.start import application
    from maitred.settings import Settings
    from maitred.venue.settings_changes import get_settings

    async with application(Settings()) as app:
        return await do(app, (await get_settings(app.database, slug)).restaurant_id)
