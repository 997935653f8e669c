"""`maitred assign`: tables for all pending bookings of a restaurant's service day, now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maitred.cli.moments import clock, day_of
from maitred.errors import InvalidInput

if TYPE_CHECKING:
    from maitred.auto_assign.operations import Orders

_MOST_ITERATIONS = 50


def assign(
    restaurant: Annotated[str, typer.Option(metavar="SLUG", help="The restaurant's slug.")],
    date: Annotated[str, typer.Option(metavar="DATE", help="The service day, a date at the venue: 2025-11-06.")],
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="How many bookings to work on at once.")] = 15,
    max_tables: Annotated[int | None, typer.Option(min=1, max=5, help="Most tables in a set.")] = None,
    require_adjacency: Annotated[
        bool | None, typer.Option(help="Whether a set must stand together; else the venue's policy says.")
    ] = None,
    include_confirmed: Annotated[
        bool, typer.Option("--include-confirmed", help="Report bookings that have tables already; they stay there.")
    ] = False,
    until_assigned: Annotated[
        bool, typer.Option("--until-assigned", help="Go round again with looser strategies for what is left.")
    ] = False,
    iterations: Annotated[
        int | None,
        typer.Option(
            min=1, max=_MOST_ITERATIONS, help="Most rounds with --until-assigned; else one for each strategy."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only plan, each booking on top of the plans before it: take no table.")
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="The moment at which it is asked, with its zone: 2025-11-06T00:00Z."),
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report there, as JSON.")] = None,
) -> None:
    """Assigns tables to all pending bookings of a service day, one attempt each, and reports what became of them."""
    day, now = day_of(date, "assign"), clock(as_of, "assign")
    if iterations is not None and not until_assigned:
        raise InvalidInput("assign", "--iterations", "goes with --until-assigned")
    if report is not None and not report.parent.is_dir():
        raise InvalidInput("assign", "--report", f"there is no folder {report.parent}")
    if report is not None and report.is_dir():
        raise InvalidInput("assign", "--report", f"{report} is a folder")
    from maitred.auto_assign.operations import Orders
    from maitred.booking.question import Strategy
    from maitred.settings import Settings

    settings = Settings()
    orders = Orders(
        restaurant_slug=restaurant,
        day=day,
        until_assigned=until_assigned,
        rounds=iterations,
        strategy=Strategy(require_adjacency, max_tables),
        concurrency=concurrency,
        include_confirmed=include_confirmed,
        dry_run=dry_run,
        ttl_s=settings.hold_ttl_job_s,
        messages_suppressed=settings.messages_suppressed,
    )
    errors = asyncio.run(_assign(orders, now, as_of is not None, report))
    if errors:
        raise typer.Exit(1)


async def _assign(orders: Orders, now: Callable[[], datetime], clock_is_set: bool, path: Path | None) -> int:
    """Runs it, shows and writes what came of it, also when it was broken off; returns how many ended in an error."""
    from maitred.auto_assign.operations import OperationsRun
    from maitred.cli.assign_progress import Progress
    from maitred.cli.assign_report import failed_by_error, render, to_json
    from maitred.cli.start import application, console
    from maitred.settings import Settings

    screen = console()
    as_of = now() if clock_is_set else None
    async with application(Settings()) as app:
        with Progress(screen) as progress:
            run = OperationsRun(app.desk, orders, now=now, watcher=progress)
            broken: BaseException | None = None
            try:
                await run.go()
            except BaseException as error:
                broken = error
                raise
            finally:
                progress.stop()
                if run.venue is not None:
                    screen.print(render(run, broken))
                    if path is not None:
                        text = json.dumps(to_json(run, broken, as_of), indent=2) + "\n"
                        # not in a thread: a cancelled loop must not leave without it, and it is small
                        path.write_text(text, encoding="utf-8")  # noqa: ASYNC240 - nothing else runs any more
    return failed_by_error(run)
