"""What follows from a delivery's outcome: the row is settled, and the count of what was done with it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, fields

import psycopg
import structlog

from maitred.errors import DatabaseUnavailable
from maitred.messages import claims
from maitred.messages.claims import Claim, Looked
from maitred.messages.outcome import Failed, Refused, Sent, Verdict, retry_delay_s
from maitred.messages.webhook_sender import GONE
from maitred.settings import Settings
from maitred.storage.database import Database

_MARK_TRIES = 5
_MARK_PAUSE_S = 0.2
_MARK_AFTER_CANCEL_S = 3.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How many messages a pass sent, put off for another attempt, ended as dead, dropped as no longer true, and gave
    back because the mail server was away or the process stops."""

    sent: int = 0
    retried: int = 0
    dead: int = 0
    dropped: int = 0
    postponed: int = 0

    def __add__(self, other: Delivered) -> Delivered:
        return Delivered(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


class Settler:
    """Looks at claimed messages and writes down what came of them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self._settings = settings

    async def look(self, claim: Claim, *, lease_s: float) -> Looked | Delivered:
        """The message, if it is still ours and still to be told; else what became of it."""
        looked = await claims.look(self.database, claim, lease_s=lease_s)
        if looked is None:
            return Delivered()
        if looked.untrue is not None:
            return await self.drop(looked, looked.untrue)
        if looked.attempts > self._settings.message_max_attempts:
            return await self._bury(looked, "interrupted")  # its process died each time
        return looked

    async def settle(self, looked: Looked, verdict: Verdict) -> Delivered:
        """Writes down what came of it."""
        if isinstance(verdict, Sent):
            await self._mark_sent(looked.claim)
            _log.info("message.sent", **_named(looked))
            return Delivered(sent=1)
        if isinstance(verdict, Refused):
            return await self._bury(looked, verdict.error)
        if looked.attempts >= self._settings.message_max_attempts:
            return await self._bury(looked, verdict.error)
        delay_s = retry_delay_s(
            looked.attempts,
            first_s=self._settings.message_retry_first_s,
            longest_s=self._settings.message_retry_longest_s,
            jitter=random.random(),  # noqa: S311 - spreads the load, keeps no secret
        )
        await claims.try_later(self.database, looked.claim, verdict.error, delay_s=delay_s)
        _log.info("message.put_off", **_named(looked), error=verdict.error, delay_s=round(delay_s, 1))
        return Delivered(retried=1)

    async def drop(self, looked: Looked, why: str) -> Delivered:
        """Ends a message that there is no sense in telling any more."""
        await claims.end(self.database, looked.claim, "dropped", why)
        _log.info("message.dropped", **_named(looked), error=why)
        return Delivered(dropped=1)

    async def _bury(self, looked: Looked, error: str) -> Delivered:
        if error == GONE:
            await claims.end_and_close_endpoint(self.database, looked.claim, error)
        else:
            await claims.end(self.database, looked.claim, "dead", error)
        _log.warning("message.dead", **_named(looked), error=error)
        return Delivered(dead=1)

    async def _mark_sent(self, claim: Claim) -> None:
        """A cancellation passes on only when the mark is made or a moment is over: the message has gone out, and
        without the mark it would go out again."""
        mark = asyncio.create_task(self._mark(claim))
        try:
            await asyncio.shield(mark)
        except asyncio.CancelledError:
            await asyncio.wait({mark}, timeout=_MARK_AFTER_CANCEL_S)
            mark.cancel()
            mark.add_done_callback(_forget)
            raise

    async def _mark(self, claim: Claim) -> None:
        for tries_left in reversed(range(_MARK_TRIES)):
            try:
                return await claims.mark_sent(self.database, claim)
            except (DatabaseUnavailable, psycopg.Error):
                if not tries_left:
                    raise
            await asyncio.sleep(_MARK_PAUSE_S)
        return None


def failure_of(error: Exception) -> Failed:
    """For an error that nobody foresaw: the message is put off, and the others go on."""
    return Failed(f"unexpected {type(error).__name__}")


def _forget(mark: asyncio.Task[None]) -> None:
    if not mark.cancelled():
        mark.exception()  # looked at, so that it isn't reported as overlooked: the message will be sent again


def _named(looked: Looked) -> dict[str, object]:
    facts = looked.facts
    return {
        "message_id": str(facts.message_id),
        "booking_id": str(facts.booking_id),
        "kind": facts.kind,
        "channel": "mail" if looked.endpoint is None else "webhook",
        "attempt": looked.attempts,
    }
