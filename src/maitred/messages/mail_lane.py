"""Mails that are due: over one connection, one after the other, for as long as the server is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from maitred.messages import claims
from maitred.messages.claims import Claim, Looked
from maitred.messages.mail import confirmation_mail, needs_attention_mail
from maitred.messages.mail_address import read_address
from maitred.messages.mail_server import MailServer
from maitred.messages.outcome import Away, Failed, Outcome, Refused
from maitred.messages.settle import Delivered, Settler, failure_of
from maitred.settings import Settings

_MARGIN_S = 10.0

_log = structlog.get_logger(__name__)


class MailLane:
    """Delivers mails. Several processes may do so at the same time."""

    def __init__(self, settler: Settler, settings: Settings) -> None:
        self._settler = settler
        self._database = settler.database
        self._settings = settings
        # longer than the longest delivery, with the statements before and after it
        self._lease_s = settings.mail_timeout_s + _MARGIN_S

    async def deliver_due(self, limit: int, *, stopping: Callable[[], bool]) -> tuple[Delivered, bool]:
        """One pass over up to so many mails, and whether to go on at once. A server that is away ends it: all that is
        left goes back uncounted, and no process tries again before the pause is over.

        Raises DatabaseUnavailable and psycopg's errors; what was claimed by then comes back when the claims are over.
        """
        claimed = await claims.claim_due(self._database, "mail", limit=limit, lease_s=self._lease_s)
        if not claimed:
            return Delivered(), False
        server = MailServer(self._settings)
        try:
            passed = await self._deliver(server, claimed, stopping)
        except BaseException:
            server.abandon()
            raise
        await server.close()
        return passed

    async def _deliver(
        self, server: MailServer, claimed: Sequence[Claim], stopping: Callable[[], bool]
    ) -> tuple[Delivered, bool]:
        done = Delivered()
        away = await server.connect()
        if away is not None:
            return await self._away(away, None, claimed), False
        for place, claim in enumerate(claimed):
            if stopping():
                await claims.put_back(self._database, claimed[place:])
                return done + Delivered(postponed=len(claimed) - place), False
            looked = await self._settler.look(claim, lease_s=self._lease_s)
            if isinstance(looked, Delivered):
                done += looked
                continue
            outcome = await self._hand_over(server, looked)
            if isinstance(outcome, Away):
                return done + await self._away(outcome, looked, claimed[place + 1 :]), False
            done += await self._settler.settle(looked, outcome)
        return done, True

    async def _hand_over(self, server: MailServer, looked: Looked) -> Outcome:
        facts, sender = looked.facts, self._settings.mail_from or ""
        to = read_address(facts.recipient or "")
        if to is None:
            return Refused("address_invalid")
        try:
            if facts.kind == "confirmation":
                mail = confirmation_mail(facts, to, sender=sender, shows_tables=self._settings.mail_shows_tables)
            else:
                mail = needs_attention_mail(facts, to, sender=sender)
            return await server.send(mail, to)
        except Exception as error:  # noqa: BLE001 - a mail that can't be made must not keep the others
            return failure_of(error)

    async def _away(self, away: Away, looked: Looked | None, rest: Sequence[Claim]) -> Delivered:
        done = Delivered(postponed=len(rest))
        uncounted = None
        if looked is not None and away.counts:
            done += await self._settler.settle(looked, Failed(away.error))
        elif looked is not None:
            uncounted = looked.claim
            done += Delivered(postponed=1)
        pause_s = self._settings.mail_pause_s
        await claims.pause_mail(self._database, away.error, pause_s=pause_s, back=rest, uncounted=uncounted)
        _log.warning("mail_server.away", error=away.error, pause_s=pause_s, waiting=done.postponed)
        return done
