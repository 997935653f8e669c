"""`maitred optimise`: a whole service day at once, as it could be best; shown, or done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import date as calendar_date
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maitred.cli.moments import clock, day_of
from maitred.errors import InvalidInput

if TYPE_CHECKING:
    from maitred.optimiser.problem import Mode
    from maitred.optimiser.result import Params


def optimise(
    restaurant: Annotated[str, typer.Option(metavar="SLUG", help="The restaurant's slug.")],
    date: Annotated[str, typer.Option(metavar="DATE", help="The service day, a date at the venue: 2025-11-06.")],
    apply: Annotated[
        bool, typer.Option("--apply/--preview", help="Move and seat everybody, or only show what would be done.")
    ] = False,
    mode: Annotated[str, typer.Option(help="What counts most: covers or parties.")] = "covers",
    deadline: Annotated[float, typer.Option(metavar="SECONDS", help="The best answer by then is taken.")] = 10.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result there, as JSON.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="The moment at which it is asked, with its zone: 2025-11-06T00:00Z."),
    ] = None,
) -> None:
    """Seats a service day as well as can be: most covers, then fewest moves, then least waste, with a proved bound.

    Locked bookings and those at their tables stay; nobody's time changes. Exits with 1 when the day can't be seated.
    """
    day, now = day_of(date, "optimise"), clock(as_of, "optimise")
    if json_file is not None and (json_file.is_dir() or not json_file.parent.is_dir()):
        raise InvalidInput("optimise", "--json", f"{json_file} can't be written")
    from maitred.optimiser.problem import Mode
    from maitred.optimiser.result import Params

    if mode not in [each.value for each in Mode]:
        raise InvalidInput("optimise", "--mode", "must be covers or parties")
    found = asyncio.run(_optimise(restaurant, day, now, Mode(mode), Params(deadline_s=deadline), apply, json_file))
    if not found:
        raise typer.Exit(1)


async def _optimise(
    slug: str,
    day: calendar_date,
    now: Callable[[], datetime],
    mode: Mode,
    params: Params,
    apply: bool,
    json_file: Path | None,
) -> bool:
    from maitred.cli.optimise_report import render, to_json
    from maitred.cli.start import application, console
    from maitred.optimiser.apply import apply_result
    from maitred.optimiser.day import read_day
    from maitred.optimiser.optimise import optimise as find_best
    from maitred.optimiser.result import Status
    from maitred.settings import Settings

    settings = Settings()
    screen = console()
    async with application(settings) as app:
        database = app.desk.database
        read = await read_day(database, slug, day, mode=mode, now=now())
        result = await asyncio.to_thread(find_best, read.problem, params)
        if apply:
            await apply_result(
                database,
                read,
                result,
                lock_timeout_ms=app.desk.lock_timeout_ms,
                messages_suppressed=settings.messages_suppressed,
            )
        screen.print(render(read, result, applied=apply))
        if json_file is not None:
            text = json.dumps(to_json(read, result, applied=apply), indent=2) + "\n"
            json_file.write_text(text, encoding="utf-8")  # noqa: ASYNC240 - small, and nothing else runs any more
    return result.status is not Status.INFEASIBLE
