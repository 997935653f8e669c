"""The worker: makes queued attempts, delivers messages, and puts right what crashes left.

Many may run, on many machines. One that is killed leaves its jobs to the others: they are taken from it when it has not
been heard of for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, NoReturn
from uuid import UUID

import procrastinate
import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

from maitred.auto_assign.job import JobRules, make_queued_attempt
from maitred.auto_assign.queue import ATTEMPT_TASK, QUEUE
from maitred.auto_assign.reconciler import reconcile
from maitred.auto_assign.rules import job_rules, retry_rules
from maitred.bootstrap import Application
from maitred.errors import DatabaseUnavailable
from maitred.messages.deliverer import Deliverer
from maitred.messages.settle import Delivered
from maitred.observability.retention import retain
from maitred.replay.versions import forget_versions

_DATABASE_PAUSE_S = 1.0
_RETAIN_EVERY_S = 3600.0
# how long a cancelled attempt may take to let go of the database and to be written down as due again
_HAND_BACK_S = 12.0
_MOST_PASSES = 1_000

_AWAY = (procrastinate.exceptions.ConnectorException, DatabaseUnavailable, psycopg.Error)

_ANY_DUE: LiteralString = """
SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE queue_name = %(queue)s AND status = 'todo'
                  AND (scheduled_at IS NULL OR scheduled_at <= now())) AS due
"""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Worked:
    """What a worker did: its attempts by what became of their run (`waiting`: it goes on), those that raised, and those
    that it gave back unfinished when it was stopped."""

    attempts: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    handed_back: int = 0


class _HandBack(procrastinate.BaseRetryStrategy):
    """A cancelled attempt is due again at once, for any worker. What raised is left to the reconciliation."""

    def get_retry_decision(
        self,
        *,
        exception: BaseException,
        job: procrastinate.jobs.Job,  # noqa: ARG002 - the interface has it
    ) -> procrastinate.RetryDecision | None:
        return procrastinate.RetryDecision() if isinstance(exception, asyncio.CancelledError) else None


@dataclass(slots=True)
class _Attempts:
    """The attempts that are under way here, and what became of the others."""

    app: Application
    worked: Worked = field(default_factory=Worked)
    under_way: set[asyncio.Task[Any]] = field(default_factory=set)

    async def make(self, run_id: UUID, attempt_index: int, rules: JobRules) -> str | None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an attempt is made in a task")
        self.under_way.add(task)
        try:
            result = await make_queued_attempt(self.app.desk, run_id, attempt_index, rules=rules)
        except asyncio.CancelledError:
            self.worked.handed_back += 1
            raise
        except Exception as error:
            self.worked.failed += 1
            _log.warning("worker.attempt_failed", run_id=str(run_id), error=type(error).__name__)
            raise
        finally:
            self.under_way.discard(task)
        self.worked.attempts[result or "waiting"] += 1
        if result is not None and self.app.metrics is not None:
            self.app.metrics.run_ended(run_id)
        return result

    def give_up(self) -> None:
        for task in tuple(self.under_way):
            task.cancel()


def _queue_app(attempts: _Attempts) -> procrastinate.App:
    """Procrastinate's app with our one task. Its pool is small: fetching, acknowledging, heartbeat and listening."""
    connector = procrastinate.PsycopgConnector(
        conninfo=attempts.app.worker_url,
        min_size=1,
        max_size=4,
        pool_factory=AsyncConnectionPool,
        kwargs={"application_name": "maitred-queue"},
    )
    queue = procrastinate.App(connector=connector)
    rules = job_rules(attempts.app.settings)

    @queue.task(name=ATTEMPT_TASK, queue=QUEUE, retry=_HandBack())
    async def attempt(run_id: str, attempt_index: int) -> str | None:
        return await attempts.make(UUID(run_id), attempt_index, rules)

    return queue


class _Stop:
    """Whether the worker was told to stop, and whether it was told again: then at once."""

    def __init__(self, grace_s: float) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()
        self._grace_s = grace_s
        self._since: float | None = None

    def ask(self) -> None:
        """From now on the time of grace runs."""
        if self._since is None:
            self._since = asyncio.get_running_loop().time()
        self.asked.set()

    @property
    def grace_left_s(self) -> float:
        spent_s = 0.0 if self._since is None else asyncio.get_running_loop().time() - self._since
        return max(0.0, self._grace_s - spent_s)

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask it, where a program can be told so; the handlers before are back at the end."""
        loop = asyncio.get_running_loop()
        before = {}
        for each in (signal.SIGINT, signal.SIGTERM):
            earlier = signal.getsignal(each)
            # on Windows, and outside of the main thread, whoever runs the worker stops it by cancelling
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(each, self._signalled)
                before[each] = earlier
        try:
            yield
        finally:
            for each, earlier in before.items():
                loop.remove_signal_handler(each)
                signal.signal(each, earlier)

    def _signalled(self) -> None:
        if self.asked.is_set():
            self.at_once.set()
        self.ask()
        _log.info("worker.stopping", at_once=self.at_once.is_set())


async def run_worker(
    app: Application,
    *,
    concurrency: int,
    grace_s: float,
    wait: bool = True,
    install_signal_handlers: bool = True,
    on_start: Callable[[], None] | None = None,
) -> Worked:
    """Works until it is told to stop (SIGINT, SIGTERM) or, without `wait`, until nothing is due.

    On a stop it takes no new jobs and gives those under way `grace_s` seconds; what is not finished then is cancelled
    and due again at once, for any worker. A second signal ends the grace. A database that goes away is waited for;
    without `wait` it raises DatabaseUnavailable. Cancelling it is a stop too, and passes when that is done. `on_start`
    is called when it is about to take jobs: from then on it can be told to stop.
    """
    # Its words of a failed job are a traceback, with the row that a constraint refused. The worker says what failed in
    # a line of its own; the reconciliation puts it right.
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
    stop = _Stop(grace_s)
    attempts = _Attempts(app)
    queue = _queue_app(attempts)
    async with contextlib.AsyncExitStack() as stack:
        if install_signal_handlers:
            stack.enter_context(stop.on_signals())
        await stack.enter_async_context(queue.open_async())
        work = _Work(app, queue, attempts, stop, concurrency, grace_s)
        if on_start is not None:
            on_start()
        if not wait:
            await work.once()
            return attempts.worked
        if app.metrics is not None:
            await stack.enter_async_context(app.metrics.served())
        reconciler = asyncio.create_task(
            _keep(lambda: _reconcile(app), app.settings.reconcile_every_s), name="maitred-reconciler"
        )
        stack.push_async_callback(_cancel, reconciler)
        retention = asyncio.create_task(_keep(lambda: _retain(app), _RETAIN_EVERY_S), name="maitred-retention")
        stack.push_async_callback(_cancel, retention)
        _start_delivering(app, stack, stop)
        try:
            await work.until_stopped()
        finally:
            stop.ask()
    return attempts.worked


@dataclass(frozen=True, slots=True)
class _Work:
    app: Application
    queue: procrastinate.App
    attempts: _Attempts
    stop: _Stop
    concurrency: int
    grace_s: float

    async def until_stopped(self) -> None:
        while not self.stop.asked.is_set():
            try:
                await self._take_jobs(wait=True)
            except _AWAY as error:
                _log.warning("worker.database_away", error=type(error).__name__)
            # it ended by itself: the database was away for a moment, or still is
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.asked.wait(), _DATABASE_PAUSE_S)

    async def once(self) -> None:
        """Puts right what crashes left, makes all attempts that are due, those that come of them too, and delivers."""
        try:
            await _reconcile(self.app)
            done = -1
            while done != self._done and not self.stop.asked.is_set() and await self._is_any_due():
                done = self._done
                await self._take_jobs(wait=False)
        except _AWAY as error:
            raise DatabaseUnavailable("the database went away") from error
        if not self.stop.asked.is_set():
            await self._deliver_due()

    @property
    def _done(self) -> int:
        return self.attempts.worked.attempts.total()

    async def _is_any_due(self) -> bool:
        rows = await self.app.database.fetch(_ANY_DUE, {"queue": QUEUE})
        return bool(rows[0]["due"])

    async def _deliver_due(self) -> None:
        deliverer = Deliverer(self.app.database, self.app.settings)
        try:
            for _ in range(_MOST_PASSES):
                if await deliverer.deliver_due() == Delivered() or self.stop.asked.is_set():
                    return
        finally:
            deliverer.close()

    async def _take_jobs(self, *, wait: bool) -> None:
        """Takes jobs until told to stop, or, without `wait`, until none is due; and ends what it took."""
        settings = self.app.settings
        working = asyncio.create_task(
            self.queue.run_worker_async(
                queues=[QUEUE],
                concurrency=self.concurrency,
                wait=wait,
                listen_notify=wait and not settings.worker_polls_only,
                fetch_job_polling_interval=settings.worker_poll_s,
                delete_jobs="always",
                shutdown_graceful_timeout=self.grace_s,
                update_heartbeat_interval=settings.worker_heartbeat_s,
                stalled_worker_timeout=settings.worker_heartbeat_s * 4,
                install_signal_handlers=False,
            ),
            name="maitred-jobs",
        )
        try:
            await _first_of(working, self.stop.asked)
        finally:
            if not working.done():
                await self._finish(working)
        if working.done() and not working.cancelled():
            working.result()

    async def _finish(self, working: asyncio.Task[None]) -> None:
        working.cancel()  # Procrastinate's way to ask for a graceful stop
        await _first_of(working, self.stop.at_once, timeout_s=self.grace_s + _HAND_BACK_S)
        if not working.done():
            self.attempts.give_up()
            await asyncio.wait({working}, timeout=_HAND_BACK_S)
        if not working.done():
            _log.warning("worker.left_behind", attempts=len(self.attempts.under_way))


async def _first_of(task: asyncio.Task[Any], event: asyncio.Event, *, timeout_s: float | None = None) -> None:
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task, waiting}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


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


async def _retain(app: Application) -> None:
    """Old events leave their daily roll-ups and go; then the versions that no event left can have been decided by."""
    days = app.settings.event_days
    if days == 0:
        return
    gone = await retain(app.database, days=days)
    await forget_versions(app.database, datetime.now(UTC) - timedelta(days=days))
    if gone.deleted:
        _log.info("events.retained", deleted=gone.deleted)


async def _keep(work: Callable[[], Awaitable[None]], every_s: float) -> NoReturn:
    """Does the work at once and then every so many seconds. An error is only logged: nobody would begin it again."""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - what ends here would stay ended for the worker's whole life
            _log.warning("worker.background_failed", error=type(error).__name__)
        await asyncio.sleep(every_s)


def _start_delivering(app: Application, stack: contextlib.AsyncExitStack, stop: _Stop) -> None:
    """Delivers messages until told to stop. What is on its way then is finished; broken off, it would go twice."""
    deliverer = Deliverer(app.database, app.settings)
    stack.callback(deliverer.close)
    delivering = asyncio.create_task(deliverer.run(stop.asked), name="maitred-deliverer")

    async def finish() -> None:
        await _first_of(delivering, stop.at_once, timeout_s=stop.grace_left_s)
        await _cancel(delivering)

    stack.push_async_callback(finish)


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=5.0)
