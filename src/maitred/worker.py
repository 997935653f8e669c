"""The worker: makes queued attempts, delivers messages, and puts right what crashes left.

Many may run, on many machines. One that is killed leaves its jobs to the others: they are taken from it when it has not
been heard of for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn
from uuid import UUID

import procrastinate
import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

from maitred.auto_assign.job import make_queued_attempt
from maitred.auto_assign.queue import ATTEMPT_TASK, QUEUE
from maitred.auto_assign.reconciler import reconcile
from maitred.auto_assign.rules import job_rules, retry_rules
from maitred.bootstrap import Application
from maitred.errors import DatabaseUnavailable
from maitred.messages.deliverer import Deliverer

_DATABASE_PAUSE_S = 1.0

_log = structlog.get_logger(__name__)


def queue_app(app: Application, url: str) -> procrastinate.App:
    """Procrastinate's app with our one task. Its pool is small: fetching, acknowledging, heartbeat and listening."""
    connector = procrastinate.PsycopgConnector(
        conninfo=url,
        min_size=1,
        max_size=4,
        pool_factory=AsyncConnectionPool,
        kwargs={"application_name": "maitred-queue"},
    )
    queue = procrastinate.App(connector=connector)
    rules = job_rules(app.settings)

    @queue.task(name=ATTEMPT_TASK, queue=QUEUE)
    async def attempt(run_id: str, attempt_index: int) -> str | None:
        return await make_queued_attempt(app.desk, UUID(run_id), attempt_index, rules=rules)

    return queue


async def run_worker(
    app: Application,
    *,
    concurrency: int,
    grace_s: float,
    wait: bool = True,
    install_signal_handlers: bool = True,
) -> None:
    """Works until it is told to stop (SIGINT, SIGTERM) or, without `wait`, until nothing is due.

    On a stop it takes no new jobs and gives those under way `grace_s` seconds; what is not finished then is cancelled
    and handed back by the next reconciliation, here or elsewhere. A database that goes away is waited for; without
    `wait` it raises DatabaseUnavailable.
    """
    settings = app.settings
    url = app.worker_url
    queue = queue_app(app, url)
    async with queue.open_async(), contextlib.AsyncExitStack() as stack:
        if wait:
            reconciler = asyncio.create_task(
                _keep(lambda: _reconcile(app), settings.reconcile_every_s), name="maitred-reconciler"
            )
            stack.push_async_callback(_cancel, reconciler)
            await _start_delivering(app, stack, grace_s)
        while True:
            try:
                await queue.run_worker_async(
                    queues=[QUEUE],
                    concurrency=concurrency,
                    wait=wait,
                    listen_notify=wait and not settings.worker_polls_only,
                    fetch_job_polling_interval=settings.worker_poll_s,
                    delete_jobs="always",
                    shutdown_graceful_timeout=grace_s,
                    update_heartbeat_interval=settings.worker_heartbeat_s,
                    stalled_worker_timeout=settings.worker_heartbeat_s * 4,
                    install_signal_handlers=install_signal_handlers,
                )
            except (procrastinate.exceptions.ConnectorException, psycopg.Error) as error:
                if not wait:
                    raise DatabaseUnavailable("the database went away") from error
                _log.warning("worker.database_away", error=type(error).__name__)
                await asyncio.sleep(_DATABASE_PAUSE_S)
            else:
                return


async def _reconcile(app: Application) -> None:
    settings = app.settings
    done = await reconcile(app.desk, rules=retry_rules(settings), silent_s=settings.worker_heartbeat_s * 4)
    if done.stalled_jobs or done.runs_without_job or done.bookings_without_run:
        _log.info(
            "reconciled",
            stalled_jobs=done.stalled_jobs,
            runs_without_job=done.runs_without_job,
            bookings_without_run=done.bookings_without_run,
        )


async def _keep(work: Callable[[], Awaitable[None]], every_s: float) -> NoReturn:
    """Does the work at once and then every so many seconds; a database that is away is only logged."""
    while True:
        try:
            await work()
        except (DatabaseUnavailable, psycopg.Error) as error:
            _log.warning("worker.background_failed", error=type(error).__name__)
        await asyncio.sleep(every_s)


async def _start_delivering(app: Application, stack: contextlib.AsyncExitStack, grace_s: float) -> None:
    """Delivers messages until the stack is left. What is on its way then is finished; broken off, it would go twice."""
    stop = asyncio.Event()
    deliverer = Deliverer(app.database, app.settings)
    stack.callback(deliverer.close)
    delivering = asyncio.create_task(deliverer.run(stop), name="maitred-deliverer")

    async def finish() -> None:
        stop.set()
        await asyncio.wait({delivering}, timeout=grace_s)
        await _cancel(delivering)

    stack.push_async_callback(finish)


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=5.0)
