"""The demo: import the day, seat its bookings in order of time, show what came of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from maitred.auto_assign.day import assign_in_order
from maitred.auto_assign.run import BookingOutcome
from maitred.bootstrap import Application
from maitred.demo.figures import Run, to_json
from maitred.demo.findings import find
from maitred.demo.reference import demo_day, original, original_figures
from maitred.demo.summary import render_comparison, render_summary
from maitred.demo.timeline import Timeline
from maitred.errors import InvalidInput
from maitred.model.policy import service_period
from maitred.observability import baseline_report
from maitred.observability.baseline import Baseline, baseline
from maitred.storage.database import Database
from maitred.venue.document import DayDocument
from maitred.venue.store import Imported, import_day, remove_restaurant

_IN_ORDER_OF_TIME: LiteralString = """
SELECT id FROM bookings WHERE restaurant_id = %(restaurant_id)s ORDER BY starts_at, reference
"""
_FLUSH_S = 10.0
_MARGIN = timedelta(minutes=1)


async def run_demo(
    app: Application,
    *,
    console: Console,
    workers: int = 1,
    server_start_s: float = 0.0,
    json_path: Path | None = None,
) -> Run:
    """Runs the demo and prints it; with `json_path` writes everything there too.

    On the embedded database the previous demo is removed first. On a given one nothing is ever removed: raises
    InvalidInput when the demo's restaurant is already there.
    """
    if json_path is not None and not json_path.parent.is_dir():
        raise InvalidInput("demo", "--json", f"there is no folder {json_path.parent}")
    day = demo_day()
    began_at = datetime.now(UTC)
    imported, import_s = await _import(app, day)
    booking_ids = [
        row["id"] for row in await app.database.fetch(_IN_ORDER_OF_TIME, {"restaurant_id": imported.restaurant_id})
    ]
    began = time.perf_counter()
    outcomes = await _assign(app, day, booking_ids, workers, console)
    assigning_s = time.perf_counter() - began
    # the events are written behind our back: before they are counted they have to be there
    flushed = await app.recorder.flush(_FLUSH_S)
    dropped = dict(app.recorder.dropped)
    run = Run(
        workers=workers,
        server_start_s=server_start_s,
        import_s=import_s,
        assigning_s=assigning_s,
        outcomes=outcomes,
        findings=await find(app.database, imported.restaurant_id),
        events_complete=flushed and not dropped,
        events_dropped=dropped,
    )
    measured = await baseline(
        app.database,
        since=began_at - _MARGIN,
        until=datetime.now(UTC) + _MARGIN,
        restaurant_id=imported.restaurant_id,
    )
    _show(run, measured, day, console)
    if json_path is not None:
        text = json.dumps(_everything(run, measured), indent=2) + "\n"
        await asyncio.to_thread(json_path.write_text, text, encoding="utf-8")
    return run


async def _import(app: Application, day: DayDocument) -> tuple[Imported, float]:
    began = time.perf_counter()
    if app.embedded:
        await remove_restaurant(app.database, day.slug)
    elif await _is_there(app.database, day.slug):
        raise _already_there(day.slug)
    imported = await import_day(app.database, day)
    if not imported.created:
        raise _already_there(day.slug)
    return imported, time.perf_counter() - began


async def _is_there(db: Database, slug: str) -> bool:
    return bool(await db.fetch("SELECT id FROM restaurants WHERE slug = %(slug)s", {"slug": slug}))


def _already_there(slug: str) -> InvalidInput:
    return InvalidInput(
        "demo", "restaurant", f"{slug} is already in the database, and a database that was given is never cleaned"
    )


async def _assign(
    app: Application, day: DayDocument, booking_ids: Sequence[UUID], workers: int, console: Console
) -> list[BookingOutcome]:
    # The day lies in the past. For the demo it is its midnight, so that no booking's start has passed.
    midnight = datetime.combine(day.day, clock_time(), day.policy.zone).astimezone(UTC)
    columns = (
        TextColumn("assigning"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[seated]} seated"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, refresh_per_second=20) as progress:
        task = progress.add_task("", total=len(booking_ids), seated=0)
        seated = 0

        def show(outcome: BookingOutcome) -> None:
            nonlocal seated
            seated += outcome.result == "succeeded"
            progress.update(task, advance=1, seated=seated)

        return await assign_in_order(
            app.desk, booking_ids, now=lambda: midnight, trigger="ultra_fast", workers=workers, on_outcome=show
        )


def _show(run: Run, measured: Baseline, day: DayDocument, console: Console) -> None:
    opens = min(service_period(service, day.day, day.policy.zone)[0] for service in day.policy.services)
    headings = {
        f"{day.name}, {day.day:%A} {day.day.day} {day.day:%B %Y}": render_summary(run),
        "Seating (table by time; reference/party, + for several tables; buffers included)": Timeline(
            run.findings.seating, opens=opens, timezone=day.policy.zone
        ),
        "Baseline": baseline_report.render_table(measured),
        "": render_comparison(run, original()),
    }
    for heading, content in headings.items():
        if heading:
            console.print(Text(heading, style="bold underline"))
        console.print(content)
        console.print()


def _everything(run: Run, measured: Baseline) -> dict[str, Any]:
    return {**to_json(run), "baseline": baseline_report.to_json(measured), "original": original_figures()}
