"""`maitred worker`: makes queued attempts, delivers messages, and puts right what crashes left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from maitred.worker import Worked


def worker(
    concurrency: Annotated[int, typer.Option(min=1, max=200, help="How many attempts to make at once.")] = 4,
    grace_s: Annotated[
        float,
        typer.Option("--grace-s", min=0, max=3600, help="Seconds for what is under way, when it is told to stop."),
    ] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="Do all that is due, and end.")] = False,
) -> None:
    """Works until it is told to stop: by SIGTERM or Ctrl-C it ends what it holds or hands it back, by a second it hands
    it back at once."""
    worked = asyncio.run(_work(concurrency, grace_s, once))
    typer.echo(f"worker stopped: {_words(worked)}")


async def _work(concurrency: int, grace_s: float, once: bool) -> Worked:
    from maitred.cli.start import application
    from maitred.settings import Settings
    from maitred.worker import run_worker

    # of a job that could not be ticked off since the database was away, asyncio would show a traceback
    asyncio.get_running_loop().set_exception_handler(_say)
    async with application(Settings(), kind="worker") as app:

        def started() -> None:
            typer.echo(f"worker started: {concurrency} at a time, {grace_s:g} s of grace")

        return await run_worker(
            app, concurrency=concurrency, grace_s=grace_s, wait=not once, on_start=None if once else started
        )


def _say(_loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
    import structlog

    error = told.get("exception")
    log = structlog.get_logger(__name__)
    log.warning("worker.task_failed", error=None if error is None else type(error).__name__)


def _words(worked: Worked) -> str:
    results = ", ".join(f"{count} {result}" for result, count in worked.attempts.most_common())
    made = worked.attempts.total()
    words = [f"{made} attempt{'' if made == 1 else 's'} made" + (f" ({results})" if results else "")]
    if worked.failed:
        words.append(f"{worked.failed} failed")
    if worked.handed_back:
        words.append(f"{worked.handed_back} handed back")
    return ", ".join(words)
