"""Webhooks that are due: endpoints side by side, the messages of one endpoint one after the other.

An endpoint that hangs holds up its own messages and nobody else's: while its task runs, its messages are not claimed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from uuid import UUID

from maitred.messages import claims
from maitred.messages.claims import Claim, Looked
from maitred.messages.outcome import Refused, Verdict
from maitred.messages.settle import Delivered, Settler, failure_of
from maitred.messages.webhook import signed_headers, webhook_body
from maitred.messages.webhook_sender import WebhookSender
from maitred.settings import Settings

_MARGIN_S = 10.0


class WebhookLane:
    """Delivers webhooks. Several processes may do so at the same time."""

    def __init__(self, settler: Settler, sender: WebhookSender, settings: Settings) -> None:
        self._settler = settler
        self._database = settler.database
        self._sender = sender
        self._lease_s = settings.webhook_total_s + _MARGIN_S
        self._at_a_time = asyncio.Semaphore(settings.webhook_concurrency)
        self._most_busy = 2 * settings.webhook_concurrency
        self._busy: dict[UUID, asyncio.Task[Delivered]] = {}

    async def start_due(self, limit: int, *, stopping: Callable[[], bool]) -> list[asyncio.Task[Delivered]]:
        """Claims up to so many messages and starts a task for each endpoint that has some. Whoever calls sees to the
        tasks' end. Raises DatabaseUnavailable and psycopg's errors."""
        if len(self._busy) >= self._most_busy:
            return []
        claimed = await claims.claim_due(
            self._database, "webhook", limit=limit, lease_s=self._lease_s, busy=self._busy.keys()
        )
        started = []
        claimed.sort(key=lambda claim: str(claim.endpoint_id))  # stable: each endpoint's stay in order
        for endpoint_id, of_endpoint in groupby(claimed, key=lambda claim: claim.endpoint_id):
            if endpoint_id is None:
                continue  # the table's check forbids it
            task = asyncio.create_task(self._deliver_all(list(of_endpoint), stopping))
            self._busy[endpoint_id] = task
            task.add_done_callback(partial(self._ended, endpoint_id))
            started.append(task)
        return started

    async def finish(self) -> None:
        """Waits until every task has ended; each ends after the message that it is sending, once it is told to stop."""
        if self._busy:
            await asyncio.wait(set(self._busy.values()))

    async def abandon(self) -> None:
        """Breaks off what is under way, if anything is."""
        for task in self._busy.values():
            task.cancel()
        await self.finish()

    def _ended(self, endpoint_id: UUID, _: asyncio.Task[Delivered]) -> None:
        del self._busy[endpoint_id]

    async def _deliver_all(self, claimed: Sequence[Claim], stopping: Callable[[], bool]) -> Delivered:
        done = Delivered()
        async with self._at_a_time:
            for place, claim in enumerate(claimed):
                if stopping():
                    await claims.put_back(self._database, claimed[place:])
                    return done + Delivered(postponed=len(claimed) - place)
                done += await self._deliver(claim)
        return done

    async def _deliver(self, claim: Claim) -> Delivered:
        looked = await self._settler.look(claim, lease_s=self._lease_s)
        if isinstance(looked, Delivered):
            return looked
        return await self._settler.settle(looked, await self._send(looked))

    async def _send(self, looked: Looked) -> Verdict:
        if looked.endpoint is None:
            return Refused("url_invalid")
        try:
            body = webhook_body(looked.facts)
            try:
                headers = signed_headers(looked.claim.id, body, looked.endpoint.secret, datetime.now(UTC))
            except ValueError:
                return Refused("secret_invalid")
            return await self._sender.post(looked.endpoint.url, body, headers)
        except Exception as error:  # noqa: BLE001 - a message that can't be made must not keep the others
            return failure_of(error)
