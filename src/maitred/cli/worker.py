"""`maitred worker`: makes queued attempts, delivers messages, and puts right what crashes left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

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
    import logging

    from maitred.cli.start import application
    from maitred.settings import Settings
    from maitred.worker import run_worker

    # its words of a failed job are a traceback; the worker says what failed, and why, in a line of its own
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
    async with application(Settings()) as app:
        if not once:
            typer.echo(f"worker started: {concurrency} at a time, {grace_s:g} s of grace")
        return await run_worker(app, concurrency=concurrency, grace_s=grace_s, wait=not once)


def _words(worked: Worked) -> str:
    results = ", ".join(f"{count} {result}" for result, count in worked.attempts.most_common())
    made = worked.attempts.total()
    words = [f"{made} attempt{'' if made == 1 else 's'} made" + (f" ({results})" if results else "")]
    if worked.failed:
        words.append(f"{worked.failed} failed")
    if worked.handed_back:
        words.append(f"{worked.handed_back} handed back")
    return ", ".join(words)
