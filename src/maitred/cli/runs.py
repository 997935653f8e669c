"""`maitred runs`: what durable runs are doing, what became of them, and trying one again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from maitred.errors import NotFound

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from maitred.auto_assign.run_listing import ListedRun, RunEvent, ShownRun

runs_app = typer.Typer(
    help="Durable runs: those under way, those that ended, and trying one again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_MOST = 100_000
# what is said in a column of its own, or is no news
_UNSAID = frozenset({"trigger", "planner_internal", "release", "planner_reason", "reason", "reasonCategory"})

_Name = Annotated[
    str, typer.Argument(metavar="RUN_ID|BOOKING_REF", help="A run, or a booking by its reference or id: its last run.")
]
_Restaurant = Annotated[
    str | None, typer.Option(metavar="SLUG", help="The booking's restaurant, if several have this reference.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@runs_app.command("list")
def list_(
    live: Annotated[bool, typer.Option("--live", help="Only those that have not ended.")] = False,
    restaurant: Annotated[str | None, typer.Option(metavar="SLUG", help="Only this restaurant's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="Most runs to show, newest first.")] = 50,
    json: _Json = False,
) -> None:
    """Lists runs, newest first: whose, why, how many attempts, and how they ended or when they are due."""
    found = asyncio.run(_list(live, restaurant, limit))
    if json:
        _print_json([_as_json(each) for each in found])
        return
    if not found:
        typer.echo("no runs")
        return
    from maitred.cli.start import console

    console().print(_as_table(found, datetime.now(UTC)))


@runs_app.command()
def show(name: _Name, restaurant: _Restaurant = None, json: _Json = False) -> None:
    """Shows a run: its row, its events in order, its waiting job and when that is due."""
    shown = asyncio.run(_show(name, restaurant))
    if json:
        job = None if shown.job is None else _as_json(shown.job)
        _print_json({"run": _as_json(shown.run), "job": job, "events": [_as_json(each) for each in shown.events]})
        return
    from maitred.cli.start import console

    console().print(_as_page(shown, datetime.now(UTC)))


@runs_app.command()
def retry(name: _Name, restaurant: _Restaurant = None, json: _Json = False) -> None:
    """Begins a new run for a pending booking whose last run ended without tables. A worker takes it up at once."""
    run_id = asyncio.run(_retry(name, restaurant))
    if json:
        _print_json({"run_id": str(run_id)})
    else:
        typer.echo(f"run {run_id} begun")


async def _list(live: bool, restaurant: str | None, limit: int) -> list[ListedRun]:
    from maitred.auto_assign.run_listing import list_runs
    from maitred.cli.start import application
    from maitred.settings import Settings

    async with application(Settings()) as app:
        return await list_runs(app.database, live=live, restaurant_slug=restaurant, limit=limit)


async def _show(name: str, restaurant: str | None) -> ShownRun:
    from maitred.auto_assign.run_listing import find_run, show_run
    from maitred.cli.start import application
    from maitred.settings import Settings

    async with application(Settings()) as app:
        named = await find_run(app.database, name, restaurant_slug=restaurant)
        if named.run_id is None:
            raise NotFound("run of booking", name)
        return await show_run(app.database, named.run_id)


async def _retry(name: str, restaurant: str | None) -> UUID:
    from maitred.auto_assign.rules import retry_rules
    from maitred.auto_assign.run_listing import find_run, retry_run
    from maitred.cli.start import application
    from maitred.settings import Settings

    settings = Settings()
    async with application(settings) as app:
        named = await find_run(app.database, name, restaurant_slug=restaurant)
        return await retry_run(app.desk, named, rules=retry_rules(settings), now=datetime.now(UTC))


def _print_json(what: object) -> None:
    import json

    typer.echo(json.dumps(what, indent=2))


def _as_json(value: Any) -> dict[str, Any]:
    return {key: _plain(each) for key, each in asdict(value).items()}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, UUID):
        return str(value)
    return value.value if isinstance(value, Enum) else value


def _as_table(found: Sequence[ListedRun], now: datetime) -> Table:
    from rich.text import Text

    from maitred.messages.plain_text import line

    # two lines a run, so that its id stays whole in 80 columns
    table = _table("booking, run", "begun (UTC)", ">tries", "state, last reason")
    table.columns[0].no_wrap = True
    for each in found:
        tries = "?" if each.attempts is None else str(each.attempts)
        table.add_row(
            Text(f"{line(each.reference, 60)} at {each.restaurant}\n{each.id}"),
            f"{each.created_at.astimezone(UTC):%m-%d %H:%M}\n{each.trigger}",
            f"{tries}/{each.max_attempts}",
            f"{each.result or _due(each.due_at, now)}\n{each.last_reason or ''}",
        )
    return table


def _as_page(shown: ShownRun, now: datetime) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    run, job = shown.run, shown.job
    facts = _table("", "", headings=False)
    for name, value in _facts(run, now).items():
        facts.add_row(name, Text(value))
    if job is None:
        facts.add_row("job", "none" if run.result else "none: a worker's next reconciliation defers one")
    elif job.status == "todo":
        facts.add_row("job", f"{job.id}, waiting, {_due(job.due_at or now, now)}")
    else:
        heard = "" if job.heard_of is None else f", last heard of {_ago(job.heard_of, now)}"
        facts.add_row("job", f"{job.id}, with a worker{heard}")
    events = _table("at (UTC)", "event", "what it says")
    for each in shown.events:
        events.add_row(
            f"{each.created_at.astimezone(UTC):%H:%M:%S.%f}"[:-3],
            each.event_type.removeprefix("auto_assign."),
            Text(_said(each)),
        )
    return Group(Text(f"run {run.id}", style="bold"), facts, events)


def _facts(run: ListedRun, now: datetime) -> dict[str, str]:
    from maitred.messages.plain_text import line

    strategy = [
        f"{name}={value}"
        for name, value in (("require_adjacency", run.require_adjacency), ("max_tables", run.max_tables))
        if value is not None
    ]
    facts = {
        "booking": f"{line(run.reference, 60)} at {run.restaurant}, party of {run.party_size}, "
        f"{run.starts_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {run.booking_status.value}",
        "trigger": run.trigger,
        "strategy": " ".join(strategy) or "the venue's policy",
        "retry policy": str(run.policy),
        "attempts": f"{'?' if run.attempts is None else run.attempts} of at most {run.max_attempts}"
        + (", the first skipped" if run.skipped_initial else ""),
        "state": run.result or f"live, {_due(run.due_at, now)}",
        "begun": f"{run.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
    }
    if run.ended_at is not None:
        facts["ended"] = f"{run.ended_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    reasons = {
        "last reason": run.last_reason,
        "stopped by": run.hard_stop_reason,
        "inline attempt": run.inline_reason,
    }
    return facts | {name: reason for name, reason in reasons.items() if reason is not None}


def _said(event: RunEvent) -> str:
    return " ".join(f"{key}={_short(value)}" for key, value in event.context.items() if _worth_saying(key, value))


def _worth_saying(key: str, value: object) -> bool:
    return value is not None and value is not False and key not in _UNSAID and not _empty(value)


def _empty(value: object) -> bool:
    return isinstance(value, Mapping) and all(each is None for each in value.values())


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, Mapping):
        return ",".join(f"{key}:{each}" for key, each in value.items() if each is not None)
    return str(value)


def _due(at: datetime, now: datetime) -> str:
    seconds = (at - now).total_seconds()
    return "due now" if seconds <= 0 else f"due in {seconds:.0f} s"


def _ago(at: datetime, now: datetime) -> str:
    return f"{max(0.0, (now - at).total_seconds()):.0f} s ago"


def _table(*names: str, headings: bool = True) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD if headings else None, pad_edge=False, padding=(0, 1, 0, 0), show_header=headings)
    for name in names:
        figures = name.startswith(">")
        table.add_column(name.removeprefix(">"), justify="right" if figures else "left", overflow="fold")
    return table
