"""Delivery: what is due in the outbox goes out, at least once, by mail and by webhook, neither waiting for the other.

Between the server's yes and the row's `sent` lies one statement. A process that dies there, or that is stopped for
longer than its claim lasts, leaves the message to be sent again, with the same Message-ID or webhook-id (ADR 8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import structlog

from maitred.errors import DatabaseUnavailable
from maitred.messages.mail_lane import MailLane
from maitred.messages.settle import Delivered, Settler
from maitred.messages.webhook_lane import WebhookLane
from maitred.messages.webhook_sender import WebhookSender
from maitred.settings import Settings
from maitred.storage.database import Database

_BATCH = 50

_log = structlog.get_logger(__name__)


class Deliverer:
    """Delivers the outbox of one database. Any number of them may run at the same time, in any number of processes.

    With MAITRED_MESSAGES_SUPPRESSED nothing is delivered; what is waiting goes on waiting. `sender` is given by tests
    that answer for the name server.
    """

    def __init__(self, database: Database, settings: Settings, *, sender: WebhookSender | None = None) -> None:
        self._settings = settings
        settler = Settler(database, settings)
        self._mail = MailLane(settler, settings)
        self._sender = sender or WebhookSender(settings)
        self._webhooks = WebhookLane(settler, self._sender, settings)
        self._mail_poked = asyncio.Event()
        self._webhooks_poked = asyncio.Event()

    def poke(self) -> None:
        """Makes `run` look at once: there is something in the outbox. From the event loop's thread only."""
        self._mail_poked.set()
        self._webhooks_poked.set()

    async def deliver_due(self, limit: int = _BATCH) -> Delivered:
        """One pass: up to so many mails and so many webhook messages. Ends when all of them are settled.

        Raises DatabaseUnavailable and psycopg's errors; what was claimed by then comes back when the claims are over.
        """
        if self._settings.messages_suppressed:
            return Delivered()
        return await _all_of(self._all_mails(limit), self._all_webhooks(limit))

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop` is set: then it finishes what is being sent, gives the rest back, and returns.

        A database that is away is waited for. Cancelling is allowed: what was claimed comes back when the claims are
        over, and what was being sent may be sent again.
        """
        if self._settings.messages_suppressed:
            await stop.wait()
            return

        async def mails() -> bool:
            _, more = await self._mail.deliver_due(_BATCH, stopping=stop.is_set)
            return more

        async def webhooks() -> bool:
            started = await self._webhooks.start_due(_BATCH, stopping=stop.is_set)
            for task in started:
                task.add_done_callback(_tell)
            return bool(started)

        try:
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(self._keep(mails, stop, self._mail_poked))
                lanes.create_task(self._keep(webhooks, stop, self._webhooks_poked))
            await self._webhooks.finish()
        finally:
            await self._webhooks.abandon()

    def close(self) -> None:
        """Gives the threads that look names up back."""
        self._sender.close()

    async def _all_mails(self, limit: int) -> Delivered:
        done, _ = await self._mail.deliver_due(limit, stopping=_never)
        return done

    async def _all_webhooks(self, limit: int) -> Delivered:
        return await _all_of(*await self._webhooks.start_due(limit, stopping=_never))

    async def _keep(self, one_pass: Callable[[], Awaitable[bool]], stop: asyncio.Event, poked: asyncio.Event) -> None:
        told = False
        while not stop.is_set():
            more = False
            try:
                more = await one_pass()
                told = False
            except (DatabaseUnavailable, psycopg.Error) as error:
                if not told:
                    _log.warning("messages.pass_failed", error=type(error).__name__)
                told = True
            if not more:
                await _first_of(stop, poked, timeout_s=self._settings.messages_poll_s)
                poked.clear()


async def _all_of(*deliveries: Awaitable[Delivered]) -> Delivered:
    """The sum, when all have ended; raises the first error then."""
    done = Delivered()
    for each in await asyncio.gather(*deliveries, return_exceptions=True):
        if isinstance(each, BaseException):
            raise each
        done += each
    return done


def _never() -> bool:
    return False


def _tell(task: asyncio.Task[Delivered]) -> None:
    """A database error that ended an endpoint's task: its messages come back when the claims are over."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.warning("messages.webhooks_failed", error=type(error).__name__)


async def _first_of(stop: asyncio.Event, poked: asyncio.Event, *, timeout_s: float) -> None:
    waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(poked.wait())]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
