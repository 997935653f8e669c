"""`maitred replay`: recorded quotes, decided again by today's code, or under another policy."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maitred.errors import InvalidInput

if TYPE_CHECKING:
    from maitred.model.policy import VenuePolicy
    from maitred.replay.replay import Replayed
    from maitred.replay.what_if import WhatIf

_SINCE = "7d"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_SLOW_CLOCK = timedelta(hours=1)
_DIFFERENT = 1


def replay(
    since: Annotated[
        str | None,
        typer.Option(
            help="Back from now (90s, 30m, 24h, 7d), or an instant with a zone; 7d unless a booking is named."
        ),
    ] = None,
    booking: Annotated[str | None, typer.Option(help="Only this booking, by its reference or id.")] = None,
    restaurant: Annotated[str | None, typer.Option(help="Only this restaurant, by its slug.")] = None,
    policy: Annotated[
        Path | None, typer.Option(help="What would this policy have decided? A policy as in docs/import-format.md.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Decides recorded quotes again and compares. Exit code 1 when today's code decides any of them otherwise."""
    _since(since, booking)  # a typing mistake is told before a server is started
    given = None if policy is None else _policy(policy)
    found = asyncio.run(_replay(since, booking, restaurant, given))
    from maitred.cli import replay_report
    from maitred.replay.replay import Replayed

    if json:
        import json as json_text

        typer.echo(json_text.dumps(replay_report.to_json(found), indent=2))
    else:
        from maitred.cli.start import console

        console().print(replay_report.render(found))
    if isinstance(found, Replayed) and found.different:
        raise typer.Exit(_DIFFERENT)


def _since(text: str | None, booking: str | None) -> datetime:
    from maitred.cli.baseline import parse_since

    if text is None and booking is not None:
        return _BEGINNING
    try:
        return parse_since(text or _SINCE, datetime.now(UTC))
    except InvalidInput as error:
        raise InvalidInput("replay", "since", error.problem) from error


def _policy(path: Path) -> VenuePolicy:
    from maitred.replay.policy_file import read_policy

    return read_policy(path)


async def _replay(
    since: str | None, booking: str | None, restaurant: str | None, policy: VenuePolicy | None
) -> Replayed | WhatIf:
    from maitred.cli.start import application
    from maitred.replay.quotes import find_booking, find_restaurant
    from maitred.replay.replay import replay as decide_again
    from maitred.replay.what_if import what_if
    from maitred.settings import Settings

    async with application(Settings()) as app:
        booking_id = None if booking is None else await find_booking(app.database, booking, restaurant)
        restaurant_id = None if restaurant is None else await find_restaurant(app.database, restaurant)
        # events carry the clocks of several machines: nobody's last quote is left out for a slow clock here
        window = {"since": _since(since, booking), "until": datetime.now(UTC) + _SLOW_CLOCK}
        if policy is None:
            return await decide_again(app.database, **window, restaurant_id=restaurant_id, booking_id=booking_id)
        return await what_if(app.database, policy, **window, restaurant_id=restaurant_id, booking_id=booking_id)
