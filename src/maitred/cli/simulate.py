"""`maitred simulate`: seeded service days under several policies, against what a clairvoyant could have seated."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maitred.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from maitred.bootstrap import Application
    from maitred.model.floor import Floor
    from maitred.model.policy import VenuePolicy
    from maitred.simulate.days import Profile
    from maitred.simulate.policies import Policy
    from maitred.simulate.study import Plan, Study


def simulate(
    load: Annotated[
        list[float], typer.Option(metavar="LOAD", help="Most covers wanted at one moment, per seat. Repeatable.")
    ] = [0.95, 1.25],  # noqa: B006 - typer reads the default and never changes it
    days: Annotated[int, typer.Option(help="Days at each load.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed draws the same days.")] = 1,
    policy: Annotated[
        list[str], typer.Option(help="best-fit, moves, prices, moves+prices or declining. Repeatable.")
    ] = ["best-fit", "moves", "declining"],  # noqa: B006 - as above
    restaurant: Annotated[
        str | None, typer.Option(metavar="SLUG", help="A venue in the database; without one the demo's.")
    ] = None,
    from_history: Annotated[
        bool, typer.Option("--from-history", help="Draw days as that venue's last 26 weeks were.")
    ] = False,
    in_memory: Annotated[
        bool, typer.Option("--in-memory", help="Decide without a database: the same decisions, sooner.")
    ] = False,
    bound_seconds: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time for the bound of one day; what it proves by then counts.")
    ] = 20.0,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures there.")] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with a picture.")
    ] = None,
    on_given_database: Annotated[
        bool, typer.Option("--on-given-database", help="Write to the database in MAITRED_DATABASE_URL.")
    ] = False,
) -> None:
    """Plays drawn service days through the real booking functions, under each policy: seated, covers, waste and moves,
    beside the most that could have been seated by someone who knew the day. What it writes it removes again."""
    from maitred.settings import Settings
    from maitred.simulate.policies import policy_named
    from maitred.simulate.study import Plan

    settings = Settings()
    plan = Plan(tuple(load), days, seed, bound_seconds)
    policies = [policy_named(name) for name in dict.fromkeys(policy)]
    if not policies:
        raise InvalidInput("simulate", "--policy", "must be given at least once")
    if from_history and restaurant is None:
        raise InvalidInput("simulate", "--from-history", "needs --restaurant")
    for option, file in (("--json", json_file), ("--html", html_file)):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            raise InvalidInput("simulate", option, f"{file} can't be written")
    if settings.database_url is not None and not (in_memory or on_given_database):
        raise InvalidInput(
            "simulate",
            "MAITRED_DATABASE_URL",
            "is set: simulated days are written to that database only with --on-given-database, or try --in-memory",
        )
    study = asyncio.run(_simulate(plan, policies, restaurant, from_history=from_history, in_memory=in_memory))
    _show(study, json_file, html_file)


def _show(study: Study, json_file: Path | None, html_file: Path | None) -> None:
    from maitred.cli.simulate_report import render
    from maitred.cli.start import console
    from maitred.simulate.figures import to_json
    from maitred.simulate.picture import render_html

    console().print(render(study))
    if json_file is not None:
        json_file.write_text(json.dumps(to_json(study), indent=2) + "\n", encoding="utf-8")
    if html_file is not None:
        html_file.write_text(render_html(study), encoding="utf-8")


async def _simulate(
    plan: Plan, policies: Sequence[Policy], restaurant: str | None, *, from_history: bool, in_memory: bool
) -> Study:
    from maitred.cli.start import application
    from maitred.demo.reference import demo_day
    from maitred.settings import Settings
    from maitred.simulate.days import PUBLISHED

    async with AsyncExitStack() as stack:
        app: Application | None = None
        if restaurant is not None or not in_memory:
            # in memory the database is only read
            app = await stack.enter_async_context(application(Settings(), kind=None if in_memory else "cli"))
        profile, source = PUBLISHED, "published figures (docs/simulate.md)"
        if restaurant is None or app is None:
            day = demo_day()
            name, floor, rules = day.name, day.floor, day.policy
        else:
            from maitred.auto_assign.service_day import find_venue
            from maitred.simulate.history import profile_of

            venue = await find_venue(app.database, restaurant)
            name, floor, rules = venue.name, venue.floor, venue.policy
            if from_history:
                profile, source = await profile_of(app.database, venue, now=datetime.now(UTC)), "its own history"
        return await _play(plan, policies, profile, name, source, floor, rules, None if in_memory else app, stack)


async def _play(
    plan: Plan,
    policies: Sequence[Policy],
    profile: Profile,
    name: str,
    source: str,
    floor: Floor,
    rules: VenuePolicy,
    app: Application | None,
    stack: AsyncExitStack,
) -> Study:
    from maitred.simulate import players
    from maitred.simulate.study import study

    if app is None:
        play = players.in_memory(floor, rules, policies)
    else:
        play = await stack.enter_async_context(players.on_database(app.desk, floor, rules, policies))
    return await study(
        plan,
        policies,
        profile,
        venue=name,
        source=source,
        floor=floor,
        policy=rules,
        play=play,
        told=_progress(stack, len(plan.loads) * plan.days * len(policies)),
    )


def _progress(stack: AsyncExitStack, total: int) -> Callable[[], None]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from maitred.cli.start import console

    screen = console()
    columns = (TextColumn("playing days"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = stack.enter_context(
        Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True, refresh_per_second=4)
    )
    task = progress.add_task("", total=total)
    return lambda: progress.advance(task)
