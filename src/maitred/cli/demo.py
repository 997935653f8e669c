"""`maitred demo`: a real service day, from nothing to the last confirmed table."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from maitred.errors import InvalidInput


def demo(
    workers: Annotated[int, typer.Option(min=1, max=256, help="How many bookings to work on at once.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Write all figures to this file too.")] = None,
    on_given_database: Annotated[
        bool, typer.Option("--on-given-database", help="Write to the database in MAITRED_DATABASE_URL.")
    ] = False,
) -> None:
    """Seats the 117 bookings of a real day in order of time, and shows how well and how fast it went."""
    from maitred.settings import Settings

    settings = Settings()
    if settings.database_url is not None and not on_given_database:
        raise InvalidInput(
            "demo", "MAITRED_DATABASE_URL", "is set: the demo writes to that database only with --on-given-database"
        )
    if settings.database_url is None and on_given_database:
        raise InvalidInput("demo", "--on-given-database", "no database is given: MAITRED_DATABASE_URL is not set")
    asyncio.run(_run(workers, json))


async def _run(workers: int, json: Path | None) -> None:
    from maitred.cli.start import application, console
    from maitred.demo.run import run_demo
    from maitred.settings import Settings

    began = time.perf_counter()
    async with application(Settings(), kind="demo") as app:
        server_start_s = time.perf_counter() - began
        await run_demo(app, console=console(), workers=workers, server_start_s=server_start_s, json_path=json)
